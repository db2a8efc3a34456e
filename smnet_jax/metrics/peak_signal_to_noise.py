"""PSNR, the peak signal-to-noise ratio."""

import math

import jax
import jax.numpy as jnp

from smnet_jax.metrics.inputs import checked


def psnr(pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> jax.Array:
    """Peak signal-to-noise ratio in dB, one per picture: 10 log10(peak² / MSE) over all pixels and channels.

    Range: 0 upwards; higher is better; infinite (with a gradient of zero) for identical pictures. Symmetric.

    Args:
      pred, target: (N, H, W, C), both uint8 (peak 255) or both floats in [0, 1] (peak 1); any size, any C.

    Returns:
      (N,) float32. For uint8 the squared error is summed in integers, exactly, and the result is the float32 nearest
      to the true value give or take 1e-7 dB; float32 itself is spaced 1.9e-6 dB apart from 16 to 32 dB.

    Raises:
      InputError: shapes or types differ, or values leave the range (not checked under jit).

    Agrees with `skimage.metrics.peak_signal_noise_ratio`.
    """
    return _psnr(*checked("psnr", pred, target))


@jax.jit
def _psnr(pred: jax.Array, target: jax.Array) -> jax.Array:
    count = math.prod(pred.shape[1:])
    if pred.dtype == jnp.uint8:
        total, rest = _squared_error_of_bytes(pred, target)
        return _decibels(255**2 * count, total, rest)
    total = jnp.sum(jnp.square(pred - target), axis=(1, 2, 3))
    return _decibels(count, total, jnp.zeros_like(total))


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


def _decibels(signal: float, noise: jax.Array, rest: jax.Array) -> jax.Array:
    """10 log10(signal / (noise + rest)), rounded once.

    A plain float32 logarithm of 1e8 is good to 1e-6, ten times that is 1e-5 dB. So split noise = mantissa * 2^exponent:
    the big part of the answer is then (multiples of 1/4096) exact, and only the small rest is rounded.
    """
    some = noise > 0
    noise = jnp.where(some, noise, 1)
    _, exponent = jnp.frexp(jax.lax.stop_gradient(noise) * math.sqrt(2))  # mantissa in [1 / sqrt 8, 1 / sqrt 2)
    exponent = exponent - 1  # and now in [1 / sqrt 2, sqrt 2)
    mantissa = noise * jnp.ldexp(jnp.float32(1), -exponent)
    exponent = exponent.astype(jnp.float32)

    octave, octave_rest = _split(10 * math.log10(2))
    whole, whole_rest = _split(10 * math.log10(signal))
    fraction = jnp.log(mantissa) + rest / noise  # first order is plenty: rest / noise < 1e-7
    exact = whole - exponent * octave
    return jnp.where(some, exact + (whole_rest - exponent * octave_rest - (10 / math.log(10)) * fraction), jnp.inf)


def _split(value: float) -> tuple[float, float]:
    coarse = round(value * 4096) / 4096
    return coarse, value - coarse
