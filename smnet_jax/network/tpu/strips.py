"""A picture's rows split into the batch, with exactly the result of the whole.

The TPU compiler does much better with a batch of eight than with fewer, larger pictures: it then keeps the batch beside
the channels, and takes a third of the cycles for a pixel (`docs/lab/tpu.md`). A strip holds rows and their halo.
Between blocks neighbours exchange halos. The statistics of GFRM are those of the whole picture.
"""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.network.definition import LGBlock
from smnet_jax.network.halo import AFTER, ALIGNMENT, BEFORE, HALO, Span
from smnet_jax.network.layers import total_and_maximum

_HALO = max(BEFORE, AFTER)
SUBLANES = 8  # of a TPU: a batch of so many pictures, or of a multiple, fills them
_WORTH = 2.5  # times the rows: a picture takes 0.3 of the cycles in a batch that fills the sublanes


def choose(batch: int, height: int, platform: str | None = None) -> int:
    """How many strips a device best cuts `batch` pictures of `height` rows into; 1 where that is not to cut them.

    platform: JAX's name for it, the default backend's if None. Only for TPUs more than 1 is known to gain.
    """
    count = SUBLANES // math.gcd(batch, SUBLANES) if (platform or jax.default_backend()) == "tpu" else 1
    try:
        cut = Strips(height, count)
    except ValueError:
        return 1
    return count if count * cut.rows <= _WORTH * height else 1


@dataclasses.dataclass(frozen=True)
class Strips:
    """How pictures of `height` rows, a multiple of 4, are cut into `count` strips.

    A strip has its halo with it. Strips of one picture follow each other in the batch; each begins `step` rows after
    the one before.

    Raises ValueError where there are too few rows.
    """

    height: int
    count: int

    def __post_init__(self) -> None:
        if self.height % ALIGNMENT:
            raise ValueError(f"{self.height} rows: must be a multiple of {ALIGNMENT}")
        if self.count < 1 or (self.count > 1 and self.step < _HALO):
            raise ValueError(f"{self.height} rows cannot be cut into {self.count} strips, for what these see is higher")

    @property
    def step(self) -> int:
        """Rows from one strip's beginning to the next's."""
        return (self.height - HALO) // self.count // ALIGNMENT * ALIGNMENT

    @property
    def rows(self) -> int:
        """Rows of a strip, with its halo."""
        return self.height - (self.count - 1) * self.step

    @property
    def spans(self) -> list[Span]:
        """What each strip reads, and its interior; each row is in one interior."""
        starts = [i * self.step for i in range(self.count)]
        edges = [0, *(start + BEFORE for start in starts[1:]), self.height]
        return [Span(start, self.rows, *edges[i : i + 2]) for i, start in enumerate(starts)]

    def split(self, x: jax.Array) -> jax.Array:
        """Pictures (N,height,...) -> strips (N * count, rows, ...)."""
        return _into_batch(jnp.stack([x[:, span.with_halo] for span in self.spans], axis=1))

    def join(self, strips: jax.Array) -> jax.Array:
        """The strips' interiors put together: (N * count, rows, ...) -> (N,height,...)."""
        by_picture = self._by_picture(strips)
        return jnp.concatenate([by_picture[:, i, span.interior_in_tile] for i, span in enumerate(self.spans)], axis=1)

    def exchange_halos(self, strips: jax.Array) -> jax.Array:
        """The strips with their halos taken from the neighbours: a block computes wrong values where it was cut."""
        if self.count == 1:
            return strips
        size, after = self.rows, self.rows - self.step - BEFORE
        above = self._by_picture(strips[:, self.step : self.step + BEFORE])[:, :-1]
        below = self._by_picture(strips[:, size - self.step - after : size - self.step])[:, 1:]
        first = self._by_picture(strips[:, :BEFORE])[:, :1]
        last = self._by_picture(strips[:, size - after :])[:, -1:]
        top = _into_batch(jnp.concatenate([first, above], axis=1))
        bottom = _into_batch(jnp.concatenate([below, last], axis=1))
        return strips.at[:, :BEFORE].set(top).at[:, size - after :].set(bottom)

    def for_strips(self, values: jax.Array) -> jax.Array:
        """Numbers for each picture (N,C) -> the same for each of its strips (N * count, C)."""
        return jnp.repeat(values, self.count, axis=0)

    def through(self, block: LGBlock, x: jax.Array) -> jax.Array:
        """An L&G block on the strips x: (N * count, rows, ...) -> the same."""
        x = self.exchange_halos(x)
        z = block.local(x)
        # What `tpu.network` gives is more than an array.
        statistics = self.mean_and_maximum(z) if isinstance(z, jax.Array) else z.statistics(self)
        return block.recalibrate(z, self.for_strips(block.gate(*statistics)), x)

    def mean_and_maximum(self, strips: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean and maximum over each picture, of strips (N * count, rows, W, C) -> two float32 (N,C)."""
        total, maximum = self.total_and_maximum(strips)
        return total / (self.height * strips.shape[2]), maximum

    def total_and_maximum(self, strips: jax.Array, valid: np.ndarray | None = None) -> tuple[jax.Array, jax.Array]:
        """Sum and maximum over each picture, of strips (N * count, rows, W, C) -> two float32 (N,C).

        One pass over them, in which each row of the picture counts once. valid: bool (W,C), what of a row counts.
        """
        # Middle rows are every strip's own. Rows above belong to the first strip of a picture alone, rows below to
        # the last. All strips are summed, then the first and last are picked: slices of the batch would be copies.
        cuts = (0, BEFORE, BEFORE + self.step, self.rows)
        above, middle, below = (total_and_maximum(strips[:, a:b], valid) for a, b in itertools.pairwise(cuts))
        totals, maxima = zip(above, middle, below, strict=True)
        total = [self._by_picture(part) for part in totals]
        maximum = [self._by_picture(part) for part in maxima]
        highest = jnp.maximum(jnp.maximum(maximum[0][:, 0], maximum[1].max(1)), maximum[2][:, -1])
        return total[0][:, 0] + total[1].sum(1) + total[2][:, -1], highest

    def _by_picture(self, strips: jax.Array) -> jax.Array:
        """(N * count, ...) -> (N, count, ...)"""
        return strips.reshape(-1, self.count, *strips.shape[1:])


def _into_batch(strips: jax.Array) -> jax.Array:
    """(N, count, ...) -> (N * count, ...)"""
    return strips.reshape(-1, *strips.shape[2:])
