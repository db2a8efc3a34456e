"""Up after its 1x1: a transposed convolution, PReLU and 1x1, plus a 1x1 and bilinear upsampling.

Both upsamplings are convolutions of an input with zeros between its pixels. Pixels of the result that have one parity
meet the same taps: the others fall on zeros. So each parity, or phase, is a small convolution of the input itself.
"""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.network.layers import Precision, conv1x1, prelu
from smnet_jax.network.tpu.concat import place, place_backward
from smnet_jax.network.tpu.lane_packing import conv, outermost, twice1x1
from smnet_jax.network.tpu.polyphase import Phases, interleaved, uninitialised

_BILINEAR = (0.25, 0.75)


class UpKernels(NamedTuple):
    """Parameters of `model.Up`'s second half: `up` (3,3,k,k), the slope of the PReLU after it, the 1x1 `reduce` and
    `skip` (1,1,k,k/2)."""

    up: jax.Array
    slope: jax.Array
    reduce: jax.Array
    skip: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 5, 6))
def up_into(
    z: jax.Array,
    at: int,
    top: jax.Array,
    x: jax.Array,
    kernels: UpKernels,
    pairs: bool,
    precision: Precision,
) -> tuple[jax.Array, jax.Array]:
    """reduce(PReLU(transposed_conv(top))) + bilinear_up(skip(x)), `place`d into z at channel `at`.

    top, x: (N,h,w,k). The result is (N,2h,2w,k/2); with `pairs` it is pairs in odd phase, (N,2h,w+1,k). z has the
    shape of the result with more channels.

    Each 1x1 and its upsampling are one convolution. Without a gradient the even and the odd rows are computed apart to
    the end: the compiler then makes one pass of each. With a gradient the transposed convolution's result is kept, and
    its rows are interleaved first, because that result is cheaper to keep whole.
    """
    reduce = twice1x1(kernels.reduce) if pairs else kernels.reduce
    tops = _phases(top, *_transposed_conv(kernels.up, top, pairs), precision)
    bottoms = _phases(x, *_bilinear_up(kernels.skip, x, pairs), precision)
    phases = {
        parity: conv1x1(prelu(t, kernels.slope), reduce, precision=precision) + bottoms[parity]
        for parity, t in tops.items()
    }
    z = interleaved(phases, z, at)
    return z, lax.slice_in_dim(z, at, at + reduce.shape[3], axis=3)


def _top(top: jax.Array, kernels: UpKernels, pairs: bool, precision: Precision) -> jax.Array:
    """reduce(PReLU(transposed_conv(top))), with its phases interleaved before the PReLU."""
    t = _upsampled(top, *_transposed_conv(kernels.up, top, pairs), precision)
    # A convolution here: the product's result would lie otherwise than the features must (`docs/lab/tpu.md`).
    reduce = twice1x1(kernels.reduce) if pairs else kernels.reduce
    return conv1x1(prelu(t, kernels.slope), reduce, precision=precision)


def _bottom(x: jax.Array, kernels: UpKernels, pairs: bool, precision: Precision) -> jax.Array:
    """bilinear_up(skip(x))."""
    return _upsampled(x, *_bilinear_up(kernels.skip, x, pairs), precision)


def _up_into_forward(
    z: jax.Array,
    at: int,
    top: jax.Array,
    x: jax.Array,
    kernels: UpKernels,
    pairs: bool,
    precision: Precision,
) -> Any:
    y, pull_top = jax.vjp(lambda top, kernels: _top(top, kernels, pairs, precision), top, kernels)
    _, pull_bottom = jax.vjp(lambda x, kernels: _bottom(x, kernels, pairs, precision), x, kernels)
    # What `_bottom` gives is written into z first, and read there: no features that are neither z's nor kept.
    z = interleaved(_phases(x, *_bilinear_up(kernels.skip, x, pairs), precision), z, at)
    size = y.shape[3]
    return place(z, y + lax.slice_in_dim(z, at, at + size, axis=3), at), (pull_top, pull_bottom, size)


def _up_into_backward(at: int, pairs: bool, precision: Precision, saved: Any, g: tuple[jax.Array, jax.Array]) -> Any:
    pull_top, pull_bottom, size = saved
    of_z, of_part = place_backward(at, size, g)
    # Without the barrier the compiler makes one pass of this and of what follows, which is then too large for sums.
    of_z, of_part = lax.optimization_barrier((of_z, of_part))
    of_top, above = pull_top(of_part)
    of_x, below = pull_bottom(of_part)
    return of_z, of_top, of_x, jax.tree.map(jnp.add, above, below)


up_into.defvjp(_up_into_forward, _up_into_backward)


class _Axis(NamedTuple):
    """A convolution along one axis of x.

    size: entries of x. given: entries of the result. taps: of the kernel. before: zeros that pad x at its beginning.
    dilated: whether x has a zero between any two entries.
    """

    size: int
    given: int
    taps: int
    before: int
    dilated: bool

    def phase(self, parity: int) -> tuple[slice, tuple[int, int]]:
        """The taps that meet no zeros where what is given is even (0) or odd (1), and the padding of x for these."""
        if not self.dilated:
            return slice(None), (self.before, self.given - self.size - self.before + self.taps - 1)
        first = (parity + self.before) % 2
        start = (parity + first - self.before) // 2
        count = len(range(first, self.taps, 2))
        return slice(first, None, 2), (-start, self.given // 2 - self.size + start + count - 1)

    @property
    def gradient(self) -> tuple[int, int]:
        """The padding of the result's gradient, for x's."""
        first = self.taps - 1 - self.before
        last = (2 * self.size - 1 if self.dilated else self.size) + self.taps - 1 - first - self.given
        return first, last

    @property
    def stride(self) -> int:
        return 2 if self.dilated else 1


class _Upsampling(NamedTuple):
    """A convolution over dilated rows, and over dilated columns or from columns to pairs of them in odd phase.

    With `clamped` its border is made as if the picture's border were repeated outside: a pixel there takes a quarter of
    its value from outside, three from the pixel at the border.
    """

    rows: _Axis
    columns: _Axis
    clamped: bool = False

    @property
    def parities(self) -> list[tuple[int, ...]]:
        """Of rows, or of rows and columns: each is a convolution of x itself."""
        return list(itertools.product((0, 1), repeat=2 if self.columns.dilated else 1))

    def weigh(self, x: jax.Array, parity: tuple[int, ...] = ()) -> jax.Array:
        """The result, or those of its pixels that have this parity, (N,H,W,C), made so."""
        if not self.clamped:
            return x
        rows = np.ones((self.rows.given, 1, 1), np.float32)
        columns = np.ones((self.columns.given, x.shape[3]), np.float32)
        first, last = outermost("none" if self.columns.dilated else "odd", x.shape[3])
        rows[0] = rows[-1] = columns[0, first] = columns[-1, last] = 1 / _BILINEAR[1]
        if parity:
            rows = rows[parity[0] :: 2]
        if len(parity) == 2:
            columns = columns[parity[1] :: 2]
        wide = x.astype(jnp.float64 if x.dtype == jnp.float64 else jnp.float32)  # four thirds are not a bfloat16
        return (wide * rows[None] * columns[None, None]).astype(x.dtype)


def _transposed_conv(kernel: jax.Array, x: jax.Array, pairs: bool) -> tuple[jax.Array, _Upsampling]:
    """`layers.transposed_conv` of x, as such a convolution: (3,3,I,O), or to pairs (3,2,I,2O)."""
    h, w = x.shape[1:3]
    rows = _Axis(h, 2 * h, 3, 1, dilated=True)
    kernel = kernel[::-1].astype(x.dtype)
    if not pairs:
        return kernel[:, ::-1], _Upsampling(rows, _Axis(w, 2 * w, 3, 1, dilated=True))
    # A pair in odd phase is an odd column, which its left neighbour gives to, and an even one.
    left, middle, right = (kernel[:, column : column + 1] for column in range(3))
    both = jnp.concatenate([right, jnp.zeros_like(left), left, middle], axis=1)
    by_tap = both.reshape(3, 2, 2, *kernel.shape[2:]).swapaxes(2, 3)  # (3,2,I,2,O)
    return by_tap.reshape(*by_tap.shape[:3], -1), _Upsampling(rows, _Axis(w, w + 1, 2, 1, dilated=False))


def _bilinear_up(kernel: jax.Array, x: jax.Array, pairs: bool) -> tuple[jax.Array, _Upsampling]:
    """The 1x1 `kernel` (1,1,I,O) and then `layers.bilinear_up` of x: (4,4,I,O), or to pairs (4,2,I,2O)."""
    h, w = x.shape[1:3]
    far, near = _BILINEAR
    along = np.array([far, near, near, far], np.float32)
    rows = _Axis(h, 2 * h, 4, 2, dilated=True)
    if not pairs:
        taps = jnp.asarray(np.outer(along, along)[:, :, None, None]) * kernel
        return taps.astype(x.dtype), _Upsampling(rows, _Axis(w, 2 * w, 4, 2, dilated=True), clamped=True)
    across = np.array([[near, far], [far, near]], np.float32)  # by tap, and by pixel of the pair
    weights = jnp.asarray(along[:, None, None] * across[None])
    taps = weights[:, :, None, :, None] * kernel[:, :, :, None, :]  # (4,2,I,2,O)
    taps = taps.reshape(*taps.shape[:3], -1).astype(x.dtype)
    return taps, _Upsampling(rows, _Axis(w, w + 1, 2, 1, dilated=False), clamped=True)


def _phases(x: jax.Array, kernel: jax.Array, up: _Upsampling, precision: Precision) -> Phases:
    """The results of such a convolution by parity, each one of x itself."""
    phases: Phases = {}
    for parity in up.parities:
        (rows, above), (columns, left) = up.rows.phase(parity[0]), up.columns.phase(parity[-1])
        phases[parity] = up.weigh(conv(x, kernel[rows, columns], (above, left), precision), parity)
    return phases


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _upsampled(x: jax.Array, kernel: jax.Array, up: _Upsampling, precision: Precision) -> jax.Array:
    """The convolution that `up` describes: (N,h,w,I) and (taps,t,I,O) -> (N,H,W,O), written phase by phase."""
    shape = (x.shape[0], up.rows.given, up.columns.given, kernel.shape[3])
    return interleaved(_phases(x, kernel, up, precision), uninitialised(shape, x.dtype))


def _upsampled_forward(x: jax.Array, kernel: jax.Array, up: _Upsampling, precision: Precision) -> Any:
    return _upsampled(x, kernel, up, precision), (x, kernel)


def _upsampled_backward(up: _Upsampling, precision: Precision, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> Any:
    """The phases of g are never parted. The kernel's gradient is written the other way round (see `_conv_widening`)."""
    x, kernel = saved
    g = up.weigh(g)
    padding, strides = (up.rows.gradient, up.columns.gradient), (up.rows.stride, up.columns.stride)
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    of_x = conv(g, turned, padding, precision, strides)
    of_kernel = lax.conv_general_dilated(
        g,
        x,
        (1, 1),
        padding,
        rhs_dilation=strides,
        dimension_numbers=("CHWN", "IHWO", "HWCN"),
        precision=precision,
    )
    return of_x, of_kernel[::-1, ::-1]


_upsampled.defvjp(_upsampled_forward, _upsampled_backward)
