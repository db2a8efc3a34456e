"""What a run tells: metrics.jsonl always, TensorBoard, and one progress line."""

import contextlib
import json
import math
import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from smnet_jax.errors import InputError
from smnet_jax.host import places
from smnet_jax.host.atomic_files import replacing

PLAIN_SECONDS = 30.0  # between lines of progress where there is no terminal to draw in
MIRROR_SECONDS = 60.0  # between copies of the log to a bucket


class Log:
    """The log of a run in `workdir`. Only the writing process has one that writes (`write`)."""

    def __init__(
        self,
        workdir: Path,
        total_steps: int,
        *,
        write: bool = True,
        wandb: dict[str, Any] | None = None,
    ):
        """`wandb`: the run's settings, to tell Weights & Biases too. Raises InputError where it is not installed.

        Of a `workdir` in a bucket, to which nothing can be appended, the log is written here and copied there every
        minute and with each checkpoint.
        """
        self.path = workdir / "metrics.jsonl"
        self._write = write
        self._folder, self._mirror = workdir, None
        if places.is_remote(workdir):
            self._spool = tempfile.TemporaryDirectory(prefix="smnet-log-")
            self._folder = Path(self._spool.name)
            self._mirror = places.Mirror(self._folder, workdir, MIRROR_SECONDS)
        self._wandb = _Wandb(workdir, self._folder, wandb) if write and wandb is not None else None
        self._tensorboard: _TensorBoard | None = None
        self._total = total_steps
        self._last_line = -PLAIN_SECONDS
        self.console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=self.console,
            transient=True,
            disable=not (write and self.console.is_terminal),
        )
        self._task = self._progress.add_task("train", total=total_steps, told="compiling")

    def start(self, step: int) -> None:
        """Continue after `step` steps: what a killed run logged beyond its checkpoint will come again, so drop it."""
        if self._write:
            kept = [json.dumps(record) for record in read(self.path) if record["step"] <= step]
            try:
                with replacing(self._folder / self.path.name) as temporary:
                    temporary.write_text("".join(line + "\n" for line in kept))
                self._tensorboard = _TensorBoard(self._folder / "tensorboard", step + 1)
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
            with (self._folder / self.path.name).open("a") as file:
                file.write(json.dumps({"kind": kind, "step": step, "time": round(time.time(), 3), **plain}) + "\n")
            if self._tensorboard is not None:
                self._tensorboard.scalars(step, {f"{kind}/{name}": value for name, value in values.items()})
            if self._wandb is not None:
                self._wandb.scalars(step, {f"{kind}/{name}": value for name, value in values.items()})
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); make room or make it writable and give the same "
                "command again: it continues from the last finished checkpoint"
            ) from error
        if self._mirror is not None:
            self._mirror.now_and_then()

    def flush(self) -> None:
        """Before a checkpoint: what is told of the steps before it is in the workdir, also where that is a bucket."""
        if self._write and self._mirror is not None:
            self._mirror.now()
            if self._mirror.failed is not None:
                self.say(f"the log will be copied later: {self._mirror.failed}")

    def records(self) -> list[dict[str, Any]]:
        """What has been recorded."""
        return read(self._folder / self.path.name)

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture (H, W, 3) uint8 to TensorBoard."""
        if self._tensorboard is not None:
            self._tensorboard.picture(step, name, picture)

    def progress(self, step: int, told: str) -> None:
        """Move the progress line; where there is no terminal, a line now and then instead."""
        self._progress.update(self._task, completed=step, told=told)
        now = time.monotonic()
        if not self.console.is_terminal and now - self._last_line >= PLAIN_SECONDS:
            self._last_line = now
            self.say(f"step {step}/{self._total}: {told}")

    def say(self, message: str) -> None:
        """A line that stays."""
        if self._write:
            self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Close everything and remove the progress line. Says nothing of a full disk: whoever wrote last has."""
        self._progress.stop()
        if self._tensorboard is not None:
            with contextlib.suppress(OSError):
                self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.close()
        if self._mirror is not None:
            self.flush()
            self._spool.cleanup()


class _TensorBoard:
    """TensorBoard's event file, written at once: tensorboardX's own SummaryWriter writes from a thread, which a full
    disk ends unheard, and then waits for it for ever."""

    def __init__(self, folder: Path, purge_step: int):
        from tensorboardX import event_file_writer, summary  # slow to import, and needed by the writer alone
        from tensorboardX.proto import event_pb2

        folder.mkdir(parents=True, exist_ok=True)
        self._event, self._summary = event_pb2.Event, summary
        self._file = event_file_writer.EventsWriter(str(folder / "events"))
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)  # what a killed run wrote later is hidden
        self._file.write_event(self._event(step=purge_step, wall_time=time.time(), session_log=start))
        self._file.flush()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._write(step, self._summary.scalar(name, value))
        self._file.flush()

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        self._write(step, self._summary.image(name, picture, dataformats="HWC"))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, summary: Any) -> None:
        self._file.write_event(self._event(step=step, wall_time=time.time(), summary=summary))


class _Wandb:
    """A run at Weights & Biases, the same one when the training continues. WANDB_MODE, WANDB_PROJECT and its other
    variables say where to."""

    def __init__(self, workdir: Path, folder: Path, settings: dict[str, Any]):
        """`workdir` keeps the run's id; its files lie in `folder`, of this machine."""
        try:
            import wandb
        except ImportError as error:
            raise InputError("log wandb: wandb is not installed; pip install 'smnet-jax[wandb]'") from error
        kept = workdir / "wandb.id"
        if not kept.exists():
            kept.write_text(secrets.token_hex(4) + "\n", encoding="ascii")
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "smnet"),
                dir=folder,
                id=kept.read_text(encoding="ascii").strip(),
                name=os.environ.get("WANDB_NAME", workdir.name),
                resume="allow",
                config=settings,
                settings=wandb.Settings(silent=True, disable_git=True, save_code=False),
            )
        except wandb.errors.Error as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"log wandb: {said}; log in with wandb login, or set WANDB_MODE=offline") from error
        # A step that comes again after a kill must count: wandb's own step would only grow.
        self._run.define_metric("*", step_metric="step")

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self._run.log({"step": step, **values})

    def close(self) -> None:
        self._run.finish()


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl; a last line cut off by a kill is left out."""
    with places.reached(path):
        if not path.exists():
            return []
        text = path.read_text()
    records = []
    for line in text.splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def make_workdir(workdir: Path) -> None:
    """Raise InputError unless `workdir` is, or can be made, a folder that takes files."""
    try:
        with places.reached(workdir):
            workdir.mkdir(parents=True, exist_ok=True)
            probe = workdir / f".probe-{os.getpid()}"
            probe.write_text("")
            probe.unlink()
    except OSError as error:
        raise InputError(f"{workdir}: cannot be written ({error.strerror}); choose another --workdir") from error
