"""The network's operations as pure functions, one plain operation each. Arrays are NHWC, kernels HWIO.

How a compiler would rather have them is told beside this file, in `cpu`, `gpu` and `tpu`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.network import extent

Precision = lax.PrecisionLike

LAYOUT = ("NHWC", "HWIO", "NHWC")


def prelu(x: jax.Array, slope: jax.Array) -> jax.Array:
    """x where positive, slope * x elsewhere; any shape, one slope (He et al. 2015)."""
    return jnp.where(x > 0, x, slope.astype(x.dtype) * x)


def conv1x1(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, precision: Precision = None
) -> jax.Array:
    """(N,H,W,I) -> (N,H,W,O) by a kernel of (1,1,I,O)."""
    y = lax.conv_general_dilated(
        x, kernel.astype(x.dtype), (1, 1), "VALID", dimension_numbers=LAYOUT, precision=precision
    )
    return y if bias is None else y + bias.astype(x.dtype)[None, None, None]


def product1x1(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, precision: Precision = None
) -> jax.Array:
    """`conv1x1` written as the matrix product that it is; a kernel of (N,1,1,I,O) gives every picture its own.

    The TPU compiler estimates the product at a fifth of the equal convolution's cycles.
    """
    kernel = kernel.astype(x.dtype)
    if kernel.ndim == 5:
        y = jnp.einsum("nhwi,nio->nhwo", x, kernel[:, 0, 0], precision=precision)
    else:
        y = jnp.einsum("nhwi,io->nhwo", x, kernel[0, 0], precision=precision)
    return (y if bias is None else y + bias.astype(y.dtype)[None, None, None]).astype(x.dtype)


def conv3x3(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, precision: Precision = None
) -> jax.Array:
    """(N,H,W,I) -> (N,H,W,O) by a kernel of (3,3,I,O), zero padding of one pixel."""
    x = extent.zero_beyond(x)
    y = lax.conv_general_dilated(
        x, kernel.astype(x.dtype), (1, 1), ((1, 1), (1, 1)), dimension_numbers=LAYOUT, precision=precision
    )
    return y if bias is None else y + bias.astype(x.dtype)[None, None, None]


def transposed_conv(x: jax.Array, kernel: jax.Array, *, precision: Precision = None) -> jax.Array:
    """Transposed 3x3 convolution, stride 2, padding 1, output padding 1: (N,H,W,I) -> (N,2H,2W,O).

    `kernel[a,b]` multiplies the input pixel (i,j) into the output pixel (2i-1+a, 2j-1+b), as in torch.
    """
    x = extent.zero_beyond(x)
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1].astype(x.dtype),
        (1, 1),
        ((1, 2), (1, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=LAYOUT,
        precision=precision,
    )


def blur_down(x: jax.Array) -> jax.Array:
    """Halve height and width after the [1 2 1] x [1 2 1] / 16 filter, reflected borders: (N,H,W,C) -> (N,H/2,W/2,C).

    The anti-aliased downsampling of Zhang 2019. H and W must be even.
    """
    tap = jnp.array([1.0, 2.0, 1.0], x.dtype) / 4
    channels = x.shape[-1]
    kernel = jnp.broadcast_to(jnp.outer(tap, tap)[:, :, None, None], (3, 3, 1, channels))
    x = jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)), mode="reflect")
    return lax.conv_general_dilated(
        x, kernel, (2, 2), "VALID", dimension_numbers=LAYOUT, feature_group_count=channels, precision="highest"
    )


def bilinear_up(x: jax.Array) -> jax.Array:
    """Double height and width, half-pixel centres, edges clamped: (N,H,W,C) -> (N,2H,2W,C)."""
    x = extent.edge_beyond(x)
    n, h, w, c = x.shape
    return jax.image.resize(x, (n, 2 * h, 2 * w, c), "bilinear", precision="highest")


def total_and_maximum(x: jax.Array, valid: np.ndarray | None = None) -> tuple[jax.Array, jax.Array]:
    """Sum and maximum over height and width, (N,H,W,C) -> two float32 (N,C), in one pass over x.

    valid: bool, broadcast to x: what counts, if not all.
    The TPU compiler would take the maximum of bfloat16 in bfloat16, which chips without such arithmetic do slowly.
    """
    wide = x.astype(jnp.float32)
    start = jnp.zeros((), jnp.float32), jnp.full((), -jnp.inf, jnp.float32)
    values = (wide, wide) if valid is None else (jnp.where(valid, wide, 0), jnp.where(valid, wide, -jnp.inf))
    return lax.reduce(values, start, lambda a, b: (a[0] + b[0], jnp.maximum(a[1], b[1])), (1, 2))


def previous_along(x: jax.Array, axis: int) -> jax.Array:
    """x shifted by one along `axis`, the first entry repeated."""
    return jnp.concatenate([lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, 0, -1, axis=axis)], axis)


def next_along(x: jax.Array, axis: int) -> jax.Array:
    """x shifted by one along `axis` the other way, the last entry repeated."""
    return jnp.concatenate([lax.slice_in_dim(x, 1, None, axis=axis), lax.slice_in_dim(x, -1, None, axis=axis)], axis)


def blurred_half_along(x: jax.Array, axis: int) -> jax.Array:
    """One of the two directions of `blur_down`, as sums of every second entry along `axis`, whose length is even."""
    pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
    even = lax.index_in_dim(pairs, 0, axis + 1, keepdims=False)
    odd = lax.index_in_dim(pairs, 1, axis + 1, keepdims=False)
    return 0.25 * previous_along(odd, axis) + 0.5 * even + 0.25 * odd
