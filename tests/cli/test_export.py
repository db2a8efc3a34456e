"""`smnet export` and the proof of its files by `smnet verify`, as a user meets them."""

import hashlib
import json

import jax.numpy as jnp
import pytest

from smnet_jax.cli import main
from smnet_jax.exposure import frame
from smnet_jax.verification import exported


@pytest.fixture(scope="module")
def lol(fixtures):
    return str(fixtures / "golden/lol_dim8.pth")


@pytest.fixture(scope="module")
def folder(lol, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    assert main(["export", lol, str(folder / "net"), "--format", "both"]) == 0
    return folder


@pytest.mark.parametrize("suffix", ["onnx", "stablehlo"])
def test_the_metadata_beside_a_file_are_its_own(folder, suffix):
    said = json.loads((folder / f"net.{suffix}.json").read_text())
    assert said["sha256"] == hashlib.sha256((folder / f"net.{suffix}").read_bytes()).hexdigest()
    assert (said["variant"], said["width"], said["blocks"]) == ("lol", 8, 3)
    assert said["weights"]["source"]["name"] == "lol_dim8.pth"


@pytest.mark.parametrize("suffix", ["onnx", "stablehlo"])
def test_verified_in_its_own_runtime(folder, lol, suffix, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exported, "SIZES", ((1, 16, 20), (2, 16, 20)))
    monkeypatch.setattr(exported, "ODD_SIZES", ((1, 15, 18),))
    arguments = ["verify", str(folder / f"net.{suffix}"), "--weights", lol, "--json", str(tmp_path / "said.json")]
    assert main(arguments) == 0
    assert "verdict: the same pictures" in capsys.readouterr().out
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["within"] and all(0 < size["relative"] < 1e-6 for size in said["sizes"])


def test_the_default_is_verified_frames_and_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exported, "SIZES", ((2, 40, 24),))
    monkeypatch.setattr(exported, "ODD_SIZES", ((1, 15, 18),))
    path = str(tmp_path / "photo.onnx")
    assert main(["export", "photo", path]) == 0
    assert main(["verify", path, "--weights", "photo"]) == 0
    everything = lambda low: frame.Within(*(jnp.full(len(low), n, jnp.int32) for n in (0, 40, 0, 24)))  # noqa: E731
    monkeypatch.setattr(frame, "inside_each", everything)  # a network that takes bars as part of the photo
    capsys.readouterr()
    assert main(["verify", path, "--weights", "photo"]) == 1
    assert "NOT the same, first at 2x40x24x3" in capsys.readouterr().out


def test_other_weights_are_noticed(folder, fixtures, capsys, monkeypatch):
    monkeypatch.setattr(exported, "SIZES", ((1, 16, 20),))
    monkeypatch.setattr(exported, "ODD_SIZES", ())
    other = str(fixtures / "golden/trajectory_init_dim8.pth")
    assert main(["verify", str(folder / "net.onnx"), "--weights", other]) == 1
    assert "NOT the same, first at 1x16x20x3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "{lol}", "out"], "--format"),
        (["export", "{lol}", "out.onnx", "--format", "stablehlo"], "contradicts"),
        (["export", "{lol}", "folder.onnx"], "is a folder"),
        (["export", "{lol}", "out.onnx", "--opset", "16"], "must be 17 to 23"),
        (["export", "{lol}", "out.stablehlo", "--opset", "17"], "belongs to ONNX"),
        (["export", "{lol}", "out", "--format", "both", "--dtype", "float16"], "belongs to ONNX"),
        (["export", "photo", "out.onnx", "--dtype", "float16"], "need float32"),
        (["export", "missing.pth", "out.onnx"], "no such file"),
        (["verify", "{net}.onnx"], "--weights"),
        (["verify", "missing.onnx", "--weights", "{lol}"], "cannot be read"),
        (["verify", "junk.onnx", "--weights", "{lol}"], "no sound ONNX"),
        (["verify", "junk.stablehlo", "--weights", "{lol}"], "no program of jax.export"),
        (["verify", "copied.onnx", "--weights", "{lol}"], "describes another file"),
    ],
)
def test_misuse(arguments, message, folder, lol, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exported, "SIZES", ((1, 16, 20),))
    monkeypatch.setattr(exported, "ODD_SIZES", ())
    (tmp_path / "folder.onnx").mkdir()
    for junk in ("junk.onnx", "junk.stablehlo"):
        (tmp_path / junk).write_bytes(b"junk" * 100)
    (tmp_path / "copied.onnx").write_bytes((folder / "net.onnx").read_bytes())
    (tmp_path / "copied.onnx.json").write_text('{"sha256": "0"}')
    assert main([argument.format(lol=lol, net=folder / "net") for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.glob("out*"))
