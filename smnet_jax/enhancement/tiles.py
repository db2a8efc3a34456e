"""One picture in tiles on one device, exactly: memory for a tile, and little more work than for the whole."""

import contextlib
import functools
import itertools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.enhancement.scratch import Features, SpillCache, default_folder
from smnet_jax.host import allocator
from smnet_jax.network.halo import Span, inner, spans
from smnet_jax.network.model import SMNet

Progress = Callable[[float], None]
Tile = int | tuple[int, int]


def enhance_tiled(
    model: SMNet,
    variables: Mapping[str, Any],
    low: np.ndarray,
    tile: Tile,
    *,
    keep: bool = True,
    progress: Progress | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> tuple[np.ndarray, "Done"]:
    """The network on one picture (H,W,3) in [0, 1], H and W multiples of 4 -> (H,W,3) float32, not clipped.

    Equal to `model.apply` on the whole picture up to float32 rounding, for every tile size. Each block goes over the
    picture twice: first for the statistics of GFRM (sums in float64), then for the result. The features between blocks
    (width * 4 bytes a pixel) lie in an unnamed temporary file.

    tile: side of a tile's interior, or its (rows, columns); with its halo a tile has HALO more on each axis.
    keep: spill what the first pass computes into a second file, three times as large. The second pass computes again
        what the file has no room for.
    progress: is called with the share of the work done, from 0 to 1.
    folder: for the temporary files; $TMPDIR or /var/tmp if None.

    Raises ValueError for another shape, InputError where the folder lacks space.
    """
    if low.ndim != 3 or low.shape[2] != 3 or low.shape[0] % 4 or low.shape[1] % 4:
        raise ValueError(f"low is {low.shape}: must be (H,W,3) with H and W multiples of 4")
    height, width = low.shape[:2]
    cut = _cut(height, width, tile)
    programs = programs_for(model, cut.size, cut.inner)
    variables = jax.device_put(variables)
    folder = default_folder() if folder is None else Path(folder)
    features = Features(height, width, model.width, model.dtype, cut.size[0] if len(cut.tiles) > 1 else 0, folder)
    kept = SpillCache(len(cut.tiles) if keep else 0, (*cut.inner, 3 * model.width), model.dtype, folder)
    report = _Report(progress, programs.operations(len(cut.tiles), again=0 if keep else len(cut.tiles) * model.blocks))
    result = np.empty((height, width, 3), np.float32)

    # What is read lies in memory that the next reading uses again, so each result is waited for before that.
    def local(at: "_Tile") -> Any:
        x = jax.device_put(features.read(at.row.with_halo, at.column.with_halo))
        found = jax.block_until_ready(programs.local(variables, x, at.bounds, at.offset))
        report.done(programs.local)
        return found

    # Functions, so that nothing of one tile is held while the next is computed: it would count as its memory.
    def gather(at: "_Tile") -> tuple[np.ndarray, np.ndarray]:
        started = time.perf_counter()
        z, sums, top = local(at)
        kept.offer(at.number, np.asarray(z), time.perf_counter() - started)
        return np.asarray(sums), np.asarray(top)

    def finish(at: "_Tile", weights: jax.Array, last: bool) -> None:
        z = kept.get(at.number)
        z = local(at)[0] if z is None else jax.device_put(z)
        row, column = at.inner_row, at.inner_column
        x = jax.device_put(features.read(row.with_halo, column.with_halo))
        if last:
            y = programs.decode(variables, z, weights, x, low[row.with_halo, column.with_halo])
            result[row.interior, column.interior] = _interior(y, row, column)
            report.done(programs.decode)
        else:
            y = programs.finish(variables, z, weights, x)
            features.write(row.interior, column.interior, _interior(y, row, column))
            report.done(programs.finish)

    with contextlib.closing(kept):
        for at in features.order(cut.tiles):
            x = programs.embed(variables, low[at.row.with_halo, at.column.with_halo])
            features.write(at.row.interior, at.column.interior, _interior(x, at.row, at.column))
            report.done(programs.embed)
        for block in range(model.blocks):
            features.turn()
            kept.forget()
            total, maximum = 0.0, -np.inf
            allocator.return_freed_memory()
            for at in cut.tiles:
                sums, top = gather(at)
                total, maximum = total + sums.sum(0, dtype=np.float64), np.maximum(maximum, top)
            mean = np.asarray(total / (height * width), np.float32)
            weights = programs.gate(variables, mean[None], np.asarray(maximum)[None])
            allocator.return_freed_memory()
            for at in features.order(cut.tiles):
                finish(at, weights, last=block == model.blocks - 1)
    return result, Done(len(cut.tiles), report.work / whole_operations(model, height, width))


def prepare(model: SMNet, height: int, width: int, tile: Tile) -> None:
    """Compile what `enhance_tiled` needs, ahead of it."""
    cut = _cut(height, width, tile)
    programs = programs_for(model, cut.size, cut.inner)
    for program in (programs.embed, programs.local, programs.gate, programs.finish, programs.decode):
        _ = program.compiled


class Done(NamedTuple):
    """What it took: number of tiles, and operations over those of the whole picture at once.

    Both counted by JAX in the programs that it hands to the compiler.
    """

    tiles: int
    work: float


class _Tile(NamedTuple):
    """One tile: `row` and `column` while the local part is computed, `inner_*` once the gate is known."""

    number: int
    row: Span
    column: Span
    inner_row: Span
    inner_column: Span

    @property
    def bounds(self) -> np.ndarray:
        """Where the interior lies in the tile: top, bottom, left, right."""
        rows, columns = self.row.interior_in_tile, self.column.interior_in_tile
        return np.array([rows.start, rows.stop, columns.start, columns.stop], np.int32)

    @property
    def offset(self) -> np.ndarray:
        """Where the inner tile begins in the tile."""
        return np.array([self.inner_row.start - self.row.start, self.inner_column.start - self.column.start], np.int32)


class _Cut(NamedTuple):
    """A picture cut into tiles of one size."""

    tiles: list[_Tile]
    """By rows of tiles, from the top."""
    size: tuple[int, int]
    inner: tuple[int, int]


def _cut(height: int, width: int, tile: Tile) -> _Cut:
    tile_rows, tile_columns = (tile, tile) if isinstance(tile, int) else tile
    rows, columns = spans(height, tile_rows), spans(width, tile_columns)
    inner_rows, inner_columns = inner(rows), inner(columns)
    tiles = [
        _Tile(number, rows[i], columns[j], inner_rows[i], inner_columns[j])
        for number, (i, j) in enumerate(itertools.product(range(len(rows)), range(len(columns))))
    ]
    return _Cut(tiles, (rows[0].size, columns[0].size), (inner_rows[0].size, inner_columns[0].size))


# Of a tile, memory is what matters. XLA's other schedule, made for operations that run beside each other, takes half
# as much again, for 3 % of the time: here each operation shares out the cores by itself.
_OPTIONS: dict[str, dict[str, str | bool]] = {"cpu": {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}}


class Program:
    """A function compiled at its first call, which knows the operations it takes."""

    def __init__(self, function: Callable[..., Any], *kinds: Any) -> None:
        self.lowered = jax.jit(function).lower(*kinds)
        self.operations = _count(self.lowered)

    @functools.cached_property
    def compiled(self) -> Any:
        return self.lowered.compile(compiler_options=_OPTIONS.get(jax.default_backend()))

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled(*arguments)


class Programs:
    """The passes over one tile (h,w,...) and its inner part."""

    def __init__(self, model: SMNet, size: tuple[int, int], inner: tuple[int, int]) -> None:
        def embed(variables, low):
            return model.apply(variables, low[None], method="embed")[0]

        def local(variables, x, bounds, offset):
            """Local features of the inner tile; the interior's sums over columns (h,3c), whose rows are summed in
            float64; the interior's maximum (3c,)."""
            found: Any = model.apply(variables, x[None], method="local")
            z = found[0].astype(jnp.float32)
            top, bottom, left, right = bounds
            row, column = jnp.arange(z.shape[0])[:, None, None], jnp.arange(z.shape[1])[None, :, None]
            interior = (row >= top) & (row < bottom) & (column >= left) & (column < right)
            sums, maximum = jnp.where(interior, z, 0).sum(1), jnp.where(interior, z, -jnp.inf).max((0, 1))
            return lax.dynamic_slice(found[0], (*offset, 0), (*inner, z.shape[2])), sums, maximum

        def gate(variables, mean, maximum):
            return model.apply(variables, mean, maximum, method="gate")

        def finish(variables, z, weights, x):
            return model.apply(variables, z[None], weights, x[None], method="recalibrate")[0]

        def decode(variables, z, weights, x, low):
            y = finish(variables, z, weights, x)
            return model.apply(variables, y[None], low[None], method="decode")[0]

        def array(*shape: int, dtype: Any = model.dtype) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape, dtype)

        variables, c = _abstract(model), model.width
        corners = array(4, dtype=jnp.int32), array(2, dtype=jnp.int32)
        statistics = array(1, 3 * c, dtype=jnp.float32)
        after_gate = array(*inner, 3 * c), statistics, array(*inner, c)
        self.embed = Program(embed, variables, array(*size, 3, dtype=jnp.float32))
        self.local = Program(local, variables, array(*size, c), *corners)
        self.gate = Program(gate, variables, statistics, statistics)
        self.finish = Program(finish, variables, *after_gate)
        self.decode = Program(decode, variables, *after_gate, array(*inner, 3, dtype=jnp.float32))
        self.blocks = model.blocks

    def operations(self, tiles: int, again: int) -> float:
        """Of a picture in so many tiles, with `again` local parts computed a second time."""
        after = (self.blocks - 1) * self.finish.operations + self.decode.operations
        return tiles * (self.embed.operations + after) + (tiles * self.blocks + again) * self.local.operations


programs_for = functools.lru_cache(maxsize=2)(Programs)  # so that a folder of equal pictures compiles once


def _abstract(model: SMNet) -> Any:
    """The network's variables without their values."""
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))


def _count(lowered: Any) -> float:
    return (lowered.cost_analysis() or {}).get("flops", 0.0)


@functools.lru_cache(maxsize=16)
def whole_operations(model: SMNet, height: int, width: int) -> float:
    """Operations of the picture at once."""
    low = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
    return _count(jax.jit(lambda variables, low: model.apply(variables, low)).lower(_abstract(model), low))


class _Report:
    """Adds up the work done."""

    def __init__(self, progress: Progress | None, total: float) -> None:
        self.progress, self.work, self.total = progress, 0.0, total

    def done(self, program: Program) -> None:
        self.work += program.operations
        if self.progress is not None:
            self.progress(min(1.0, self.work / self.total))


def _interior(values: jax.Array, row: Span, column: Span) -> np.ndarray:
    return np.asarray(values)[row.interior_in_tile, column.interior_in_tile]
