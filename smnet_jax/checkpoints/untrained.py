"""Weights that have learned nothing: to see the program run where no trained weights are at hand."""

from typing import Any

from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet

NAME = "lol-untrained"
WARNING = f"the weights {NAME} are random: they show that the program runs, not what the network can do"


def make(width: int = 8) -> tuple[SMNet, dict[str, Any]]:
    """A small network as training would start from; the same on every machine."""
    model = SMNet(variant="lol", width=width)
    return model, initialise(model, seed=0)
