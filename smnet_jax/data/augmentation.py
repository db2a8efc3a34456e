"""What happens to a pair on its way into a batch. `low` and `high` always pass through one call together."""

import dataclasses

import numpy as np
from PIL import Image

from smnet_jax.data.darkening import darken
from smnet_jax.data.sources import Example
from smnet_jax.errors import InputError


def to_float(example: Example) -> Example:
    """uint8 [0, 255] -> float32 [0, 1]; float pictures pass."""
    return {
        key: value.astype(np.float32) / np.float32(255) if getattr(value, "dtype", None) == np.uint8 else value
        for key, value in example.items()
    }


def crop_and_flip(example: Example, size: tuple[int, int], rng: np.random.Generator) -> Example:
    """One window of (height, width) = `size` of `low` and `high`, then the same flips; names pass.

    The corner is uniform over all crops inside the picture, as in the published code. Vertical flip, horizontal
    flip and rotation by 180 degrees follow independently, each with probability 1/2. Raises InputError where the
    picture is smaller than the window.
    """
    height, width = example["high"].shape[:2]
    rows, columns = size
    if height < rows or width < columns:
        raise InputError(
            f"{example['name']}: {width}x{height} is smaller than the crop of {in_words(size)}; use a smaller crop"
        )
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    vertical, horizontal, turn = rng.random(3) < 0.5

    def apply(picture: np.ndarray) -> np.ndarray:
        window = picture[top : top + rows, left : left + columns]
        # Rotation by 180 degrees is both flips once more.
        if vertical != turn:
            window = window[::-1]
        if horizontal != turn:
            window = window[:, ::-1]
        return window

    return {key: apply(value) if key in ("low", "high") else value for key, value in example.items()}


def in_words(size: tuple[int, int]) -> str:
    """A crop of (height, width) as settings name it: its side, or WxH."""
    height, width = size
    return f"{height}" if height == width else f"{width}x{height}"


def resize(example: Example, size: tuple[int, int]) -> Example:
    """Both whole uint8 pictures to (height, width) = `size`, bicubic with antialiasing; the aspect may change."""
    height, width = size

    def apply(picture: np.ndarray) -> np.ndarray:
        if picture.shape[:2] == size:
            return picture
        return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))

    return {key: apply(value) if key in ("low", "high") else value for key, value in example.items()}


def thinned(example: Example, step: int, rng: np.random.Generator) -> Example:
    """Every `step`-th row and column of both pictures from a random one on, (H,W,3) -> (H // step, W // step, 3).

    Unlike `resize` it averages nothing: noise stays as strong as it is, at the price of aliasing in both pictures.
    """
    height, width = (side // step for side in example["high"].shape[:2])
    top, left = (int(start) for start in rng.integers(step, size=2))
    return {
        key: value[top::step, left::step][:height, :width] if key in ("low", "high") else value
        for key, value in example.items()
    }


@dataclasses.dataclass(frozen=True)
class LowNoise:
    """Add sensor noise to `low` (float32 [0, 1], sRGB); its deviation is uniform in [0, `largest`].

    For data whose noise a resize has averaged away: without it the network never learns to denoise. LOL's cameras
    leave, in sRGB and between 4 and 64 of 255, nearly the same deviation everywhere (1.5 to 1.8), correlated between
    channels (0.3 to 0.6) and between neighbours (0.05 to 0.35). So the noise is Gaussian; half its variance is shared
    by the channels, and a share of up to a half is coarse, twice the pixel's size. The sum is rounded to 8 bits, as a
    file would be.
    """

    largest: float

    def __call__(self, example: Example, rng: np.random.Generator) -> Example:
        low = example["low"]
        height, width = low.shape[:2]
        deviation, coarse = rng.uniform(0, self.largest), rng.uniform(0, 0.5)
        blocks = _coloured(rng, (height + 1) // 2, (width + 1) // 2).repeat(2, 0).repeat(2, 1)[:height, :width]
        noise = np.sqrt(1 - coarse) * _coloured(rng, height, width) + np.sqrt(coarse) * blocks
        return {**example, "low": _eight_bits(low + np.float32(deviation) * noise.astype(np.float32))}


def _coloured(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width, 3) of unit variance, half of it common to the three channels."""
    own, common = (
        rng.standard_normal((height, width, 3), np.float32),
        rng.standard_normal((height, width, 1), np.float32),
    )
    return (own + common) / np.sqrt(np.float32(2))


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(picture, 0, 1) * np.float32(255)) / np.float32(255)


@dataclasses.dataclass(frozen=True)
class Daylight:
    """Give a `share` (0 to 1) of the examples a `low` that is hardly dark: `high` darkened by at most `stops`.

    Without such pairs a network learns to brighten whatever it sees, and ruins pictures that need no help.
    """

    share: float
    stops: float = 2.0

    def __call__(self, example: Example, rng: np.random.Generator) -> Example:
        if rng.random() >= self.share:
            return example
        exposure = 2.0 ** -rng.uniform(0, self.stops)
        return {**example, "low": darken(example["high"], rng, exposure=exposure, shot=8e-5, read=2e-4)}


@dataclasses.dataclass(frozen=True)
class LowGain:
    """Multiply `low` (float32 [0, 1], sRGB) by 2**u, u uniform in [-`stops`, `stops`]; `high` stays.

    One target for many exposures, as bracketed pictures give.
    """

    stops: float

    def __call__(self, example: Example, rng: np.random.Generator) -> Example:
        gain = np.float32(2.0 ** rng.uniform(-self.stops, self.stops))
        return {**example, "low": np.clip(example["low"] * gain, 0, 1)}
