import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network import tpu
from smnet_jax.network.halo import AFTER, BEFORE
from smnet_jax.network.tpu.strips import Strips, choose
from tests.support import tolerances
from tests.support.golden_case import relative_error
from tests.support.networks import network


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("height", [204, 212, 400])
def test_strips_give_every_row_once_and_see_enough(height, count):
    cut = Strips(height, count)
    assert [row for span in cut.spans for row in range(span.first, span.last)] == list(range(height))
    for span in cut.spans:
        assert span.size == cut.rows and span.start % 4 == 0 and 0 <= span.start <= height - span.size
        assert span.start == 0 or span.first - span.start >= BEFORE
        assert span.start + span.size == height or span.start + span.size - span.last >= AFTER


@pytest.mark.parametrize("count", [2, 3])
def test_cutting_and_joining(rng, count):
    cut = Strips(208, count)
    pictures = jnp.asarray(rng.normal(size=(3, 208, 5, 2)), jnp.float32)
    strips = cut.split(pictures)
    assert strips.shape == (3 * count, cut.rows, 5, 2)
    np.testing.assert_array_equal(cut.join(strips), pictures)
    for ours, expected in zip(cut.mean_and_maximum(strips), (pictures.mean((1, 2)), pictures.max((1, 2))), strict=True):
        np.testing.assert_allclose(
            ours, expected, rtol=0, atol=tolerances.summed(208 * 5, jnp.abs(pictures).mean((1, 2)))
        )
    spoilt = np.array(strips)
    for i, span in enumerate(cut.spans * 3):
        given = np.zeros(cut.rows, bool)
        given[span.interior_in_tile] = True
        spoilt[i, ~given] = np.nan
    np.testing.assert_array_equal(cut.exchange_halos(jnp.asarray(spoilt)), strips)
    mean, maximum = cut.mean_and_maximum(jnp.asarray(spoilt))
    assert np.isfinite(mean).all() and np.isfinite(maximum).all()


@pytest.fixture(scope="module", params=["lol", "fivek"])
def defined(request):
    """(variant, pictures, what the definition makes of them whole)."""
    model, variables = network(request.param, "reference")
    low = np.random.default_rng(0).random((2, 212, 12, 3), np.float32)
    whole = jax.jit(model.clone(blocks=2).apply)(variables, low)
    assert relative_error(whole[:1], whole[1:]) > 1e-2  # pictures that get each other's gate would be seen
    return request.param, low, whole


@pytest.mark.parametrize(("count", "scan"), [(2, True), (3, False)])
@pytest.mark.parametrize("implementation", ["reference", "gpu", "cpu", "tpu"])
def test_the_network_in_strips_is_the_network(defined, implementation, count, scan):
    variant, low, whole = defined
    model, variables = network(variant, implementation)
    strips = jax.jit(model.clone(blocks=2, strips=count, scan=scan).apply)(variables, low)
    assert relative_error(strips, whole) < tolerances.forward(variant, 8, 2)


@pytest.mark.parametrize("implementation", ["gpu", "tpu"])
def test_a_block_takes_what_others_give_from_them(rng, implementation):
    """A block spoils the rows of a strip that others give; here they are NaN before it."""
    model, variables = network("lol", implementation)
    cut = Strips(120, 2)
    low = jnp.asarray(rng.random((1, 120, 12, 3)), jnp.float32)
    strips = cut.split(jax.jit(lambda low: model.apply(variables, low, method="embed"))(low))
    if implementation == "tpu":
        strips = tpu.pack(strips)
    spoilt = np.array(strips)
    spoilt[0, cut.spans[0].last :] = spoilt[1, :BEFORE] = np.nan

    @jax.jit
    def through(strips):
        return cut.join(model.apply(variables, strips, method=lambda net, x: cut.through(net.block, x)))

    np.testing.assert_array_equal(through(strips), through(spoilt))


def test_all_outputs_come_in_strips_too(rng):
    model, variables = network("fivek")
    low = jnp.asarray(rng.random((1, 120, 12, 3)), jnp.float32)
    whole, strips = (
        jax.jit(lambda v, x, net=net: net.apply(v, x, outputs="all"))(variables, low)
        for net in (model, model.clone(strips=2))
    )
    assert len(strips) == len(whole) == 3
    assert max(relative_error(a, b) for a, b in zip(strips, whole, strict=True)) < tolerances.forward("fivek", 8)


def test_too_few_rows_are_refused():
    model, variables = network("lol")
    with pytest.raises(ValueError, match="104 rows cannot be cut into 2 strips"):
        model.clone(strips=2).apply(variables, jnp.zeros((1, 104, 8, 3)))
    with pytest.raises(ValueError, match="0 strips"):
        Strips(400, 0)


def test_only_tpus_are_filled_and_only_where_it_pays():
    assert choose(4, 400) == choose(4, 400, "cpu") == choose(4, 400, "gpu") == 1
    assert {batch: choose(batch, 400, "tpu") for batch in (1, 2, 4, 6, 8, 12, 16)} == {
        1: 8,
        2: 4,
        4: 2,
        6: 4,
        8: 1,
        12: 2,
        16: 1,
    }
    assert choose(1, 1280, "tpu") == 8
    assert choose(1, 300, "tpu") == 1  # eight strips would mostly be what they see beyond their own rows
    assert choose(4, 64, "tpu") == 1


def test_inference_is_made_from_any_model():
    model, variables = network("lol")
    best = model.clone(remat=True, implementation="auto").for_inference(4, 400, "tpu")
    assert (best.implementation, best.strips, best.scan, best.remat) == ("tpu", 2, True, False)
    assert model.for_inference(4, 400).strips == 1
    assert model.for_inference(4, 400).implementation == model.implementation
    shapes = jax.eval_shape(best.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, variables)
