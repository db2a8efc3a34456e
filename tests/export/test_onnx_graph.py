"""The ONNX file computes what the published implementation computed, and so does what its checker and runtime say."""

import numpy as np
import onnx
import onnxruntime
import pytest

from smnet_jax.checkpoints import trees, weights
from smnet_jax.errors import InputError
from smnet_jax.export.onnx_graph import to_onnx
from smnet_jax.export.onnx_nodes import OPSET
from tests.support import tolerances
from tests.support.golden_case import VARIANTS, relative_error


def session(architecture, params, **options):
    return onnxruntime.InferenceSession(to_onnx(architecture, params, **options), providers=["CPUExecutionProvider"])


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
    parameters = 4 * sum(array.size for array in trees.flatten(found.params).values())
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


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("opset", [17, 18, 20])
def test_older_opsets_compute_the_same(fixtures, rng, variant, opset):
    found = weights.read(fixtures / f"golden/{variant}_dim8.pth")
    model = onnx.load_model_from_string(to_onnx(found.architecture, found.params, opset=opset))
    assert [o.version for o in model.opset_import] == [opset]
    assert model.ir_version == (8 if opset < 19 else 9)  # what runtimes of that time read
    low = rng.uniform(0, 1, (1, 21, 34, 3)).astype(np.float32)
    older, newest = (
        session(found.architecture, found.params, opset=o).run(None, {"low": low})[0] for o in (opset, OPSET)
    )
    np.testing.assert_allclose(older, newest, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_float16_is_half_as_large_and_close(fixtures, rng, variant):
    """Within a quarter of an 8-bit level at the largest value; measured 5.3e-4 of it."""
    found = weights.read(fixtures / f"golden/{variant}_dim8.pth")
    low = rng.uniform(0, 1, (1, 21, 34, 3)).astype(np.float32)
    full, half = (
        session(found.architecture, found.params, half=half).run(None, {"low": low})[0] for half in (False, True)
    )
    assert half.dtype == np.float32
    assert 1e-6 < relative_error(half, full) < 1e-3
    files = [to_onnx(found.architecture, found.params, half=half) for half in (False, True)]
    assert len(files[1]) < 0.6 * len(files[0])


def test_in_float16_the_mean_over_the_picture_is_taken_in_float32(fixtures):
    """2,500 pixels of features around 30 sum to more than float16 holds."""
    found = weights.read(fixtures / "golden/lol_dim8.pth")
    model = onnx.load_model_from_string(to_onnx(found.architecture, found.params, half=True))
    casts = {node.output[0]: node for node in model.graph.node if node.op_type == "Cast"}
    means = [node for node in model.graph.node if node.op_type == "GlobalAveragePool"]
    assert means and all(casts[node.input[0]].attribute[0].i == onnx.TensorProto.FLOAT for node in means)
