"""How much memory a picture needs, how much there is, and the tile that follows."""

import math
from pathlib import Path

import jax
import numpy as np

from smnet_jax.errors import InputError
from smnet_jax.network.halo import ALIGNMENT, HALO
from smnet_jax.network.model import SMNet

# Feature maps of the network's width that are alive at once, at full resolution. In a compiled program at most 12.1
# (widths 8 to 96, both variants, as the compiler's memory analysis tells). A tile took up to 19 as the
# system counts, with what is read for it, room that the products take, and gaps in the heap; `_PROGRAM` can spare one.
# Since tiles are compiled for little memory it is 13 where measured (width 64, 2 megapixels).
_MAPS, _MAPS_OF_TILE = 13, 18
_PICTURES = 4  # copies of the picture itself, float32 RGB: input, padded, result, and one while it is clipped
_PROGRAM = 500 << 20  # Python, JAX and the compiled programs
_SHARE_OF_MEMORY = 0.8  # of what is available, to this process
_SHARE_KEPT, _SHARE_KEPT_OF_CAP = 1 / 10, 1 / 16  # the latter is less than what `_MAPS` and `_PROGRAM` leave over


def bytes_needed(height: int, width: int, model: SMNet, *, tile: bool = False) -> int:
    """Peak memory to compute a picture whole, or one tile of it; on the device, without the program itself."""
    maps = _MAPS_OF_TILE if tile else _MAPS
    return height * width * (maps * model.width * np.dtype(model.dtype).itemsize + _PICTURES * 12)


def available_memory() -> int:
    """Bytes that JAX's default device could still give to this process."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return _available_to_process()


def kept_between_pictures(max_memory: int | None = None) -> int:
    """Bytes that the process may hold on to from one picture to the next, of `max_memory` or of what is available.

    Kept memory saves time (see `allocator`), but the next picture may be of another size and not fit into its gaps.
    """
    if max_memory is not None:
        return int(_SHARE_KEPT_OF_CAP * max_memory)
    return int(_SHARE_KEPT * _available_to_process())


def choose_tile(height: int, width: int, model: SMNet, max_memory: int) -> tuple[int, int] | None:
    """The tile, (rows, columns), with the least work that keeps the process's peak below `max_memory` bytes.

    None where the whole picture fits. Counted are the program, the picture and one tile; not the temporary file.
    Raises InputError where not even the smallest tile fits.
    """
    if _PROGRAM + bytes_needed(height, width, model) <= max_memory:
        return None
    per_pixel = bytes_needed(1, 1, model, tile=True)
    fixed = _PROGRAM + height * width * _PICTURES * 12
    best: tuple[int, int, int] | None = None
    for rows in _tile_sizes(height):
        fitting = [size for size in _tile_sizes(width) if fixed + rows * size * per_pixel <= max_memory]
        if fitting:
            columns = max(fitting)
            work = _count(height, rows) * rows * _count(width, columns) * columns
            best = min(best or (work, rows, columns), (work, rows, columns))
    if best is None:
        least = fixed + _tile_sizes(height)[0] * _tile_sizes(width)[0] * per_pixel
        raise InputError(
            f"memory: {max_memory >> 20} MiB are too few for a picture of {width}x{height}; "
            f"{math.ceil(least / 2**20)} MiB are enough"
        )
    return best[1] - HALO, best[2] - HALO


def largest_tile(height: int, width: int, model: SMNet, max_memory: int | None = None) -> tuple[int, int] | None:
    """The tile for `enhance_tiled` on this machine, (rows, columns); None where the whole picture fits.

    max_memory: bytes that the process itself may take. If None, most of what is available for a picture computed whole;
    where it must be cut half of that, if it is enough, so that temporary files can stay in memory too. Raises
    InputError where not even the smallest tile fits.
    """
    if max_memory is not None:
        return choose_tile(height, width, model, max_memory)
    most = int(_SHARE_OF_MEMORY * available_memory())
    if choose_tile(height, width, model, most) is None:
        return None
    try:
        return choose_tile(height, width, model, most // 2)
    except InputError:
        return choose_tile(height, width, model, most)


def _tile_sizes(length: int) -> list[int]:
    """Sizes of the tiles that cut an axis evenly into 1, 2, 3, ...; none that would be nearly all halo."""
    inner = length - HALO
    sizes = {length}
    for count in range(2, max(2, inner // 32 + 1)):
        sizes.add(math.ceil(inner / count / ALIGNMENT) * ALIGNMENT + HALO)
    return sorted(sizes)


def _count(length: int, size: int) -> int:
    return max(1, math.ceil((length - HALO) / (size - HALO))) if size < length else 1


def _available_to_process() -> int:
    return int(min(free_of_machine(), free_of_container()))


def free_of_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) << 10
    except (OSError, StopIteration):  # not Linux: assume that of a laptop
        return 4 << 30


def free_of_container() -> float:
    """What a control group (version 2) still allows, files it could give back counted as free; else infinity."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit == "max":
            return math.inf
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return int(limit) - int((group / "memory.current").read_text()) + int(stat["inactive_file"])
    except (OSError, KeyError, ValueError):
        return math.inf
