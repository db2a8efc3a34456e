"""A plain frame round a photo is no part of it."""

import numpy as np

_PLAIN = 4 / 255  # a frame's pixels differ by less, after JPEG too
_ENDS = 16 / 255  # a frame is black or white by as much


def inside(rgb: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the photo within a black or white frame, (H,W,3) sRGB in [0, 1]; all where there is none.

    Bars count at two opposite sides only, so that a black sky or a white table is no frame; and what they leave must be
    a quarter of the height and of the width at least.
    """
    height, width = rgb.shape[:2]
    colour = rgb[0, 0]
    if colour.max() > _ENDS and colour.min() < 1 - _ENDS:
        return slice(0, height), slice(0, width)
    top, bottom = (_bars(lines, colour) for lines in (rgb, rgb[::-1]))
    rows = _within(top, bottom, height)
    columns = rgb[rows].transpose(1, 0, 2)
    left, right = (_bars(lines, colour) for lines in (columns, columns[::-1]))
    return rows, _within(left, right, width)


def _bars(lines: np.ndarray, colour: np.ndarray) -> int:
    """How many of the first lines are plain."""
    for number, line in enumerate(lines):
        if np.abs(line - colour).max() > _PLAIN:
            return number
    return len(lines)


def _within(first: int, last: int, size: int) -> slice:
    if min(first, last) == 0 or size - first - last < max(8, size // 4):
        return slice(0, size)
    return slice(first, size - last)
