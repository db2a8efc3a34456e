"""Features of a whole picture on disk: too big for memory, needed only while one picture is computed."""

import math
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from smnet_jax.errors import InputError

Item = TypeVar("Item")

_PRIVATE: dict[str, int] = {"flags": mmap.MAP_PRIVATE} if hasattr(mmap, "MAP_PRIVATE") else {}  # not on Windows
_SHARE_OF_DISK = 0.8  # of what is free, to what could also be computed again


class Features:
    """(height, width, channels) of numbers in a temporary file that are replaced while their neighbours are read.

    Tiles are worked on in rows of tiles. New values are kept `margin` rows further up than the old ones of the same
    place, when working downwards, so they never land on old values that a later tile still reads; the next time it
    goes upwards and back. So the file is one margin higher than the picture instead of two pictures high.

    The file has no name (it is unlinked as soon as it is open): however the process ends, the space is free again. The
    pages are the file's, not anonymous memory: the kernel can write them out whenever it needs the memory.
    """

    def __init__(self, height: int, width: int, channels: int, dtype: Any, margin: int, folder: Path) -> None:
        """`margin` is the height of a tile: a row of tiles reads and writes within that. 0 if there is one tile."""
        self.margin = margin
        shape = (height + self.margin, width, channels)
        self.values = _file_array(shape, np.dtype(dtype), folder)
        self.old, self.new = 0, self.margin  # rows by which the values in the file are shifted down
        self.buffers = Buffers()

    def order(self, tiles: Sequence[Item]) -> list[Item]:
        """Tiles, given from the top, in the one order in which they may be replaced."""
        return list(tiles) if self.new <= self.old else list(reversed(tiles))

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """A copy of the present values, until the next one of its shape is read."""
        values = self.values[_shifted(rows, self.old), columns]
        copy = self.buffers.get(values.shape, values.dtype)
        np.copyto(copy, values)
        return copy

    def write(self, rows: slice, columns: slice, values: np.ndarray) -> None:
        """New values, to be read after `turn`."""
        self.values[_shifted(rows, self.new), columns] = values

    def turn(self) -> None:
        """All new values are there; from now on they are the present ones."""
        self.old, self.new = self.new, self.old


class SpillCache:
    """Arrays of one shape in a temporary file without a name, as many as it is worth while and the disk has room for.

    It stops to take more where writing turns out slower than computing again: on a slow disk, or with an accelerator.
    """

    def __init__(self, most: int, shape: tuple[int, ...], dtype: Any, folder: Path) -> None:
        """`most`: how many there are."""
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.size = math.prod(shape) * self.dtype.itemsize
        self.most = min(most, int(_SHARE_OF_DISK * _free(folder)) // self.size)
        # Written and read, not mapped: each array goes whole, and a mapping would cost a page fault per 4 kB.
        self.file = tempfile.TemporaryFile(dir=folder) if self.most else None  # noqa: SIM115  closed with this object
        self.numbers: set[int] = set()
        self.writing, self.computing = 0.0, 0.0  # seconds so far
        self.buffers = Buffers()

    def forget(self) -> None:
        """All arrays are void."""
        self.numbers.clear()
        self.buffers = Buffers()  # an array is as large as a quarter of what computing the next one takes

    def offer(self, number: int, values: np.ndarray, seconds: float) -> None:
        """Keep the array of this number, or not; computing it took `seconds`."""
        if self.file is None or number >= self.most or self.writing > self.computing:
            return
        started = time.perf_counter()
        try:
            self.file.seek(number * self.size)
            self.file.write(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
            self.file.flush()
        except OSError:  # the disk is full after all
            self.most = number
            return
        self.numbers.add(number)
        self.writing += time.perf_counter() - started
        self.computing += seconds

    def get(self, number: int) -> np.ndarray | None:
        """The array, until the next one is got; None if it was not kept."""
        if self.file is None or number not in self.numbers:
            return None
        values = self.buffers.get(self.shape, self.dtype)
        self.file.seek(number * self.size)
        if self.file.readinto(values.reshape(-1).view(np.uint8).data) != self.size:
            raise OSError("a temporary file has shrunk")
        return values

    def close(self) -> None:
        """Give the space back."""
        if self.file is not None:
            self.file.close()


class Buffers:
    """Memory for arrays that come again and again: the system hands out fresh memory page by page, at a price.

    Whole pages, and so aligned as JAX wants it, which takes such an array on a CPU as it is (`jax.device_put`) instead
    of copying it; and apart from the heap, where an array that stays would part what is free between two programs.
    """

    def __init__(self) -> None:
        self._arrays: dict[tuple[tuple[int, ...], np.dtype], np.ndarray] = {}

    def get(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The array of this shape and type, with whatever was last put there."""
        if (shape, dtype) not in self._arrays:
            memory = mmap.mmap(-1, max(1, math.prod(shape) * dtype.itemsize), **_PRIVATE)
            self._arrays[shape, dtype] = np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)
        return self._arrays[shape, dtype]


def default_folder() -> Path:
    """Where temporary files of many gigabytes belong: $TMPDIR, else /var/tmp, which, unlike /tmp, is on a disk."""
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK):
        return Path("/var/tmp")
    return Path(tempfile.gettempdir())


def _file_array(shape: tuple[int, ...], dtype: np.dtype, folder: Path) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    try:
        free = _free(folder)
        if free < size:
            raise InputError(
                f"{folder}: {size / 1e9:.1f} GB are needed there for a while, {free / 1e9:.1f} are free; "
                "name another folder in TMPDIR"
            )
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # else a disk that fills up later would kill the process, not raise
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape)
    except OSError as error:
        raise InputError(f"{folder}: {size / 1e9:.1f} GB cannot be kept there ({error.strerror})") from error


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _shifted(rows: slice, by: int) -> slice:
    return slice(rows.start + by, rows.stop + by)
