"""MATLAB's imresize (bicubic, antialiased), which the original code of older metrics reduces pictures with."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def imresize(planes: jax.Array, height: int, width: int) -> jax.Array:
    """Resize planes of levels 0..255 as MATLAB's `imresize(uint8_image, [height width])`, (..., H, W), float32.

    Keys' cubic (a = -0.5), stretched by the factor of reduction so that it averages (antialiasing), mirrored at the
    rim. Like MATLAB, the side that shrinks most goes first, and each of the two passes rounds to whole levels.
    """
    steps = [(planes.ndim - 2, height), (planes.ndim - 1, width)]
    for axis, size in sorted(steps, key=lambda step: step[1] / planes.shape[step[0]]):
        weights = _weights(planes.shape[axis], size)
        planes = jnp.moveaxis(jnp.tensordot(weights, planes, (1, axis), precision="highest"), 0, axis)
        planes = jnp.floor(jnp.clip(planes, 0, 255) + 0.5)
    return planes


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
    return matrix.astype(np.float32)


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))
