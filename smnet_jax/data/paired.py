"""Folders of paired photographs, `{train,test}/{low,high}`, checked whole before the first step."""

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from smnet_jax.data.decoding import SUFFIXES, decode
from smnet_jax.data.sources import Example, picture_hash
from smnet_jax.errors import InputError

LISTED = 20  # problems named in one message; a thousand names help nobody


@dataclasses.dataclass(frozen=True)
class Pair:
    """A low-light file and its target."""

    name: str
    low: Path
    high: Path


def complain(where: str | os.PathLike[str], problems: Sequence[str], remedy: str) -> None:
    """Raise one InputError that lists `problems`, if there are any."""
    if problems:
        more = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise InputError(f"{where}: {'; '.join(problems[:LISTED])}{more}; {remedy}")


def pictures_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The folder's picture files by name; hidden files and other suffixes (Thumbs.db, readme) are passed over."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; the layout is ROOT/{{train,test}}/{{low,high}}")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def find_pairs(low_dir: str | os.PathLike[str], high_dir: str | os.PathLike[str]) -> list[Pair]:
    """Match the files of two folders by name without suffix, so that 7.png pairs with 7.png or 7.jpg.

    Raises InputError that lists the files without a partner, and those whose name occurs twice in a folder.
    """
    sides: list[dict[str, Path]] = []
    problems = []
    for folder in (low_dir, high_dir):
        by_stem: dict[str, Path] = {}
        for path in pictures_in(folder):
            if path.stem in by_stem:
                problems.append(f"{path} and {by_stem[path.stem].name} have the same name")
            by_stem[path.stem] = path
        sides.append(by_stem)
    low, high = sides
    problems += [f"{low[stem]} has no partner in {high_dir}" for stem in low if stem not in high]
    problems += [f"{high[stem]} has no partner in {low_dir}" for stem in high if stem not in low]
    complain(Path(low_dir).parent, problems, "every picture needs exactly one partner of the same name")
    if not low:
        raise InputError(f"{low_dir}: no pictures; put PNG or JPEG files here and their targets in {high_dir}")
    return [Pair(low[stem].name, low[stem], high[stem]) for stem in low]


class PairedFolder:
    """The pairs of `root/split/{low,high}` (`root/{low,high}` where split is None) as a source.

    Every file is decoded once here, in parallel, so that nothing is left to fail at step 20,000: unpaired,
    unequal-sized, damaged and too small pictures end in one InputError with their names. If the decoded set fits
    into `memory_bytes` it is kept (uint8), else pictures are decoded again when asked for.

    Attributes: `pairs`, `sizes` (height, width), `high_hashes` (equal for equal targets; see `holdout`), `in_memory`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = "train",
        *,
        at_least: int = 1,
        memory_bytes: int = 2 << 30,
        progress: bool = False,
    ):
        folder = Path(root) if split is None else Path(root) / split
        self.pairs = find_pairs(folder / "low", folder / "high")
        self.sizes: list[tuple[int, int]] = []
        self.high_hashes: list[str] = []
        self.in_memory = True
        self._decoded: list[tuple[np.ndarray, np.ndarray]] = []
        problems, held = [], 0
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            loaded = zip(self.pairs, pool.map(_load, self.pairs), strict=True)
            shown = track(
                loaded,
                description=f"checking {folder}",
                total=len(self.pairs),
                console=Console(stderr=True),
                transient=True,
                disable=not progress,
            )
            for pair, (low, high, problem) in shown:
                if problem is None:
                    problem = _mismatch(pair, low, high, at_least)
                if problem is not None:
                    problems.append(problem)
                    continue
                self.sizes.append(low.shape[:2])
                self.high_hashes.append(picture_hash(high))
                held += low.nbytes + high.nbytes
                if self.in_memory and held <= memory_bytes:
                    self._decoded.append((low, high))
                elif self.in_memory:
                    self.in_memory = False
                    self._decoded = []
        complain(folder, problems, "repair or remove these pairs")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        pair = self.pairs[index]
        low, high = self._decoded[index] if self.in_memory else (decode(pair.low), decode(pair.high))
        return {"low": low, "high": high, "name": pair.name}


def _load(pair: Pair) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Both pictures, or what is wrong with them (a pool must hand back every problem, not the first)."""
    try:
        return decode(pair.low), decode(pair.high), None
    except InputError as error:
        nothing = np.empty((0, 0, 3), np.uint8)
        return nothing, nothing, str(error).removesuffix("; replace or remove it")


def _mismatch(pair: Pair, low: np.ndarray, high: np.ndarray, at_least: int) -> str | None:
    size = f"{low.shape[1]}x{low.shape[0]}"
    if low.shape != high.shape:
        return f"{pair.low} is {size} but {pair.high} is {high.shape[1]}x{high.shape[0]}"
    if min(low.shape[:2]) < at_least:
        return f"{pair.low} is {size}, smaller than the crop of {at_least}"
    return None
