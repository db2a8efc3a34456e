"""The network as the TPU compiler likes it: lane packing at full resolution, few passes over the features.

Between the stem and the head, features at full resolution are packed, (N,H,W/2,2c); the package's docstring has the
words. Within a block those of all scales are concatenated in odd phase.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from smnet_jax.network import definition, layers
from smnet_jax.network.definition import PReLU
from smnet_jax.network.tpu import concat, lane_packing
from smnet_jax.network.tpu.down import blur_down, blur_down_pixels
from smnet_jax.network.tpu.lane_packing import Packing, pack, pack_odd, unpack, unpack_odd
from smnet_jax.network.tpu.strips import Strips
from smnet_jax.network.tpu.up import UpKernels, up_into


class Concatenated(NamedTuple):
    """Features of all scales side by side, z (N,H,W/2+1,6c) in odd phase, and the three that it was made of."""

    z: jax.Array
    members: tuple[jax.Array, jax.Array, jax.Array]

    def statistics(self, cut: Strips | None = None) -> tuple[jax.Array, jax.Array]:
        """Mean and maximum over the picture, two float32 (N,3c); with `cut`, z holds the strips of pictures."""
        return concat.statistics(self.z, self.members, cut)


class Conv(definition.Conv):
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = layers.product1x1 if self.size == 1 else layers.conv3x3
        return conv(x, self.kernel, self.bias, precision=self.precision)


class FEM(definition.FEM):
    """The module with as few passes over the features as there are activations.

    In lol the second convolution is merged with both 1x1 before it, biases included: a constant input to a zero-padded
    convolution differs at the border only. Features in odd phase, (N,H,W/2+1,2k), must come in zero beside the picture;
    what the result holds there is not defined.
    """

    packing: Packing = "none"
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        there, back = {
            "none": (layers.conv3x3, layers.conv3x3),
            "even": (lane_packing.conv3x3_to_odd, lane_packing.conv3x3_to_even),
            "odd": (lane_packing.conv3x3_to_even, lane_packing.conv3x3_to_odd),
        }[self.packing]
        y = self.act1(there(x, self.conv1.kernel, self.conv1.bias, precision=self.precision))
        kernel, bias = self.conv2.kernel, self.conv2.bias
        if self.packing != "none":
            bias = lane_packing.twice(bias)
        if self.variant == "lol":
            kernel, taps = self._merged()
            bias = bias[None, None] + lane_packing.border_bias(taps, x.shape[1], x.shape[2], self.packing)
        else:
            bias = bias[None, None]
            y = self.reduce_act(self._conv1x1(y, self.reduce))
            y = self.expand_act(self._conv1x1(y, self.expand))
        if self.packing == "even":
            y = lane_packing.masked(y)
        return self.act2(back(y, kernel, None, precision=self.precision) + bias[None].astype(x.dtype)) + x

    def _conv1x1(self, y: jax.Array, conv: definition.Conv) -> jax.Array:
        if self.packing == "none":
            return conv(y)
        kernel, bias = lane_packing.twice1x1(conv.kernel), lane_packing.twice(conv.bias)
        return layers.product1x1(y, kernel, bias, precision=self.precision)

    def _merged(self) -> tuple[jax.Array, jax.Array]:
        """`reduce`, `expand` and `conv2` as one kernel (3,3,k,k), and what their biases add by tap, (3,3,k)."""
        first = jnp.dot(self.reduce.kernel[0, 0], self.expand.kernel[0, 0], precision="highest")
        constant = jnp.dot(self.reduce.bias, self.expand.kernel[0, 0], precision="highest") + self.expand.bias
        kernel = jnp.einsum("im,hwmo->hwio", first, self.conv2.kernel, precision="highest")
        return kernel, jnp.einsum("m,hwmo->hwo", constant, self.conv2.kernel, precision="highest")


class Down(definition.Down):
    """From (N,H,W,k) or, `packed`, from (N,H,W/2,2k) to (N,H/2,W/2,2k)."""

    packed: bool = False
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        convolve = lane_packing.conv3x3_to_odd if self.packed else layers.conv3x3
        x = convolve(x, self.conv.kernel, None, precision=self.precision)
        return (blur_down if self.packed else blur_down_pixels)(x, self.act.slope, self.expand.kernel, self.precision)


class Up(definition.Up):
    """From (N,H,W,k) to (N,2H,2W,k/2) or, `packed`, to odd phase (N,2H,W+1,k)."""

    packed: bool = False
    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array) -> jax.Array:
        n, h, w, _ = x.shape
        shape = (n, 2 * h, w + 1, self.features) if self.packed else (n, 2 * h, 2 * w, self.features // 2)
        return self.into(jax.lax.empty(shape, x.dtype), 0, x)[0]

    def into(self, z: jax.Array, at: int, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """z, as many pixels as the result with more channels, with the result written in from channel `at` on; and the
        result. What z held there must be uninitialised."""
        kernels = UpKernels(self.up.kernel, self.act2.slope, self.reduce.kernel, self.skip.kernel)
        return up_into(z, at, self.act1(self.conv(x)), x, kernels, self.packed, self.precision)


class GFRM(definition.GFRM):
    """From and to odd phase, (N,H,W/2+1,6c), zero beside the picture."""

    Conv: ClassVar = Conv

    def __call__(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """`s` scales the features: kernels of their own would keep the pictures of a batch from sharing one product."""
        scales = jnp.split((1 + s)[:, None, None], 3, axis=-1)
        scale = jnp.concatenate([lane_packing.twice(scale) for scale in scales], axis=-1)
        kernels = [lane_packing.twice1x1(kernel) for kernel in jnp.split(self.out.kernel, 3, axis=2)]
        kernel: jax.Array = jnp.concatenate(kernels, axis=2)
        # A convolution and no product, for the TPU compiler scales what it reads.
        y = lane_packing.conv1x1(z * scale.astype(z.dtype), kernel, self.precision)
        return lane_packing.masked(
            self.out_act(y + lane_packing.twice(self.out.bias).astype(y.dtype)[None, None, None])
        )


class LGBlock(definition.LGBlock):
    """From and to packed features, (N,H,W/2,2c)."""

    Conv: ClassVar = Conv
    Down: ClassVar = Down
    FEM: ClassVar = FEM
    Up: ClassVar = Up
    GFRM: ClassVar = GFRM

    def setup(self) -> None:
        c, variant, precision = self.width, self.variant, self.precision
        self.act = PReLU()
        self.down_full, self.down_half = Down(c, precision, packed=True), Down(2 * c, precision)
        self.fem_full = FEM(c, variant, precision, packing="odd")
        self.fem_half, self.fem_quarter = FEM(2 * c, variant, precision), FEM(4 * c, variant, precision)
        self.up_half, self.up_quarter = Up(2 * c, precision, packed=True), Up(4 * c, precision)
        self.gfrm = GFRM(3 * c, variant, precision)
        self.fuse = Conv(3 * c, c, 3, precision=precision)

    def local(self, x: jax.Array) -> Concatenated:
        half = self.down_full(x)  # (N,H/2,W/2,2c)
        quarter = self.down_half(half)  # (N,H/4,W/4,4c)
        q = self.fem_quarter(quarter)
        q_up = self.up_quarter(q)  # (N,H/2,W/2,2c)
        h = self.fem_half(self.act(half) + q_up)
        # All members are written into z in place.
        size = x.shape[-1]
        at_h, at_q = (size, 2 * size) if self.variant == "lol" else (2 * size, size)
        z = jax.lax.empty((*x.shape[:2], x.shape[2] + 1, 3 * size), x.dtype)
        z, h_up = self.up_half.into(z, at_h, h)
        # The barrier has h_up read before z is written again: else z would be copied.
        z, f = jax.lax.optimization_barrier((z, lane_packing.to_odd(self.act(x)) + lane_packing.masked(h_up)))
        z, f = concat.place(z, self.fem_full(f), 0)
        z, q_up_up = self.up_half.into(z, at_q, q_up)
        members = (f, h_up, q_up_up) if self.variant == "lol" else (f, q_up_up, h_up)
        self.record(half=half, quarter=quarter, fem_quarter=q, quarter_up=q_up, fem_half=h, fem_full=unpack_odd(f))
        return Concatenated(z, members)

    def statistics(self, z: Concatenated) -> tuple[jax.Array, jax.Array]:
        return z.statistics()

    def recalibrate(self, z: Concatenated, s: jax.Array, x: jax.Array) -> jax.Array:
        y = self.gfrm(z.z, s)
        self.record(gfrm=unpack_odd(y))
        return lane_packing.conv3x3_to_even(y, self.fuse.kernel, self.fuse.bias, precision=self.precision) + x


class Stem(definition.Stem):
    """To packed features, (N,H,W,4) -> (N,H,W/2,2c)."""

    Conv: ClassVar = Conv
    FEM: ClassVar = FEM

    def setup(self) -> None:
        self.conv, self.act = Conv(4, self.width, 3, precision=self.precision), PReLU()
        self.fem = FEM(self.width, self.variant, self.precision, packing="even")

    def __call__(self, x: jax.Array) -> jax.Array:
        y = lane_packing.conv3x3(pack(x), self.conv.kernel, self.conv.bias, precision=self.precision)
        return self.fem(self.act(y))


class Head(definition.Head):
    """From packed features, (N,H,W/2,2c)."""

    Conv: ClassVar = Conv

    def __call__(self, x: jax.Array, bright: jax.Array) -> jax.Array:
        x = x.astype(jnp.float32)
        y = unpack(lane_packing.conv3x3(x, self.conv.kernel, self.conv.bias, precision=self.precision))
        if self.variant == "fivek":
            y = self.act(y)
        return self.out(y + bright)


def pack_concatenated(z: jax.Array) -> Concatenated:
    """(N,H,W,3c), zero beside the picture in odd phase: what `LGBlock.recalibrate` takes."""
    first, second, third = (pack_odd(member) for member in jnp.split(z, 3, axis=-1))
    return Concatenated(jnp.concatenate([first, second, third], axis=-1), (first, second, third))


def unpack_concatenated(z: Concatenated) -> jax.Array:
    """What `LGBlock.local` gives, to (N,H,W,3c)."""
    return jnp.concatenate([unpack_odd(member) for member in jnp.split(z.z, 3, axis=-1)], axis=-1)
