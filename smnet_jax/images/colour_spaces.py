"""Colour as PNG's chunks and HEIF's boxes tell it, turned into an ICC profile, which every format can carry.

PNG's third edition (13.11) orders them: cICP before iCCP before sRGB before gAMA with cHRM. Code points are those of
ITU-T H.273. As browsers do, the curves of broadcast video and a gamma of 1/2.2 are taken as sRGB's: writers mean that.
"""

import functools
import struct
from collections.abc import Mapping
from typing import IO

import numpy as np

from smnet_jax.images import metadata

Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x, y of white, red, green, blue

SRGB: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (0.3127, 0.3290, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (0.3127, 0.3290, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_LIKE_SRGB = (1, 2, 6, 7, 13, 14, 15)
PQ, HLG = 16, 18
_WHITE_NITS = 203.0  # ITU-R BT.2408: where diffuse white lies in HDR


def of_png(file: IO[bytes], *, gray: bool, has_icc: bool) -> tuple[bytes | None, int | None, str]:
    """(profile, H.273 transfer if it is HDR, a note) of a PNG file; (None, None, "") where iCCP or sRGB decide."""
    wanted = frozenset({b"cICP", b"sRGB", b"gAMA", b"cHRM"})
    chunks = dict(metadata.png_chunks(file, wanted))
    if len(cicp := chunks.get(b"cICP", b"")) == 4 and cicp[2:] == b"\0\1":
        if cicp[0] in _PRIMARIES and (cicp[1] in _LIKE_SRGB or cicp[1] in _GAMMAS or cicp[1] in (PQ, HLG)):
            return from_code_points(cicp[0], cicp[1], gray=gray)
        return None, None, f"its cICP chunk names colours that are not known ({cicp[0]}, {cicp[1]}); taken as sRGB"
    if has_icc or b"sRGB" in chunks:
        return None, None, ""
    return _of_gamma(chunks, gray=gray), None, ""


def _of_gamma(chunks: Mapping[bytes, bytes], *, gray: bool) -> bytes | None:
    gama, chrm = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    gamma = struct.unpack(">I", gama)[0] / 1e5 if len(gama) == 4 else 0.0
    points: Chromaticities = SRGB
    if len(chrm) == 32:
        points = tuple(v / 1e5 for v in struct.unpack(">8I", chrm))
    if not 0.05 < gamma < 5 or abs(gamma * 2.2 - 1) < 0.02:
        curve: tuple[float, ...] = _SRGB_CURVE
        if gray or points == SRGB or all(abs(a - b) < 0.002 for a, b in zip(points, SRGB, strict=True)):
            return None
    else:
        curve = (1 / gamma,)
    try:
        return profile(points, curve, gray=gray)
    except (ValueError, OverflowError, struct.error, np.linalg.LinAlgError):
        return None


def from_code_points(primaries: int, transfer: int, *, gray: bool = False) -> tuple[bytes | None, int | None, str]:
    """(profile or None for sRGB, transfer if HDR, a note) of H.273's numbers."""
    points = _PRIMARIES.get(primaries, SRGB)
    if transfer in (PQ, HLG):
        name = "PQ" if transfer == PQ else "HLG"
        return (
            profile(points, (1.0,), gray=False),
            transfer,
            f"its {name} values (HDR) are converted to sRGB and written so; lights brighter than white are clipped",
        )
    gamma = _GAMMAS.get(transfer)
    if gamma is None and (gray or points[2:] == SRGB[2:] or primaries in (5, 6, 7, 22)):
        return None, None, ""
    return profile(points, (gamma,) if gamma else _SRGB_CURVE, gray=gray), None, ""


def hdr_to_linear(values: np.ndarray, transfer: int) -> np.ndarray:
    """PQ or HLG values in [0, 1] to linear light, 1 being diffuse white; brighter than white is above 1."""
    e = values.astype(np.float64)
    if transfer == PQ:  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = e ** (1 / m2)
        return 10000 / _WHITE_NITS * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073  # ITU-R BT.2100
    scene = np.where(e <= 0.5, e * e / 3, (np.exp((e - c) / a) + b) / 12)
    luminance = (scene @ np.array([0.2627, 0.6780, 0.0593]))[..., None]
    return 1000 / _WHITE_NITS * scene * np.maximum(luminance, 1e-9) ** 0.2


def code_points_in_heif(head: bytes) -> tuple[int, int] | None:
    """(primaries, transfer) of a HEIF or AVIF file's first nclx box; None where it has none."""
    found = head.find(b"colrnclx")
    if found < 0 or len(head) < found + 14:
        return None
    return struct.unpack_from(">HH", head, found + 8)


def bits_of_avif(head: bytes) -> int:
    """8, 10 or 12 bits per channel, as a file's first av1C box says; 8 where it has none."""
    found = head.find(b"av1C")
    flags = head[found + 6] if found >= 0 and len(head) > found + 6 else 0
    return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8


@functools.lru_cache(maxsize=8)
def profile(points: Chromaticities, curve: tuple[float, ...], *, gray: bool) -> bytes:
    """An ICC profile (ICC.1:2022, version 4); `curve` is (gamma,) or (g, a, b, c, d) as in a `para` tag."""
    white, colours = np.array(points[:2]), np.array(points[2:]).reshape(3, 2)
    to_xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in colours]).T
    source = np.array([white[0] / white[1], 1, (1 - white.sum()) / white[1]])
    to_xyz = to_xyz * np.linalg.solve(to_xyz, source)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    scale = (bradford @ d50) / (bradford @ source)
    adaptation = np.linalg.inv(bradford) @ np.diag(scale) @ bradford
    to_xyz = adaptation @ to_xyz

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))

    def text(words: str) -> bytes:
        return (
            b"mluc"
            + bytes(4)
            + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2 * len(words), 28)
            + words.encode("utf-16-be")
        )

    trc = b"para" + bytes(4) + struct.pack(">HH", 0 if len(curve) == 1 else 3, 0) + fixed(*curve)
    tags = {
        b"desc": text("from the picture's own description"),
        b"cprt": text("CC0"),
        b"wtpt": b"XYZ " + bytes(4) + fixed(*d50),
    }
    if gray:
        tags[b"kTRC"] = trc
    else:
        tags |= {name: b"XYZ " + bytes(4) + fixed(*to_xyz[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), trc)
        tags[b"chad"] = b"sf32" + bytes(4) + fixed(*adaptation.ravel())
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(body), bytes(4), 0x04400000, b"mntr", b"GRAY" if gray else b"RGB ", b"XYZ "
    )
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*d50)
    return head.ljust(128, b"\0") + body
