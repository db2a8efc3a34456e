"""TIFF files that Pillow does not read: floats, further channels, planes. Written here byte by byte."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from smnet_jax.data.decoding import decode
from smnet_jax.errors import InputError
from smnet_jax.images import pictures, writing
from tests.support import tiffs
from tests.support.scene import SCENE


def deflated(values: np.ndarray, *meaning: int, photometric: int | None = None, differences: int = 1) -> bytes:
    """A deflated TIFF file of these values whose further channels mean `meaning`; in differences if asked for."""
    height, width, channels = values.shape
    rows = values
    if differences == 2:
        whole = values.view(f"u{values.itemsize}")
        rows = np.concatenate([whole[:, :1], whole[:, 1:] - whole[:, :-1]], axis=1)
    elif differences == 3:  # bytes of all values, upper ones first, then their differences
        parts = values.astype(values.dtype.newbyteorder(">")).view(np.uint8).reshape(height, width * channels, -1)
        parts = parts.swapaxes(1, 2).reshape(height, -1, channels)
        rows = np.concatenate([parts[:, :1], parts[:, 1:] - parts[:, :-1]], axis=1)
    packed = np.frombuffer(zlib.compress(rows.tobytes()), np.uint8)
    extra = [tiffs.short(338, *meaning)] if meaning else []
    photometric = photometric if photometric is not None else 2 if channels > 2 else 1
    tags = {tag[0]: tag for tag in tiffs.pixels(values, photometric, 8, extra)}
    tags |= {tag[0]: tag for tag in (tiffs.short(259, 8), tiffs.short(317, differences), tiffs.long(279, len(packed)))}
    data = packed.tobytes() + bytes(len(packed) % 2)
    start = 8 + len(data)
    return b"II*\0" + struct.pack("<I", start) + data + tiffs.directory(list(tags.values()), start)


@pytest.mark.parametrize("differences", [1, 2, 3])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_floats_from_0_to_1_are_read_as_16_bits(kind, channels, differences):
    values = (SCENE[..., :channels] / np.float32(100)).astype(kind)
    picture, suffix = pictures.from_bytes(deflated(values, differences=differences))
    assert suffix == ".tif" and picture.bits == 16 and picture.gray == (channels == 1)
    assert np.array_equal(writing.to_values(picture), np.rint(values.astype(np.float64) * 65535))
    assert len(picture.notes) == 1 and "floating-point" in picture.notes[0]


def test_further_channels_are_left_out_with_a_note_and_alpha_is_kept():
    five = np.concatenate([SCENE, SCENE[..., :2] + 100], axis=2)
    for values in (five, five.astype(np.uint16) * 257):
        picture, _ = pictures.from_bytes(deflated(values, 0, 0))
        assert np.array_equal(writing.to_values(picture), values[..., :3])
        assert picture.notes == ("its 2 further channels beside RGB left out",)
        for alpha, meanings in ((3, (2, 0)), (4, (0, 2))):
            picture, _ = pictures.from_bytes(deflated(values, *meanings))
            assert np.array_equal(writing.to_values(picture), values[..., [0, 1, 2, alpha]])
            assert picture.notes == ("its 1 further channel beside RGB left out",)


def test_gray_and_alpha_of_16_bits_and_planes_are_read():
    deep = (SCENE.astype(np.uint16) + 1) * 300
    picture, _ = pictures.from_bytes(deflated(deep[..., :2], 2, differences=2))
    assert picture.gray and np.array_equal(writing.to_values(picture), deep[..., :2]) and picture.notes == ()
    white_is_zero, _ = pictures.from_bytes(deflated(deep[..., :2], 2, photometric=0))
    assert np.array_equal(writing.to_values(white_is_zero)[..., 0], 65535 - deep[..., 0])
    half = np.stack([deep[..., 0] // 2, np.full_like(deep[..., 0], 32767)], axis=2)  # multiplied by an alpha of half
    picture, _ = pictures.from_bytes(deflated(half, 1))
    assert np.abs(writing.to_values(picture)[..., 0] - deep[..., 0].astype(int)).max() <= 2


def test_such_files_are_turned_trained_on_and_bounded(tmp_path):
    values = SCENE / np.float32(100)
    path = tmp_path / "x.tif"
    path.write_bytes(tiffs.file((values, 2, [tiffs.short(274, 6), tiffs.ascii(271, b"maker")])))
    picture = pictures.read(path)
    assert picture.rgb.shape[:2] == (64, 48) and picture.exif is not None and b"maker" in picture.exif
    assert np.array_equal(decode(path), np.rint(picture.rgb * 255))
    with pytest.raises(InputError, match="above the limit"):
        pictures.read(path, max_megapixels=0.001)
    many = np.zeros((48, 64, 30), np.float64)
    path.write_bytes(deflated(many, *[0] * 27))
    with pytest.raises(InputError, match="30 channels are too much"):
        pictures.read(path, max_megapixels=0.01)
    path.write_bytes(deflated(values)[:300])  # its directory is gone
    with pytest.raises(InputError):
        pictures.read(path)


def test_size_is_judged_by_our_limit_alone_and_tiles_count_whole(monkeypatch):
    """Floats are shown to Pillow as bytes, several to a pixel: its own limit would come too early."""
    values = SCENE.astype(np.float32) / np.float32(255)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)
    assert pictures.from_bytes(deflated(values))[0].rgb.shape == values.shape

    height, width = values.shape[:2]
    data = values.tobytes()
    tags = {tag[0]: tag for tag in tiffs.pixels(values, 2, 8, [])}
    for strips in (273, 278, 279):
        del tags[strips]
    tags |= {t[0]: t for t in (tiffs.long(322, 1 << 24), tiffs.long(323, 16), tiffs.long(324, 8), tiffs.long(325, 64))}
    start = 8 + len(data)
    bomb = b"II*\0" + struct.pack("<I", start) + data + tiffs.directory(list(tags.values()), start)
    with pytest.raises(InputError, match=f"{width}x{height} pixels of 3 channels are too much to read at once"):
        pictures.from_bytes(bomb)
