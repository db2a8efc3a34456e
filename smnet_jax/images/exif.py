"""EXIF blocks and TIFF directories, byte for byte: what describes the photo stays, what describes old pixels goes.

An EXIF block is a small TIFF file. It is edited in place, never written anew: makers' notes hold offsets into the
block, texts are not always the ASCII they claim to be, and types are not always what the standard wants. Only what is
wrong after a picture was turned, recoloured and written again is changed.
"""

import dataclasses
import io
import struct
from collections.abc import Iterator
from typing import IO

PREFIX = b"Exif\0\0"
ORIENTATION, EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD, SUB_IFDS = 274, 34665, 34853, 40965, 330
XMP, IPTC, ICC = 700, 33723, 34675
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_POINTERS = (EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD)
_MOST_ENTRIES = 2000
_LONGEST_BLOCK = 1 << 24

# How and where a file's pixels lie, what was layered below them, how a sensor saw them: untrue of new pixels.
OLD_PIXELS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 290, 291, 292}
    | {
        293,
        301,
        317,
        320,
        321,
        322,
        323,
        324,
        325,
        326,
        327,
        328,
        330,
        332,
        333,
        334,
        336,
        337,
        338,
        339,
        340,
        341,
        342,
    }
    | {343, 344, 345, 346, 347, 351, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 559}
    | {XMP, ICC, IPTC, 32781, 32932, 32995, 32996, 32997, 32998, 33421, 33422, 34377, 37387, 37388, 37724, 42113}
    | {50255, 50784, *range(50706, 50742), *range(50778, 50782), *range(50829, 50983), *range(51008, 51183)}
    | {*range(52525, 52606)}
)


class Damaged(ValueError):
    """The directory points outside its block, or into a circle."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A tag: its number, TIFF type, count of values, and the values in the byte order of the file."""

    tag: int
    kind: int
    count: int
    value: bytes

    def numbers(self, order: str) -> tuple[int, ...]:
        """The values of an integer type; empty for other types."""
        letter = _INTEGERS.get(self.kind)
        return struct.unpack(f"{order}{self.count}{letter}", self.value) if letter else ()


@dataclasses.dataclass(frozen=True)
class Directory:
    """One directory of a TIFF file: `entries` by tag, `children` by the tag that points to them; `following` if any."""

    order: str  # "<" or ">"
    entries: dict[int, Entry]
    following: int

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of an integer tag."""
        entry = self.entries.get(tag)
        return (entry.numbers(self.order) or (default,))[0] if entry else default


def is_tiff(head: bytes) -> bool:
    """Whether a file begins as TIFF or BigTIFF does."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def directory(file: IO[bytes], offset: int | None = None, *, longest: int = 1 << 26) -> Directory:
    """The directory at `offset` of a TIFF or BigTIFF file, the first one if None. Raises Damaged.

    Values that are longer than `longest` bytes, alone or together, are left out: they are pixels, or layers.
    """
    file.seek(0, 2)
    size = file.tell()
    file.seek(0)
    head = file.read(16)
    if not is_tiff(head):
        raise Damaged("not TIFF")
    order = "<" if head[:2] == b"II" else ">"
    big = 43 in head[2:4]
    if offset is None:
        offset = struct.unpack_from(f"{order}{'Q' if big else 'I'}", head.ljust(16, b"\0"), 8 if big else 4)[0]
    count = struct.unpack(order + ("Q" if big else "H"), _at(file, offset, 8 if big else 2, size))[0]
    if not 0 < count <= _MOST_ENTRIES:
        raise Damaged(f"{count} entries")
    width, inline = (20, 8) if big else (12, 4)
    start = offset + (8 if big else 2)
    table = _at(file, start, count * width + inline, size)
    entries = {}
    for i in range(count):
        tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), table, i * width)
        length = number * _SIZES.get(kind, 0)
        field = table[i * width + width - inline : (i + 1) * width]
        if length == 0 or length > longest:
            continue
        longest -= length  # many entries may name the same bytes
        if length <= inline:
            value = field[:length]
        else:
            place = struct.unpack(order + ("Q" if big else "I"), field)[0]
            if place + length > size:
                continue
            value = _at(file, place, length, size)
        entries[tag] = Entry(tag, kind, number, value)
    following = struct.unpack_from(order + ("Q" if big else "I"), table, count * width)[0]
    return Directory(order, entries, following)


def _at(file: IO[bytes], offset: int, length: int, size: int) -> bytes:
    if offset + length > size:
        raise Damaged("points behind its end")
    file.seek(offset)
    return file.read(length)


def directories(file: IO[bytes]) -> Iterator[tuple[Directory, bool]]:
    """Every picture's directory of a TIFF file, and whether it is a SubIFD; at most 64, damaged ones left out."""
    seen: set[int] = set()
    offset: int | None = None
    while len(seen) < 64:
        try:
            here = directory(file, offset, longest=1 << 16)
        except (Damaged, struct.error):
            return
        yield here, False
        below = here.entries.get(SUB_IFDS)
        for place in below.numbers(here.order)[:16] if below else ():
            if place not in seen:
                seen.add(place)
                try:
                    yield directory(file, place, longest=1 << 16), True
                except (Damaged, struct.error):
                    continue
        offset = here.following
        if not offset or offset in seen:
            return
        seen.add(offset)


def orientation(block: bytes) -> int:
    """1 to 8; 0 where a block names none, or something else."""
    try:
        found = directory(io.BytesIO(block.removeprefix(PREFIX)))
    except (Damaged, struct.error):
        return 0
    number = found.number(ORIENTATION)
    return number if 1 <= number <= 8 else 0


def carried(block: bytes, width: int, height: int) -> bytes | None:
    """The block for the new picture, upright and of this size in pixels; None where nothing is left. Raises Damaged.

    Orientation becomes 1, the sizes these; the thumbnail and the tags of OLD_PIXELS are gone. The rest keeps its place.
    """
    prefix = PREFIX if block.startswith(PREFIX) else b""
    data = bytearray(block[len(prefix) :])
    if not is_tiff(bytes(data[:4])) or 43 in data[2:4] or len(data) > _LONGEST_BLOCK:
        raise Damaged("not TIFF, or larger than any camera's")
    order = "<" if data[:2] == b"II" else ">"
    try:
        first = struct.unpack_from(f"{order}I", data, 4)[0]
        _drop_thumbnail(data, order, first)
        left = _edit(data, order, first, {ORIENTATION: 1}, OLD_PIXELS)
        exif = _pointer(data, order, first, EXIF_IFD)
        if exif is not None:
            try:
                _edit(data, order, exif, {0xA002: width, 0xA003: height}, frozenset())
            except struct.error:
                left = _edit(data, order, first, {}, frozenset({EXIF_IFD}))
    except struct.error as error:
        raise Damaged("points behind its end") from error
    return PREFIX + bytes(data) if left else None


def without_orientation(block: bytes) -> bytes:
    """An EXIF block without its orientation, for writers that take one to mean a turn still to be done."""
    prefix = PREFIX if block.startswith(PREFIX) else b""
    data = bytearray(block[len(prefix) :])
    order = "<" if data[:2] == b"II" else ">"
    _edit(data, order, struct.unpack_from(f"{order}I", data, 4)[0], {}, frozenset({ORIENTATION}))
    return prefix + bytes(data)


def _edit(data: bytearray, order: str, offset: int, numbers: dict[int, int], gone: frozenset[int]) -> int:
    """Set the integers `numbers` where they are, take out the entries `gone`; how many entries are left."""
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    end = offset + 2 + 12 * count
    (following,) = struct.unpack_from(f"{order}I", data, end) if end + 4 <= len(data) else (0,)
    if count > _MOST_ENTRIES or end > len(data):
        raise struct.error
    kept = []
    for i in range(count):
        entry = bytes(data[offset + 2 + 12 * i : offset + 14 + 12 * i])
        tag, kind, number = struct.unpack_from(f"{order}HHI", entry)
        length = number * _SIZES.get(kind, 1)
        place = struct.unpack_from(f"{order}I", entry, 8)[0]
        if tag in gone or (length > 4 and place + length > len(data)):
            if length > 4 and place + length <= len(data) and tag in gone:
                data[place : place + length] = bytes(length)
            continue
        if tag in numbers:
            value = numbers[tag]
            short = kind == 3 and value < 1 << 16
            entry = struct.pack(f"{order}HHI", tag, 3 if short else 4, 1)
            entry += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
            if tag == ORIENTATION:
                entry = struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)
        kept.append(entry)
    written = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + struct.pack(f"{order}I", following)
    room = min(2 + 12 * count + 4, len(data) - offset)
    data[offset : offset + room] = written.ljust(room, b"\0")[:room]
    return len(kept)


def _pointer(data: bytearray, order: str, offset: int, tag: int) -> int | None:
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    for i in range(count):
        found, _, _, value = struct.unpack_from(f"{order}HHII", data, offset + 2 + 12 * i)
        if found == tag:
            return value
    return None


def _drop_thumbnail(data: bytearray, order: str, offset: int) -> None:
    """Unlink the directory of the thumbnail, which shows the old picture, and clear its pixels."""
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    link = offset + 2 + 12 * count
    if link + 4 > len(data):
        return
    (second,) = struct.unpack_from(f"{order}I", data, link)
    if not second:
        return
    struct.pack_into(f"{order}I", data, link, 0)
    try:
        start, length = (_pointer(data, order, second, tag) for tag in (0x201, 0x202))
    except struct.error:
        return
    if start and length and second < start and start + length <= len(data):
        if start + length >= len(data) - 4 and _behind(data, order, offset) <= start:
            del data[start:]
        else:
            data[start : start + length] = bytes(length)


def _behind(data: bytearray, order: str, offset: int, depth: int = 0) -> int:
    """Where the last value of a directory and of those below it ends."""
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    last = offset + 6 + 12 * count
    below = set(_POINTERS) if depth < 2 else set()
    for i in range(min(count, _MOST_ENTRIES)):
        tag, kind, number, value = struct.unpack_from(f"{order}HHII", data, offset + 2 + 12 * i)
        length = number * _SIZES.get(kind, 1)
        if length > 4 and value + length <= len(data):
            last = max(last, value + length)
        if tag in below and value + 2 <= len(data):
            below.remove(tag)  # each once: else a few kilobytes could name billions of directories
            last = max(last, _behind(data, order, value, depth + 1))
    return last


# TIFF files: their tags stand in the file's own directory, which is written anew.


def tree(file: IO[bytes]) -> tuple[str, dict[int, Entry], dict[int, "dict[int, Entry]"]]:
    """(byte order, the first directory's entries, those of the directories below it by the pointing tag).

    Raises Damaged.
    """
    top = directory(file)
    below: dict[int, dict[int, Entry]] = {}
    for tag in (EXIF_IFD, GPS_IFD):
        if place := top.number(tag):
            try:
                child = directory(file, place)
                below[tag] = dict(child.entries)
                if tag == EXIF_IFD and (deeper := child.number(INTEROPERABILITY_IFD)):
                    below[INTEROPERABILITY_IFD] = dict(directory(file, deeper).entries)
            except (Damaged, struct.error):
                continue
    return top.order, dict(top.entries), below


def from_tiff(file: IO[bytes], width: int, height: int) -> bytes | None:
    """What a TIFF file tells about its photo, as an EXIF block for the new picture; None where that is nothing."""
    try:
        order, entries, below = tree(file)
    except (Damaged, struct.error):
        return None
    kept = {tag: entry for tag, entry in entries.items() if tag not in OLD_PIXELS and tag not in _POINTERS}
    for tag, size in ((0xA002, width), (0xA003, height)):
        if tag in below.get(EXIF_IFD, {}):
            below[EXIF_IFD][tag] = Entry(tag, 4, 1, struct.pack(f"{order}I", size))
    if ORIENTATION in kept:
        kept[ORIENTATION] = Entry(ORIENTATION, 3, 1, struct.pack(f"{order}H", 1))
    if not kept and not below:
        return None
    magic = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return PREFIX + magic + laid_out(order, kept, below, 8)


def laid_out(order: str, entries: dict[int, Entry], below: dict[int, dict[int, Entry]], start: int) -> bytes:
    """The bytes of a directory that is put at `start`, its values and the directories below it following."""
    top = dict(entries)
    inner = {tag: dict(found) for tag, found in below.items()}
    for tag in (EXIF_IFD, GPS_IFD):  # pointers are set once the places are known; 13 would be right, 4 is usual
        if tag in inner:
            top[tag] = Entry(tag, 4, 1, bytes(4))
    if INTEROPERABILITY_IFD in inner and EXIF_IFD in inner:
        inner[EXIF_IFD][INTEROPERABILITY_IFD] = Entry(INTEROPERABILITY_IFD, 4, 1, bytes(4))
    places = {}
    place = start + len(_table(order, top, start))
    for tag in _POINTERS:
        if tag in inner:
            places[tag] = place
            place += len(_table(order, inner[tag], place))
    for tag in (EXIF_IFD, GPS_IFD):
        if tag in inner:
            top[tag] = Entry(tag, 4, 1, struct.pack(f"{order}I", places[tag]))
    if INTEROPERABILITY_IFD in inner and EXIF_IFD in inner:
        at = struct.pack(f"{order}I", places[INTEROPERABILITY_IFD])
        inner[EXIF_IFD][INTEROPERABILITY_IFD] = Entry(INTEROPERABILITY_IFD, 4, 1, at)
    return _table(order, top, start) + b"".join(_table(order, inner[tag], places[tag]) for tag in places)


def _table(order: str, entries: dict[int, Entry], start: int) -> bytes:
    """One directory with its values behind it, each at an even place, as TIFF wants it."""
    entries = {tag: narrowed for tag, entry in entries.items() if (narrowed := _narrowed(order, entry)) is not None}
    head = struct.pack(f"{order}H", len(entries))
    values = b""
    base = start + 2 + 12 * len(entries) + 4
    for tag in sorted(entries):
        entry = entries[tag]
        head += struct.pack(f"{order}HHI", tag, entry.kind, entry.count)
        if len(entry.value) <= 4:
            head += entry.value.ljust(4, b"\0")
        else:
            head += struct.pack(f"{order}I", base + len(values))
            values += entry.value + bytes(len(entry.value) % 2)
    return head + bytes(4) + values


def _narrowed(order: str, entry: Entry) -> Entry | None:
    """BigTIFF's 64-bit integers as 32 bits, which is all that TIFF and EXIF have; None where they do not fit."""
    narrow = {16: (4, "I"), 17: (9, "i"), 18: (13, "I")}.get(entry.kind)
    if narrow is None:
        return entry
    try:
        value = struct.pack(f"{order}{entry.count}{narrow[1]}", *entry.numbers(order))
    except struct.error:
        return None
    return Entry(entry.tag, narrow[0], entry.count, value)
