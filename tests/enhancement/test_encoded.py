"""A file's content to a file's content: the same bytes as the command writes, and no file touched."""

import io
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image

import smnet_jax
from smnet_jax.checkpoints import untrained
from smnet_jax.cli import main
from smnet_jax.enhancement import encoded
from smnet_jax.errors import InputError
from smnet_jax.images import sixteen_bits
from tests.support.scene import ADOBE


@pytest.fixture(scope="module")
def weights():
    return untrained.make(width=8)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Smooth and dark, 20x28, with alpha."""
    y, x = np.mgrid[0:20, 0:28] / np.float32(28)
    return np.stack([x * 0.3, y * 0.4, (1 - x) * y * 0.3, 1 - 0.5 * x], axis=-1)


def content(values: np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.rint(values * 255))).save(file, format=kind, **options)
    return file.getvalue()


def photo(values: np.ndarray, kind: str) -> bytes:
    """One that carries all that its format can."""
    if kind == "bmp":
        return content(values[..., :3], "BMP")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Somebody"
    if kind == "jpg":
        return content(values[..., :3], "JPEG", exif=exif, icc_profile=ADOBE, quality=95)
    if kind == "png":
        file = io.BytesIO()
        sixteen_bits.write_png(file, np.rint(values * 65535).astype(np.uint16), exif=exif.tobytes(), icc=ADOBE)
        return file.getvalue()
    return content(values, kind, exif=exif, icc_profile=ADOBE)


@pytest.mark.parametrize("kind", encoded.FORMATS)
def test_the_same_bytes_as_the_command_writes(values, kind, tmp_path):
    (tmp_path / f"x.{kind}").write_bytes(data := photo(values, kind))
    options = ["--weights", untrained.NAME, "--strength", "0.7", "--no-cache"]
    assert main(["enhance", str(tmp_path / f"x.{kind}"), "-o", str(tmp_path / f"y.{kind}"), *options]) == 0
    result = smnet_jax.enhance_bytes(data, untrained.NAME, strength=0.7)
    assert result == (tmp_path / f"y.{kind}").read_bytes()
    assert result != data


def test_what_a_photo_carries_is_kept(values, weights):
    result = smnet_jax.enhance_bytes(photo(values, "png"), weights)
    assert result[24] == 16  # PNG's depth
    with Image.open(io.BytesIO(result)) as image:
        assert image.mode == "RGBA" and image.size == (20, 28)  # upright
        assert image.info["icc_profile"] == ADOBE
        assert image.getexif()[ExifTags.Base.Make] == "Somebody"
        assert ExifTags.Base.Orientation not in image.getexif() or image.getexif()[ExifTags.Base.Orientation] == 1
        alpha = np.rot90(values[..., 3], -1)
        assert np.abs(np.asarray(image)[..., 3] / 255 - alpha).max() < 1 / 255


@pytest.mark.parametrize(("kind", "starts"), [("jpg", b"\xff\xd8"), ("png", b"\x89PNG"), ("webp", b"RIFF")])
def test_another_format_on_request(values, weights, kind, starts):
    result = encoded.encode_enhanced(photo(values, "tiff"), weights, format=kind)
    assert result.data.startswith(starts) and result.suffix == f".{kind}"
    assert (result.width, result.height) == (20, 28)
    assert any("transparency" in note for note in result.notes) == (kind == "jpg")


def test_files_are_neither_opened_nor_written(values, weights):
    data = photo(values, "tiff")
    smnet_jax.enhance_bytes(data, weights)  # whatever is imported on first use is imported now
    opened, watching = [], True
    sys.addaudithook(lambda event, args: opened.append(args[0]) if watching and event == "open" else None)
    try:
        smnet_jax.enhance_bytes(data, weights)
        smnet_jax.enhance_bytes(photo(values, "png"), weights, format="webp")
    finally:
        watching = False
    assert [path for path in opened if not str(path).startswith(("/proc/", "/sys/"))] == []  # those tell the memory


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (b"", {}, "not a readable"),
        (b"/etc/passwd", {}, "not a readable"),
        (None, {"format": "gif"}, "format gif: must be one of jpg"),
        (None, {"quality": 0}, "quality 0"),
        (None, {"strength": 2}, "strength 2"),
        (None, {"max_megapixels": 1e-4}, "above the limit"),
    ],
)
def test_what_cannot_be_done_is_said(values, weights, data, options, says):
    data = photo(values, "jpg") if data is None else data
    with pytest.raises(InputError, match=says):
        smnet_jax.enhance_bytes(data, weights, **options)


def test_a_truncated_photo_is_refused(values, weights):
    with pytest.raises(InputError, match="damaged"):
        smnet_jax.enhance_bytes(photo(values, "png")[:-100], weights)
