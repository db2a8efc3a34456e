"""SMNet's weights between PyTorch's names and ours, by one table that is read in both directions.

`layout(variant, width)` lists every tensor of the published model in the published order, with its shape, its place in
our tree, and how its axes move. A checkpoint must have exactly these tensors.
"""

import math
import statistics
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smnet_jax.checkpoints.pickles import quoted
from smnet_jax.errors import InputError

VARIANTS = ("lol", "fivek")
BLOCKS = 3  # the published network's; its blocks share their weights, so that no file shows their number
BLUR = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16

# Torch's axes in our order. OIHW -> HWIO; a transposed convolution is IOHW in torch; a dense layer is (out, in).
CONV, UP, DENSE, BIAS = (2, 3, 1, 0), (2, 3, 0, 1), (1, 0), (0,)
SLOPE = ()  # torch's PReLU has one slope of shape (1,), ours is a scalar


@dataclass(frozen=True)
class Architecture:
    """What a checkpoint is of. `SMNet` has the same fields, so that it can stand in for one."""

    variant: str = "lol"
    width: int = 64
    blocks: int = BLOCKS


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


@dataclass(frozen=True)
class Conversion:
    """The result of `convert`."""

    architecture: Architecture
    params: dict[str, Any]  # nested dict of float32 arrays, the collection "params" of `SMNet`
    dropped: tuple[str, ...]  # torch names of constants, checked
    unused: tuple[str, ...]  # torch names of parameters that the published code has and never reads

    @property
    def parameters(self) -> int:
        """How many numbers the network has."""
        return sum(array.size for array in flatten(self.params).values())


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


def recognise(state: Mapping[str, np.ndarray]) -> tuple[str, int]:
    """Variant and width of a torch state dict, also of one that is not quite right: the nearest."""
    variant = min(VARIANTS, key=lambda name: len({entry.name for entry in layout(name, 64)} ^ state.keys()))
    # Several tensors vote, so that one of a wrong shape is reported as such and does not condemn all others.
    widths = [
        state[name].shape[0]
        for name in ("firstconv.0.conv.bias", "out_conv2.bias", "endecoder1x.SGblock.0.conv.bias")
        if name in state and state[name].ndim == 1
    ]
    return variant, statistics.mode(widths) if widths else 64


def convert(state: Mapping[str, np.ndarray], *, blocks: int = BLOCKS, source: str = "state dict") -> Conversion:
    """Turn a torch state dict, as `torch_files.read_state_dict` gives it, into our parameters.

    Variant and width are read off the tensors. `blocks` cannot be: all blocks share one set of weights.
    Raises InputError, with every difference on a line of its own after the first, where a tensor is unknown, missing,
    of another shape or type, or not finite, or a blur buffer is not the published one. `source` begins the message.
    """
    variant, width = recognise(state)
    entries = {entry.name: entry for entry in layout(variant, width)}
    wrong = [f"unknown: {quoted(name)} {_form(state[name])}" for name in state if name not in entries]
    params: dict[str, np.ndarray] = {}
    for name, entry in entries.items():
        if name not in state:
            wrong.append(f"missing: {name} {entry.shape}")
        elif state[name].shape != entry.shape or state[name].dtype != np.float32:
            wrong.append(f"differs: {name} is {_form(state[name])}, must be {entry.shape} float32")
        elif not np.isfinite(state[name]).all():
            wrong.append(f"not finite: {name} holds NaN or infinity")
        elif entry.is_blur and not np.array_equal(state[name], entry.initial()):
            wrong.append(f"another blur: {name} is not [1 2 1] x [1 2 1] / 16, which is built into this network")
        elif entry.path:
            params[entry.path] = entry.ours(state[name])
    if width < 4 or width % 4:
        wrong.insert(0, f"width {width}: must be a positive multiple of 4")
    if wrong:
        known = sum(name in entries for name in state)
        likeness = (
            f"it is no SMNet checkpoint: it has {known} of the {len(entries)} tensors"
            if known < len(entries) // 2
            else f"{len(wrong)} of its tensors differ from SMNet's variant {variant} at width {width}"
        )
        raise InputError("\n".join([f"{source}: {likeness}; convert a state dict of the published model", *wrong]))
    return Conversion(
        Architecture(variant, width, blocks),
        unflatten(params),
        dropped=tuple(name for name, entry in entries.items() if entry.is_blur),
        unused=tuple(name for name, entry in entries.items() if not entry.is_blur and not entry.path),
    )


def to_torch(variables: Mapping[str, Any], architecture: Any) -> dict[str, np.ndarray]:
    """The state dict that the published code's `load_state_dict(strict=True)` accepts, names and order as published.

    `architecture` is an `Architecture` or an `SMNet`. Tensors that nothing reads get torch's initial values; fivek's
    names start with `module.`, as in the released file. `convert` of the result gives the same parameters, bit by bit.
    Raises InputError where the parameters are not those of the architecture.
    """
    params = flatten(variables["params"])
    check(params, architecture)
    prefix = "module." if architecture.variant == "fivek" else ""
    return {
        prefix + entry.name: entry.torchs(params[entry.path]) if entry.path else entry.initial()
        for entry in layout(architecture.variant, architecture.width)
    }


def check(params: Mapping[str, np.ndarray], architecture: Any, source: str = "parameters") -> None:
    """Raise InputError unless flat `params` are the architecture's: same paths, shapes, float32, finite."""
    expected = {}
    for entry in layout(architecture.variant, architecture.width):
        if entry.path:
            expected[entry.path] = tuple(entry.shape[axis] for axis in entry.axes)
    wrong = [f"unknown: {quoted(path)} {_form(params[path])}" for path in params if path not in expected]
    for path, shape in expected.items():
        if path not in params:
            wrong.append(f"missing: {path} {shape}")
        elif params[path].shape != shape or params[path].dtype != np.float32:
            wrong.append(f"differs: {path} is {_form(params[path])}, must be {shape} float32")
        elif not np.isfinite(params[path]).all():
            wrong.append(f"not finite: {path} holds NaN or infinity")
    if wrong:
        what = f"{len(wrong)} arrays differ from variant {architecture.variant} at width {architecture.width}"
        raise InputError("\n".join([f"{source}: {what}; give those of this variant and width", *wrong]))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Nested dicts of arrays as one dict by path, with slashes."""
    flat: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}/"))
        else:
            flat[prefix + name] = np.asarray(value)
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `flatten`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *folders, name = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return tree


def _form(array: np.ndarray) -> str:
    return f"{array.shape} {array.dtype}"
