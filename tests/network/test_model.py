"""The network against the published implementation, and its own promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.checkpoints.weights import load
from smnet_jax.network.definition import statistics
from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet
from tests.support import tolerances
from tests.support.golden_case import relative_error


def golden_features(features: dict) -> dict:
    """Our recorded features under the golden names: `stem`, `block{1,2,3}/{half,...}`."""
    named = {"stem": features["stem_features"][0]}
    for name, calls in features["block"].items():
        if name.endswith("_features"):
            named |= {f"block{i + 1}/{name.removesuffix('_features')}": value for i, value in enumerate(calls)}
    return named


def errors_by_tap(golden_case, implementation) -> dict[str, float]:
    """How far the features and outputs of the case are from the published ones."""
    expected = golden_case.arrays("forward")
    model, variables = load(golden_case.checkpoint, implementation=implementation, precision="highest")
    assert (model.variant, model.width) == (golden_case.variant, golden_case.width)
    run = jax.jit(lambda low: model.apply(variables, low, outputs="all", mutable=["intermediates"]))
    outputs, recorded = run(expected.pop("low"))
    ours = golden_features(recorded["intermediates"])
    ours |= {"output": outputs[0], "output_block2": outputs[1], "output_block1": outputs[2]}
    ours["output_small"] = jax.jit(model.apply)(variables, expected.pop("low_small"))
    return {name: relative_error(ours[name], value) for name, value in expected.items()}


@pytest.mark.parametrize("implementation", ["reference", "gpu", "cpu", "tpu"])
def test_every_tap_equals_the_published_one(golden_case, implementation):
    errors = errors_by_tap(golden_case, implementation)
    assert max(errors.values()) < tolerances.forward(golden_case.variant, golden_case.width), errors


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


@pytest.mark.parametrize("implementation", ["cpu", "tpu"])
def test_the_pieces_make_the_whole(small, implementation):
    model, variables, low = small
    model = model.clone(implementation=implementation)
    x = model.apply(variables, low, method="embed")
    for _ in range(model.blocks):
        z = model.apply(variables, x, method="local")
        s = model.apply(variables, *statistics(z), method="gate")
        x = model.apply(variables, z, s, x, method="recalibrate")
    pieces = model.apply(variables, x, low, method="decode")
    np.testing.assert_allclose(pieces, model.apply(variables, low), atol=1e-6)


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
    apply = jax.jit(model.apply)
    np.testing.assert_allclose(apply(variables, low)[1:], apply(variables, low[1:]), atol=1e-6)


def test_remat_changes_memory_not_results(small):
    model, variables, low = small

    def gradient(remat):
        net = model.clone(remat=remat, blocks=1)
        return jax.jit(jax.grad(lambda v: jnp.sum(net.apply(v, low) ** 2)))(variables)

    plain, remat = gradient(False), gradient(True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), plain, remat)


def test_packed_form_has_the_same_gradients(small):
    model, variables, low = small
    model = model.clone(blocks=1, precision="highest")

    def gradient(implementation):
        net = model.clone(implementation=implementation)
        return jax.jit(jax.grad(lambda v: jnp.sum(jnp.sin(3 * net.apply(v, low)))))(variables)

    plain, packed = gradient("cpu"), gradient("tpu")
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * scale), packed, plain)


@pytest.mark.parametrize("implementation", ["cpu", "tpu"])
def test_scan_changes_the_program_not_results(small, implementation):
    model, variables, low = small
    model = model.clone(implementation=implementation)
    scanned = jax.jit(model.clone(scan=True).apply)
    np.testing.assert_allclose(scanned(variables, low), jax.jit(model.apply)(variables, low), atol=1e-6)
    assert "while" in scanned.lower(variables, low).as_text()
    jax.tree.map(np.testing.assert_array_equal, initialise(model.clone(scan=True), 0), initialise(model, 0))


def test_bfloat16_stays_close_and_returns_float32(small):
    model, variables, low = small
    exact = model.apply(variables, low)
    rounded = model.clone(dtype=jnp.bfloat16).apply(variables, low)
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
