import json
import subprocess
import sys

import pytest

from smnet_jax.bench import baselines, infer, machine
from smnet_jax.cli import main
from smnet_jax.host import allocator

SMALL = ["bench", "infer", "--width", "4", "--size", "48x32", "--repeats", "2", "--no-memory"]


@pytest.fixture(autouse=True)
def a_small_matmul(monkeypatch):
    monkeypatch.setattr(infer, "MATMUL", 64)


QUICK = ["smnet-jax", "PyTorch eager", "PyTorch channels_last"]  # compiling the third takes a minute


def test_numbers_table_and_chart(tmp_path, capsys):
    pytest.importorskip("torch")
    numbers, chart = tmp_path / "numbers.json", tmp_path / "chart.png"
    outputs = ["--json", str(numbers), "--chart", str(chart)]
    assert main([*SMALL, "--variant", "lol", "--only", *QUICK, *outputs]) == 0
    found = json.loads(numbers.read_text())
    rows = found["variants"]["lol"]["rows"]
    assert list(rows) == QUICK and found["machine"]["cores"] >= 1
    assert all(row["difference"] < 1e-5 and len(row["all_seconds"]) == 2 for row in rows.values())
    assert chart.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "times as fast as PyTorch's best" in said and "peak:" in said


def test_memory_is_kept_for_all_only_when_asked(tmp_path, monkeypatch):
    numbers, calls = tmp_path / "numbers.json", []

    def keep():
        calls.append(True)
        return True

    monkeypatch.setattr(allocator, "keep_freed_memory", keep)
    for flags in ([], ["--keep-memory"]):
        assert main([*SMALL, "--variant", "lol", "--only", "smnet-jax", *flags, "--json", str(numbers)]) == 0
        assert json.loads(numbers.read_text())["what"]["memory_kept"] is bool(flags) is bool(calls)


@pytest.mark.slow
def test_bfloat16_is_labelled_and_near(capsys):
    pytest.importorskip("torch")
    assert main([*SMALL, "--variant", "fivek", "--only", "smnet-jax", *baselines.BFLOAT16]) == 0
    out = capsys.readouterr().out
    assert "in bfloat16 smnet-jax is" in out and "PyTorch's best" not in out
    differs = [float(line.split()[-1]) for line in out.splitlines() if "bfloat16 " in line and "e-" in line]
    assert len(differs) == 2 and all(1e-5 < value < 5e-2 for value in differs)


def test_operations_are_those_of_the_published_network():
    """32.0 G multiplications and additions at 128x128, width 64, lol, as published."""
    pytest.importorskip("torch")
    eager = baselines.build("PyTorch eager", "lol", 64, 32, 32)
    assert eager.operations is not None
    assert eager.operations / 2 * 16 == pytest.approx(32.0e9, rel=0.01)


def test_ratios_are_against_the_published_way_and_the_best():
    rows = {"smnet-jax": {"seconds": 2.0}, "PyTorch eager": {"seconds": 8.0}, "PyTorch compiled": {"seconds": 3.0}}
    assert infer.ratios({"rows": rows}) == {"PyTorch eager": 4.0, "PyTorch's best": 1.5}
    assert infer.ratios({"rows": {"PyTorch eager": {"seconds": 8.0}}}) == {}


def test_a_wrong_runtime_is_not_timed(monkeypatch):
    right = baselines._ours

    def wrong(*case):
        return baselines.Runtime(lambda: right(*case).run() + 1)

    monkeypatch.setattr(baselines, "_torch", lambda _name, *case: wrong(*case[:3]))
    with pytest.raises(RuntimeError, match="PyTorch eager differs"):
        infer.measure("lol", 4, 16, 16, 1, ("smnet-jax", "PyTorch eager"))


def test_a_missing_runtime_is_named():
    def missing(*_):
        raise baselines.Missing("torch is not installed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_torch", missing)
        found = infer.measure("lol", 4, 16, 16, 1, ("smnet-jax", "PyTorch eager"))
    assert found["missing"] == {"PyTorch eager": "torch is not installed"} and list(found["rows"]) == ["smnet-jax"]
    assert "torch is not installed" in infer.table("lol", found)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--size", "50x32"], "--size"), (["--size", "0x0"], "--size"), (["--repeats", "0"], "--repeats"),
     (["--width", "6"], "--width"), (["--threads", "999"], "--threads")],
)  # fmt: skip
def test_bad_arguments(arguments, says, capsys):
    assert main([*SMALL, *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_machine_is_described():
    assert {"processor", "cores", "load", "jax", "date"} <= machine.describe().keys()
    assert machine.peak_memory() > 1 << 25


def test_peak_memory_is_not_the_parents():
    program = "from smnet_jax.bench import machine; print(machine.peak_memory())"
    held = bytearray(b"x") * (400 << 20)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 1 << 22 < int(done.stdout) < len(held)
