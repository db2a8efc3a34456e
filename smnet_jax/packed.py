"""Full-resolution layers on pairs of pixels: the "packed" form, for units that multiply 128 channels at a time.

A picture of features (N,H,W,c) is held as (N,H,W/2,2c): two horizontal neighbours side by side in the channels, the
left one first. With c = 64 that fills the 128 lanes of a TPU, half of which would idle. The layers are the same linear
maps with the same parameters; their kernels are rewritten here, with zeros where a pixel does not see another.

A 3x3 convolution of pairs sees three pairs of columns and uses half of that. From pairs to pairs that begin one pixel
earlier (columns -1 and 0, 1 and 2, ..., W-1 and W: "shifted", W/2+1 pairs) it sees only two and uses three quarters;
so does the way back. Layers that come in twos go there and back. What the shifted pairs hold outside the picture is
nobody's pixel: it must be made zero before the way back.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.layers import LAYOUT, Precision, conv1x1, prelu, previous_along, straight_conv1x1, total_and_peak

Pool = Callable[[jax.Array], tuple[jax.Array, jax.Array]]  # (N,H,W,C) -> mean and maximum, float32 (N,C)

_BILINEAR = (0.25, 0.75)


def pack(x: jax.Array) -> jax.Array:
    """(N,H,W,c) -> (N,H,W/2,2c); W must be even."""
    n, h, w, c = x.shape
    return x.reshape(n, h, w // 2, 2 * c)


def unpack(x: jax.Array) -> jax.Array:
    """(N,H,W/2,2c) -> (N,H,W,c)."""
    n, h, pairs, channels = x.shape
    return x.reshape(n, h, 2 * pairs, channels // 2)


def twice(vector: jax.Array) -> jax.Array:
    """(..., c), one number for each channel, for both pixels of a pair: (..., 2c)."""
    return jnp.concatenate([vector, vector], axis=-1)


def twice1x1(kernel: jax.Array) -> jax.Array:
    """(1,1,I,O) -> (1,1,2I,2O): both pixels of a pair through the same 1x1."""
    return _blocks([[kernel, None], [None, kernel]])


def conv3x3(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, *, precision: Precision = None) -> jax.Array:
    """`layers.conv3x3` from pairs to pairs: (N,H,W/2,2I) and the kernel (3,3,I,O) -> (N,H,W/2,2O)."""
    return _with_bias(_conv(x, _pairs3x3(kernel, (-1, 0, 1), 0, 0), ((1, 1), (1, 1)), precision), bias)


def conv3x3_shift(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, *, precision: Precision = None) -> jax.Array:
    """The same to shifted pairs: (N,H,W/2,2I) -> (N,H,W/2+1,2O), of which the first and the last pixel are nobody's."""
    return _with_bias(_conv_widening(x, _pairs3x3(kernel, (-1, 0), 0, -1).astype(x.dtype), precision), bias)


def conv3x3_unshift(x: jax.Array, kernel: jax.Array, *, precision: Precision = None) -> jax.Array:
    """The same back: (N,H,W/2+1,2I), zero outside the picture (see `inside`) -> (N,H,W/2,2O)."""
    return _conv(x, _pairs3x3(kernel, (0, 1), -1, 0), ((1, 1), (0, 0)), precision)


def inside(x: jax.Array) -> jax.Array:
    """Shifted pairs with the two pixels beside the picture made zero."""
    pairs, channels = x.shape[2:]
    mask = np.ones((pairs, channels), np.float32)
    mask[0, : channels // 2] = mask[-1, channels // 2 :] = 0
    return x * mask.astype(x.dtype)


def border_bias(taps: jax.Array, height: int, columns: int, pairs: bool) -> jax.Array:
    """What a constant input adds to a zero-padded 3x3 convolution: `taps` (3,3,O) summed over those that fall inside.

    Returns (height, columns, O), or (height, columns, 2O) for `columns` pairs of pixels.
    """
    within = np.ones((height, 3), np.float32)
    within[0, 0] = within[-1, 2] = 0
    rows = jnp.einsum("hy,yxo->xho", within, taps, precision="highest")  # left, middle, right; each (height, O)
    if pairs:
        rows = twice(rows)
    left, right = np.zeros((2, columns, rows.shape[-1]), np.float32)
    half = rows.shape[-1] // 2 if pairs else 0
    left[0, : half or None] = right[-1, half:] = 1
    return rows.sum(0)[:, None] - left * rows[0][:, None] - right * rows[2][:, None]


def blur_down(a: jax.Array, kernel: jax.Array, *, precision: Precision = None) -> jax.Array:
    """`layers.blur_down` and then the 1x1 `kernel` (1,1,c,O), as one convolution: shifted pairs (N,H,W/2+1,2c) ->
    (N,H/2,W/2,O) at half the resolution, not packed. What `a` holds beside the picture does not matter."""
    c = kernel.shape[2]
    kernel = kernel[0, 0]
    # The pixels 2j-1, 2j, 2j+1 are both of pair j and the left one of pair j+1.
    columns = jnp.stack(
        [jnp.concatenate([kernel / 4, kernel / 2]), jnp.concatenate([kernel / 4, jnp.zeros_like(kernel)])]
    )
    rows = jnp.array([0.25, 0.5, 0.25], kernel.dtype)
    y = _conv(a, rows[:, None, None, None] * columns, ((1, 0), (0, 0)), precision, strides=(2, 1))
    # Reflection: row -1 is row 1, and the pixel -1 is pixel 1.
    row = _conv(a[:, 1:2], columns[None] / 4, ((0, 0), (0, 0)), precision)
    edge = a[:, :, 1:2, :c] - a[:, :, :1, :c]
    odd = edge[:, 1::2]
    edge = previous_along(odd, 1) / 4 + edge[:, ::2] / 2 + odd / 4  # (N,H/2,1,c)
    column = conv1x1(edge, kernel[None, None] / 4, precision=precision)
    return y + _at_first(row, 1, y.shape) + _at_first(column, 2, y.shape)


def blur_down_pixels(x: jax.Array, kernel: jax.Array, *, precision: Precision = None) -> jax.Array:
    """The same of pixels that are not packed: (N,H,W,c) -> (N,H/2,W/2,O)."""
    tap = jnp.array([0.25, 0.5, 0.25], kernel.dtype)
    for axis in (1, 2):
        x = jnp.concatenate([lax.slice_in_dim(x, 1, 2, axis=axis), x], axis=axis)  # reflected
    return _conv(x, jnp.outer(tap, tap)[:, :, None, None] * kernel[0, 0], ((0, 0), (0, 0)), precision, strides=(2, 2))


class UpKernels(NamedTuple):
    """Parameters of `model.Up`'s second half: `up` (3,3,k,k), the slope of the PReLU after it, the 1x1 `reduce` and
    `skip` (1,1,k,k/2)."""

    up: jax.Array
    slope: jax.Array
    reduce: jax.Array
    skip: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 5))
def up_into(
    z: jax.Array, at: int, top: jax.Array, x: jax.Array, kernels: UpKernels, precision: Precision
) -> tuple[jax.Array, jax.Array]:
    """reduce(PReLU(transposed_conv(top))) + bilinear_up(skip(x)) as pairs, `place`d into z (N,2h,w,C) at channel `at`.

    top, x: (N,h,w,k), which make pairs (N,2h,w,k). As in `layers`, but each 1x1 and its upsampling are one convolution.
    Without a gradient the even and the odd rows are computed apart to the end, for then the compiler makes one pass of
    each; for the gradient the transposed convolution's result must be kept, and is cheaper with its rows joined.
    """
    reduce = twice1x1(kernels.reduce)
    parted = zip(
        _phases(top, *_transposed_conv(kernels.up, top), precision),
        _phases(_with_edges(x), *_bilinear_up(kernels.skip, x), precision),
        strict=True,
    )
    n, h, w, _ = top.shape
    rows = z.reshape(n, h, 2, w, -1)
    for odd, (t, b) in enumerate(parted):
        y = straight_conv1x1(prelu(t, kernels.slope), reduce, precision=precision) + b
        rows = lax.dynamic_update_slice(rows, y[:, :, None], (0, 0, odd, 0, at))
    z = rows.reshape(z.shape)
    return z, lax.slice_in_dim(z, at, at + y.shape[-1], axis=3)


def _up_into_joined(
    z: jax.Array, at: int, top: jax.Array, x: jax.Array, kernels: UpKernels, precision: Precision
) -> tuple[jax.Array, jax.Array]:
    t = _up_rows(top, *_transposed_conv(kernels.up, top), precision)
    # A convolution here: the product's result would lie otherwise than the features must (`docs/tpu.md`).
    y = straight_conv1x1(prelu(t, kernels.slope), twice1x1(kernels.reduce), precision=precision)
    return place(z, y + _up_rows(_with_edges(x), *_bilinear_up(kernels.skip, x), precision), at)


def _up_into_forward(
    z: jax.Array, at: int, top: jax.Array, x: jax.Array, kernels: UpKernels, precision: Precision
) -> Any:
    return jax.vjp(lambda z, top, x, kernels: _up_into_joined(z, at, top, x, kernels, precision), z, top, x, kernels)


def _up_into_backward(at: int, precision: Precision, pull: Any, g: tuple[jax.Array, jax.Array]) -> Any:
    return pull(g)


up_into.defvjp(_up_into_forward, _up_into_backward)


class _Rows(NamedTuple):
    """A convolution over rows with zeros put between them: it gives `given` rows, from `before` zeros above the first
    and with `columns` of zeros to the left and right."""

    given: int
    before: int
    columns: tuple[int, int]


def _transposed_conv(kernel: jax.Array, x: jax.Array) -> tuple[jax.Array, _Rows]:
    """`layers.transposed_conv` of x to pairs, as such a convolution: (3,2,I,2O)."""
    # One pixel gives its right neighbour to the odd columns, and its lower one to the odd rows.
    rows = [jnp.stack([_blocks([[row[1], row[2]]]), _blocks([[None, row[0]]])]) for row in kernel[::-1]]
    return jnp.stack(rows).astype(x.dtype), _Rows(2 * x.shape[1], 1, (0, 1))


def _bilinear_up(kernel: jax.Array, x: jax.Array) -> tuple[jax.Array, _Rows]:
    """The 1x1 `kernel` (1,1,I,O) and then `layers.bilinear_up`, of x `_with_edges` to pairs: (4,3,I,2O)."""
    far, near = (weight * kernel[0, 0] for weight in _BILINEAR)
    columns = jnp.stack([_blocks([[far, None]]), _blocks([[near, near]]), _blocks([[None, far]])])
    rows = jnp.array([*_BILINEAR, *_BILINEAR[::-1]], kernel.dtype)
    return (rows[:, None, None, None] * columns).astype(x.dtype), _Rows(2 * x.shape[1], 0, (0, 0))


def _with_edges(x: jax.Array) -> jax.Array:
    """(N,h,w,C) -> (N,h+2,w+2,C), the border repeated. With `jnp.pad` the gradient had devices exchange zeros."""
    for axis in (1, 2):
        first, last = lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, x.shape[axis] - 1, None, axis=axis)
        x = jnp.concatenate([first, x, last], axis=axis)
    return x


def _phases(x: jax.Array, kernel: jax.Array, rows: _Rows, precision: Precision) -> list[jax.Array]:
    """The even and the odd rows of such a convolution, each one of x itself: (N,h,w,I) -> two (N,rows.given/2,w,O)."""
    phases = []
    for odd in (0, 1):
        first = (odd + rows.before) % 2  # of the taps that do not meet zeros
        start = (odd + first - rows.before) // 2
        taps = kernel[first::2]
        padding = (-start, rows.given // 2 - x.shape[1] + start + len(taps) - 1)
        phases.append(_conv(x, taps, (padding, rows.columns), precision))
    return phases


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _up_rows(x: jax.Array, kernel: jax.Array, rows: _Rows, precision: Precision) -> jax.Array:
    """Such a convolution: (N,h,w,I) and (taps,t,I,O) -> (N,rows.given,w,O), its phases written into their places."""
    phases = _phases(x, kernel, rows, precision)
    n, h, w, c = phases[0].shape
    y = lax.empty((n, h, 2, w, c), x.dtype)
    for odd, phase in enumerate(phases):
        y = lax.dynamic_update_slice_in_dim(y, phase[:, :, None], odd, 2)
    return y.reshape(n, 2 * h, w, c)


def _up_rows_forward(x: jax.Array, kernel: jax.Array, rows: _Rows, precision: Precision) -> Any:
    return _up_rows(x, kernel, rows, precision), (x, kernel)


def _up_rows_backward(rows: _Rows, precision: Precision, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> Any:
    """The rows of g are never parted. The kernel's gradient is written the other way round (see `_conv_widening`)."""
    x, kernel = saved
    taps, width = kernel.shape[:2]
    left, right = (width - 1 - columns for columns in rows.columns)
    above = taps - 1 - rows.before
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    below = 2 * x.shape[1] - 1 + taps - 1 - above - rows.given
    of_x = _conv(g, turned, ((above, below), (left, right)), precision, strides=(2, 1))
    of_kernel = lax.conv_general_dilated(
        g,
        x,
        (1, 1),
        ((above, below), (left, right)),
        rhs_dilation=(2, 1),
        dimension_numbers=("CHWN", "IHWO", "HWCN"),
        precision=precision,
    )
    return of_x, of_kernel[::-1, ::-1]


_up_rows.defvjp(_up_rows_forward, _up_rows_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def place(z: jax.Array, part: jax.Array, at: int) -> tuple[jax.Array, jax.Array]:
    """z (N,H,W,C) with `part` (N,H,W,c) from channel `at` on, and that part of it; what was there must be nobody's.

    Convolutions write straight into z so, which joins features without a pass over them. For the gradient z and the
    part are two things.
    """
    z = lax.dynamic_update_slice_in_dim(z, part, at, 3)
    return z, lax.slice_in_dim(z, at, at + part.shape[3], axis=3)


def _place_forward(z: jax.Array, part: jax.Array, at: int) -> Any:
    return place(z, part, at), part.shape[3]


def _place_backward(at: int, size: int, g: tuple[jax.Array, jax.Array]) -> Any:
    return g[0], lax.slice_in_dim(g[0], at, at + size, axis=3) + g[1]


place.defvjp(_place_forward, _place_backward)


def statistics(z: jax.Array, pool: Pool | None = None) -> tuple[jax.Array, jax.Array]:
    """Mean and maximum over the picture of three kinds of features as pairs, (N,H,W/2,6c) -> two float32 (N,3c).

    `pool` says what of z belongs to a picture, if not just all of it.
    """
    means, peaks = (pool or _mean_and_peak)(z)
    by_pixel = (means.shape[0], 3, 2, means.shape[1] // 6)
    return (
        means.reshape(by_pixel).mean(2).reshape(means.shape[0], -1),
        peaks.reshape(by_pixel).max(2).reshape(means.shape[0], -1),
    )


@jax.custom_vjp
def _mean_and_peak(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and maximum over height and width, (N,H,W,C) -> two float32 (N,C)."""
    total, peak = total_and_peak(x)
    return total / (x.shape[1] * x.shape[2]), peak


def _mean_and_peak_forward(x: jax.Array) -> Any:
    """With, in the same pass, how many pixels have the maximum."""
    # The gradient looks for the values that equal the maximum. Compiled without a barrier it may compute the features
    # anew for that, differently rounded, and find none or others.
    x = lax.optimization_barrier(x)
    wide = x.astype(jnp.float32)
    start = jnp.zeros((), jnp.float32), jnp.full((), -jnp.inf, jnp.float32), jnp.zeros((), jnp.float32)

    def both(a: Any, b: Any) -> Any:
        share = jnp.where(a[1] > b[1], a[2], jnp.where(b[1] > a[1], b[2], a[2] + b[2]))
        return a[0] + b[0], jnp.maximum(a[1], b[1]), share

    total, peak, count = lax.reduce((wide, wide, jnp.ones_like(wide)), start, both, (1, 2))
    return (total / (x.shape[1] * x.shape[2]), peak), (x, peak, count)


def _mean_and_peak_backward(saved: tuple[jax.Array, ...], g: tuple[jax.Array, jax.Array]) -> Any:
    """As JAX does it: pixels that share the maximum share its gradient."""
    x, peak, count = saved
    at_peak = x.astype(jnp.float32) == peak[:, None, None]
    of_mean = (g[0] / (x.shape[1] * x.shape[2]))[:, None, None]
    return ((of_mean + jnp.where(at_peak, (g[1] / count)[:, None, None], 0)).astype(x.dtype),)


_mean_and_peak.defvjp(_mean_and_peak_forward, _mean_and_peak_backward)


def max_pool(x: jax.Array) -> jax.Array:
    """2x2 maximum of pairs: (N,H,W/2,2c) -> (N,H/2,W/2,c), not packed; an odd last row is left out. Of equal values
    the first gets the gradient, as in a window's maximum."""
    c = x.shape[-1] // 2
    return _pool_rows(_first_of(x[..., :c], x[..., c:]))


def max_pool_pixels(x: jax.Array) -> jax.Array:
    """The same without pairs: (N,H,W,C) -> (N,H/2,W/2,C). Its gradient is a selection, not a scatter."""
    even = x.shape[2] // 2 * 2
    left, right = (lax.slice_in_dim(x, start, even, 2, axis=2) for start in (0, 1))
    return _pool_rows(_first_of(left, right))


def _pool_rows(x: jax.Array) -> jax.Array:
    even = x.shape[1] // 2 * 2
    upper, lower = (lax.slice_in_dim(x, start, even, 2, axis=1) for start in (0, 1))
    return _first_of(upper, lower)


def _first_of(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(a >= b, a, b)


def _pairs3x3(kernel: jax.Array, offsets: Sequence[int], begins: int, ends: int) -> jax.Array:
    """(3,3,I,O) -> (3,len(offsets),2I,2O) from pairs j + offset to pair j, where pair j of the input begins at pixel
    2j + begins and that of the output at 2j + ends."""

    def tap(offset: int, source: int, target: int) -> jax.Array | None:
        distance = 2 * offset + begins + source - ends - target
        return kernel[:, distance + 1] if abs(distance) <= 1 else None

    taps = [_blocks([[tap(offset, source, target) for target in (0, 1)] for source in (0, 1)]) for offset in offsets]
    return jnp.stack(taps, axis=1)


def _blocks(rows: list[list[jax.Array | None]]) -> jax.Array:
    """A matrix in the last two axes, of blocks of one shape; None is a block of zeros."""
    some = next((block for row in rows for block in row if block is not None), None)
    assert some is not None
    zero = jnp.zeros_like(some)
    filled = [[zero if block is None else block for block in row] for row in rows]
    return jnp.concatenate([jnp.concatenate(row, axis=-1) for row in filled], axis=-2)


def _conv(
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
    return _conv(x, kernel, ((1, 1), (1, 1)), precision)


def _widening_forward(x: jax.Array, kernel: jax.Array, precision: Precision) -> Any:
    return _conv_widening(x, kernel, precision), (x, kernel)


def _widening_backward(precision: Precision, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> Any:
    x, kernel = saved
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    of_kernel = lax.conv_general_dilated(
        g, x, (1, 1), ((1, 1), (0, 0)), dimension_numbers=("CHWN", "IHWO", "HWCN"), precision=precision
    )
    return _conv(g, turned, ((1, 1), (0, 0)), precision), of_kernel[::-1, ::-1]


_conv_widening.defvjp(_widening_forward, _widening_backward)


def _with_bias(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    return y if bias is None else y + twice(bias).astype(y.dtype)


def _at_first(x: jax.Array, axis: int, shape: tuple[int, ...]) -> jax.Array:
    """x, of size 1 along `axis`, in the first place there and zeros after it."""
    return jnp.pad(x, [(0, shape[i] - 1 if i == axis else 0) for i in range(x.ndim)])
