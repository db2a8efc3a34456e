"""A plain frame round a photo is no part of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ENDS = 16 / 255  # a black frame's corner is as dark
PLAIN = 4 / 255  # and its pixels differ from that by less, after JPEG too
# The outermost line of each of its sides is of one colour, in this share of its pixels, for JPEG rings. Walls in
# the dark are not: five of 393 dark scenes had bars, up to 88 of 288 pixels wide, that were none. There one side's line
# had one colour in 0.45 of its pixels at most; in 19 photos with frames each had in 0.8 at least.
SAME, MOST = 0.5 / 255, 0.75
# All of a white frame's pixels are as light. JPEG rings in narrow ones; and what is white stays so, frame or not. Of
# 225 frames of 4 to 16 pixels round photos of 320x240, in JPEG files of quality 70 to 95, 93 % are found within a
# pixel, with 4 levels 23 %; photos in frames of 4 came out 22 % darker for it (median of 15), now by 5 % at most.
RINGS = 24 / 255


class Within(NamedTuple):
    """Where the photo lies in each of N pictures, in pixels, int32."""

    top: jax.Array  # (N,)
    height: jax.Array  # (N,)
    left: jax.Array  # (N,)
    width: jax.Array  # (N,)


def inside(rgb: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the photo within a black or white frame, (H,W,3) sRGB in [0, 1]; all where there is none.

    Bars count at two opposite sides only, so that a black sky or a white table is no frame; the outermost lines of
    black ones must be of one colour, so that walls in the dark are none; and what they leave must be a quarter of the
    height and of the width at least.
    """
    return _between(rgb, rgb[0, 0]), _between(rgb.transpose(1, 0, 2), rgb[0, 0])


def _between(lines: np.ndarray, colour: np.ndarray) -> slice:
    """Which of the lines are the photo's; `colour` is the corner's."""

    def bars(lines: np.ndarray) -> int:
        return next((number for number, line in enumerate(lines) if not bar(line)), len(lines))

    def bar(line: np.ndarray) -> bool:
        return bool(line.min() >= 1 - RINGS if white else np.abs(line - colour).max() <= PLAIN)

    def same(line: np.ndarray) -> bool:
        return bool((np.abs(line - colour).max(-1) < SAME).sum() >= MOST * len(line))

    white = bool(colour.min() >= 1 - RINGS)
    if not white and (colour.max() > ENDS or not (same(lines[0]) and same(lines[-1]))):
        return slice(0, len(lines))
    first, last = bars(lines), bars(lines[::-1])
    if min(first, last) == 0 or len(lines) - first - last < _least(len(lines)):
        return slice(0, len(lines))
    return slice(first, len(lines) - last)


def inside_each(low: jax.Array) -> Within:
    """What `inside` says of each of N pictures, (N,H,W,3) sRGB in [0, 1], float32, within a program."""
    away = jnp.abs(low - low[:, :1, :1]).max(-1)  # (N,H,W): how far from the colour of the corner
    black, light = low[:, 0, 0].max(-1) <= ENDS, low.min(-1) >= 1 - RINGS
    rows, columns = (_between_bars(away.swapaxes(1, axis), light.swapaxes(1, axis), black) for axis in (1, 2))
    return Within(*rows, *columns)


def _between_bars(away: jax.Array, light: jax.Array, black: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first line of the photo and how many it has, (N,) both.

    away, light: (N,lines,pixels), how far a pixel is from the corner, and whether it is white. black: (N,), the corner.
    """
    size, pixels = away.shape[1:]
    line = jnp.arange(size, dtype=jnp.int32)[None]
    white = light[:, 0, 0]
    busy = jnp.where(white[:, None], ~light.all(2), away.max(2) > PLAIN)
    same = (away[:, jnp.array([0, -1])] < SAME).sum(2, dtype=jnp.float32) >= MOST * pixels
    ends = white | (black & same.all(1))
    first, end = jnp.where(busy, line, size).min(1), jnp.where(busy, line + 1, 0).max(1)
    framed = ends & (jnp.minimum(first, size - end) > 0) & (end - first >= _least(size))
    return jnp.where(framed, first, 0), jnp.where(framed, end - first, size)


def _least(size: int) -> int:
    """Lines that a photo has within bars."""
    return max(8, size // 4)
