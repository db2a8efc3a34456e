"""What is measured and how it is told; and the command from end to end, on two forced CPU devices."""

import argparse
import csv
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from smnet_jax import InputError
from smnet_jax.bench import scale
from smnet_jax.cli import main

CONFIG = {"variant": "lol", "width": 4, "blocks": 1, "loss": "l1_ssim", "dtype": "float32", "crop": 16}


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    scale.add_arguments(parser)
    return parser.parse_args(words)


def row(mode: str, strategy: str, devices: int, rate: float, **rest: Any) -> dict[str, Any]:
    return {
        "mode": mode, "strategy": strategy, "devices": devices, "rows": 1, "batch": 4, "seconds": 4 / rate,
        "quartiles": [3 / rate, 5 / rate], "images_per_second": rate, "mfu": None, "memory": 2**20,
        "peak_memory": None, "collective_bytes": 48_000, "compile_seconds": 1.0, **rest,
    }  # fmt: skip


def test_counts_double_up_to_all_and_what_does_not_divide_is_left_out():
    cases = scale.plan(arguments("--batch", "6", "--batch-per-device", "2", "--modes", "strong"), 4)
    assert [(case.strategy, case.devices) for case in cases] == [
        ("jit-data", 1), ("jit-data", 2), ("pmap", 1), ("pmap", 2), ("data-by-rows", 2), ("data-by-rows", 4),
    ]  # fmt: skip
    weak = scale.plan(arguments("--batch-per-device", "2", "--modes", "weak", "--strategies", "jit-data"), 4)
    assert [case.batch for case in weak] == [2, 4, 8]


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(InputError, match="--devices 8: there are 4"):
        scale.plan(arguments("--devices", "2", "8"), 4)


def test_where_strong_and_weak_meet_is_measured_once(monkeypatch):
    asked = []

    def measure(_config, case, *_):
        asked.append(case)
        return {"seconds": len(asked)}

    monkeypatch.setattr(scale, "measure", measure)
    cases = scale.plan(arguments("--batch", "4", "--batch-per-device", "2", "--strategies", "jit-data"), 2)
    rows = scale._measure_all(None, cases, 0, 1, forced=False)
    assert len(rows) == 4 and len(asked) == 3
    same = [r["seconds"] for r in rows if r["devices"] == 2]
    assert same[0] == same[1]


def test_efficiency_is_against_the_fewest_devices_of_jit_data():
    rows = [row("strong", "jit-data", 1, 10.0), row("strong", "jit-data", 4, 30.0), row("strong", "pmap", 2, 16.0),
            row("weak", "pmap", 2, 16.0), row("weak", "pmap", 4, 24.0)]  # fmt: skip
    scale.add_efficiency(rows)
    assert [r["efficiency"] for r in rows] == pytest.approx([1.0, 0.75, 0.8, 1.0, 0.75])


def test_what_is_told_and_written(tmp_path):
    rows = [row(mode, s, n, 10.0 * n) for mode in scale.MODES for s in ("jit-data", "pmap") for n in (1, 2)]
    scale.add_efficiency(rows)
    result = {**scale.describe(forced=True), "config": CONFIG, "rows": rows}
    result["input"] = {"images_per_second": 50.0, "cpu_seconds_per_image": 0.01, "threads": 2, "data": "dummy:8"}
    said = scale.table(result)
    assert "none of how they scale" in said and "n/a" in said and "efficiency = " in said and "50 images/s" in said
    args = argparse.Namespace(**{name: tmp_path / f"out.{name}" for name in ("json", "csv")}, plot=tmp_path / "out.png")
    scale._write(result, args)
    assert json.loads(args.json.read_text())["rows"] == rows
    with args.csv.open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 8 and float(lines[1]["efficiency"]) == 1.0 and "forced" in lines[0]["evidence"]
    assert args.plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_end_to_end_on_two_forced_devices(tmp_path):
    words = ["--config", "smoke", "--blocks", "1", "--crop", "12", "--batch", "4", "--batch-per-device", "2"]
    words += ["--cpu-devices", "2", "--devices", "2", "--strategies", "jit-data", "pmap", "--warmup", "1"]
    words += ["--rows", "1", "--steps", "2", "--data", "dummy:8", "--json", str(tmp_path / "scale.json")]
    process = subprocess.run(
        [sys.executable, "-W", "error", "-m", "smnet_jax.cli", "bench", "scale", *words],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads((tmp_path / "scale.json").read_text())
    rows = found["rows"]
    assert [(r["mode"], r["strategy"]) for r in rows] == [
        ("strong", "jit-data"), ("strong", "pmap"), ("weak", "jit-data"), ("weak", "pmap"),
    ]  # fmt: skip
    for measured in rows:
        assert len(measured["all_seconds"]) == 2 and measured["memory"] > 0 and measured["mfu"] is None
        # What data parallelism sends is the gradient, and a few numbers of the loss. Under jit the gradient of a merged
        # kernel is summed before it is taken apart, which is less.
        gradient = 4 * found["parameters"]
        least = gradient if measured["strategy"] == "pmap" else 0.9 * gradient
        assert least <= measured["collective_bytes"] < gradient + 4096
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], abs=1e-5)
    assert found["input"]["images_per_second"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--config", "smok"], "smok"), (["--steps", "0"], "--steps 0"), (["--rows", "3"], "--rows 3"),
     (["--width", "5"], "width 5")],
)  # fmt: skip
def test_bad_arguments(words, says, capsys):
    assert main(["bench", "scale", *words]) == 2
    assert says in capsys.readouterr().err
