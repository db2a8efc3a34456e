"""`smnet verify` as a user meets it: verdicts, exit codes, files."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from smnet_jax.checkpoints import formats, torch_names
from smnet_jax.cli import main
from smnet_jax.verification import modes, stored, torch_stages
from smnet_jax.verification.divergence import Row


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A .pth of width 4."""
    architecture, params, *_ = stored.read("lol")
    path = tmp_path_factory.mktemp("weights") / "lol_dim4.pth"
    formats.write_state_dict(torch_names.to_torch({"params": params}, architecture), path)
    return str(path)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, seed in (("one", 0), ("two", 1)):
        pixels = np.random.default_rng(seed).integers(0, 80, (16, 20, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return str(folder)


@pytest.fixture
def one_mode(monkeypatch):
    """The other modes have tests of their own, and every one compiles for seconds."""
    few = modes.all_modes("cpu")[:1]
    monkeypatch.setattr(modes, "all_modes", lambda _: few)


def test_against_torch(checkpoint, pictures, one_mode, tmp_path, capsys):
    files = {"--json": tmp_path / "said.json", "--heatmap": tmp_path / "heat.png"}
    options = [str(word) for option in files.items() for word in option]
    assert main(["verify", checkpoint, "--images", pictures, *options]) == 0
    out = capsys.readouterr().out
    assert "verdict: within tolerance" in out
    said = json.loads((tmp_path / "said.json").read_text())
    (section,) = said["checks"]
    assert said["within"] and section["pictures"] == ["one.png", "two.png"]
    names = [stage["stage"] for stage in section["modes"]["float32 gpu"]["stages"]]
    assert names[0] == "stem" and names[-1] == "block3/head"
    assert section["training"][-1]["stage"] == "update by Adam"
    with Image.open(tmp_path / "heat.png") as heat:
        assert heat.size == (360, 44)


def test_a_wrong_network_fails_by_name(checkpoint, pictures, one_mode, tmp_path, capsys, monkeypatch):
    right = torch_stages.network

    def wrong(*given):
        net = right(*given)
        with torch.no_grad():
            dict(net.named_parameters())["endecoder2x.SGblock.3.conv.bias"].add_(0.01)
        return net

    monkeypatch.setattr(torch_stages, "network", wrong)
    said = tmp_path / "said.json"
    assert main(["verify", checkpoint, "--images", pictures, "--no-training", "--json", str(said)]) == 1
    assert "NOT within tolerance, first at block1/fem_half" in capsys.readouterr().out
    assert json.loads(said.read_text())["checks"][0]["first_outside"] == "block1/fem_half"


def test_without_torch_the_stored_numbers_are_used_and_this_is_said(checkpoint, one_mode, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", _without_torch)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "smnet_jax.verification.torch_stages")
    assert main(["verify", checkpoint, "--no-training"]) == 0
    out = capsys.readouterr().out
    assert "PyTorch is not installed" in out and "not these weights" in out and "stored numbers: lol" in out
    assert main(["verify", checkpoint, "--steps", "2"]) == 2
    assert "needs SRC, and PyTorch" in capsys.readouterr().err


def _without_torch(name, package=None):
    from importlib.machinery import PathFinder

    return None if name == "torch" else PathFinder.find_spec(name.split(".")[0])


def test_both_variants_without_a_source(one_mode, capsys):
    assert main(["verify", "--no-training"]) == 0
    out = capsys.readouterr().out
    assert "stored numbers: lol" in out and "stored numbers: fivek" in out


def test_training_side_by_side(checkpoint, one_mode, tmp_path, capsys, monkeypatch):
    rows: list[Row] = []
    plot, said = tmp_path / "drift.svg", tmp_path / "said.json"

    def compare(architecture, params, batches, vgg, done):
        rows.extend(Row(i + 1, 1.0, 1.0, 1e-5, 2e-5, 1e-5 if i < 2 else 1e-9) for i in range(len(batches)))
        rows[-1] = Row(len(batches), 1.0, 1.0, 0.1, 0.1, 1e-5)
        return rows

    monkeypatch.setattr("smnet_jax.verification.divergence.compare", compare)
    arguments = ["--size", "32x32", "--no-training", "--steps", "3", "--plot", str(plot), "--json", str(said)]
    assert main(["verify", checkpoint, *arguments]) == 1
    assert "NOT rounding from step 3" in capsys.readouterr().out
    assert [row["within"] for row in json.loads(said.read_text())["checks"][0]["divergence"]] == [True, True, False]
    assert "<svg" in plot.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.pth"], "no such file"),
        (["junk.pth"], "junk.pth"),
        (["{checkpoint}", "--images", "missing"], "no folder"),
        (["{checkpoint}", "--size", "8x8"], "at least 16"),
        (["{checkpoint}", "--size", "big"], "as in 96x128"),
        (["{checkpoint}", "--steps", "-1"], "negative"),
        (["{checkpoint}", "--plot", "a.png"], "--steps"),
        (["{checkpoint}", "--heatmap", "a.jpg"], ".png"),
        (["{checkpoint}", "--weights", "{checkpoint}"], "exported"),
        (["--steps", "1"], "needs SRC"),
    ],
)
def test_misuse(arguments, message, checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "junk.pth").write_bytes(b"junk" * 100)
    assert main(["verify", *(argument.format(checkpoint=checkpoint) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["junk.pth"]
