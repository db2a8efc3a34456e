"""Folders of paired photographs, `{train,test}/{low,high}`, checked whole before the first step."""

import dataclasses
import os
from pathlib import Path

from smnet_jax.data.checking import check_all, complain, pictures_in
from smnet_jax.data.decoding import decode
from smnet_jax.data.sources import Example
from smnet_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Pair:
    """A low-light file and its target."""

    name: str
    low: Path
    high: Path


def find_pairs(low_dir: str | os.PathLike[str], high_dir: str | os.PathLike[str]) -> list[Pair]:
    """Match the files of two folders by name without suffix, so that 7.png pairs with 7.png or 7.jpg.

    Raises InputError that lists the files without a partner, and those whose name occurs twice in a folder.
    """
    for needed in map(Path, (low_dir, high_dir)):
        if not needed.is_dir():
            raise InputError(f"{needed}: no such folder; the layout is ROOT/{{train,test}}/{{low,high}}")
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

    Every file is decoded once here: unpaired, unequal-sized, damaged pictures and those with a side shorter than
    `at_least` (give it the crop) end in one InputError with their names. If the decoded set fits into
    `memory_bytes` it is kept (uint8), else pictures are decoded again when asked for.

    Attributes: `pairs`, `sizes` (height, width), `high_hashes` (equal for equal targets; see `holdout`).
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
        groups = [(pair.low, pair.high) for pair in self.pairs]
        checked = check_all(folder, groups, at_least=at_least, memory_bytes=memory_bytes, progress=progress)
        self.sizes = checked.sizes
        self.high_hashes = checked.high_hashes
        self._pictures = checked.pictures

    @property
    def in_memory(self) -> bool:
        return self._pictures is not None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        pair = self.pairs[index]
        low, high = self._pictures[index] if self._pictures is not None else (decode(pair.low), decode(pair.high))
        return {"low": low, "high": high, "name": pair.name}
