import json

import pytest

from smnet_jax.cli import main


def test_every_device_takes_less_and_the_picture_is_the_same(tmp_path, capfd):
    numbers = tmp_path / "numbers.json"
    how = ["--devices", "2", "--width", "8", "--size", "1024x1024", "--json", str(numbers)]
    assert main(["bench", "rows", *how]) == 0
    alone, shared = json.loads(numbers.read_text())["rows"]
    assert (alone["devices"], shared["devices"]) == (1, 2)
    assert alone["difference"] == 0 <= shared["difference"] < 1e-5
    assert len(shared["peak"]) == len(shared["before"]) == 2
    taken = [most - held for row in (alone, shared) for most, held in zip(row["peak"], row["before"], strict=True)]
    assert max(taken[1:]) < taken[0], taken
    assert "2 devices" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--width", "6"], "--width"), (["--devices", "0"], "--devices"), (["--size", "10x10"], "--size")],
)
def test_bad_arguments(arguments, says, capsys):
    assert main(["bench", "rows", *arguments]) == 2
    assert says in capsys.readouterr().err
