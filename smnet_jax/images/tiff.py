"""TIFF files written whole: 8 and 16 bits, gray and colour, with EXIF, XMP and IPTC as they were.

Pillow writes no 16-bit colour TIFF, no compressed one with EXIF's directories, and texts anew; hence these lines. TIFF
6.0: one directory, strips of about 1 MiB, deflated with horizontal differences.
"""

import io
import struct
import zlib
from typing import IO

import numpy as np

from smnet_jax.errors import InputError
from smnet_jax.images import exif as tags
from smnet_jax.images.exif import Entry

_STRIP = 1 << 20
_PHOTOMETRIC = {0: "white is zero", 1: "gray", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_FORMAT = {1: "unsigned", 2: "signed", 3: "floating-point", 4: "undefined", 5: "complex signed", 6: "complex"}


def write(
    file: IO[bytes],
    values: np.ndarray,
    *,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    iptc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write (H, W, 1|2|3|4) uint8 or uint16: gray, gray and alpha, RGB, RGB and alpha (not premultiplied).

    Raises InputError above 4 GiB, which is all that TIFF's offsets reach.
    """
    order = "<"
    entries: dict[int, Entry] = {}
    below: dict[int, dict[int, Entry]] = {}
    if exif is not None:
        order, entries, below = tags.tree(io.BytesIO(exif.removeprefix(tags.PREFIX)))
        entries = {tag: entry for tag, entry in entries.items() if tag not in tags.OLD_PIXELS}
    height, width, channels = values.shape
    deep = values.dtype == np.uint16
    rows = max(1, _STRIP // (width * channels * values.itemsize))
    starts = range(0, height, rows)
    file.write((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    offsets, lengths = [], []
    for start in starts:
        strip = values[start : start + rows]
        differences = strip.copy()
        np.subtract(strip[:, 1:], strip[:, :-1], out=differences[:, 1:])  # modulo 2^bits, as the format wants it
        data = zlib.compress(differences.astype(f"{order}u2" if deep else "u1").tobytes(), 6)
        offsets.append(file.tell())
        lengths.append(len(data))
        file.write(data + bytes(len(data) % 2))
    place = file.tell()
    if place > (1 << 32) - (1 << 26):
        raise InputError("result: would pass TIFF's limit of 4 GiB; choose png (--format png)")

    def numbers(tag: int, *found: int, kind: int = 3) -> Entry:
        return Entry(tag, kind, len(found), struct.pack(f"{order}{len(found)}{'H' if kind == 3 else 'I'}", *found))

    own = [
        numbers(256, width, kind=4),
        numbers(257, height, kind=4),
        numbers(258, *[16 if deep else 8] * channels),
        numbers(259, 8),  # deflate
        numbers(262, 1 if channels < 3 else 2),
        numbers(273, *offsets, kind=4),
        numbers(277, channels),
        numbers(278, rows, kind=4),
        numbers(279, *lengths, kind=4),
        numbers(284, 1),
        numbers(317, 2),  # horizontal differences
    ]
    if channels in (2, 4):
        own.append(numbers(338, 2))  # alpha, not premultiplied
    for tag, kind, block in ((tags.ICC, 7, icc), (tags.XMP, 1, xmp), (tags.IPTC, 7, iptc)):
        if block:
            own.append(Entry(tag, kind, len(block), block))
    if dpi is not None and 282 not in entries:
        for tag, density in ((282, dpi[0]), (283, dpi[1])):
            own.append(Entry(tag, 5, 1, struct.pack(f"{order}II", round(density * 1000), 1000)))
        own.append(numbers(296, 2))
    entries |= {entry.tag: entry for entry in own}
    file.write(tags.laid_out(order, entries, below, place))
    file.seek(4)
    file.write(struct.pack(f"{order}I", place))


def is_unsigned(found: tags.Directory) -> bool:
    """Whether a TIFF file's values are whole and begin at 0, as far as it says."""
    return _FORMAT.get(found.number(339, 1), "undefined") in ("unsigned", "undefined")


def unusual(found: tags.Directory) -> str:
    """In words how a TIFF file that is not read lies, and the remedy."""
    bits = found.entries.get(258)
    depth = max(bits.numbers(found.order) or (1,)) if bits else 1
    kind = _FORMAT.get(found.number(339, 1), "unknown")
    channels = found.number(277, 1)
    space = _PHOTOMETRIC.get(found.number(262, -1), "of an unknown colour space")
    return (
        f"TIFF with {channels} channel{'s' * (channels != 1)} of {depth}-bit {kind} values ({space}, compression "
        f"{found.number(259, 1)}) is not read; convert it to gray or RGB of 8 or 16 bits"
    )
