"""Darkness made from daylight: what a camera would have recorded of a scene with fewer photons.

The signal-dependent noise is the Poisson-Gaussian model of Foi, Trimeche, Katkovnik and Egiazarian, "Practical
Poissonian-Gaussian noise modeling and fitting for single-image raw-data" (IEEE TIP 17(10), 2008): in linear light a
pixel of expectation y has variance shot * y + read**2. The sRGB curve is IEC 61966-2-1. What it leaves out: the
camera's own denoising, demosaicking and compression, which make real noise coarser than this one.
"""

import dataclasses

import numpy as np

from smnet_jax.images.srgb import from_linear, to_linear


def darken(
    high: np.ndarray,
    rng: np.random.Generator,
    *,
    exposure: float,
    shot: float,
    read: float,
    white_balance: tuple[float, float] = (1.0, 1.0),
    bits: int | None = 8,
) -> np.ndarray:
    """A dark, noisy recording of `high`: (..., 3) sRGB in [0, 1] -> the same shape, float32 sRGB in [0, 1].

    exposure: factor on linear light; 1 keeps the brightness, 0.02 is 5.6 stops darker.
    shot: variance per unit of signal, in linear full scale: 1 / (photons that make a pixel full); 0 for none.
    read: standard deviation of the signal-independent noise, in linear full scale; 0 for none.
    white_balance: factors on linear red and blue, for light of another colour.
    bits: quantise the sRGB result to this many bits, as the file would be; None leaves it continuous.
    """
    gains = np.float32(exposure) * np.array([white_balance[0], 1.0, white_balance[1]], np.float32)
    signal = to_linear(high.astype(np.float32)) * gains
    if shot > 0:
        signal = rng.poisson(signal / np.float32(shot)).astype(np.float32) * np.float32(shot)
    if read > 0:
        signal += np.float32(read) * rng.standard_normal(signal.shape, np.float32)
    low = from_linear(np.clip(signal, 0, 1))
    if bits is not None:
        levels = np.float32(2**bits - 1)
        low = np.rint(low * levels) / levels
    return low


@dataclasses.dataclass(frozen=True)
class DarkeningRanges:
    """What `darken` is called with: exposure, shot and read log-uniform in their ranges, white balance around 1.

    The defaults surround what LOL's training pairs show: exposure 0.003 to 0.09 (median 0.023), and at native
    resolution shot about 8e-5 with read below 2e-4; the upper ends are for other cameras and for moderate darkness.
    """

    exposure: tuple[float, float] = (0.005, 0.3)
    shot: tuple[float, float] = (3e-5, 1e-3)
    read: tuple[float, float] = (5e-5, 2e-3)
    white_balance: float = 0.1  # largest change of red and blue, natural logarithm
    bits: int | None = 8

    def __call__(self, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`darken(high)` with parameters of its own."""
        red, blue = np.exp(rng.uniform(-self.white_balance, self.white_balance, 2))
        return darken(
            high,
            rng,
            exposure=log_uniform(self.exposure, rng),
            shot=log_uniform(self.shot, rng),
            read=log_uniform(self.read, rng),
            white_balance=(red, blue),
            bits=self.bits,
        )


def log_uniform(interval: tuple[float, float], rng: np.random.Generator) -> float:
    """A number whose logarithm is uniform over `interval`; the interval's own number where both ends are equal."""
    low, high = interval
    return low if low == high else float(np.exp(rng.uniform(np.log(low), np.log(high))))
