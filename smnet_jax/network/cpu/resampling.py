"""Resampling for XLA's CPU backend, which has no fast path for dilated, strided or depthwise convolutions.

The low-pass filters are sums of shifted slices. The four output pixels of a x2 upsampling, its phases, are small dense
operations on the input (polyphase), and are interleaved at the end.
"""

import jax

from smnet_jax.network import extent
from smnet_jax.network.cpu import gradients
from smnet_jax.network.layers import Precision, blurred_half_along


def blur_down(x: jax.Array) -> jax.Array:
    """`layers.blur_down` by slices: (N,H,W,C) -> (N,H/2,W/2,C)."""
    return blurred_half_along(blurred_half_along(x, 1), 2)


def bilinear_up_phases(x: jax.Array) -> list[list[jax.Array]]:
    """`layers.bilinear_up` before interleaving: `[a][b]` holds the output pixels (2i+a, 2j+b), each (N,H,W,C)."""
    return gradients.bilinear_up_phases(extent.edge_beyond(x))


def transposed_conv_phases(x: jax.Array, kernel: jax.Array, *, precision: Precision = None) -> list[list[jax.Array]]:
    """`layers.transposed_conv` before interleaving: `[a][b]` holds the output pixels (2i+a, 2j+b), each (N,H,W,O).

    An even output row sees one input row (through kernel row 1), an odd one sees two (through rows 2 and 0).
    """
    return gradients.transposed_conv_phases(extent.zero_beyond(x), kernel.astype(x.dtype), precision)


def interleave(phases: list[list[jax.Array]]) -> jax.Array:
    """Four (N,H,W,C), `[a][b]` being the pixels (2i+a, 2j+b), to one (N,2H,2W,C)."""
    return gradients.interleave(phases)
