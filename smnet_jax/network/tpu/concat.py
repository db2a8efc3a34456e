"""The features of all scales, concatenated as pairs in odd phase, and their statistics."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.network.layers import total_and_maximum
from smnet_jax.network.tpu.lane_packing import masked, valid_mask
from smnet_jax.network.tpu.strips import Strips


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def place(z: jax.Array, part: jax.Array, at: int) -> tuple[jax.Array, jax.Array]:
    """z (N,H,W,C) with `part` (N,H,W,c) from channel `at` on, and that part of it. What was there must be
    uninitialised.

    Convolutions write directly into z: features are concatenated without a pass over them. For the gradient z and the
    part are two values.
    """
    z = lax.dynamic_update_slice_in_dim(z, part, at, 3)
    return z, lax.slice_in_dim(z, at, at + part.shape[3], axis=3)


def _place_forward(z: jax.Array, part: jax.Array, at: int) -> Any:
    return place(z, part, at), part.shape[3]


def place_backward(at: int, size: int, g: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The gradients of z and of the part, of `size` channels, from those of what `place` gives."""
    return g[0], lax.slice_in_dim(g[0], at, at + size, axis=3) + g[1]


place.defvjp(_place_forward, place_backward)


def statistics(z: jax.Array, parts: tuple[jax.Array, ...], cut: Strips | None = None) -> tuple[jax.Array, jax.Array]:
    """Mean and maximum over the picture of the features of three scales, pairs in odd phase z (N,H,W/2+1,6c) -> two
    float32 (N,3c). With `cut`, z holds the strips of pictures.

    parts: what z was concatenated from (see `place`), each (N,H,W/2+1,2c), in z's order. The gradient is theirs.
    """
    totals, maxima = _total_and_maximum(z, parts) if cut is None else cut.total_and_maximum(z, _valid(z))
    by_pixel = (totals.shape[0], 3, 2, totals.shape[1] // 6)
    pixels = (z.shape[1] if cut is None else cut.height) * (2 * z.shape[2] - 2)
    return (
        (totals / pixels).reshape(by_pixel).sum(2).reshape(totals.shape[0], -1),
        maxima.reshape(by_pixel).max(2).reshape(totals.shape[0], -1),
    )


@jax.custom_vjp
def _total_and_maximum(z: jax.Array, parts: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
    """Sum and maximum of what is in the picture, two float32 (N,6c); z and the parts as `statistics` has them."""
    return total_and_maximum(z, _valid(z))


def _valid(z: jax.Array) -> np.ndarray:
    """What of a row of z is in the picture: bool (W/2+1,6c)."""
    return np.tile(valid_mask(z.shape[2], z.shape[3] // 3), 3)


def _total_and_maximum_forward(z: jax.Array, parts: tuple[jax.Array, ...]) -> Any:
    """With, in the same pass, how many pixels have the maximum."""
    # The gradient looks for the values that equal the maximum. Compiled without a barrier it may compute the features
    # anew for that, differently rounded, and find none or others.
    z = lax.optimization_barrier(z)
    wide, counts = z.astype(jnp.float32), _valid(z)
    values = jnp.where(counts, wide, 0), jnp.where(counts, wide, -jnp.inf), jnp.ones_like(wide)
    start = jnp.zeros((), jnp.float32), jnp.full((), -jnp.inf, jnp.float32), jnp.zeros((), jnp.float32)

    def both(a: Any, b: Any) -> Any:
        count = jnp.where(a[1] > b[1], a[2], jnp.where(b[1] > a[1], b[2], a[2] + b[2]))
        return a[0] + b[0], jnp.maximum(a[1], b[1]), count

    total, maximum, count = lax.reduce(values, start, both, (1, 2))
    return (total, maximum), (z, maximum, count)


def _total_and_maximum_backward(saved: tuple[jax.Array, ...], g: tuple[jax.Array, jax.Array]) -> Any:
    """Pixels that share the maximum share its gradient, as in JAX's own. Each member's is computed by itself: what made
    the member adds it to other gradients, without a pass over the whole of z."""
    z, maximum, count = saved
    size = z.shape[3] // 3
    parts = []
    for at in range(0, z.shape[3], size):
        part, highest, of_total, of_maximum = (
            lax.slice_in_dim(a, at, at + size, axis=-1) for a in (z, maximum, g[0], g[1] / count)
        )
        at_maximum = part.astype(jnp.float32) == highest[:, None, None]
        each = of_total[:, None, None] + jnp.where(at_maximum, of_maximum[:, None, None], 0)
        parts.append(masked(each).astype(z.dtype))
    return jnp.zeros_like(z), tuple(parts)


_total_and_maximum.defvjp(_total_and_maximum_forward, _total_and_maximum_backward)
