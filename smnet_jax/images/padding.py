"""Padding to sizes that the network takes, and back: the one place where it happens.

SMNet halves the resolution twice, so height and width must be multiples of four. Its global statistics (GFRM) see the
padding too, therefore it is never more than needed: at most three rows and three columns, mirrored.
"""

import numpy as np

MULTIPLE = 4


def pad(pictures: np.ndarray) -> np.ndarray:
    """Mirror rows below and columns to the right until H and W are multiples of four: (..., H, W, C).

    The edge itself is not repeated (numpy's "reflect"). Returns the input itself where nothing is missing.
    Raises ValueError below 4x4, where there are too few rows to mirror.
    """
    height, width = pictures.shape[-3:-1]
    if min(height, width) < MULTIPLE:
        raise ValueError(f"{height}x{width} is too small to mirror; at least {MULTIPLE}x{MULTIPLE}")
    if height % MULTIPLE == 0 and width % MULTIPLE == 0:
        return pictures
    missing = [(0, 0)] * (pictures.ndim - 3) + [(0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)]
    return np.pad(pictures, missing, mode="reflect")


def padded(height: int, width: int) -> tuple[int, int]:
    """The size that `pad` makes of a picture's."""
    return height + -height % MULTIPLE, width + -width % MULTIPLE


def crop(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Take the padding off again: the first `height` rows and `width` columns of (..., H, W, C)."""
    return pictures[..., :height, :width, :]
