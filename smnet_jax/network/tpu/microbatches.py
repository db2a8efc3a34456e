"""Batches as a TPU computes them in least time: eight crops at once.

By the compiler's estimates four crops take longer than eight, and on a v5e 64 crops take longer than eight times eight
(`docs/lab/tpu.md`). Small batches are therefore padded to eight with black crops. The padding changes no result:
pictures of a batch do not see each other in the network, and the loss does not see the padding. Larger batches are
computed as microbatches where that is known to gain.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from smnet_jax.network.tpu.strips import SUBLANES

Apply = Callable[..., Any]  # (variables, low, **options) -> pictures, or a tuple of such


def microbatch_count(crops: int, kind: str) -> int:
    """How many microbatches a device best makes of its `crops`. kind: as JAX names the device.

    On a v5e a microbatch has at most eight crops, and all are equal; where that cannot be, there is one. Other kinds
    compute the batch whole: on a v5p microbatches cost 5 % more.
    """
    count = -(-crops // SUBLANES) if kind in ("TPU v5 lite", "TPU v5e") else 1
    return count if crops % count == 0 else 1


def pad_batch(apply: Apply) -> Apply:
    """`apply` with batches of 2 to 7 pictures padded to 8; the padding's results are dropped."""

    def padded(variables: Any, low: jax.Array, **options: Any) -> Any:
        own = low.shape[0]
        if not 2 <= own < SUBLANES:
            return apply(variables, low, **options)
        low = jnp.pad(low, ((0, SUBLANES - own), (0, 0), (0, 0), (0, 0)))
        return jax.tree.map(lambda y: y[:own], apply(variables, low, **options))

    return padded
