"""One picture of any size through `ExposureNet`, in blocks: one compiled program for every size, little memory."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.exposure import tone
from smnet_jax.exposure.network import ExposureNet
from smnet_jax.exposure.resampling import linear
from smnet_jax.exposure.tone import GRID, THUMBNAIL, Tone

BLOCK = 256  # pixels: the side of what is computed at once


def enhance(
    model: ExposureNet,
    variables: Mapping[str, Any],
    low: np.ndarray,
    *,
    block: int = BLOCK,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """(H,W,3) sRGB in [0, 1] -> the same, float32; equal to `model.apply` on the whole picture up to rounding.

    block: the side of the squares that are computed one after another; no result depends on it.
    progress: is called with the share of the work done.
    """
    height, width = low.shape[:2]
    found = _predict(model)(variables, thumbnail(low)[None])
    rows, columns = linear(GRID, height), linear(GRID, width)
    render = _render()
    out = np.empty((height, width, 3), np.float32)
    for top in range(0, height, block):
        for left in range(0, width, block):
            part = low[top : top + block, left : left + block]
            h, w = part.shape[:2]
            square = np.zeros((block, block, 3), np.float32)
            square[:h, :w] = part
            place = [_filled(axis[start : start + block], block) for axis, start in ((rows, top), (columns, left))]
            out[top : top + h, left : left + w] = np.asarray(render(square[None], found, *place))[0, :h, :w]
        if progress is not None:
            progress(min(1.0, (top + block) / height))
    return out


def thumbnail(low: np.ndarray) -> np.ndarray:
    """`tone.thumbnail` of one picture (H,W,3) on the host: products, so no program is compiled for its size."""
    height, width = low.shape[:2]
    rows, columns = linear(height, THUMBNAIL), linear(width, THUMBNAIL)
    # Rows first: the array that is left is small.
    narrow = (rows @ low.reshape(height, width * 3).astype(np.float32, copy=False)).reshape(THUMBNAIL, width, 3)
    return np.ascontiguousarray(np.einsum("jw,iwc->ijc", columns, narrow, optimize=True))


@functools.lru_cache(maxsize=4)
def _predict(model: ExposureNet) -> Callable[[Any, Any], Tone]:
    return jax.jit(lambda variables, small: model.apply(variables, jnp.clip(small, 0, 1), method="predict"))


@functools.cache
def _render() -> Callable[..., jax.Array]:
    return jax.jit(tone.render_part)


def _filled(weights: np.ndarray, block: int) -> np.ndarray:
    """Zeros below what an edge block lacks; they are computed and thrown away."""
    return np.concatenate([weights, np.zeros((block - len(weights), weights.shape[1]), np.float32)])
