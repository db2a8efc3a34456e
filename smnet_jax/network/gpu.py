"""The network as compilers of GPUs like it: 1x1 convolutions as products, fewer of them, resampling as sums.

Rows of a picture can be sharded over devices, and XLA gathers it whole on none, forward or back; on every platform this
is therefore the implementation for spatial sharding.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from smnet_jax.network import definition, extent, layers
from smnet_jax.network.layers import LAYOUT, Precision


def blur_down(x: jax.Array) -> jax.Array:
    """`layers.blur_down` as sums of every second row, then column, which XLA fuses into one kernel.

    A depthwise convolution took twice as long on an NVIDIA H200.
    """
    return layers.blurred_half_along(layers.blurred_half_along(_wide(x), 1), 2).astype(x.dtype)


def _wide(x: jax.Array) -> jax.Array:
    """At least float32: a kernel that XLA fuses keeps no intermediate, so exact sums cost nothing."""
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def bilinear_up(x: jax.Array) -> jax.Array:
    """`layers.bilinear_up` as sums of neighbours, which XLA fuses into one kernel.

    A dilated depthwise convolution took up to 17 times as long on an NVIDIA H200; `jax.image.resize` would gather the
    whole picture on every device when rows are sharded.
    """
    return _double(_double(_wide(extent.edge_beyond(x)), 1), 2).astype(x.dtype)


def _double(x: jax.Array, axis: int) -> jax.Array:
    even = 0.25 * layers.previous_along(x, axis) + 0.75 * x
    odd = 0.75 * x + 0.25 * layers.next_along(x, axis)
    shape = (*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def transposed_conv(x: jax.Array, kernel: jax.Array, *, precision: Precision = None) -> jax.Array:
    """`layers.transposed_conv` as one 2x2 convolution to the four pixels of each output cell, laid side by side.

    The dilated convolution's own gradient with respect to its kernel is one that XLA does not take to cuDNN's routine
    for it: on an NVIDIA H200 nine of them were 92 % of a training step of `lol-small`.
    """
    x = extent.zero_beyond(x)
    kernel = kernel.astype(x.dtype)
    outputs = kernel.shape[3]
    phases = [[_cell(kernel, a, b) for b in (0, 1)] for a in (0, 1)]
    cells = jnp.concatenate([*phases[0], *phases[1]], axis=-1)  # (2,2,I,4*O)
    y = lax.conv_general_dilated(x, cells, (1, 1), ((0, 1), (0, 1)), dimension_numbers=LAYOUT, precision=precision)
    n, h, w, _ = y.shape
    return y.reshape(n, h, w, 2, 2, outputs).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, outputs)


def _cell(kernel: jax.Array, a: int, b: int) -> jax.Array:
    """What of a (3,3,I,O) kernel makes the output pixels (2i+a, 2j+b), as a (2,2,I,O) kernel on input pixels.

    An even output row sees one input row, through row 1; an odd one sees two, through rows 2 and 0.
    """
    for axis, odd in ((0, a), (1, b)):
        kernel = _taps(kernel, axis, odd)
    return kernel


def _taps(kernel: jax.Array, axis: int, odd: int) -> jax.Array:
    if odd:
        return lax.rev(lax.slice_in_dim(kernel, 0, 3, 2, axis), (axis,))
    one = lax.slice_in_dim(kernel, 1, 2, axis=axis)
    return jnp.concatenate([one, jnp.zeros_like(one)], axis)


class Conv(definition.Conv):
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = layers.product1x1 if self.size == 1 else layers.conv3x3
        return conv(x, self.kernel, self.bias, precision=self.precision)


class FEM(definition.FEM):
    Conv: ClassVar = Conv


class Down(definition.Down):
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.expand(blur_down(self.act(self.conv(x))))


class Up(definition.Up):
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        top = self.act1(self.conv(x))
        bottom = self.skip(x)  # before the upsampling, which commutes with it: a quarter of the work
        top = self.reduce(self.act2(transposed_conv(top, self.up.kernel, precision=self.precision)))
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
