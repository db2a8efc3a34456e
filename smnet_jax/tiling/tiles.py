"""One picture in tiles on one device, exactly: memory for a tile, time for twice the local part."""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.model import SMNet
from smnet_jax.tiling.scratch import Features, default_folder
from smnet_jax.tiling.windows import Span, spans

Progress = Callable[[float], None]

# Share of a block's multiplications in its pass over the statistics and in the one over the result; the stem's in
# units of a block's. Only the progress bar uses them.
_GATHER, _APPLY, _EMBED = 0.43, 0.57, 0.07


def enhance_tiled(
    model: SMNet,
    variables: Mapping[str, Any],
    low: np.ndarray,
    tile: int | tuple[int, int],
    *,
    progress: Progress | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """The network on one picture (H,W,3) in [0, 1], H and W multiples of 4 -> (H,W,3) float32, not clipped.

    Equal to `model.apply` on the whole picture up to float32 rounding, for every tile size. Each block goes over the
    picture twice, first for the statistics of GFRM (sums in float64), then for the result; the features between blocks
    (width * 4 bytes a pixel) are kept in an unnamed temporary file.

    tile: side of the area that each window contributes, or (rows, columns); the window adds HALO to both.
    progress: is called with the share of the work done, from 0 to 1.
    folder: for the temporary file; $TMPDIR or /var/tmp if None.

    Raises ValueError for another shape, InputError where the folder lacks space.
    """
    if low.ndim != 3 or low.shape[2] != 3 or low.shape[0] % 4 or low.shape[1] % 4:
        raise ValueError(f"low is {low.shape}: must be (H,W,3) with H and W multiples of 4")
    height, width = low.shape[:2]
    tile_rows, tile_columns = (tile, tile) if isinstance(tile, int) else tile
    rows, columns = spans(height, tile_rows), spans(width, tile_columns)
    programs = _programs(model)
    variables = jax.device_put(variables)
    report = _Report(progress, len(rows) * len(columns), model.blocks)
    margin = rows[0].size if len(rows) * len(columns) > 1 else 0
    folder = default_folder() if folder is None else Path(folder)
    features = Features(height, width, model.width, model.dtype, margin, folder)
    result = np.empty((height, width, 3), np.float32)

    for row in features.order(rows):
        for column in columns:
            x = programs.embed(variables, low[row.window, column.window])
            features.write(row.core, column.core, _core(x, row, column))
            report.done(_EMBED)
    for block in range(model.blocks):
        features.turn()
        total, peak = 0.0, -np.inf
        for row in rows:
            for column in columns:
                x = features.read(row.window, column.window)
                sums, top = programs.gather(variables, x, _bounds(row, column))
                total, peak = total + np.asarray(sums).sum(0, dtype=np.float64), np.maximum(peak, top)
                report.done(_GATHER)
        mean = np.asarray(total / (height * width), np.float32)
        weights = programs.gate(variables, mean[None], np.asarray(peak)[None])
        for row in features.order(rows):
            for column in columns:
                x = features.read(row.window, column.window)
                if block < model.blocks - 1:
                    y = programs.apply(variables, x, weights)
                    features.write(row.core, column.core, _core(y, row, column))
                else:
                    y = programs.finish(variables, x, weights, low[row.window, column.window])
                    result[row.core, column.core] = _core(y, row, column)
                report.done(_APPLY)
    return result


class _Programs:
    """The passes over one window (h,w,...), compiled once per window size."""

    def __init__(self, model: SMNet) -> None:
        def embed(variables, low):
            return model.apply(variables, low[None], method="embed")[0]

        def local(variables, x):
            return model.apply(variables, x[None], method="local")

        def gather(variables, x, bounds):
            """Sums over columns (h,3c) and maximum (3c,) of the window's core; the rows are summed in float64."""
            z = local(variables, x)[0].astype(jnp.float32)
            top, bottom, left, right = bounds
            row, column = jnp.arange(z.shape[0])[:, None, None], jnp.arange(z.shape[1])[None, :, None]
            core = (row >= top) & (row < bottom) & (column >= left) & (column < right)
            return jnp.where(core, z, 0).sum(1), jnp.where(core, z, -jnp.inf).max((0, 1))

        def gate(variables, mean, peak):
            return model.apply(variables, mean, peak, method="gate")

        def apply(variables, x, weights):
            return model.apply(variables, local(variables, x), weights, x[None], method="recalibrate")[0]

        def finish(variables, x, weights, low):
            y = apply(variables, x, weights)
            return model.apply(variables, y[None], low[None], method="decode")[0]

        self.embed, self.gather, self.gate = jax.jit(embed), jax.jit(gather), jax.jit(gate)
        self.apply, self.finish = jax.jit(apply), jax.jit(finish)


_programs = functools.lru_cache(maxsize=2)(_Programs)  # so that a folder of equal pictures compiles once


class _Report:
    """Adds up the work done."""

    def __init__(self, progress: Progress | None, tiles: int, blocks: int) -> None:
        self.progress, self.work = progress, 0.0
        self.total = tiles * (_EMBED + blocks * (_GATHER + _APPLY))

    def done(self, work: float) -> None:
        self.work += work
        if self.progress is not None:
            self.progress(min(1.0, self.work / self.total))


def _core(values: jax.Array, row: Span, column: Span) -> np.ndarray:
    return np.asarray(values)[row.core_in_window, column.core_in_window]


def _bounds(row: Span, column: Span) -> np.ndarray:
    rows, columns = row.core_in_window, column.core_in_window
    return np.array([rows.start, rows.stop, columns.start, columns.stop], np.int32)
