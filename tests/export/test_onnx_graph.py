"""The ONNX file computes what the published implementation computed, and so does what its checker and runtime say."""

import numpy as np
import onnx
import onnxruntime
import pytest

from smnet_jax.checkpoints import torch_names, weights
from smnet_jax.errors import InputError
from smnet_jax.export.onnx_graph import OPSET, to_onnx
from tests.support import tolerances
from tests.support.golden_case import VARIANTS, relative_error


def session(architecture, params):
    return onnxruntime.InferenceSession(to_onnx(architecture, params), providers=["CPUExecutionProvider"])


def test_published_numbers_at_two_sizes(golden_case):
    found = weights.read(golden_case.checkpoint)
    run, expected = session(found.architecture, found.params), golden_case.arrays("forward")
    bound = tolerances.forward(golden_case.variant, golden_case.width)
    for low, output in (("low", "output"), ("low_small", "output_small")):
        assert relative_error(run.run(["high"], {"low": expected[low]})[0], expected[output]) < bound


def test_the_blocks_share_their_weights(fixtures):
    """The file grows by nodes, not by weights, and its result changes."""
    found = weights.read(fixtures / "golden/lol_dim8.pth")
    one, three = (to_onnx(weights.Architecture("lol", 8, blocks), found.params) for blocks in (1, 3))
    parameters = 4 * sum(array.size for array in torch_names.flatten(found.params).values())
    assert len(three) - len(one) < parameters / 4 < len(one)


@pytest.mark.parametrize("variant", VARIANTS)
def test_opset_and_signature(fixtures, variant):
    found = weights.read(fixtures / f"golden/{variant}_dim8.pth")
    model = onnx.load_model_from_string(to_onnx(found.architecture, found.params))
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    dims = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input]
    assert dims == [["batch", "height", "width", 3]]
    assert not model.metadata_props and "/" not in model.producer_version  # nothing of this machine


def test_the_same_weights_give_the_same_bytes(fixtures):
    found = weights.read(fixtures / "golden/lol_dim8.pth")
    assert to_onnx(found.architecture, found.params) == to_onnx(found.architecture, found.params)


def test_foreign_parameters_are_refused(fixtures):
    found = weights.read(fixtures / "golden/lol_dim8.pth")
    with pytest.raises(InputError, match="differ"):
        to_onnx(weights.Architecture("fivek", 8), found.params)


def test_pictures_of_a_batch_do_not_mix(fixtures, rng):
    found = weights.read(fixtures / "golden/fivek_dim8.pth")
    run = session(found.architecture, found.params)
    low = rng.uniform(0, 1, (2, 13, 22, 3)).astype(np.float32)
    both = run.run(None, {"low": low})[0]
    assert both.shape == low.shape
    np.testing.assert_allclose(both[1:], run.run(None, {"low": low[1:]})[0], atol=1e-6)
