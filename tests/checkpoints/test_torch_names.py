"""The table between torch's names and ours: complete, exact in both directions, strict about differences.

That converted weights compute the published numbers is shown in test_published.
"""

import jax
import numpy as np
import pytest
import torch

from smnet_jax.checkpoints import formats, torch_layout, torch_names, trees
from smnet_jax.checkpoints.architecture import VARIANTS, Architecture
from smnet_jax.errors import InputError
from smnet_jax.network.model import SMNet
from smnet_jax.verification.torch_model import TorchSMNet


@pytest.fixture(params=VARIANTS)
def state(request, fixtures):
    return formats.read_state_dict(fixtures / "golden" / f"{request.param}_dim8.pth")


def shapes(tree):
    return {path: array.shape for path, array in trees.flatten(tree).items()}


def initialised(variant, width):
    model = SMNet(variant, width)
    low = jax.ShapeDtypeStruct((1, 8, 8, 3), np.float32)
    tree = jax.eval_shape(model.init, jax.random.key(0), low)["params"]
    return {"/".join(key.key for key in path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def test_recognised(golden_case):
    result = torch_names.convert(formats.read_state_dict(golden_case.checkpoint))
    assert result.architecture == Architecture(golden_case.variant, golden_case.width, 3)
    assert shapes(result.params) == initialised(golden_case.variant, golden_case.width)
    assert all(name.endswith("downsamp.filt") for name in result.dropped) and len(result.dropped) == 2
    assert len(result.unused) == {"lol": 10, "fivek": 21}[golden_case.variant]


def test_round_trip_is_exact(golden_case, tmp_path):
    published = torch.load(golden_case.checkpoint, weights_only=True)
    result = torch_names.convert(formats.read_state_dict(golden_case.checkpoint))
    path = tmp_path / "back.pth"
    formats.write_state_dict(torch_names.to_torch({"params": result.params}, result.architecture), path)
    back = torch.load(path, weights_only=True)
    assert list(back) == list(published)
    for name, tensor in published.items():
        assert back[name].dtype == tensor.dtype and back[name].shape == tensor.shape
        if name.removeprefix("module.") not in result.unused:
            assert torch.equal(back[name], tensor), name
    net = TorchSMNet(golden_case.variant, golden_case.width)
    net.load_state_dict({name.removeprefix("module."): tensor for name, tensor in back.items()}, strict=True)
    again = torch_names.convert(formats.read_state_dict(path))
    for name, array in trees.flatten(again.params).items():
        np.testing.assert_array_equal(array, trees.flatten(result.params)[name])


def test_every_difference_is_told(state):
    last = list(state)[-1]
    state["extra"] = np.zeros((2, 3), np.float32)
    state["\x1b[31m\n"] = np.zeros(1, np.float32)
    state["out_conv2.bias"] = np.zeros(5, np.float32)
    state["out_conv4.bias"] = np.zeros(3, np.int64)
    state["out_conv4.weight"] = np.full((3, 4, 1, 1), np.nan, np.float32)
    state["downsample.residualdownsample.downsamp.filt"] = np.full((8, 1, 3, 3), 1 / 9, np.float32)
    del state["prelu.weight"], state[last]
    with pytest.raises(InputError) as caught:
        torch_names.convert(state, source="photos.pth")
    first, *others = str(caught.value).splitlines()
    assert first.startswith("photos.pth: 8 of its tensors differ from SMNet's variant")
    assert "width 8" in first
    assert sorted(line.split(" (")[0] for line in others) == sorted(
        [
            "another blur: downsample.residualdownsample.downsamp.filt is not [1 2 1] x [1 2 1] / 16, which is built "
            "into this network",
            "differs: out_conv2.bias is",
            "differs: out_conv4.bias is",
            "missing: prelu.weight",
            f"missing: {last}",
            "not finite: out_conv4.weight holds NaN or infinity",
            "unknown: 'extra'",
            "unknown: '\\x1b[31m\\n'",
        ]
    )
    assert "differs: out_conv2.bias is (5,) float32, must be (8,) float32" in others
    assert "unknown: 'extra' (2, 3) float32" in others


@pytest.mark.parametrize("name", [entry.name for entry in torch_layout.layout("fivek", 8)])
def test_each_tensor_is_needed(name, fixtures):
    state = formats.read_state_dict(fixtures / "golden" / "fivek_dim8.pth")
    del state[name]
    with pytest.raises(InputError, match=f"missing: {name}"):
        torch_names.convert(state)


def test_another_network():
    with pytest.raises(InputError, match="no SMNet checkpoint: it has 0 of the 88 tensors"):
        torch_names.convert({"features.0.weight": np.zeros((64, 3, 3, 3), np.float32)})


def test_width_that_is_no_multiple_of_four():
    state = {entry.name: entry.initial() for entry in torch_layout.layout("lol", 6)}
    with pytest.raises(InputError, match="width 6: must be a positive multiple of 4"):
        torch_names.convert(state)
