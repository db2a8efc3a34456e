"""Pictures computed in phases, that is by parity of the row, or of row and column, and written into their places."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Phases = dict[tuple[int, ...], jax.Array]
"""By parity: (row,) to (N,H/2,W,C), or (row, column) to (N,H/2,W/2,C)."""


def interleaved(phases: Phases, z: jax.Array, at: int = 0) -> jax.Array:
    """z (N,H,W,C) with the phases written into their places, from channel `at` on."""
    n, h, w, c = z.shape
    by_row = len(next(iter(phases))) == 1
    z = z.reshape((n, h // 2, 2, w, c) if by_row else (n, h // 2, 2, w // 2, 2, c))
    for parity, phase in phases.items():
        start = (0, 0, parity[0], 0, at) if by_row else (0, 0, parity[0], 0, parity[1], at)
        z = lax.dynamic_update_slice(z, jnp.expand_dims(phase, 2 if by_row else (2, 4)), start)
    return z.reshape(n, h, w, c)


def uninitialised(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """To be written into. The barrier pins the layout: else the TPU compiler begins with another one, and copies."""
    return lax.optimization_barrier(lax.empty(shape, dtype))
