"""`smnet evaluate` from the command line to the files, on three tiny pairs and a network of width 4."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from smnet_jax import cli
from smnet_jax.checkpoints import weights
from smnet_jax.network.model import SMNet
from tests.conftest import REPO

FAST = "psnr,ssim,psnr_rounded"


@pytest.fixture
def pairs(tmp_path):
    for seed, name in enumerate("abc"):
        high = np.random.default_rng(seed).integers(0, 256, (16, 24, 3)).astype(np.uint8)
        for folder, picture in (("low", high // 6), ("high", high)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / folder / f"{name}.png")
    return tmp_path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Random weights of width 4 and one block, in a folder."""
    model = SMNet(variant="lol", width=4, blocks=1)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    weights.save(folder, model, jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes))
    return folder


def evaluate(*arguments):
    return cli.main(["evaluate", *map(str, arguments)])


def test_a_network_with_every_output(pairs, tiny, capsys):
    outputs = [
        "--json",
        pairs / "s.json",
        "--csv",
        pairs / "s.csv",
        "--report",
        pairs / "r",
        "--save-images",
        pairs / "o",
    ]
    given = ["--weights", tiny, "--low", pairs / "low", "--high", pairs / "high", "--metrics", FAST]
    assert evaluate(*given, *outputs) == 0
    printed = capsys.readouterr()
    assert "PSNR (dB) ↑" in printed.out
    assert "Traceback" not in printed.err
    data = json.loads((pairs / "s.json").read_text())
    assert [picture["name"] for picture in data["pictures"]] == ["a", "b", "c"]
    assert data["weights"]["source"] == str(tiny)
    assert [data["weights"][key] for key in ("variant", "width", "blocks")] == ["lol", 4, 1]
    assert data["settings"]["low"] == str(pairs / "low")
    assert len((pairs / "s.csv").read_text().splitlines()) == 4
    assert (pairs / "r" / "index.html").stat().st_size > 10_000
    assert sorted(path.name for path in (pairs / "o").iterdir()) == ["a.png", "b.png", "c.png"]

    # The saved pictures are the scored ones: scoring them again gives the same numbers.
    again = ["--images", pairs / "o", "--high", pairs / "high", "--metrics", "psnr,ssim", "--json", pairs / "t.json"]
    assert evaluate(*again) == 0
    rescored = json.loads((pairs / "t.json").read_text())
    assert rescored["weights"] is None
    for first, second in zip(data["pictures"], rescored["pictures"], strict=True):
        assert second["values"]["psnr"] == first["values"]["psnr"]
        assert second["values"]["ssim"] == pytest.approx(first["values"]["ssim"], abs=1e-6)


def test_without_targets_it_says_so(pairs, tiny, capsys):
    given = ["--weights", tiny, "--low", pairs / "low", "--json", pairs / "s.json"]
    assert evaluate(*given) == 0
    printed = capsys.readouterr().out
    assert "no --high: nothing here measures closeness to a target" in printed
    assert "n/a: LOE, LOE, nearest: a (24x16): loe: pictures of 24x16 pixels are too small" in printed
    data = json.loads((pairs / "s.json").read_text())
    assert list(data["pictures"][0]["values"]) == ["luma_mean", "luma_std", "black_share", "white_share"]
    assert "n/a: NIQE: a (24x16): niqe: pictures of 24x16 pixels are too small" in printed


def test_each_picture_without_a_target_has_its_niqe(tmp_path, capsys):
    photo = np.asarray(Image.open(REPO / "tests/fixtures/samples_high/astronaut.jpg").convert("RGB"))[:192, :96]
    noise = np.random.default_rng(0).normal(0, 20, photo.shape)
    (tmp_path / "mine").mkdir()
    for name, picture in (("good", photo), ("noisy", np.clip(photo + noise, 0, 255).astype(np.uint8))):
        Image.fromarray(picture).save(tmp_path / "mine" / f"{name}.png")
    assert evaluate("--images", tmp_path / "mine", "--csv", tmp_path / "s.csv") == 0
    assert "NIQE ↓" in capsys.readouterr().out
    good, noisy = csv.DictReader((tmp_path / "s.csv").read_text().splitlines())
    assert float(good["niqe"]) < float(noisy["niqe"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--low DIR: needed"),
        (["--images", "high", "--weights", "lol-untrained"], "give one of the two"),
        (["--low", "nowhere"], "nowhere: no such folder"),
        (["--low", "low", "--high", "high", "--metrics", "psrn"], "psrn: no such metric"),
        (["--low", "low", "--metrics", "psnr"], "--metrics psnr: needs --high DIR"),
        (["--low", "low", "--high", "high", "--batch", "0"], "--batch 0: must be at least 1"),
        (["--low", "low", "--high", "high", "--json", "low"], "--json low: is a folder"),
        (["--low", "low", "--high", "high", "--report", "low/a.png"], "--report low/a.png: is a file"),
        (["--low", "low", "--high", "high", "--save-images", "low"], "--save-images low: is the folder of --low"),
        (["--low", "low", "--high", "high", "--weights", "missing.pth"], "missing.pth"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(pairs, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(pairs)
    assert evaluate(*arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.strip().count("\n") == 0
    assert printed.err.startswith("smnet: ")


def test_bad_pictures_are_found_before_the_weights_are_even_opened(pairs, capsys):
    (pairs / "high" / "c.png").unlink()
    given = ["--weights", pairs / "missing.pth", "--low", pairs / "low", "--high", pairs / "high"]
    assert evaluate(*given) == 2
    assert "c.png has no partner" in capsys.readouterr().err
    Image.new("RGB", (20, 16)).save(pairs / "high" / "c.png")
    (pairs / "low" / "a.png").write_bytes(b"not a picture")
    assert evaluate(*given) == 2
    message = capsys.readouterr().err
    assert "a.png: cannot be decoded" in message
    assert "c.png is 24x16 but " in message
