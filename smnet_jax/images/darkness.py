"""Whether a photo is dark: by its middle and by how much of it lies in deep shadow."""

import numpy as np

MEDIAN = 0.35  # of the largest channel, as sRGB value; daylight photos lie at 0.45 to 0.6
SHADOW, SHARE = 0.12, 0.4  # this much of the picture below this value: a face against a window


def is_dark(rgb: np.ndarray, alpha: np.ndarray | None = None) -> bool:
    """(H, W, 3) sRGB in [0, 1]; what alpha hides does not count. A choice, not a measurement: see the numbers above."""
    values = rgb.max(axis=2)
    if alpha is not None and (alpha > 0).any():
        values = values[alpha > 0]
    return bool(np.median(values) < MEDIAN or np.mean(values < SHADOW) > SHARE)
