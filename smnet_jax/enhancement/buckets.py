"""Pictures of many sizes by few programs: which shape of array each lies in.

A program is compiled for one shape, and compiling takes as long as computing many pixels. Sizes therefore share a shape
(`network.extent` makes that exact) where the pixels computed in vain cost less than a further program.
"""

import threading
from collections import Counter
from collections.abc import Iterable

import jax

from smnet_jax.exposure import ExposureNet
from smnet_jax.network.model import SMNet

AT_ONCE = 64
"""Sizes that are looked at together. A folder is announced in so many pictures, for their headers must be read."""

Size = tuple[int, int]  # height and width, multiples of 4


def for_model(model: SMNet | ExposureNet) -> "Buckets | None":
    """Buckets for the pictures to come; None where every size has one program anyway, or must have its own."""
    if isinstance(model, ExposureNet) or not model.takes_sizes:
        return None
    return Buckets(worth(model))


def worth(model: SMNet) -> int:
    """Pixels that are computed in the time of compiling, measured at width 16 on two cores; elsewhere a guess."""
    return int(1e6 * 16 / model.width) if jax.default_backend() == "cpu" else 100_000_000


class Buckets:
    """Remembers which programs there are, and assigns sizes to them. May be asked from several threads.

    worth: pixels that may be computed in vain instead of compiling once more.
    """

    def __init__(self, worth: int) -> None:
        self.worth = worth
        self._shared: set[Size] = set()  # shapes whose program takes any size
        self._assigned: dict[Size, Size | None] = {}  # None: a program of its own
        self._wasted: Counter[Size] = Counter()  # pixels by size, of pictures that came unannounced
        self._lock = threading.Lock()

    def announce(self, sizes: Iterable[Size]) -> None:
        """Sizes of pictures to come, once for each picture: what they best share is decided now."""
        with self._lock:
            counts = Counter(size for size in sizes if size not in self._assigned)
            for size, count in list(counts.items()):
                shape = self._smallest(size)
                if shape is not None and count * _beyond(size, shape) <= self.worth:
                    self._assigned[size] = shape
                    del counts[size]
            some = sorted(counts, key=lambda size: size[0] * size[1])
            for start in range(0, len(some), AT_ONCE):
                self._share({size: counts[size] for size in some[start : start + AT_ONCE]})

    def shape(self, size: Size) -> Size | None:
        """The shape that a picture of `size` lies in, with others; None for a program of its own size.

        A size that was not announced goes where there is room, until that has cost as much as a program. The first of
        all gets its own, and later ones a shape with some room for others.
        """
        with self._lock:
            if size in self._assigned:
                return self._assigned[size]
            shape = self._smallest(size)
            if shape is not None:
                self._wasted[size] += _beyond(size, shape)
                if self._wasted[size] <= self.worth:
                    return shape
            if not self._assigned:
                self._assigned[size] = None
                return None
            shape = (_roomy(size[0]), _roomy(size[1]))
            self._shared.add(shape)
            self._assigned[size] = shape
            return shape

    def _smallest(self, size: Size) -> Size | None:
        fitting = [shape for shape in self._shared if shape[0] >= size[0] and shape[1] >= size[1]]
        return min(fitting, key=lambda shape: shape[0] * shape[1], default=None)

    def _share(self, counts: dict[Size, int]) -> None:
        """Put the two groups together that gain most by it, again and again."""
        groups = [[size] for size in counts]

        def cost(group: list[Size]) -> int:
            shape = _around(group)
            return self.worth + sum(counts[size] * _beyond(size, shape) for size in group)

        costs = [cost(group) for group in groups]
        gains = {
            (a, b): costs[a] + costs[b] - cost(groups[a] + groups[b]) for b in range(len(groups)) for a in range(b)
        }
        while gains and max(gains.values()) > 0:
            one, other = max(gains, key=lambda pair: gains[pair])
            groups[one] += groups[other]
            costs[one] = cost(groups[one])
            gains = {pair: gain for pair, gain in gains.items() if other not in pair}
            for pair in [pair for pair in gains if one in pair]:
                gains[pair] = costs[pair[0]] + costs[pair[1]] - cost(groups[pair[0]] + groups[pair[1]])
            groups[other] = []
        for group in groups:
            if len(group) == 1:
                self._assigned[group[0]] = None
            elif group:
                self._shared.add(_around(group))
                self._assigned |= dict.fromkeys(group, _around(group))


def _around(group: list[Size]) -> Size:
    return max(height for height, _ in group), max(width for _, width in group)


def _beyond(size: Size, shape: Size) -> int:
    return shape[0] * shape[1] - size[0] * size[1]


def _roomy(length: int) -> int:
    """The next of eight lengths in each octave, a multiple of 4: an eighth more at most, where that is 4 pixels."""
    step = max(4, (1 << (length - 1).bit_length()) // 16)
    return length + -length % step
