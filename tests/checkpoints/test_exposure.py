"""ExposureNet's weights as a directory, and SMNet's commands that refuse them in one line."""

import json

import jax
import numpy as np
import pytest

import smnet_jax
from smnet_jax.checkpoints import exposure as weights
from smnet_jax.checkpoints import weights as smnet_weights
from smnet_jax.errors import InputError


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
    (saved / "smnet.json").write_text(json.dumps(about | {"features": 10**9}))
    with pytest.raises(InputError, match="features"):
        smnet_jax.load(saved)
