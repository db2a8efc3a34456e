"""The pictures to score: files of one name in up to three folders, checked whole before any long work."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from smnet_jax.data.checking import complain, pictures_in
from smnet_jax.data.decoding import SUFFIXES, decode
from smnet_jax.errors import InputError
from smnet_jax.host import places


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture to score: its files, of which some may not exist, and its size."""

    name: str  # file name without suffix: what the folders share
    low: Path | None = None  # the dark input
    image: Path | None = None  # an enhanced picture that some other program made
    high: Path | None = None  # the target
    height: int = 0
    width: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.low, self.image, self.high) if path is not None)

    def decode(self) -> dict[str, np.ndarray]:
        """uint8 RGB (H,W,3) under "low", "image" and "high", as far as there are files."""
        kinds = ("low", "image", "high")
        return {kind: decode(path) for kind in kinds if (path := getattr(self, kind)) is not None}


def find(folders: Mapping[str, str | os.PathLike[str]]) -> list[Item]:
    """Match the files of `folders` (under the keys "low", "image", "high") by name without suffix.

    7.png goes with 7.jpg: other programs save as they like. Raises InputError that lists the files without a
    partner and those whose name occurs twice, and for a folder that is missing or has no pictures.
    """
    listed: dict[str, dict[str, Path]] = {}
    problems = []
    for kind, folder in folders.items():
        by_name: dict[str, Path] = {}
        for path in _files(places.place(folder)):
            if path.stem in by_name:
                problems.append(f"{path} has the same name as {by_name[path.stem].name}")
            by_name[path.stem] = path
        listed[kind] = by_name
    names = sorted(set().union(*listed.values()))
    for name in names:
        having = [kind for kind in listed if name in listed[kind]]
        file = listed[having[0]][name]
        problems += [f"{file} has no partner in {folders[kind]}" for kind in listed if kind not in having]
    complain(next(iter(folders.values())), problems, "every picture needs exactly one partner of the same name")
    low, image, high = (listed.get(kind, {}) for kind in ("low", "image", "high"))
    return [Item(name, low.get(name), image.get(name), high.get(name)) for name in names]


def check(items: Sequence[Item], *, advance: Callable[[], object] = lambda: None) -> list[Item]:
    """Decode every file once, in threads, and give the items back with their sizes.

    `advance()` is called after each item. Raises InputError that lists the files that cannot be read and the items
    whose files differ in size.
    """
    checked, problems = [], []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for item, sizes in zip(items, pool.map(_sizes, items), strict=True):
            advance()
            wrong = [size for size in sizes if isinstance(size, str)]
            known = [size for size in sizes if not isinstance(size, str)]
            problems += wrong
            if len(set(known)) > 1:
                each = (f"{path} is {w}x{h}" for path, (h, w) in zip(item.files, known, strict=False))
                problems.append(" but ".join(each))
            elif not wrong:
                checked.append(dataclasses.replace(item, height=known[0][0], width=known[0][1]))
    complain(items[0].files[0].parent, problems, "repair or remove them")
    return checked


def _files(folder: Path) -> list[Path]:
    with places.reached(folder):  # Path.is_dir raises where a folder above is closed
        there = folder.is_dir() if places.is_remote(folder) else os.path.isdir(folder)  # noqa: PTH112
    if not there:
        raise InputError(f"{folder}: no such folder; give a folder of pictures")
    files = pictures_in(folder)
    if not files:
        raise InputError(f"{folder}: no pictures in it; put {', '.join(sorted(SUFFIXES))} files there")
    return files


def _sizes(item: Item) -> list[tuple[int, int] | str]:
    """(height, width) of each file of `item`, or what is wrong with it: a pool must report every problem."""
    sizes: list[tuple[int, int] | str] = []
    for path in item.files:
        try:
            sizes.append(decode(path).shape[:2])
        except InputError as error:
            sizes.append(str(error).removesuffix("; replace or remove it"))
    return sizes
