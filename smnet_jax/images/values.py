"""From what Pillow has opened to plain values: gray or RGB, with or without alpha, 8 or 16 bits.

Table profiles, CMYK and other colour spaces go through LittleCMS on the way, in 8 bits.
"""

import contextlib
import io
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms

from smnet_jax.errors import InputError
from smnet_jax.images import profiles, sixteen_bits


def values_of(image: Image.Image, file: IO[bytes] | None, path: object, notes: list[str]) -> tuple[np.ndarray, int]:
    """(H, W, 1 gray | 2 gray and alpha | 3 RGB | 4 RGB and alpha) uint8 or uint16, and the value that means 1."""
    layout = getattr(image, "tag_v2", {})  # TIFF's
    if layout.get(284) == 2 and max(layout.get(258, (8,))) > 8:  # Pillow 13 takes these planes' bytes for 8-bit values
        raise InputError(f"{path}: TIFF with separate planes of 16 bits; save it with interleaved channels")
    if image.mode.startswith("I;16"):
        return _deep_gray(image)
    if file is not None and sixteen_bits.is_crushed(image):
        again = Image.open(io.BytesIO(content(file)), formats=[str(image.format)])
        key = image.info.get("transparency")
        deep = sixteen_bits.decode(image, again)
        if deep is None:
            notes.append("its 16 bits are laid out in a way that is read as 8")
        else:
            return _with_key(deep, key, 65535), 65535
    if image.mode in ("I", "F"):
        raise InputError(
            f"{path}: {'32-bit' if image.mode == 'I' else 'floating-point'} values have no agreed white; "
            "convert the picture to 8 or 16 bits"
        )
    transparent = image.has_transparency_data
    if image.mode == "L" and isinstance(key := image.info.get("transparency"), int):
        depth = {"L;2": 3, "L;4": 15}.get(
            _packing(image), 255
        )  # PNG's key is a sample; Pillow scales samples, not keys
        return _with_key(np.asarray(image)[..., None], key * (255 // depth), 255), 255
    if is_gray(image.mode):
        image = image.convert("LA" if transparent else "L")
    else:
        image = image.convert("RGBA" if transparent else "RGB")
    values = np.asarray(image)
    return values.reshape(*values.shape[:2], -1), 255


def content(file: IO[bytes]) -> bytes:
    """All of a file, from its beginning."""
    file.seek(0)
    return file.read()


def _packing(image: Image.Image) -> str:
    tile = (getattr(image, "tile", None) or [None])[0]
    return str(tile.args) if tile else ""


def _deep_gray(image: Image.Image) -> tuple[np.ndarray, int]:
    packed = _packing(image)
    inverted = getattr(image, "tag_v2", {}).get(262) == 0  # TIFF's "white is zero", which Pillow ignores at this depth
    key = image.info.get("transparency")
    values = np.asarray(image).astype(np.uint16)[..., None]
    if "I;12" in packed:
        values = np.minimum(values.astype(np.uint32) * 65535 // 4095, 65535).astype(np.uint16)
    return _with_key(65535 - values if inverted else values, key, 65535), 65535


def _with_key(values: np.ndarray, key: Any, peak: int) -> np.ndarray:
    """Add alpha where PNG names one colour as transparent."""
    if key is None or isinstance(key, bytes) or values.shape[2] % 2 == 0:
        return values
    alpha = np.where((values == np.asarray(key)).all(axis=2, keepdims=True), 0, peak).astype(values.dtype)
    return np.concatenate([values, alpha], axis=2)


def through_littlecms(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """To sRGB in 8 bits: table profiles, and colour spaces other than RGB and gray."""
    gray = is_gray(image.mode)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode in ("CMYK", "LAB"):
        source = image
    else:
        source = image.convert("L" if gray and icc and profiles.colour_space(icc) == "GRAY" else "RGB")
    converted = None
    if icc:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            converted = ImageCms.profileToProfile(
                source,
                ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
    if converted is None:
        converted = source.convert("RGB")
        known = "unusable" if icc else "no"
        notes.append(f"{image.mode} picture with {known} colour profile: its colours are a guess; written as sRGB")
    else:
        notes.append(f"its {image.mode} colours are converted to sRGB in 8 bits and written so")
    if gray:
        converted = converted.convert("L")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation to (H, W, C): 5 to 8 swap height and width."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def matches(icc: bytes, mode: str) -> bool:
    """Whether the profile describes this kind of values. An RGB profile on a gray picture does: R = G = B."""
    kinds = {"CMYK": ("CMYK",), "LAB": ("Lab",)}.get(mode, ("RGB", "GRAY") if is_gray(mode) else ("RGB",))
    return profiles.colour_space(icc) in kinds


def is_gray(mode: str) -> bool:
    """Whether pictures of this Pillow mode have no colour."""
    return mode in ("1", "L", "LA", "La") or mode.startswith("I;16")
