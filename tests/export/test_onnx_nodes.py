"""Nodes and constants of a graph, and the opsets that they can be written in."""

import numpy as np
import onnx
import onnxruntime
import pytest

from smnet_jax.errors import InputError
from smnet_jax.export.onnx_nodes import AXES_ARE_INPUT, OLDEST_OPSET, OPSET, Nodes, Shape, check_opset


@pytest.mark.parametrize("opset", [16, 24])
def test_opsets_that_cannot_be_written_are_refused(opset):
    with pytest.raises(InputError, match=f"--opset {opset}: must be 17 to 23"):
        check_opset(opset)


def test_constants_are_in_the_file_once():
    nodes = Nodes({})
    assert nodes.constant("half", 0.5) == nodes.constant("half", 0.5) == "half"
    assert nodes.integers(1, 2) == nodes.integers(1, 2)
    assert len(nodes.constants) == 2


@pytest.mark.parametrize("opset", [OLDEST_OPSET, AXES_ARE_INPUT, OPSET])
def test_reductions_compute_the_same_in_every_opset(opset, rng):
    """Axes are an attribute before, an input afterwards."""
    nodes = Nodes({}, opset)
    total = nodes.reduce("Sum", nodes.reduce("Max", "low", 1), 2)
    nodes.node("Identity", [total], "high")
    shape: Shape = ["batch", 1, 1, 3]
    data = nodes.serialised("reductions", outputs={"high": shape})
    low = rng.random((2, 4, 5, 3), np.float32)
    (high,) = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"low": low})
    np.testing.assert_allclose(high, low.max(1, keepdims=True).sum(2, keepdims=True), rtol=1e-6)
    assert [o.version for o in onnx.load_model_from_string(data).opset_import] == [opset]
