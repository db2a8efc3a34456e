"""What a tone may and may not do to a picture, whatever the network says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.exposure import noise, tone
from smnet_jax.exposure.tone import GRID, KNOTS, Tone
from tests.support import tolerances

compiled, compiled_part = jax.jit(tone.render), jax.jit(tone.render_part)


def render(low, found):
    """`tone.render` of a numpy array."""
    return compiled(jnp.asarray(low), found)


def random_tone(seed=0, saturation=0.5):
    rng = np.random.default_rng(seed)
    draw = lambda shape, scale: jnp.asarray(rng.normal(0, scale, shape), jnp.float32)  # noqa: E731
    return Tone(draw((1, 1), 1), draw((1, GRID, GRID, KNOTS), 1), jnp.exp2(draw((1, KNOTS), saturation)))


def neutral():
    return Tone(jnp.zeros((1, 1)), jnp.zeros((1, GRID, GRID, KNOTS)), jnp.ones((1, KNOTS)))


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(1).uniform(0, 1, (1, 40, 56, 3)).astype(np.float32) ** 3


def test_neutral_tone_changes_nothing(picture):
    np.testing.assert_allclose(render(picture, neutral()), picture, rtol=0, atol=tolerances.toned(1))


@pytest.mark.parametrize("seed", range(5))
def test_cannot_clip(picture, seed):
    found = random_tone(seed)
    out = render(picture, found)
    assert out.min() >= -tolerances.of_tone(found)
    assert out.max() <= 1 + tolerances.of_tone(found)


def test_white_stays_white_and_black_black(picture):
    ends = np.zeros_like(picture)
    ends[:, :, ::2] = 1
    found = random_tone()
    found = found._replace(log2_rate=jnp.zeros((1, 1)), grid=jnp.maximum(found.grid, -2))
    np.testing.assert_allclose(render(ends, found), ends, atol=2e-3)


def test_gray_stays_gray(picture):
    gray = np.repeat(picture[..., :1], 3, -1)
    out = np.asarray(render(gray, random_tone()))
    np.testing.assert_array_equal(out, np.repeat(out[..., :1], 3, -1))


def test_hue_stays(picture):
    """Without the saturation's part, and with too little light to smooth, all channels of a pixel get one factor."""
    found = random_tone()._replace(log2_rate=jnp.zeros((1, 1)), saturation=jnp.ones((1, KNOTS)))
    found = found._replace(grid=jnp.minimum(found.grid, 0.9 * noise.LEAST))
    out = np.asarray(render(picture, found))
    factor = out.max(-1, keepdims=True) / picture.max(-1, keepdims=True)
    np.testing.assert_allclose(out, picture * factor, rtol=0, atol=8 * tolerances.UNIT)


def test_parts_equal_the_whole(picture):
    found = random_tone()
    whole = np.asarray(render(picture, found))
    rows, columns = (tone.linear(GRID, size) for size in picture.shape[1:3])
    halo = noise.HALO
    part = compiled_part(picture[:, 4:36, 12:], found, rows[4:36], columns[12:])
    wanted = whole[:, 4 + halo : 36 - halo, 12 + halo :]
    np.testing.assert_allclose(part[:, halo:-halo, halo:], wanted, rtol=0, atol=tolerances.of_tone(found))


def test_each_pixel_alone_is_what_there_is_without_noise(picture):
    """Where nothing is smoothed, for little light is added, and where there is nothing to smooth."""
    alone = jax.jit(tone.each_alone)
    little = neutral()._replace(log2_rate=jnp.full((1, 1), 0.9 * noise.LEAST))
    np.testing.assert_allclose(alone(picture, little), render(picture, little), rtol=0, atol=tolerances.of_tone(little))
    found = random_tone()
    flat = np.broadcast_to(np.array([0.04, 0.02, 0.03], np.float32), picture.shape)
    wanted = np.asarray(alone(flat, found))
    bound = tolerances.of_tone(found) + (wanted / flat).max() * tolerances.guided(flat, noise.NOISE)
    np.testing.assert_allclose(render(flat, found), wanted, rtol=0, atol=bound)


def test_levels_have_their_own_curves():
    """A grid that brightens only dark levels leaves the lights alone, at the same place."""
    grid = jnp.zeros((1, GRID, GRID, KNOTS)).at[..., :2].set(2.0)
    low = np.full((1, 32, 32, 3), 0.05, np.float32)
    low[:, :, 16:] = 0.9
    out = np.asarray(render(low, neutral()._replace(grid=grid)))
    assert out[:, :, :16].mean() > 0.1
    np.testing.assert_allclose(out[:, :, 16:], 0.9, atol=1e-3)


def test_gradients_are_finite():
    low = jnp.zeros((1, 16, 16, 3)).at[:, :8].set(1.0)
    gradient = jax.jit(jax.grad(lambda found: tone.render(low, found).sum()))(random_tone())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
