"""Whole or in tiles: decided once, from what memory there is."""

from typing import Any

import numpy as np
import pytest

from smnet_jax.enhancement import memory, photo
from smnet_jax.enhancement.photo import enhance
from smnet_jax.enhancement.plan import Plan, decide
from smnet_jax.errors import InputError
from smnet_jax.exposure import ExposureNet
from smnet_jax.exposure.picture import BLOCK
from smnet_jax.images import pictures
from smnet_jax.network.model import SMNet

SHAPE = (13, 18, 3)


def test_what_is_asked_for_is_planned():
    model = SMNet(width=4)
    assert decide(model, SHAPE, "off", max_memory=1) == Plan(None)
    assert decide(model, SHAPE, 64) == Plan((64, 64))
    assert decide(model, SHAPE) == Plan(None)
    assert decide(ExposureNet(), SHAPE) == Plan((BLOCK, BLOCK)) and decide(ExposureNet(), SHAPE, 32) == Plan((32, 32))


def test_memory_is_asked_once_for_a_picture(weights, low, monkeypatch):
    """Free memory may change between compiling and computing; the plan does not."""
    picture, (model, variables) = pictures.Picture(low), weights
    asked = []

    def less_each_time() -> int:
        asked.append(1)
        return 1 << 40 if len(asked) == 1 else 1

    monkeypatch.setattr(memory, "available_memory", less_each_time)
    plan = decide(model, low.shape)
    photo.prepare(model, variables, picture, plan)
    result = photo.enhance_picture(model, variables, picture, plan)
    assert plan == Plan(None) and len(asked) == 1 and not result.notes


def test_tiles_that_make_no_sense(weights, low):
    wrong: list[Any] = ["whole", 0, -64, True, 1.5]
    for tile in wrong:
        with pytest.raises(InputError, match="tile"):
            enhance(low, weights, tile=tile)
    assert np.array_equal(enhance(low, weights, tile="off"), enhance(low, weights))
