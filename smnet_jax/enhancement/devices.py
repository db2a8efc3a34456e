"""Rows of one picture over several devices, exactly: each holds a window, and neighbours exchange their halos."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from smnet_jax.network.halo import AFTER, ALIGNMENT, BEFORE, Span, evenly
from smnet_jax.network.model import SMNet

# Rows lent to each neighbour. Where the rows do not divide evenly a window has up to four more than AFTER needs.
_BORROWED = max(BEFORE, AFTER + ALIGNMENT)


def enhance_in_rows(model: SMNet, variables: Mapping[str, Any], low: np.ndarray, mesh: Mesh) -> np.ndarray:
    """The network on one picture (H,W,3) in [0, 1], H and W multiples of 4 -> (H,W,3) float32, not clipped.

    Every device of `mesh` (one axis) computes some rows; equal to one device up to float32 rounding. Besides the
    statistics, neighbours exchange 28 rows of features per block and direction. Where the mesh spans several
    processes, each gets the rows of its own devices, and NaN for the others'.

    Raises ValueError where the picture has too few rows for so many devices.
    """
    if low.ndim != 3 or low.shape[2] != 3 or low.shape[0] % 4 or low.shape[1] % 4:
        raise ValueError(f"low is {low.shape}: must be (H,W,3) with H and W multiples of 4")
    rows = evenly(low.shape[0], mesh.size)
    if any(row.last - row.first < _BORROWED for row in rows):
        raise ValueError(f"{low.shape[0]} rows are too few for {mesh.size} devices: each needs at least {_BORROWED}")
    by_row = NamedSharding(mesh, P(mesh.axis_names[0]))
    size = rows[0].size

    def row_of(index: Any) -> Span:
        return rows[(index[0].start or 0) // size]

    windows = jax.make_array_from_callback(
        (len(rows) * size, *low.shape[1:]), by_row, lambda index: low[row_of(index).window]
    )
    results = program(model, mesh, low.shape[0])(jax.device_put(variables, NamedSharding(mesh, P())), windows)
    picture = np.full(low.shape, np.nan, np.float32)
    for shard in results.addressable_shards:
        row = row_of(shard.index)
        picture[row.core] = np.asarray(shard.data)[row.core_in_window]
    return picture


@functools.lru_cache(maxsize=4)
def program(model: SMNet, mesh: Mesh, height: int) -> Any:
    """The jitted function of (variables, windows stacked along the rows) for pictures of `height` rows."""
    axis, rows = mesh.axis_names[0], evenly(height, mesh.size)

    def enhance(variables: Any, low: jax.Array) -> jax.Array:
        place = lax.axis_index(axis)
        low = low[None]
        x: Any = refresh(model.apply(variables, low, method="embed"), place)
        for block in range(model.blocks):
            z: Any = model.apply(variables, x, method="local")
            weights = model.apply(variables, *statistics(z, place), method="gate")
            x = model.apply(variables, z, weights, x, method="recalibrate")
            if block < model.blocks - 1:
                x = refresh(x, place)
        return model.apply(variables, x, low, method="decode")[0]

    def statistics(z: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array]:
        inside = _inside(rows, place)[:, None]
        z = z.astype(jnp.float32)
        sums = jnp.where(inside, z.sum(2), 0).sum(1)
        peak = jnp.where(inside, z.max(2), -jnp.inf).max(1)
        return lax.psum(sums, axis) / (height * z.shape[2]), lax.pmax(peak, axis)

    def refresh(x: Any, place: jax.Array) -> jax.Array:
        """Replace the window's halo, wrong where it was cut, by the neighbours' own rows."""
        size, count = rows[0].size, len(rows)
        if count == 1:
            return x
        starts = jnp.array([row.start for row in rows])
        # The first rows of the next window and the last of the previous one, both out of this window.
        to_next = jnp.clip(starts[jnp.minimum(place + 1, count - 1)] - starts[place], 0, size - _BORROWED)
        to_previous = size - _BORROWED - (starts[place] - starts[jnp.maximum(place - 1, 0)])
        above = lax.ppermute(
            lax.dynamic_slice_in_dim(x, to_next, _BORROWED, 1), axis, [(i, i + 1) for i in range(count - 1)]
        )
        below = lax.ppermute(
            lax.dynamic_slice_in_dim(x, jnp.maximum(to_previous, 0), _BORROWED, 1),
            axis,
            [(i, i - 1) for i in range(1, count)],
        )
        borrowed = jnp.concatenate([above, x[:, _BORROWED:-_BORROWED], below], axis=1)
        return jnp.where(_inside(rows, place)[:, None, None], x, borrowed)

    sharded = jax.shard_map(enhance, mesh=mesh, in_specs=(P(), P(axis)), out_specs=P(axis))
    return jax.jit(sharded)


def _inside(rows: list[Span], place: jax.Array) -> jax.Array:
    """Which rows of the window of device number `place` are its own, (size,) of bool."""
    number = jnp.arange(rows[0].size)
    cores = jnp.array([[row.core_in_window.start, row.core_in_window.stop] for row in rows])
    return (number >= cores[place, 0]) & (number < cores[place, 1])
