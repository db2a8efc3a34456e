"""What the last look of `ExposureNet` learns from: windows of pictures at full size, and what was said of the whole."""

import dataclasses
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

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


def draw(
    rng: np.random.Generator, kinds: Mapping[str, Sequence[Told]], shares: Mapping[str, float], size: int
) -> tuple[np.ndarray, ...]:
    """One window of `size` by `size` pixels, in the order of `training.exposure_detail.Windows`, without the batch.

    Pictures are at least as large. Values are sRGB in [0, 1], all float32.

    `shares`: how often each of the `kinds` is drawn. Three in ten windows are enlarged up to twice, for large pictures
    are soft and their grain is coarse; what is no JPEG file yet becomes one in two of five; half are said to be lighter
    or darker than the looks said, for these err.
    """
    kind = str(rng.choice(list(shares), p=list(shares.values())))
    told = kinds[kind][int(rng.integers(len(kinds[kind])))]
    scale = rng.uniform(1, 2) if rng.random() < 0.3 else 1.0
    seen = int(np.ceil(size / scale))
    height, width = told.low.shape[:2]
    y, x = int(rng.integers(0, height - seen + 1)), int(rng.integers(0, width - seen + 1))
    low, high = (_enlarged(picture[y : y + seen, x : x + seen], size) for picture in (told.low, told.high))
    rows = _stretched(linear(GRID, height)[y : y + seen], size)
    columns = _stretched(linear(GRID, width)[x : x + seen], size)
    if kind in ("lol", "photos") and rng.random() < 0.4:
        low = _jpeg(low, int(rng.integers(75, 98)))
    if rng.random() < 0.5:
        low, high, columns = low[:, ::-1], high[:, ::-1], columns[::-1]
    if rng.random() < 0.5:
        low, high, rows = low[::-1], high[::-1], rows[::-1]
    wrong = rng.normal(0, 0.3) if rng.random() < 0.5 else 0.0
    values = (low / 255, high / 255, told.log2_rate + wrong, told.grid, told.saturation, rows, columns)
    return tuple(np.asarray(value, np.float32) for value in (*values, told.moved - wrong))


def _enlarged(picture: np.ndarray, size: int) -> np.ndarray:
    if len(picture) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))


def _stretched(matrix: np.ndarray, size: int) -> np.ndarray:
    return linear(len(matrix), size) @ matrix


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2 if quality % 2 else 0)
    return np.asarray(Image.open(file))
