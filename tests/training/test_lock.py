"""Two runs in one folder: the second is refused, whichever host it is on, and a killed one blocks nobody."""

import json
import subprocess
import sys
import threading

import pytest

from smnet_jax import InputError
from smnet_jax.training import lock


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.02)


def test_the_second_run_is_refused_with_process_host_and_time(tmp_path):
    refused = pytest.raises(InputError, match=r"in use by process \d+ on .+ since 20\d\d-")
    with lock.held(tmp_path), refused, lock.held(tmp_path):
        pass
    with lock.held(tmp_path):
        pass
    assert not (tmp_path / "run.json").exists()


def test_a_killed_run_blocks_nobody(tmp_path):
    code = "import os, pathlib, sys; from smnet_jax.training import lock\n"
    code += "with lock.held(pathlib.Path(sys.argv[1])): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 9
    assert (tmp_path / "run.json").exists()
    with lock.held(tmp_path):
        pass


def test_another_hosts_run_is_alive_as_long_as_it_writes(tmp_path):
    holder = tmp_path / "run.json"
    other = {"process": 7, "host": "other", "boot": "x", "since": "2026-01-01T00:00:00+00:00"}
    over = threading.Event()
    holder.write_text(json.dumps({**other, "beat": 0}))
    thread = threading.Thread(target=lock._beat, args=(holder, other, over, 0.02))
    thread.start()
    try:
        with pytest.raises(InputError, match="process 7 on other since 2026"), lock.held(tmp_path):
            pass
    finally:
        over.set()
        thread.join()
    with lock.held(tmp_path):  # silent now
        pass
