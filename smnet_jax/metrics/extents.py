"""Pictures smaller than their array: each in the upper left corner, so that one compiled program serves many sizes.

`sizes` are rows and columns of each picture, traced: (N, 2) for planes (..., N, H, W), and (N, 1, 2) for planes
(N, C, H, W). Where `sizes` is None, pictures fill their arrays, and everything is what it would be without this file.
What lies beyond a picture may be anything, also not a number; no result here depends on it.
"""

from typing import Literal

import jax
import jax.numpy as jnp

Sizes = jax.Array | None
Mode = Literal["edge", "reflect", "symmetric"]


def of_channels(sizes: Sizes) -> Sizes:
    """For planes (N, C, H, W): all channels of a picture are of one size."""
    return None if sizes is None else sizes[:, None]


def windows(sizes: Sizes, length: int, stride: int = 1) -> Sizes:
    """How many windows of `length` lie wholly inside, along rows and columns."""
    return None if sizes is None else (sizes - length) // stride + 1


def inside(planes: jax.Array, sizes: jax.Array) -> jax.Array:
    """Where the pictures are: bool, of as many axes as `planes`, and broadcasting to them."""
    rows, columns = sizes[..., 0, None, None], sizes[..., 1, None, None]
    height, width = planes.shape[-2:]
    ahead = (1,) * (rows.ndim - 2)
    mask = (jnp.arange(height).reshape(*ahead, height, 1) < rows) & (
        jnp.arange(width).reshape(*ahead, 1, width) < columns
    )
    return mask.reshape((1,) * (planes.ndim - mask.ndim) + mask.shape)


def within(planes: jax.Array, sizes: Sizes) -> jax.Array:
    """The planes with zeros beyond the pictures."""
    return planes if sizes is None else jnp.where(inside(planes, sizes), planes, 0)


def total(planes: jax.Array, sizes: Sizes) -> jax.Array:
    """Sum over each picture, (..., H, W) -> (...)."""
    return jnp.sum(within(planes, sizes), (-2, -1))


def mean(planes: jax.Array, sizes: Sizes) -> jax.Array:
    """Mean over each picture, (..., H, W) -> (...)."""
    if sizes is None:
        return jnp.mean(planes, (-2, -1))
    pixels = (sizes[..., 0] * sizes[..., 1]).astype(planes.dtype)
    return total(planes, sizes) / pixels.reshape((1,) * (planes.ndim - 2 - pixels.ndim) + pixels.shape)


def padded(planes: jax.Array, axis: int, amount: tuple[int, int], mode: Mode, sizes: Sizes) -> jax.Array:
    """`jnp.pad` of one axis, -2 or -1: the end of each picture, not of the array, is what is mirrored or repeated."""
    if sizes is None:
        return jnp.pad(planes, [amount if a == axis % planes.ndim else (0, 0) for a in range(planes.ndim)], mode=mode)
    length = planes.shape[axis]
    end = sizes[..., axis, None]  # (N, 1) or (N, 1, 1)
    place = jnp.arange(-amount[0], length + amount[1]).reshape((1,) * (end.ndim - 1) + (-1,))
    match mode:
        case "edge":
            index = jnp.clip(place, 0, end - 1)
        case "reflect":
            index = jnp.where(place < end, jnp.abs(place), 2 * end - 2 - place)
        case "symmetric":
            index = jnp.where(place < end, jnp.where(place < 0, -1 - place, place), 2 * end - 1 - place)
    index = jnp.expand_dims(jnp.clip(index, 0, length - 1), -1 if axis == -2 else -2)
    index = index.reshape((1,) * (planes.ndim - index.ndim) + index.shape)
    return jnp.take_along_axis(planes, index, axis, mode="clip")
