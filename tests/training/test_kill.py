"""`kill -9` at random moments: a small turn of tools/kill_test.py, which does it many times."""

import importlib.util
import random
import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "kill_test.py"


@pytest.fixture(scope="module")
def kill_test():
    spec = importlib.util.spec_from_file_location("kill_test", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_killed_twice_ends_identical(kill_test, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    kill_test.run_killed(killed, 300, kills=2, rng=random.Random(1))
    subprocess.run(kill_test.command(whole, 300, 300), check=True, capture_output=True)
    ours, theirs = ((run / "weights" / "params.safetensors").read_bytes() for run in (killed, whole))
    assert ours == theirs
