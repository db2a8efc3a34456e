"""The sRGB transfer curve (IEC 61966-2-1)."""

import numpy as np


def to_linear(encoded: np.ndarray) -> np.ndarray:
    """sRGB values to linear light, both 0..1 and of the type given; odd below 0, where wider gamuts reach."""
    size = np.abs(encoded)
    return np.copysign(np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4), encoded)


def from_linear(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB values: the inverse of `to_linear`."""
    size = np.abs(linear)
    return np.copysign(np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055), linear)
