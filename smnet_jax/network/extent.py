"""Pictures smaller than their array, exactly: one compiled program then serves many sizes.

A program is compiled for one shape of array. A picture of another size lies in the upper left corner of it. The network
looks beyond a picture's lower and right edge in three ways only: 3x3 convolutions find zeros there, the bilinear
upsampling finds the last row and column again, and pooling stops. Each of these operations therefore asks here first,
and gets features whose values beyond the edge are what it must find. Whoever traces the network says once how large the
pictures are (`of`); where nobody did, pictures fill their arrays and nothing is done.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

_told: contextvars.ContextVar[tuple[int, int, jax.Array] | None] = contextvars.ContextVar("extent", default=None)


@contextlib.contextmanager
def of(height: int, width: int, sizes: jax.Array) -> Iterator[None]:
    """While the network is traced: arrays of `height` x `width` at full resolution hold N pictures of `sizes` (N,2).

    sizes: rows and columns of each, integers, multiples of 4; traced, so that one program takes all.
    """
    token = _told.set((height, width, sizes))
    try:
        yield
    finally:
        _told.reset(token)


def zero_beyond(x: jax.Array) -> jax.Array:
    """Features (N,h,w,C) of any resolution, zero where there is no picture."""
    return x if _told.get() is None else jnp.where(valid(x), x, 0)


def edge_beyond(x: jax.Array) -> jax.Array:
    """Features (N,h,w,C) with a picture's last row and column repeated once beyond it."""
    if _told.get() is None:
        return x
    for axis in (1, 2):
        place, end = _place_and_end(x, axis)
        previous = jnp.concatenate(
            [jax.lax.slice_in_dim(x, 0, 1, axis=axis), jax.lax.slice_in_dim(x, 0, -1, axis=axis)], axis
        )
        x = jnp.where(place == end, previous, x)
    return x


def mean_and_maximum(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and maximum over the picture, (N,h,w,C) -> two float32 (N,C)."""
    told = _told.get()
    if told is None:
        return jnp.mean(x, (1, 2), dtype=jnp.float32), jnp.max(x, (1, 2)).astype(jnp.float32)
    inside = valid(x)
    pixels = jnp.sum(inside, (1, 2), dtype=jnp.float32)
    total = jnp.sum(jnp.where(inside, x, 0), (1, 2), dtype=jnp.float32)
    return total / pixels, jnp.max(jnp.where(inside, x, -jnp.inf), (1, 2)).astype(jnp.float32)


def valid(x: jax.Array) -> jax.Array:
    """Where the picture is in features (N,h,w,C): bool (N,h,w,1)."""
    (row, rows), (column, columns) = _place_and_end(x, 1), _place_and_end(x, 2)
    return (row < rows) & (column < columns)


def _place_and_end(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """Along `axis`, each entry's number and each picture's length at x's resolution; they broadcast to x."""
    told = _told.get()
    assert told is not None
    length = x.shape[axis]
    place = jnp.arange(length).reshape([length if i == axis else 1 for i in range(4)])
    return place, (told[2][:, axis - 1] * length // told[axis - 1])[:, None, None, None]
