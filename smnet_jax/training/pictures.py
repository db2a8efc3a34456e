"""A run to look at: contact sheets of the evaluation pairs, and the curves at the end."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from smnet_jax.host.atomic_files import replacing

ROWS, TILE = 6, 256


def contact_sheet(triples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Up to six rows of (low, output, target), each (H, W, 3) uint8, as one picture (H', W', 3) uint8."""
    rows = [np.hstack([_tile(picture) for picture in triple]) for triple in triples[:ROWS]]
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows])


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8."""
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary)


def curves(path: Path, records: list[dict[str, Any]]) -> None:
    """Loss, learning rate and scores by step, from the records of `log.read`, to the PNG `path`."""
    from matplotlib.figure import Figure  # not pyplot: no window, no global state

    train = [r for r in records if r["kind"] == "train"]
    evaluated = [r for r in records if r["kind"] == "evaluation"]
    panels = [("loss", train), ("learning_rate", train), ("psnr", evaluated), ("ssim", evaluated)]
    figure = Figure(figsize=(11, 6))
    # By numbers: a layout that measures every label takes longer than all the rest of the drawing.
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.085, top=0.945, wspace=0.16, hspace=0.36)
    for axes, (name, source) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        points = [(r["step"], r[name]) for r in source if r.get(name) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), lw=1, marker="." if len(points) < 100 else "")
        if name in ("psnr", "ssim") and (inputs := [r[f"input_{name}"] for r in source if f"input_{name}" in r]):
            axes.axhline(inputs[-1], ls="--", lw=1, color="gray", label="input, not enhanced")
            axes.legend()
        if name == "loss" and points and min(y for _, y in points) > 0:
            axes.set_yscale("log")
        axes.set_title({"psnr": "PSNR, dB", "ssim": "SSIM"}.get(name, name.replace("_", " ")))
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _tile(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    size = (max(1, round(width * TILE / height)), TILE)
    return np.pad(np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)), ((0, 0), (0, 4), (0, 0)))
