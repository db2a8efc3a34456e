"""The network as XLA's CPU backend likes it: linear layers merged, resampling by phases, gradients written out.

The backend's gradients of dilated, strided and depthwise convolutions are slower still than the convolutions, so this
takes less than half the time there. Without a gradient, wide layers of large pictures are computed by fewer products
(`winograd`).
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from smnet_jax.network import definition, extent
from smnet_jax.network.cpu import gradients, resampling
from smnet_jax.network.layers import Precision


def conv1x1(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, precision: Precision) -> jax.Array:
    """(N,H,W,I) -> (N,H,W,O) by a kernel of (1,1,I,O), or of (N,1,1,I,O): one for each picture."""
    y = gradients.product(x, kernel.astype(x.dtype)[..., 0, 0, :, :], precision)
    return (y if bias is None else y + bias.astype(y.dtype)[None, None, None]).astype(x.dtype)


def conv3x3(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, precision: Precision, constant: int = 0
) -> jax.Array:
    """(N,H,W,I) -> (N,H,W,O) by a kernel of (3,3,I,O), zero padding of one pixel; `constant` as in `gradients`."""
    y = gradients.conv3x3(extent.zero_beyond(x), kernel.astype(x.dtype), precision, constant)
    return y if bias is None else y + bias.astype(x.dtype)[None, None, None]


class Conv(definition.Conv):
    def __call__(self, x: jax.Array) -> jax.Array:
        return (conv1x1 if self.size == 1 else conv3x3)(x, self.kernel, self.bias, self.precision)


class FEM(definition.FEM):
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.variant == "fivek":
            return super().__call__(x)
        y = self.reduce(self.act1(self.conv1(x)))  # (N,H,W,k/4)
        return self.act2(self._expand_then_conv2(y)) + x

    def _expand_then_conv2(self, y: jax.Array) -> jax.Array:
        """`expand` and `conv2` as the one linear map that they are: a 3x3 on k/4 channels instead of k.

        A further input channel of ones carries the bias of `expand`: the zero padding of `conv2` cuts it off at the
        border exactly as it does in two steps.
        """
        first = jnp.concatenate([self.expand.kernel[0, 0], self.expand.bias[None]])  # (k/4 + 1, k)
        merged = jnp.einsum("im,hwmo->hwio", first, self.conv2.kernel, precision="highest")
        y = jnp.concatenate([y, jnp.ones((*y.shape[:3], 1), y.dtype)], axis=-1)
        return conv3x3(y, merged, self.conv2.bias, self.precision, constant=1)


class Down(definition.Down):
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.expand(resampling.blur_down(self.act(self.conv(x))))


class Up(definition.Up):
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        """Everything stays at the low resolution until one last interleaving of half the channels."""
        top = self.act1(self.conv(x))
        bottom = self.skip(x)  # before the upsampling, which commutes with it: a quarter of the work
        tops = resampling.transposed_conv_phases(top, self.up.kernel, precision=self.precision)
        bottoms = resampling.bilinear_up_phases(bottom)
        return resampling.interleave(
            [
                [self.reduce(self.act2(t)) + b for t, b in zip(ts, bs, strict=True)]
                for ts, bs in zip(tops, bottoms, strict=True)
            ]
        )


class GFRM(definition.GFRM):
    Conv: ClassVar = Conv

    def __call__(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """`s` scales input channels, so it goes into the kernel, and z is read only once."""
        kernel = (1 + s)[:, None, None, :, None] * self.out.kernel[None]  # (N,1,1,3c,3c)
        return self.out_act(conv1x1(z, kernel, self.out.bias, self.precision))


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
