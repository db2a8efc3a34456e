"""What the last look sees, and what it cannot do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.exposure import noise, tone
from smnet_jax.exposure.detail import HALO, MOST, Detail
from smnet_jax.exposure.resampling import linear
from smnet_jax.exposure.tone import GRID, KNOTS, Tone
from tests.support import tolerances

SIDE = 40


@pytest.fixture(scope="module")
def finish():
    """A last look of random weights, which asks for much."""
    model = Detail(features=4)
    params = model.init(jax.random.key(0), *nothing())["params"]
    needs = {"kernel": 3 * jax.random.normal(jax.random.key(1), (4, 1)), "bias": jnp.zeros(1)}
    return jax.jit(lambda *seen: model.apply({"params": {**params, "needs": needs}}, *seen))


@pytest.fixture(scope="module")
def bright():
    """Two stops and more for everything."""
    return Tone(jnp.full((1, 1), 2.0), jnp.zeros((1, GRID, GRID, KNOTS)), jnp.ones((1, KNOTS)))


def nothing():
    """What the last look is called with: a black square."""
    plane = jnp.zeros((1, 8, 8))
    return [plane] * 3, plane, plane, plane


def picture(most=0.2):
    return np.random.default_rng(0).uniform(0, most, (1, SIDE, SIDE, 3)).astype(np.float32)


def seen():
    """The same of a picture lit at random: its planes, its level without smoothing, the stops round each pixel."""
    lit = [picture()[..., channel] for channel in range(3)]
    return lit, picture()[..., 0], 10 * picture()[..., 0]


def test_as_far_as_the_halo_and_no_further(finish):
    lit, level, stops = seen()
    everywhere = np.ones_like(level)
    touched = [plane.copy() for plane in lit]
    for plane in touched:
        plane[0, 20, 20] = 0.9
    changed = np.abs(finish(touched, level, stops, everywhere) - finish(lit, level, stops, everywhere))[0] > 0
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20 - HALO, 20 + HALO, 20 - HALO, 20 + HALO)


def test_nothing_outside_the_picture_is_seen(finish):
    lit, level, stops = seen()
    inside = np.ones_like(level)
    inside[:, 30:] = 0
    other = [np.where(inside > 0, plane, 1.0).astype(np.float32) for plane in lit]
    without = finish(lit, level, stops, inside)[:, :30]
    np.testing.assert_array_equal(finish(other, level, stops, inside)[:, :30], without)
    assert np.abs(finish(lit, level, stops, np.ones_like(level))[:, :30] - without).max() > 0


def test_bounded(finish):
    lit, level, stops = seen()
    out = finish([100 * plane for plane in lit], level, stops, np.ones_like(level))
    assert np.abs(out).max() == MOST


def test_what_curves_keep_is_kept(finish, bright):
    """Whatever it asks for: nothing clips, gray stays gray, black black, and white white."""
    render = jax.jit(lambda low: tone.render(low, bright, finish=finish))
    low = picture()
    low[:, ::3], low[:, 1::7] = 0, 1
    out = np.asarray(render(low))
    assert np.abs(out - np.asarray(jax.jit(lambda low: tone.render(low, bright))(low))).max() > 0.05
    assert -1e-5 < out.min() <= out.max() < 1 + 1e-5
    np.testing.assert_allclose(out[:, 1::7], 1, atol=2e-3)
    assert np.array_equal(np.asarray(render(np.zeros_like(low))), np.zeros_like(low))
    gray = np.asarray(render(np.repeat(low[..., :1], 3, -1)))
    np.testing.assert_array_equal(gray, np.repeat(gray[..., :1], 3, -1))


def test_nothing_where_no_light_is_added(finish):
    neutral = Tone(jnp.zeros((1, 1)), jnp.zeros((1, GRID, GRID, KNOTS)), jnp.ones((1, KNOTS)))
    low = picture(1.0)
    changed, same = (jax.jit(lambda x, f=f: tone.render(x, neutral, finish=f))(low) for f in (finish, None))
    np.testing.assert_allclose(changed, same, rtol=0, atol=tolerances.toned(1))


def test_untrained_it_changes_nothing(bright):
    model = Detail(features=4)
    variables = model.init(jax.random.key(0), *nothing())
    changed, same = (
        jax.jit(lambda x, f=f: tone.render(x, bright, finish=f))(picture())
        for f in (lambda *seen: model.apply(variables, *seen), None)
    )
    np.testing.assert_allclose(changed, same, rtol=0, atol=tolerances.toned(4))


@pytest.mark.parametrize("most", [0.2, 4 / 255])
def test_parts_equal_the_whole_from_the_halo_on(finish, bright, most):
    """Near black too, where noise is looked for the farthest.

    Elsewhere not two pixels earlier than smoothing and this look see: what lies at the rim counts little, but more than
    rounding.
    """
    low = picture(most)
    rows, columns = (linear(GRID, SIDE) for _ in range(2))
    render = jax.jit(lambda low, rows: tone.render_part(low, bright, rows, columns, finish))
    whole, part = np.asarray(render(low, rows))[:, 8:], np.asarray(render(low[:, 8:], rows[8:]))
    apart = np.abs(whole - part).max((0, 2, 3))
    bound = 4 * tolerances.of_tone(bright)
    assert apart[tone.HALO :].max() < bound
    if most == 0.2:
        assert apart[2 * noise.RADIUS + HALO - 2] > bound
