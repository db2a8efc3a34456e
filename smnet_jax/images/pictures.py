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
from PIL import Image, ImageCms, PngImagePlugin

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing
from smnet_jax.images import (
    camera_raw,
    colour_spaces,
    formats,
    heif,
    metadata,
    profiles,
    sixteen_bits,
    srgb,
    tiff,
    transparency,
)
from smnet_jax.images import exif as exif_blocks
from smnet_jax.images.metadata import Metadata

FORMATS = formats.WRITTEN  # suffix -> Pillow's name; only these decoders are ever given a file
MAX_MEGAPIXELS = 200.0  # the float picture is then 2.4 GB
SMALLEST = 8  # pixels; the network reduces four times and mirrors at the border

_OPENING = threading.Lock()


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
            values = _turned(raster.values, raster.orientation)
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
    values = _turned(raster.values, raster.orientation)
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
    # Pillow's own limit is one global number that cannot be raised per picture; ours is checked right after the header.
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file, formats=sorted(set(FORMATS.values())))
        finally:
            Image.MAX_IMAGE_PIXELS = limit
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
    content = _content(file).rstrip(b"\xff")
    whole = io.BytesIO(content + b"\xff\xd9")
    other = b"".join(b"\x35\xa7\x5b" * 50 + bytes([0xFF, 0xD0 + n]) for n in range(8))  # with restart markers
    try:
        image = Image.open(whole, formats=[kind])
        if image.info.get("progressive"):  # its last scans may be missing, which no marker tells
            return None
        longer = io.BytesIO(content + 2 * other + b"\xff\xd9")
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

    def reduced(page: exif_blocks.Directory) -> bool:
        return bool(page.number(254) & 1) or page.number(255) == 2

    if not reduced(pages[0]):
        return
    full = [index for index, page in enumerate(pages) if not reduced(page)]
    if full:
        image.seek(max(full, key=lambda index: pages[index].number(256) * pages[index].number(257)))
    elif has_below:
        raise InputError(
            f"{path}: only its {image.width}x{image.height} preview can be read; the picture lies below it; "
            "save it as an ordinary tiff"
        )


def _from_heif(file: IO[bytes], path: object, max_megapixels: float) -> _Raster:
    photo = heif.Photo(file, path)
    _check_size(photo, path, max_megapixels)
    values = photo.values()
    raster = _Raster(values, int(np.iinfo(values.dtype).max), ".jpg", icc=photo.info.get("icc_profile"))
    if raster.icc is None:
        file.seek(0)
        _note_code_points(raster, colour_spaces.code_points_in_heif(file.read(1 << 16)))
    elif not _matches(raster.icc, "L" if values.shape[2] < 3 else "RGB"):
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
    if icc and not _matches(icc, image.mode):
        notes.append("its colour profile is damaged or for another kind of picture; taken as sRGB")
        icc = None
    if file is not None and kind == "PNG":
        own, hdr, note = colour_spaces.of_png(file, gray=_is_gray(image.mode), has_icc=icc is not None)
        icc = own or icc
        if note:
            notes.append(note)
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV") or (icc and profiles.parse(icc) is None):
        image, icc = _through_littlecms(image, icc, notes), None

    values, peak = _values(image, file, path, notes)
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
            _describe_tiff(raster, file, opened)
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


def _describe_tiff(raster: _Raster, file: IO[bytes], image: Image.Image) -> None:
    turn = image.getexif().get(
        exif_blocks.ORIENTATION, 1
    )  # what is left to do: newer Pillows turn TIFF as they load it
    raster.orientation = turn if turn in range(1, 9) else 1
    height, width = raster.values.shape[:2]
    if raster.orientation >= 5:
        height, width = width, height
    raster.exif = exif_blocks.from_tiff(file, width, height)
    raster.metadata = raster.metadata.turned(width, height, raster.notes)


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
    if image.mode == "L" and isinstance(key := image.info.get("transparency"), int):
        depth = {"L;2": 3, "L;4": 15}.get(
            _packing(image), 255
        )  # PNG's key is a sample; Pillow scales samples, not keys
        return _with_key(np.asarray(image)[..., None], key * (255 // depth), 255), 255
    if _is_gray(image.mode):
        image = image.convert("LA" if transparent else "L")
    else:
        image = image.convert("RGBA" if transparent else "RGB")
    values = np.asarray(image)
    return values.reshape(*values.shape[:2], -1), 255


def _content(file: IO[bytes]) -> bytes:
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
    """A picture as a file's content, in the format of the suffix (".png"), and what the format made us leave out."""
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
    return dataclasses.replace(after, rgb=rgb, alpha=alpha, exif=None, metadata=_NONE)
