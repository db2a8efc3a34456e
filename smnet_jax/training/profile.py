"""A profiler trace of chosen steps; `smnet_jax.hardware.trace` reads it."""

from pathlib import Path
from typing import Any

import jax

from smnet_jax.errors import InputError
from smnet_jax.hardware import trace


def parse(steps: str) -> range:
    """ "10:13" to the steps 10, 11 and 12, counted from 0; "" to none. Raises InputError for anything else."""
    if not steps:
        return range(0)
    start, _, stop = steps.partition(":")
    if not (start.isdecimal() and stop.isdecimal()) or int(start) >= int(stop):
        raise InputError(f"profile {steps}: must be START:STOP, as 10:13 for the steps 10, 11 and 12 (from 0)")
    return range(int(start), int(stop))


class Profile:
    """Traces the steps `steps` into `folder`. Every process traces its own devices."""

    def __init__(self, steps: str, folder: Path):
        self._steps, self.folder = parse(steps), folder
        self._running = False
        if self._steps:
            # The compile cache takes programs for the same that differ in their operations' names only. A trace is read
            # by these names: it must not get the program of another version, whose layers are called otherwise.
            jax.config.update("jax_compilation_cache_include_metadata_in_key", True)

    def before(self, step: int, ready: Any) -> None:
        """Call before a step; `ready` is waited for, so that only chosen steps are in the trace."""
        if self._steps and step in self._steps and not self._running:
            jax.block_until_ready(ready)
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # Python's calls would make up most of the file
            jax.profiler.start_trace(str(self.folder), profiler_options=options)
            self._running = True

    def annotate(self, step: int) -> Any:
        """Context of one step, by which it is found in the trace."""
        return jax.profiler.StepTraceAnnotation(trace.STEP, step_num=step)

    def within(self, ready: Any) -> None:
        """Call inside `annotate`, after the dispatch: a traced step lasts until its results are there."""
        if self._running:
            jax.block_until_ready(ready)

    def after(self, step: int) -> bool:
        """Call after a step; True once the trace of the last chosen step is written."""
        if not self._running or step + 1 < self._steps.stop:
            return False
        self.close()
        return True

    def close(self) -> None:
        """End a trace that is still running."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
