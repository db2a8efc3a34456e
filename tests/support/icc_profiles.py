"""Small ICC profiles, built by hand from the specification (ICC.1:2022): what strangers' pictures carry."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# Columns: the XYZ of red, green and blue relative to D50, as Bruce Lindbloom's tables give them.
ADOBE_RGB = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
PROPHOTO = [[0.79767, 0.13519, 0.03134], [0.28804, 0.71187, 0.00009], [0.0, 0.0, 0.82521]]
SRGB = [[0.43607, 0.38506, 0.14308], [0.22250, 0.71688, 0.06062], [0.01393, 0.09710, 0.71417]]
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _fixed(values) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def table(values) -> bytes:
    return b"curv" + bytes(4) + struct.pack(f">I{len(values)}H", len(values), *(round(v * 65535) for v in values))


def parametric(kind: int, *parameters: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(parameters)


def profile(space: bytes, tags: dict[bytes, bytes], *, pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78), **tags}
    tags = {b"wtpt": b"XYZ " + bytes(4) + _fixed(D50), **tags}
    offset, directory, data = 132 + 12 * len(tags), b"", b""
    for name, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        directory += name + struct.pack(">II", offset + len(data), len(tag))
        data += tag
    header = struct.pack(">I4sI4s4s4s", offset + len(data), b"lcms", 0x02400000, kind, space, pcs)
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + data


def rgb(primaries, curve: bytes) -> bytes:
    columns = {
        name: b"XYZ " + bytes(4) + _fixed(column)
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), np.transpose(primaries), strict=True)
    }
    return profile(b"RGB ", {**columns, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def gray(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"kTRC": curve})


def lut() -> bytes:
    """A table profile from RGB: red and blue exchanged and everything a little darker, roughly."""
    # CIELAB of the eight corners, red slowest.
    corners = [(0, 0, 0), (53, 80, 67), (88, -86, 83), (97, -22, 94)]
    corners += [(32, 79, -108), (60, 98, -61), (91, -48, -14), (95, 0, 0)]
    grid = bytes(v for l, a, b in corners for v in (round(l * 2.55), a + 128, b + 128))
    ramp = bytes(range(256)) * 3
    tag = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1)) + ramp + grid + ramp
    return profile(b"RGB ", {b"A2B0": tag}, pcs=b"Lab ", kind=b"scnr")
