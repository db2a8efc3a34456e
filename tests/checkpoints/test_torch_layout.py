"""The table of the published model's tensors: complete, and every axis in its place."""

import jax
import numpy as np
import pytest

from smnet_jax.checkpoints import torch_layout
from smnet_jax.network.model import SMNet
from smnet_jax.verification.torch_model import TorchSMNet


def initialised(variant, width):
    model = SMNet(variant, width)
    low = jax.ShapeDtypeStruct((1, 8, 8, 3), np.float32)
    tree = jax.eval_shape(model.init, jax.random.key(0), low)["params"]
    return {"/".join(key.key for key in path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize(
    ("variant", "used", "published", "tensors"), [("lol", 2989221, 3034283, 88), ("fivek", 2952173, 3056282, 105)]
)
def test_published_sizes(variant, used, published, tensors):
    entries = torch_layout.layout(variant, 64)
    sizes = {entry: int(np.prod(entry.shape)) for entry in entries}
    assert len(entries) == tensors
    assert sum(size for entry, size in sizes.items() if entry.path) == used
    assert sum(size for entry, size in sizes.items() if not entry.is_blur) == published
    paths = {e.path: tuple(e.shape[a] for a in e.axes) for e in entries if e.path}
    assert paths == initialised(variant, 64)


def test_axes(rng):
    """HWIO for all convolutions, (in, out) for dense layers; torch has a transposed convolution as (in, out, h, w)."""
    tensor = rng.normal(size=(4, 5, 3, 2)).astype(np.float32)

    def ours(axes):
        return torch_layout.Entry("name", tensor.shape, axes, "path").ours(tensor)

    assert ours(torch_layout.CONV)[2, 1, 4, 3] == tensor[3, 4, 2, 1]
    assert ours(torch_layout.UP)[2, 1, 3, 4] == tensor[3, 4, 2, 1]
    dense = torch_layout.Entry("name", (4, 5), torch_layout.DENSE, "path")
    assert dense.ours(tensor[..., 0, 0])[4, 3] == tensor[3, 4, 0, 0]
    axes = {entry.path: entry.axes for entry in torch_layout.layout("fivek", 8)}
    assert axes["block/up_half/up/kernel"] == axes["block/up_quarter/up/kernel"] == torch_layout.UP
    assert sum(moved == torch_layout.UP for moved in axes.values()) == 2


def test_unused_tensors_start_as_torch_starts_them():
    """The same bound as torch's own layers, and the same numbers on every call."""
    entries = [entry for entry in torch_layout.layout("fivek", 16) if not entry.path and not entry.is_blur]
    fresh = TorchSMNet("fivek", 16).state_dict()
    for entry in entries:
        ours, theirs = entry.initial(), fresh[entry.name].numpy()
        assert ours.dtype == np.float32 and ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, entry.initial())
        if entry.axes == torch_layout.SLOPE:
            np.testing.assert_array_equal(ours, theirs)
        elif ours.size >= 32:
            bound = (entry.fan_in or np.prod(entry.shape[1:])) ** -0.5
            for values in (ours, theirs):
                assert 0.8 * bound < abs(values).max() <= bound
