"""Down after its 3x3: PReLU, blur and 1x1, at half the resolution.

Blur and 1x1 are one convolution with stride 2. Its gradient towards the features is written in phases: JAX's own puts
zeros between the pixels of what it convolves, and makes passes over the picture for what is reflected at its border.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.network.layers import Precision, prelu, previous_along, product1x1
from smnet_jax.network.tpu.lane_packing import conv, masked
from smnet_jax.network.tpu.polyphase import Phases, interleaved, uninitialised

_BLUR = (0.25, 0.5, 0.25)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def blur_down(a: jax.Array, slope: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    """PReLU, `layers.blur_down` and then the 1x1 `kernel` (1,1,c,O).

    Pairs in odd phase (N,H,W/2+1,2c) -> (N,H/2,W/2,O), not packed. What `a` holds beside the picture does not matter.
    """
    return _blurred(prelu(a, slope), kernel, precision)


def _blurred(x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    c = kernel.shape[2]
    columns = _columns(kernel)
    rows = jnp.array(_BLUR, kernel.dtype)[:, None, None, None]
    y = conv(x, rows * columns[None], ((1, 0), (0, 0)), precision, strides=(2, 1))
    # Reflection: row -1 is row 1, and the pixel -1 is pixel 1.
    row = conv(x[:, 1:2], columns[None] / 4, ((0, 0), (0, 0)), precision)
    edge = x[:, :, 1:2, :c] - x[:, :, :1, :c]
    odd = edge[:, 1::2]
    edge = previous_along(odd, 1) / 4 + edge[:, ::2] / 2 + odd / 4  # (N,H/2,1,c)
    column = product1x1(edge, kernel / 4, precision=precision)
    return y + _at_first(row, 1, y.shape) + _at_first(column, 2, y.shape)


def _columns(kernel: jax.Array) -> jax.Array:
    """(1,1,c,O) -> (2,2c,O): the pixels 2j-1, 2j, 2j+1 are both of the shifted pair j and the left one of the next."""
    kernel = kernel[0, 0]
    following = jnp.concatenate([kernel / 4, jnp.zeros_like(kernel)])
    return jnp.stack([jnp.concatenate([kernel / 4, kernel / 2]), following])


def _at_first(x: jax.Array, axis: int, shape: tuple[int, ...]) -> jax.Array:
    """x, of size 1 along `axis`, in the first place there and zeros after it."""
    return jnp.pad(x, [(0, shape[i] - 1 if i == axis else 0) for i in range(x.ndim)])


def _blur_down_forward(a: jax.Array, slope: jax.Array, kernel: jax.Array, precision: Precision) -> Any:
    return blur_down(a, slope, kernel, precision), (a, slope, kernel)


def _blur_down_backward(precision: Precision, saved: Any, g: jax.Array) -> Any:
    a, slope, kernel = saved
    columns = jnp.swapaxes(_columns(kernel)[::-1], 1, 2)  # (2,O,2c)

    def phase(g: jax.Array, taps: jax.Array, below: int) -> jax.Array:
        y = conv(g, taps, ((0, below), (1, 1)), precision)
        # Pixel 1, the left one of the second pair, gets what pixel -1 would have got. The barrier keeps this column a
        # column: else the compiler convolves a whole picture for it.
        c = kernel.shape[2]
        column = lax.optimization_barrier(conv(g[:, :, :1], taps[:, :1, :, :c], ((0, below), (0, 0)), precision))
        return masked(y + jnp.pad(column, ((0, 0), (0, 0), (1, y.shape[2] - 2), (0, c))))

    even = phase(g, columns[None] / 2, 0)
    # Row 1 gets what row -1 would have got: no other odd row sees the first row of g.
    odd = phase(_first_doubled(g, 1), jnp.stack([columns, columns]) / 4, 1)
    of_a = _through_prelu(a, slope, {(0,): even, (1,): odd})
    return of_a, *_of_slope_and_kernel(functools.partial(_blurred, precision=precision), a, slope, kernel, g)


blur_down.defvjp(_blur_down_forward, _blur_down_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def blur_down_pixels(a: jax.Array, slope: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    """`blur_down` of pixels that are not packed: (N,H,W,c) -> (N,H/2,W/2,O)."""
    return _blurred_pixels(prelu(a, slope), kernel, precision)


def _blurred_pixels(x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    tap = jnp.array(_BLUR, kernel.dtype)
    for axis in (1, 2):
        x = jnp.concatenate([lax.slice_in_dim(x, 1, 2, axis=axis), x], axis=axis)  # reflected
    taps = jnp.outer(tap, tap)[:, :, None, None] * kernel[0, 0][None, None]
    return conv(x, taps, ((0, 0), (0, 0)), precision, strides=(2, 2))


def _blur_down_pixels_forward(a: jax.Array, slope: jax.Array, kernel: jax.Array, precision: Precision) -> Any:
    return blur_down_pixels(a, slope, kernel, precision), (a, slope, kernel)


def _blur_down_pixels_backward(precision: Precision, saved: Any, g: jax.Array) -> Any:
    a, slope, kernel = saved
    turned = kernel[0, 0].T
    phases: Phases = {}
    for row, column in itertools.product((0, 1), repeat=2):
        # An odd pixel sees two of g with a quarter of their values, the first one also the first of g for the pixel
        # outside; an even one sees one, with half of it.
        seen = _first_doubled(g, 1) if row else g
        seen = _first_doubled(seen, 2) if column else seen
        taps = jnp.broadcast_to(turned / (4 * 2 ** (row + column)), (1 + row, 1 + column, *turned.shape))
        phases[row, column] = conv(seen, taps, ((0, row), (0, column)), precision)
    of_a = _through_prelu(a, slope, phases)
    return of_a, *_of_slope_and_kernel(functools.partial(_blurred_pixels, precision=precision), a, slope, kernel, g)


blur_down_pixels.defvjp(_blur_down_pixels_forward, _blur_down_pixels_backward)


def _first_doubled(g: jax.Array, axis: int) -> jax.Array:
    """g (N,H,W,C) with what is first along `axis` doubled."""
    weights = np.ones([g.shape[i] if i == axis else 1 for i in range(4)], np.float32)
    weights.flat[0] = 2
    return g * weights.astype(g.dtype)


def _through_prelu(a: jax.Array, slope: jax.Array, phases: Phases) -> jax.Array:
    """The gradient of a (N,H,W,C) from the phases of that of prelu(a, slope)."""
    through = {}
    for parity, g in phases.items():
        phase = a[:, parity[0] :: 2] if len(parity) == 1 else a[:, parity[0] :: 2, parity[1] :: 2]
        through[parity] = jnp.where(phase > 0, g, slope.astype(g.dtype) * g)
    return interleaved(through, uninitialised(a.shape, a.dtype))


def _of_slope_and_kernel(
    blurred: Callable[[jax.Array, jax.Array], jax.Array],
    a: jax.Array,
    slope: jax.Array,
    kernel: jax.Array,
    g: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The gradients of slope and kernel of blurred(prelu(a, slope), kernel), which is linear in both.

    The slope's is what the kernel's gets from negative values, times the kernel: no pass over the features.
    """

    def of_kernel(x: jax.Array) -> jax.Array:
        gradient: jax.Array = jax.linear_transpose(functools.partial(blurred, x), kernel)(g)[0]
        return gradient

    return (of_kernel(jnp.minimum(a, 0)) * kernel).sum().astype(slope.dtype), of_kernel(prelu(a, slope))
