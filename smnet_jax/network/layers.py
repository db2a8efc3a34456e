"""The network's operations as pure functions, each in the forms that compilers like best.

Several forms of the layers exist, with the same parameters and the same results (to float32 rounding):

- "straight": each operation as papers draw it, 1x1 convolutions and `jax.image.resize` included. What one writes first;
  kept as the measure of the others.
- "conv": one convolution each, as papers draw them. TPU and GPU compilers do these well, and rows of the picture can be
  sharded over devices with nothing but neighbour exchange.
- "subpixel": the four output pixels of a x2 upsampling are four small dense convolutions, and the low-pass filters are
  sums of shifted slices. XLA's CPU backend has no fast path for dilated, strided or depthwise convolutions (their
  gradients are slower still), so this form takes less than half the time there. Without a gradient, wide layers of
  large pictures are computed by fewer products (`smnet_jax.network.cpu.winograd`).
- "packed": pairs of pixels side by side in the channels at full resolution, for TPUs (`smnet_jax.network.tpu`, with
  which these functions have nothing to do).

All arrays are NHWC; kernels are HWIO.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.network.cpu import gradients
from smnet_jax.network.cpu.gradients import LAYOUT

Form = Literal["auto", "straight", "conv", "subpixel", "packed"]
Precision = lax.PrecisionLike


def default_form(platform: str | None = None) -> Form:
    """The form that is fastest on a platform (JAX's name; None: the default backend's), measured or estimated."""
    forms: dict[str, Form] = {"cpu": "subpixel", "tpu": "packed"}
    return forms.get(platform or jax.default_backend(), "conv")


def prelu(x: jax.Array, slope: jax.Array) -> jax.Array:
    """x where positive, slope * x elsewhere; any shape, one slope (He et al. 2015)."""
    return jnp.where(x > 0, x, slope.astype(x.dtype) * x)


def conv1x1(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, precision: Precision = None, form: Form = "conv"
) -> jax.Array:
    """(N,H,W,I) -> (N,H,W,O) by a kernel of (1,1,I,O), written as the matrix product that it is.

    A kernel of (N,1,1,I,O) gives every picture of the batch its own. The TPU compiler estimates the product at a
    fifth of the equal convolution's cycles.
    """
    kernel = kernel.astype(x.dtype)
    if form == "subpixel":
        y = gradients.product(x, kernel[..., 0, 0, :, :], precision)
    elif kernel.ndim == 5:
        y = jnp.einsum("nhwi,nio->nhwo", x, kernel[:, 0, 0], precision=precision)
    else:
        y = jnp.einsum("nhwi,io->nhwo", x, kernel[0, 0], precision=precision)
    return (y if bias is None else y + bias.astype(y.dtype)).astype(x.dtype)


def straight_conv1x1(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, precision: Precision = None
) -> jax.Array:
    """`conv1x1` by one kernel (1,1,I,O) as the convolution that papers call it."""
    y = lax.conv_general_dilated(
        x, kernel.astype(x.dtype), (1, 1), "VALID", dimension_numbers=LAYOUT, precision=precision
    )
    return y if bias is None else y + bias.astype(x.dtype)


def conv3x3(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, precision: Precision = None, form: Form = "conv"
) -> jax.Array:
    """(N,H,W,I) -> (N,H,W,O), zero padding of one pixel."""
    kernel = kernel.astype(x.dtype)
    if form == "subpixel":
        y = gradients.conv3x3(x, kernel, precision)
    else:
        y = lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=LAYOUT, precision=precision)
    return y if bias is None else y + bias.astype(x.dtype)


def blur_down(x: jax.Array, form: Form) -> jax.Array:
    """Halve height and width after the [1 2 1] x [1 2 1] / 16 filter, reflected borders: (N,H,W,C) -> (N,H/2,W/2,C).

    The anti-aliased downsampling of Zhang 2019. H and W must be even.
    """
    if form == "subpixel":
        return _blur_down_axis(_blur_down_axis(x, 1), 2)
    tap = jnp.array([1.0, 2.0, 1.0], x.dtype) / 4
    channels = x.shape[-1]
    kernel = jnp.broadcast_to(jnp.outer(tap, tap)[:, :, None, None], (3, 3, 1, channels))
    x = jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)), mode="reflect")
    return lax.conv_general_dilated(
        x, kernel, (2, 2), "VALID", dimension_numbers=LAYOUT, feature_group_count=channels, precision="highest"
    )


def _blur_down_axis(x: jax.Array, axis: int) -> jax.Array:
    pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
    even = lax.index_in_dim(pairs, 0, axis + 1, keepdims=False)
    odd = lax.index_in_dim(pairs, 1, axis + 1, keepdims=False)
    return 0.25 * previous_along(odd, axis) + 0.5 * even + 0.25 * odd


def total_and_peak(x: jax.Array, within: np.ndarray | None = None) -> tuple[jax.Array, jax.Array]:
    """Sum and maximum over height and width, (N,H,W,C) -> two float32 (N,C), in one pass over x.

    within: bool, broadcast to x: what counts, if not all.
    The TPU compiler would take the maximum of bfloat16 in bfloat16, which chips without such arithmetic do slowly.
    """
    wide = x.astype(jnp.float32)
    start = jnp.zeros((), jnp.float32), jnp.full((), -jnp.inf, jnp.float32)
    values = (wide, wide) if within is None else (jnp.where(within, wide, 0), jnp.where(within, wide, -jnp.inf))
    return lax.reduce(values, start, lambda a, b: (a[0] + b[0], jnp.maximum(a[1], b[1])), (1, 2))


def bilinear_up(x: jax.Array, form: Form) -> jax.Array:
    """Double height and width, half-pixel centres, edges clamped: (N,H,W,C) -> (N,2H,2W,C)."""
    if form == "subpixel":
        return interleave(bilinear_up_phases(x))
    if form == "straight":
        n, h, w, c = x.shape
        return jax.image.resize(x, (n, 2 * h, 2 * w, c), "bilinear", precision="highest")
    # The same numbers as one dilated depthwise convolution. `jax.image.resize` would gather the whole picture on
    # every device when rows are sharded.
    channels = x.shape[-1]
    tap = jnp.array([1.0, 3.0, 3.0, 1.0], x.dtype) / 4
    kernel = jnp.broadcast_to(jnp.outer(tap, tap)[:, :, None, None], (4, 4, 1, channels))
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        ((0, 0), (0, 0)),
        lhs_dilation=(2, 2),
        dimension_numbers=LAYOUT,
        feature_group_count=channels,
        precision="highest",
    )


def bilinear_up_phases(x: jax.Array) -> list[list[jax.Array]]:
    """`bilinear_up` before interleaving: `[a][b]` holds the output pixels (2i+a, 2j+b), each (N,H,W,C)."""
    rows = [0.75 * x + 0.25 * previous_along(x, 1), 0.75 * x + 0.25 * next_along(x, 1)]
    return [[0.75 * r + 0.25 * previous_along(r, 2), 0.75 * r + 0.25 * next_along(r, 2)] for r in rows]


def transposed_conv(x: jax.Array, kernel: jax.Array, *, precision: Precision = None) -> jax.Array:
    """Transposed 3x3 convolution, stride 2, padding 1, output padding 1: (N,H,W,I) -> (N,2H,2W,O).

    `kernel[a,b]` multiplies the input pixel (i,j) into the output pixel (2i-1+a, 2j-1+b), as in torch.
    """
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1].astype(x.dtype),
        (1, 1),
        ((1, 2), (1, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=LAYOUT,
        precision=precision,
    )


def transposed_conv_phases(x: jax.Array, kernel: jax.Array, *, precision: Precision = None) -> list[list[jax.Array]]:
    """`transposed_conv` before interleaving: `[a][b]` holds the output pixels (2i+a, 2j+b), each (N,H,W,O).

    An even output row sees one input row (through kernel row 1), an odd one sees two (through rows 2 and 0).
    """
    return gradients.transposed_conv_phases(x, kernel.astype(x.dtype), precision)


def interleave(phases: list[list[jax.Array]]) -> jax.Array:
    """Four (N,H,W,C), `[a][b]` being the pixels (2i+a, 2j+b), to one (N,2H,2W,C)."""
    n, h, w, c = phases[0][0].shape
    rows = [jnp.stack(row, axis=3) for row in phases]
    return jnp.stack(rows, axis=2).reshape(n, 2 * h, 2 * w, c)


def previous_along(x: jax.Array, axis: int) -> jax.Array:
    """x shifted by one along `axis`, the first entry repeated."""
    return jnp.concatenate([lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, 0, -1, axis=axis)], axis)


def next_along(x: jax.Array, axis: int) -> jax.Array:
    """x shifted by one along `axis` the other way, the last entry repeated."""
    return jnp.concatenate([lax.slice_in_dim(x, 1, None, axis=axis), lax.slice_in_dim(x, -1, None, axis=axis)], axis)
