"""Linear resampling along one axis as a matrix."""

from typing import Any

import numpy as np


def linear(size: int, new_size: int, xp: Any = np) -> Any:
    """The matrix (new_size, size), float32, that resamples an axis linearly, with antialiasing where it shrinks.

    Pixel centres lie at half-integers and edges are clamped, as in `jax.image.resize(..., "linear")` and Pillow's
    BILINEAR. `xp` is numpy or jax.numpy: the same matrix, computed on the host or inside a program.
    """
    scale = size / new_size
    support = max(scale, 1.0)
    centre = (xp.arange(new_size, dtype="float32") + 0.5) * scale - 0.5
    distance = xp.abs(centre[:, None] - xp.arange(size, dtype="float32")[None]) / support
    weights = xp.maximum(0, 1 - distance)
    return (weights / weights.sum(1, keepdims=True)).astype("float32")
