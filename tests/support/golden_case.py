"""Golden cases: a checkpoint and what the published implementation computed with it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

VARIANTS = ("lol", "fivek")


@dataclasses.dataclass(frozen=True)
class GoldenCase:
    """`folder` holds `{variant}_dim{width}.pth` and the files made with it."""

    folder: Path
    variant: str
    width: int

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.variant}_dim{self.width}.pth"

    def arrays(self, kind: str) -> dict[str, np.ndarray]:
        """The arrays of `{variant}_dim{width}_{kind}.npz`."""
        with np.load(self.folder / f"{self.variant}_dim{self.width}_{kind}.npz") as file:
            return dict(file)


CASES = [pytest.param((variant, width), id=f"{variant}-{width}") for width in (8, 16) for variant in VARIANTS]


def relative_error(ours, theirs) -> float:
    """Largest difference over the largest magnitude of `theirs`."""
    return float(np.max(np.abs(np.asarray(ours) - theirs)) / np.max(np.abs(theirs)))
