"""Weights that have learned nothing: to see the program run where no trained weights are at hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.model import SMNet

NAME = "lol-untrained"
WARNING = f"the weights {NAME} are random: they show that the program runs, not what the network can do"


def make(width: int = 8) -> tuple[SMNet, dict[str, Any]]:
    """A small network, distributed much as training would start from; the same on every machine.

    Drawn by numpy, because compiling `model.init` takes longer than everything else in a first run.
    """
    model = SMNet(variant="lol", width=width)
    low = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    rng = np.random.default_rng(0)

    def draw(parameter: jax.ShapeDtypeStruct) -> np.ndarray:
        if parameter.shape == ():  # the slope of a PReLU
            return np.array(0.25, np.float32)
        bound = np.prod(parameter.shape[:-1]) ** -0.5 if len(parameter.shape) > 1 else 0.1
        return rng.uniform(-bound, bound, parameter.shape).astype(np.float32)

    return model, jax.tree.map(draw, jax.eval_shape(model.init, jax.random.key(0), low))
