"""How far colours moved: hue and chroma in CIELAB (CIE 1976 L*a*b*, D65) of the pixels that have a colour."""

import numpy as np

from smnet_jax.images.srgb import to_linear

TO_XYZ = np.array(  # from linear sRGB, IEC 61966-2-1
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
COLOURED = 20  # least chroma of a pixel whose hue says something


def hue_and_chroma(picture: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Median error of hue in degrees, 0 to 180, and median ratio of chroma, over the target's coloured pixels.

    picture, target: (H,W,3) sRGB in [0, 1]. Both are NaN where the target has no pixel of chroma `COLOURED`.
    """
    a, b = (lab(x)[..., 1:] for x in (picture, target))
    chroma_a, chroma_b = np.hypot(*np.moveaxis(a, -1, 0)), np.hypot(*np.moveaxis(b, -1, 0))
    coloured = chroma_b >= COLOURED
    if not coloured.any():
        return float("nan"), float("nan")
    turned = np.arctan2(a[..., 1], a[..., 0]) - np.arctan2(b[..., 1], b[..., 0])
    error = np.abs((turned + np.pi) % (2 * np.pi) - np.pi)[coloured]
    return float(np.degrees(np.median(error))), float(np.median(chroma_a[coloured] / chroma_b[coloured]))


def lab(picture: np.ndarray) -> np.ndarray:
    """(...,3) sRGB in [0, 1] -> L* from 0 to 100, a* and b*, float64."""
    xyz = to_linear(np.asarray(picture, np.float64)) @ TO_XYZ.T / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)
