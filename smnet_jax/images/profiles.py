"""Colour between what a file's ICC profile says and sRGB, in floating point and both ways.

The network knows sRGB. LittleCMS as Pillow offers it computes in 8 bits; brightening a dark picture tenfold would turn
that rounding into visible steps. Nearly all photographs carry matrix/curve profiles (sRGB, Display P3, Adobe RGB,
ProPhoto, gray gammas), which are three curves and a 3x3 matrix (ICC.1:2022, 8.3 and 10): those are computed here;
the rare table profiles are left to LittleCMS by `smnet_jax.images.pictures`.
"""

import dataclasses
import functools
import struct

import numpy as np

from smnet_jax.images.srgb import from_linear, to_linear

# Linear sRGB to the ICC connection space: CIE XYZ relative to D50, the primaries adapted by Bradford.
_SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
_NODES = np.linspace(0.0, 1.0, 4096)


@dataclasses.dataclass(frozen=True, eq=False)
class Profile:
    """A matrix/curve profile: `curves` (3, 4096) from encoded to linear, `matrix` (3, 3) on to linear sRGB."""

    curves: np.ndarray
    matrix: np.ndarray

    def to_srgb(self, rgb: np.ndarray) -> np.ndarray:
        """(..., 3) float in this profile to sRGB float32; colours outside sRGB's gamut leave [0, 1]."""
        linear = np.stack([np.interp(rgb[..., c], _NODES, self.curves[c]) for c in range(3)], axis=-1)
        return self.linear_to_srgb(linear).astype(np.float32)

    def linear_to_srgb(self, linear: np.ndarray) -> np.ndarray:
        """(..., 3) linear light of this profile's primaries to sRGB."""
        return from_linear(linear @ self.matrix.T)

    def from_srgb(self, rgb: np.ndarray) -> np.ndarray:
        """(..., 3) sRGB to this profile, float32, clipped to its gamut: the inverse of `to_srgb`."""
        linear = to_linear(rgb.astype(np.float64)) @ np.linalg.inv(self.matrix).T
        result = np.empty(rgb.shape, np.float32)
        for c in range(3):
            rising, first = np.unique(self.curves[c], return_index=True)  # tables are flat near black: take its start
            result[..., c] = np.interp(linear[..., c], rising, _NODES[first])
        return result

    @functools.cached_property
    def is_srgb(self) -> bool:
        """Whether converting would change no 8-bit value by more than a step or so: then it is better left out."""
        axis = np.linspace(0, 1, 17)
        probe = np.stack(np.meshgrid(axis, axis, axis), axis=-1)
        return bool(np.abs(self.to_srgb(probe) - probe).max() < 1.5 / 255)


def colour_space(icc: bytes) -> str:
    """The profile's kind of values: "RGB", "GRAY", "CMYK", ... or "" where the header is damaged."""
    return icc[16:20].decode("latin-1").strip() if icc[36:40] == b"acsp" else ""


@functools.lru_cache(maxsize=8)  # a folder's pictures mostly share one
def parse(icc: bytes) -> Profile | None:
    """Read a matrix/curve profile for RGB or gray; None for any other kind and for damaged ones."""
    try:
        if icc[36:40] != b"acsp" or icc[20:24] != b"XYZ ":
            return None
        tags = _tags(icc)
        if icc[16:20] == b"GRAY":
            curves, matrix = np.stack([_curve(tags[b"kTRC"])] * 3), np.eye(3)
        elif icc[16:20] == b"RGB ":
            curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
            to_xyz = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=-1)
            matrix = np.linalg.inv(_SRGB_TO_XYZ) @ to_xyz
            matrix /= matrix.sum(axis=1, keepdims=True)  # white stays white, whatever the rounding of the tags
        else:
            return None
    except (KeyError, IndexError, ValueError, OverflowError, struct.error, np.linalg.LinAlgError):
        return None
    rising = np.all(np.diff(curves) >= 0) and np.all(curves[:, -1] > curves[:, 0])
    if not (np.isfinite(curves).all() and rising and np.isfinite(matrix).all() and np.linalg.cond(matrix) < 1e4):
        return None
    return Profile(curves, matrix)


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    if count > 1000:
        raise ValueError("more tags than any profile has")
    entries = [struct.unpack_from(">4sII", icc, 132 + 12 * i) for i in range(count)]
    return {name: icc[offset : offset + size] for name, offset, size in entries}


def _xyz(tag: bytes) -> np.ndarray:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> np.ndarray:
    """A `curv` or `para` tag at the nodes, clipped to [0, 1]."""
    x = _NODES
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        values = np.frombuffer(tag, ">u2", count, offset=12)
        if count == 1:
            return x ** (values[0] / 256)
        return np.interp(x, np.linspace(0, 1, count), values / 65535)
    if tag[:4] != b"para":
        raise ValueError("neither a curve nor its parameters")
    (kind,) = struct.unpack_from(">H", tag, 8)
    n = (1, 3, 4, 5, 7)[kind]
    p = [v / 65536 for v in struct.unpack_from(f">{n}i", tag, 12)] + [0.0] * (7 - n)
    g, a, b, c, d, e, f = p
    with np.errstate(all="ignore"):  # what is not finite is refused by the caller
        if kind == 0:
            y = x**g
        elif kind in (1, 2):  # here c is an offset, and the curve is flat left of -b/a
            y = np.where(x >= -b / np.float64(a), np.maximum(a * x + b, 0) ** g, 0) + c
        else:
            y = np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)
    return np.clip(y, 0, 1)
