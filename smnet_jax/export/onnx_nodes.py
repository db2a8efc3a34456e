"""Nodes of an ONNX graph as they are written one after another, and the file that they become."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smnet_jax.errors import InputError

if TYPE_CHECKING:
    import onnx

OPSET = 23  # ONNX Runtime 1.31 optimises up to here
OLDEST_OPSET = 17  # what TensorRT 8.5, OpenVINO 2022.3 and ONNX Runtime 1.12 read
Shape = list[str | int | None]
PICTURE: Shape = ["batch", "height", "width", 3]

AXES_ARE_INPUT = 18  # from this opset on, for ReduceMax, ReduceMin and ReduceMean


def check_opset(opset: int) -> None:
    """Raise InputError for an opset that the graphs cannot be written in, and without the package onnx."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise InputError("export: onnx is not installed; pip install 'smnet-jax[export]'") from error
    if not OLDEST_OPSET <= opset <= OPSET:
        raise InputError(f"--opset {opset}: must be {OLDEST_OPSET} to {OPSET}")


class Nodes:
    """Nodes in the order of computation, and the constants that they use; both go by name.

    params: the network's arrays by path. dtype: of the features, float32 or float16.
    """

    def __init__(self, params: Mapping[str, np.ndarray], opset: int = OPSET, dtype: Any = np.float32) -> None:
        self.params, self.opset, self.dtype = params, opset, dtype
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, operation: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Append an operation; the name of its result."""
        from onnx import helper

        output = output or f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Any, dtype: Any = None) -> str:
        """A tensor in the file, once; of the features' type where none is named. A number is a scalar."""
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.array(value, dtype or self.dtype, order="C"), name)
        return name

    def integers(self, *values: int) -> str:
        """A constant vector of int64."""
        return self.constant("int_" + "_".join(map(str, values)), values, np.int64)

    def cast(self, x: str, dtype: Any) -> str:
        """To another type; in float32 throughout there is none."""
        from onnx import helper

        if self.dtype == np.float32:
            return x
        return self.node("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reduce(self, operation: str, x: str, *axes: int, keep: bool = True) -> str:
        """`ReduceSum` and the like over axes."""
        if self.opset < AXES_ARE_INPUT and operation != "Sum":
            return self.node(f"Reduce{operation}", [x], axes=axes, keepdims=int(keep))
        return self.node(f"Reduce{operation}", [x, self.integers(*axes)], keepdims=int(keep))

    def conv(self, x: str, path: str, dilation: int = 1) -> str:
        """A convolution by the path of its parameters, 3x3 with zero padding or 1x1."""
        kernel = self.params[f"{path}/kernel"]
        inputs = [x, self.constant(f"{path}/kernel", kernel.transpose(3, 2, 0, 1))]
        if f"{path}/bias" in self.params:
            inputs.append(self.constant(f"{path}/bias", self.params[f"{path}/bias"]))
        pad = kernel.shape[0] // 2 * dilation
        return self.node("Conv", inputs, kernel_shape=kernel.shape[:2], pads=[pad] * 4, dilations=[dilation] * 2)

    def serialised(
        self, title: str, inputs: Mapping[str, Shape] | None = None, outputs: Mapping[str, Shape] | None = None
    ) -> bytes:
        """The graph as a file that has passed ONNX's checker.

        inputs, outputs: name -> shape, all float32; `low` and `high`, pictures (N,H,W,3), if None.
        """
        import onnx
        from onnx import TensorProto, helper

        taken, given = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
            for side in (inputs or {"low": PICTURE}, outputs or {"high": PICTURE})
        )
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(
            helper.make_graph(self.nodes, title, taken, given, initializer=list(self.constants.values())),
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),  # older runtimes refuse newer ones
            producer_name="smnet-jax",
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
