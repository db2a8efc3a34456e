"""Where to cut: tiles that overlap by what the network sees, all of one size.

All cuts lie on multiples of four, where the pixels of all three scales meet. What begins at such a cut depends, the
gate aside, on the block's input up to 26 pixels before it, and what ends at one up to 23 pixels after it (the
resampling layers see further before than after). The 3x3 convolutions that follow, of the block and of the head, look
one pixel further each, but there the local features still depend on nothing that lies further away. Rounded to
multiples of four, that makes 28 and 24.

Once the gate is known only those two 3x3 convolutions are left: what they need is REACH pixels around what is given.

At the picture's border a tile ends where the picture ends, so the network treats that border as it always does
(zeros, reflection, clamping). Where a tile is cut inside the picture the same happens, wrongly, but no deeper than
the halo, and those pixels are another tile's to give.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

BEFORE = 28  # pixels of halo above and left of what a tile gives
AFTER = 24  # below and right of it
HALO = BEFORE + AFTER
ALIGNMENT = 4
REACH = 2  # of the block's last convolution and the head's


@dataclass(frozen=True)
class Span:
    """One tile along one axis: it reads [start, start + size) and gives [first, last)."""

    start: int
    size: int
    first: int
    last: int

    @property
    def with_halo(self) -> slice:
        """What it reads, in the picture."""
        return slice(self.start, self.start + self.size)

    @property
    def interior(self) -> slice:
        """What it gives, in the picture."""
        return slice(self.first, self.last)

    @property
    def interior_in_tile(self) -> slice:
        """What it gives, in the tile."""
        return slice(self.first - self.start, self.last - self.start)


def spans(length: int, interior: int) -> list[Span]:
    """Cut an axis of `length` pixels, a multiple of 4, into tiles with interiors of at most about `interior` pixels.

    All tiles have one size, at most `interior` (rounded up to a multiple of 4) plus HALO: one compiled program
    serves them all. They are spread evenly, and every pixel is in exactly one tile's interior.
    """
    interior = max(1, math.ceil(interior / ALIGNMENT)) * ALIGNMENT
    return evenly(length, max(1, math.ceil((length - HALO) / interior)))


def evenly(length: int, count: int) -> list[Span]:
    """Cut an axis of `length` pixels into `count` tiles of one size, spread evenly; each pixel is in one interior."""
    if length % ALIGNMENT:
        raise ValueError(f"{length} pixels: must be a multiple of {ALIGNMENT}")
    if count == 1:
        return [Span(0, length, 0, length)]
    inner = length - HALO  # the two tiles at the ends need no halo there, and give that much more
    if inner < count * ALIGNMENT:
        raise ValueError(f"{length} pixels cannot be cut into {count} tiles with {HALO} pixels of halo")
    size = math.ceil(inner / count / ALIGNMENT) * ALIGNMENT + HALO
    starts = [i * (length - size) // (count - 1) // ALIGNMENT * ALIGNMENT for i in range(count)]
    edges = [0, *(start + BEFORE for start in starts[1:]), length]
    return [Span(start, size, edges[i], edges[i + 1]) for i, start in enumerate(starts)]


def inner(cut: Sequence[Span]) -> list[Span]:
    """The part of each tile that is still needed once the gate is known: its interior and REACH around it.

    All have one size again. Unlike the tiles they begin anywhere: what is left to do knows only one scale.
    """
    size = min(cut[0].size, max(span.last - span.first for span in cut) + 2 * REACH)
    return [
        Span(min(max(span.first - REACH, span.start), span.start + span.size - size), size, span.first, span.last)
        for span in cut
    ]
