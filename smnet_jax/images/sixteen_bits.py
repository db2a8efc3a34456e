"""Colour pictures of 16 bits per channel, which Pillow reads as 8 bits and does not write.

Pillow's decoders do handle such files; only its memory layouts lack them, so that the lower byte of each value is
dropped while unpacking. Asking for the other byte order drops the upper one instead: two passes give all 16 bits,
without a decoder of our own. Gray 16-bit pictures need none of this.
"""

import struct
import sys
import zlib
from collections.abc import Sequence
from typing import IO

import numpy as np
from PIL import Image

_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_COLOUR_TYPES = {1: 0, 3: 2, 2: 4, 4: 6}  # PNG's number for: gray, RGB, gray and alpha, RGB and alpha


def is_crushed(image: Image.Image) -> bool:
    """Whether Pillow is about to drop the lower byte of this just opened, not yet loaded picture."""
    modes = _raw_modes(image)
    return image.mode in ("RGB", "RGBA") and bool(modes) and all(";16" in mode for mode in modes)


def decode(upper: Image.Image, again: Image.Image) -> np.ndarray | None:
    """All 16 bits, (H, W, 2|3|4) uint16, of a picture opened twice; None for a layout that cannot be had this way."""
    modes = set(_raw_modes(upper))
    if modes == {"LA;16B"}:
        _set_raw_mode(again, "RGBA")  # four bytes a pixel: upper and lower of gray, upper and lower of alpha
        planes = np.asarray(again).astype(np.uint16)
        return planes[..., 0::2] << 8 | planes[..., 1::2]
    if len(modes) != 1 or not modes <= {f"{m};16{o}" for m in ("RGB", "RGBX", "RGBA") for o in "BLN"}:
        return None  # separate planes, premultiplied alpha
    (mode,) = modes
    _set_raw_mode(again, mode[:-1] + _OTHER_ORDER[mode[-1]])
    return np.asarray(upper).astype(np.uint16) << 8 | np.asarray(again)


def _raw_modes(image: Image.Image) -> list[str]:
    arguments = [tile.args for tile in getattr(image, "tile", [])]
    return [str(a[0] if isinstance(a, tuple) else a) for a in arguments]


def _set_raw_mode(image: Image.Image, mode: str) -> None:
    def changed(args):
        return (mode, *args[1:]) if isinstance(args, tuple) else mode

    image.tile = [tile._replace(args=changed(tile.args)) for tile in image.tile]  # type: ignore[attr-defined]


def write_png(
    file: IO[bytes],
    pixels: np.ndarray,
    *,
    exif: bytes | None = None,
    icc: bytes | None = None,
    chunks: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Write (H, W, 1|2|3|4) uint16 (gray, gray and alpha, RGB, RGBA) as PNG (W3C PNG, third edition)."""
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)  # (H, bytes)
    # Filter 2 ("up") everywhere: photographs shrink by a third under it, and it is one subtraction for all rows.
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0))
    if icc:
        _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
    if exif:
        _chunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    for name, data in chunks:
        _chunk(file, name, data)
    packer = zlib.compressobj(6)
    for start in range(0, height, 64):  # in bands: a chunk may not pass 2 GiB, nor need the copy be that large
        if data := packer.compress(filtered[start : start + 64].tobytes()):
            _chunk(file, b"IDAT", data)
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file, name: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))
