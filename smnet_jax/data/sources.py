"""What a source of picture pairs is, and the three ways to make one from others: a part, a sum, a held-out split."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from smnet_jax.errors import InputError

Example = dict[str, Any]  # {"low": (H,W,3), "high": (H,W,3), "name": str}; uint8 RGB in a source, float32 after the cut
Cut = Callable[[Example], Example]  # the crop, flip and conversion to float32 that the pipeline has drawn


class Source(Protocol):
    """Random access to pairs. `source[i]` may be called from several threads at once.

    A source may also have `darkened_cut(index, cut, rng)`: one that makes `low` itself does so after the cut, with
    new noise every epoch, at the price of the crop instead of the whole picture. And it may have `sizes`, the
    (height, width) of each pair, by which too small pictures are found before the first step.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


def cut_example(source: Source, index: int, cut: Cut, rng: np.random.Generator) -> Example:
    """Example `index` after `cut`, by whichever way the source offers."""
    if hasattr(source, "darkened_cut"):
        return source.darkened_cut(index, cut, rng)
    return cut(source[index])


def darkens(source: Source) -> bool:
    """Whether some `low` is made anew for every cut."""
    if isinstance(source, Subset):
        return darkens(source.source)
    if isinstance(source, Concatenated):
        return any(darkens(part) for part in {id(part): part for part, _ in source.places}.values())
    return hasattr(source, "darkened_cut")


def sizes(source: Source) -> list[tuple[int, int]] | None:
    """(height, width) of every pair, or None where the source cannot say without decoding."""
    return getattr(source, "sizes", None)


@dataclasses.dataclass(frozen=True)
class Subset:
    """The examples `indices` of `source`, in that order."""

    source: Source
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.source[self.indices[index]]

    def darkened_cut(self, index: int, cut: Cut, rng: np.random.Generator) -> Example:
        return cut_example(self.source, self.indices[index], cut, rng)

    @property
    def sizes(self) -> list[tuple[int, int]] | None:
        known = sizes(self.source)
        return None if known is None else [known[i] for i in self.indices]

    @property
    def high_hashes(self) -> list[str] | None:
        known = getattr(self.source, "high_hashes", None)
        return None if known is None else [known[i] for i in self.indices]


class Concatenated:
    """Several sources one after the other; `repeats[k]` times source k in every epoch, to weigh small ones up."""

    def __init__(self, sources: Sequence[Source], repeats: Sequence[int] | None = None):
        repeats = [1] * len(sources) if repeats is None else repeats
        if len(repeats) != len(sources) or min(repeats, default=0) < 1:
            raise InputError(
                f"repeats {list(repeats)}: give one number of 1 or more for each of {len(sources)} sources"
            )
        self.places = [
            (source, i) for source, n in zip(sources, repeats, strict=True) for i in [*range(len(source))] * n
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Example:
        source, i = self.places[index]
        return source[i]

    def darkened_cut(self, index: int, cut: Cut, rng: np.random.Generator) -> Example:
        source, i = self.places[index]
        return cut_example(source, i, cut, rng)

    @property
    def sizes(self) -> list[tuple[int, int]] | None:
        known = {id(source): sizes(source) for source, _ in self.places}
        if any(each is None for each in known.values()):
            return None
        return [known[id(source)][i] for source, i in self.places]  # type: ignore[index]

    @property
    def high_hashes(self) -> list[str] | None:
        known = {id(source): getattr(source, "high_hashes", None) for source, _ in self.places}
        if any(each is None for each in known.values()):
            return None
        return [known[id(source)][i] for source, i in self.places]  # type: ignore[index]


def fingerprint(source: Source) -> str:
    """Equal for sources of the same targets in the same order, wherever they lie; of sizes where targets are not
    known without decoding."""
    told = getattr(source, "high_hashes", None) or sizes(source) or len(source)
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


def picture_hash(picture: np.ndarray) -> str:
    """Equal for equal pixels of equal shape, whatever file held them."""
    return hashlib.blake2b(repr(picture.shape).encode() + picture.tobytes(), digest_size=16).hexdigest()


def holdout(source: Source, *, fraction: float, seed: int = 0) -> tuple[Subset, Subset]:
    """Split `source` into (training, validation), pairs with the same `high` picture always on the same side.

    152 of LOL's 485 targets fall into 66 groups of identical pictures (one scene at several exposures): a split by
    file would train on the answers to the validation set. Groups are taken whole, in an order that depends on the
    pixels and `seed` alone, so renaming or adding files moves few pairs. Validation holds
    `fraction` of all pairs, rounded, where whole groups allow, else slightly fewer.

    Raises InputError unless both sides get a pair.
    """
    wanted = round(fraction * len(source))
    if not 0 < wanted < len(source):
        raise InputError(f"holdout: {wanted} of {len(source)} pairs cannot be held out; both sides need at least one")
    hashes = getattr(source, "high_hashes", None) or [picture_hash(source[i]["high"]) for i in range(len(source))]
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(hashes):
        groups.setdefault(name, []).append(index)
    held: set[int] = set()
    for name in sorted(groups, key=lambda name: hashlib.blake2b(f"{seed} {name}".encode()).digest()):
        if len(held) + len(groups[name]) <= wanted:
            held.update(groups[name])
    if not held:
        raise InputError(f"holdout: no group of equal targets has {wanted} pairs or fewer; hold out more pairs")
    training = tuple(i for i in range(len(source)) if i not in held)
    return Subset(source, training), Subset(source, tuple(sorted(held)))
