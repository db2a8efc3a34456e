"""The numbers of one evaluation: summary statistics, and the JSON and CSV files (docs/evaluation.md describes them)."""

import csv
import dataclasses
import datetime
import json
import math
import os
import platform
from typing import Any

import jax
import jaxlib
import numpy as np

from smnet_jax.evaluation.columns import PROTOCOLS, Column
from smnet_jax.host.atomic_files import replacing
from smnet_jax.version import __version__

FORMAT, FORMAT_VERSION = "smnet-evaluation", 1


@dataclasses.dataclass(frozen=True)
class Picture:
    """One scored picture; `values` by column name."""

    name: str
    height: int
    width: int
    files: dict[str, str]  # "low", "image", "high" -> path as given
    values: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Summary:
    """One column over all pictures. `deviation` is the population's; worst and best only where one is better."""

    mean: float
    deviation: float
    worst: Picture | None
    best: Picture | None


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Where the time went, in seconds; reading happens in threads meanwhile."""

    pictures: int
    model: float  # 0 where finished pictures were scored
    metrics: float
    compiling: float
    wall: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Everything that a table, a report or a file needs."""

    columns: tuple[Column, ...]
    unavailable: dict[str, str]  # column name -> why it could not be computed here
    pictures: tuple[Picture, ...]
    throughput: Throughput
    settings: dict[str, Any]  # what was asked for: folders, batch, metrics
    weights: dict[str, Any] | None  # source, sha256 of the parameters, variant, width, blocks
    notes: tuple[str, ...] = ()

    @property
    def computed(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.name not in self.unavailable)

    def summary(self, column: Column) -> Summary:
        """Mean, standard deviation, worst and best picture of a computed column; infinite values stay infinite."""
        values = np.array([picture.values[column.name] for picture in self.pictures], np.float64)
        with np.errstate(invalid="ignore"):  # inf - inf: the deviation of infinite values is not a number
            mean, deviation = float(values.mean()), float(values.std())
        if column.better is None or np.isnan(values).all():
            return Summary(mean, deviation, None, None)
        lowest, highest = self.pictures[int(np.nanargmin(values))], self.pictures[int(np.nanargmax(values))]
        worst, best = (lowest, highest) if column.better == "higher" else (highest, lowest)
        return Summary(mean, deviation, worst, best)

    def as_json(self) -> dict[str, Any]:
        """The documented, stable form: only JSON types, non-finite numbers as "inf", "-inf" and "nan"."""
        columns = []
        for column in self.columns:
            entry: dict[str, Any] = {
                "name": column.name,
                "title": column.title,
                "definition": column.definition,
                "protocol": column.protocol,
                "better": column.better,
                "unavailable": self.unavailable.get(column.name),
                "mean": None,
                "std": None,
                "worst": None,
                "best": None,
            }
            if column in self.computed:
                summary = self.summary(column)
                entry["mean"], entry["std"] = _number(summary.mean), _number(summary.deviation)
                for end, picture in (("worst", summary.worst), ("best", summary.best)):
                    if picture is not None:
                        entry[end] = {"picture": picture.name, "value": _number(picture.values[column.name])}
            columns.append(entry)
        used = {column.protocol for column in self.columns}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": {
                "smnet_jax": __version__,
                "jax": jax.__version__,
                "jaxlib": jaxlib.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "devices": {
                "platform": jax.devices()[0].platform,
                "kind": jax.devices()[0].device_kind,
                "count": jax.device_count(),
            },
            "settings": self.settings,
            "weights": self.weights,
            "protocols": {name: text for name, text in PROTOCOLS.items() if name in used},
            "columns": columns,
            "pictures": [
                {
                    "name": picture.name,
                    "height": picture.height,
                    "width": picture.width,
                    "files": picture.files,
                    "values": {column.name: _number(picture.values[column.name]) for column in self.computed},
                }
                for picture in self.pictures
            ],
            "throughput": dataclasses.asdict(self.throughput),
            "notes": list(self.notes),
        }


def write_json(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Write `as_json`, indented; pure ASCII, since file names need not be valid Unicode."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(evaluation.as_json(), indent=2, allow_nan=False) + "\n", encoding="ascii")


def write_csv(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Write a line per picture and a column per metric, under a line of column names.

    A name that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as f:
        writer = csv.writer(f)
        writer.writerow(["picture", "height", "width", *(column.name for column in evaluation.computed)])
        for picture in evaluation.pictures:
            values = (repr(picture.values[column.name]) for column in evaluation.computed)
            name = f"'{picture.name}" if picture.name[:1] in {"=", "+", "-", "@"} else picture.name
            writer.writerow([name, picture.height, picture.width, *values])


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
