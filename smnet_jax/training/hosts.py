"""Several processes, one run: joining them, deciding together, and who writes."""

import os
import re
import sys
import traceback
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from smnet_jax.errors import InputError
from smnet_jax.training.config import Config

# A process that stays silent this long is taken for dead, and all the others end.
HEARTBEAT_SECONDS = 30

_FAILED_STATUS = re.compile("(ABORTED|CANCELLED|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|UNKNOWN): ")


def join(config: Config) -> None:
    """Meet the other processes; returns when all are there. Before JAX's first operation.

    Raises InputError where the coordinator is "auto" and the environment tells of no others.
    """
    if config.coordinator == "auto":
        try:
            jax.distributed.initialize(initialization_timeout=300, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"coordinator auto: nothing here tells of other processes ({_first_line(error)}); start under Slurm "
                "or on a TPU pod, or give --coordinator HOST:PORT --processes N --process I"
            ) from error
    elif config.processes > 1:
        jax.distributed.initialize(
            config.coordinator,
            config.processes,
            config.process,
            initialization_timeout=300,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )


def lost_another(error: Exception) -> bool:
    """Whether `error` is how a process learns that another has died: a collective or a barrier that fails."""
    if jax.process_count() == 1:
        return False
    # Not every layer raises XLA's failed collectives as JAX's own class, but all keep the status in the message.
    return isinstance(error, (jax.errors.JaxRuntimeError, TimeoutError)) or bool(_FAILED_STATUS.match(str(error)))


def end_alone(error: Exception) -> NoReturn:
    """End this process of several at once, saying why: whatever would wait for the others (Orbax, JAX's own shutdown)
    could wait for ever. Exit code 2 for an InputError, else 1."""
    if isinstance(error, InputError):
        print(f"smnet: {error}", file=sys.stderr)
    elif lost_another(error):
        print(
            f"smnet: another process of this run has ended ({_first_line(error)}); give all of them the same commands "
            "again: they continue from the last finished checkpoint",
            file=sys.stderr,
        )
    else:
        traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(2 if isinstance(error, InputError) else 1)


def is_writer() -> bool:
    """Whether this process writes the log, the pictures and the weights: one does, the checkpoints all together."""
    return jax.process_index() == 0


def any_of(flags: dict[str, bool]) -> dict[str, bool]:
    """Each flag true where any process has it true: all must act alike. Every process must call this together."""
    if jax.process_count() == 1:
        return flags
    gathered = multihost_utils.process_allgather(np.array(list(flags.values())))
    return dict(zip(flags, map(bool, gathered.any(axis=0)), strict=True))


def watches_preemption() -> bool:
    """Whether JAX itself waits for this process's SIGTERM, to agree with the others on the step after which to stop."""
    return jax.process_count() > 1 and getattr(jax.config, "jax_enable_preemption_service", False)


def preempted(step: int) -> bool:
    """Whether to stop now, before step number `step`, because some process got a SIGTERM: the same answer everywhere.

    Every process must call this at every step.
    """
    return watches_preemption() and multihost_utils.reached_preemption_sync_point(step)


def summed(values: np.ndarray) -> np.ndarray:
    """Sum over all processes, which must call this together."""
    if jax.process_count() == 1:
        return values
    return multihost_utils.process_allgather(values).sum(axis=0)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
