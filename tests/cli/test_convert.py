"""`smnet convert` as a user meets it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from smnet_jax.checkpoints import torch_layout, weights
from smnet_jax.cli import main
from smnet_jax.verification.torch_model import TorchSMNet


def test_there_and_back(golden_case, tmp_path, capsys):
    converted, back, again = tmp_path / "converted", tmp_path / "back.pth", tmp_path / "again"
    assert main(["convert", str(golden_case.checkpoint), str(converted)]) == 0
    said = capsys.readouterr().out
    assert f"variant {golden_case.variant}, width {golden_case.width}, 3 blocks (as published)" in said
    assert "dropped     downsample2x.residualdownsample.downsamp.filt" in said
    assert "unused      upsample.residualupsample.top.0.weight" in said
    assert json.loads((converted / "smnet.json").read_text())["sha256"] in said

    assert main(["convert", "--to-torch", str(converted), str(back)]) == 0
    state = torch.load(back, weights_only=True)
    net: torch.nn.Module = TorchSMNet(golden_case.variant, golden_case.width)
    if golden_case.variant == "fivek":  # published as wrapped
        net = torch.nn.DataParallel(net)
    net.load_state_dict(state, strict=True)

    assert main(["convert", str(back), str(again)]) == 0
    assert (again / "params.safetensors").read_bytes() == (converted / "params.safetensors").read_bytes()


def test_safetensors_keep_the_number_of_blocks(fixtures, tmp_path, capsys):
    converted, file, again = tmp_path / "converted", tmp_path / "two.safetensors", tmp_path / "again"
    assert main(["convert", str(fixtures / "golden/lol_dim8.pth"), str(converted), "--blocks", "2"]) == 0
    assert "2 blocks (as asked)" in capsys.readouterr().out
    assert main(["convert", "--to-torch", str(converted), str(tmp_path / "two.pth")]) == 2
    assert "always runs 3 blocks" in capsys.readouterr().err
    assert main(["convert", "--to-torch", str(converted), str(file)]) == 0
    assert main(["convert", str(file), str(again), "--json"]) == 0
    assert weights.read(again).architecture.blocks == 2


def test_json(fixtures, tmp_path, capsys):
    assert main(["convert", str(fixtures / "golden/fivek_dim8.pth"), str(tmp_path / "converted"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "converted/smnet.json").read_text())
    assert (said["variant"], said["width"], said["parameters"]) == ("fivek", 8, 46869)


def test_without_torch(fixtures, tmp_path):
    """On a machine without torch, through the script at the root's module, JAX not even imported."""
    code = (
        "import sys; sys.modules['torch'] = None; from smnet_jax.cli import main; "
        "code = main(sys.argv[1:]); assert 'jax' not in sys.modules; sys.exit(code)"
    )
    for name in ("lol_dim8.pth", "fivek_dim8.pth"):
        command = [sys.executable, "-c", code, "convert", str(fixtures / "golden" / name), str(tmp_path / "converted")]
        assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.pth", "converted"], "no such file"),
        (["{lol}", "converted.pth"], "--to-torch"),
        (["{lol}", "file"], "is a file"),
        (["{lol}", "converted", "--blocks", "0"], "between 1 and 64"),
        (["{lol}", "converted", "--blocks", "100000"], "between 1 and 64"),
        (["--to-torch", "{lol}", "folder"], "end in .pth"),
        (["--to-torch", "{lol}", "out.txt"], "end in .pth"),
        (["empty", "converted"], "no converted weights"),
    ],
)
def test_misuse(arguments, message, fixtures, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    lol = str(fixtures / "golden/lol_dim8.pth")
    assert main(["convert", *(argument.format(lol=lol) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_differences_are_listed(tmp_path, capsys):
    state = {entry.name: entry.initial() for entry in torch_layout.layout("lol", 8)}
    state["out_conv4.bias"] = np.zeros(4, np.float32)
    torch.save({name: torch.tensor(array) for name, array in state.items()}, tmp_path / "odd.pth")
    assert main(["convert", str(tmp_path / "odd.pth"), str(tmp_path / "converted")]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"smnet: {tmp_path / 'odd.pth'}: 1 of its tensors differ")
    assert second == "differs: out_conv4.bias is (4,) float32, must be (3,) float32"
    assert not (tmp_path / "converted").exists()
