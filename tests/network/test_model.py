"""The network's own promises; `test_published` compares it with the published implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet
from tests.support import tolerances
from tests.support.golden_case import relative_error


@pytest.mark.parametrize(("variant", "count"), [("lol", 2_989_221), ("fivek", 2_952_173)])
def test_only_used_parameters_exist(variant, count):
    shapes = jax.eval_shape(SMNet(variant=variant).init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    assert set(shapes) == {"params"}
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


@pytest.fixture(scope="module", params=["lol", "fivek"])
def small(request):
    model = SMNet(variant=request.param, width=8, blocks=2)
    low = jax.random.uniform(jax.random.key(1), (2, 16, 20, 3))
    return model, initialise(model, 0), low


def test_every_parameter_matters(small):
    """A parameter without a gradient would be dead weight, or a layer that was forgotten."""
    model = small[0].clone(blocks=1, width=32)  # wide enough that GFRM's few ReLUs are not all off
    low = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))  # both signs, for the PReLUs' sake
    variables = initialise(model, 0)
    gradients = jax.jit(jax.grad(lambda v: jnp.sum(jnp.sin(model.apply(v, low)))))(variables)
    dead = [jax.tree_util.keystr(path) for path, g in jax.tree.leaves_with_path(gradients) if not jnp.any(g)]
    assert not dead


def test_pictures_of_a_batch_do_not_mix(small):
    model, variables, low = small
    model = model.clone(blocks=1)
    apply = jax.jit(model.apply)
    error = relative_error(apply(variables, low)[1:], apply(variables, low[1:]))
    assert error < tolerances.forward(model.variant, model.width, model.blocks)


def test_scan_changes_the_program_and_not_the_parameters(small):
    model, variables, low = small
    assert "while" in jax.jit(model.clone(scan=True).apply).lower(variables, low).as_text()
    jax.tree.map(np.testing.assert_array_equal, initialise(model.clone(scan=True), 0), initialise(model, 0))


def test_bfloat16_stays_close_and_returns_float32(small):
    model, variables, low = small
    exact, rounded = (jax.jit(net.apply)(variables, low) for net in (model, model.clone(dtype=jnp.bfloat16)))
    assert rounded.dtype == jnp.float32
    assert 1e-6 < relative_error(rounded, exact) < 0.03  # eight bits of mantissa through some sixty layers


@pytest.mark.parametrize("shape", [(8, 8, 3), (1, 8, 10, 3), (1, 8, 8, 4)])
def test_wrong_input_is_refused(small, shape):
    model, variables, _ = small
    with pytest.raises(ValueError, match="multiples of 4"):
        model.apply(variables, jnp.zeros(shape))


def test_integers_are_refused_when_traced(small):
    model, variables, _ = small
    with pytest.raises(ValueError, match=r"uint8.*divide 8-bit values by 255"):
        jax.eval_shape(model.apply, variables, jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.uint8))


@pytest.mark.parametrize("fields", [{"variant": "lal"}, {"width": 6}, {"implementation": "fast"}])
def test_unknown_fields_are_refused(fields):
    with pytest.raises(ValueError, match=str(next(iter(fields.values())))):
        SMNet(**fields).init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
