"""SMNet in Flax: Lin et al., "SMNet: Synchronous Multi-Scale Low Light Enhancement Network with Local and Global
Concern", IEEE Transactions on Multimedia.

Blocks carry the paper's names. Shapes are NHWC; c is the width. The two released variants, `lol` and `fivek`, are one
network with a field; the L&G block is made once and called `blocks` times. The block is local up to the statistics of
GFRM, so its parts are methods of their own: `local`, `statistics`, `gate` and `recalibrate` are what exact tiling and
row sharding call one by one.
"""

import dataclasses
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn

from smnet_jax.network import layers, tpu
from smnet_jax.network.layers import Form, Precision
from smnet_jax.network.tpu.strips import Strips, choose

Variant = Literal["lol", "fivek"]


@dataclasses.dataclass(frozen=True)
class Compute:
    """How to compute, not what: the same parameters give the same function under every choice."""

    dtype: Any = jnp.float32  # of activations; parameters stay float32
    precision: Precision = None  # of products; None is the backend's default, which on TPU rounds inputs to bfloat16
    form: Form = "auto"

    @property
    def pairs(self) -> bool:
        """Whether features at full resolution are held as pairs of pixels (see `packed`)."""
        return self.form == "packed"


class Conv(nn.Module):
    """Convolution (N,H,W,inputs) -> (N,H,W,outputs), zero padding; initialised as torch does it."""

    inputs: int
    outputs: int
    size: Literal[1, 3]
    bias: bool = True
    compute: Compute = Compute()

    def setup(self) -> None:
        self.kernel = self.param(
            "kernel", _torch_uniform(self.inputs * self.size**2), (self.size, self.size, self.inputs, self.outputs)
        )
        self.offset: Any = (
            self.param("bias", _torch_uniform(self.inputs * self.size**2), (self.outputs,)) if self.bias else None
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.size == 3:
            return layers.conv3x3(x, self.kernel, self.offset, precision=self.compute.precision, form=self.compute.form)
        if self.compute.form == "straight":
            return layers.straight_conv1x1(x, self.kernel, self.offset, precision=self.compute.precision)
        return layers.conv1x1(x, self.kernel, self.offset, precision=self.compute.precision, form=self.compute.form)


class PReLU(nn.Module):
    """x where positive, slope * x elsewhere; one slope, 0.25 at first as in torch."""

    def setup(self) -> None:
        self.slope = self.param("slope", nn.initializers.constant(0.25), ())

    def __call__(self, x: jax.Array) -> jax.Array:
        return layers.prelu(x, self.slope)


class FEM(nn.Module):
    """Feature extraction module, (N,H,W,k) -> (N,H,W,k): 3x3, a 1x1 bottleneck, 3x3, and the input added.

    With `pairs`, from and to pairs of pixels, (N,H,W/2,2k), or shifted pairs, (N,H,W/2+1,2k): then x must be zero
    outside the picture, and the result there is nobody's.
    """

    features: int
    variant: Variant
    compute: Compute
    pairs: tpu.Pairs = "none"

    def setup(self) -> None:
        k, squeezed = self.features, self.features // 4
        self.conv1 = Conv(k, k, 3, compute=self.compute)
        self.act1 = PReLU()
        self.reduce = Conv(k, squeezed, 1, compute=self.compute)
        self.expand = Conv(squeezed, k, 1, compute=self.compute)
        if self.variant == "fivek":
            self.reduce_act = PReLU()
            self.expand_act = PReLU()
        self.conv2 = Conv(k, k, 3, compute=self.compute)
        self.act2 = PReLU()

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.compute.form == "packed":
            return self._two_convolutions(x)
        y = self.reduce(self.act1(self.conv1(x)))  # (N,H,W,k/4)
        if self.variant == "fivek":
            y = self.conv2(self.expand_act(self.expand(self.reduce_act(y))))
        elif self.compute.form == "subpixel":
            y = self._expand_then_conv2(y)
        else:
            y = self.conv2(self.expand(y))
        return self.act2(y) + x

    def _two_convolutions(self, x: jax.Array) -> jax.Array:
        """The packed form: as few passes over the features as there are activations.

        In lol the second convolution is merged with both 1x1 before it, biases included: a constant input to a
        zero-padded convolution differs at the border only.
        """
        precision = self.compute.precision
        there, back = {
            "none": (layers.conv3x3, layers.conv3x3),
            "even": (tpu.conv3x3_shift, tpu.conv3x3_unshift),
            "shifted": (tpu.conv3x3_unshift, tpu.conv3x3_shift),
        }[self.pairs]
        y = self.act1(there(x, self.conv1.kernel, self.conv1.offset, precision=precision))
        kernel, bias = self.conv2.kernel, self.conv2.offset
        if self.pairs != "none":
            bias = tpu.twice(bias)
        if self.variant == "lol":
            kernel, taps = self._merged()
            bias = bias + tpu.border_bias(taps, x.shape[1], x.shape[2], self.pairs)
        else:
            y = self.reduce_act(self._conv1x1(y, self.reduce))
            y = self.expand_act(self._conv1x1(y, self.expand))
        if self.pairs == "even":
            y = tpu.inside(y)
        return self.act2(back(y, kernel, None, precision=precision) + bias.astype(x.dtype)) + x

    def _conv1x1(self, y: jax.Array, conv: Conv) -> jax.Array:
        if self.pairs == "none":
            return conv(y)
        kernel, bias = tpu.twice1x1(conv.kernel), tpu.twice(conv.offset)
        return layers.conv1x1(y, kernel, bias, precision=self.compute.precision)

    def _merged(self) -> tuple[jax.Array, jax.Array]:
        """`reduce`, `expand` and `conv2` as one kernel (3,3,k,k), and what their biases add by tap, (3,3,k)."""
        first = jnp.dot(self.reduce.kernel[0, 0], self.expand.kernel[0, 0], precision="highest")
        constant = jnp.dot(self.reduce.offset, self.expand.kernel[0, 0], precision="highest") + self.expand.offset
        kernel = jnp.einsum("im,hwmo->hwio", first, self.conv2.kernel, precision="highest")
        return kernel, jnp.einsum("m,hwmo->hwo", constant, self.conv2.kernel, precision="highest")

    def _expand_then_conv2(self, y: jax.Array) -> jax.Array:
        """`expand` and `conv2` as the one linear map that they are: a 3x3 on k/4 channels instead of k.

        A further input channel of ones carries the bias of `expand`: the zero padding of `conv2` cuts it off at the
        border exactly as it does in two steps.
        """
        first = jnp.concatenate([self.expand.kernel[0, 0], self.expand.offset[None]])  # (k/4 + 1, k)
        merged = jnp.einsum("im,hwmo->hwio", first, self.conv2.kernel, precision="highest")
        y = jnp.concatenate([y, jnp.ones((*y.shape[:3], 1), y.dtype)], axis=-1)
        return layers.conv3x3(y, merged, self.conv2.offset, precision=self.compute.precision, form=self.compute.form)


class Down(nn.Module):
    """Halve the resolution, double the features: (N,H,W,k) -> (N,H/2,W/2,2k). With `pairs`, from (N,H,W/2,2k)."""

    features: int
    compute: Compute
    pairs: bool = False

    def setup(self) -> None:
        k = self.features
        self.conv = Conv(k, k, 3, bias=False, compute=self.compute)
        self.act = PReLU()
        self.expand = Conv(k, 2 * k, 1, bias=False, compute=self.compute)

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.compute.form == "packed":
            precision = self.compute.precision
            convolve, blur_down = (
                (tpu.conv3x3_shift, tpu.blur_down) if self.pairs else (layers.conv3x3, tpu.blur_down_pixels)
            )
            x = convolve(x, self.conv.kernel, None, precision=precision)
            return blur_down(x, self.act.slope, self.expand.kernel, precision)
        x = self.act(self.conv(x))
        x = layers.blur_down(x, self.compute.form)  # (N,H/2,W/2,k)
        return self.expand(x)


class Up(nn.Module):
    """Double the resolution, halve the features: (N,H,W,k) -> (N,2H,2W,k/2); a learned path plus a bilinear one.

    With `pairs`, to shifted pairs of pixels, (N,2H,W+1,k).
    """

    features: int
    compute: Compute
    pairs: bool = False

    def setup(self) -> None:
        k = self.features
        self.conv = Conv(k, k, 1, bias=False, compute=self.compute)
        self.act1 = PReLU()
        self.up = Conv(
            k, k, 3, bias=False, compute=self.compute
        )  # only its kernel is used: the convolution is transposed
        self.act2 = PReLU()
        self.reduce = Conv(k, k // 2, 1, bias=False, compute=self.compute)
        self.skip = Conv(k, k // 2, 1, bias=False, compute=self.compute)

    def __call__(self, x: jax.Array) -> jax.Array:
        precision = self.compute.precision
        if self.compute.form == "packed":
            n, h, w, _ = x.shape
            shape = (n, 2 * h, w + 1, self.features) if self.pairs else (n, 2 * h, 2 * w, self.features // 2)
            return self.into(jax.lax.empty(shape, x.dtype), 0, x)[0]
        top = self.act1(self.conv(x))
        if self.compute.form == "straight":
            top = layers.transposed_conv(top, self.up.kernel, precision=precision)
            return self.reduce(self.act2(top)) + self.skip(layers.bilinear_up(x, "straight"))
        bottom = self.skip(x)  # before the upsampling, which commutes with it: a quarter of the work
        if self.compute.form == "subpixel":
            # Everything stays at the low resolution until one last interleaving of half the channels.
            tops = layers.transposed_conv_phases(top, self.up.kernel, precision=precision)
            bottoms = layers.bilinear_up_phases(bottom)
            return layers.interleave(
                [
                    [self.reduce(self.act2(t)) + b for t, b in zip(ts, bs, strict=True)]
                    for ts, bs in zip(tops, bottoms, strict=True)
                ]
            )
        top = self.reduce(self.act2(layers.transposed_conv(top, self.up.kernel, precision=precision)))
        return top + layers.bilinear_up(bottom, self.compute.form)  # (N,2H,2W,k/2)

    def into(self, z: jax.Array, at: int, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The packed form's result, (N,2H,2W,k/2) or shifted pairs (N,2H,W+1,k), written into z, as many pixels with
        more channels, from channel `at` on: both. What z held there must be nobody's.
        """
        kernels = tpu.UpKernels(self.up.kernel, self.act2.slope, self.reduce.kernel, self.skip.kernel)
        return tpu.up_into(z, at, self.act1(self.conv(x)), x, kernels, self.pairs, self.compute.precision)


class GFRM(nn.Module):
    """Global feature recalibration: reweight the channels of z (N,H,W,3c) by what the whole picture looks like."""

    features: int  # 3c
    variant: Variant
    compute: Compute

    def setup(self) -> None:
        k, squeezed = self.features, max(1, self.features // 16)
        self.fc1 = Dense(k, squeezed)
        self.fc2 = Dense(squeezed, k)
        if self.variant == "lol":
            self.gate = Conv(k, k, 1, compute=self.compute)
            self.gate_act = PReLU()
        self.out = Conv(k, k, 1, compute=self.compute)
        self.out_act = PReLU()

    def weights(self, mean: jax.Array, peak: jax.Array) -> jax.Array:
        """Channel weights s (N,3c), float32, from the mean and the maximum of z over the picture, (N,3c) each."""

        def squeeze_excite(v: jax.Array) -> jax.Array:
            return jax.nn.sigmoid(self.fc2(jax.nn.relu(self.fc1(v))))

        s = squeeze_excite(mean) + squeeze_excite(peak)
        if self.variant == "lol":
            s = self.gate_act(self.gate(s[:, None, None, :]))[:, 0, 0]
        return s

    def __call__(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """PReLU(conv1x1(z * s + z)): s scales input channels, so it goes into the kernel and z is read only once."""
        if self.compute.form == "straight":
            return self.out_act(self.out(z * s[:, None, None].astype(z.dtype) + z))
        kernel = (1 + s)[:, None, None, :, None] * self.out.kernel  # (N,1,1,3c,3c)
        return self.out_act(
            layers.conv1x1(z, kernel, self.out.offset, precision=self.compute.precision, form=self.compute.form)
        )

    def of_pairs(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """The same of z as shifted pairs, (N,H,W/2+1,6c) -> (N,H,W/2+1,6c), zero outside the picture.

        Here s scales the features: kernels of their own would keep the pictures of a batch from sharing one product.
        """
        scales = jnp.split((1 + s)[:, None, None], 3, axis=-1)
        scale = jnp.concatenate([tpu.twice(scale) for scale in scales], axis=-1)
        kernels = [tpu.twice1x1(kernel) for kernel in jnp.split(self.out.kernel, 3, axis=2)]
        kernel: jax.Array = jnp.concatenate(kernels, axis=2)
        # A convolution and no product, for the TPU compiler scales what it reads.
        y = tpu.conv1x1(z * scale.astype(z.dtype), kernel, self.compute.precision)
        return tpu.inside(self.out_act(y + tpu.twice(self.out.offset).astype(y.dtype)))


class Dense(nn.Module):
    """(N,inputs) -> (N,outputs) without bias, always float32: these few numbers steer whole channels."""

    inputs: int
    outputs: int

    def setup(self) -> None:
        self.kernel = self.param("kernel", _torch_uniform(self.inputs), (self.inputs, self.outputs))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.dot(x, self.kernel, precision="highest")


class LGBlock(nn.Module):
    """Local and global block, (N,H,W,c) -> (N,H,W,c): features at three scales, joined, then recalibrated.

    In the packed form a block maps pairs of pixels to such; `local` and `recalibrate` keep the shapes they state.
    """

    width: int
    variant: Variant
    compute: Compute

    def setup(self) -> None:
        c = self.width
        self.act = PReLU()
        pairs = self.compute.pairs
        self.down_full = Down(c, self.compute, pairs)
        self.down_half = Down(2 * c, self.compute)
        self.fem_full = FEM(c, self.variant, self.compute, "shifted" if pairs else "none")
        self.fem_half = FEM(2 * c, self.variant, self.compute)
        self.fem_quarter = FEM(4 * c, self.variant, self.compute)
        self.up_half = Up(2 * c, self.compute, pairs)  # used twice
        self.up_quarter = Up(4 * c, self.compute)
        self.gfrm = GFRM(3 * c, self.variant, self.compute)
        self.fuse = Conv(3 * c, c, 3, compute=self.compute)

    def joined(self, x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """The features of all scales at full resolution, side by side, and the parts: (N,H,W,c) -> (N,H,W,3c), and
        three (N,H,W,c) in the same order.

        Pairs (N,H,W/2,2c) become shifted ones (N,H,W/2+1,6c), three kinds of them one after the other.
        """
        half = self.down_full(x)  # (N,H/2,W/2,2c)
        quarter = self.down_half(half)  # (N,H/4,W/4,4c)
        q = self.fem_quarter(quarter)
        q_up = self.up_quarter(q)  # (N,H/2,W/2,2c)
        if self.compute.pairs:
            h = self.fem_half(self.act(half) + q_up)
            z, parts = self._join_pairs(x, h, q_up)
        else:
            q_up_up = self.up_half(q_up)  # (N,H,W,c)
            h = self.fem_half(self.act(half) + q_up)
            h_up = self.up_half(h)  # (N,H,W,c)
            f = self.fem_full(self.act(x) + h_up)
            parts = (f, h_up, q_up_up) if self.variant == "lol" else (f, q_up_up, h_up)
            z = jnp.concatenate(parts, axis=-1)
        taps = {"half": half, "quarter": quarter, "fem_quarter": q, "quarter_up": q_up, "fem_half": h}
        taps["fem_full"] = tpu.unpack_shifted(parts[0]) if self.compute.pairs else parts[0]
        for name, value in taps.items():
            self.sow("intermediates", f"{name}_features", value)
        return z, parts

    def _join_pairs(
        self, x: jax.Array, h: jax.Array, q_up: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
        """The joined features and their parts; all written in place."""
        size = x.shape[-1]
        at_h, at_q = (size, 2 * size) if self.variant == "lol" else (2 * size, size)
        z = jax.lax.empty((*x.shape[:2], x.shape[2] + 1, 3 * size), x.dtype)
        z, h_up = self.up_half.into(z, at_h, h)
        # The barrier has h_up read before z is written again: else z would be copied.
        z, f = jax.lax.optimization_barrier((z, tpu.shift(self.act(x)) + tpu.inside(h_up)))
        z, f = tpu.place(z, self.fem_full(f), 0)
        z, q_up_up = self.up_half.into(z, at_q, q_up)
        return z, (f, h_up, q_up_up) if self.variant == "lol" else (f, q_up_up, h_up)

    def local(self, x: jax.Array) -> jax.Array:
        """`joined` without pairs, (N,H,W,c) -> (N,H,W,3c); depends on neighbours only."""
        if not self.compute.pairs:
            return self.joined(x)[0]
        parts = jnp.split(self.joined(tpu.pack(x))[0], 3, axis=-1)
        return jnp.concatenate([tpu.unpack_shifted(part) for part in parts], axis=-1)

    def gate(self, mean: jax.Array, peak: jax.Array) -> jax.Array:
        """Channel weights (N,3c) from the statistics of `local`'s result."""
        return self.gfrm.weights(mean, peak)

    def recalibrate(self, z: jax.Array, s: jax.Array, x: jax.Array) -> jax.Array:
        """The rest of the block: z (N,H,W,3c), channel weights s (N,3c), the block's input x (N,H,W,c) -> (N,H,W,c)."""
        if self.compute.pairs:
            z = jnp.concatenate([tpu.pack_shifted(part) for part in jnp.split(z, 3, axis=-1)], axis=-1)
            return tpu.unpack(self._recalibrate_pairs(z, s, tpu.pack(x)))
        y = self.gfrm(z, s)
        self.sow("intermediates", "gfrm_features", y)
        return self.fuse(y) + x

    def _recalibrate_pairs(self, z: jax.Array, s: jax.Array, x: jax.Array) -> jax.Array:
        y = self.gfrm.of_pairs(z, s)
        self.sow("intermediates", "gfrm_features", tpu.unpack_shifted(y))
        return tpu.conv3x3_unshift(y, self.fuse.kernel, self.fuse.offset, precision=self.compute.precision) + x

    def __call__(self, x: jax.Array) -> jax.Array:
        z, parts = self.joined(x)
        if self.compute.pairs:
            return self._recalibrate_pairs(z, self.gate(*tpu.statistics(z, parts)), x)
        return self.recalibrate(z, self.gate(*statistics(z)), x)

    def of_windows(self, x: jax.Array, cut: Strips) -> jax.Array:
        """The block on the windows of pictures cut into strips (see `strips`)."""
        x = cut.refreshed(x)
        z, parts = self.joined(x)
        if self.compute.pairs:
            s = self.gate(*tpu.statistics(z, parts, cut))
            return self._recalibrate_pairs(z, cut.for_windows(s), x)
        return self.recalibrate(z, cut.for_windows(self.gate(*cut.mean_and_peak(z))), x)


def statistics(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and maximum over the picture, (N,H,W,C) -> two float32 (N,C)."""
    return jnp.mean(z, (1, 2), dtype=jnp.float32), jnp.max(z, (1, 2)).astype(jnp.float32)


class Stem(nn.Module):
    """Low-light RGB and its brightness to features, (N,H,W,4) -> (N,H,W,c); pairs in the packed form."""

    width: int
    variant: Variant
    compute: Compute

    def setup(self) -> None:
        self.conv = Conv(4, self.width, 3, compute=self.compute)
        self.act = PReLU()
        self.fem = FEM(self.width, self.variant, self.compute, "even" if self.compute.pairs else "none")

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.compute.pairs:
            conv = self.conv
            y = tpu.conv3x3(tpu.pack(x), conv.kernel, conv.offset, precision=self.compute.precision)
            return self.fem(self.act(y))
        return self.fem(self.act(self.conv(x)))


class Head(nn.Module):
    """Features (N,H,W,c), pairs in the packed form, and brightness (N,H,W,1) to RGB (N,H,W,3), in float32."""

    width: int
    variant: Variant
    compute: Compute

    def setup(self) -> None:
        self.conv = Conv(self.width, 4, 3, compute=self.compute)
        if self.variant == "fivek":
            self.act = PReLU()
        self.out = Conv(4, 3, 1, compute=self.compute)

    def __call__(self, x: jax.Array, bright: jax.Array) -> jax.Array:
        if self.compute.pairs:
            conv, x = self.conv, x.astype(jnp.float32)
            y = tpu.unpack(tpu.conv3x3(x, conv.kernel, conv.offset, precision=self.compute.precision))
        else:
            y = self.conv(x.astype(jnp.float32))
        if self.variant == "fivek":
            y = self.act(y)
        return self.out(y + bright)


class SMNet(nn.Module):
    """Low-light RGB in [0, 1] to enhanced RGB, (N,H,W,3) -> (N,H,W,3) float32, not clipped; H and W multiples of 4.

    `variant` picks the released architecture (SPEC: "lol" 2,989,221 parameters at width 64, "fivek" 2,952,173); `width`
    is a multiple of 4; `dtype`, `precision` and `form` say how to compute and change results only by rounding
    ("auto" is the form that measured fastest on the default backend, see `layers`); `remat` recomputes a block's
    activations in the gradient instead of keeping them; `scan` compiles the block once, as the body of a loop; `strips`
    cuts each picture's rows into so many and lays them side by side in the batch (see `strips`).
    """

    variant: Variant = "lol"
    width: int = 64
    blocks: int = 3
    dtype: Any = jnp.float32
    precision: Precision = None
    form: Form = "auto"
    remat: bool = False
    scan: bool = False
    strips: int = 1

    def setup(self) -> None:
        if self.variant not in ("lol", "fivek"):
            raise ValueError(f"variant {self.variant!r}: there are 'lol' and 'fivek'")
        if self.width < 4 or self.width % 4:
            raise ValueError(f"width {self.width}: must be a positive multiple of 4")
        if self.form not in get_args(Form):
            raise ValueError(f"form {self.form!r}: there are {', '.join(get_args(Form))}")
        form = layers.default_form() if self.form == "auto" else self.form
        compute = Compute(self.dtype, self.precision, form)
        self.pairs = compute.pairs
        self.stem = Stem(self.width, self.variant, compute)
        self.block = (nn.remat(LGBlock) if self.remat else LGBlock)(self.width, self.variant, compute)
        self.head = Head(self.width, self.variant, compute)

    def for_inference(self, batch: int, height: int, platform: str | None = None) -> "SMNet":
        """The same network as it is best compiled to enhance `batch` pictures of `height` rows on each device.

        The block is compiled once, which takes two thirds of the time and costs no speed where there is no gradient.
        platform: JAX's name for it, the default backend's if None.
        """
        form = layers.default_form(platform) if self.form == "auto" else self.form
        return self.clone(form=form, remat=False, scan=True, strips=choose(batch, height, platform))

    def __call__(self, low: jax.Array, outputs: Literal["last", "all"] = "last") -> Any:
        """`outputs="all"` gives a tuple, last block first; for fivek that is the paper's (out3, out2, out1).

        Raises ValueError where `low` is not (N,H,W,3) with H and W multiples of 4, or H too small for the strips, and
        where it is of integers: 0 to 255 would be taken for 0 to 1.
        """
        if low.ndim != 4 or low.shape[3] != 3 or low.shape[1] % 4 or low.shape[2] % 4:
            raise ValueError(f"low is {low.shape}: must be (N,H,W,3) with H and W multiples of 4")
        if not jnp.issubdtype(low.dtype, jnp.floating):
            raise ValueError(f"low is {low.dtype}: must be floating point from 0 to 1; divide 8-bit values by 255")
        cut = Strips(low.shape[1], self.strips) if self.strips > 1 and not self.is_initializing() else None
        if cut is not None:
            low = cut.windows(low)
        x = self._embed(low)
        if self.scan and outputs == "last" and not self.is_mutable_collection("intermediates"):
            results = [self._decode(self._scanned(x, cut), low)]
        else:
            results = []
            for block in range(self.blocks):
                x = self.block(x) if cut is None else self.block.of_windows(x, cut)
                if outputs == "all" or block == self.blocks - 1:
                    results.append(self._decode(x, low))
        if cut is not None:
            results = [cut.pictures(result) for result in results]
        return tuple(reversed(results)) if outputs == "all" else results[-1]

    def _scanned(self, x: jax.Array, cut: Strips | None) -> jax.Array:
        if self.is_initializing():
            return self.block(x)
        block, variables = self.block.unbind()

        def once(x: jax.Array, _: None) -> tuple[Any, None]:
            if cut is None:
                return block.apply(variables, x), None
            return block.apply(variables, x, cut, method="of_windows"), None

        return jax.lax.scan(once, x, length=self.blocks)[0]

    def embed(self, low: jax.Array) -> jax.Array:
        """The picture's first features, (N,H,W,3) -> (N,H,W,c)."""
        x = self._embed(low)
        return tpu.unpack(x) if self.pairs else x

    def _embed(self, low: jax.Array) -> jax.Array:
        x = self.stem(jnp.concatenate([low, _brightness(low)], axis=-1).astype(self.dtype))
        self.sow("intermediates", "stem_features", tpu.unpack(x) if self.pairs else x)
        return x

    def local(self, x: jax.Array) -> jax.Array:
        """See `LGBlock.local`."""
        return self.block.local(x)

    def gate(self, mean: jax.Array, peak: jax.Array) -> jax.Array:
        """See `LGBlock.gate`."""
        return self.block.gate(mean, peak)

    def recalibrate(self, z: jax.Array, s: jax.Array, x: jax.Array) -> jax.Array:
        """See `LGBlock.recalibrate`."""
        return self.block.recalibrate(z, s, x)

    def decode(self, x: jax.Array, low: jax.Array) -> jax.Array:
        """A block's features to a picture, (N,H,W,c) and (N,H,W,3) -> (N,H,W,3)."""
        return self._decode(tpu.pack(x) if self.pairs else x, low)

    def _decode(self, x: jax.Array, low: jax.Array) -> jax.Array:
        if self.variant == "lol":
            x = self.block.act(x)  # the published head borrows the block's PReLU
        return self.head(x, _brightness(low))


def _brightness(low: jax.Array) -> jax.Array:
    return jnp.max(low, axis=-1, keepdims=True)


def _torch_uniform(fan_in: int) -> Any:
    """Uniform in +-1/sqrt(fan_in): torch's default for weights (Kaiming with a = sqrt(5)) and for biases."""
    bound = fan_in**-0.5

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
