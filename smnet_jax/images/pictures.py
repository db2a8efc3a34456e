"""Pictures as strangers make them, read without losing what they carry; `writing` is the way back.

What reaches the network is sRGB in [0, 1] standing upright. Alpha, EXIF, the colour profile, "is gray" and the bit
depth travel beside it in a `Picture` and are written again. Where a format cannot hold something, `writing.write` says
so.

Colour: a picture with an RGB or gray matrix/curve profile (Display P3, Adobe RGB, ...) is converted to sRGB in floating
point, and the result back to its own profile, which the file keeps. Pictures with table profiles and CMYK go to sRGB
through LittleCMS in 8 bits and are written as sRGB. A picture without a profile is sRGB.
"""

import contextlib
import dataclasses
import io
import math
import os
import types
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from smnet_jax.errors import InputError
from smnet_jax.images import (
    camera_raw,
    colour_spaces,
    formats,
    heif,
    metadata,
    opening,
    profiles,
    srgb,
    tiff,
    tiff_samples,
)
from smnet_jax.images import exif as exif_blocks
from smnet_jax.images.metadata import Metadata
from smnet_jax.images.values import content, is_gray, matches, through_littlecms, turned, values_of

FORMATS = formats.WRITTEN  # suffix -> Pillow's name; only these decoders are ever given a file
MAX_MEGAPIXELS = 200.0  # the float picture is then 2.4 GB
SMALLEST = 8  # pixels; the network reduces four times and mirrors at the border


_NONE = Metadata()


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright.

    rgb: (H, W, 3) float32 sRGB in [0, 1]; beyond that range only where a wide-gamut profile reaches. A gray picture
    has three equal channels. alpha: (H, W) float32 in [0, 1], or None. bits: 8 or 16 per channel in the file.
    exif: the block to carry over, orientation already set to upright. icc: the profile to write the result in.
    notes: what the reader should know, one sentence each. metadata: XMP, IPTC, comments, texts, dots per inch.
    lossless: whether the file was a lossless WebP: it is one again.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    gray: bool = False
    bits: int = 8
    exif: bytes | None = None
    icc: bytes | None = None
    notes: tuple[str, ...] = ()
    metadata: Metadata = _NONE
    lossless: bool = False


def read(path: str | os.PathLike[str], *, max_megapixels: float = MAX_MEGAPIXELS) -> Picture:
    """Read a jpg, png, webp, bmp, tiff, avif, heic or camera raw file, recognised by its content; of frames the first.

    Raises InputError for what is missing, damaged, truncated, no such picture, smaller than 8x8, in floating point,
    larger than `max_megapixels` (checked before any pixel is decoded), and where heic or raw need an extra that is not
    installed.
    """
    path = Path(path)
    with _told(path), path.open("rb") as file:
        return _picture(_large_enough(_raster(_seekable(file), path, max_megapixels), path))


def size_in_header(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Height and width of a file's picture, upright, as its header tells; None where that does not say.

    Quick, and for planning only: reading the picture may find another size or nothing readable. Never raises.
    """
    try:
        if not os.path.isfile(path):  # noqa: PTH113 (a pipe can be read once only)
            return None
        with Path(path).open("rb") as file, _open(file, path, math.inf) as image:
            block = image.info.get("exif")
            orientation = exif_blocks.orientation(block) if block else getattr(image, "tag_v2", {}).get(274, 1)
            return (image.width, image.height) if orientation in (5, 6, 7, 8) else (image.height, image.width)
    except Exception:  # whatever damaged files raise: told when it is read
        return None


def from_bytes(data: bytes, *, name: str = "picture", max_megapixels: float = MAX_MEGAPIXELS) -> tuple[Picture, str]:
    """A picture from a file's content; also the suffix that its result has, ".jpg" say. Errors call it `name`."""
    with _told(name):
        raster = _large_enough(_raster(io.BytesIO(data), name, max_megapixels), name)
        return _picture(raster), raster.suffix


def read_rgb8(
    path: str | os.PathLike[str], content: bytes | None = None, *, max_megapixels: float = MAX_MEGAPIXELS
) -> np.ndarray:
    """A file's picture as (H, W, 3) uint8 sRGB, upright, rounded; alpha is left out. For training and evaluation.

    With the file's `content` at hand, `path` only names it in errors. Raises InputError as `read` does.
    """
    with _told(path), contextlib.ExitStack() as stack:
        file = stack.enter_context(Path(path).open("rb")) if content is None else io.BytesIO(content)
        raster = _raster(_seekable(file), path, max_megapixels)
        if (
            raster.peak == 255 and raster.hdr is None and not _needs_conversion(raster.icc)
        ):  # nearly always: no need of floats
            values = turned(raster.values, raster.orientation)
            values = values[..., : values.shape[2] - (values.shape[2] % 2 == 0)]
            return np.ascontiguousarray(np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values)
        rgb = np.clip(_picture(raster).rgb, 0, 1)
        return np.rint(rgb * np.float32(255)).astype(np.uint8)


def _needs_conversion(icc: bytes | None) -> bool:
    return icc is not None and (profile := profiles.parse(icc)) is not None and not profile.is_srgb


@contextlib.contextmanager
def _told(name: object) -> Iterator[None]:
    """Whatever goes wrong in reading a picture becomes an InputError that names it."""
    try:
        yield
    except InputError:
        raise
    except Image.UnidentifiedImageError as error:
        raise InputError(
            f"{name}: not a readable jpg, png, webp, bmp, tiff, avif, heic or camera raw picture"
        ) from error
    except MemoryError as error:
        raise InputError(f"{name}: does not fit into memory") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file") from error
    except (PermissionError, IsADirectoryError) as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from error
    except Exception as error:  # on a damaged file Pillow's decoders raise nearly anything, struct.error included
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{name}: cannot be decoded ({reason}); the file is damaged or of an unusual kind") from error


def from_pil(image: Image.Image) -> Picture:
    """A picture from a Pillow image. The pixels stay as they lie: EXIF orientation is neither applied nor changed.

    Raises InputError as `read` does.
    """
    raster = _large_enough(_decoded(image, path="image", file=None), "image")
    raster.orientation, raster.exif = 1, image.info.get("exif")
    return _picture(raster)


@dataclasses.dataclass
class _Raster:
    """A file's values as they lie in it, and what it says about them."""

    values: np.ndarray  # (H, W, 1 gray | 2 gray and alpha | 3 RGB | 4 RGB and alpha) uint8 or uint16
    peak: int  # the value that means 1
    suffix: str = ".png"
    icc: bytes | None = None
    hdr: int | None = None  # H.273's number of an HDR curve
    linear: bool = False  # linear light with sRGB's primaries
    lossless: bool = False
    orientation: int = 1
    exif: bytes | None = None
    metadata: Metadata = dataclasses.field(default_factory=Metadata)
    notes: list[str] = dataclasses.field(default_factory=list)


def _picture(raster: _Raster) -> Picture:
    values = turned(raster.values, raster.orientation)
    channels = values.shape[2]
    gray = channels < 3 and raster.hdr is None
    rgb = values[..., : channels - (channels % 2 == 0)].astype(np.float32) / np.float32(raster.peak)
    if channels < 3:
        rgb = np.repeat(rgb, 3, axis=2)
    icc = raster.icc
    if raster.hdr is not None:
        rgb = colour_spaces.hdr_to_linear(rgb, raster.hdr)
        profile = profiles.parse(icc) if icc else None
        rgb = (profile.linear_to_srgb(rgb) if profile else srgb.from_linear(rgb)).astype(np.float32)
        icc = None
    elif raster.linear:
        rgb = srgb.from_linear(rgb).astype(np.float32)
    elif icc and (profile := profiles.parse(icc)) and not profile.is_srgb:
        rgb = profile.to_srgb(rgb)
    alpha = values[..., -1].astype(np.float32) / np.float32(raster.peak) if channels % 2 == 0 else None
    bits = 8 if raster.peak == 255 else 16
    return Picture(rgb, alpha, gray, bits, raster.exif, icc, tuple(raster.notes), raster.metadata, raster.lossless)


def _seekable(file: IO[bytes]) -> IO[bytes]:
    """The file, or its content where it is a pipe."""
    return file if file.seekable() else io.BytesIO(file.read())


def _raster(file: IO[bytes], path: object, max_megapixels: float) -> _Raster:
    head = file.read(64)
    file.seek(0)
    if not head:
        raise InputError(f"{path}: is empty, not a readable picture; copy or download it again")
    kind = formats.kind(head)
    if kind == "HEIF":
        return _from_heif(file, path, max_megapixels)
    pages = list(exif_blocks.directories(file)) if exif_blocks.is_tiff(head) else []
    if kind == "RAW" or any(page.number(262) in (32803, 34892) for page, _ in pages):  # a sensor's mosaic; linear raw
        return _from_camera(file, path, max_megapixels)
    if pages and not _is_reduced(pages[0][0]) and tiff_samples.is_needed(pages[0][0]):
        return _from_samples(file, pages[0][0], path, max_megapixels)
    file.seek(0)
    try:
        image = _open(file, path, max_megapixels)
    except Image.UnidentifiedImageError:
        if head.startswith(b"\x89PNG") and (mended := metadata.png_without_damaged_extras(file)):
            raster = _raster(io.BytesIO(mended), path, max_megapixels)
            raster.notes.append("what it says beside its pixels is damaged in part: that was left out")
            return raster
        if pages:
            raise InputError(f"{path}: {tiff.unusual(pages[0][0])}") from None
        if remedy := formats.remedy(kind):
            raise InputError(f"{path}: not a readable picture: {remedy}") from None
        raise
    if pages and not tiff.is_unsigned(pages[0][0]):  # Pillow takes signed bytes for unsigned ones
        raise InputError(f"{path}: {tiff.unusual(pages[0][0])}")
    if pages:
        _to_full_page(image, [page for page, sub in pages if not sub], any(sub for _, sub in pages), path)
        _check_size(image, path, max_megapixels)
    try:
        return _decoded(image, path=path, file=file)
    except OSError:
        whole = _without_end(file, path, str(image.format)) if image.format in ("JPEG", "MPO") else None
        if whole is None:
            raise
        return whole


def _open(file: IO[bytes], path: object, max_megapixels: float) -> Image.Image:
    with opening.no_limit():
        image = Image.open(file, formats=sorted(set(FORMATS.values())))
    _check_size(image, path, max_megapixels)
    return image


def _check_size(image: Any, path: object, max_megapixels: float) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise InputError(
            f"{path}: claims {image.width}x{image.height}, {megapixels:.0f} megapixels, above the limit of "
            f"{max_megapixels:g}; if it is genuine, raise the limit (--max-megapixels)"
        )


def _large_enough(raster: _Raster, path: object) -> _Raster:
    height, width = raster.values.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError(f"{path}: {width}x{height} pixels; at least {SMALLEST}x{SMALLEST} are needed")
    return raster


def _without_end(file: IO[bytes], path: object, kind: str) -> _Raster | None:
    """A truncated JPEG file of which the end marker alone is missing; None where pixels are missing too.

    A decoder makes up the pixels that it misses. Hence two readings, with different bytes in place of what would
    follow: where all pixels are in the file neither is looked at, and the readings are equal.
    """
    whole_file = content(file).rstrip(b"\xff")
    whole = io.BytesIO(whole_file + b"\xff\xd9")
    other = b"".join(b"\x35\xa7\x5b" * 50 + bytes([0xFF, 0xD0 + n]) for n in range(8))  # with restart markers
    try:
        image = Image.open(whole, formats=[kind])
        if image.info.get("progressive"):  # its last scans may be missing, which no marker tells
            return None
        longer = io.BytesIO(whole_file + 2 * other + b"\xff\xd9")
        again = _decoded(Image.open(longer, formats=[kind]), path=path, file=None)
        first = _decoded(image, path=path, file=whole)
    except (OSError, SyntaxError):
        return None
    if not np.array_equal(first.values, again.values):
        return None
    first.notes.append("its end marker is missing; all pixels are there")
    return first


def _to_full_page(image: Image.Image, pages: list[exif_blocks.Directory], has_below: bool, path: object) -> None:
    """Leave a TIFF file's reduced previews for the picture that they are made from."""
    if not _is_reduced(pages[0]):
        return
    full = [index for index, page in enumerate(pages) if not _is_reduced(page)]
    if full:
        image.seek(max(full, key=lambda index: pages[index].number(256) * pages[index].number(257)))
    elif has_below:
        raise InputError(
            f"{path}: only its {image.width}x{image.height} preview can be read; the picture lies below it; "
            "save it as an ordinary tiff"
        )


def _is_reduced(page: exif_blocks.Directory) -> bool:
    return bool(page.number(254) & 1) or page.number(255) == 2


def _from_samples(file: IO[bytes], page: exif_blocks.Directory, path: object, max_megapixels: float) -> _Raster:
    width, height = page.number(256), page.number(257)
    _check_size(types.SimpleNamespace(width=width, height=height), path, max_megapixels)
    if tiff_samples.bytes_of(page) > max_megapixels * 1e6 * 16:  # four channels of 32 bits
        raise InputError(f"{path}: {width}x{height} pixels of {page.number(277)} channels are too much to read at once")
    notes: list[str] = []
    values, peak = tiff_samples.read(file, path, notes)
    icc = page.entries.get(exif_blocks.ICC)
    raster = _Raster(values, peak, ".tif", icc.value if icc else None, notes=notes)
    mode = "L" if values.shape[2] < 3 else "RGB"
    if raster.icc and not (matches(raster.icc, mode) and profiles.parse(raster.icc)):
        raster.icc = None
        notes.append("its colour profile is damaged or of a kind that does not go with such values; taken as sRGB")
    raster.metadata = metadata.of(file, {}, "TIFF")
    _describe_tiff(raster, file, page.number(exif_blocks.ORIENTATION, 1))
    return raster


def _from_heif(file: IO[bytes], path: object, max_megapixels: float) -> _Raster:
    photo = heif.Photo(file, path)
    _check_size(photo, path, max_megapixels)
    values = photo.values()
    raster = _Raster(values, int(np.iinfo(values.dtype).max), ".jpg", icc=photo.info.get("icc_profile"))
    if raster.icc is None:
        file.seek(0)
        _note_code_points(raster, colour_spaces.code_points_in_heif(file.read(1 << 16)))
    elif not matches(raster.icc, "L" if values.shape[2] < 3 else "RGB"):
        raster.icc = None
        raster.notes.append("its colour profile is damaged or for another kind of picture; taken as sRGB")
    block = photo.info.get("exif")
    raster.metadata = metadata.of(None, photo.info, "HEIF")
    _describe(raster, block, orientation=1)
    return raster


def _from_camera(file: IO[bytes], path: object, max_megapixels: float) -> _Raster:
    photo = camera_raw.Photo(file, path)
    _check_size(photo, path, max_megapixels)
    raster = _Raster(photo.values(), 65535, ".png", linear=True)
    height, width = raster.values.shape[:2]
    file.seek(0)
    if exif_blocks.is_tiff(file.read(4)):
        raster.exif = exif_blocks.from_tiff(file, width, height)
    elif preview := photo.preview():
        with Image.open(io.BytesIO(preview), formats=["JPEG"]) as image:
            _describe(raster, image.info.get("exif"), orientation=1)
    return raster


def _note_code_points(raster: _Raster, points: tuple[int, int] | None) -> None:
    if points is not None:
        raster.icc, raster.hdr, note = colour_spaces.from_code_points(*points, gray=raster.values.shape[2] < 3)
        if note:
            raster.notes.append(note)


def _describe(raster: _Raster, block: bytes | None, *, orientation: int | None = None) -> None:
    """Set what travels beside the pixels, made true for the upright picture; orientation: EXIF's own if None."""
    if orientation is None:
        orientation = exif_blocks.orientation(block) if block else 0
    raster.orientation = orientation or raster.metadata.orientation
    height, width = raster.values.shape[:2]
    if raster.orientation >= 5:
        height, width = width, height
    if block:
        try:
            raster.exif = exif_blocks.carried(block, width, height)
        except exif_blocks.Damaged:
            raster.notes.append("its EXIF block is damaged and was dropped")
    raster.metadata = raster.metadata.turned(width, height, raster.notes)


def _decoded(image: Image.Image, *, path: object, file: IO[bytes] | None) -> _Raster:
    notes: list[str] = []
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    frames = getattr(image, "n_frames", 1)
    if kind == "TIFF" and file is not None:
        frames = sum(not sub and not page.number(254) & 1 for page, sub in exif_blocks.directories(file))
    if kind != "JPEG" and frames > 1:  # MPO: a JPEG with previews behind the picture
        notes.append(f"the first of {frames} frames is used")

    opened, icc, hdr = image, image.info.get("icc_profile") or None, None
    if icc and not matches(icc, image.mode):
        notes.append("its colour profile is damaged or for another kind of picture; taken as sRGB")
        icc = None
    if file is not None and kind == "PNG":
        own, hdr, note = colour_spaces.of_png(file, gray=is_gray(image.mode), has_icc=icc is not None)
        icc = own or icc
        if note:
            notes.append(note)
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV") or (icc and profiles.parse(icc) is None):
        image, icc = through_littlecms(image, icc, notes), None

    values, peak = values_of(image, file, path, notes)
    if kind == "BMP" and values.shape[2] == 4 and not values[..., 3].any():  # the fourth byte is mostly just not used
        values = values[..., :3]
    suffix = next((suffix for suffix, format in FORMATS.items() if format == kind), ".png")
    raster = _Raster(values, peak, suffix, icc, hdr, notes=notes)
    raster.lossless = file is not None and kind == "WEBP" and _is_lossless_webp(file)
    if file is not None:
        if kind == "AVIF":
            file.seek(0)
            head = file.read(1 << 16)
            if icc is None:
                _note_code_points(raster, colour_spaces.code_points_in_heif(head))
            if (bits := colour_spaces.bits_of_avif(head)) > 8:
                notes.append(f"its {bits} bits are read as 8")
        raster.metadata = metadata.of(file, opened.info, kind)
        if kind == "JPEG" and metadata.has_gain_map(file) and not raster.metadata.speaks_of_more:
            notes.append("its gain map (HDR) belongs to the dark picture: left out")
        if kind == "TIFF":
            # What is left to do: newer Pillows turn TIFF as they load it.
            _describe_tiff(raster, file, opened.getexif().get(exif_blocks.ORIENTATION, 1))
        else:
            _describe(raster, opened.info.get("exif") or _exif_as_text(opened.info))
    return raster


def _is_lossless_webp(file: IO[bytes]) -> bool:
    """Whether the first pixels of the RIFF file lie in a chunk VP8L."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8L", b"VP8 "):
            return head[:4] == b"VP8L"
        length = int.from_bytes(head[4:], "little")
        file.seek(16 if head[:4] == b"ANMF" else length + length % 2, 1)  # a frame's head, then its own chunks
    return False


def _exif_as_text(info: dict[Any, Any]) -> bytes | None:
    """EXIF as ImageMagick puts it into PNG's texts: hexadecimal, after three lines of head."""
    text = info.get("Raw profile type exif") or info.get("Raw profile type APP1")
    try:
        block = bytes.fromhex("".join(str(text).split("\n")[3:])) if text else b""
    except ValueError:
        return None
    return block if exif_blocks.is_tiff(block.removeprefix(exif_blocks.PREFIX)) else None


def _describe_tiff(raster: _Raster, file: IO[bytes], turn: int) -> None:
    raster.orientation = turn if turn in range(1, 9) else 1
    height, width = raster.values.shape[:2]
    if raster.orientation >= 5:
        height, width = width, height
    raster.exif = exif_blocks.from_tiff(file, width, height)
    raster.metadata = raster.metadata.turned(width, height, raster.notes)
