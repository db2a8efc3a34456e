"""A plain frame round a photo is no part of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

PLAIN = 4 / 255  # a frame's pixels differ by less, after JPEG too
ENDS = 16 / 255  # a frame is black or white by as much
# The outermost line of each of a frame's sides is of one colour, in this share of its pixels, for JPEG rings. Walls in
# the dark are not: five of 393 dark scenes had bars, up to 88 of 288 pixels wide, that were none. There one side's line
# had one colour in 0.45 of its pixels at most; in 19 photos with frames each had in 0.8 at least.
SAME, MOST = 0.5 / 255, 0.75


class Within(NamedTuple):
    """Where the photo lies in each of N pictures, in pixels, int32."""

    top: jax.Array  # (N,)
    height: jax.Array  # (N,)
    left: jax.Array  # (N,)
    width: jax.Array  # (N,)


def inside(rgb: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the photo within a black or white frame, (H,W,3) sRGB in [0, 1]; all where there is none.

    Bars count at two opposite sides only, so that a black sky or a white table is no frame; their outermost lines must
    hold one level, so that walls in the dark are none; and what they leave must be a quarter of the height and of the
    width at least.
    """
    height, width = rgb.shape[:2]
    colour = rgb[0, 0]
    if colour.max() > ENDS and colour.min() < 1 - ENDS:
        return slice(0, height), slice(0, width)
    top, bottom = (_bars(lines, colour) for lines in (rgb, rgb[::-1]))
    rows = _within(top, bottom, height) if _same(rgb[0], colour) and _same(rgb[-1], colour) else slice(0, height)
    columns = rgb[rows].transpose(1, 0, 2)
    left, right = (_bars(lines, colour) for lines in (columns, columns[::-1]))
    of_columns = _same(rgb[:, 0], colour) and _same(rgb[:, -1], colour)
    return rows, _within(left, right, width) if of_columns else slice(0, width)


def inside_each(low: jax.Array) -> Within:
    """What `inside` says of each of N pictures, (N,H,W,3) sRGB in [0, 1], float32, within a program."""
    colour = low[:, 0, 0]
    ends = (colour.max(-1) <= ENDS) | (colour.min(-1) >= 1 - ENDS)
    away = jnp.abs(low - low[:, :1, :1]).max(-1)  # (N,H,W): how far from the colour of the corner
    same = away < SAME
    of_rows = ends & _mostly(same[:, 0]) & _mostly(same[:, -1])
    of_columns = ends & _mostly(same[:, :, 0]) & _mostly(same[:, :, -1])
    # Rows of bars are plain from side to side, so columns may count them.
    return Within(*_between_bars(away.max(2), of_rows), *_between_bars(away.max(1), of_columns))


def _mostly(same: jax.Array) -> jax.Array:
    """(N,size) of booleans -> (N,): whether MOST of a line are true."""
    return same.sum(1, dtype=jnp.float32) >= MOST * same.shape[1]


def _between_bars(away: jax.Array, ends: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first line of the photo and how many it has, (N,) both; `away` (N,size) is the most of each line."""
    size = away.shape[1]
    line = jnp.arange(size, dtype=jnp.int32)[None]
    busy = away > PLAIN
    first, end = jnp.where(busy, line, size).min(1), jnp.where(busy, line + 1, 0).max(1)
    framed = ends & (jnp.minimum(first, size - end) > 0) & (end - first >= _least(size))
    return jnp.where(framed, first, 0), jnp.where(framed, end - first, size)


def _same(line: np.ndarray, colour: np.ndarray) -> bool:
    """Whether MOST of a line's pixels have this colour."""
    return bool((np.abs(line - colour).max(-1) < SAME).sum() >= MOST * len(line))


def _bars(lines: np.ndarray, colour: np.ndarray) -> int:
    """How many of the first lines are plain."""
    for number, line in enumerate(lines):
        if np.abs(line - colour).max() > PLAIN:
            return number
    return len(lines)


def _within(first: int, last: int, size: int) -> slice:
    if min(first, last) == 0 or size - first - last < _least(size):
        return slice(0, size)
    return slice(first, size - last)


def _least(size: int) -> int:
    """Lines that a photo has within bars."""
    return max(8, size // 4)
