"""What the last look of `ExposureNet` learns from: windows of pictures at full size, and what was said of the whole."""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from smnet_jax.data.exposures import smooth_field
from smnet_jax.exposure.resampling import linear
from smnet_jax.exposure.tone import GRID


@dataclasses.dataclass(frozen=True)
class Told:
    """A pair of pictures, (H,W,3) uint8 sRGB, and what the looks at the whole picture say.

    `training.exposure_detail.Windows` says what the names mean.
    """

    low: np.ndarray
    high: np.ndarray
    log2_rate: np.ndarray
    grid: np.ndarray
    saturation: np.ndarray
    moved: float
    drawn: bool = False  # without noise, and so to be left: no JPEG file is made of it


def draw(rng: np.random.Generator, told: Sequence[Told], size: int) -> tuple[np.ndarray, ...]:
    """One window of `size` by `size` pixels, in the order of `training.exposure_detail.Windows`, without the batch.

    Pictures are at least as large. Values are sRGB in [0, 1], all float32.

    Three in ten windows are enlarged up to twice, for large pictures are soft and their grain is coarse; two in five
    of what is not drawn become a JPEG file; half are said to be lighter or darker than the looks said, for these err.
    """
    one = told[int(rng.integers(len(told)))]
    scale = rng.uniform(1, 2) if rng.random() < 0.3 else 1.0
    seen = int(np.ceil(size / scale))
    height, width = one.low.shape[:2]
    y, x = int(rng.integers(0, height - seen + 1)), int(rng.integers(0, width - seen + 1))
    low, high = (_enlarged(picture[y : y + seen, x : x + seen], size) for picture in (one.low, one.high))
    rows = _stretched(linear(GRID, height)[y : y + seen], size)
    columns = _stretched(linear(GRID, width)[x : x + seen], size)
    if not one.drawn and rng.random() < 0.4:
        low = _jpeg(low, int(rng.integers(75, 98)))
    if rng.random() < 0.5:
        low, high, columns = low[:, ::-1], high[:, ::-1], columns[::-1]
    if rng.random() < 0.5:
        low, high, rows = low[::-1], high[::-1], rows[::-1]
    wrong = rng.normal(0, 0.3) if rng.random() < 0.5 else 0.0
    values = (low / 255, high / 255, one.log2_rate + wrong, one.grid, one.saturation, rows, columns)
    return tuple(np.asarray(value, np.float32) for value in (*values, one.moved - wrong))


def shapes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Flat shapes in the dark, some of them lit, `size` by `size` pixels, uint8 sRGB: nothing but edges.

    Edges are hard or, half of the time, as soft as a good lens leaves them; so is the light even or not.
    """
    finer = int(rng.choice((1, 3)))
    picture = Image.new("RGB", (size * finer, size * finer), _colour(rng, 1, 90))
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(10, 40)):
        colour = _colour(rng, 1, 90) if rng.random() < 0.65 else _colour(rng, 90, 256)
        centre, reach = rng.uniform(0, size, 2), size * np.exp(rng.uniform(np.log(0.02), np.log(0.35)))
        points = [tuple(point) for point in finer * (centre + rng.uniform(-reach, reach, (rng.integers(2, 6), 2)))]
        if len(points) == 2:
            pen.line(points, colour, width=finer * int(rng.integers(1, 7)))
        elif len(points) == 3 and rng.random() < 0.5:
            pen.ellipse([*np.min(points, 0), *np.max(points, 0)], colour)
        else:
            pen.polygon(points, colour)
    flat = np.asarray(picture.reduce(finer), np.float32)
    light = 1 - 0.5 * smooth_field(rng, size)[..., None] if rng.random() < 0.5 else 1.0
    return np.rint(flat * light).astype(np.uint8)


def _colour(rng: np.random.Generator, least: int, most: int) -> tuple[int, ...]:
    """Gray half of the time; dark levels as often as light ones, in stops."""
    level = np.exp(rng.uniform(np.log(least), np.log(most)))
    return tuple(int(x) for x in level * (rng.uniform(0.3, 1, 3) if rng.random() < 0.5 else np.ones(3)))


def _enlarged(picture: np.ndarray, size: int) -> np.ndarray:
    """By a filter that does not ring: beside edges in the dark, the picture would have no room for that."""
    if len(picture) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR))


def _stretched(matrix: np.ndarray, size: int) -> np.ndarray:
    return linear(len(matrix), size) @ matrix


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2 if quality % 2 else 0)
    return np.asarray(Image.open(file))
