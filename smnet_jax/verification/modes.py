"""The ways of computing that are compared, and how exact each has to be.

Tolerances are for the largest difference at a stage over the largest magnitude there; docs/verification.md has the
measurements behind them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.network.model import SMNet
from smnet_jax.verification import stages
from smnet_jax.verification.stages import Arrays

EXACT = 5e-6  # float32 in another order of summation; measured: 2.2e-6 at most
LOSS = 5e-5  # variances of flat pictures and sums of both signs cancel; measured: 1.7e-5 at most
GRADIENT = 1e-4  # sums with cancellation; measured: 2.1e-5 at most where no non-smooth point is hit
UPDATE = 1e-6  # elementwise: a rounding or two; measured: 1.8e-7
# What one rounding of each product's inputs grows to, over some sixty layers. bfloat16 keeps 8 bits, TF32 11.
BFLOAT16 = 5e-2
TF32 = 1e-2
DEFAULT_PRECISION = {"cpu": EXACT, "gpu": TF32, "tpu": BFLOAT16}


@dataclasses.dataclass(frozen=True)
class Mode:
    """One way of computing the same function."""

    name: str
    tolerance: float
    about: str
    fields: dict[str, Any]
    """Of SMNet."""


def all_modes(backend: str) -> list[Mode]:
    """Every mode, the exact ones first; `backend` is `jax.default_backend()`."""
    exact, default = {"precision": "highest"}, DEFAULT_PRECISION.get(backend, BFLOAT16)
    return [
        Mode("float32 gpu", EXACT, "highest precision, as implemented for GPUs", {"implementation": "gpu", **exact}),
        Mode("float32 cpu", EXACT, "highest precision, as implemented for CPUs", {"implementation": "cpu", **exact}),
        Mode("float32 tpu", EXACT, "highest precision, as implemented for TPUs", {"implementation": "tpu", **exact}),
        Mode("default", default, f"what {backend} does with float32 unless told otherwise", {}),
        Mode("bfloat16", BFLOAT16, "activations in bfloat16", {"dtype": jnp.bfloat16}),
    ]


def forward(mode: Mode, architecture: Architecture) -> Callable[[Any, np.ndarray], Arrays]:
    """A function of (variables, low) that gives the mode's stages."""
    return stages.forward(SMNet(**vars(architecture), **mode.fields))
