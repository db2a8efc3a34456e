"""The table of the published model's tensors: name, shape, place in our tree, and how the axes move.

It is read in both directions, and is also what our own parameters are checked against.
"""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLUR = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16

# Torch's axes in our order. OIHW -> HWIO; a transposed convolution is IOHW in torch; a dense layer is (out, in).
CONV, UP, DENSE, BIAS = (2, 3, 1, 0), (2, 3, 0, 1), (1, 0), (0,)
SLOPE = ()  # torch's PReLU has one slope of shape (1,), ours is a scalar


@dataclass(frozen=True)
class Entry:
    """One tensor of the published model."""

    name: str  # torch's, without module.
    shape: tuple[int, ...]  # torch's
    axes: tuple[int, ...]  # CONV, UP, DENSE, BIAS or SLOPE
    path: str | None  # ours, with slashes; None: not part of the computation
    fan_in: int = 0  # of a bias: its convolution's, which the bias's shape does not show

    @property
    def is_blur(self) -> bool:
        """A constant that torch keeps as a buffer."""
        return self.name.endswith(".filt")

    def ours(self, tensor: np.ndarray) -> np.ndarray:
        """Torch's tensor in our layout."""
        return np.ascontiguousarray(tensor.transpose(self.axes)) if self.axes else tensor.reshape(())

    def torchs(self, array: np.ndarray) -> np.ndarray:
        """Our array in torch's layout."""
        return np.ascontiguousarray(array.transpose(np.argsort(self.axes))) if self.axes else array.reshape(1)

    def initial(self) -> np.ndarray:
        """What torch would start from, the same on every call: for the tensors that nothing reads."""
        if self.is_blur:
            return np.broadcast_to(BLUR, self.shape).copy()
        if self.axes == SLOPE:
            return np.full(self.shape, 0.25, np.float32)
        bound = (self.fan_in or math.prod(self.shape[1:])) ** -0.5
        return np.random.default_rng(zlib.crc32(self.name.encode())).uniform(-bound, bound, self.shape).astype("f4")


def layout(variant: str, width: int) -> list[Entry]:
    """Every tensor of the published model, in its order; `width` is its `dim`."""
    c, fivek = width, variant == "fivek"
    gate = None if fivek else "block/gfrm/gate"
    squeezed = max(1, 3 * c // 16)
    head = (
        [*_conv("out_conv3", None, c, 4, 3), *_conv("out_conv4", "head/out", 4, 3, 1),
         *_conv_act("dim2four", "head/conv", c, 4, 3, act="head/act")]
        if fivek
        else [*_conv("out_conv3", "head/conv", c, 4, 3), *_conv("out_conv4", "head/out", 4, 3, 1)]
    )  # fmt: skip
    return [
        _slope("prelu", "block/act"),
        Entry("out_fushion.fc.0.weight", (squeezed, 3 * c), DENSE, "block/gfrm/fc1/kernel"),
        Entry("out_fushion.fc.2.weight", (3 * c, squeezed), DENSE, "block/gfrm/fc2/kernel"),
        *_conv_act("out_fushion.fusion", gate, 3 * c, 3 * c, 1),
        *_conv_act("out_fushion.outlayer", "block/gfrm/out", 3 * c, 3 * c, 1),
        *_conv("out_conv2", "block/fuse", 3 * c, c, 3),
        *head,
        *_conv_act("firstconv.0", "stem/conv", 4, c, 3, act="stem/act"),
        *_fem("firstconv.1", "stem/fem", c, fivek),
        *_down("downsample", "block/down_full", c),
        *_down("downsample2x", "block/down_half", 2 * c),
        *_up("upsample", None, c),
        *_up("upsample2x", "block/up_half", 2 * c),
        *_up("upsample4x", "block/up_quarter", 4 * c),
        *_fem("endecoder1x", "block/fem_full", c, fivek),
        *_fem("endecoder2x", "block/fem_half", 2 * c, fivek),
        *_fem("endecoder4x", "block/fem_quarter", 4 * c, fivek),
        *(_conv_act("fourto32", None, 4, 32, 3) if fivek else []),
        *(_conv_act("sanshierto64", None, 32, 64, 3) if fivek else []),
    ]


def _fem(name: str, path: str, k: int, fivek: bool) -> Iterator[Entry]:
    block = f"{name}.SGblock"
    squeezing = _conv_act if fivek else _conv
    yield _slope(f"{name}.prelu", None)
    yield from _conv_act(f"{block}.0", f"{path}/conv1", k, k, 3, act=f"{path}/act1")
    yield from squeezing(f"{block}.1", f"{path}/reduce", k, k // 4, 1)
    yield from squeezing(f"{block}.2", f"{path}/expand", k // 4, k, 1)
    yield from _conv_act(f"{block}.3", f"{path}/conv2", k, k, 3, act=f"{path}/act2")


def _down(name: str, path: str, k: int) -> Iterator[Entry]:
    block = f"{name}.residualdownsample"
    yield _slope(f"{block}.prelu", f"{path}/act")
    yield Entry(f"{block}.conv1.weight", (k, k, 3, 3), CONV, f"{path}/conv/kernel")
    yield Entry(f"{block}.downsamp.filt", (k, 1, 3, 3), CONV, None)
    yield Entry(f"{block}.conv2.weight", (2 * k, k, 1, 1), CONV, f"{path}/expand/kernel")


def _up(name: str, path: str | None, k: int) -> Iterator[Entry]:
    block = f"{name}.residualupsample"
    yield Entry(f"{block}.top.0.weight", (k, k, 1, 1), CONV, _in(path, "conv/kernel"))
    yield _slope(f"{block}.top.1", _in(path, "act1"))
    yield Entry(f"{block}.top.2.weight", (k, k, 3, 3), UP, _in(path, "up/kernel"))
    yield _slope(f"{block}.top.3", _in(path, "act2"))
    yield Entry(f"{block}.top.4.weight", (k // 2, k, 1, 1), CONV, _in(path, "reduce/kernel"))
    yield Entry(f"{block}.bot.1.weight", (k // 2, k, 1, 1), CONV, _in(path, "skip/kernel"))


def _conv(name: str, path: str | None, inputs: int, outputs: int, size: int) -> Iterator[Entry]:
    yield Entry(f"{name}.weight", (outputs, inputs, size, size), CONV, _in(path, "kernel"))
    yield Entry(f"{name}.bias", (outputs,), BIAS, _in(path, "bias"), fan_in=inputs * size**2)


def _conv_act(
    name: str, path: str | None, inputs: int, outputs: int, size: int, act: str | None = None
) -> Iterator[Entry]:
    """A convolution and its PReLU, which lies beside it: at `act`, or at the path with `_act` behind."""
    yield from _conv(f"{name}.conv", path, inputs, outputs, size)
    yield _slope(f"{name}.act", act or (path and f"{path}_act"))


def _slope(name: str, path: str | None) -> Entry:
    return Entry(f"{name}.weight", (1,), SLOPE, _in(path, "slope"))


def _in(path: str | None, name: str) -> str | None:
    return path and f"{path}/{name}"
