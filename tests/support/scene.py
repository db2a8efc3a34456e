"""A small smooth scene, the files that hold it, and what a PNG may say about it."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.support import icc_profiles

Y, X = np.mgrid[0:48, 0:64]
SCENE = np.stack([20 + X, 15 + Y, 40 - X * 0.3], axis=-1).astype(np.uint8)
"""48 high and 64 wide, dark, without an edge that JPEG would change much."""

SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""cHRM's numbers for sRGB."""

SUFFIXES = ["jpg", "png", "webp", "bmp", "tiff"]
ADOBE = icc_profiles.rgb(icc_profiles.ADOBE_RGB, icc_profiles.gamma(563 / 256))
"""Adobe RGB."""


def encoded(kind: str, image: np.ndarray = SCENE, **options) -> bytes:
    """A file of Pillow's format `kind`."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(
    *, gama: int = 0, chrm: tuple[int, ...] = (), cicp: bytes = b"", icc: bytes = b"", srgb: bool = False
) -> bytes:
    """SCENE as PNG with chunks that describe its colours."""
    data = encoded("PNG", icc_profile=icc or None)
    chunks = chunk(b"sRGB", b"\0") if srgb else b""
    chunks += chunk(b"cICP", cicp) if cicp else b""
    chunks += chunk(b"gAMA", struct.pack(">I", gama)) if gama else b""
    chunks += chunk(b"cHRM", struct.pack(">8I", *chrm)) if chrm else b""
    return data[:33] + chunks + data[33:]


def same(a, b, tolerance: float = 0.0) -> bool:
    """Whether two pictures, or arrays, are of one shape and nowhere further apart."""
    a, b = (np.asarray(v, np.float32) for v in (a, b))
    return a.shape == b.shape and float(np.abs(a - b).max()) <= tolerance
