"""TIFF files of clear meaning that Pillow does not read, or reads wrongly: floats, further channels, planes.

libtiff, which Pillow brings, unpacks any such file; only Pillow's memory layouts lack their kinds of values. So the
file is shown to Pillow as a gray picture of bytes, under a directory that says so, and the bytes are put together here.
"""

import io
from typing import IO

import numpy as np
from PIL import Image

from smnet_jax.errors import InputError
from smnet_jax.images import exif as tags
from smnet_jax.images import opening
from smnet_jax.images.exif import Directory, Entry

_COMPRESSIONS = (1, 5, 8, 32773, 32946, 50000)  # those that know bytes only: none, LZW, deflate, PackBits, zstd
_MOST_CHANNELS = 32


def is_needed(page: Directory) -> bool:
    """Whether a picture is of such a kind: gray or RGB, in floats, with further channels, or in separate planes."""
    kind, space, channels = page.number(339, 1), page.number(262, -1), page.number(277, 1)
    colours, depth = {0: 1, 1: 1, 2: 3}.get(space, 0), _depth(page)
    if not colours or not colours <= channels <= _MOST_CHANNELS or page.number(259, 1) not in _COMPRESSIONS:
        return False
    if kind == 3:
        return depth in (16, 32, 64) and space != 0
    if kind not in (1, 4) or depth not in (8, 16):
        return False
    if colours == 1:
        return channels == 2 and depth == 16
    return channels > 4 or (page.number(284, 1) == 2 and depth == 16)


def bytes_of(page: Directory) -> int:
    """Of all samples, unpacked; of tiles also what lies beyond the picture's right edge."""
    width = page.number(256)
    row = page.number(322) or width
    return -(-width // max(1, row)) * row * page.number(257) * page.number(277, 1) * _depth(page) // 8


def read(file: IO[bytes], path: object, notes: list[str]) -> tuple[np.ndarray, int]:
    """(H, W, 1 gray | 2 gray and alpha | 3 RGB | 4 RGB and alpha) uint8 or uint16, and the value that means 1.

    Of the first page. Floats from 0 to 1 become 16 bits. Alpha stays where the file says that a channel is one; other
    further channels are left out. `notes` gets what was made of it, a sentence each. Raises InputError for floats that
    go beyond 0 to 1 or are not finite, for their white is not known.
    """
    page = tags.directory(file)
    values = _samples(file, page)
    colours = 3 if page.number(262) == 2 else 1
    extra = page.entries.get(338)
    meanings = extra.numbers(page.order)[: values.shape[2] - colours] if extra else ()
    at, meaning = next(((i, meaning) for i, meaning in enumerate(meanings) if meaning in (1, 2)), (0, 0))
    alpha = values[..., colours + at : colours + at + bool(meaning)]
    if left := values.shape[2] - colours - alpha.shape[2]:
        kind = "RGB" if colours == 3 else "gray"
        notes.append(f"its {left} further channel{'s' * (left > 1)} beside {kind} left out")
    values = np.concatenate([values[..., :colours], alpha], axis=2)
    if values.dtype.kind == "f":
        values = _to_16_bits(values, path)
        notes.append("its floating-point values from 0 to 1 are read as 16 bits")
    peak = int(np.iinfo(values.dtype).max)
    if page.number(262) == 0:
        values[..., :1] = peak - values[..., :1]
    if meaning == 1:  # multiplied by alpha
        share = np.maximum(values[..., colours:], 1).astype(np.float32) / np.float32(peak)
        values[..., :colours] = np.minimum(np.rint(values[..., :colours] / share), peak)
    return values, peak


def _to_16_bits(values: np.ndarray, path: object) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError(f"{path}: TIFF of floating-point values with NaN or infinity; convert it to 8 or 16 bits")
    least, most = float(values.min()), float(values.max())
    if least < 0 or most > 1:
        raise InputError(
            f"{path}: TIFF of floating-point values from {least:.4g} to {most:.4g}, which have no agreed white; "
            "scale them to 0 to 1, or convert it to 8 or 16 bits"
        )
    return np.rint(values.astype(np.float64) * 65535).astype(np.uint16)


def _samples(file: IO[bytes], page: Directory) -> np.ndarray:
    """(H, W, channels) of the file's own kind of values."""
    height, width, channels = page.number(257), page.number(256), page.number(277, 1)
    if page.number(284, 1) == 2 and channels > 1:
        places, lengths = (page.entries[tag].numbers(page.order) for tag in _pieces(page))
        each = len(places) // channels
        cuts = [slice(plane * each, (plane + 1) * each) for plane in range(channels)]
        planes = [_chunky(file, page, height, width, 1, places[cut], lengths[cut]) for cut in cuts]
        return np.concatenate(planes, axis=2)
    return _chunky(
        file, page, height, width, channels, *(page.entries[tag].numbers(page.order) for tag in _pieces(page))
    )


def _chunky(
    file: IO[bytes],
    page: Directory,
    height: int,
    width: int,
    channels: int,
    places: tuple[int, ...],
    lengths: tuple[int, ...],
) -> np.ndarray:
    size = _depth(page) // 8
    tile = page.number(322) if 322 in page.entries else 0
    row = tile or width  # pixels that were packed together
    across = -(-width // row)
    packed = _as_bytes(file, page, height, across * row, channels * size, places, lengths)
    kind = np.dtype(f"{'f' if page.number(339, 1) == 3 else 'u'}{size}")
    rows = packed.reshape(height, across, row * channels * size)
    predictor = page.number(317, 1)
    if predictor == 3:  # differences of bytes, the upper bytes of all values first (Adobe's technical note 3)
        summed = np.cumsum(rows.reshape(height, across, row * size, channels), axis=2, dtype=np.uint8)
        planes = summed.reshape(height, across, size, row * channels).swapaxes(2, 3)
        values = np.ascontiguousarray(planes).view(kind.newbyteorder(">"))
    else:
        values = rows.view(f"{page.order}{kind.str[1:]}")
        if predictor == 2:  # differences of neighbours
            whole = values.view(f"{page.order}u{size}").reshape(height, across, row, channels)
            values = np.cumsum(whole, axis=2, dtype=f"u{size}").view(kind)
    return values.astype(kind).reshape(height, across * row, channels)[:, :width]


def _as_bytes(
    file: IO[bytes],
    page: Directory,
    height: int,
    width: int,
    pixel: int,
    places: tuple[int, ...],
    lengths: tuple[int, ...],
) -> np.ndarray:
    """What libtiff unpacks, (H, W * pixel) bytes, by telling it of a gray picture of bytes without differences."""

    def numbers(tag: int, *found: int) -> Entry:
        return Entry(tag, 4, len(found), np.array(found, f"{page.order}u4").tobytes())

    entries = [(256, width * pixel), (257, height), (258, 8), (259, page.number(259, 1)), (262, 1), (277, 1)]
    where, how_long = _pieces(page)
    if where == 324:
        entries += [(322, page.number(322) * pixel), (323, page.number(323))]
    else:
        entries += [(278, page.number(278, height))]
    own = {tag: numbers(tag, number) for tag, number in entries}
    own |= {where: numbers(where, *places), how_long: numbers(how_long, *lengths)}
    file.seek(0)
    content = file.read()
    content += bytes(len(content) % 2)
    head = (b"II*\0" if page.order == "<" else b"MM\0*") + numbers(0, len(content)).value
    shown = head + content[8:] + tags.laid_out(page.order, own, {}, len(content))
    with opening.no_limit(), Image.open(io.BytesIO(shown), formats=["TIFF"]) as image:
        return np.asarray(image)


def _pieces(page: Directory) -> tuple[int, int]:
    """The tags of where strips or tiles lie, and of how long they are."""
    return (324, 325) if 324 in page.entries else (273, 279)


def _depth(page: Directory) -> int:
    """Bits of each value; 0 where they differ."""
    entry = page.entries.get(258)
    found = set(entry.numbers(page.order)) if entry else {1}
    return found.pop() if len(found) == 1 else 0
