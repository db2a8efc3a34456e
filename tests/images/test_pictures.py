"""Reading and writing pictures of every kind that people have, and of some that they should not have."""

import dataclasses
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from smnet_jax.errors import InputError
from smnet_jax.images import pictures, writing
from tests.support import icc_profiles

SUFFIXES = ["jpg", "png", "webp", "bmp", "tiff"]
ADOBE = icc_profiles.rgb(icc_profiles.ADOBE_RGB, icc_profiles.gamma(563 / 256))


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """A smooth picture, 24 wide and 16 high, that JPEG hardly changes; no two edges alike."""
    y, x = np.mgrid[0:16, 0:24] / np.float32(24)
    return Image.fromarray(np.uint8(np.stack([x * 200 + 20, y * 250 + 30, (1 - x) * y * 180 + 40], axis=-1)))


def same(a, b, tolerance=0.0) -> bool:
    a, b = (np.asarray(v, np.float32) for v in (a, b))
    return a.shape == b.shape and float(np.abs(a - b).max()) <= tolerance


# Reading


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


def test_deep_pictures_are_turned_too(tmp_path):
    values = np.arange(8 * 12, dtype=np.uint16).reshape(8, 12) * 600
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(values).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(writing.to_values(pictures.read(tmp_path / "x.png"))[..., 0], np.rot90(values, -1))


def test_tiff_layout_does_not_leak_into_other_formats(tmp_path, scene):
    scene.save(tmp_path / "x.tif", compression="tiff_lzw", tiffinfo={271: "maker"})
    picture = pictures.read(tmp_path / "x.tif")
    for suffix in ("png", "tif", "jpg"):
        assert writing.write(picture, tmp_path / f"y.{suffix}") == ()
    with Image.open(tmp_path / "y.png") as image:
        assert dict(image.getexif()) == {271: "maker"}
    assert same(pictures.read(tmp_path / "y.tif").rgb, picture.rgb)


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


def test_profiles_that_do_not_fit_are_named_not_obeyed(tmp_path, scene):
    for name, icc in (("gray", icc_profiles.gray(icc_profiles.gamma(1.8))), ("junk", b"junk" * 50)):
        scene.save(tmp_path / f"{name}.png", icc_profile=icc)
        picture = pictures.read(tmp_path / f"{name}.png")
        assert same(picture.rgb * 255, scene, 1e-4) and picture.icc is None
        assert "profile" in picture.notes[0]


def test_cmyk_without_a_profile_is_said_to_be_a_guess(tmp_path, scene):
    scene.convert("CMYK").save(tmp_path / "x.jpg", quality=100)
    picture = pictures.read(tmp_path / "x.jpg")
    assert "CMYK" in picture.notes[0] and same(picture.rgb * 255, scene, 8)
    writing.write(picture, tmp_path / "y.jpg")
    with Image.open(tmp_path / "y.jpg") as image:
        assert image.mode == "RGB"


# Writing


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_alpha_and_gray_survive_where_the_format_can(tmp_path, scene, suffix, mode):
    image = scene.convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.arange(24, dtype=np.uint8) * 10, (16, 1))))
    picture = pictures.from_pil(image.convert(mode))
    notes = writing.write(picture, tmp_path / f"x.{suffix}", quality=100)
    again = pictures.read(tmp_path / f"x.{suffix}")
    flattened = suffix in ("jpg", "bmp") and mode.endswith("A")
    assert any("transparency" in note for note in notes) == flattened
    assert again.gray == (picture.gray and suffix != "webp")
    if flattened:
        white = Image.new("RGB", scene.size, "white")
        white.paste(image.convert(mode).convert("RGB"), mask=image.getchannel("A"))
        assert same(again.rgb * 255, white, 4)
    else:
        assert (again.alpha is None) == (picture.alpha is None)
        # Lossy WebP is 4:2:0 and does not keep what nobody sees.
        assert same(again.rgb * 255, picture.rgb * 255, 4 if suffix == "jpg" else 0.01) or suffix == "webp"
        if again.alpha is not None:
            assert same(again.alpha, picture.alpha)


def test_rounds_and_clips(tmp_path):
    rgb = np.full((8, 8, 3), 100.6 / 255, np.float32)
    rgb[0], rgb[1] = -0.5, 1.5
    writing.write(pictures.Picture(rgb), tmp_path / "x.png")
    values = writing.to_values(pictures.read(tmp_path / "x.png"))
    assert (values[0] == 0).all() and (values[1] == 255).all() and (values[2:] == 101).all()


def test_sixteen_bits_are_kept_or_their_loss_said(tmp_path):
    values = np.arange(8 * 8 * 3, dtype=np.uint16).reshape(8, 8, 3) * 300
    deep = pictures.Picture(values / np.float32(65535), bits=16)
    gray = pictures.Picture(np.repeat(values[..., :1], 3, axis=2) / np.float32(65535), bits=16, gray=True)
    assert writing.write(deep, tmp_path / "x.png") == ()
    assert np.array_equal(writing.to_values(pictures.read(tmp_path / "x.png")), values)
    assert writing.write(gray, tmp_path / "g.tif") == ()
    assert np.array_equal(writing.to_values(pictures.read(tmp_path / "g.tif"))[..., 0], values[..., 0])
    assert writing.write(deep, tmp_path / "d.tif") == ()
    assert np.array_equal(writing.to_values(pictures.read(tmp_path / "d.tif")), values)
    for suffix in ("jpg", "webp", "bmp", "avif"):
        assert "8 of its 16 bits" in writing.write(deep, tmp_path / f"y.{suffix}")[0]


def test_bmp_says_what_it_cannot_hold(tmp_path, scene):
    scene.save(tmp_path / "x.png", icc_profile=ADOBE)
    picture = pictures.read(tmp_path / "x.png")
    assert "profile" in writing.write(picture, tmp_path / "y.bmp")[0]
    again = pictures.read(tmp_path / "y.bmp")
    assert same(again.rgb, np.clip(picture.rgb, 0, 1), 0.51 / 255)  # written as sRGB, not as Adobe RGB's numbers


def test_too_much_exif_for_jpeg(tmp_path, scene):
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70000
    scene.save(tmp_path / "x.png", exif=exif)
    picture = pictures.read(tmp_path / "x.png")
    assert "EXIF" in writing.write(picture, tmp_path / "y.jpg")[0]
    assert writing.write(picture, tmp_path / "y.png") == ()


def test_exif_that_a_writer_refuses_costs_the_exif_only(tmp_path, scene, monkeypatch):
    picture = dataclasses.replace(pictures.from_pil(scene), exif=Image.Exif().tobytes())
    real = Image.Image.save

    def particular(image, path, **options):
        if "exif" in options:
            raise RuntimeError("Error setting from dictionary")
        real(image, path, **options)

    monkeypatch.setattr(Image.Image, "save", particular)
    assert "EXIF" in writing.write(picture, tmp_path / "x.tif")[0]
    assert same(pictures.read(tmp_path / "x.tif").rgb, picture.rgb)


def test_unknown_suffix_and_failed_writes_leave_nothing(tmp_path, scene, monkeypatch):
    picture = pictures.from_pil(scene)
    with pytest.raises(InputError, match=r"\.gif"):
        writing.write(picture, tmp_path / "x.gif")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    (tmp_path / "x.png").write_bytes(b"precious")
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        writing.write(picture, tmp_path / "x.png")
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"] and (tmp_path / "x.png").read_bytes() == b"precious"


def test_to_pil_keeps_mode_and_metadata(scene):
    for mode in ("L", "LA", "RGB", "RGBA"):
        image = scene.convert(mode)
        assert writing.to_pil(pictures.from_pil(image)).mode == mode
        assert same(writing.to_pil(pictures.from_pil(image)), image)
    deep = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8))
    assert writing.to_pil(pictures.from_pil(deep)).mode == "I;16"


def test_side_by_side(scene):
    before = pictures.from_pil(scene.convert("RGBA"))
    after = pictures.from_pil(ImageOps.invert(scene).convert("RGBA"))
    both = writing.side_by_side(before, after)
    assert both.rgb.shape == (16, 48, 3) and both.alpha is not None and both.alpha.shape == (16, 48)
    assert np.array_equal(both.rgb[:, :24], before.rgb) and np.array_equal(both.rgb[:, 24:], after.rgb)


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
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match="floating-point"):
        pictures.read(tmp_path / "float.tif")
    with pytest.raises(InputError, match="32-bit"):
        pictures.from_pil(Image.fromarray(np.zeros((8, 8), np.int32)))


def test_the_name_does_not_decide_what_is_inside(tmp_path, scene):
    scene.save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.jpg")
    assert same(pictures.read(tmp_path / "x.jpg").rgb * 255, scene, 1e-4)
