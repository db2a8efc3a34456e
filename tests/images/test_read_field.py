"""Files as phones, cameras and old programs make them, each of which some version read wrongly."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from smnet_jax.data.decoding import decode
from smnet_jax.errors import InputError
from smnet_jax.images import formats, pictures, writing
from tests.support import tiffs

Y, X = np.mgrid[0:48, 0:64]
SCENE = np.stack([20 + X, 15 + Y, 40 - X * 0.3], axis=-1).astype(np.uint8)


def encoded(kind: str, image: np.ndarray = SCENE, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


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


def test_avif_is_read_and_written():
    data = encoded(
        "AVIF", quality=100, subsampling="4:4:4", exif=tiffs.block([tiffs.ascii(271, b"phone"), tiffs.short(274, 6)])
    )
    picture, suffix = pictures.from_bytes(data)
    assert suffix == ".avif" and np.abs(picture.rgb * 255 - np.rot90(SCENE, -1)).max() < 6
    again, _ = pictures.from_bytes(writing.to_bytes(picture, ".avif", quality=100)[0])
    assert again.rgb.shape == (64, 48, 3) and np.abs(again.rgb - picture.rgb).max() < 6 / 255
    assert again.exif is not None and b"phone" in again.exif


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
        (SCENE.astype(np.float32), "3 channels of 32-bit floating-point"),
        (SCENE[..., :1].astype(np.float32), "floating-point"),
        (np.repeat(SCENE, 2, axis=2)[..., :5].copy(), "5 channels of 8-bit unsigned"),
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


def test_training_reads_what_enhance_reads(tmp_path):
    deep = (SCENE.astype(np.uint16) * 257 + 100).clip(0, 65535).astype(np.uint16)
    (tmp_path / "deep.tif").write_bytes(tiffs.file((deep, 2, [tiffs.short(274, 6)])))
    assert np.array_equal(decode(tmp_path / "deep.tif"), np.rot90(SCENE, -1))
    (tmp_path / "linear.png").write_bytes(png_with(gama=100000))
    picture = pictures.read(tmp_path / "linear.png")
    assert np.array_equal(decode(tmp_path / "linear.png"), np.rint(np.clip(picture.rgb, 0, 1) * 255))


# JPEG and WebP


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


# Colour and transparency of PNG


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(
    *, gama: int = 0, chrm: tuple[int, ...] = (), cicp: bytes = b"", icc: bytes = b"", srgb: bool = False
) -> bytes:
    """SCENE with chunks that describe its colours."""
    data = encoded("PNG", icc_profile=icc or None)
    chunks = chunk(b"sRGB", b"\0") if srgb else b""
    chunks += chunk(b"cICP", cicp) if cicp else b""
    chunks += chunk(b"gAMA", struct.pack(">I", gama)) if gama else b""
    chunks += chunk(b"cHRM", struct.pack(">8I", *chrm)) if chrm else b""
    return data[:33] + chunks + data[33:]


SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def looks(data: bytes) -> np.ndarray:
    return pictures.from_bytes(data)[0].rgb


def test_linear_light_by_gamma_is_converted_and_comes_back(fixtures):
    picture, _ = pictures.from_bytes((fixtures / "field/gama_linear.png").read_bytes())
    data, _ = writing.to_bytes(picture, ".png")
    assert np.array_equal(writing.to_values(picture), writing.to_values(pictures.from_bytes(data)[0]))
    plain = SCENE / np.float32(255)
    linear = np.where(plain <= 0.0031308, plain * 12.92, 1.055 * plain ** (1 / 2.4) - 0.055)
    assert np.abs(looks(png_with(gama=100000, chrm=SRGB_POINTS)) - linear).max() < 1e-3


def test_precedence_of_colour_chunks():
    from PIL import ImageCms

    plain = SCENE / np.float32(255)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    bt2020 = bytes((9, 13, 0, 1))
    for data in (
        png_with(gama=45455, chrm=SRGB_POINTS),  # what Windows writes for sRGB
        png_with(gama=100000, srgb=True),
        png_with(gama=100000, icc=srgb),
        png_with(gama=100000, cicp=bytes((1, 13, 0, 1))),
    ):
        assert np.abs(looks(data) - plain).max() < 1e-6
    wide = looks(png_with(cicp=bt2020, icc=srgb))
    assert np.abs(wide - plain).max() > 0.02 and np.array_equal(wide, looks(png_with(cicp=bt2020, srgb=True)))


def test_display_p3_by_numbers_equals_display_p3_by_profile():
    """The primaries of Apple's own profile, adapted to D50: what cICP 12 must come to."""
    from smnet_jax.images import profiles
    from smnet_jax.images.colour_spaces import from_code_points

    made = profiles.parse(from_code_points(12, 13)[0] or b"")
    apple = np.array([[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
    assert made is not None
    assert np.abs(made.matrix - np.linalg.inv(profiles._SRGB_TO_XYZ) @ apple).max() < 2e-3


def test_hdr_is_converted_to_srgb_and_said():
    for transfer, white in ((16, 0.58), (18, 0.75)):  # BT.2408: where 203 nits lie in PQ and in HLG
        data = png_with(cicp=bytes((9, transfer, 0, 1)))
        picture, _ = pictures.from_bytes(data)
        assert "HDR" in picture.notes[0] and picture.icc is None
        from smnet_jax.images.colour_spaces import hdr_to_linear

        assert abs(hdr_to_linear(np.full((1, 3), white), transfer).mean() - 1) < 0.05


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


# What is not read


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"GIF89a" + bytes(40), "GIF"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "film"),
        (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"%PDF-1.7" + bytes(40), "PDF"),
    ],
)
def test_other_kinds_are_named_with_the_remedy(head, says):
    with pytest.raises(InputError, match=says) as caught:
        pictures.from_bytes(head)
    assert "\n" not in str(caught.value)


def test_kinds_by_first_bytes():
    for brand, kind in ((b"heic", "HEIF"), (b"avif", "AVIF"), (b"crx ", "RAW"), (b"isom", "VIDEO")):
        assert formats.kind(b"\0\0\0\x18ftyp" + brand + bytes(40)) == kind
    assert formats.kind(b"\0\0\0\x20ftypmif1\0\0\0\0mif1heic") == "HEIF"
    assert formats.kind(b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif") == "AVIF"
    assert formats.kind(b"II*\0\x10\0\0\0CR\2\0") == "RAW"
    assert formats.kind(b"\x89PNG\r\n\x1a\n") == "" == formats.kind(b"")


# From the issues of other tools (docs/lab/field.md)


def test_an_empty_file_is_called_empty():
    with pytest.raises(InputError, match="empty"):
        pictures.from_bytes(b"")


def test_a_photo_by_another_kinds_name_is_read_by_its_content(tmp_path):
    (tmp_path / "IMG_2342.png").write_bytes(encoded("AVIF", quality=100))
    assert pictures.read(tmp_path / "IMG_2342.png").rgb.shape == (48, 64, 3)


@pytest.mark.parametrize("marked", [True, False])
def test_cmyk_jpegs_are_not_inverted_with_or_without_adobes_marker(marked):
    file = io.BytesIO()
    Image.fromarray(SCENE).convert("CMYK").save(file, "JPEG", quality=100)
    data = file.getvalue()
    place = data.find(b"\xff\xee")
    if not marked:
        data = data[:place] + data[place + 2 + int.from_bytes(data[place + 2 : place + 4], "big") :]
    assert np.abs(pictures.from_bytes(data)[0].rgb * 255 - SCENE).max() < 8


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize(("extra", "alpha"), [(0, False), (1, True), (2, True)])
def test_tiffs_alpha_is_taken_as_its_tag_says(kind, extra, alpha):
    scale = 257 if kind == np.uint16 else 1
    values = np.dstack([SCENE, np.full((48, 64), 128, np.uint8)])
    if extra == 1:  # multiplied by alpha
        values[..., :3] = values[..., :3].astype(int) * 128 // 255
    picture, _ = pictures.from_bytes(tiffs.file((values.astype(kind) * scale, 2, [tiffs.short(338, extra)])))
    assert (picture.alpha is not None) == alpha and np.abs(picture.rgb * 255 - SCENE).max() <= 2


def test_what_lies_behind_a_jpeg_is_no_matter():
    data = encoded("JPEG", quality=100, subsampling=0) + b"MotionPhoto_Data" + bytes(5000)
    assert np.abs(pictures.from_bytes(data)[0].rgb * 255 - SCENE).max() < 6


def test_a_gain_map_that_is_left_behind_is_said():
    data = encoded("JPEG")
    tag = b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)
    data = data[:2] + b"\xff\xe2" + struct.pack(">H", len(tag) + 2) + tag + data[2:]
    assert "gain map" in pictures.from_bytes(data)[0].notes[0]


def test_a_png_with_a_damaged_text_is_read_without_it():
    data = encoded("PNG")
    damaged = chunk(b"tEXt", b"Title\0x")[:-1] + b"?"
    picture, _ = pictures.from_bytes(data[:33] + damaged + data[33:])
    assert np.array_equal(writing.to_values(picture), SCENE) and "damaged" in picture.notes[0]
    broken = bytearray(data)
    broken[data.find(b"IDAT") + 8] ^= 1  # pixels are another matter
    with pytest.raises(InputError):
        pictures.from_bytes(bytes(broken))


def test_exif_behind_the_pixels_of_a_png_counts_too():
    data = encoded("PNG")
    late = chunk(b"eXIf", tiffs.block([tiffs.short(274, 6)])[6:])
    assert np.array_equal(
        writing.to_values(pictures.from_bytes(data[:-12] + late + data[-12:])[0]), np.rot90(SCENE, -1)
    )


def test_texts_that_unpack_without_end_are_refused():
    data = encoded("PNG")
    bomb = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1 << 24)))
    with pytest.raises(InputError):
        pictures.from_bytes(data[:33] + bomb + data[33:])


def test_deep_avif_says_that_it_is_read_as_8_bits():
    from smnet_jax.images.colour_spaces import bits_of_avif

    assert bits_of_avif(encoded("AVIF")) == 8 and bits_of_avif(b"") == 8
    for flags, bits in ((0x4C, 10), (0x6C, 12), (0x0C, 8)):
        assert bits_of_avif(b"\0\0\0\x0cav1C\x81\x20" + bytes([flags, 0])) == bits
