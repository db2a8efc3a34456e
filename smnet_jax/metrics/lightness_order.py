"""LOE, the lightness order error."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.errors import InputError
from smnet_jax.metrics import extents
from smnet_jax.metrics.inputs import checked, levels
from smnet_jax.metrics.resize import imresize, imresize_by, passes

Sampling = Literal["bicubic", "nearest"]
SIDE = 50  # the shorter side is reduced to this
ROWS = 128  # pixels compared with all others at a time: bounds the memory
Reduction = dict[str, Any]


def loe(
    low: jax.typing.ArrayLike,
    enhanced: jax.typing.ArrayLike,
    *,
    sampling: Sampling = "bicubic",
    reduction: Reduction | None = None,
) -> jax.Array:
    """Lightness order error, one per picture: how often enhancement turns "at least as bright as" around.

    Lightness is max(R, G, B). Both pictures are reduced until the shorter side has 50 pixels. For each pixel, count
    the pixels whose relation to it (>= or not) differs between the two pictures; LOE is the mean of these counts.

    Range: 0 (for identical pictures, or any strictly rising tone curve that merges no levels) up to the number of
    reduced pixels, 3750 for 3:2; lower is better. Needs no reference: the INPUT comes first, its enhanced version
    second. Depends on aspect ratio and on the reduction, so compare only like with like:

    - "bicubic" (default): MATLAB's imresize on uint8, antialiased, as the code circulated for Wang et al. does it. It
      averages over blocks, so it is nearly blind to noise.
    - "nearest": every k-th pixel, k = shorter side / 50, from the middle of its cell. Sees the noise of each pixel, and
      mostly gives higher values.

    (A third variant takes local maxima over 15x15 pixels first. LOE is not differentiable: its gradient is zero.)

    Args:
      low, enhanced: (N, H, W, C), both uint8 or both floats in [0, 1]; at least 50x50 pixels. "bicubic" rounds
        floats to 256 levels, after each pass; "nearest" compares them as they are.
      reduction: from `loe_reduction`, for pictures in the upper left corners of larger arrays; None: they fill them.

    Returns:
      (N,) float32; counts are exact integers.

    Raises:
      InputError: shapes or types differ, values leave the range (not checked under jit), or the picture is too small.

    Source: Wang, Zheng, Hu, Li, "Naturalness preserved enhancement algorithm for non-uniform illumination images", IEEE
    TIP 22(9), 2013.
    """
    if sampling not in get_args(Sampling):
        raise ValueError(f"loe: sampling is {sampling!r}; it is one of {', '.join(get_args(Sampling))}")
    pair = checked("loe", low, enhanced, minimum=SIDE, names=("low", "enhanced"))
    if reduction is None:
        return _loe(*pair, sampling=sampling)
    return _loe_by(*pair, reduction, sampling=sampling)


def loe_reduction(
    sizes: Sequence[tuple[int, int]],
    shape: tuple[int, int],
    *,
    sampling: Sampling = "bicubic",
    grid: tuple[int, int] | None = None,
) -> Reduction:
    """How `loe` reduces pictures of `sizes` (rows, columns) that lie in arrays of `shape`: arrays with N first.

    They depend on sizes, so a compiled program takes them as arguments. `grid`: rows and columns that the reduced
    pictures lie in, `loe_grid` of the sizes at least; programs are compiled for one.
    Raises InputError where a picture is too small.
    """
    if min(min(size) for size in sizes) < SIDE:
        raise InputError(f"loe: sizes {list(sizes)}; both sides must be at least {SIDE}")
    grid = grid or loe_grid(sizes)
    reduced = [_reduced(size) for size in sizes]
    arrays: Reduction = {"sizes": np.array(sizes, np.int32), "reduced": np.array(reduced, np.int32)}
    for axis, name in enumerate(("rows", "columns")):
        if sampling == "bicubic":
            arrays[name] = np.zeros((len(sizes), 2, grid[axis], shape[axis]), np.float32)
            for array, size, small in zip(arrays[name], sizes, reduced, strict=True):
                array[:, : small[axis], : size[axis]] = passes(size[axis], small[axis])
        else:
            arrays[name] = np.zeros((len(sizes), grid[axis]), np.int32)
            for array, size, small in zip(arrays[name], sizes, reduced, strict=True):
                array[: small[axis]] = _middles(small[axis], size[axis], min(size))
    # What `imresize` decides: the side that shrinks most goes first, of equal ones the rows.
    arrays["rows_first"] = np.array([r[0] / s[0] <= r[1] / s[1] for r, s in zip(reduced, sizes, strict=True)])
    return arrays


def loe_grid(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The rows and columns that have room for the reduced pictures of all `sizes`."""
    return max(_reduced(size)[0] for size in sizes), max(_reduced(size)[1] for size in sizes)


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    height, width = ((2 * SIDE * side + min(size)) // (2 * min(size)) for side in size)  # to the nearest, halves up
    return height, width


@functools.partial(jax.jit, static_argnames="sampling")
def _loe(low: jax.Array, enhanced: jax.Array, *, sampling: Sampling) -> jax.Array:
    size = _reduced((low.shape[1], low.shape[2]))
    reduce = imresize if sampling == "bicubic" else _sampled
    before, after = (reduce(jnp.max(levels(images), -1), *size).reshape(len(low), -1) for images in (low, enhanced))
    return jax.vmap(lambda b, a: _mean_disagreement(b, a, None))(before, after)


@functools.partial(jax.jit, static_argnames="sampling")
def _loe_by(low: jax.Array, enhanced: jax.Array, reduction: Reduction, *, sampling: Sampling) -> jax.Array:
    lightness = []
    for images in (low, enhanced):
        planes = extents.within(jnp.max(levels(images), -1), reduction["sizes"])
        if sampling == "bicubic":
            planes = imresize_by(planes, reduction["rows"], reduction["columns"], reduction["rows_first"])
        else:
            planes = jnp.take_along_axis(planes, jnp.expand_dims(reduction["rows"], 2), 1, mode="clip")
            planes = jnp.take_along_axis(planes, jnp.expand_dims(reduction["columns"], 1), 2, mode="clip")
        lightness.append(planes)
    there = jnp.broadcast_to(extents.inside(lightness[0], reduction["reduced"]), lightness[0].shape)
    return jax.vmap(_mean_disagreement)(*(each.reshape(len(low), -1) for each in (*lightness, there)))


def _sampled(planes: jax.Array, height: int, width: int) -> jax.Array:
    """Every k-th pixel, k = shorter side / 50 in both directions, from the middle of the cells; (N, H, W) -> reduced.

    The middle (i + 1/2) k - 1/2 is rounded to the nearest pixel, halves to the even one, in integers: floats would let
    rounding noise choose between two pixels equally near.
    """
    shorter = min(planes.shape[1:])
    for axis, n in ((1, height), (2, width)):
        planes = jnp.take(planes, _middles(n, planes.shape[axis], shorter), axis)
    return planes


def _middles(count: int, length: int, shorter: int) -> np.ndarray:
    whole, hundredths = np.divmod((2 * np.arange(count) + 1) * shorter - SIDE, 2 * SIDE)
    index = whole + (hundredths > SIDE) + ((hundredths == SIDE) & (whole % 2 == 1))
    return np.minimum(index, length - 1)


def _mean_disagreement(before: jax.Array, after: jax.Array, there: jax.Array | None) -> jax.Array:
    """Mean over i of the number of j with (before[i] >= before[j]) != (after[i] >= after[j]); (P,), (P,) -> ().

    there: which of them are pixels, (P,); None: all.
    """
    count = before.shape[0]
    # Rows of the P x P table by the block; the last block is filled up with pixels that are not counted.
    filled = jnp.arange(-(-count // ROWS) * ROWS) % count
    counted = jnp.arange(len(filled)) < count
    if there is not None:
        counted &= there[filled]

    def differing(rows: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        index, b, a = rows
        differ = (b[:, None] >= before[None]) != (a[:, None] >= after[None])
        if there is not None:
            differ &= there[None]
        return jnp.where(index, jnp.sum(differ, 1, dtype=jnp.int32), 0)

    blocks = tuple(part.reshape(-1, ROWS) for part in (counted, before[filled], after[filled]))
    rows = lax.map(differing, blocks)
    # The total is exact while it fits 31 bits: below 46340 reduced pixels, or pictures 18 times as long as high.
    total = jnp.sum(rows if count <= 46340 else rows.astype(jnp.float32))
    if there is None:
        return total / count
    return total.astype(jnp.float32) / jnp.sum(there, dtype=jnp.float32)
