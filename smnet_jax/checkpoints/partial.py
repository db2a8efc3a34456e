"""What of somebody's weights fits into a network: by name and shape, the rest left out and named."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smnet_jax.checkpoints import formats, torch_layout, torch_names, trees, weights
from smnet_jax.errors import InputError

TOLD = 12  # names in one line; a network has about 70


def fill(params: Mapping[str, Any], architecture: Any, source: str | os.PathLike[str]) -> tuple[dict[str, Any], str]:
    """`params` with every array of `source` that fits put in its place; and in words how many, and what was left.

    `params` are those of `architecture` (an `Architecture` or an `SMNet`), which the weights need not be of. A
    checkpoint file may have tensors too many and too few. Raises InputError where it cannot be read or nothing fits.
    """
    ours = trees.flatten(params)
    given, unused = _given(source, architecture)
    taken = {path: array for path, array in given.items() if path in ours and np.shape(ours[path]) == array.shape}
    if not taken:
        raise InputError(f"{source}: none of its arrays fits into {architecture.variant}, width {architecture.width}")
    kept = [
        f"{path} {np.shape(array)}" + (f", there {given[path].shape}" if path in given else ", not there")
        for path, array in ours.items()
        if path not in taken
    ]
    told = f"{source}: {len(taken)} of {len(ours)} arrays taken"
    told += f"; left as they begin: {_listed(kept)}" if kept else ""
    unused += [path for path in given if path not in ours]
    told += f"; not used: {_listed(unused)}" if unused else ""
    return trees.unflatten({**ours, **taken}), told


def _given(source: str | os.PathLike[str], architecture: Any) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays by our paths, and names of the file that are nobody's."""
    if not Path(source).is_file():
        return trees.flatten(weights.read(source).params), []
    state = formats.read(Path(source)).state
    try:
        variant, width = torch_names.recognise(state)
    except InputError:
        variant, width = architecture.variant, architecture.width
    entries = {entry.name: entry for entry in torch_layout.layout(variant, width)}
    given: dict[str, np.ndarray] = {}
    for name, entry in entries.items():
        array = state.get(name)
        if entry.path is None or array is None or array.ndim != len(entry.shape) or array.dtype != np.float32:
            continue
        if not np.isfinite(array).all():
            raise InputError(f"{source}: {name} holds NaN or infinity; choose another checkpoint")
        given[entry.path] = entry.ours(array) if array.shape == entry.shape else array.transpose(entry.axes or None)
    return given, [f"{torch_names.quoted(name)} {state[name].shape}" for name in state if name not in entries]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return "; ".join(names[:TOLD]) + more
