"""HEIC photos of phones: as they stand, with their bits."""

import io

import numpy as np
import pytest
from PIL import Image

from smnet_jax.images import pictures, writing
from tests.support import tiffs
from tests.support.scene import SCENE


def heic(image: np.ndarray, **options) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs the extra photos")
    file = io.BytesIO()
    mode = "RGB;16" if image.dtype == np.uint16 else "RGB"
    photo = pillow_heif.from_bytes(mode, (image.shape[1], image.shape[0]), image.tobytes())
    photo.save(file, quality=-1, chroma=444, **options)
    return file.getvalue()


def test_heic_is_read_as_it_stands_and_written_as_jpeg():
    block = tiffs.block([tiffs.ascii(271, b"phone"), tiffs.short(274, 6)])
    picture, suffix = pictures.from_bytes(heic(SCENE, exif=block))
    assert suffix == ".jpg" and picture.bits == 8
    # libheif writes orientation 6 as a rotation and applies it while reading.
    assert np.abs(picture.rgb * 255 - np.rot90(SCENE, -1)).max() < 4
    data, _ = writing.to_bytes(picture, suffix)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[271] == "phone" and image.getexif()[274] == 1 and image.size == (48, 64)


def test_ten_bits_of_heic_are_kept():
    deep = (np.linspace(0, 65535, 48 * 64 * 3).reshape(48, 64, 3)).astype(np.uint16)
    picture, _ = pictures.from_bytes(heic(deep))
    assert picture.bits == 16 and len(np.unique(picture.rgb)) > 700
