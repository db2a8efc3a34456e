"""The network as the TPU compiler likes it: lane packing, for units that multiply 128 channels at a time.

Features at full resolution (N,H,W,c) are held as (N,H,W/2,2c): two horizontal neighbours side by side in the channels,
the left one first (1x2 space-to-depth). With c = 64 that fills the 128 lanes of a TPU, half of which would idle. The
layers are the same linear maps with the same parameters; their kernels are rewritten here, with zeros where a pixel
does not see another.

A 3x3 convolution of pairs sees three pairs of columns and uses half of that. The odd phase helps: its pairs begin one
pixel earlier, columns -1 and 0, 1 and 2, ..., W-1 and W, so there are W/2+1 of them. From the even phase to the odd one
a convolution sees only two pairs and uses three quarters; so does the way back. Layers that come in twos go there and
back; the features of all scales are concatenated in odd phase, and the 3x3 after them leads back. What the odd phase
holds beside the picture must be made zero (`masked`) before the way back.
"""

from smnet_jax.network.tpu.concat import place, statistics
from smnet_jax.network.tpu.down import blur_down, blur_down_pixels
from smnet_jax.network.tpu.lane_packing import (
    Packing,
    border_bias,
    conv1x1,
    conv3x3,
    conv3x3_to_even,
    conv3x3_to_odd,
    masked,
    pack,
    pack_odd,
    to_odd,
    twice,
    twice1x1,
    unpack,
    unpack_odd,
)
from smnet_jax.network.tpu.pooling import max_pool, max_pool_pixels
from smnet_jax.network.tpu.up import UpKernels, up_into

__all__ = [
    "Packing",
    "UpKernels",
    "blur_down",
    "blur_down_pixels",
    "border_bias",
    "conv1x1",
    "conv3x3",
    "conv3x3_to_even",
    "conv3x3_to_odd",
    "masked",
    "max_pool",
    "max_pool_pixels",
    "pack",
    "pack_odd",
    "place",
    "statistics",
    "to_odd",
    "twice",
    "twice1x1",
    "unpack",
    "unpack_odd",
    "up_into",
]
