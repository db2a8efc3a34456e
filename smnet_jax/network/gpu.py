"""The network as compilers of GPUs like it: 1x1 convolutions as products, fewer of them, resampling as one convolution.

Rows of a picture can be sharded over devices with nothing but neighbour exchange; on every platform this is therefore
the implementation for spatial sharding.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from smnet_jax.network import definition, extent, layers
from smnet_jax.network.layers import LAYOUT


def bilinear_up(x: jax.Array) -> jax.Array:
    """`layers.bilinear_up` as one dilated depthwise convolution.

    `jax.image.resize` would gather the whole picture on every device when rows are sharded.
    """
    channels = x.shape[-1]
    tap = jnp.array([1.0, 3.0, 3.0, 1.0], x.dtype) / 4
    kernel = jnp.broadcast_to(jnp.outer(tap, tap)[:, :, None, None], (4, 4, 1, channels))
    x = jnp.pad(extent.edge_beyond(x), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
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


class Conv(definition.Conv):
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = layers.product1x1 if self.size == 1 else layers.conv3x3
        return conv(x, self.kernel, self.bias, precision=self.precision)


class FEM(definition.FEM):
    Conv: ClassVar = Conv


class Down(definition.Down):
    Conv: ClassVar = Conv


class Up(definition.Up):
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        top = self.act1(self.conv(x))
        bottom = self.skip(x)  # before the upsampling, which commutes with it: a quarter of the work
        top = self.reduce(self.act2(layers.transposed_conv(top, self.up.kernel, precision=self.precision)))
        return top + bilinear_up(bottom)


class GFRM(definition.GFRM):
    Conv: ClassVar = Conv

    def __call__(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """`s` scales input channels, so it goes into the kernel, and z is read only once."""
        kernel = (1 + s)[:, None, None, :, None] * self.out.kernel[None]  # (N,1,1,3c,3c)
        return self.out_act(layers.product1x1(z, kernel, self.out.bias, precision=self.precision))


class LGBlock(definition.LGBlock):
    Conv: ClassVar = Conv
    Down: ClassVar = Down
    FEM: ClassVar = FEM
    Up: ClassVar = Up
    GFRM: ClassVar = GFRM


class Stem(definition.Stem):
    Conv: ClassVar = Conv
    FEM: ClassVar = FEM


class Head(definition.Head):
    Conv: ClassVar = Conv
