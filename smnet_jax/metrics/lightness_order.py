"""LOE, the lightness order error."""

import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.metrics.inputs import checked, levels
from smnet_jax.metrics.resize import imresize

Sampling = Literal["bicubic", "nearest"]
SIDE = 50  # the shorter side is reduced to this
ROWS = 128  # pixels compared with all others at a time: bounds the memory


def loe(low: jax.typing.ArrayLike, enhanced: jax.typing.ArrayLike, *, sampling: Sampling = "bicubic") -> jax.Array:
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

    Returns:
      (N,) float32; counts are exact integers.

    Raises:
      InputError: shapes or types differ, values leave the range (not checked under jit), or the picture is too small.

    Source: Wang, Zheng, Hu, Li, "Naturalness preserved enhancement algorithm for non-uniform illumination images", IEEE
    TIP 22(9), 2013.
    """
    if sampling not in get_args(Sampling):
        raise ValueError(f"loe: sampling is {sampling!r}; it is one of {', '.join(get_args(Sampling))}")
    return _loe(*checked("loe", low, enhanced, minimum=SIDE, names=("low", "enhanced")), sampling=sampling)


@functools.partial(jax.jit, static_argnames="sampling")
def _loe(low: jax.Array, enhanced: jax.Array, *, sampling: Sampling) -> jax.Array:
    height, width = low.shape[1:3]
    shorter = min(height, width)
    size = [(2 * SIDE * side + shorter) // (2 * shorter) for side in (height, width)]  # to the nearest, halves up
    reduce = imresize if sampling == "bicubic" else _sampled
    before, after = (reduce(jnp.max(levels(images), -1), *size).reshape(len(low), -1) for images in (low, enhanced))
    return jax.vmap(_mean_disagreement)(before, after)


def _sampled(planes: jax.Array, height: int, width: int) -> jax.Array:
    """Every k-th pixel, k = shorter side / 50 in both directions, from the middle of the cells; (N, H, W) -> reduced.

    The middle (i + 1/2) k - 1/2 is rounded to the nearest pixel, halves to the even one, in integers: floats would let
    rounding noise choose between two pixels equally near.
    """
    shorter = min(planes.shape[1:])
    for axis, n in ((1, height), (2, width)):
        whole, hundredths = np.divmod((2 * np.arange(n) + 1) * shorter - SIDE, 2 * SIDE)
        index = whole + (hundredths > SIDE) + ((hundredths == SIDE) & (whole % 2 == 1))
        planes = jnp.take(planes, np.minimum(index, planes.shape[axis] - 1), axis)
    return planes


def _mean_disagreement(before: jax.Array, after: jax.Array) -> jax.Array:
    """Mean over i of the number of j with (before[i] >= before[j]) != (after[i] >= after[j]); (P,), (P,) -> ()."""
    count = before.shape[0]
    # Rows of the P x P table by the block; the last block is filled up with pixels that are not counted.
    filled = jnp.arange(-(-count // ROWS) * ROWS) % count
    counted = jnp.arange(len(filled)) < count

    def differing(rows: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        index, b, a = rows
        differ = (b[:, None] >= before[None]) != (a[:, None] >= after[None])
        return jnp.where(index, jnp.sum(differ, 1, dtype=jnp.int32), 0)

    blocks = tuple(part.reshape(-1, ROWS) for part in (counted, before[filled], after[filled]))
    rows = lax.map(differing, blocks)
    # The total is exact while it fits 31 bits: below 46340 reduced pixels, or pictures 18 times as long as high.
    return jnp.sum(rows if count <= 46340 else rows.astype(jnp.float32)) / count
