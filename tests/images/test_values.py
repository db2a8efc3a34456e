"""Pixels of every mode and depth as numbers."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from smnet_jax.images import pictures, writing
from tests.support import icc_profiles
from tests.support.scene import ADOBE, SCENE, chunk, same


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_gray_is_found_at_every_depth(bits):
    peak = (1 << bits) - 1
    key = peak // 2
    rows = b""
    for y in range(8):
        packed = 0
        for x in range(8):
            packed = packed << bits | (key if (x, y) == (3, 2) else peak)
        rows += b"\0" + packed.to_bytes(bits, "big")
    head = struct.pack(">IIBBBBB", 8, 8, bits, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tRNS", struct.pack(">H", key))
    alpha = pictures.from_bytes(data + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))[0].alpha
    assert alpha is not None and alpha[2, 3] == 0 and alpha.sum() == 63


def test_a_bmp_of_32_bits_without_alpha_is_opaque():
    rgbx = np.dstack([SCENE[::-1, :, ::-1], np.zeros((48, 64, 1), np.uint8)])
    # BITMAPV4HEADER with masks for four channels, as screenshots have it, and no alpha in the pixels.
    head = struct.pack("<IiiHHIIiiII", 108, 64, 48, 1, 32, 3, rgbx.nbytes, 0, 0, 0, 0)
    head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    data = b"BM" + struct.pack("<IHHI", 122 + rgbx.nbytes, 0, 0, 122) + head + rgbx.tobytes()
    picture, _ = pictures.from_bytes(data)
    assert picture.alpha is None and np.array_equal(writing.to_values(picture), SCENE)


@pytest.mark.parametrize("marked", [True, False])
def test_cmyk_jpegs_are_not_inverted_with_or_without_adobes_marker(marked):
    file = io.BytesIO()
    Image.fromarray(SCENE).convert("CMYK").save(file, "JPEG", quality=100)
    data = file.getvalue()
    place = data.find(b"\xff\xee")
    if not marked:
        data = data[:place] + data[place + 2 + int.from_bytes(data[place + 2 : place + 4], "big") :]
    assert np.abs(pictures.from_bytes(data)[0].rgb * 255 - SCENE).max() < 8


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "RGBa"]
)
def test_reads_every_mode(scene, mode):
    if mode in ("PA", "RGBX", "RGBa"):
        image = scene.convert("RGBA").convert({"PA": "P"}.get(mode, mode)).convert(mode)
    elif mode == "LAB":
        image = ImageCms.applyTransform(
            scene, ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        )
        assert image is not None
    else:
        image = scene.convert(mode)
    picture = pictures.from_pil(image)
    expected = scene.convert(mode) if mode in ("1", "L", "P") else scene.convert("L") if mode == "LA" else scene
    if mode == "PA":
        expected = image.convert("RGB")
    if mode != "LAB":
        assert same(picture.rgb * 255, expected.convert("RGB"), 4.1)
    assert picture.gray == (mode in ("1", "L", "LA"))
    assert (picture.alpha is not None) == (mode in ("LA", "PA", "RGBA", "RGBa"))


def test_palette_and_named_transparency_become_alpha(tmp_path):
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((3, 4), 0)
    palette.save(tmp_path / "p.png", transparency=0)
    for name, image, key in (("l", Image.new("L", (8, 8), 7), 5), ("rgb", Image.new("RGB", (8, 8)), (1, 2, 3))):
        image.putpixel((3, 4), key)
        image.save(tmp_path / f"{name}.png", transparency=key)
    for name in ("p", "l", "rgb"):
        picture = pictures.read(tmp_path / f"{name}.png")
        assert picture.alpha is not None and picture.alpha[4, 3] == 0 and picture.alpha.sum() == 63, name
        assert picture.gray == (name == "l")


def test_deep_pictures_are_turned_too(tmp_path):
    values = np.arange(8 * 12, dtype=np.uint16).reshape(8, 12) * 600
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(values).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(writing.to_values(pictures.read(tmp_path / "x.png"))[..., 0], np.rot90(values, -1))


def test_gray_profiles(tmp_path, scene):
    gray = scene.convert("L")
    gamma = icc_profiles.gray(icc_profiles.gamma(1.0))
    gray.save(tmp_path / "linear.png", icc_profile=gamma)
    picture = pictures.read(tmp_path / "linear.png")
    assert picture.gray and picture.rgb.mean() > np.asarray(gray).mean() / 255 + 0.15  # linear light looks dark
    assert same(writing.to_values(picture)[..., 0], gray)
    gray.save(tmp_path / "rgb.png", icc_profile=ADOBE)  # found in the wild; means R = G = B
    picture = pictures.read(tmp_path / "rgb.png")
    assert picture.gray and same(writing.to_values(picture)[..., 0], gray)
    assert np.ptp(picture.rgb, axis=2).max() < 1e-5


def test_table_profiles_go_through_littlecms(tmp_path, scene):
    icc = icc_profiles.lut()
    image = scene.convert("RGBA")
    image.putalpha(100)
    image.save(tmp_path / "x.png", icc_profile=icc)
    picture = pictures.read(tmp_path / "x.png")
    theirs = ImageCms.profileToProfile(
        scene,
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert same(picture.rgb * 255, theirs, 1e-4) and not same(theirs, scene, 20)
    assert picture.icc is None and "converted" in picture.notes[0]
    assert picture.alpha is not None and same(picture.alpha * 255, np.full((16, 24), 100), 1e-4)


def test_cmyk_without_a_profile_is_said_to_be_a_guess(tmp_path, scene):
    scene.convert("CMYK").save(tmp_path / "x.jpg", quality=100)
    picture = pictures.read(tmp_path / "x.jpg")
    assert "CMYK" in picture.notes[0] and same(picture.rgb * 255, scene, 8)
    writing.write(picture, tmp_path / "y.jpg")
    with Image.open(tmp_path / "y.jpg") as image:
        assert image.mode == "RGB"
