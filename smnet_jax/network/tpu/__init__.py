"""Full-resolution layers on pairs of pixels: the "packed" form, for units that multiply 128 channels at a time.

A picture of features (N,H,W,c) is held as (N,H,W/2,2c): two horizontal neighbours side by side in the channels, the
left one first. With c = 64 that fills the 128 lanes of a TPU, half of which would idle. The layers are the same linear
maps with the same parameters; their kernels are rewritten here, with zeros where a pixel does not see another.

A 3x3 convolution of pairs sees three pairs of columns and uses half of that. From pairs to pairs that begin one pixel
earlier (columns -1 and 0, 1 and 2, ..., W-1 and W: "shifted", W/2+1 pairs) it sees only two and uses three quarters;
so does the way back. Layers that come in twos go there and back; the features of all scales are joined as shifted
pairs, and the 3x3 after them leads back. What the shifted pairs hold outside the picture is nobody's pixel: it must be
made zero before the way back.
"""

from smnet_jax.network.tpu.concat import place, statistics
from smnet_jax.network.tpu.down import blur_down, blur_down_pixels
from smnet_jax.network.tpu.lane_packing import (
    Pairs,
    border_bias,
    conv1x1,
    conv3x3,
    conv3x3_shift,
    conv3x3_unshift,
    inside,
    pack,
    pack_shifted,
    shift,
    twice,
    twice1x1,
    unpack,
    unpack_shifted,
)
from smnet_jax.network.tpu.pooling import max_pool, max_pool_pixels
from smnet_jax.network.tpu.up import UpKernels, up_into

__all__ = [
    "Pairs",
    "UpKernels",
    "blur_down",
    "blur_down_pixels",
    "border_bias",
    "conv1x1",
    "conv3x3",
    "conv3x3_shift",
    "conv3x3_unshift",
    "inside",
    "max_pool",
    "max_pool_pixels",
    "pack",
    "pack_shifted",
    "place",
    "shift",
    "statistics",
    "twice",
    "twice1x1",
    "unpack",
    "unpack_shifted",
    "up_into",
]
