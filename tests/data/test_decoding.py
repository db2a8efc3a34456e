"""Files to arrays: orientation, odd modes, damage."""

import numpy as np
import pytest
from PIL import Image

from smnet_jax.data.decoding import decode
from smnet_jax.errors import InputError
from smnet_jax.images import pictures
from tests.support import tiffs
from tests.support.scene import SCENE, png_with


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def test_png_pixels_are_kept(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png")
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, picture)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(3, lambda p: p[::-1, ::-1]), (6, lambda p: np.rot90(p, -1)), (2, lambda p: p[:, ::-1])],
)
def test_exif_orientation_is_applied(tmp_path, picture, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), upright(picture))


def test_gray_alpha_and_sixteen_bit_become_rgb(tmp_path, picture):
    gray = picture[..., 0]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(decode(tmp_path / "gray.png"), np.repeat(gray[..., None], 3, axis=2))
    Image.fromarray(np.dstack([picture, gray])).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(decode(tmp_path / "alpha.png"), picture)
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(decode(tmp_path / "deep.png"), np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_truncated_file_is_refused(tmp_path, picture, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.repeat(np.repeat(picture, 8, 0), 8, 1)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"^.*a\.{suffix}: cannot be decoded \(.*\); replace or remove it$"):
        decode(path)


def test_no_flipped_bit_in_a_png_changes_pixels_unseen(tmp_path, picture):
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path)
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        try:
            decoded = decode(path, bytes(damaged))
        except InputError:
            refused += 1
        else:
            np.testing.assert_array_equal(decoded, picture)
    assert refused > 0.9 * len(content)


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_picture_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: cannot be decoded") as caught:
        decode(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        decode(tmp_path / "absent.png")


def test_training_reads_what_enhance_reads(tmp_path):
    deep = (SCENE.astype(np.uint16) * 257 + 100).clip(0, 65535).astype(np.uint16)
    (tmp_path / "deep.tif").write_bytes(tiffs.file((deep, 2, [tiffs.short(274, 6)])))
    assert np.array_equal(decode(tmp_path / "deep.tif"), np.rot90(SCENE, -1))
    (tmp_path / "linear.png").write_bytes(png_with(gama=100000))
    picture = pictures.read(tmp_path / "linear.png")
    assert np.array_equal(decode(tmp_path / "linear.png"), np.rint(np.clip(picture.rgb, 0, 1) * 255))
