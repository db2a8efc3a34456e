"""The network as an ONNX graph, written node by node.

Inside, tensors are NCHW, as ONNX has them; outside, input and output are (N,H,W,3) float32 like everywhere in this
package. Any batch, height and width of at least eight: the graph mirrors up to three rows and columns and cuts them
off again (as `padding` does). The L&G block is written once per repetition, its weights once.

In float16 weights and features are of half the size; input and output stay float32, and so does GFRM's gate: a mean
over all pixels does not fit into float16's range where a runtime sums in it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from smnet_jax.checkpoints.check import check
from smnet_jax.checkpoints.torch_layout import BLUR
from smnet_jax.checkpoints.trees import flatten
from smnet_jax.export.onnx_nodes import OPSET, Nodes, check_opset


def to_onnx(architecture: Any, params: Mapping[str, Any], *, opset: int = OPSET, half: bool = False) -> bytes:
    """Serialise the network with its weights: `low` (N,H,W,3) float32 in [0, 1] -> `high`, the same, not clipped.

    `architecture` is an `Architecture` or an `SMNet`; `params` its collection "params". `opset` is 17 to 23; `half`:
    weights and features in float16. The result has passed ONNX's checker. Raises InputError without the package onnx,
    for another opset, or where the parameters are not those of the architecture.
    """
    check_opset(opset)
    flat = flatten(params)
    check(flat, architecture)
    graph = _Graph(flat, architecture.variant, opset, half)
    graph.network(architecture.width, architecture.blocks)
    return graph.serialised(f"SMNet-{architecture.variant}-{architecture.width}")


class _Graph(Nodes):
    """The network, layer by layer; every method takes names of tensors and returns the name of its result."""

    def __init__(self, params: Mapping[str, np.ndarray], variant: str, opset: int = OPSET, half: bool = False) -> None:
        super().__init__(params, opset, np.float16 if half else np.float32)
        self.variant = variant

    # Layers, by the path of their parameters

    def prelu(self, x: str, path: str) -> str:
        return self.node("PRelu", [x, self.constant(f"{path}/slope", self.params[f"{path}/slope"].reshape(1, 1, 1))])

    def conv_act(self, x: str, conv: str, act: str) -> str:
        return self.prelu(self.conv(x, conv), act)

    def dense(self, x: str, path: str) -> str:
        """Always in float32."""
        return self.node("MatMul", [x, self.constant(f"{path}/kernel", self.params[f"{path}/kernel"], np.float32)])

    # Modules, as in `model`

    def fem(self, x: str, path: str) -> str:
        y = self.conv_act(x, f"{path}/conv1", f"{path}/act1")
        for name in ("reduce", "expand"):
            y = self.conv(y, f"{path}/{name}")
            if self.variant == "fivek":
                y = self.prelu(y, f"{path}/{name}_act")
        return self.node("Add", [self.conv_act(y, f"{path}/conv2", f"{path}/act2"), x])

    def down(self, x: str, path: str) -> str:
        x = self.conv_act(x, f"{path}/conv", f"{path}/act")
        channels = self.params[f"{path}/conv/kernel"].shape[3]
        x = self.node("Pad", [x, self.integers(0, 0, 1, 1, 0, 0, 1, 1)], mode="reflect")
        blur = self.constant(f"blur_{channels}", np.broadcast_to(BLUR, (channels, 1, 3, 3)))
        x = self.node("Conv", [x, blur], kernel_shape=[3, 3], strides=[2, 2], group=channels)
        return self.conv(x, f"{path}/expand")

    def up(self, x: str, path: str) -> str:
        kernel = self.constant(f"{path}/up/kernel", self.params[f"{path}/up/kernel"].transpose(2, 3, 0, 1))
        top = self.node(
            "ConvTranspose",
            [self.conv_act(x, f"{path}/conv", f"{path}/act1"), kernel],
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            output_padding=[1, 1],
        )
        top = self.conv(self.prelu(top, f"{path}/act2"), f"{path}/reduce")
        # The 1x1 convolution commutes with the upsampling and costs a quarter before it.
        bottom = self.node(
            "Resize",
            [self.conv(x, f"{path}/skip"), "", self.constant("twice", [1, 1, 2, 2], np.float32)],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        return self.node("Add", [top, bottom])

    def gfrm(self, z: str, path: str) -> str:
        s = self.node("Add", [self.squeeze_excite(z, pool, path) for pool in ("GlobalAveragePool", "GlobalMaxPool")])
        s = self.cast(self.node("Unsqueeze", [s, self.integers(2, 3)]), self.dtype)  # (N,3c,1,1)
        if self.variant == "lol":
            s = self.conv_act(s, f"{path}/gate", f"{path}/gate_act")
        scaled = self.node("Mul", [z, self.node("Add", [s, self.constant("one", [1])])])  # z * s + z, z read once
        return self.conv_act(scaled, f"{path}/out", f"{path}/out_act")

    def squeeze_excite(self, z: str, pool: str, path: str) -> str:
        if pool == "GlobalMaxPool":
            pooled = self.cast(self.node(pool, [z]), np.float32)
        else:
            pooled = self.node(pool, [self.cast(z, np.float32)])
        v = self.node("Flatten", [pooled])  # (N,3c)
        return self.node("Sigmoid", [self.dense(self.node("Relu", [self.dense(v, f"{path}/fc1")]), f"{path}/fc2")])

    def block(self, x: str) -> str:
        half = self.down(x, "block/down_full")
        q_up = self.up(self.fem(self.down(half, "block/down_half"), "block/fem_quarter"), "block/up_quarter")
        q_up_up = self.up(q_up, "block/up_half")
        h = self.fem(self.node("Add", [self.prelu(half, "block/act"), q_up]), "block/fem_half")
        h_up = self.up(h, "block/up_half")
        f = self.fem(self.node("Add", [self.prelu(x, "block/act"), h_up]), "block/fem_full")
        others = (h_up, q_up_up) if self.variant == "lol" else (q_up_up, h_up)
        z = self.node("Concat", [f, *others], axis=1)
        return self.node("Add", [self.conv(self.gfrm(z, "block/gfrm"), "block/fuse"), x])

    def network(self, width: int, blocks: int) -> None:
        low, size = self.padded("low")
        bright = self.reduce("Max", low, 1)
        x = self.conv_act(self.node("Concat", [low, bright], axis=1), "stem/conv", "stem/act")
        x = self.fem(x, "stem/fem")
        for _ in range(blocks):
            x = self.block(x)
        if self.variant == "lol":
            y = self.conv(self.prelu(x, "block/act"), "head/conv")
        else:
            y = self.conv_act(x, "head/conv", "head/act")
        y = self.conv(self.node("Add", [y, bright]), "head/out")
        y = self.node("Slice", [y, self.integers(0, 0), size, self.integers(2, 3)])
        self.node("Transpose", [self.cast(y, np.float32)], "high", perm=[0, 2, 3, 1])

    def padded(self, low: str) -> tuple[str, str]:
        """NHWC to NCHW with mirrored rows below and columns to the right; also the true height and width."""
        x = self.cast(self.node("Transpose", [low], perm=[0, 3, 1, 2]), self.dtype)
        size = self.node("Shape", [x], start=2)
        # -size mod 4, for a modulo that may or may not follow the divisor's sign
        short = self.node(
            "Mod", [self.node("Sub", [self.integers(4), self.node("Mod", [size, self.integers(4)])]), self.integers(4)]
        )
        amounts = self.node("Concat", [self.integers(0, 0, 0, 0, 0, 0), short], axis=0)
        return self.node("Pad", [x, amounts], mode="reflect"), size
