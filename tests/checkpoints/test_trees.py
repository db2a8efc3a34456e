"""Nested parameters and parameters by path."""

from typing import Any

import numpy as np

from smnet_jax.checkpoints import trees


def test_there_and_back():
    tree: dict[str, Any] = {
        "block": {"act": {"slope": np.float32(0.25)}, "fuse": {"kernel": np.ones((3, 3))}},
        "bias": np.zeros(2),
    }
    flat = trees.flatten(tree)
    assert list(flat) == ["block/act/slope", "block/fuse/kernel", "bias"]
    assert isinstance(flat["block/act/slope"], np.ndarray)
    again = trees.unflatten(flat)
    assert again.keys() == tree.keys() and again["block"].keys() == tree["block"].keys()
    np.testing.assert_array_equal(again["block"]["fuse"]["kernel"], np.ones((3, 3)))
