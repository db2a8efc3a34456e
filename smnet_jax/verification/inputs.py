"""The pictures that both sides get."""

import dataclasses
from importlib import resources
from pathlib import Path

import numpy as np

from smnet_jax.errors import InputError
from smnet_jax.images import pictures
from smnet_jax.images.padding import MULTIPLE

GAMMA = 2.2
SMALLEST = 16  # SSIM's window is 11


@dataclasses.dataclass(frozen=True, eq=False)
class Input:
    """A picture to verify with: `low` is (1,H,W,3) float32 in [0, 1], H and W multiples of four."""

    name: str
    low: np.ndarray


def read(folder: Path | None, size: tuple[int, int] | None) -> list[Input]:
    """The centres of all pictures of a folder, at most `size` = (height, width) large; None takes all that fits.

    Without a folder: the dark photographs that ship with the package. Cut to multiples of four, never resized.
    Raises InputError where there is no picture, or one cannot be read or is too small.
    """
    folder = folder or Path(str(resources.files("smnet_jax"))) / "samples"
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name one with pictures")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in pictures.FORMATS)
    if not paths:
        raise InputError(f"{folder}: holds no jpg, png, webp, bmp or tiff picture; name a folder with some")
    return [Input(path.name, _centre(pictures.read(path).rgb, size, path)[None]) for path in paths]


def _centre(rgb: np.ndarray, size: tuple[int, int] | None, path: Path) -> np.ndarray:
    height, width = (
        min(have, want) // MULTIPLE * MULTIPLE for have, want in zip(rgb.shape[:2], size or rgb.shape[:2], strict=True)
    )
    if min(height, width) < SMALLEST:
        raise InputError(f"{path}: {width}x{height} pixels are too few; at least {SMALLEST}x{SMALLEST} are needed")
    top, left = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    return np.ascontiguousarray(np.clip(rgb[top : top + height, left : left + width], 0, 1), np.float32)


def target(low: np.ndarray) -> np.ndarray:
    """Something bright for the loss to compare with: any picture will do, both sides get the same one."""
    return low ** np.float32(1 / GAMMA)


def batches(inputs: list[Input], steps: int, *, batch: int = 2, side: int = 32, seed: int = 0) -> list[np.ndarray]:
    """`low` for some training steps, each (batch, side, side, 3): random crops of the pictures, by seed the same.

    Raises InputError where a picture is smaller than the crop.
    """
    rng = np.random.default_rng(seed)

    def crop() -> np.ndarray:
        picture = inputs[rng.integers(len(inputs))]
        height, width = picture.low.shape[1:3]
        if min(height, width) < side:
            raise InputError(f"{picture.name}: {width}x{height} is smaller than training crops, {side}x{side}")
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        return picture.low[0, top : top + side, left : left + side]

    return [np.stack([crop() for _ in range(batch)]) for _ in range(steps)]
