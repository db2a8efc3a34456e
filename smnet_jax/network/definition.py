"""SMNet as the paper draws it (Lin et al., "SMNet: Synchronous Multi-Scale Low Light Enhancement Network with Local and
Global Concern", IEEE Transactions on Multimedia): parameters, their names, and what is computed.

The packages `cpu`, `gpu` and `tpu` beside this file compute the same functions of the same parameters, each as one
family of compilers likes it. Shapes are NHWC; c is the width. The two released variants, `lol` and `fivek`, are one
network with a field; the L&G block is made once and called `blocks` times.
"""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from smnet_jax.network import extent, layers
from smnet_jax.network.layers import Precision

Variant = Literal["lol", "fivek"]


class Conv(nn.Module):
    """Convolution (N,H,W,inputs) -> (N,H,W,outputs), zero padding; initialised as torch does it."""

    inputs: int
    outputs: int
    size: Literal[1, 3]
    use_bias: bool = True
    precision: Precision = None

    def setup(self) -> None:
        init = torch_uniform(self.inputs * self.size**2)
        self.kernel = self.param("kernel", init, (self.size, self.size, self.inputs, self.outputs))
        self.bias: Any = self.param("bias", init, (self.outputs,)) if self.use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        conv = layers.conv1x1 if self.size == 1 else layers.conv3x3
        return conv(x, self.kernel, self.bias, precision=self.precision)


class PReLU(nn.Module):
    """x where positive, slope * x elsewhere; one slope, 0.25 at first as in torch."""

    def setup(self) -> None:
        self.slope = self.param("slope", nn.initializers.constant(0.25), ())

    def __call__(self, x: jax.Array) -> jax.Array:
        return layers.prelu(x, self.slope)


class Dense(nn.Module):
    """(N,inputs) -> (N,outputs) without bias, always float32: these few numbers steer whole channels."""

    inputs: int
    outputs: int

    def setup(self) -> None:
        self.kernel = self.param("kernel", torch_uniform(self.inputs), (self.inputs, self.outputs))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.dot(x, self.kernel, precision="highest")


class FEM(nn.Module):
    """Feature extraction module, (N,H,W,k) -> (N,H,W,k): 3x3, a 1x1 bottleneck, 3x3, and the input added."""

    features: int
    variant: Variant
    precision: Precision = None
    Conv: ClassVar[type[Conv]] = Conv

    def setup(self) -> None:
        k, squeezed = self.features, self.features // 4
        self.conv1, self.act1 = self.Conv(k, k, 3, precision=self.precision), PReLU()
        self.reduce = self.Conv(k, squeezed, 1, precision=self.precision)
        self.expand = self.Conv(squeezed, k, 1, precision=self.precision)
        if self.variant == "fivek":
            self.reduce_act, self.expand_act = PReLU(), PReLU()
        self.conv2, self.act2 = self.Conv(k, k, 3, precision=self.precision), PReLU()

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.reduce(self.act1(self.conv1(x)))  # (N,H,W,k/4)
        y = self.expand_act(self.expand(self.reduce_act(y))) if self.variant == "fivek" else self.expand(y)
        return self.act2(self.conv2(y)) + x


class Down(nn.Module):
    """Halve the resolution, double the features: (N,H,W,k) -> (N,H/2,W/2,2k)."""

    features: int
    precision: Precision = None
    Conv: ClassVar[type[Conv]] = Conv

    def setup(self) -> None:
        k = self.features
        self.conv, self.act = self.Conv(k, k, 3, use_bias=False, precision=self.precision), PReLU()
        self.expand = self.Conv(k, 2 * k, 1, use_bias=False, precision=self.precision)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.expand(layers.blur_down(self.act(self.conv(x))))


class Up(nn.Module):
    """Double the resolution, halve the features: (N,H,W,k) -> (N,2H,2W,k/2); a learned path plus a bilinear one."""

    features: int
    precision: Precision = None
    Conv: ClassVar[type[Conv]] = Conv

    def setup(self) -> None:
        k = self.features
        self.conv, self.act1 = self.Conv(k, k, 1, use_bias=False, precision=self.precision), PReLU()
        self.up = self.Conv(k, k, 3, use_bias=False, precision=self.precision)  # the kernel of a transposed convolution
        self.act2 = PReLU()
        self.reduce = self.Conv(k, k // 2, 1, use_bias=False, precision=self.precision)
        self.skip = self.Conv(k, k // 2, 1, use_bias=False, precision=self.precision)

    def __call__(self, x: jax.Array) -> jax.Array:
        top = layers.transposed_conv(self.act1(self.conv(x)), self.up.kernel, precision=self.precision)
        return self.reduce(self.act2(top)) + self.skip(layers.bilinear_up(x))


class GFRM(nn.Module):
    """Global feature recalibration: reweight the channels of z (N,H,W,3c) by what the whole picture looks like."""

    features: int  # 3c
    variant: Variant
    precision: Precision = None
    Conv: ClassVar[type[Conv]] = Conv

    def setup(self) -> None:
        k, squeezed = self.features, max(1, self.features // 16)
        self.fc1, self.fc2 = Dense(k, squeezed), Dense(squeezed, k)
        if self.variant == "lol":
            self.gate, self.gate_act = self.Conv(k, k, 1, precision=self.precision), PReLU()
        self.out, self.out_act = self.Conv(k, k, 1, precision=self.precision), PReLU()

    def weights(self, mean: jax.Array, maximum: jax.Array) -> jax.Array:
        """Channel weights s (N,3c), float32, from the mean and the maximum of z over the picture, (N,3c) each."""

        def squeeze_excite(v: jax.Array) -> jax.Array:
            return jax.nn.sigmoid(self.fc2(jax.nn.relu(self.fc1(v))))

        s = squeeze_excite(mean) + squeeze_excite(maximum)
        if self.variant == "lol":
            s = self.gate_act(self.gate(s[:, None, None, :]))[:, 0, 0]
        return s

    def __call__(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.out_act(self.out(z * s[:, None, None].astype(z.dtype) + z))


class LGBlock(nn.Module):
    """Local and global block, (N,H,W,c) -> (N,H,W,c): features at three scales, concatenated, then recalibrated.

    All of it but `statistics` sees a neighbourhood only. A picture in pieces therefore calls the parts one by one.
    """

    width: int
    variant: Variant
    precision: Precision = None
    Conv: ClassVar[type[Conv]] = Conv
    Down: ClassVar[type[Down]] = Down
    FEM: ClassVar[type[FEM]] = FEM
    Up: ClassVar[type[Up]] = Up
    GFRM: ClassVar[type[GFRM]] = GFRM

    def setup(self) -> None:
        c, variant, precision = self.width, self.variant, self.precision
        self.act = PReLU()
        self.down_full, self.down_half = self.Down(c, precision), self.Down(2 * c, precision)
        self.fem_full = self.FEM(c, variant, precision)
        self.fem_half, self.fem_quarter = self.FEM(2 * c, variant, precision), self.FEM(4 * c, variant, precision)
        self.up_half, self.up_quarter = self.Up(2 * c, precision), self.Up(4 * c, precision)  # up_half: used twice
        self.gfrm = self.GFRM(3 * c, variant, precision)
        self.fuse = self.Conv(3 * c, c, 3, precision=precision)

    def __call__(self, x: jax.Array) -> jax.Array:
        z = self.local(x)
        return self.recalibrate(z, self.gate(*self.statistics(z)), x)

    def local(self, x: jax.Array) -> Any:
        """Features of all scales at full resolution, side by side: (N,H,W,c) -> (N,H,W,3c)."""
        half = self.down_full(x)  # (N,H/2,W/2,2c)
        quarter = self.down_half(half)  # (N,H/4,W/4,4c)
        q = self.fem_quarter(quarter)
        q_up = self.up_quarter(q)  # (N,H/2,W/2,2c)
        q_up_up = self.up_half(q_up)  # (N,H,W,c)
        h = self.fem_half(self.act(half) + q_up)
        h_up = self.up_half(h)  # (N,H,W,c)
        f = self.fem_full(self.act(x) + h_up)
        self.record(half=half, quarter=quarter, fem_quarter=q, quarter_up=q_up, fem_half=h, fem_full=f)
        return jnp.concatenate((f, h_up, q_up_up) if self.variant == "lol" else (f, q_up_up, h_up), axis=-1)

    def statistics(self, z: Any) -> tuple[jax.Array, jax.Array]:
        """Mean and maximum of `local`'s result over the picture: two float32 (N,3c)."""
        return statistics(z)

    def gate(self, mean: jax.Array, maximum: jax.Array) -> jax.Array:
        """Channel weights (N,3c) from the statistics."""
        return self.gfrm.weights(mean, maximum)

    def recalibrate(self, z: Any, s: jax.Array, x: jax.Array) -> jax.Array:
        """`local`'s result z, channel weights s (N,3c), the block's input x (N,H,W,c) -> (N,H,W,c)."""
        y = self.gfrm(z, s)
        self.record(gfrm=y)
        return self.fuse(y) + x

    def record(self, **features: jax.Array) -> None:
        """Show intermediate features to who asks for them (`mutable=["intermediates"]`)."""
        for name, value in features.items():
            self.sow("intermediates", f"{name}_features", value)


def statistics(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and maximum over the picture, (N,H,W,C) -> two float32 (N,C)."""
    return extent.mean_and_maximum(z)


class Stem(nn.Module):
    """Low-light RGB and its brightness to features, (N,H,W,4) -> (N,H,W,c)."""

    width: int
    variant: Variant
    precision: Precision = None
    Conv: ClassVar[type[Conv]] = Conv
    FEM: ClassVar[type[FEM]] = FEM

    def setup(self) -> None:
        self.conv, self.act = self.Conv(4, self.width, 3, precision=self.precision), PReLU()
        self.fem = self.FEM(self.width, self.variant, self.precision)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.fem(self.act(self.conv(x)))


class Head(nn.Module):
    """Features (N,H,W,c) and brightness (N,H,W,1) to RGB (N,H,W,3), in float32."""

    width: int
    variant: Variant
    precision: Precision = None
    Conv: ClassVar[type[Conv]] = Conv

    def setup(self) -> None:
        self.conv = self.Conv(self.width, 4, 3, precision=self.precision)
        if self.variant == "fivek":
            self.act = PReLU()
        self.out = self.Conv(4, 3, 1, precision=self.precision)

    def __call__(self, x: jax.Array, bright: jax.Array) -> jax.Array:
        y = self.conv(x.astype(jnp.float32))
        if self.variant == "fivek":
            y = self.act(y)
        return self.out(y + bright)


class Network(nn.Module):
    """Low-light RGB in [0, 1] to enhanced RGB, (N,H,W,3) -> (N,H,W,3) float32, not clipped; H and W multiples of 4."""

    variant: Variant = "lol"
    width: int = 64
    blocks: int = 3
    dtype: Any = jnp.float32  # of activations; parameters stay float32
    precision: Precision = None  # of products; None is the backend's default, which on TPU rounds inputs to bfloat16

    def setup(self) -> None:
        self.stem = Stem(self.width, self.variant, self.precision)
        self.block = LGBlock(self.width, self.variant, self.precision)
        self.head = Head(self.width, self.variant, self.precision)

    def __call__(self, low: jax.Array) -> tuple[jax.Array, ...]:
        """A picture after each block, last block first: for fivek the paper's (out3, out2, out1)."""
        x = self.stem(with_brightness(low, self.dtype))
        self.sow("intermediates", "stem_features", x)
        pictures = []
        for _ in range(self.blocks):
            x = self.block(x)
            # The published head of lol borrows the block's PReLU.
            features = self.block.act(x) if self.variant == "lol" else x
            pictures.append(self.head(features, brightness(low)))
        return tuple(reversed(pictures))


def brightness(low: jax.Array) -> jax.Array:
    """The largest of R, G and B: (N,H,W,3) -> (N,H,W,1)."""
    return jnp.max(low, axis=-1, keepdims=True)


def with_brightness(low: jax.Array, dtype: Any) -> jax.Array:
    """What the stem sees: (N,H,W,3) -> (N,H,W,4) of `dtype`."""
    return jnp.concatenate([low, brightness(low)], axis=-1).astype(dtype)


def torch_uniform(fan_in: int) -> Any:
    """Uniform in +-1/sqrt(fan_in): torch's default for weights (Kaiming with a = sqrt(5)) and for biases."""
    bound = fan_in**-0.5

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
