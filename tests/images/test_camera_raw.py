"""Camera raw: developed plainly, never its preview taken for the photo."""

import numpy as np
import pytest

from smnet_jax.errors import InputError
from smnet_jax.images import pictures
from tests.support import tiffs
from tests.support.scene import SCENE


def camera_raw(make: bytes = b"NIKON CORPORATION") -> bytes:
    mosaic = np.random.default_rng(0).integers(0, 900, (68, 104, 1), dtype=np.uint16)
    cfa = [tiffs.short(33421, 2, 2), (33422, 1, 4, bytes((0, 1, 1, 2)))]
    preview = [tiffs.long(254, 1), tiffs.ascii(271, make), tiffs.ascii(272, b"D0")]
    return tiffs.file((SCENE, 2, preview), below=(mosaic, 32803, cfa))


def test_the_preview_of_a_camera_raw_file_is_never_taken_for_the_photo(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rawpy", None)  # as where it is not installed
    with pytest.raises(InputError, match=r"x.jpg: a camera raw file.*photos") as caught:
        pictures.from_bytes(camera_raw(), name="x.jpg")
    assert "\n" not in str(caught.value)


def test_camera_raw_is_developed_linearly():
    pytest.importorskip("rawpy", reason="camera raw needs the extra photos")
    picture, suffix = pictures.from_bytes(camera_raw())
    assert suffix == ".png" and picture.bits == 16 and picture.rgb.shape[:2] == (68, 104)
    # 450 of 65535 in linear light, on average, is 12.92 times that in sRGB's linear part: nothing was brightened.
    assert 0.03 < picture.rgb.mean() < 0.15
    assert picture.exif is not None and b"NIKON" in picture.exif
