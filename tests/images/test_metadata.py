"""What describes the photo is carried byte for byte; what describes its old pixels is not; the rest is said."""

import dataclasses
import io
import struct

import numpy as np
import pytest
from PIL import Image

from smnet_jax.errors import InputError
from smnet_jax.images import exif, pictures, writing
from smnet_jax.images.metadata import Metadata
from tests.support import tiffs
from tests.support.exif_blocks import COMMENT, MAKER_NOTE, NAME, entries, jpeg
from tests.support.scene import SCENE, chunk, encoded

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as the commands do


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_texts_and_types_are_carried_byte_for_byte(suffix):
    tags = [tiffs.ascii(270, b"Caf\xc3\xa9"), tiffs.ascii(315, NAME), tiffs.short(274, 6), tiffs.ascii(271, b"ACME")]
    inner = [MAKER_NOTE, COMMENT, tiffs.long(0xA002, 64), tiffs.short(0xA003, 48)]
    picture, _ = pictures.from_bytes(jpeg(tiffs.block(tags, inner)))
    assert picture.rgb.shape == (64, 48, 3) and picture.notes == ()
    data, notes = writing.to_bytes(picture, suffix)
    again, _ = pictures.from_bytes(data)
    assert notes == () and again.exif is not None and again.rgb.shape == (64, 48, 3)
    found = entries(again.exif)
    for tag, kind, count, value in (*tags, COMMENT, MAKER_NOTE):
        if tag != 274:
            assert found[tag] == exif.Entry(tag, kind, count, value), tag
    order = "<"
    assert found[0xA002].numbers(order) == (48,) and found[0xA003].numbers(order) == (64,)  # as it stands now
    assert exif.orientation(again.exif) in (0, 1)


def test_xmp_iptc_comment_and_density_of_a_turned_jpeg(fixtures):
    source = (fixtures / "field/rot6.jpg").read_bytes()
    picture, _ = pictures.from_bytes(source)
    with Image.open(io.BytesIO(source)) as image:
        before = dict(image.info)
    data, notes = writing.to_bytes(picture, ".jpg")
    with Image.open(io.BytesIO(data)) as image:
        after = dict(image.info)
    assert notes == () and after["comment"] == before["comment"] and after["dpi"] == before["dpi"]
    assert after["photoshop"][0x0404] == before["photoshop"][0x0404]
    assert b'tiff:Orientation="6"' not in after["xmp"] and len(after["xmp"]) == len(before["xmp"])
    assert entries(picture.exif or b"")[0xA002].numbers("<") in ((), (48,)) or picture.rgb.shape[1] == 48


def test_xmp_says_what_is_true_after_turning():
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" exif:PixelXDimension="64">'
        b"<exif:PixelYDimension>48</exif:PixelYDimension><dc:title>\xc3\xa9</dc:title>"
        b"<xmp:Thumbnails><rdf:li>AAAA</rdf:li></xmp:Thumbnails></rdf:Description></x:xmpmeta>"
    )
    notes: list[str] = []
    assert Metadata(xmp=packet).orientation == 6
    turned = Metadata(xmp=packet).turned(48, 64, notes).xmp
    assert turned is not None and b'tiff:Orientation="1" exif:PixelXDimension="48"' in turned
    assert b"<exif:PixelYDimension>64<" in turned and b"\xc3\xa9" in turned and b"Thumbnails" not in turned
    for about in (b'hdrgm:Version="1.0"', b'GCamera:MotionPhoto="1"'):
        assert Metadata(xmp=about).turned(8, 8, notes).xmp is None
    assert len(notes) == 2 and "gain map" in notes[0]


def test_pngs_texts_and_density_stay(fixtures):
    source = (fixtures / "field/png_text.png").read_bytes()
    picture, _ = pictures.from_bytes(source)
    deep = dataclasses.replace(picture, bits=16)
    for result in (picture, deep):
        data, notes = writing.to_bytes(result, ".png")
        with Image.open(io.BytesIO(source)) as before, Image.open(io.BytesIO(data)) as after:
            after.load()
            assert notes == () and dict(after.text) == dict(before.text) and before.text  # type: ignore[attr-defined]
            assert after.info["dpi"] == before.info["dpi"]


def test_what_has_no_place_is_said_once_and_what_has_one_moves():
    told = Metadata(b"<x:xmpmeta/>", b"\x1c\x02\x78\0\x01a", (b"harbour",), (b"tEXtTitle\0x",), (300.0, 300.0))
    picture = pictures.Picture(np.zeros((8, 8, 3), np.float32), metadata=told)
    expected = {
        ".jpg": ["texts"],
        ".png": ["IPTC"],
        ".webp": ["IPTC", "comments", "texts"],
        ".tif": ["comments", "texts"],
    }
    for suffix, lost in (
        expected | {".avif": ["IPTC", "comments", "texts"], ".bmp": ["XMP", "IPTC", "comments"]}
    ).items():
        data, notes = writing.to_bytes(picture, suffix)
        assert len(notes) == 1 and all(word in notes[0] for word in lost), suffix
        again = pictures.from_bytes(data)[0].metadata
        assert again.xmp == (None if suffix == ".bmp" else told.xmp), suffix
        assert suffix in (".webp", ".avif") or again.dpi == pytest.approx((300, 300), abs=0.1), suffix
        assert again.iptc == (told.iptc if suffix in (".jpg", ".tif") else None), suffix


def test_no_kilobytes_name_gigabytes():
    """Directories whose entries all name the same bytes, and each other."""
    many = [(tag, 7, 50000, b"") for tag in range(60000, 61900)]
    table = b"".join(struct.pack("<HHII", tag, kind, count, 30000) for tag, kind, count, _ in many)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(many)) + table + bytes(4)
    data += bytes(100000 - len(data))
    assert sum(len(e.value) for e in exif.directory(io.BytesIO(data), longest=1 << 20).entries.values()) <= 1 << 20
    pointing = b"".join(struct.pack("<HHII", 34665, 4, 1, 8) for _ in range(1900))
    circle = b"II*\0\x08\0\0\0" + struct.pack("<H", 1900) + pointing + struct.pack("<I", 8)
    assert exif.carried(circle, 8, 8) is not None
    openings = b"<xmp:Thumbnails " * 60000
    assert Metadata(xmp=openings).turned(8, 8, []).xmp == openings


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
