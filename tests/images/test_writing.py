"""Pictures as files: what each format keeps, and what it leaves out with a word."""

import dataclasses

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from smnet_jax.errors import InputError
from smnet_jax.images import pictures, writing
from tests.support.scene import ADOBE, SUFFIXES, encoded, same


def test_lossless_webp_stays_lossless(fixtures):
    picture, suffix = pictures.from_bytes((fixtures / "field/lossless.webp").read_bytes())
    again, _ = pictures.from_bytes(writing.to_bytes(picture, suffix)[0])
    assert np.array_equal(again.rgb, picture.rgb)
    lossy, _ = pictures.from_bytes(encoded("WEBP"))
    assert picture.lossless and not lossy.lossless


@pytest.mark.parametrize(("suffix", "size", "limit"), [(".webp", (8, 16384), "16383"), (".jpg", (65501, 8), "65500")])
def test_what_is_larger_than_its_format_can_be_is_named(suffix, size, limit):
    with pytest.raises(InputError, match=rf"{limit}.*--format png"):
        writing.to_bytes(pictures.Picture(np.zeros((*size, 3), np.float32)), suffix)


def test_tiff_layout_does_not_leak_into_other_formats(tmp_path, scene):
    scene.save(tmp_path / "x.tif", compression="tiff_lzw", tiffinfo={271: "maker"})
    picture = pictures.read(tmp_path / "x.tif")
    for suffix in ("png", "tif", "jpg"):
        assert writing.write(picture, tmp_path / f"y.{suffix}") == ()
    with Image.open(tmp_path / "y.png") as image:
        assert dict(image.getexif()) == {271: "maker"}
    assert same(pictures.read(tmp_path / "y.tif").rgb, picture.rgb)


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
