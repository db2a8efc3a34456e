"""Pairs of pixels side by side in the channels (1x2 space-to-depth), and convolutions of them."""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.network import layers
from smnet_jax.network.layers import LAYOUT, Precision

Packing = Literal["none", "even", "odd"]


def pack(x: jax.Array) -> jax.Array:
    """(N,H,W,c) -> (N,H,W/2,2c); W must be even."""
    n, h, w, c = x.shape
    return x.reshape(n, h, w // 2, 2 * c)


def unpack(x: jax.Array) -> jax.Array:
    """(N,H,W/2,2c) -> (N,H,W,c)."""
    n, h, pairs, channels = x.shape
    return x.reshape(n, h, 2 * pairs, channels // 2)


def unpack_odd(x: jax.Array) -> jax.Array:
    """Odd phase (N,H,W/2+1,2c) -> (N,H,W,c)."""
    return unpack(x)[:, :, 1:-1]


def pack_odd(x: jax.Array) -> jax.Array:
    """(N,H,W,c) -> odd phase (N,H,W/2+1,2c), zero beside the picture."""
    return pack(jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0))))


def to_odd(x: jax.Array) -> jax.Array:
    """Even phase (N,H,W/2,2c) -> odd phase (N,H,W/2+1,2c), zero beside the picture.

    A convolution with ones: the TPU compiler takes into its pass what is done before and after it.
    """
    one = jnp.eye(x.shape[-1] // 2, dtype=x.dtype)
    kernel = jnp.stack([blocks([[None, None], [one, None]]), blocks([[None, one], [None, None]])])
    return conv(x, kernel[None], ((0, 0), (1, 1)), lax.Precision.HIGHEST)


def twice(vector: jax.Array) -> jax.Array:
    """(..., c), one number for each channel, for both pixels of a pair: (..., 2c)."""
    return jnp.concatenate([vector, vector], axis=-1)


def twice1x1(kernel: jax.Array) -> jax.Array:
    """(1,1,I,O) -> (1,1,2I,2O): both pixels of a pair through the same 1x1."""
    return blocks([[kernel, None], [None, kernel]])


def conv3x3(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, *, precision: Precision = None) -> jax.Array:
    """`layers.conv3x3` of packed features: (N,H,W/2,2I) and the kernel (3,3,I,O) -> (N,H,W/2,2O)."""
    return _with_bias(conv(x, pairs3x3(kernel, (-1, 0, 1), 0, 0), ((1, 1), (1, 1)), precision), bias)


def conv3x3_to_odd(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, *, precision: Precision = None
) -> jax.Array:
    """`layers.conv3x3` from even to odd phase: (N,H,W/2,2I) -> (N,H,W/2+1,2O); what lies beside the picture is not
    defined."""
    return _with_bias(_conv_widening(x, pairs3x3(kernel, (-1, 0), 0, -1).astype(x.dtype), precision), bias)


def conv3x3_to_even(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, *, precision: Precision = None
) -> jax.Array:
    """`layers.conv3x3` from odd to even phase: (N,H,W/2+1,2I), zero beside the picture (`masked`) -> (N,H,W/2,2O)."""
    return _with_bias(conv(x, pairs3x3(kernel, (0, 1), -1, 0), ((1, 1), (0, 0)), precision), bias)


def masked(x: jax.Array) -> jax.Array:
    """Features in odd phase with the two pixels beside the picture made zero."""
    return x * valid_mask(*x.shape[2:])[None, None].astype(x.dtype)


def valid_mask(pairs: int, channels: int) -> np.ndarray:
    """What of a row in odd phase is in the picture: bool (pairs, channels)."""
    mask = np.ones((pairs, channels), bool)
    mask[0, : channels // 2] = mask[-1, channels // 2 :] = False
    return mask


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv1x1(x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    """`layers.conv1x1`, (N,H,W,I) and (1,1,I,O) -> (N,H,W,O), for so many channels that in the gradient not all
    features fit on a TPU chip together."""
    return layers.conv1x1(x, kernel, precision=precision)


def _conv1x1_forward(x: jax.Array, kernel: jax.Array, precision: Precision) -> Any:
    return conv1x1(x, kernel, precision), (x, kernel)


def _conv1x1_backward(precision: Precision, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> Any:
    """The kernel's gradient first, so that what only it reads is gone from the chip when the features' is written."""
    x, kernel = saved
    convolve = functools.partial(layers.conv1x1, precision=precision)
    (of_kernel,) = jax.linear_transpose(lambda kernel: convolve(x, kernel), kernel)(g)
    g, of_kernel = lax.optimization_barrier((g, of_kernel))
    (of_x,) = jax.linear_transpose(lambda x: convolve(x, kernel), x)(g)
    return of_x, of_kernel


conv1x1.defvjp(_conv1x1_forward, _conv1x1_backward)


def border_bias(taps: jax.Array, height: int, columns: int, packing: Packing) -> jax.Array:
    """What a constant input adds to a zero-padded 3x3 convolution: `taps` (3,3,O) summed over those that fall inside.

    Returns (height, columns, O), or (height, columns, 2O) for `columns` pairs of pixels.
    """
    seen = np.ones((height, 3), np.float32)
    seen[0, 0] = seen[-1, 2] = 0
    rows = jnp.einsum("hy,yxo->xho", seen, taps, precision="highest")  # left, middle, right; each (height, O)
    if packing != "none":
        rows = twice(rows)
    left, right = np.zeros((2, columns, rows.shape[-1]), np.float32)
    first, last = outermost(packing, rows.shape[-1])
    left[0, first] = right[-1, last] = 1
    return rows.sum(0)[:, None] - left[None] * rows[0][:, None] - right[None] * rows[2][:, None]


def outermost(packing: Packing, channels: int) -> tuple[slice, slice]:
    """The channels of a row's first pixel in its first pair, and those of its last pixel in its last pair."""
    half = channels // 2
    left, right = slice(half), slice(half, None)
    return {"none": (slice(None), slice(None)), "even": (left, right), "odd": (right, left)}[packing]


def pairs3x3(kernel: jax.Array, offsets: Sequence[int], begins: int, ends: int) -> jax.Array:
    """(3,3,I,O) -> (3,len(offsets),2I,2O) from pairs j + offset to pair j, where pair j of the input begins at pixel
    2j + begins and that of the output at 2j + ends."""

    def tap(offset: int, source: int, target: int) -> jax.Array | None:
        distance = 2 * offset + begins + source - ends - target
        return kernel[:, distance + 1] if abs(distance) <= 1 else None

    taps = [blocks([[tap(offset, source, target) for target in (0, 1)] for source in (0, 1)]) for offset in offsets]
    return jnp.stack(taps, axis=1)


def blocks(rows: list[list[jax.Array | None]]) -> jax.Array:
    """A matrix in the last two axes, of blocks of one shape; None is a block of zeros."""
    some = next((block for row in rows for block in row if block is not None), None)
    assert some is not None
    zero = jnp.zeros_like(some)
    filled = [[zero if block is None else block for block in row] for row in rows]
    return jnp.concatenate([jnp.concatenate(row, axis=-1) for row in filled], axis=-2)


def conv(
    x: jax.Array,
    kernel: jax.Array,
    padding: Sequence[tuple[int, int]],
    precision: Precision,
    strides: tuple[int, int] = (1, 1),
) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel.astype(x.dtype), strides, padding, dimension_numbers=LAYOUT, precision=precision
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv_widening(x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    """(N,H,w,I) and (3,2,I,O) -> (N,H,w+1,O), padded by one on all sides.

    JAX's own gradient of the kernel slides `x` under a window, the result's gradient, that is wider than it. The TPU
    compiler turns that around, for which it reverses a whole picture's features. Here it is written turned around: the
    taps come out in reverse order, and those are few.
    """
    return conv(x, kernel, ((1, 1), (1, 1)), precision)


def _widening_forward(x: jax.Array, kernel: jax.Array, precision: Precision) -> Any:
    return _conv_widening(x, kernel, precision), (x, kernel)


def _widening_backward(precision: Precision, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> Any:
    x, kernel = saved
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    of_kernel = lax.conv_general_dilated(
        g, x, (1, 1), ((1, 1), (0, 0)), dimension_numbers=("CHWN", "IHWO", "HWCN"), precision=precision
    )
    return conv(g, turned, ((1, 1), (0, 0)), precision), of_kernel[::-1, ::-1]


_conv_widening.defvjp(_widening_forward, _widening_backward)


def _with_bias(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    return y if bias is None else y + twice(bias).astype(y.dtype)[None, None, None]
