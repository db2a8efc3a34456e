"""What a run tells: metrics.jsonl always, TensorBoard, and one progress line."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from smnet_jax.errors import InputError


class Log:
    """The log of a run in `workdir`. Only the writing process has one that writes (`write`)."""

    def __init__(self, workdir: Path, total_steps: int, *, write: bool = True, console: Console | None = None):
        self.path = workdir / "metrics.jsonl"
        self._write = write
        self._tensorboard: Any = None
        self._workdir = workdir
        self.console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=self.console,
            transient=True,
            disable=not write,
        )
        self._task = self._progress.add_task("train", total=total_steps, told="compiling")

    def start(self, step: int) -> None:
        """Continue after `step` steps: what a killed run logged beyond its checkpoint will come again, so drop it."""
        if self._write:
            kept = [json.dumps(record) for record in read(self.path) if record["step"] <= step]
            try:
                temporary = self.path.with_suffix(".tmp")
                temporary.write_text("".join(line + "\n" for line in kept))
                temporary.replace(self.path)
                from tensorboardX import SummaryWriter  # slow to import, and needed by the writer alone

                self._tensorboard = SummaryWriter(str(self._workdir / "tensorboard"), purge_step=step + 1)
            except OSError as error:
                raise InputError(
                    f"{self.path}: cannot be written ({error.strerror}); choose another --workdir"
                ) from error
        self._progress.start()
        self._progress.update(self._task, completed=step)

    def record(self, kind: str, step: int, values: dict[str, float]) -> None:
        """One line of JSON and TensorBoard scalars. `kind` is "train" or "evaluation".

        Raises InputError where the line cannot be written, on a full disk for one.
        """
        if not self._write:
            return
        # JSON has no NaN: null says "not a number" to every reader.
        plain = {name: value if math.isfinite(value) else None for name, value in values.items()}
        try:
            with self.path.open("a") as file:
                file.write(json.dumps({"kind": kind, "step": step, "time": round(time.time(), 3), **plain}) + "\n")
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); make room or make it writable and give the same "
                "command again: it continues from the last finished checkpoint"
            ) from error
        for name, value in values.items():
            self._tensorboard.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture (H, W, 3) uint8 to TensorBoard."""
        if self._write:
            self._tensorboard.add_image(name, picture, step, dataformats="HWC")

    def progress(self, step: int, told: str) -> None:
        """Move the progress line."""
        self._progress.update(self._task, completed=step, told=told)

    def say(self, message: str) -> None:
        """A line that stays."""
        if self._write:
            self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Flush everything and remove the progress line."""
        self._progress.stop()
        if self._tensorboard is not None:
            self._tensorboard.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl; a last line cut off by a kill is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def make_workdir(workdir: Path) -> None:
    """Raise InputError unless `workdir` is, or can be made, a folder that takes files."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise InputError(f"{workdir}: cannot be written ({error.strerror}); choose another --workdir") from error
