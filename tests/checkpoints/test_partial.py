"""Weights of another network as a start: what fits is taken bit by bit, and what was left is named."""

import numpy as np
import pytest

from smnet_jax.checkpoints import formats, torch_layout, trees, weights
from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.checkpoints.partial import fill
from smnet_jax.errors import InputError


def fresh(architecture: Architecture) -> dict:
    """Parameters that no checkpoint has."""
    flat = {
        entry.path: np.full([entry.shape[axis] for axis in entry.axes], 7.0, np.float32)
        for entry in torch_layout.layout(architecture.variant, architecture.width)
        if entry.path
    }
    return trees.unflatten(flat)


@pytest.fixture
def lol(fixtures):
    return fixtures / "golden/lol_dim8.pth"


def test_another_variant_takes_what_they_share(lol, tmp_path):
    theirs = trees.flatten(weights.read(lol).params)
    fivek = Architecture("fivek", 8)
    weights.save(tmp_path / "ours", Architecture("lol", 8), weights.read(lol).params)
    for source in (lol, tmp_path / "ours"):
        params, told = fill(fresh(fivek), fivek, source)
        ours = trees.flatten(params)
        shared = [path for path in ours if path in theirs and ours[path].shape == theirs[path].shape]
        assert 40 < len(shared) < len(ours)
        for path in ours:
            np.testing.assert_array_equal(ours[path], theirs[path] if path in shared else 7.0)
        assert f"{len(shared)} of {len(ours)} arrays taken" in told
        assert "block/fem_full/reduce_act/slope (), not there" in told and "not used: " in told


def test_a_checkpoint_with_tensors_too_many_and_too_few(lol, tmp_path):
    state = formats.read_state_dict(lol)
    del state["firstconv.0.conv.weight"]
    formats.write_safetensors({**state, "extra.head": np.zeros((2, 3), np.float32)}, tmp_path / "net.safetensors")
    with pytest.raises(InputError):
        weights.read(tmp_path / "net.safetensors")
    architecture = Architecture("lol", 8)
    _, told = fill(fresh(architecture), architecture, tmp_path / "net.safetensors")
    count = len(trees.flatten(fresh(architecture)))
    assert f"{count - 1} of {count} arrays taken; left as they begin: stem/conv/kernel (3, 3, 4, 8), not there" in told
    assert told.endswith("; not used: 'extra.head' (2, 3)")


def test_another_width_takes_slopes_and_what_does_not_depend_on_it(lol):
    architecture = Architecture("lol", 16)
    params, told = fill(fresh(architecture), architecture, lol)
    assert params["stem"]["act"]["slope"] != 7 and (params["stem"]["conv"]["kernel"] == 7).all()
    assert "block/gfrm/fc1/kernel (48, 3), there (24, 1)" in told and " more" in told


def test_where_nothing_fits_it_is_an_error(tmp_path):
    formats.write_safetensors({"a": np.zeros(3, np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="none of its arrays fits"):
        fill(fresh(Architecture("lol", 8)), Architecture("lol", 8), tmp_path / "a.safetensors")
