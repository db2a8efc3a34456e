"""Pixels that nobody sees must not decide about those that somebody does."""

import numpy as np


def filled(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W, 3) float with the colours under alpha 0 replaced by smooth ones from around; those seen stay as they are.

    Weighted means over ever larger squares, back to front (pull-push): the same whatever was under alpha 0 before.
    Where nothing is seen at all, the picture itself. The colours are rounded to 255 levels: so the page for static
    hosts, which has bytes, fills in the same.
    """
    seen = alpha > 0
    if seen.all() or not seen.any():
        return rgb
    weight = seen.astype(np.float32)[..., None]
    levels = [(rgb.astype(np.float32) * weight, weight)]
    while max(levels[-1][0].shape[:2]) > 1:
        levels.append(tuple(_halved(part) for part in levels[-1]))  # type: ignore[arg-type]
    colours = None
    for total, weight in reversed(levels):
        known = total / np.maximum(weight, 1e-12)
        if colours is None:
            colours = known
        else:
            height, width = known.shape[:2]
            colours = np.repeat(np.repeat(colours, 2, axis=0)[:height], 2, axis=1)[:, :width]
            colours = np.where(weight > 0, known, colours)
    assert colours is not None
    colours = np.rint(np.round(255 * colours, 3)) / np.float32(255)  # thousandths first, so that halves are halves
    return np.where(seen[..., None], rgb, colours)


def _halved(part: np.ndarray) -> np.ndarray:
    height, width = part.shape[:2]
    part = np.pad(part, ((0, height % 2), (0, width % 2), (0, 0)))
    return part[0::2, 0::2] + part[1::2, 0::2] + part[0::2, 1::2] + part[1::2, 1::2]
