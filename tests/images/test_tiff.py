"""TIFF files of every kind that programs write."""

import numpy as np
import pytest

from smnet_jax.data.decoding import decode
from smnet_jax.errors import InputError
from smnet_jax.images import pictures, writing
from tests.support import tiffs
from tests.support.scene import SCENE


def test_the_full_page_of_a_tiff_is_read_not_its_preview():
    data = tiffs.file((SCENE[::4, ::4].copy(), 2, [tiffs.long(254, 1)]), (SCENE, 2, []))
    picture, _ = pictures.from_bytes(data)
    assert np.array_equal(writing.to_values(picture), SCENE) and picture.notes == ()
    hidden = tiffs.file((SCENE[::4, ::4].copy(), 2, [tiffs.long(254, 1)]), below=(SCENE, 2, []))
    with pytest.raises(InputError, match="preview"):
        pictures.from_bytes(hidden)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (SCENE.astype(np.float32), "floating-point values from 15 to 83, which have no agreed white"),
        (SCENE[..., :1].astype(np.float32), "floating-point"),
        (np.where(SCENE > 80, np.nan, 0.5).astype(np.float32), "NaN"),
        (SCENE.astype(np.uint32), "3 channels of 32-bit unsigned"),
        (SCENE.astype(np.int16), "16-bit signed"),
        (SCENE[..., :1].astype(np.int16), "16-bit signed"),
        (SCENE[..., :1].astype(np.int8), "8-bit signed"),
    ],
)
def test_what_is_unusual_about_a_tiff_is_said_with_the_remedy(tmp_path, values, says):
    (tmp_path / "x.tif").write_bytes(tiffs.file((values, 2 if values.shape[2] > 2 else 1, [])))
    for door in (pictures.read, decode):  # `train` and `evaluate` once read such a file as black
        with pytest.raises(InputError, match=says) as caught:
            door(tmp_path / "x.tif")
        assert "convert" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize(("extra", "alpha"), [(0, False), (1, True), (2, True)])
def test_tiffs_alpha_is_taken_as_its_tag_says(kind, extra, alpha):
    scale = 257 if kind == np.uint16 else 1
    values = np.dstack([SCENE, np.full((48, 64), 128, np.uint8)])
    if extra == 1:  # multiplied by alpha
        values[..., :3] = values[..., :3].astype(int) * 128 // 255
    picture, _ = pictures.from_bytes(tiffs.file((values.astype(kind) * scale, 2, [tiffs.short(338, extra)])))
    assert (picture.alpha is not None) == alpha and np.abs(picture.rgb * 255 - SCENE).max() <= 2
