"""A picture as a file again, with all that the format can hold of what it carries."""

import dataclasses
import io
import os
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, PngImagePlugin

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing
from smnet_jax.images import exif as exif_blocks
from smnet_jax.images import formats, metadata, profiles, sixteen_bits, tiff, transparency
from smnet_jax.images.metadata import Metadata
from smnet_jax.images.pictures import Picture


def write(picture: Picture, path: str | os.PathLike[str], *, quality: int = 95) -> tuple[str, ...]:
    """Write in the format of the suffix, atomically; returns what the format made us leave out, a sentence each.

    rgb is clipped to [0, 1] and rounded. JPEG has 4:4:4 chroma and `quality`, lossy WebP the same quality; TIFF is
    deflated if it has no EXIF. 16-bit pictures stay so as PNG, and as TIFF if gray without alpha. Raises InputError
    for another suffix and where the folder cannot be written, OSError where the disk gives up.
    """
    path = Path(path)
    kind = _kind(path.suffix, path)
    with replacing(path) as temporary, temporary.open("w+b") as file:
        return _write(picture, file, kind, quality)


def to_bytes(picture: Picture, suffix: str, *, quality: int = 95) -> tuple[bytes, tuple[str, ...]]:
    """A picture as a file's content, in the format of the suffix (".png"), and what the format made us leave out."""
    file = io.BytesIO()
    notes = _write(picture, file, _kind(suffix, suffix), quality)
    return file.getvalue(), notes


def _kind(suffix: str, name: object) -> str:
    kind = formats.WRITTEN.get(suffix.lower())
    if kind is None:
        raise InputError(f"{name}: pictures are written as {', '.join(formats.WRITTEN)}; choose one of these suffixes")
    return kind


def _write(picture: Picture, file: IO[bytes], kind: str, quality: int) -> tuple[str, ...]:
    notes: list[str] = []
    picture = _fitted(picture, kind, notes)
    values = to_values(picture)
    try:
        _save(values, file, kind, picture, quality, notes)
    except (ValueError, TypeError, KeyError, RuntimeError, OverflowError, struct.error) as error:
        if picture.exif is None or isinstance(error, InputError):
            raise
        notes = [f"its EXIF block cannot be written as {kind} and was dropped"]
        file.seek(0)
        file.truncate()
        _save(values, file, kind, dataclasses.replace(picture, exif=None), quality, notes)
    return tuple(dict.fromkeys(notes))


def _save(values: np.ndarray, file: IO[bytes], kind: str, picture: Picture, quality: int, notes: list[str]) -> None:
    exif, icc, told = picture.exif, picture.icc, picture.metadata
    if kind == "TIFF":
        metadata.left_out(told, kind, notes)
        tiff.write(file, values, exif=exif, icc=icc, xmp=told.xmp, iptc=told.iptc, dpi=told.dpi)
        return
    if kind == "PNG" and values.dtype == np.uint16:
        sixteen_bits.write_png(file, values, exif=exif, icc=icc, chunks=metadata.png(told, notes))
        return
    options: dict[str, Any] = {}
    if kind == "JPEG":
        options = {"quality": quality, "subsampling": 0, "optimize": True, "extra": metadata.jpeg(told, notes)}
        options["dpi"] = tuple(round(d) for d in told.dpi) if told.dpi else (0, 0)
    elif kind == "PNG":
        info = PngImagePlugin.PngInfo()
        for name, data in metadata.png(told, notes):
            if name != b"pHYs":  # which Pillow takes as `dpi` only
                info.add(name, data)
        options = {"pnginfo": info} | ({"dpi": told.dpi} if told.dpi else {})
    else:
        metadata.left_out(told, kind, notes)
        if kind == "WEBP":
            options = {"lossless": picture.lossless, "quality": quality, "method": 4, "exact": picture.lossless}
        elif kind == "AVIF":
            options = {"quality": quality, "subsampling": "4:4:4"}
            exif = exif_blocks.without_orientation(exif) if exif else None
        elif told.dpi:  # BMP
            options = {"dpi": told.dpi}
        if told.xmp and kind != "BMP":
            options["xmp"] = told.xmp
    if kind != "BMP":
        options |= {key: value for key, value in (("exif", exif), ("icc_profile", icc)) if value}
    _image(values).save(file, format=kind, **options)


def to_values(picture: Picture) -> np.ndarray:
    """The picture's own kind of values: (H, W, 1|2|3|4) uint8 or uint16 in its own profile, rounded."""
    rgb = picture.rgb
    if picture.icc and (profile := profiles.parse(picture.icc)) and not profile.is_srgb:
        rgb = profile.from_srgb(rgb)
    parts = [rgb[..., :1] if picture.gray else rgb]
    if picture.alpha is not None:
        parts.append(picture.alpha[..., None])
    kind, peak = (np.uint16, 65535) if picture.bits == 16 else (np.uint8, 255)
    values = np.concatenate(parts, axis=2)  # a copy; the rest happens in it, for a large picture is gigabytes
    np.clip(values, 0, 1, out=values)
    values *= np.float32(peak)
    return np.rint(values, out=values).astype(kind)


def to_pil(picture: Picture) -> Image.Image:
    """A picture as a Pillow image of mode L, LA, RGB, RGBA or, of 16-bit gray without alpha, I;16.

    EXIF and ICC in `info`."""
    holds_16 = picture.gray and picture.alpha is None
    image = _image(to_values(picture if holds_16 else dataclasses.replace(picture, bits=8)))
    image.info.update({k: v for k, v in (("exif", picture.exif), ("icc_profile", picture.icc)) if v})
    return image


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)  # the mode follows from the shape


_LONGEST_SIDES = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536, "BMP": (1 << 31) - 1}  # pixels


def check_fits(picture: Picture, suffix: str) -> None:
    """Raise InputError where a picture is larger than its format can be: before hours of work rather than after."""
    _check_sides(picture, _kind(suffix, suffix))


def _check_sides(picture: Picture, kind: str) -> None:
    height, width = picture.rgb.shape[:2]
    if max(height, width) > _LONGEST_SIDES.get(kind, height + width):
        raise InputError(
            f"result: {width}x{height} pixels, above the {_LONGEST_SIDES[kind]} that a side of {kind} may have; "
            "choose png (--format png)"
        )


def _fitted(picture: Picture, kind: str, notes: list[str]) -> Picture:
    """What of the picture the format can hold; the rest is resolved and noted."""
    _check_sides(picture, kind)
    if kind in ("JPEG", "BMP") and picture.alpha is not None:
        notes.append(f"{kind} has no transparency: laid on white")
        alpha = picture.alpha[..., None]
        picture = dataclasses.replace(picture, rgb=picture.rgb * alpha + (1 - alpha), alpha=None)
    if picture.alpha is not None and (kind == "AVIF" or (kind == "WEBP" and not picture.lossless)):
        # These compress colours under alpha 0 together with their neighbours.
        picture = dataclasses.replace(picture, rgb=transparency.filled(picture.rgb, picture.alpha))
    if picture.bits == 16 and kind not in ("PNG", "TIFF"):
        notes.append(f"written with 8 of its 16 bits as {kind}; PNG would keep them (--format png)")
        picture = dataclasses.replace(picture, bits=8)
    if kind == "BMP" and (picture.exif or picture.icc):
        notes.append("BMP holds neither EXIF nor a colour profile: written as sRGB without")
        picture = dataclasses.replace(picture, exif=None, icc=None)
    if kind == "JPEG" and picture.exif and len(picture.exif) > 65533:
        notes.append("its EXIF block is too large for JPEG and was dropped")
        picture = dataclasses.replace(picture, exif=None)
    return picture


def side_by_side(before: Picture, after: Picture) -> Picture:
    """Both in one picture of twice the width, `before` on the left; what is said of the photo stays with the photo."""
    alpha = None
    if before.alpha is not None and after.alpha is not None:
        alpha = np.concatenate([before.alpha, after.alpha], axis=1)
    rgb = np.concatenate([before.rgb, after.rgb], axis=1)
    return dataclasses.replace(after, rgb=rgb, alpha=alpha, exif=None, metadata=Metadata())
