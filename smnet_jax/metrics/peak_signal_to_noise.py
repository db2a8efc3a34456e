"""PSNR, the peak signal-to-noise ratio."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from smnet_jax.metrics import extents
from smnet_jax.metrics.inputs import checked, checked_sizes


def psnr(
    pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike, *, sizes: jax.typing.ArrayLike | None = None
) -> jax.Array:
    """Peak signal-to-noise ratio in dB, one per picture: 10 log10(peak² / MSE) over all pixels and channels.

    Range: 0 upwards; higher is better; infinite (with a gradient of zero) for identical pictures. Symmetric.

    Args:
      pred, target: (N, H, W, C), both uint8 (peak 255) or both floats in [0, 1] (peak 1); any size, any C.
      sizes: (N, 2) rows and columns of pictures in the upper left corners of larger arrays; None: they fill them.

    Returns:
      (N,) float32. For uint8 the squared error is summed in integers, exactly, and the result is the float32 nearest
      to the true value give or take 1e-7 dB; float32 itself is spaced 1.9e-6 dB apart from 16 to 32 dB.

    Raises:
      InputError: shapes or types differ, or values leave the range (not checked under jit).

    Agrees with `skimage.metrics.peak_signal_noise_ratio`.
    """
    pair = checked("psnr", pred, target)
    return _psnr(*pair, checked_sizes("psnr", sizes, pair[0]))


@jax.jit
def _psnr(pred: jax.Array, target: jax.Array, sizes: extents.Sizes) -> jax.Array:
    peak = 255 if pred.dtype == jnp.uint8 else 1
    if sizes is not None:  # where both are zero, there is no error
        pred, target = (
            jnp.moveaxis(extents.within(jnp.moveaxis(p, -1, 1), extents.of_channels(sizes)), 1, -1)
            for p in (pred, target)
        )
    if pred.dtype == jnp.uint8:
        total, rest = _squared_error_of_bytes(pred, target)
    else:
        total = jnp.sum(jnp.square(pred - target), axis=(1, 2, 3))
        rest = jnp.zeros_like(total)
    if sizes is None:
        return _decibels(_split(10 * math.log10(peak**2 * math.prod(pred.shape[1:]))), total, rest)
    count = sizes[:, 0] * sizes[:, 1] * pred.shape[-1]
    pixels = count.astype(jnp.float32)
    whole, whole_rest = _split(10 * math.log10(peak**2))
    coarse, fine = _logarithm(pixels, (count - pixels.astype(jnp.int32)).astype(jnp.float32))
    return _decibels((whole + coarse, whole_rest + fine), total, rest)


def _squared_error_of_bytes(pred: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The exact sum of squared differences as total + rest, two float32 (the rest is what float32 rounds off).

    JAX has no 64-bit integers by default, and the sum overflows 32 bits at 66051 pixels. So: sum rows, split each
    sum into two halves of 16 bits, sum the halves. Good for sides up to 65537.
    """
    difference = pred.astype(jnp.int32) - target.astype(jnp.int32)
    rows = jnp.sum((difference * difference).astype(jnp.uint32), axis=2, dtype=jnp.uint32)  # (N, H, C)
    upper = jnp.sum(rows >> 16, axis=1, dtype=jnp.uint32)  # (N, C)
    lower = jnp.sum(rows & 0xFFFF, axis=1, dtype=jnp.uint32)
    upper = jnp.sum(upper + (lower >> 16), axis=1, dtype=jnp.uint32)  # (N,)
    lower = jnp.sum(lower & 0xFFFF, axis=1, dtype=jnp.uint32)
    big, small = upper.astype(jnp.float32) * 65536, lower.astype(jnp.float32)
    total = big + small
    return total, small - (total - big)


def _decibels(signal: tuple[Any, Any], noise: jax.Array, rest: jax.Array) -> jax.Array:
    """10 log10(signal / (noise + rest)), rounded once; `signal` is in decibels, a multiple of 1/4096 and the rest."""
    some = noise > 0
    coarse, fine = _logarithm(jnp.where(some, noise, 1), rest)
    return jnp.where(some, (signal[0] - coarse) + (signal[1] - fine), jnp.inf)


def _logarithm(value: jax.Array, rest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """10 log10(value + rest) as a multiple of 1/4096, which is exact, and a small number.

    A plain float32 logarithm of 1e8 is good to 1e-6, ten times that is 1e-5 dB. So split value = mantissa * 2^exponent:
    the big part of the answer is then exact, and only the small one is rounded.
    """
    _, exponent = jnp.frexp(jax.lax.stop_gradient(value) * math.sqrt(2))  # mantissa in [1 / sqrt 8, 1 / sqrt 2)
    exponent = exponent - 1  # and now in [1 / sqrt 2, sqrt 2)
    mantissa = value * jnp.ldexp(jnp.float32(1), -exponent)
    exponent = exponent.astype(jnp.float32)
    octave, octave_rest = _split(10 * math.log10(2))
    fraction = jnp.log(mantissa) + rest / value  # first order is plenty: rest / value < 1e-7
    return exponent * octave, exponent * octave_rest + (10 / math.log(10)) * fraction


def _split(value: float) -> tuple[float, float]:
    coarse = round(value * 4096) / 4096
    return coarse, value - coarse
