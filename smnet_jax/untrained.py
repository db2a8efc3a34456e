"""Weights that have learned nothing: to see the program run where no trained weights are at hand."""

from typing import Any

import jax
import jax.numpy as jnp

from smnet_jax.model import SMNet

NAME = "lol-untrained"
WARNING = f"the weights {NAME} are random: they show that the program runs, not what the network can do"


def make(width: int = 8) -> tuple[SMNet, dict[str, Any]]:
    """A small network as training would start from; the same on every machine."""
    model = SMNet(variant="lol", width=width)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3), jnp.float32))
    return model, variables
