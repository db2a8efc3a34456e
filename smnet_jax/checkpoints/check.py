"""Whether arrays are the parameters of an architecture."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from smnet_jax.checkpoints.pickles import quoted
from smnet_jax.checkpoints.torch_layout import layout
from smnet_jax.errors import InputError


def check(params: Mapping[str, np.ndarray], architecture: Any, source: str = "parameters") -> None:
    """Raise InputError unless flat `params` are the architecture's: same paths, shapes, float32, finite."""
    expected = {}
    for entry in layout(architecture.variant, architecture.width):
        if entry.path:
            expected[entry.path] = tuple(entry.shape[axis] for axis in entry.axes)
    wrong = [f"unknown: {quoted(path)} {described(params[path])}" for path in params if path not in expected]
    for path, shape in expected.items():
        if path not in params:
            wrong.append(f"missing: {path} {shape}")
        elif params[path].shape != shape or params[path].dtype != np.float32:
            wrong.append(f"differs: {path} is {described(params[path])}, must be {shape} float32")
        elif not np.isfinite(params[path]).all():
            wrong.append(f"not finite: {path} holds NaN or infinity")
    if wrong:
        what = f"{len(wrong)} arrays differ from variant {architecture.variant} at width {architecture.width}"
        raise InputError("\n".join([f"{source}: {what}; give those of this variant and width", *wrong]))


def described(array: np.ndarray) -> str:
    """Shape and type of an array, for error messages."""
    return f"{array.shape} {array.dtype}"
