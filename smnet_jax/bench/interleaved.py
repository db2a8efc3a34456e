"""Timing in turns."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

Clocks = dict[str, list[tuple[float, float]]]


def take_turns(runs: Mapping[str, Callable[[], Any]], rounds: int, what: str, *, settle: bool = False) -> Clocks:
    """(seconds, CPU seconds over all threads of this process) of every run in every round.

    Within a round the runs take turns, so that a busy minute hits all of them alike. With `settle` each first computes
    once untimed: for what goes on for long, as training does, and shall not pay for what the one before it left.
    """
    clocks: Clocks = {name: [] for name in runs}
    for turn in range(rounds):
        for name, compute in runs.items():
            say(f"{what}: round {turn + 1} of {rounds}, {name}")
            if settle:
                compute()
            clock, cpu = time.perf_counter(), time.process_time()
            compute()
            clocks[name].append((time.perf_counter() - clock, time.process_time() - cpu))
    return clocks


def say(text: str) -> None:
    """Progress, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
