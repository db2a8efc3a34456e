"""The yardstick itself: what it scores, what its baselines do, and the command on made pictures."""

import json

import numpy as np
import pytest
from PIL import Image

from smnet_jax import cli
from smnet_jax.bench import photos


@pytest.fixture(scope="module")
def pairs():
    """Four pictures of smooth colours and their halves in light."""
    rng = np.random.default_rng(0)
    high = [photos._each_channel(rng.uniform(0.1, 0.9, (4, 6, 3)).astype(np.float32), 72, 48) for _ in range(4)]
    return [(picture * 0.3, picture) for picture in high]


def test_scores(pairs):
    kept = photos.score(pairs, lambda _: lambda low: low)
    exact = photos.score(pairs, lambda _: lambda low: np.minimum(low / 0.3, 1))
    assert exact["psnr"] > 45 > kept["psnr"]
    assert exact["ssim"] > 0.99
    assert kept["mean_difference"] < -50
    assert abs(exact["mean_difference"]) < 0.5
    assert exact["hue_error"] < 1
    assert 0.98 < exact["chroma_ratio"] < 1.02
    assert 0.98 < exact["fine_detail"] < 1.02
    assert 0.2 < kept["fine_detail"] <= 0.3  # rounding to 8 bits is detail of the target too
    clipping = photos.score(pairs, lambda _: lambda low: np.ones_like(low))
    assert clipping["newly_clipped"] == 1


@pytest.mark.parametrize("baseline", [photos.gain, photos.gamma, photos.illumination_map])
def test_baselines_reach_the_mean_they_are_told(pairs, baseline):
    for low, _ in pairs:
        assert abs(baseline(0.5)(low).mean() - 0.5) < 5e-3


def test_fusion_lifts_shadows_and_keeps_lights():
    low = np.full((64, 64, 3), 0.04, np.float32)
    low[:, 32:] = 0.8
    low += np.random.default_rng(0).uniform(0, 0.02, low.shape).astype(np.float32)
    out = photos.exposure_fusion(0.5)(low)
    assert out[:, :16].mean() > 0.2
    assert abs(out[:, 48:].mean() - low[:, 48:].mean()) < 0.12
    assert out.max() <= 1


def test_fusion_of_gray_is_decided_by_exposure_and_contrast():
    """Saturation is none everywhere there; weighed by it, all frames would count the same and burn what is lit."""
    levels = np.linspace(0.3, 0.7, 64) + np.random.default_rng(0).uniform(0, 0.02, (64, 64))
    low = np.repeat(levels[..., None], 3, -1).astype(np.float32)
    assert np.abs(photos.exposure_fusion(0.5)(low) - low).mean() < 0.1


def test_the_command(tmp_path, capsys, pairs):
    for side, index in (("low", 0), ("high", 1)):
        (tmp_path / side).mkdir()
        for number, pair in enumerate(pairs[:2]):
            name = f"a_{number + 1}.png" if side == "low" else "a.png"
            Image.fromarray(np.rint(pair[index] * 255).astype(np.uint8)).save(tmp_path / side / name)
    arguments = ["--pairs", f"room={tmp_path}", "--json", f"{tmp_path}/scores.json", "--sheet", f"{tmp_path}/sheet.png"]
    assert cli.main(["bench", "photos", *arguments]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {"room 1", "room 2", "graphics", "night sky"} <= set(scores)
    assert "room 2" in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 240, 4 * 256)
    assert cli.main(["bench", "photos", "--pairs", "room=nowhere"]) == 2
