"""Products, convolutions and upsampling with their gradients written out, for XLA's CPU backend.

JAX's own gradient of a 1x1 convolution contracts three axes at once. XLA:CPU answers with transposed copies of the
features, each fused with everything that led to them and computed anew: they took a third of a training step. As one
product of two matrices, (pixels, I)^T (pixels, O), it needs no copies. Same sums, in the same precision.

Likewise the gradient of a 3x3 kernel: XLA convolves features with a "kernel" of the size of the picture. Its nine sums
are three products, (pixels, I)^T (pixels, 3 O), of the input moved by a column and the gradient beside its neighbours
above and below. As one product, of the input beside its own neighbours, they take up to twice as long: more is copied.

What `custom_vjp` wraps runs only where no gradient is asked for: there wide layers go by fewer products (`winograd`).
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from smnet_jax.network import pixel_groups
from smnet_jax.network.cpu import winograd
from smnet_jax.network.layers import LAYOUT, Precision, next_along, previous_along


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    """(N,H,W,I) by one (I,O), or by (N,I,O), one for each picture: (N,H,W,O), at least float32.

    Of bfloat16 too: XLA's CPU backend uses a processor's bfloat16 units only for products that are summed in float32.
    """
    letters = "io" if kernel.ndim == 2 else "nio"
    return jnp.einsum(f"nhwi,{letters}->nhwo", x, kernel, precision=precision, preferred_element_type=_summed(x))


def _forward(x: jax.Array, kernel: jax.Array, precision: Precision) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return product(x, kernel, precision), (x, kernel)


def _backward(precision: Precision, saved: tuple[jax.Array, jax.Array], ct: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    ct = ct.astype(x.dtype)
    towards_x = product(ct, kernel.swapaxes(-1, -2), precision).astype(x.dtype)
    pictures = kernel.shape[:-2]  # kernels of their own: none, or (N,)
    x, ct = (a.reshape(*pictures, -1, a.shape[-1]) for a in (x, ct))
    axes = tuple(range(len(pictures)))
    pixels = ((len(axes),), (len(axes),))
    towards_kernel = lax.dot_general(
        x, ct, (pixels, (axes, axes)), precision=precision, preferred_element_type=_summed(x)
    )
    return towards_x, towards_kernel.astype(kernel.dtype)


def _summed(x: jax.Array) -> jnp.dtype:
    return jnp.dtype(jnp.float64 if x.dtype == jnp.float64 else jnp.float32)


product.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv3x3(x: jax.Array, kernel: jax.Array, precision: Precision, constant: int = 0) -> jax.Array:
    """(N,H,W,I) by (3,3,I,O), zero padding of one pixel: (N,H,W,O).

    constant: how many of the last input channels depend on nothing; their gradient is not computed but zero.
    """
    if winograd.worthwhile(x, kernel):
        return winograd.conv3x3(x, kernel, precision)
    return _plain_conv3x3(x, kernel, precision)


def _plain_conv3x3(x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    pixels = pixel_groups.size(x, kernel)
    if pixels > 1:
        return pixel_groups.conv3x3(x, kernel, precision, pixels)
    return _convolve(x, kernel, ((1, 1), (1, 1)), precision)


def _conv3x3_forward(x: jax.Array, kernel: jax.Array, precision: Precision, constant: int) -> tuple[jax.Array, Any]:
    return _plain_conv3x3(x, kernel, precision), (x, kernel)


def _conv3x3_backward(precision: Precision, constant: int, saved: Any, ct: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    varied = x.shape[-1] - constant
    derive = functools.partial(_plain_conv3x3, kernel=kernel[:, :, :varied], precision=precision)
    (towards_x,) = jax.linear_transpose(derive, x[..., :varied])(ct)
    towards_x = jnp.pad(towards_x, ((0, 0), (0, 0), (0, 0), (0, constant)))
    inputs, outputs = kernel.shape[2:]
    above = jnp.concatenate([shifted(ct, 1, by) for by in (-1, 0, 1)], axis=-1)
    columns = [_over_pixels(shifted(x, 2, by), above, precision).reshape(inputs, 3, outputs) for by in (1, 0, -1)]
    return towards_x, jnp.stack(columns, 1).transpose(2, 1, 0, 3).astype(kernel.dtype)


conv3x3.defvjp(_conv3x3_forward, _conv3x3_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def transposed_conv_phases(x: jax.Array, kernel: jax.Array, precision: Precision) -> list[list[jax.Array]]:
    """`resampling.transposed_conv_phases` with its gradients."""
    if winograd.worthwhile(x, kernel):
        return winograd.transposed_conv_phases(x, kernel, precision)
    return _phases(x, kernel, precision)


def _phases(x: jax.Array, kernel: jax.Array, precision: Precision) -> list[list[jax.Array]]:
    rows_of = ((1,), (2, 0))

    def phase(a: int, b: int) -> jax.Array:
        window = jnp.stack([jnp.stack([kernel[r, c] for c in rows_of[b]]) for r in rows_of[a]])
        return _convolve(x, window, ((0, a), (0, b)), precision)

    return [[phase(a, b) for b in (0, 1)] for a in (0, 1)]


def _phases_forward(x: jax.Array, kernel: jax.Array, precision: Precision) -> tuple[list[list[jax.Array]], Any]:
    return _phases(x, kernel, precision), (x, kernel)


def _phases_backward(precision: Precision, saved: Any, ct: list[list[jax.Array]]) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    (towards_x,) = jax.linear_transpose(lambda x: _phases(x, kernel, precision), x)(ct)
    inputs, outputs = kernel.shape[2:]
    # Kernel row 0 leads from row i to the odd row above it, 1 and 2 to the even and the odd one of its own.
    even, odd = (jnp.concatenate([shifted(ct[1][b], 1, 1), ct[0][b], ct[1][b]], axis=-1) for b in (0, 1))
    middle = _over_pixels(x, even, precision).reshape(1, inputs, 3, outputs)
    beside = jnp.concatenate([shifted(x, 2, -1), x], axis=-1)
    outer = _over_pixels(beside, odd, precision).reshape(2, inputs, 3, outputs)  # column 0, then 2
    sums = jnp.concatenate([outer[:1], middle, outer[1:]])
    return towards_x, sums.transpose(2, 0, 1, 3).astype(kernel.dtype)


transposed_conv_phases.defvjp(_phases_forward, _phases_backward)


@jax.custom_vjp
def bilinear_up_phases(x: jax.Array) -> list[list[jax.Array]]:
    """`resampling.bilinear_up_phases` of (N,H,W,C), with a gradient in two passes instead of one of sixteen terms."""
    return [list(_bilinear_along(r, 2)) for r in _bilinear_along(x, 1)]


def _bilinear_along(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    return 0.75 * x + 0.25 * previous_along(x, axis), 0.75 * x + 0.25 * next_along(x, axis)


def _bilinear_forward(x: jax.Array) -> tuple[list[list[jax.Array]], None]:
    return bilinear_up_phases(x), None


def _bilinear_backward(_: None, ct: list[list[jax.Array]]) -> tuple[jax.Array]:
    even, odd = (_bilinear_transposed(left, right, 2) for left, right in ct)
    return (_bilinear_transposed(even, odd, 1),)


def _bilinear_transposed(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    """The transpose of `_bilinear_along`: what went to neighbours comes back; the first and the last had themselves."""
    if even.shape[axis] == 1:
        return even + odd
    part = functools.partial(lax.slice_in_dim, axis=axis)
    none = jnp.zeros_like(part(even, 0, 1))
    to_next = [part(even, 0, 1) + part(even, 1, 2), part(even, 2, None), none]
    to_previous = [none, part(odd, 0, -2), part(odd, -2, -1) + part(odd, -1, None)]
    return 0.75 * (even + odd) + 0.25 * (jnp.concatenate(to_next, axis) + jnp.concatenate(to_previous, axis))


bilinear_up_phases.defvjp(_bilinear_forward, _bilinear_backward)


@jax.custom_vjp
def interleave(phases: list[list[jax.Array]]) -> jax.Array:
    """`resampling.interleave`: four (N,H,W,C) to one (N,2H,2W,C).

    Backwards they are taken apart once, before anything is done with them: XLA would fuse that into each of their uses,
    under another shape, in slow loops (0.4 ms for half a megabyte).
    """
    n, h, w, c = phases[0][0].shape
    rows = [jnp.stack(row, axis=3) for row in phases]
    return jnp.stack(rows, axis=2).reshape(n, 2 * h, 2 * w, c)


def _interleave_forward(phases: list[list[jax.Array]]) -> tuple[jax.Array, None]:
    return interleave(phases), None


def _interleave_backward(_: None, ct: jax.Array) -> tuple[list[list[jax.Array]]]:
    n, h, w, c = ct.shape
    cells = ct.reshape(n, h // 2, 2, w // 2, 2, c)
    return (lax.optimization_barrier([[cells[:, :, a, :, b] for b in (0, 1)] for a in (0, 1)]),)


interleave.defvjp(_interleave_forward, _interleave_backward)


def _convolve(x: jax.Array, kernel: jax.Array, padding: Sequence[tuple[int, int]], precision: Precision) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=LAYOUT, precision=precision)


def shifted(x: jax.Array, axis: int, by: int) -> jax.Array:
    """x moved along `axis` by one entry, towards its end (1) or its start (-1), zero where nothing was; 0: x."""
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (by, -by, 0)  # negative: cut off
    return lax.pad(x, jnp.zeros((), x.dtype), padding) if by else x


def _over_pixels(x: jax.Array, y: jax.Array, precision: Precision) -> jax.Array:
    """(N,H,W,I) and (N,H,W,O): the sums of their products over all pixels, (I,O), at least float32."""
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    return lax.dot_general(x, y, (((0,), (0,)), ((), ())), precision=precision, preferred_element_type=_summed(x))
