"""A picture's rows split into the batch, with exactly the result of the whole.

The TPU compiler does much better with a batch of eight than with fewer, larger pictures: it then keeps the batch beside
the channels, and takes a third of the cycles for a pixel (`docs/lab/tpu.md`). A window holds a strip of rows and their
halo. Between blocks neighbours exchange halos. The statistics of GFRM are those of the whole picture.
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
FILLS = 8  # pictures, or multiples of it: the sublanes of a TPU
_WORTH = 2.5  # times the rows: a picture takes 0.3 of the cycles in a batch that fills


def choose(batch: int, height: int, platform: str | None = None) -> int:
    """How many strips a device best cuts `batch` pictures of `height` rows into; 1 where that is not to cut them.

    platform: JAX's name for it, the default backend's if None. Only for TPUs more than 1 is known to gain.
    """
    count = FILLS // math.gcd(batch, FILLS) if (platform or jax.default_backend()) == "tpu" else 1
    try:
        cut = Strips(height, count)
    except ValueError:
        return 1
    return count if count * cut.rows <= _WORTH * height else 1


@dataclasses.dataclass(frozen=True)
class Strips:
    """How pictures of `height` rows, a multiple of 4, are cut into `count` strips.

    A window is a strip with its halo. Windows of one picture follow each other in the batch; each begins `step` rows
    after the one before.

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
        """Rows from one window's beginning to the next's."""
        return (self.height - HALO) // self.count // ALIGNMENT * ALIGNMENT

    @property
    def rows(self) -> int:
        """Rows of a window."""
        return self.height - (self.count - 1) * self.step

    @property
    def spans(self) -> list[Span]:
        """What each window reads, and the rows that it gives; each row is given by one."""
        starts = [i * self.step for i in range(self.count)]
        edges = [0, *(start + BEFORE for start in starts[1:]), self.height]
        return [Span(start, self.rows, *edges[i : i + 2]) for i, start in enumerate(starts)]

    def windows(self, x: jax.Array) -> jax.Array:
        """Pictures (N,height,...) -> windows (N * count, rows, ...)."""
        return _merge(jnp.stack([x[:, span.window] for span in self.spans], axis=1))

    def pictures(self, windows: jax.Array) -> jax.Array:
        """What the windows give, put together: (N * count, rows, ...) -> (N,height,...)."""
        parts = self._of_pictures(windows)
        return jnp.concatenate([parts[:, i, span.interior_in_window] for i, span in enumerate(self.spans)], axis=1)

    def refreshed(self, windows: jax.Array) -> jax.Array:
        """The windows with their halos taken from the neighbours: a block computes wrong values where it was cut."""
        if self.count == 1:
            return windows
        size, after = self.rows, self.rows - self.step - BEFORE
        above = self._of_pictures(windows[:, self.step : self.step + BEFORE])[:, :-1]
        below = self._of_pictures(windows[:, size - self.step - after : size - self.step])[:, 1:]
        first = self._of_pictures(windows[:, :BEFORE])[:, :1]
        last = self._of_pictures(windows[:, size - after :])[:, -1:]
        top = _merge(jnp.concatenate([first, above], axis=1))
        bottom = _merge(jnp.concatenate([below, last], axis=1))
        return windows.at[:, :BEFORE].set(top).at[:, size - after :].set(bottom)

    def for_windows(self, values: jax.Array) -> jax.Array:
        """Numbers for each picture (N,C) -> the same for each of its windows (N * count, C)."""
        return jnp.repeat(values, self.count, axis=0)

    def through(self, block: LGBlock, x: jax.Array) -> jax.Array:
        """An L&G block on the windows x: (N * count, rows, ...) -> the same."""
        x = self.refreshed(x)
        z = block.local(x)
        # What `tpu.network` gives is more than an array.
        statistics = self.mean_and_maximum(z) if isinstance(z, jax.Array) else z.statistics(self)
        return block.recalibrate(z, self.for_windows(block.gate(*statistics)), x)

    def mean_and_maximum(self, windows: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean and maximum over each picture, of windows (N * count, rows, W, C) -> two float32 (N,C)."""
        total, maximum = self.total_and_maximum(windows)
        return total / (self.height * windows.shape[2]), maximum

    def total_and_maximum(self, windows: jax.Array, valid: np.ndarray | None = None) -> tuple[jax.Array, jax.Array]:
        """Sum and maximum over each picture, of windows (N * count, rows, W, C) -> two float32 (N,C).

        One pass over them, in which each row of the picture counts once. valid: bool (W,C), what of a row counts.
        """
        # Middle rows are every window's own. Rows above belong to the first window of a picture alone, rows below to
        # the last. All windows are summed, then the first and last are picked: slices of the batch would be copies.
        cuts = (0, BEFORE, BEFORE + self.step, self.rows)
        above, middle, below = (total_and_maximum(windows[:, a:b], valid) for a, b in itertools.pairwise(cuts))
        totals, maxima = zip(above, middle, below, strict=True)
        total = [self._of_pictures(part) for part in totals]
        maximum = [self._of_pictures(part) for part in maxima]
        highest = jnp.maximum(jnp.maximum(maximum[0][:, 0], maximum[1].max(1)), maximum[2][:, -1])
        return total[0][:, 0] + total[1].sum(1) + total[2][:, -1], highest

    def _of_pictures(self, windows: jax.Array) -> jax.Array:
        """(N * count, ...) -> (N, count, ...)"""
        return windows.reshape(-1, self.count, *windows.shape[1:])


def _merge(parts: jax.Array) -> jax.Array:
    return parts.reshape(-1, *parts.shape[2:])
