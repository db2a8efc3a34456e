"""What a picture carries beside pixels, EXIF and colour: XMP, IPTC, comments, PNG's texts, dots per inch.

It is taken from the file's own segments and chunks and put into the new file as it was. Two things are changed: what
XMP says of turn and size, and what it says of pictures that are no longer there (thumbnails, gain maps, films).
"""

import dataclasses
import re
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

from smnet_jax.images import exif

_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
_LONGEST_SEGMENT = 65533
_LONGEST = 1 << 24  # bytes of one text; more is no text
# XMP of phones that speaks of data appended to the file: a gain map (Ultra HDR), a film (motion photo), depth.
_APPENDED = re.compile(rb"hdrgm:|Container:Directory|MotionPhoto|MicroVideo|GDepth:|GImage:|HasExtendedXMP")
_RAW_PROFILE = re.compile(rb"Raw profile type (exif|APP1|iptc|xmp|8bim|icm|icc)\0", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Byte for byte what the file held; dpi is (horizontal, vertical)."""

    xmp: bytes | None = None
    iptc: bytes | None = None  # IPTC-IIM records
    comments: tuple[bytes, ...] = ()  # JPEG's
    texts: tuple[bytes, ...] = ()  # PNG's chunks: name and data
    dpi: tuple[float, float] | None = None

    @property
    def orientation(self) -> int:
        """What XMP says of the turn, 1 to 8; 1 where it says nothing."""
        found = re.search(rb"\btiff:Orientation(?:\s*=\s*[\"']|>)([1-8])\b", self.xmp or b"")
        return int(found[1]) if found else 1

    @property
    def speaks_of_more(self) -> bool:
        """Whether XMP describes data appended to the file: a gain map, a film, a depth map."""
        return bool(_APPENDED.search(self.xmp or b""))

    def turned(self, width: int, height: int, notes: list[str]) -> "Metadata":
        """For the new picture of this size, upright."""
        if self.xmp is None:
            return self
        if self.speaks_of_more:
            notes.append("its XMP belongs to a gain map, film or depth map that the result has not: left out")
            return dataclasses.replace(self, xmp=None)
        xmp = _without(_without(self.xmp, b"xmp:Thumbnails"), b"xap:Thumbnails")
        sizes = {b"tiff:Orientation": 1, b"tiff:ImageWidth": width, b"tiff:ImageLength": height}
        sizes |= {b"exif:PixelXDimension": width, b"exif:PixelYDimension": height}
        for name, number in sizes.items():
            xmp = re.sub(rb"(\b" + name + rb"\s*=\s*[\"']|<" + name + rb">)\d+", rb"\g<1>%d" % number, xmp)
        return dataclasses.replace(self, xmp=xmp)


def _without(xmp: bytes, element: bytes) -> bytes:
    """XMP without every such element; by searching, which stays linear whatever a stranger wrote."""
    kept, place = [], 0
    while (start := xmp.find(b"<" + element, place)) >= 0:
        end = xmp.find(b"</" + element + b">", start)
        if end < 0:
            break
        kept.append(xmp[place:start])
        place = end + len(element) + 3
    return b"".join([*kept, xmp[place:]])


def of(file: IO[bytes] | None, info: dict[Any, Any], kind: str) -> Metadata:
    """The metadata of an opened file: of its own segments where it is JPEG, PNG or TIFF, else of Pillow's `info`."""
    xmp = info.get("xmp")
    dpi = info.get("dpi")
    found = Metadata(
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi and all(0 < float(d) < 1e6 for d in dpi) else None,
    )
    if file is None:
        return found
    if kind in ("JPEG", "MPO"):
        comments = tuple(data for marker, data in jpeg_segments(file) if marker == 0xFE)
        blocks = info.get("photoshop")
        iptc = blocks.get(0x0404) if isinstance(blocks, dict) else None
        return dataclasses.replace(found, comments=comments, iptc=iptc or None)
    if kind == "PNG":
        return dataclasses.replace(found, texts=tuple(_texts(file)))
    if kind == "TIFF":
        try:
            entries = exif.directory(file).entries
        except (exif.Damaged, struct.error):
            return found
        packet, iptc = entries.get(exif.XMP), entries.get(exif.IPTC)
        return dataclasses.replace(found, xmp=packet.value if packet else None, iptc=iptc.value if iptc else None)
    return found


def jpeg_segments(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """(marker's second byte, data) of each segment before the pixels."""
    file.seek(2)
    while True:
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        if head[1] == 0xFF:  # padding
            file.seek(-3, 1)
            continue
        if head[1] in (0xDA, 0xD9):
            return
        yield head[1], file.read(max(struct.unpack(">H", head[2:])[0] - 2, 0))


def png_chunks(file: IO[bytes], wanted: frozenset[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """(name, data) of the chunks named `wanted`."""
    file.seek(8)
    while True:
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        if name == b"IEND":
            return
        if name in wanted and length <= _LONGEST:
            yield name, file.read(length)
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


def has_gain_map(file: IO[bytes]) -> bool:
    """Whether a JPEG file announces a gain map as ISO 21496-1 has it."""
    return any(marker == 0xE2 and data.startswith(b"urn:iso:std:iso:ts:21496") for marker, data in jpeg_segments(file))


def png_without_damaged_extras(file: IO[bytes]) -> bytes | None:
    """A PNG file's content without the ancillary chunks whose checksum is wrong; None where that changes nothing."""
    file.seek(0)
    content = file.read()
    kept, place, dropped = [content[:8]], 8, False
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        chunk = content[place : place + 12 + length]
        if name[0] & 0x20 and zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            dropped = True
        else:
            kept.append(chunk)
        place += 12 + length
    return b"".join(kept) if dropped else None


def _texts(file: IO[bytes]) -> Iterator[bytes]:
    for name, data in png_chunks(file, frozenset({b"tEXt", b"zTXt", b"iTXt"})):
        if data.startswith(b"XML:com.adobe.xmp\0") or _RAW_PROFILE.match(data):
            continue  # XMP, and EXIF in ImageMagick's way: carried as what they are
        yield name + data


def jpeg(metadata: Metadata, notes: list[str]) -> bytes:
    """The segments of a JPEG file that hold `metadata`; what has no room there is noted."""
    segments = b""
    if metadata.xmp is not None:
        segments += _segment(0xE1, _XMP_START + metadata.xmp, "XMP", notes)
    if metadata.iptc is not None:
        block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(metadata.iptc)) + metadata.iptc
        segments += _segment(0xED, b"Photoshop 3.0\0" + block + bytes(len(block) % 2), "IPTC", notes)
    for comment in metadata.comments:
        segments += _segment(0xFE, comment, "comment", notes)
    if metadata.texts:
        notes.append("JPEG has no place for PNG's texts: left out")
    return segments


def _segment(marker: int, data: bytes, name: str, notes: list[str]) -> bytes:
    if len(data) > _LONGEST_SEGMENT:
        notes.append(f"its {name} is too large for JPEG: left out")
        return b""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def png(metadata: Metadata, notes: list[str]) -> list[tuple[bytes, bytes]]:
    """The (name, data) of PNG chunks that hold `metadata`; what has no place there is noted."""
    chunks = []
    if metadata.dpi is not None:
        x, y = (round(d / 0.0254) for d in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
    if metadata.xmp is not None:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp))
    for comment in metadata.comments:
        try:
            chunks.append((b"iTXt", b"Comment\0\0\0\0\0" + comment.decode("utf-8").encode()))
        except UnicodeDecodeError:
            chunks.append((b"tEXt", b"Comment\0" + comment.replace(b"\0", b"")))
    chunks += [(text[:4], text[4:]) for text in metadata.texts]
    if metadata.iptc is not None:
        notes.append("PNG has no place for IPTC: left out")
    return chunks


def left_out(metadata: Metadata, kind: str, notes: list[str]) -> None:
    """Note what WebP, AVIF, BMP and TIFF have no place for."""
    lost = []
    if metadata.xmp is not None and kind == "BMP":
        lost.append("XMP")
    if metadata.iptc is not None and kind != "TIFF":
        lost.append("IPTC")
    if metadata.comments:
        lost.append("comments")
    if metadata.texts:
        lost.append("PNG's texts")
    if lost:
        notes.append(f"{kind} has no place for {' and '.join(lost)}: left out")
