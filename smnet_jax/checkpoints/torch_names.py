"""SMNet's weights between PyTorch's names and ours, by the one table of `torch_layout`.

A checkpoint must have exactly the tensors of the table.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smnet_jax.checkpoints.architecture import BLOCKS, VARIANTS, Architecture
from smnet_jax.checkpoints.check import check, described
from smnet_jax.checkpoints.pickles import quoted
from smnet_jax.checkpoints.torch_layout import layout
from smnet_jax.checkpoints.trees import flatten, unflatten
from smnet_jax.errors import InputError


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
    """Turn a torch state dict, as `formats.read_state_dict` gives it, into our parameters.

    Variant and width are read off the tensors. `blocks` cannot be: all blocks share one set of weights.
    Raises InputError, with every difference on a line of its own after the first, where a tensor is unknown, missing,
    of another shape or type, or not finite, or a blur buffer is not the published one. `source` begins the message.
    """
    variant, width = recognise(state)
    entries = {entry.name: entry for entry in layout(variant, width)}
    wrong = [f"unknown: {quoted(name)} {described(state[name])}" for name in state if name not in entries]
    params: dict[str, np.ndarray] = {}
    for name, entry in entries.items():
        if name not in state:
            wrong.append(f"missing: {name} {entry.shape}")
        elif state[name].shape != entry.shape or state[name].dtype != np.float32:
            wrong.append(f"differs: {name} is {described(state[name])}, must be {entry.shape} float32")
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
