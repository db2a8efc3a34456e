"""One picture of any size through `ExposureNet`, in blocks: one compiled program for every size, little memory."""

import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.exposure import frame
from smnet_jax.exposure.network import ExposureNet
from smnet_jax.exposure.resampling import linear
from smnet_jax.exposure.tone import GRID, HALO, THUMBNAIL, Tone

BLOCK = 256  # pixels: the side of a block
AT_ONCE = 2  # blocks: while one leaves processors idle, the other has work for them


def enhance(
    model: ExposureNet,
    variables: Mapping[str, Any],
    low: np.ndarray,
    *,
    block: int = BLOCK,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """(H,W,3) sRGB in [0, 1] -> the same, float32; equal to `model.apply` on the whole picture up to rounding.

    A black or white frame (`frame.inside`) stays as it is; what is done to the photo in it is as if there were none.

    block: the side of the squares that are computed one after another; no result depends on it.
    progress: is called with the share of the work done.
    """
    within = frame.inside(low)
    framed, low = low, low[within]
    height, width = low.shape[:2]
    found = _predict(model)(variables, thumbnail(low)[None])
    found = jax.device_put(found, found.log2_rate.sharding)  # bound there, for other threads have other default devices
    rows, columns = linear(GRID, height), linear(GRID, width)
    render = _render(model)
    out = np.empty((height, width, 3), np.float32)

    def compute(corner: tuple[int, int]) -> None:
        top, left = corner
        h, w = min(block, height - top), min(block, width - left)
        part = _with_halo(_with_halo(low, top, block).swapaxes(0, 1), left, block).swapaxes(0, 1)
        place = _with_halo(rows, top, block), _with_halo(columns, left, block)
        result = np.asarray(render(variables, part[None], found, *place))[0]
        out[top : top + h, left : left + w] = result[HALO : HALO + h, HALO : HALO + w]

    corners = [(top, left) for top in range(0, height, block) for left in range(0, width, block)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Where an exception leaves this loop, Ctrl-C too, `map` forgets the blocks that are to come.
        for number, _ in enumerate(pool.map(compute, corners), start=1):
            if progress is not None:
                progress(number / len(corners))
    if low.shape == framed.shape:
        return out
    whole = framed.astype(np.float32)
    whole[within] = out
    return whole


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


@functools.lru_cache(maxsize=4)
def _render(model: ExposureNet) -> Callable[..., jax.Array]:
    return jax.jit(lambda variables, *part: model.apply(variables, *part, method="render_part"))


def _with_halo(lines: np.ndarray, start: int, block: int) -> np.ndarray:
    """Lines `start` to `start + block` and HALO more before and after; zeros where there are none."""
    first, last = start - HALO, start + block + HALO
    inside = lines[max(0, first) : last].astype(np.float32, copy=False)
    missing = [(max(0, -first), max(0, last - len(lines)))] + [(0, 0)] * (lines.ndim - 1)
    return np.pad(inside, missing)
