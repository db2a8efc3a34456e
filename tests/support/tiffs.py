"""TIFF files and EXIF blocks byte by byte, so that a test can hold what no library would write."""

import struct

import numpy as np

Tag = tuple[int, int, int, bytes]  # tag, type, count of values, the values


def directory(tags: list[Tag], offset: int, following: int = 0, order: str = "<") -> bytes:
    """A directory at `offset`, its longer values behind it."""
    head, values = struct.pack(f"{order}H", len(tags)), b""
    base = offset + 2 + 12 * len(tags) + 4
    for tag, kind, count, value in sorted(tags):
        head += struct.pack(f"{order}HHI", tag, kind, count)
        head += value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", base + len(values))
        values += value + bytes(len(value) % 2) if len(value) > 4 else b""
    return head + struct.pack(f"{order}I", following) + values


def short(tag: int, *values: int) -> Tag:
    return tag, 3, len(values), struct.pack(f"<{len(values)}H", *values)


def long(tag: int, *values: int) -> Tag:
    return tag, 4, len(values), struct.pack(f"<{len(values)}I", *values)


def ascii(tag: int, text: bytes) -> Tag:
    return tag, 2, len(text) + 1, text + b"\0"


def block(tags: list[Tag], exif: list[Tag] | None = None, thumbnail: bytes = b"") -> bytes:
    """An EXIF block: the first directory, the EXIF directory, and a thumbnail behind all."""
    tags = [*tags, long(34665, 0)] if exif else tags
    at_exif = 8 + len(directory(tags, 8))
    if exif:
        tags = [*tags[:-1], long(34665, at_exif)]
    at_thumb = at_exif + (len(directory(exif, at_exif)) if exif else 0)
    parts = directory(tags, 8, at_thumb if thumbnail else 0) + (directory(exif, at_exif) if exif else b"")
    if thumbnail:
        place = at_thumb + len(directory([long(513, 0), long(514, 0)], at_thumb))
        parts += directory([long(513, place), long(514, len(thumbnail))], at_thumb) + thumbnail
    return b"Exif\0\0II*\0\x08\0\0\0" + parts


def pixels(values: np.ndarray, photometric: int, offset: int, extra: list[Tag]) -> list[Tag]:
    """The tags of one uncompressed strip at `offset`."""
    height, width, channels = values.shape
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [long(256, width), long(257, height), short(258, *[8 * values.itemsize] * channels), short(259, 1)]
    tags += [short(262, photometric), long(273, offset), short(277, channels), long(278, height)]
    return [*tags, long(279, values.nbytes), short(339, *[kind] * channels), *extra]


def file(*pages: tuple[np.ndarray, int, list[Tag]], below: tuple[np.ndarray, int, list[Tag]] | None = None) -> bytes:
    """A file of pages (values, photometric, further tags), one after another; `below` is a SubIFD of the first."""
    data, places = b"II*\0" + bytes(4), []
    for values, _, _ in (*pages, *([below] if below else [])):
        places.append(len(data))
        data += values.tobytes() + bytes(values.nbytes % 2)
    child = 0
    if below:
        child = len(data)
        data += directory(pixels(below[0], below[1], places[-1], below[2]), child)
    start = len(data)
    for index, (values, photometric, extra) in enumerate(pages):
        extra = [*extra, long(330, child)] if below and index == 0 else extra
        tags = pixels(values, photometric, places[index], extra)
        after = len(data) + len(directory(tags, len(data)))
        data += directory(tags, len(data), after if index + 1 < len(pages) else 0)
    return data[:4] + struct.pack("<I", start) + data[8:]
