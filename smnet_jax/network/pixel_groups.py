"""3x3 convolutions of few channels on several neighbouring pixels at once, for XLA's CPU backend.

With three or five channels a pixel does not fill the processor's vectors. Side by side in a row, pixels of C channels
are already one pixel of 2 C or 4 C channels: the same numbers under another shape. The kernel then holds each tap once
for every pixel of a group, and zeros where a pixel does not see another: two or four times the products, in less time
(`docs/lab/performance.md`).

Of the groups beside it, a group needs a pixel each, or two where taps lie two apart. Up to eight channels, these are
put beside the group's own, and the kernel is one column wide: fewer products, and enough channels for XLA to take its
faster convolution.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.network.layers import LAYOUT, Precision

FEW = 80
"""Input times output channels up to which it pays; by timing."""

VERY_FEW = 32
"""Up to which groups of four pixels are better than pairs."""

NARROW = 8
"""Channels, the larger of input's and output's, up to which a group gets its neighbouring pixels; by timing."""


def size(x: jax.Array, kernel: jax.Array) -> int:
    """How many pixels at once for (N,H,W,I) by (3,3,I,O): 1, 2 or 4."""
    width, (inputs, outputs) = x.shape[2], kernel.shape[2:]
    if not isinstance(width, int) or inputs * outputs > FEW:
        return 1
    wanted = 4 if inputs * outputs <= VERY_FEW else 2
    return next(pixels for pixels in (wanted, 2, 1) if width % pixels == 0)


def conv3x3(x: jax.Array, kernel: jax.Array, precision: Precision, pixels: int, dilation: int = 1) -> jax.Array:
    """(N,H,W,I) by (3,3,I,O), zeros round the picture, `pixels` at once: (N,H,W,O).

    pixels: divides W. dilation: pixels from tap to tap, no more than `pixels`.
    """
    n, h, w, inputs = x.shape
    outputs = kernel.shape[3]
    groups = x.reshape(n, h, w // pixels, pixels * inputs)
    narrow = max(inputs, outputs) <= NARROW
    if narrow:
        beside = dilation * inputs
        left = jnp.pad(groups[:, :, :-1, -beside:], [(0, 0), (0, 0), (1, 0), (0, 0)])
        right = jnp.pad(groups[:, :, 1:, :beside], [(0, 0), (0, 0), (0, 1), (0, 0)])
        groups = jnp.concatenate([left, groups, right], -1)
    # Of a group's pixel q, tap t lies on pixel q + (t - 1) dilation counted from the group's first: in this group or
    # beside it.
    first, columns, seen = (-dilation, 1, pixels + 2 * dilation) if narrow else (-pixels, 3, pixels)
    taps = np.zeros((3, columns, seen, pixels), np.float32)  # tap; column of the kernel; its pixel; q
    for q in range(pixels):
        for t in range(3):
            taps[t, *divmod(q + (t - 1) * dilation - first, seen), q] = 1
    spread = jnp.einsum("tgpq,stio->sgpiqo", taps.astype(kernel.dtype), kernel, precision="highest")
    y = lax.conv_general_dilated(
        groups,
        spread.reshape(3, columns, seen * inputs, pixels * outputs),
        (1, 1),
        ((dilation, dilation), (columns // 2, columns // 2)),
        rhs_dilation=(dilation, 1),
        dimension_numbers=LAYOUT,
        precision=precision,
    )
    return y.reshape(n, h, w, outputs)
