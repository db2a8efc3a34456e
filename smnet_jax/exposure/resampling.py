"""Linear resampling along one axis as a matrix."""

from typing import Any

import jax
import jax.numpy as jnp
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


def from_part(first: jax.Array, count: jax.Array, size: int, new_size: int) -> jax.Array:
    """`linear(count, new_size)` of the pixels from `first` on, on an axis of `size`; all others count nothing.

    `first` and `count`, (N,) int32, are known when the program runs -> (N, new_size, size), float32.
    """
    place, counted = _places(first, count, size)
    scale = count.astype(jnp.float32) / new_size
    return _weights(jnp.arange(new_size, dtype=jnp.float32)[None], scale, place, counted[:, None])


def to_part(old_size: int, first: jax.Array, count: jax.Array, size: int) -> jax.Array:
    """`linear(old_size, count)` onto the pixels from `first` on, on an axis of `size`; all others get nothing.

    `first` and `count`, (N,) int32, are known when the program runs -> (N, size, old_size), float32.
    """
    place, counted = _places(first, count, size)
    scale = old_size / count.astype(jnp.float32)
    return _weights(place, scale, jnp.arange(old_size, dtype=jnp.float32)[None], counted[:, :, None])


def _places(first: jax.Array, count: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """Where each of `size` pixels lies in the part, float32, and whether it does: (N,size) both."""
    place = jnp.arange(size, dtype=jnp.int32)[None] - first[:, None]
    return place.astype(jnp.float32), (place >= 0) & (place < count[:, None])


def _weights(new: jax.Array, scale: jax.Array, old: jax.Array, counted: jax.Array) -> jax.Array:
    """`new` (1 or N,new_size), `scale` (N,), `old` (1 or N,size) -> (N,new_size,size), as in `linear`."""
    centre = (new + 0.5) * scale[:, None] - 0.5
    support = jnp.maximum(scale, 1)[:, None, None]
    weights = jnp.where(counted, jnp.maximum(0, 1 - jnp.abs(centre[:, :, None] - old[:, None]) / support), 0)
    return weights / jnp.maximum(weights.sum(2, keepdims=True), 1e-9)
