"""Checkpoints by Orbax: written in the background, the latest few and the best kept, read back whatever was killed."""

import copy
import logging
import math
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from smnet_jax.errors import InputError
from smnet_jax.host import places, root_logger
from smnet_jax.training import hosts
from smnet_jax.training.config import Config, check_same, to_json
from smnet_jax.training.step import TrainState

with root_logger.untouched():
    from orbax.checkpoint import v1 as ocp

SCORE = "psnr"  # what "best" means
ORBAX_SECONDS = 10.0  # to wait for a thread of Orbax's after a failure


class Checkpoints:
    """The checkpoints of a run, in `workdir/checkpoints/STEP`. In a run of several processes all make every call."""

    def __init__(self, workdir: Path, keep: int, evaluated: str = ""):
        """`evaluated` is the fingerprint of the evaluation pairs: scores of others say nothing about the best."""
        # Orbax tells of every file it opens, and writes tracebacks of what it also raises.
        self._absl_level = logging.getLogger("absl").level
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._evaluated = evaluated
        self.folder = (workdir if places.is_remote(workdir) else workdir.absolute()) / "checkpoints"
        self.unreadable: list[str] = []
        self.changed: list[str] = []  # settings that `restore` found changed on purpose
        preserve = ocp.training.preservation_policies
        try:
            with places.reached(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            self._orbax = ocp.training.Checkpointer(
                self.folder,
                save_decision_policy=_Always(),
                # Best alone would delete the newest.
                preservation_policy=preserve.AnyPreservationPolicy(
                    [
                        preserve.LatestN(keep),
                        preserve.BestN(get_metric_fn=self._score, n=1, keep_checkpoints_without_metrics=False),
                    ]
                ),
                cleanup_tmp_directories=True,
            )
        except OSError as error:
            logging.getLogger("absl").setLevel(self._absl_level)
            raise InputError(f"{self.folder}: cannot be written ({error}); choose another --workdir") from error

    def save(self, state: TrainState, config: Config, run: dict[str, Any], scores: dict[str, float] | None) -> None:
        """Start to write `state` and `run` (JSON: position, history). `scores` where the state has been evaluated.

        Returns within a fraction of a second: the arrays are copied, the writing goes on while training does.
        Raises InputError where this or the previous checkpoint cannot be written; older ones stay as they are.
        """
        step = int(state.step)
        if any(checkpoint.step == step for checkpoint in self._orbax.checkpoints):
            return
        try:
            self._orbax.save_checkpointables_async(
                step,
                {"state": state},
                metrics=None if scores is None else {**scores, "evaluated": self._evaluated},
                # A copy: it is written later, and the caller's lists grow meanwhile.
                custom_metadata=copy.deepcopy({"config": to_json(config), **run}),
            )
        except Exception as error:
            if hosts.lost_another(error):
                raise
            raise self._unwritable(error) from error

    def wait(self) -> None:
        """Until everything is on disk. Raises InputError as `save`."""
        try:
            self._orbax.wait()
        except Exception as error:
            if hosts.lost_another(error):
                raise
            raise self._unwritable(error) from error

    def restore(
        self, like: TrainState, config: Config, mesh: Mesh, resume_with: Collection[str] = ()
    ) -> tuple[TrainState, dict[str, Any]] | None:
        """The newest readable state, placed on `mesh` (any number of devices), and its `run`; None without any.

        Deleting an old checkpoint is not atomic, so a kill can leave one that is listed but cannot be read: such are
        passed over. Raises InputError if a checkpoint is another config's (but for `resume_with`), or if none of those
        there can be read.
        """
        everywhere = NamedSharding(mesh, PartitionSpec())
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), like)
        failures = self.unreadable
        for checkpoint in reversed(self._orbax.checkpoints):
            try:
                run = dict(self._orbax.checkpointables_metadata(checkpoint.step).custom_metadata or {})
                saved_config = run.pop("config")
            except Exception as error:  # whatever a half-deleted folder makes Orbax raise
                failures.append(f"{checkpoint.step}: {_first_line(error)}")
                continue
            self.changed = check_same(config, saved_config, self.folder, resume_with)
            try:
                state = self._orbax.load_checkpointables(checkpoint.step, {"state": abstract})["state"]
            except Exception as error:
                failures.append(f"{checkpoint.step}: {_first_line(error)}")
                continue
            self._drop_after(checkpoint.step)
            return state, run
        if failures:
            raise InputError(f"{self.folder}: no checkpoint can be read ({'; '.join(failures)}); take a new --workdir")
        return None

    def latest(self) -> int | None:
        """Step of the newest finished checkpoint."""
        return self._orbax.latest.step if self._orbax.latest else None

    def close(self) -> None:
        """Wait and stop Orbax's threads."""
        try:
            self._orbax.close()
        finally:
            # After a failure some still run, and log what has been told already.
            for thread in threading.enumerate():
                if type(thread).__module__.startswith("orbax."):
                    thread.join(ORBAX_SECONDS)
            logging.getLogger("absl").setLevel(self._absl_level)

    def _score(self, metrics: dict[str, Any]) -> float:
        return metrics[SCORE] if metrics.get("evaluated", self._evaluated) == self._evaluated else -math.inf

    def _drop_after(self, step: int) -> None:
        """Delete unreadable newer checkpoints: their steps will be written again."""
        for checkpoint in self._orbax.checkpoints:
            if checkpoint.step > step:
                self._orbax.delete(checkpoint.step)

    def _unwritable(self, error: Exception) -> InputError:
        return InputError(
            f"{self.folder}: a checkpoint could not be written ({_first_line(error)}); make room or make it writable "
            "and give the same command again: it continues from the last finished one"
        )


class _Always:
    """When to save is the loop's decision."""

    def should_save(self, step: Any, previous_steps: Any, *, context: Any) -> bool:
        return True


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
