"""Decoding a whole data set once before the first step, so that nothing is left to fail at step 20,000."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from smnet_jax.data.decoding import SUFFIXES, decode
from smnet_jax.data.sources import picture_hash
from smnet_jax.errors import InputError
from smnet_jax.host import places
from smnet_jax.images import naming

LISTED = 20  # problems named in one message; a thousand names help nobody

Decode = Callable[[Path], np.ndarray]


def complain(where: str | os.PathLike[str], problems: Sequence[str], remedy: str) -> None:
    """Raise one InputError that lists `problems`, if there are any."""
    if problems:
        more = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise InputError(f"{where}: {'; '.join(problems[:LISTED])}{more}; {remedy}")


def pictures_in(folder: str | os.PathLike[str], *, nested: bool = False) -> list[Path]:
    """The folder's picture files by name, as `naming.pictures_below` lists them, with those in folders below where
    `nested`. Links that lead nowhere and photos that need an extra count, so that they are named with the remedy.

    Raises InputError for a folder that cannot be read.
    """
    folder = places.place(folder)
    if places.is_remote(folder):
        return _pictures_in_bucket(folder, nested)
    passed: list[Path] = []
    try:
        os.listdir(folder)  # noqa: PTH208  the listing is silent about a folder that cannot be read
        found = list(naming.pictures_below(folder, passed=passed, nested=nested))
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; name a folder of pictures that can be read") from error
    found += [p for p in passed if os.path.isfile(p) or not os.path.exists(p)]  # noqa: PTH110, PTH113  these never raise
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def _pictures_in_bucket(folder: Path, nested: bool) -> list[Path]:
    with places.reached(folder):
        found = list(places.walk(folder) if nested else folder.iterdir())
    hidden = (".", "__MACOSX")
    shown = (path for path in found if not any(part.startswith(hidden) for part in path.relative_to(folder).parts))
    return sorted(path for path in shown if path.suffix.lower() in SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Checked:
    """What one pass over the files learnt; `pictures` is None where they did not fit into memory."""

    sizes: list[tuple[int, int]]
    high_hashes: list[str]
    brighter: int
    """Groups whose first picture is brighter than the target: a pair exchanged."""
    pictures: list[list[np.ndarray]] | None


def check_all(
    where: str | os.PathLike[str],
    groups: Sequence[Sequence[Path]],
    *,
    at_least: int,
    what_is_least: str = "the crop",
    memory_bytes: int,
    progress: bool,
    decode: Decode = decode,
) -> Checked:
    """Decode every file of `groups`, in parallel. A group is a pair (low, high) or one picture; its target is last.

    Raises one InputError that lists the damaged, the unequal-sized within a group, and those with a side shorter
    than `at_least` pixels, `what_is_least` in words. Keeps the decoded pictures (uint8) as long as all of them take at
    most `memory_bytes`.
    """
    checked_sizes, hashes, problems = [], [], []
    kept: list[list[np.ndarray]] | None = []
    held = brighter = 0
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:

        def batches():  # pool.map would run far ahead and hold every decoded picture at once
            for start in range(0, len(groups), 2 * workers):
                some = groups[start : start + 2 * workers]
                yield from pool.map(lambda group: _inspect(group, at_least, what_is_least, decode), some)

        shown = track(
            batches(),
            description=f"checking {where}",
            total=len(groups),
            console=Console(stderr=True),
            transient=True,
            disable=not progress,
        )
        for pictures, problem in shown:
            if problem is not None:
                problems.append(problem)
                continue
            checked_sizes.append(pictures[-1].shape[:2])
            hashes.append(picture_hash(pictures[-1]))
            brighter += len(pictures) > 1 and bool(pictures[0].mean() > pictures[-1].mean())
            held += sum(picture.nbytes for picture in pictures)
            if held > memory_bytes:
                kept = None
            if kept is not None:
                kept.append(pictures)
    complain(where, problems, "repair or remove these pictures")
    return Checked(checked_sizes, hashes, brighter, kept)


def _inspect(
    group: Sequence[Path], at_least: int, what_is_least: str, decode: Decode
) -> tuple[list[np.ndarray], str | None]:
    """The group's pictures and what is wrong with them, if anything: a pool hands back values, not many errors."""
    try:
        pictures = [decode(path) for path in group]
    except InputError as error:
        return [], str(error).rpartition("; ")[0]  # the remedy stands once, at the end of the list
    height, width = pictures[-1].shape[:2]
    for path, picture in zip(group, pictures, strict=True):
        if picture.shape != pictures[-1].shape:
            return [], f"{path} is {picture.shape[1]}x{picture.shape[0]} but {group[-1]} is {width}x{height}"
    if min(height, width) < at_least:
        return [], f"{group[0]} is {width}x{height}, smaller than {what_is_least} of {at_least}"
    return pictures, None
