"""Distorted pictures with the scores that the reference packages gave them: the shipped ones and the golden ones."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@dataclass(frozen=True)
class Batch:
    """Pictures of one size, uint8 (N, H, W, 3), and by metric the N scores."""

    names: list[str]
    pred: np.ndarray
    target: np.ndarray
    low: np.ndarray  # what LOE compares with: the target, where nothing else is named
    scores: dict[str, np.ndarray]


def _batches(folder: Path, file: str) -> list[Batch]:
    by_size = defaultdict(list)
    for name, entry in json.loads((folder / file).read_text())["scores"].items():
        files = [name, entry.pop("reference")]
        files.append(entry.pop("low", files[1]))
        pictures = [np.asarray(Image.open(folder / f).convert("RGB")) for f in files]
        by_size[pictures[0].shape].append((name, pictures, entry))
    return [
        Batch(
            [name for name, _, _ in cases],
            np.stack([pictures[0] for _, pictures, _ in cases]),
            np.stack([pictures[1] for _, pictures, _ in cases]),
            np.stack([pictures[2] for _, pictures, _ in cases]),
            {key: np.array([entry[key] for _, _, entry in cases]) for key in cases[0][2]},
        )
        for cases in by_size.values()
    ]


@pytest.fixture(scope="session")
def shipped(fixtures: Path) -> list[Batch]:
    """Two sizes, one of them odd; float64 scores, made by tools/make_metric_references.py."""
    return _batches(fixtures / "metrics", "reference.json")


@pytest.fixture(scope="session")
def golden_pictures(golden: Path) -> list[Batch]:
    """600x400 and 512x340; scores by scikit-image and by piq in float32."""
    return [*_batches(golden / "metrics", "metrics.json"), *_batches(golden / "metrics_odd", "metrics.json")]


@pytest.fixture(scope="session")
def pair(shipped: list[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """Three different distortions of one odd-sized picture (163 x 175) with their target, uint8."""
    batch = min(shipped, key=lambda batch: batch.pred.size)
    return batch.pred, batch.target
