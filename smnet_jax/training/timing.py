"""Where the time of a run goes, by part; images per second; MFU."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Part = Literal["compile", "input", "transfer", "step", "checkpoint", "evaluation", "other"]

# Parts that are the training itself: rates are over their time, "other" (the loop's own, the log) included.
_TRAINING: tuple[Part, ...] = ("input", "transfer", "step", "other")


class Clock:
    """A stopwatch with parts. "step" is the time the loop waits for devices, "input" for pictures, "transfer" copies
    them there, "other" is whatever no part was named for. One runs at a time: parts do not nest."""

    def __init__(self) -> None:
        self._batch, self._flops = 0, 0
        self._peak: float | None = None
        self.totals: dict[Part, float] = {}
        self._restart()

    def work(self, batch: int, flops: int, peak: float | None) -> None:
        """What a step is from now on: pictures, model FLOPs, and the FLOP/s of all devices at most (None: unknown)."""
        self._batch, self._flops, self._peak = batch, flops, peak

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        """The block is `name`."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begun

    def step(self, count: int = 1) -> None:
        """So many steps are done."""
        self._steps += count

    def rates(self) -> dict[str, float]:
        """Since the last call: `images_per_second`, `step_seconds`, `input_wait` (a share) of the training time;
        `model_flops_per_second`, `mfu` where the peak is known; and `seconds_PART` of all parts."""
        passed = time.perf_counter() - self._since
        seconds = self._seconds
        seconds["other"] = max(0.0, passed - sum(seconds.values()))
        training = max(1e-9, sum(seconds.get(name, 0.0) for name in _TRAINING))
        rate = self._steps * self._flops / training
        rates = {
            "images_per_second": self._steps * self._batch / training,
            "step_seconds": training / max(1, self._steps),
            "input_wait": seconds.get("input", 0.0) / training,
            "model_flops_per_second": rate,
            **({"mfu": rate / self._peak} if self._peak else {}),
            **{f"seconds_{name}": value for name, value in seconds.items()},
        }
        for name, value in seconds.items():
            self.totals[name] = self.totals.get(name, 0.0) + value
        self._restart()
        return rates

    def told(self) -> str:
        """The whole run's parts, the longest first: "step 93 %, compile 5 %, ..."."""
        if self._seconds or not self.totals:
            self.rates()
        whole = max(1e-9, sum(self.totals.values()))
        shares = sorted(self.totals.items(), key=lambda item: -item[1])
        return f"{whole:.0f} s: " + ", ".join(
            f"{name} {value / whole:.0%}".replace("%", " %") for name, value in shares
        )

    def _restart(self) -> None:
        self._since, self._steps = time.perf_counter(), 0
        self._seconds: dict[Part, float] = {}
