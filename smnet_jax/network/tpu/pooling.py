"""The 2x2 maxima of VGG16. Their gradients are selections, not scatters; of equal values the first gets it, as in a
window's maximum."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def max_pool(x: jax.Array) -> jax.Array:
    """2x2 maximum of pairs: (N,H,W/2,2c) -> (N,H/2,W/2,c), not packed; an odd last row is left out."""
    c = x.shape[-1] // 2
    upper, lower = _rows(x)
    above = upper >= lower
    x = jnp.where(above, upper, lower)  # rows first: with half of the lanes empty a pass costs as much as with all
    return _maximum_of_columns(x[..., :c], x[..., c:], above)


@jax.custom_vjp
def _maximum_of_columns(left: jax.Array, right: jax.Array, above: jax.Array) -> jax.Array:
    """The maximum of left and right, (N,H,W,c), each the maximum of two rows; `above` (N,H,W,2c): of the upper one."""
    return jnp.maximum(left, right)


def _maximum_of_columns_forward(left: jax.Array, right: jax.Array, above: jax.Array) -> Any:
    return jnp.maximum(left, right), (left, right, above)


def _maximum_of_columns_backward(saved: tuple[jax.Array, ...], g: jax.Array) -> Any:
    left, right, above = saved
    left_above, right_above = jnp.split(above, 2, axis=-1)
    to_right = (right > left) | ((right == left) & right_above & ~left_above)
    zero = jnp.zeros_like(g)
    return jnp.where(to_right, zero, g), jnp.where(to_right, g, zero), np.zeros(above.shape, jax.dtypes.float0)


_maximum_of_columns.defvjp(_maximum_of_columns_forward, _maximum_of_columns_backward)


def max_pool_pixels(x: jax.Array) -> jax.Array:
    """2x2 maximum of pixels that are not packed: (N,H,W,C) -> (N,H/2,W/2,C)."""
    even = x.shape[2] // 2 * 2
    left, right = (lax.slice_in_dim(x, start, even, 2, axis=2) for start in (0, 1))
    return _first_of(*_rows(_first_of(left, right)))


def _rows(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The upper and the lower rows of windows."""
    even = x.shape[1] // 2 * 2
    upper, lower = (lax.slice_in_dim(x, start, even, 2, axis=1) for start in (0, 1))
    return upper, lower


def _first_of(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(a >= b, a, b)
