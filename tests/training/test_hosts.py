"""Two real processes on loopback: the same training as one, one writer, and a clean end when one dies."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from smnet_jax import InputError
from smnet_jax.checkpoints import weights
from smnet_jax.checkpoints.trees import flatten
from smnet_jax.network.initialisation import initialise
from smnet_jax.training import config as configs
from smnet_jax.training import hosts, log, loop
from smnet_jax.training.config import Config
from smnet_jax.training.step import make_model
from tests.support import tolerances

SETTINGS = {
    "blocks": 1, "crop": 12, "batch": 4, "data": "dummy:8", "holdout": 0.25, "evaluate-epochs": 2, "log-steps": 1,
    # A rate that does not depend on the length of the run: runs of all lengths are one program, compiled once.
    "schedule": "steps", "decay-epochs": 10**9,
}  # fmt: skip


def start(
    workdir: Path, steps: int, process: int, port: int, changes: dict[str, int] | None = None
) -> subprocess.Popen:
    """One process of a run of two."""
    settings = {**SETTINGS, "steps": steps, "workdir": workdir, **(changes or {})}
    settings |= {"coordinator": f"localhost:{port}", "processes": 2, "process": process}
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return subprocess.Popen(
        [sys.executable, "-m", "smnet_jax.cli", "train", "smoke", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def finish(processes: list[subprocess.Popen], timeout: float) -> list[tuple[int, str]]:
    ended = []
    try:
        for process in processes:
            said = process.communicate(timeout=timeout)[1]
            ended.append((process.returncode, said))
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return ended


def test_two_processes_equal_one(tmp_path):
    port = free_port()
    two = [start(tmp_path / "two", 6, process, port) for process in (0, 1)]
    settings = {name.replace("-", "_"): value for name, value in SETTINGS.items()}
    loop.train(configs.change(configs.load("smoke"), **settings, steps=6), tmp_path / "one")
    for code, said in finish(two, timeout=500):
        assert code == 0, said
    one, both = (flatten(weights.read(tmp_path / name / "weights").params) for name in ("one", "two"))
    config = dataclasses.replace(configs.load("smoke"), blocks=1)
    begun = flatten(jax.device_get(initialise(make_model(config), config.seed)["params"]))
    apart = tolerances.drift(both, one, begun)
    print(f"drift between two processes and one: {apart:.1e}")
    assert apart <= tolerances.ADAM
    ours, theirs = (log.read(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    assert [(r["kind"], r["step"]) for r in ours] == [(r["kind"], r["step"]) for r in theirs]  # written once
    for a, b in zip(ours, theirs, strict=True):
        for name in {"loss", "grad_norm", "psnr", "ssim"} & a.keys():
            assert a[name] == pytest.approx(b[name], rel=1e-3), name


JOIN = """
import jax
from smnet_jax.training import hosts
from smnet_jax.training.config import Config
hosts.join(Config(coordinator="auto"))
print(jax.process_index(), jax.process_count(), hosts.any_of({"a": jax.process_index() == 1}))
"""


def test_slurm_tells_who_the_others_are():
    job = {"SLURM_JOB_ID": str(free_port()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN],
            env={**os.environ, **job, "SLURM_PROCID": rank, "SLURM_LOCALID": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    ended = [(process.communicate(timeout=120), process.returncode) for process in processes]
    for rank, ((told, said), code) in enumerate(ended):
        assert code == 0, said
        assert told.splitlines()[-1] == f"{rank} 2 {{'a': True}}"  # Gloo prints a line of its own first


def test_auto_where_nothing_tells_of_others(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("SLURM_", "OMPI_", "PMI"))]:
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match="coordinator auto: nothing here tells"):
        hosts.join(Config(coordinator="auto"))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_dies_the_other_ends_and_says_so(tmp_path, victim):
    port = free_port()
    processes = [start(tmp_path, 1_000_000, process, port) for process in (0, 1)]
    try:
        deadline = time.monotonic() + 300
        while len(log.read(tmp_path / "metrics.jsonl")) < 3 and time.monotonic() < deadline:
            assert all(process.poll() is None for process in processes)
            time.sleep(0.2)
    finally:
        processes[victim].send_signal(signal.SIGKILL)
    ((_, _), (code, said)) = finish([processes[victim], processes[1 - victim]], timeout=120)
    assert "Traceback" not in said
    # JAX's own watch may notice before a collective fails, and aborts the process with a message of its own.
    assert code in (1, -signal.SIGABRT)
    assert "another process of this run has ended" in said or "another task died" in said


@pytest.mark.slow
def test_when_one_is_preempted_all_stop_at_the_same_step(tmp_path):
    """A SIGTERM to one process of two, which look at each other's clocks and signals only every 1,000 steps."""
    port = free_port()
    processes = [start(tmp_path, 1_000_000, process, port, {"log-steps": 1000}) for process in (0, 1)]
    try:
        deadline = time.monotonic() + 300
        while len(log.read(tmp_path / "metrics.jsonl")) < 2 and time.monotonic() < deadline:
            assert all(process.poll() is None for process in processes)
            time.sleep(0.2)
    finally:
        processes[1].send_signal(signal.SIGTERM)
    for code, said in finish(processes, timeout=200):
        assert code == 128 + signal.SIGTERM, said
        assert "Traceback" not in said
    assert max(int(path.name) for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()) < 1000
