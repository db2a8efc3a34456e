"""EXIF blocks: carried byte for byte where they are sound, and no harm where they are not."""

import io
import struct

import numpy as np
import pytest

from smnet_jax.images import exif, pictures, writing
from tests.support import tiffs
from tests.support.exif_blocks import COMMENT, MAKER_NOTE, NAME, entries, jpeg
from tests.support.scene import SCENE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as the commands do


def test_a_makers_note_keeps_its_place_in_the_block():
    block = tiffs.block([tiffs.ascii(271, b"ACME"), tiffs.short(274, 6), tiffs.short(257, 9)], [MAKER_NOTE])
    picture, _ = pictures.from_bytes(jpeg(block))
    assert picture.exif is not None and picture.exif.find(MAKER_NOTE[3]) == block.find(MAKER_NOTE[3])


@pytest.mark.parametrize(
    "odd",
    [
        (0x11A, 4, 1, struct.pack("<I", 72)),
        (0x128, 1, 1, b"\2"),
        (0x128, 7, 2, b"\2\0"),
        (0x213, 11, 1, struct.pack("<f", 1.0)),
        (0x13E, 2, 2, b"0\0"),
        (0x11A, 2, 3, b"72\0"),
        (0x8298, 3, 1, b"\1\0"),
        (0x10E, 7, 4, b"abcd"),
        (0x4746, 99, 1, b"\4\0\0\0"),
        (0x10E, 2, 5000, struct.pack("<I", 1 << 20)),
    ],
)
def test_an_odd_tag_costs_neither_the_turn_nor_the_rest(odd):
    head = [(0x10F, 2, 5, b"ACME\0"), (0x112, 3, 1, struct.pack("<H", 6))]
    tags = sorted([*head, (*odd[:3], odd[3])])
    table = struct.pack("<H", len(tags))
    place = 8 + 2 + 12 * len(tags) + 4
    for tag, kind, count, value in tags:
        table += struct.pack("<HHI", tag, kind, count)
        table += struct.pack("<I", place) if tag == 0x10F else value.ljust(4, b"\0")
    picture, _ = pictures.from_bytes(jpeg(b"Exif\0\0II*\0\x08\0\0\0" + table + bytes(4) + b"ACME\0"))
    assert picture.rgb.shape == (64, 48, 3) and picture.exif is not None
    assert entries(picture.exif)[0x10F].value == b"ACME\0"
    assert exif.orientation(picture.exif) == 1


def test_the_thumbnail_of_the_dark_photo_is_gone():
    block = tiffs.block([tiffs.ascii(271, b"ACME")], [MAKER_NOTE], thumbnail=b"\xff\xd8 dark pixels \xff\xd9")
    picture, _ = pictures.from_bytes(jpeg(block))
    assert picture.exif is not None and b"dark pixels" not in picture.exif and len(picture.exif) < len(block)
    assert entries(picture.exif)[0x927C].value == MAKER_NOTE[3]


def test_a_tiff_leaves_behind_what_describes_its_old_pixels():
    old = [(37724, 7, 70000, b"8BIMLayr" + bytes(69992)), tiffs.short(301, *range(256)), tiffs.short(334, 4)]
    kept = [tiffs.ascii(306, b"2024:05:06 07:08:09"), tiffs.ascii(315, NAME), tiffs.short(297, 3, 9)]
    kept += [(33550, 12, 3, struct.pack("<3d", 0.5, 0.5, 0)), (50341, 7, 8, b"PrintIM\0")]
    picture, _ = pictures.from_bytes(tiffs.file((SCENE, 2, [*old, *kept])))
    for suffix in (".tif", ".jpg"):
        again, _ = pictures.from_bytes(writing.to_bytes(picture, suffix)[0])
        assert again.exif is not None and len(again.exif) < 1000
        found = entries(again.exif)
        assert not {37724, 301, 334, 256, 273} & set(found)
        assert all(found[tag].value == value and found[tag].kind == kind for tag, kind, _, value in kept)


def test_a_big_tiff_keeps_its_texts():
    """BigTIFF has 64-bit offsets, which neither EXIF nor Pillow's writer know."""
    entry = struct.pack("<HHQ", 315, 2, len(NAME)) + struct.pack("<Q", 16 + SCENE.nbytes)
    fields = [(256, 4, 1, 64), (257, 4, 1, 48), (258, 3, 3, 8 | 8 << 16 | 8 << 32), (259, 3, 1, 1), (262, 3, 1, 2)]
    fields += [(273, 16, 1, 16), (277, 3, 1, 3), (278, 4, 1, 48), (279, 16, 1, SCENE.nbytes)]
    table = b"".join(struct.pack("<HHQQ", *field) for field in fields) + entry
    place = 16 + SCENE.nbytes + len(NAME)
    data = b"II+\0\x08\0\0\0" + struct.pack("<Q", place) + SCENE.tobytes() + NAME
    data += struct.pack("<Q", len(fields) + 1) + table + bytes(8)
    picture, _ = pictures.from_bytes(data)
    assert np.array_equal(writing.to_values(picture), SCENE)
    assert picture.exif is not None and entries(picture.exif)[315].value == NAME


@pytest.mark.parametrize("junk", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\xee" * 40])
def test_damaged_blocks_cost_nothing_but_themselves(junk):
    picture, _ = pictures.from_bytes(jpeg(b"Exif\0\0" + junk))
    assert picture.exif is None and picture.rgb.shape == (48, 64, 3)


def test_directories_in_a_circle_end():
    block = bytearray(tiffs.file((SCENE, 2, [])))
    start = struct.unpack_from("<I", block, 4)[0]
    count = struct.unpack_from("<H", block, start)[0]
    struct.pack_into("<I", block, start + 2 + 12 * count, start)
    assert len(list(exif.directories(io.BytesIO(bytes(block))))) <= 2


def test_random_damage_never_escapes(rng):
    whole = tiffs.block([tiffs.ascii(271, NAME), tiffs.short(274, 6)], [MAKER_NOTE, COMMENT], thumbnail=b"dark" * 9)
    for _ in range(2000):
        block = bytearray(whole)
        for place in rng.integers(6, len(block), 3):
            block[place] = rng.integers(256)
        try:
            kept = exif.carried(bytes(block), 48, 64)
        except exif.Damaged:
            continue
        exif.orientation(bytes(block))
        if kept is not None:
            exif.without_orientation(kept)
