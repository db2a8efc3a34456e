"""The network against the published implementation: every stored feature, by every implementation."""

import jax
import pytest

from smnet_jax.checkpoints.weights import load
from tests.support import tolerances
from tests.support.golden_case import relative_error

OPTIMISED = True


def golden_features(features: dict) -> dict:
    """Our recorded features under the golden names: `stem`, `block{1,2,3}/{half,...}`."""
    named = {"stem": features["stem_features"][0]}
    for name, calls in features["block"].items():
        if name.endswith("_features"):
            named |= {f"block{i + 1}/{name.removesuffix('_features')}": value for i, value in enumerate(calls)}
    return named


def errors_by_tap(golden_case, implementation) -> dict[str, float]:
    """How far the features and outputs of the case are from the published ones; the small picture's as it is enhanced,
    with the block compiled once."""
    expected = golden_case.arrays("forward")
    model, variables = load(golden_case.checkpoint, implementation=implementation, precision="highest")
    assert (model.variant, model.width) == (golden_case.variant, golden_case.width)
    run = jax.jit(lambda v, low: model.apply(v, low, outputs="all", mutable=["intermediates"]))
    outputs, recorded = run(variables, expected.pop("low"))
    ours = golden_features(recorded["intermediates"])
    ours |= {"output": outputs[0], "output_block2": outputs[1], "output_block1": outputs[2]}
    ours["output_small"] = jax.jit(model.clone(scan=True).apply)(variables, expected.pop("low_small"))
    return {name: relative_error(ours[name], value) for name, value in expected.items()}


@pytest.mark.parametrize("implementation", ["reference", "gpu", "cpu", "tpu"])
def test_every_tap_equals_the_published_one(golden_case, implementation):
    errors = errors_by_tap(golden_case, implementation)
    assert max(errors.values()) < tolerances.forward(golden_case.variant, golden_case.width), errors
