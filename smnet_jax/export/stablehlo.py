"""The network as a serialised StableHLO program, by `jax.export`.

One file for CPU, CUDA and TPU, for any batch and any height and width that are multiples of four; weights inside. JAX
keeps such files readable for later versions for at least half a year, and StableHLO itself for five years.
"""

from typing import Any

import jax
import jax.numpy as jnp

from smnet_jax.errors import InputError
from smnet_jax.network.model import SMNet

PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(model: SMNet, variables: Any) -> bytes:
    """Serialise (N,H,W,3) float32 -> (N,H,W,3) float32, not clipped; H and W multiples of four.

    The model's dtype, precision and blocks are kept. On CPUs the implementation is theirs, elsewhere that of GPUs: the
    one of TPUs packs lanes, which takes a size that is known. Raises InputError without the package flatbuffers.
    """
    try:
        import flatbuffers  # noqa: F401  what jax.export writes with
    except ImportError as error:
        raise InputError("export: flatbuffers is not installed; pip install 'smnet-jax[export]'") from error
    from jax import export

    on_cpu, elsewhere = model.clone(implementation="cpu"), model.clone(implementation="gpu")

    @jax.jit
    def enhance(low: jax.Array) -> jax.Array:
        # The weights are arguments of both branches, so that the file holds them once.
        return jax.lax.platform_dependent(variables, low, cpu=on_cpu.apply, default=elsewhere.apply)

    batch, height, width = export.symbolic_shape("batch, 4*rows, 4*columns")
    low = jax.ShapeDtypeStruct((batch, height, width, 3), jnp.float32)
    return bytes(export.export(enhance, platforms=PLATFORMS)(low).serialize())
