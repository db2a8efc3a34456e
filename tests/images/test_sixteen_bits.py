"""All 16 bits of colour pictures. The files are written by hand or by Pillow's own gray code, never by our reader."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from smnet_jax.images import pictures, sixteen_bits, writing


def png(values: np.ndarray, *, extra: bytes = b"") -> bytes:
    """(H, W, C) uint16 as PNG without filters, straight from the specification."""
    height, width, channels = values.shape
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    key = chunk(b"tRNS", extra) if extra else b""
    content = chunk(b"IHDR", header) + key + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def tiff(values: np.ndarray, *, order: str = "<", planar: int = 1) -> bytes:
    """(H, W, 3) uint16 as one uncompressed strip."""
    height, width, channels = values.shape
    data = (values if planar == 1 else values.transpose(2, 0, 1)).astype(f"{order}u2").tobytes()
    entries = [(256, 4, width), (257, 4, height), (259, 3, 1), (262, 3, 2), (277, 3, channels), (278, 4, height)]
    strips = 1 if planar == 1 else channels
    base = 8 + len(data)
    extra = struct.pack(f"{order}{channels}H", *[16] * channels)
    offsets = [8 + i * len(data) // strips for i in range(strips)]
    extra += struct.pack(f"{order}{2 * strips}I", *offsets, *[len(data) // strips] * strips)
    at_offsets, at_counts = base + 2 * channels, base + 2 * channels + 4 * strips
    entries += [(284, 3, planar)]
    packed = [(tag, kind, 1, value) for tag, kind, value in entries] + [
        (258, 3, channels, base),
        (273, 4, strips, at_offsets if strips > 1 else offsets[0]),
        (279, 4, strips, at_counts if strips > 1 else len(data)),
    ]
    directory = struct.pack(f"{order}H", len(packed))
    for tag, kind, count, value in sorted(packed):
        small = kind == 3 and count == 1
        directory += struct.pack(f"{order}HHI", tag, kind, count)
        directory += struct.pack(f"{order}HH", value, 0) if small else struct.pack(f"{order}I", value)
    magic = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, base + len(extra))
    return magic + data + extra + directory + bytes(4)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 65536, (9, 13, 4), np.uint16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_reads_and_writes_every_bit_of_png(tmp_path, values, channels):
    values = values[..., :channels]
    path = tmp_path / "deep.png"
    path.write_bytes(png(values))
    picture = pictures.read(path)
    assert picture.bits == 16 and picture.gray == (channels < 3)
    assert np.array_equal(writing.to_values(picture), values)
    assert picture.notes == writing.write(picture, tmp_path / "again.png") == ()
    again = pictures.read(tmp_path / "again.png")
    assert np.array_equal(writing.to_values(again), values)


@pytest.mark.parametrize("order", ["<", ">"])
def test_reads_every_bit_of_tiff(tmp_path, values, order):
    path = tmp_path / "deep.tif"
    path.write_bytes(tiff(values[..., :3], order=order))
    picture = pictures.read(path)
    assert picture.bits == 16
    assert np.array_equal(writing.to_values(picture), values[..., :3])


def test_separate_planes_are_put_together(tmp_path, values):
    """Pillow reads such a file without complaint, but as noise."""
    path = tmp_path / "planes.tif"
    path.write_bytes(tiff(values[..., :3], planar=2))
    assert np.array_equal(writing.to_values(pictures.read(path)), values[..., :3])


def test_a_transparent_colour_becomes_alpha(tmp_path, values):
    values = values[..., :3]
    path = tmp_path / "key.png"
    path.write_bytes(png(values, extra=values[2, 3].astype(">u2").tobytes()))
    alpha = pictures.read(path).alpha
    assert alpha is not None and alpha[2, 3] == 0 and alpha.sum() == alpha.size - 1


def test_12_bit_tiff_reaches_white():
    """Pillow leaves 12-bit values as they are; 4095 of 65535 would be nearly black."""
    image = Image.fromarray(np.full((8, 8), 4095, np.uint16))
    image.tile = [type("Tile", (), {"args": ("I;12", 0, 1)})()]  # type: ignore[attr-defined]
    assert pictures.from_pil(image).rgb.min() == 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_we_write_is_sound_png_with_profile_and_exif(tmp_path, values, channels):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[271] = "maker"
    with (tmp_path / "x.png").open("wb") as file:
        sixteen_bits.write_png(file, values[..., :channels], exif=exif.tobytes(), icc=icc)
    with Image.open(tmp_path / "x.png") as check:
        check.verify()  # every checksum
    with Image.open(tmp_path / "x.png") as image:
        upper = np.asarray(image)
        assert image.info["icc_profile"] == icc and image.getexif()[271] == "maker"
    if channels == 1:
        assert np.array_equal(upper, values[..., 0])
    elif channels > 2:
        assert np.array_equal(upper, (values[..., :channels] >> 8).astype(np.uint8))


def test_a_large_picture_is_split_into_chunks_that_join(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (300, 70, 3), np.uint16)
    with (tmp_path / "x.png").open("wb") as file:
        sixteen_bits.write_png(file, values)
    assert (tmp_path / "x.png").read_bytes().count(b"IDAT") > 1
    assert np.array_equal(writing.to_values(pictures.read(tmp_path / "x.png")), values)


def test_eight_bits_are_not_taken_for_sixteen():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    assert not sixteen_bits.is_crushed(Image.open(buffer))
    assert not sixteen_bits.is_crushed(Image.new("RGB", (8, 8)))
