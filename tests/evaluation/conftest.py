"""Tiny pairs of pictures on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write("low/a.png", height=16, width=24, seed=0)` -> the file's path, smooth noise of that brightness."""

    def write(name: str, *, height: int = 16, width: int = 24, seed: int = 0, brightness: float = 1.0) -> Path:
        coarse = np.random.default_rng(seed).uniform(0, 255 * brightness, (4, 6, 3)).astype(np.uint8)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
        return path

    return write


@pytest.fixture
def pairs(write: Write, tmp_path: Path) -> Path:
    """A folder with low/ and high/ of three pictures: a and c of 24x16, b of 19x13 (no multiples of four)."""
    for seed, (name, height, width) in enumerate([("a", 16, 24), ("b", 13, 19), ("c", 16, 24)]):
        write(f"low/{name}.png", height=height, width=width, seed=seed, brightness=0.2)
        write(f"high/{name}.png", height=height, width=width, seed=seed)
    return tmp_path
