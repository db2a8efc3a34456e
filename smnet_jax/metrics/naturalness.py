"""NIQE, the natural image quality evaluator: how far the statistics of a picture are from those of good photographs."""

import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.errors import InputError
from smnet_jax.metrics import extents
from smnet_jax.metrics.color import luma, plane
from smnet_jax.metrics.inputs import checked_alone, checked_sizes, levels
from smnet_jax.metrics.resize import halved
from smnet_jax.metrics.windows import gaussian

BLOCK = 96  # pixels: statistics are taken of blocks of this side, and of the same blocks at half size
WINDOW = gaussian(7, 7 / 6)
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # whose products with a pixel are counted
PARAMETERS = Path(__file__).with_name("niqe.npz")  # as the authors released them; see NOTICE


def niqe(images: jax.typing.ArrayLike, *, sizes: jax.typing.ArrayLike | None = None) -> jax.Array:
    """Natural image quality evaluator, one per picture: lower is better, and no reference is needed.

    Each block of 96x96 pixels gives 36 numbers: shapes and widths of generalised Gaussians, fitted to locally
    normalised luma and to products of neighbours, at full and at half size. NIQE is the distance between the Gaussian
    of these numbers over the picture and the one over 125 good photographs, which the authors released.

    Good photographs have about 2 to 4; noise, blur and compression give more. It measures texture, not brightness: a
    dark photo without noise may score well. Pixels beyond the last whole block are left out.

    Args:
      images: (N, H, W, 3) or (N, H, W, 1), uint8 or floats in [0, 1]; room for two blocks, 96x192 pixels at least.
        Luma is rounded to whole levels, as MATLAB's rgb2gray does.
      sizes: (N, 2) rows and columns of pictures in the upper left corners of larger arrays; None: they fill them.

    Returns:
      (N,) float32; not a number where fewer than two blocks have any contrast. Its gradient is of no use.

    Raises:
      InputError: the type is another, values leave the range (not checked under jit), or the picture is too small.

    Source: Mittal, Soundararajan, Bovik, "Making a 'completely blind' image quality analyzer", IEEE Signal Processing
    Letters 20(3), 2013.
    """
    checked = checked_alone("niqe", images, channels=(1, 3))
    height, width = checked.shape[1:3]
    if (height // BLOCK) * (width // BLOCK) < 2:
        raise InputError(
            f"niqe: pictures of {width}x{height} pixels are too small; there must be room for two blocks of "
            f"{BLOCK}x{BLOCK}, {2 * BLOCK}x{BLOCK} at least"
        )
    whole = checked[:, : height // BLOCK * BLOCK, : width // BLOCK * BLOCK]
    if whole.dtype == jnp.uint8 and whole.shape[-1] == 3:
        whole = luma(whole)
    return _niqe(jnp.round(plane(levels(whole))), checked_sizes("niqe", sizes, checked, minimum=BLOCK))


@jax.jit
def _niqe(gray: jax.Array, sizes: extents.Sizes) -> jax.Array:
    """Of whole levels 0..255 and whole blocks, (N, H, W) float32 -> (N,); pictures of `sizes` have some, too."""
    rows, columns = (side // BLOCK for side in gray.shape[1:])
    counts = None if sizes is None else sizes // BLOCK
    features = []
    for scale in (1, 2):
        side = BLOCK // scale
        ends = None if counts is None else counts * side
        blocks = _normalised(gray, ends).reshape(-1, rows, side, columns, side)
        features.append(_features(jnp.moveaxis(blocks, 3, 2).reshape(-1, rows * columns, side, side)))
        if scale == 1:
            gray = halved(gray, ends)
    numbers = jnp.concatenate(features, -1)  # (N, blocks, 36)
    if counts is not None:  # a block beyond the picture is one without contrast
        there = extents.inside(jnp.zeros((len(gray), rows, columns)), counts)
        numbers = jnp.where(there.reshape(len(gray), rows * columns, 1), numbers, jnp.nan)
    return jax.vmap(_distance)(numbers)


def _normalised(gray: jax.Array, sizes: extents.Sizes) -> jax.Array:
    """Each pixel less the mean around it, over the deviation around it plus one, (N, H, W); the rim is repeated.

    Differences from the pixel itself are summed, not levels: in float32 the variance of levels near 255 would be wrong
    by more than that of a smooth sky.
    """
    size = len(WINDOW)
    padded = gray
    for axis in (-2, -1):
        padded = extents.padded(padded, axis, (size // 2, size // 2), "edge", sizes)
    weights = jnp.asarray(np.outer(WINDOW, WINDOW), jnp.float32)

    def add(tap: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        row, column = tap // size, tap % size
        difference = jax.lax.dynamic_slice(padded, (0, row, column), gray.shape) - gray
        weighted = weights[row, column] * difference
        return sums[0] + weighted, sums[1] + weighted * difference

    # A loop, not 49 terms written out: XLA would take 15 seconds to compile those.
    mean, square = jax.lax.fori_loop(0, size * size, add, (jnp.zeros_like(gray), jnp.zeros_like(gray)))
    return -mean / (jnp.sqrt(jnp.maximum(square - mean**2, 0)) + 1)


def _features(blocks: jax.Array) -> jax.Array:
    """Eighteen numbers of each block, (..., S, S) -> (..., 18)."""
    # A block's own other side stands in for what lies beyond it.
    products = [blocks * jnp.roll(blocks, shift, (-2, -1)) for shift in NEIGHBOURS]
    shape, left, right, factor = _fitted(jnp.stack([blocks, *products]))
    features = [shape[0], (left[0] + right[0]) / 2]
    for k in range(1, 1 + len(NEIGHBOURS)):
        features += [shape[k], (right[k] - left[k]) * factor[k], left[k], right[k]]
    return jnp.stack(features, -1)


def _fitted(values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Asymmetric generalised Gaussian of (..., S, S): shape, left and right width, and what their difference times is
    the mean; each (...). Not a number where one side has no value."""
    axes = (-2, -1)
    squares = values**2
    below, above = values < 0, values > 0
    left, right = (
        jnp.sqrt(jnp.sum(jnp.where(side, squares, 0), axes) / jnp.sum(side, axes, dtype=jnp.float32))
        for side in (below, above)
    )
    skew = left / right
    ratio = jnp.mean(jnp.abs(values), axes) ** 2 / jnp.mean(squares, axes)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shapes, borders, widths, factors = (jnp.asarray(table) for table in _tables())
    nearest = jnp.where(jnp.isnan(ratio), 0, jnp.searchsorted(borders, ratio))
    width = widths[nearest]
    return shapes[nearest], left * width, right * width, factors[nearest]


@functools.cache
def _tables() -> tuple[np.ndarray, ...]:
    """For shapes 0.2, 0.201, ... 10: borders between neighbours of (E|x|)² / E[x²], which rises with the shape, the
    width of unit deviation, and E|x| of unit width."""
    shapes = np.arange(200, 10001) / 1000
    first, second, third = (np.array([math.lgamma(k / shape) for shape in shapes]) for k in (1, 2, 3))
    ratios = np.exp(2 * second - first - third)
    tables = shapes, (ratios[1:] + ratios[:-1]) / 2, np.exp((first - third) / 2), np.exp(second - first)
    return tuple(table.astype(np.float32) for table in tables)


@functools.cache
def _good_photographs() -> tuple[np.ndarray, np.ndarray]:
    """Mean (36,) of the released Gaussian, and the matrix (36, 36) that makes its covariance the identity."""
    with np.load(PARAMETERS) as stored:
        mean, covariance = stored["mean"], stored["covariance"]
    return mean.astype(np.float32), np.linalg.inv(np.linalg.cholesky(covariance)).astype(np.float32)


def _distance(features: jax.Array) -> jax.Array:
    """From the released Gaussian, of a picture's features (blocks, 36) -> ().

    sqrt(d' ((P + Q) / 2)^-1 d) is the same in coordinates in which P is the identity, and there nothing is lost to
    float32: P itself has a condition of 160,000.
    """
    mean, whiten = _good_photographs()
    known = ~jnp.isnan(features)
    offsets = jnp.where(known, features - mean[None], 0)
    middle = jnp.sum(offsets, 0) / jnp.sum(known, 0, dtype=jnp.float32)
    whole = jnp.all(known, 1)[:, None]
    offsets, middle = (jnp.matmul(each, whiten.T, precision="highest") for each in (offsets, middle))
    count = jnp.sum(whole, dtype=jnp.float32)
    spread = jnp.where(whole, offsets - jnp.sum(jnp.where(whole, offsets, 0), 0, keepdims=True) / count, 0)
    covariance = jnp.matmul(spread.T, spread, precision="highest") / (count - 1)
    root = jnp.linalg.cholesky((covariance + jnp.eye(len(mean))) / 2)
    return jnp.linalg.norm(jax.scipy.linalg.solve_triangular(root, middle, lower=True))
