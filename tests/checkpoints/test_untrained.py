"""Weights that have learned nothing."""

import jax
import numpy as np

from smnet_jax.checkpoints import untrained


def test_they_are_the_same_every_time():
    (model, first), (_, second) = untrained.make(), untrained.make()
    assert (model.variant, model.width) == ("lol", 8)
    jax.tree.map(np.testing.assert_array_equal, first, second)
