"""What the numbers were taken on, and the most that this machine could do."""

import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

from smnet_jax.host import process_memory


def describe() -> dict[str, Any]:
    """Processor, cores this process may use, load averages, system and versions."""
    import jax
    import numpy as np

    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def use_threads(count: int) -> None:
    """Keep this process, and so XLA, PyTorch and ONNX Runtime alike, on `count` cores; before JAX starts."""
    cores = sorted(os.sched_getaffinity(0))
    if not 1 <= count <= len(cores):
        raise ValueError(f"{count} threads: there are {len(cores)} cores")
    os.sched_setaffinity(0, cores[:count])


def matmul(size: int = 3072) -> Any:
    """A function that multiplies two float32 matrices of `size`, 2 * size**3 operations: the machine's measure."""
    import jax
    import jax.numpy as jnp

    a = jnp.asarray(jax.random.normal(jax.random.key(0), (size, size)))
    multiply = jax.jit(lambda a: jnp.dot(a, a, precision="highest")).lower(a).compile()
    return lambda: multiply(a).block_until_ready()


def peak_memory() -> int:
    """Bytes of memory this process has held at most."""
    held = process_memory.peak()
    if held is not None:  # Linux, where getrusage's would be the parent's, if that held more when it started us
        return held
    import resource
    import sys

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class AnonymousMemory:
    """While it is entered: samples how much memory this process holds that is no file's; `peak` is the most, bytes."""

    def __init__(self, interval: float = 0.02) -> None:
        self.interval, self.peak, self._over = interval, 0, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "AnonymousMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, _anonymous())
            if self._over.wait(self.interval):
                return


def _anonymous() -> int:
    held = process_memory.anonymous()
    return peak_memory() if held is None else held  # not Linux: the next best


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
