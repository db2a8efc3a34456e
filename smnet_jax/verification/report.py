"""Differences as tables for people, JSON for programs, and pictures."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing
from smnet_jax.verification.comparison import Difference, first_outside

if TYPE_CHECKING:
    from smnet_jax.verification.check import Outcome
    from smnet_jax.verification.divergence import Row

WIDTH = 120  # of tables where the output is no terminal
BRIGHTEST = 1e-3  # difference that is white in the heat map
DARKEST = 1e-8


def console() -> Console:
    """Standard output; tables keep their width in a pipe."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)


def differences_table(title: str, differences: Sequence[Difference]) -> Table:
    """A row per stage."""
    table = Table(title=escape(title), title_justify="left")
    for name in ("stage", "largest difference", "relative", "tolerance", "", "where"):
        table.add_column(name, justify="right" if name in ("largest difference", "relative", "tolerance") else "left")
    for d in differences:
        table.add_row(
            d.stage, number(d.absolute), number(d.relative), number(d.tolerance), _mark(d.within), escape(d.where)
        )
    return table


def modes_table(outcomes: "Sequence[Outcome]", output: str) -> Table:
    """A row per mode: what it costs at the output, there also in steps of 8 bits, and at its worst stage."""
    table = Table(title="Ways of computing, against the same reference", title_justify="left")
    for name in ("mode", "output", "relative", "levels", "worst stage", "relative", "tolerance", ""):
        table.add_column(name, justify="left" if name in ("mode", "worst stage", "") else "right", no_wrap=True)
    for outcome in outcomes:
        at_output = next(d for d in outcome.differences if d.stage == output)
        worst = max(outcome.differences, key=lambda d: d.relative)
        table.add_row(
            outcome.mode.name,
            number(at_output.absolute),
            number(at_output.relative),
            str(outcome.levels),
            worst.stage,
            number(worst.relative),
            number(outcome.mode.tolerance),
            _mark(outcome.within),
        )
    return table


def divergence_table(rows: "Sequence[Row]") -> Table:
    """A row per training step."""
    table = Table(title="Training side by side: drift over distance travelled", title_justify="left")
    for name in ("step", "loss", "PyTorch's", "drift", "from float64", "PyTorch's own", ""):
        table.add_column(name, justify="left" if name == "" else "right")
    for row in rows:
        drifts = (number(row.between), number(row.ours), number(row.torchs))
        table.add_row(str(row.step), f"{row.loss:.6f}", f"{row.torch_loss:.6f}", *drifts, _mark(row.within))
    return table


def number(value: float) -> str:
    """Two digits, as differences deserve."""
    return f"{value:.1e}" if value else "0"


def _mark(within: bool) -> str:
    return "ok" if within else "OUT"


def as_json(difference: Difference) -> dict[str, Any]:
    """One stage as JSON; what is infinite or NaN is null."""
    found = {name: value for name, value in vars(difference).items() if name != "where" or value}
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in found.items()}
    return {**finite, "within": difference.within}


def modes_json(outcomes: "Sequence[Outcome]") -> dict[str, Any]:
    """Every mode with its stages."""
    return {
        outcome.mode.name: {
            "within": outcome.within,
            "levels": outcome.levels,
            "first_outside": getattr(first_outside(outcome.differences), "stage", None),
            "stages": [as_json(d) for d in outcome.differences],
        }
        for outcome in outcomes
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_heat_map(path: Path, name: str, ours: np.ndarray, reference: np.ndarray) -> None:
    """Our picture beside where it differs, (H,W,3) each: black 1e-8 or less, then red, yellow, and white at 1e-3.

    Raises InputError unless the name ends in .png.
    """
    from PIL import Image, ImageDraw

    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: the heat map is a PNG; let its name end in .png")
    distance = np.nan_to_num(np.abs(ours.astype(np.float64) - reference).max(-1), nan=np.inf)
    decades = np.log10(np.clip(distance, DARKEST, BRIGHTEST) / DARKEST) / math.log10(BRIGHTEST / DARKEST)
    heat = np.clip(3 * decades[..., None] - np.arange(3), 0, 1)  # black, red, yellow, white
    panels = np.concatenate([np.clip(np.nan_to_num(ours), 0, 1), heat], axis=1)
    caption = 28
    image = Image.new("RGB", (max(panels.shape[1], 360), panels.shape[0] + caption))
    image.paste(Image.fromarray(np.rint(panels * 255).astype(np.uint8)), (0, caption))
    text = f"{name}\nlargest difference {distance.max():.1e}; black {DARKEST:.0e}, white {BRIGHTEST:.0e}"
    ImageDraw.Draw(image).text((4, 2), text.encode("ascii", "replace").decode(), fill="white", spacing=1)
    with replacing(path) as temporary:
        image.save(temporary)


def plot_divergence(path: Path, rows: "Sequence[Row]") -> None:
    """Drift per step as a picture. Raises InputError without matplotlib, or for a kind of file it cannot write."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("--plot: matplotlib is not installed; pip install 'smnet-jax[train]'") from error
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    steps = [row.step for row in rows]
    axes.semilogy(steps, [row.between for row in rows], "o-", label="ours, from PyTorch float32")
    axes.semilogy(steps, [row.ours for row in rows], "s-", label="ours, from PyTorch float64")
    axes.semilogy(steps, [row.torchs for row in rows], "k--", label="PyTorch float32, from float64 (largest so far)")
    axes.set(xlabel="training step", ylabel="distance over distance travelled")
    axes.legend()
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        try:
            figure.savefig(temporary, dpi=120)
        except ValueError as error:
            raise InputError(f"{path}: plots are written as .png, .svg or .pdf") from error
