"""Tiny data sets, made on the spot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smnet_jax.data.sources import Example


class Coordinates:
    """A source whose pixels say where they are: high = (x, y, number of the pair), low = 255 - high.

    So a crop shows from which pair and place it comes, how it was flipped, and whether low and high went together.
    """

    def __init__(self, count: int, height: int = 24, width: int = 40):
        self.shape = (height, width)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        height, width = self.shape
        y, x = np.mgrid[:height, :width]
        high = np.stack([x, y, np.full_like(x, index)], axis=-1).astype(np.uint8)
        return {"low": 255 - high, "high": high, "name": f"{index}.png"}

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [self.shape] * self.count


@pytest.fixture
def coordinates() -> type[Coordinates]:
    return Coordinates


@pytest.fixture
def make_pairs(tmp_path: Path) -> Callable[..., Path]:
    """make_pairs(count) -> the root of a published layout with `count` random pairs 0.png, 1.png, ..."""

    def make(count: int, *, split: str = "train", height: int = 20, width: int = 28, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        for side in ("low", "high"):
            folder = tmp_path / "pairs" / split / side
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"{index}.png")
        return tmp_path / "pairs"

    return make
