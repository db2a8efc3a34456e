"""Pictures as strangers make them, to arrays and back, without losing what they carry.

What reaches the network is sRGB in [0, 1] standing upright. Alpha, EXIF, the colour profile, "is gray" and the bit
depth travel beside it in a `Picture` and are written again. Where a format cannot hold something, `write` says so.

Colour: a picture with an RGB or gray matrix/curve profile (Display P3, Adobe RGB, ...) is converted to sRGB in floating
point, and the result back to its own profile, which the file keeps. Pictures with table profiles and CMYK go to sRGB
through LittleCMS in 8 bits and are written as sRGB. A picture without a profile is sRGB.
"""

import contextlib
import dataclasses
import io
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing
from smnet_jax.images import profiles, sixteen_bits

FORMATS = {  # suffix -> Pillow's name; only these decoders are ever given a file
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
MAX_MEGAPIXELS = 200.0  # the float picture is then 2.4 GB
SMALLEST = 8  # pixels; the network reduces four times and mirrors at the border

_OPENING = threading.Lock()
# TIFF's directory holds, beside what is worth keeping, where and how this very file's pixels lie.
_LAYOUT_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 317, 320}
    | {322, 323, 324, 325, 330, 332, 338, 339, 340, 341, 347, 529, 530, 532, 700, 33723, 34377, 34675}
)


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright.

    rgb: (H, W, 3) float32 sRGB in [0, 1]; beyond that range only where a wide-gamut profile reaches. A gray picture
    has three equal channels. alpha: (H, W) float32 in [0, 1], or None. bits: 8 or 16 per channel in the file.
    exif: the block to carry over, orientation already set to upright. icc: the profile to write the result in.
    notes: what the reader should know, one sentence each.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    gray: bool = False
    bits: int = 8
    exif: bytes | None = None
    icc: bytes | None = None
    notes: tuple[str, ...] = ()


def read(path: str | os.PathLike[str], *, max_megapixels: float = MAX_MEGAPIXELS) -> Picture:
    """Read a jpg, png, webp, bmp or tiff file (recognised by its content); of several frames the first.

    Raises InputError for what is missing, damaged, truncated, no such picture, smaller than 8x8, in floating point,
    or larger than `max_megapixels` (checked before any pixel is decoded).
    """
    path = Path(path)
    with _told(path), path.open("rb") as file:
        return _decode(_open(file, path, max_megapixels), upright=True, path=path, file=file)


def from_bytes(data: bytes, *, name: str = "picture", max_megapixels: float = MAX_MEGAPIXELS) -> tuple[Picture, str]:
    """The same for a file's content; also the suffix of its format, ".jpg" say. Errors call it `name`."""
    with _told(name):
        file = io.BytesIO(data)
        image = _open(file, name, max_megapixels)
        kind = "JPEG" if image.format == "MPO" else image.format
        suffix = next((suffix for suffix, format in FORMATS.items() if format == kind), ".png")
        return _decode(image, upright=True, path=name, file=file), suffix


@contextlib.contextmanager
def _told(name: object) -> Iterator[None]:
    """Whatever goes wrong in reading a picture becomes an InputError that names it."""
    try:
        yield
    except InputError:
        raise
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{name}: not a readable jpg, png, webp, bmp or tiff picture") from error
    except MemoryError as error:
        raise InputError(f"{name}: does not fit into memory") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file") from error
    except Exception as error:  # on a damaged file Pillow's decoders raise nearly anything, struct.error included
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{name}: cannot be decoded ({reason}); the file is damaged or of an unusual kind") from error


def from_pil(image: Image.Image) -> Picture:
    """The same for a Pillow image. The pixels stay as they lie: EXIF orientation is neither applied nor changed.

    Raises InputError as `read` does.
    """
    return _decode(image, upright=False, path="image", file=None)


def _open(file: IO[bytes], path: object, max_megapixels: float) -> Image.Image:
    # Pillow's own limit is one global number that cannot be raised per picture; ours is checked right after the header.
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file, formats=sorted(set(FORMATS.values())))
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise InputError(
            f"{path}: claims {image.width}x{image.height}, {megapixels:.0f} megapixels, above the limit of "
            f"{max_megapixels:g}; if it is genuine, raise the limit (--max-megapixels)"
        )
    return image


def _decode(image: Image.Image, *, upright: bool, path: object, file: IO[bytes] | None) -> Picture:
    notes: list[str] = []
    if min(image.size) < SMALLEST:
        raise InputError(f"{path}: {image.width}x{image.height} pixels; at least {SMALLEST}x{SMALLEST} are needed")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: a JPEG with previews behind the picture
        notes.append(f"the first of {image.n_frames} frames is used")  # type: ignore[attr-defined]

    opened, icc = image, image.info.get("icc_profile") or None
    if icc and not _matches(icc, image.mode):
        notes.append("its colour profile is damaged or for another kind of picture; taken as sRGB")
        icc = None
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV") or (icc and profiles.parse(icc) is None):
        image, icc = _through_littlecms(image, icc, notes), None

    values, peak = _values(image, file, path, notes)
    exif, orientation = _exif(opened, notes) if upright else (image.info.get("exif"), 1)
    values = _turned(values, orientation)
    gray = values.shape[2] < 3
    colours = values.shape[2] - (values.shape[2] % 2 == 0)
    rgb = values[..., :colours].astype(np.float32) / np.float32(peak)
    if gray:
        rgb = np.repeat(rgb, 3, axis=2)
    if icc and (profile := profiles.parse(icc)) and not profile.is_srgb:
        rgb = profile.to_srgb(rgb)
    alpha = values[..., -1].astype(np.float32) / np.float32(peak) if values.shape[2] % 2 == 0 else None
    return Picture(rgb, alpha, gray, 8 if peak == 255 else 16, exif, icc, tuple(notes))


def _matches(icc: bytes, mode: str) -> bool:
    """Whether the profile describes this kind of values. An RGB profile on a gray picture does: R = G = B."""
    kinds = {"CMYK": ("CMYK",), "LAB": ("Lab",)}.get(mode, ("RGB", "GRAY") if _is_gray(mode) else ("RGB",))
    return profiles.colour_space(icc) in kinds


def _is_gray(mode: str) -> bool:
    return mode in ("1", "L", "LA", "La") or mode.startswith("I;16")


def _values(image: Image.Image, file: IO[bytes] | None, path: object, notes: list[str]) -> tuple[np.ndarray, int]:
    """(H, W, 1 gray | 2 gray and alpha | 3 RGB | 4 RGB and alpha) uint8 or uint16, and the value that means 1."""
    layout = getattr(image, "tag_v2", {})  # TIFF's
    if layout.get(284) == 2 and max(layout.get(258, (8,))) > 8:  # Pillow 13 takes these planes' bytes for 8-bit values
        raise InputError(f"{path}: TIFF with separate planes of 16 bits; save it with interleaved channels")
    if image.mode.startswith("I;16"):
        return _deep_gray(image)
    if file is not None and sixteen_bits.is_crushed(image):
        again = Image.open(io.BytesIO(_content(file)), formats=[str(image.format)])
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
    if _is_gray(image.mode):
        image = image.convert("LA" if transparent else "L")
    else:
        image = image.convert("RGBA" if transparent else "RGB")
    values = np.asarray(image)
    return values.reshape(*values.shape[:2], -1), 255


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _deep_gray(image: Image.Image) -> tuple[np.ndarray, int]:
    tile = (getattr(image, "tile", None) or [None])[0]
    packed = str(tile.args) if tile else ""
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


def _through_littlecms(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """To sRGB in 8 bits: table profiles, and colour spaces other than RGB and gray."""
    gray = _is_gray(image.mode)
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


def _exif(image: Image.Image, notes: list[str]) -> tuple[bytes | None, int]:
    """The block to carry over and how the picture has to be turned, 1..8; after Pillow has loaded the picture."""
    try:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        for tag in _LAYOUT_TAGS & set(exif):
            del exif[tag]
        if ExifTags.Base.Orientation in exif:
            exif[ExifTags.Base.Orientation] = 1
        block = exif.tobytes() if len(exif) else None
    except Exception:  # as with pixels: whatever a damaged block raises, the picture is worth more than it
        notes.append("its EXIF block is damaged and was dropped")
        return None, 1
    return block, orientation if orientation in range(1, 9) else 1


def _turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation to (H, W, C): 5 to 8 swap height and width."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


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
    """The same as a file's content, in the format of the suffix (".png"), and what the format made us leave out."""
    file = io.BytesIO()
    notes = _write(picture, file, _kind(suffix, suffix), quality)
    return file.getvalue(), notes


def _kind(suffix: str, name: object) -> str:
    kind = FORMATS.get(suffix.lower())
    if kind is None:
        raise InputError(f"{name}: pictures are written as {', '.join(FORMATS)}; choose one of these suffixes")
    return kind


def _write(picture: Picture, file: IO[bytes], kind: str, quality: int) -> tuple[str, ...]:
    notes: list[str] = []
    picture = _fitted(picture, kind, notes)
    values = to_values(picture)
    try:
        _save(values, file, kind, picture.exif, picture.icc, quality)
    except (ValueError, TypeError, KeyError, RuntimeError, OverflowError, struct.error):
        if picture.exif is None:
            raise
        notes.append(f"its EXIF block cannot be written as {kind} and was dropped")
        file.seek(0)
        file.truncate()
        _save(values, file, kind, None, picture.icc, quality)
    return tuple(notes)


def _save(values: np.ndarray, file: IO[bytes], kind: str, exif: bytes | None, icc: bytes | None, quality: int) -> None:
    if values.dtype == np.uint16 and kind == "PNG":
        sixteen_bits.write_png(file, values, exif=exif, icc=icc)
        return
    options: dict[str, Any] = {}
    if kind == "JPEG":
        options = {"quality": quality, "subsampling": 0, "optimize": True}
    elif kind == "WEBP":
        options = {"quality": quality, "method": 4}
    elif kind == "TIFF" and exif is None:  # libtiff, which compresses, cannot write EXIF's nested directories
        options = {"compression": "tiff_adobe_deflate"}
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
    """As a Pillow image of mode L, LA, RGB, RGBA or, for 16-bit gray without alpha, I;16. EXIF and ICC in `info`."""
    holds_16 = picture.gray and picture.alpha is None
    image = _image(to_values(picture if holds_16 else dataclasses.replace(picture, bits=8)))
    image.info.update({k: v for k, v in (("exif", picture.exif), ("icc_profile", picture.icc)) if v})
    return image


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)  # the mode follows from the shape


def _fitted(picture: Picture, kind: str, notes: list[str]) -> Picture:
    """What of the picture the format can hold; the rest is resolved and noted."""
    if kind in ("JPEG", "BMP") and picture.alpha is not None:
        notes.append(f"{kind} has no transparency: laid on white")
        alpha = picture.alpha[..., None]
        picture = dataclasses.replace(picture, rgb=picture.rgb * alpha + (1 - alpha), alpha=None)
    if picture.bits == 16 and not (kind == "PNG" or (kind == "TIFF" and picture.gray and picture.alpha is None)):
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
    """Both in one picture of twice the width, `before` on the left."""
    alpha = None
    if before.alpha is not None and after.alpha is not None:
        alpha = np.concatenate([before.alpha, after.alpha], axis=1)
    return dataclasses.replace(after, rgb=np.concatenate([before.rgb, after.rgb], axis=1), alpha=alpha)
