"""Reading pictures of every kind that people have, and of some that they should not have.

Some come from the issues of other tools (docs/lab/field.md).
"""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from smnet_jax.errors import InputError
from smnet_jax.images import pictures, writing
from tests.support import icc_profiles, tiffs
from tests.support.scene import ADOBE, SCENE, SUFFIXES, chunk, encoded, same


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_reads_every_format(tmp_path, scene, suffix, mode):
    path = tmp_path / f"x.{suffix}"
    scene.convert(mode).save(path, **({"quality": 100} if suffix == "jpg" else {"lossless": True}))
    picture = pictures.read(path)
    assert picture.rgb.dtype == np.float32 and picture.rgb.shape == (16, 24, 3)
    assert picture.gray == (mode == "L" and suffix != "webp")  # WebP knows no gray
    assert picture.alpha is None and picture.bits == 8
    with Image.open(path) as image:
        assert same(picture.rgb * 255, image.convert("RGB"), 1e-4)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path, scene, suffix, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "maker"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.5
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    scene.save(tmp_path / f"in.{suffix}", exif=exif.tobytes(), **options)
    with Image.open(tmp_path / f"in.{suffix}") as image:
        upright = ImageOps.exif_transpose(image)  # Pillow's own doing, for comparison

    picture = pictures.read(tmp_path / f"in.{suffix}")
    assert same(picture.rgb * 255, upright, 1e-4)
    writing.write(picture, tmp_path / f"out.{suffix}", quality=100)
    with Image.open(tmp_path / f"out.{suffix}") as image:
        carried = image.getexif()
        assert carried.get(ExifTags.Base.Orientation, 1) == 1
        assert carried[ExifTags.Base.Make] == "maker"
        assert carried.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == 0.5
        assert carried.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    tolerance = {"png": 0.0, "tiff": 0.0, "jpg": 0.03, "webp": 0.15}[suffix]  # lossy WebP has no 4:4:4
    assert same(pictures.read(tmp_path / f"out.{suffix}").rgb, picture.rgb, tolerance)


def test_damaged_exif_costs_the_exif_only(tmp_path, scene):
    scene.save(tmp_path / "x.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xee" * 40)
    picture = pictures.read(tmp_path / "x.png")
    assert same(picture.rgb * 255, scene, 1e-4)
    writing.write(picture, tmp_path / "y.jpg")


def test_first_frame_of_animations(tmp_path, scene):
    for suffix in ("webp", "png", "tiff"):
        path = tmp_path / f"x.{suffix}"
        scene.save(
            path, save_all=True, append_images=[Image.new("RGB", scene.size, c) for c in ("red", "blue")], lossless=True
        )
        picture = pictures.read(path)
        assert picture.notes == ("the first of 3 frames is used",)
        assert same(picture.rgb * 255, scene, 1e-4)


# Colour


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_foreign_profile_is_converted_and_comes_back(tmp_path, scene, suffix):
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    scene.save(tmp_path / f"x.{suffix}", icc_profile=ADOBE, **options)
    picture = pictures.read(tmp_path / f"x.{suffix}")
    with Image.open(tmp_path / f"x.{suffix}") as image:
        values = np.asarray(image)
        theirs = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(io.BytesIO(ADOBE)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    assert same(np.clip(picture.rgb, 0, 1) * 255, theirs, 1.3)
    assert not same(picture.rgb * 255, values, 5)  # the conversion is not nothing
    assert np.array_equal(writing.to_values(picture), values)
    writing.write(picture, tmp_path / f"y.{suffix}", quality=100)
    with Image.open(tmp_path / f"y.{suffix}") as image:
        assert image.info["icc_profile"] == ADOBE


def test_sixteen_bits_survive_a_foreign_profile(tmp_path):
    values = np.random.default_rng(0).integers(3000, 65536, (8, 8, 3), np.uint16)
    from smnet_jax.images.sixteen_bits import write_png

    with (tmp_path / "x.png").open("wb") as file:
        write_png(file, values, icc=ADOBE)
    again = writing.to_values(pictures.read(tmp_path / "x.png")).astype(int)
    assert np.abs(again - values).max() <= 1


def test_srgb_profile_changes_nothing_and_is_kept(tmp_path, scene):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    scene.save(tmp_path / "x.png", icc_profile=srgb)
    picture = pictures.read(tmp_path / "x.png")
    assert same(picture.rgb, np.asarray(scene, np.float32) / np.float32(255)) and picture.icc == srgb


def test_profiles_that_do_not_fit_are_named_not_obeyed(tmp_path, scene):
    for name, icc in (("gray", icc_profiles.gray(icc_profiles.gamma(1.8))), ("junk", b"junk" * 50)):
        scene.save(tmp_path / f"{name}.png", icc_profile=icc)
        picture = pictures.read(tmp_path / f"{name}.png")
        assert same(picture.rgb * 255, scene, 1e-4) and picture.icc is None
        assert "profile" in picture.notes[0]


# Hostile and hopeless


def _png_claiming(width: int, height: int) -> bytes:
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_bombs_are_refused_before_decoding_and_the_limit_can_be_raised(tmp_path, scene):
    (tmp_path / "bomb.png").write_bytes(_png_claiming(60000, 60000))
    with pytest.raises(InputError, match="3600 megapixels"):
        pictures.read(tmp_path / "bomb.png")
    scene.save(tmp_path / "x.png")
    with pytest.raises(InputError, match="max-megapixels"):
        pictures.read(tmp_path / "x.png", max_megapixels=0.0001)
    assert Image.MAX_IMAGE_PIXELS is not None  # Pillow's own limit is as it was, for others in this process


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files_are_named(tmp_path, scene, suffix):
    scene.resize((64, 64)).save(tmp_path / f"whole.{suffix}")
    content = (tmp_path / f"whole.{suffix}").read_bytes()
    path = tmp_path / f"half.{suffix}"
    for keep in (0, 1, 10, len(content) // 3, len(content) // 2, len(content) * 3 // 4):
        path.write_bytes(content[:keep])
        with pytest.raises(InputError, match=f"half.{suffix}"):
            pictures.read(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_flipped_bytes_never_raise_anything_else(tmp_path, scene, suffix):
    scene.save(tmp_path / f"whole.{suffix}")
    content = bytearray((tmp_path / f"whole.{suffix}").read_bytes())
    rng = np.random.default_rng(0)
    path = tmp_path / f"bad.{suffix}"
    refused = 0
    for _ in range(60):
        bad = bytearray(content)
        for place in rng.integers(0, len(bad), 4):
            bad[place] = rng.integers(256)
        path.write_bytes(bad)
        try:
            assert pictures.read(path, max_megapixels=1).rgb.shape[2] == 3
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"just text, renamed", "not a readable"),
        (b"", "not a readable"),
        (b"GIF89a\x10\x00\x10\x00\x00\x00\x00;", "not a readable"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable"),
    ],
)
def test_other_things_by_the_name_of_a_picture(tmp_path, content, says):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(InputError, match=says):
        pictures.read(tmp_path / "x.jpg")


def test_missing_folders_small_and_floating_point(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        pictures.read(tmp_path / "nothing.png")
    with pytest.raises(InputError, match=str(tmp_path)):
        pictures.read(tmp_path)
    Image.new("RGB", (7, 100)).save(tmp_path / "thin.png")
    with pytest.raises(InputError, match="7x100"):
        pictures.read(tmp_path / "thin.png")
    Image.fromarray(np.full((8, 8), 2, np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match="floating-point"):
        pictures.read(tmp_path / "float.tif")
    with pytest.raises(InputError, match="32-bit"):
        pictures.from_pil(Image.fromarray(np.zeros((8, 8), np.int32)))


def test_the_name_does_not_decide_what_is_inside(tmp_path, scene):
    scene.save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.jpg")
    assert same(pictures.read(tmp_path / "x.jpg").rgb * 255, scene, 1e-4)


def test_avif_is_read_and_written():
    data = encoded(
        "AVIF", quality=100, subsampling="4:4:4", exif=tiffs.block([tiffs.ascii(271, b"phone"), tiffs.short(274, 6)])
    )
    picture, suffix = pictures.from_bytes(data)
    assert suffix == ".avif" and np.abs(picture.rgb * 255 - np.rot90(SCENE, -1)).max() < 6
    again, _ = pictures.from_bytes(writing.to_bytes(picture, ".avif", quality=100)[0])
    assert again.rgb.shape == (64, 48, 3) and np.abs(again.rgb - picture.rgb).max() < 6 / 255
    assert again.exif is not None and b"phone" in again.exif


def test_a_jpeg_without_its_end_marker_is_read_with_a_note(fixtures):
    data = (fixtures / "field/no_eoi.jpg").read_bytes()
    picture, _ = pictures.from_bytes(data)
    assert "end marker" in picture.notes[0]
    whole, _ = pictures.from_bytes(data + b"\xff\xd9")
    assert np.array_equal(picture.rgb, whole.rgb) and whole.notes == ()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_that_misses_pixels_is_refused(options):
    data = encoded("JPEG", **options)
    for length in range(len(data) - 300, len(data) - 2):
        with pytest.raises(InputError):
            pictures.from_bytes(data[:length])


def test_an_empty_file_is_called_empty():
    with pytest.raises(InputError, match="empty"):
        pictures.from_bytes(b"")


def test_a_photo_by_another_kinds_name_is_read_by_its_content(tmp_path):
    (tmp_path / "IMG_2342.png").write_bytes(encoded("AVIF", quality=100))
    assert pictures.read(tmp_path / "IMG_2342.png").rgb.shape == (48, 64, 3)


def test_what_lies_behind_a_jpeg_is_no_matter():
    data = encoded("JPEG", quality=100, subsampling=0) + b"MotionPhoto_Data" + bytes(5000)
    assert np.abs(pictures.from_bytes(data)[0].rgb * 255 - SCENE).max() < 6


def test_texts_that_unpack_without_end_are_refused():
    data = encoded("PNG")
    bomb = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1 << 24)))
    with pytest.raises(InputError):
        pictures.from_bytes(data[:33] + bomb + data[33:])
