"""ExposureNet's weights as a directory, and SMNet's commands that refuse them in one line."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import smnet_jax
from smnet_jax.checkpoints import exposure as weights
from smnet_jax.checkpoints import weights as smnet_weights
from smnet_jax.errors import InputError
from smnet_jax.exposure import ExposureNet


@pytest.fixture
def saved(tmp_path):
    model, variables = smnet_jax.load("photo")
    weights.save(tmp_path / "photos", model, variables["params"], {"source": {"name": "a test"}})
    return tmp_path / "photos"


def test_round_trip(saved):
    model, variables = smnet_jax.load("photo")
    again, same = smnet_jax.load(saved)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, variables, same)
    assert json.loads((saved / "smnet.json").read_text())["network"] == "exposure"


def test_weights_without_a_last_look(saved, tmp_path):
    """As they were written before there was one: no word of it in the description."""
    model, variables = smnet_jax.load(saved)
    params = {name: tree for name, tree in variables["params"].items() if name != "detail"}
    assert isinstance(model, ExposureNet)
    weights.save(tmp_path / "first", dataclasses.replace(model, fine=0), params)
    about = json.loads((tmp_path / "first" / "smnet.json").read_text())
    del about["fine"]
    (tmp_path / "first" / "smnet.json").write_text(json.dumps(about))
    first, same = smnet_jax.load(tmp_path / "first")
    low = np.random.default_rng(0).uniform(0, 0.1, (24, 32, 3)).astype(np.float32)
    without, with_it = smnet_jax.enhance(low, (first, same)), smnet_jax.enhance(low, (model, variables))
    assert first.fine == 0
    assert np.abs(with_it - without).max() > 0.01


def test_refused(saved):
    with pytest.raises(InputError, match="ExposureNet"):
        smnet_weights.read(saved)
    with pytest.raises(InputError, match="SMNet"):
        weights.load(smnet_weights.BUNDLED / "lol-small")
    with pytest.raises(InputError, match="width"):
        smnet_jax.load(saved, width=8)
    about = json.loads((saved / "smnet.json").read_text())
    (saved / "smnet.json").write_text(json.dumps(about | {"features": 52}))
    with pytest.raises(InputError, match="do not fit"):
        smnet_jax.load(saved)
    for name in ("features", "fine"):
        (saved / "smnet.json").write_text(json.dumps(about | {name: 10**9}))
        with pytest.raises(InputError, match=name):
            smnet_jax.load(saved)
    (saved / "smnet.json").write_text(json.dumps(about | {"fine": 0}))
    with pytest.raises(InputError, match="detail"):
        smnet_jax.load(saved)
