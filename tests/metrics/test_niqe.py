import json

import jax
import numpy as np
import pytest
from PIL import Image, ImageFilter

from smnet_jax.errors import InputError
from smnet_jax.metrics import luma, niqe
from smnet_jax.metrics.resize import halved
from tests.conftest import REPO


@pytest.fixture(scope="module")
def coffee():
    """(288, 384, 3) uint8: twelve blocks of a good photograph."""
    return np.asarray(Image.open(REPO / "tests/fixtures/samples_high/coffee.jpg").convert("RGB"))[:288, :384]


def blurred(picture, radius):
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def noisy(picture, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def test_agrees_with_basicsr(fixtures):
    """Shapes are read off a table in steps of 0.001; where rounding takes the neighbour, 1e-4 of the score changes."""
    expected = json.loads((fixtures / "metrics/niqe.json").read_text())["scores"]
    files = [fixtures / "metrics" / name for name in expected if name.endswith(".png")]
    pictures = {file.name: np.asarray(Image.open(file).convert("RGB")) for file in files}
    quarters = [pictures[f"coffee_{kind}.png"] for kind in ("dark", "noise", "jpeg", "tint")]
    pictures["mosaic"] = np.vstack([np.hstack(quarters[:2]), np.hstack(quarters[2:])])
    pictures["flat"] = pictures["mosaic"].copy()
    pictures["flat"][:120, :120] = 255  # a block without contrast has a mean shape, but no width and no covariance
    assert pictures.keys() == expected.keys()
    for name, picture in pictures.items():
        np.testing.assert_allclose(niqe(picture[None])[0], expected[name], rtol=1e-4, err_msg=name)


def test_orders_degradations(coffee):
    """More noise, more blur: worse."""
    versions = [coffee, *(noisy(coffee, d) for d in (4, 12, 30)), *(blurred(coffee, r) for r in (1, 2, 4))]
    plain, *others = (float(niqe(version[None])[0]) for version in versions)
    assert 2 < plain < 5
    assert plain < others[0] < others[1] < others[2]
    assert plain < others[3] < others[4] < others[5]


def test_gray_floats_and_what_is_beyond_whole_blocks(coffee):
    picture = coffee[None, :96, :192]
    score = niqe(picture)
    np.testing.assert_array_equal(niqe(luma(picture)), score)
    np.testing.assert_array_equal(niqe(luma(picture) / np.float32(255)), score)
    np.testing.assert_array_equal(niqe(coffee[None, :191, :287]), score)


def test_can_be_jitted_and_mapped(coffee):
    pictures = np.stack([coffee[:96, :192], coffee[96:192, :192]])
    expected = [float(niqe(picture[None])[0]) for picture in pictures]
    np.testing.assert_allclose(jax.jit(jax.vmap(niqe))(pictures[:, None])[:, 0], expected, rtol=1e-4)


def test_without_contrast_it_is_not_defined():
    assert np.isnan(niqe(np.full((1, 96, 192, 3), 200, np.uint8))).all()


def test_too_small_says_what_is_needed():
    with pytest.raises(InputError, match=r"191x191 pixels are too small; .* two blocks of 96x96, 192x96"):
        niqe(np.zeros((1, 191, 191, 3), np.uint8))


def test_halved_is_matlabs_imresize():
    """Of a ramp and of a constant it is exact; a row of alternating levels becomes their mean (antialiasing)."""
    across = np.arange(64, dtype=np.float32)
    planes = np.stack([np.tile(row, (64, 1)) for row in (across, np.full_like(across, 7), across % 2)])
    ramp, constant, alternating = np.asarray(jax.jit(halved)(planes))
    np.testing.assert_allclose(ramp[5, 2:-2], 2 * np.arange(2, 30) + 0.5, atol=1e-5)
    np.testing.assert_allclose(constant, 7, atol=1e-5)
    np.testing.assert_allclose(alternating[5, 2:-2], 0.5, atol=0.03)
