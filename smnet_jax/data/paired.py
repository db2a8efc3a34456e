"""Folders of paired photographs, `{train,test}/{low,high}`, checked whole before the first step."""

import os
from collections.abc import Sequence
from pathlib import Path

from smnet_jax.data.checking import check_all
from smnet_jax.data.decoding import decode
from smnet_jax.data.layouts import Pair, find_pairs
from smnet_jax.data.sources import Example


class PairedFolder:
    """The pairs of `root/split/{low,high}` (`root/{low,high}` where split is None) as a source; or `pairs`, which
    `layouts` has found below `root`.

    Every file is decoded once here: unpaired, unequal-sized, damaged pictures and those with a side shorter than
    `at_least` (give it the crop, or say what it is) end in one InputError with their names. If the decoded set
    fits into `memory_bytes` it is kept (uint8), else pictures are decoded again when asked for.

    Attributes: `pairs`, `sizes` (height, width), `high_hashes` (equal for equal targets; see `holdout`), `brighter`
    (how many pairs have a `low` brighter than their `high`).
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = "train",
        *,
        pairs: Sequence[Pair] | None = None,
        at_least: int = 1,
        what_is_least: str = "the crop",
        memory_bytes: int = 2 << 30,
        progress: bool = False,
    ):
        folder = Path(root) if split is None else Path(root) / split
        self.pairs = find_pairs(folder / "low", folder / "high") if pairs is None else list(pairs)
        checked = check_all(
            folder if pairs is None else root,
            [(pair.low, pair.high) for pair in self.pairs],
            at_least=at_least,
            what_is_least=what_is_least,
            memory_bytes=memory_bytes,
            progress=progress,
        )
        self.sizes = checked.sizes
        self.high_hashes = checked.high_hashes
        self.brighter = checked.brighter
        self._pictures = checked.pictures

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        pair = self.pairs[index]
        low, high = self._pictures[index] if self._pictures is not None else (decode(pair.low), decode(pair.high))
        return {"low": low, "high": high, "name": pair.name}
