import json
import time

import pytest

from smnet_jax.bench import machine, sizes
from smnet_jax.cli import main


@pytest.mark.slow
def test_numbers_and_chart(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sizes, "_apart", sizes.measure)  # starting a process takes seconds
    numbers, chart = tmp_path / "numbers.json", tmp_path / "chart.png"
    options = ["--width", "4", "--megapixels", "0.006", "0.002", "--tile", "40"]
    assert main(["bench", "sizes", *options, "--json", str(numbers), "--chart", str(chart)]) == 0
    found = json.loads(numbers.read_text())
    assert [row["picture"] for row in found["rows"]] == ["56x36", "92x64"]
    assert all(row["cpu_seconds"] > 0 and row["anonymous"] > 1 << 25 for row in found["rows"])
    assert all(row["first_cpu_seconds"] > 0 for row in found["rows"])
    assert "tiles" in found["rows"][1]["notes"][0]
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert "in proportion to the size" in capsys.readouterr().out


def test_the_deviation_is_from_the_rate_in_the_middle():
    times = ((1, 2.0, 0.1), (2, 4.5, 0.1), (4, 7.2, 0.0))  # rates 1.9, 2.2, 1.8
    names = ("megapixels", "cpu_seconds", "system_seconds")
    assert sizes.deviation([dict(zip(names, row, strict=True)) for row in times]) == pytest.approx(0.1)


def test_shapes_are_near_three_to_two():
    for megapixels in sizes.SIZES:
        height, width = sizes.shape(megapixels)
        assert height % 4 == width % 4 == 0
        assert width / height == pytest.approx(1.5, rel=0.02)
        assert height * width == pytest.approx(megapixels * 1e6, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--width", "6"], "--width"), (["--megapixels", "0"], "--megapixels"), (["--tile", "x"], "--tile"),
     (["--max-memory", "much"], "--max-memory"), (["--repeats", "0"], "--repeats")],
)  # fmt: skip
def test_bad_arguments(arguments, says, capsys):
    assert main(["bench", "sizes", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_anonymous_memory_is_seen():
    with machine.AnonymousMemory(0.001) as before:
        pass
    with machine.AnonymousMemory(0.001) as held:
        block = bytearray(b"x") * (200 << 20)
        time.sleep(0.1)  # for the sampling thread, which waits while Python works
        del block
    assert 150 << 20 < held.peak - before.peak < 400 << 20  # other threads of the suite may free some meanwhile
