"""MATLAB's imresize (bicubic, antialiased), which the original code of older metrics reduces pictures with."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.metrics import extents
from smnet_jax.metrics.windows import slide


def imresize(planes: jax.Array, height: int, width: int) -> jax.Array:
    """Resize planes of levels 0..255 as MATLAB's `imresize(uint8_image, [height width])`, (..., H, W), float32.

    Keys' cubic (a = -0.5), stretched by the factor of reduction so that it averages (antialiasing), mirrored at the
    rim. Like MATLAB, the side that shrinks most goes first, and each of the two passes rounds to whole levels.
    """
    steps = [(planes.ndim - 2, height), (planes.ndim - 1, width)]
    for axis, size in sorted(steps, key=lambda step: step[1] / planes.shape[step[0]]):
        planes = _rounded(planes, axis, passes(planes.shape[axis], size))
    return planes


def imresize_by(planes: jax.Array, rows: jax.Array, columns: jax.Array, rows_first: jax.Array) -> jax.Array:
    """`imresize` of planes (N, H, W) to (N, R, C) by matrices that are given: pictures of several sizes, zero beyond.

    rows (N, 2, R, H) and columns (N, 2, C, W) are `passes` with zeros beyond; rows_first (N,): which goes first.
    """

    def along(planes: jax.Array, matrices: jax.Array, sum_: str) -> jax.Array:
        exact, rest = (jnp.einsum(sum_, matrices[:, i], planes, precision="highest") for i in (0, 1))
        return _whole(exact, rest)

    def down(planes: jax.Array) -> jax.Array:
        return along(planes, rows, "nrh,nhw->nrw")

    def across(planes: jax.Array) -> jax.Array:
        return along(planes, columns, "ncw,nhw->nhc")

    return jnp.where(rows_first[:, None, None], across(down(planes)), down(across(planes)))


def passes(before: int, after: int) -> np.ndarray:
    """The matrices (2, after, before), float32, by which one axis is resized: the coarse weights, and what is left."""
    weights = _weights(before, after)
    coarse = np.round(weights * 8192) / 8192
    return np.stack([coarse, weights - coarse]).astype(np.float32)


def halved(planes: jax.Array, sizes: extents.Sizes = None) -> jax.Array:
    """Planes of even sides as by MATLAB's `imresize(double_image, 0.5)`: nothing is rounded; (..., H, W) to half.

    `sizes` (see `extents`) are even, too.
    """
    weights = _cubic((np.arange(8) - 3.5) / 2)
    for axis in (-2, -1):
        planes = extents.padded(planes, axis, (3, 3), "symmetric", sizes)
    return slide(planes, weights / weights.sum(), stride=2)


def _rounded(planes: jax.Array, axis: int, matrices: np.ndarray) -> jax.Array:
    """Resize one axis and round to whole levels, halves up, as if in float64.

    A float32 sum is off by 1e-5 of a level, which tips one rounding in 50,000 and differs from device to device. With
    weights cut to 1/8192 the sum is exact in any order; what was cut off is small, and so is its rounding error.
    True halves are common (smooth JPEG blocks): what is within a millionth of one counts as one.
    """

    def resized(matrix: np.ndarray) -> jax.Array:
        product = jnp.tensordot(matrix, planes, (1, axis), precision="highest")
        return jnp.moveaxis(product, 0, axis)

    return _whole(resized(matrices[0]), resized(matrices[1]))


def _whole(exact: jax.Array, rest: jax.Array) -> jax.Array:
    whole = jnp.floor(exact)
    return jnp.clip(whole + jnp.floor(exact - whole + rest + 0.500001), 0, 255)


@functools.lru_cache(maxsize=64)
def _weights(before: int, after: int) -> np.ndarray:
    """The matrix (after, before) that resizes one axis."""
    scale = after / before
    stretch = min(scale, 1.0)
    width = 4 / stretch
    centre = (np.arange(after) + 0.5) / scale - 0.5
    taps = np.floor(centre - width / 2).astype(int)[:, None] + np.arange(int(np.ceil(width)) + 2)
    values = _cubic(stretch * (centre[:, None] - taps))
    values /= values.sum(1, keepdims=True)
    mirrored = np.concatenate([np.arange(before), np.arange(before)[::-1]])[taps % (2 * before)]
    matrix = np.zeros((after, before))
    np.add.at(matrix, (np.arange(after)[:, None], mirrored), values)
    return matrix


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))
