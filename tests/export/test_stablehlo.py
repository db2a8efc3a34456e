"""The StableHLO file, read again, computes what the published implementation computed."""

import jax
import numpy as np
import pytest
from jax import export

from smnet_jax.checkpoints import weights
from smnet_jax.export.stablehlo import PLATFORMS, to_stablehlo
from smnet_jax.network.model import SMNet
from tests.support import tolerances
from tests.support.golden_case import GoldenCase, relative_error


@pytest.fixture(scope="module", params=["lol", "fivek"])
def case(request, fixtures):
    return GoldenCase(fixtures / "golden", request.param, 8)


@pytest.fixture(scope="module")
def data(case):
    found = weights.read(case.checkpoint)
    return to_stablehlo(SMNet(**vars(found.architecture), precision="highest"), {"params": found.params})


def test_published_numbers_at_two_sizes(case, data):
    program, expected = export.deserialize(bytearray(data)), case.arrays("forward")
    for low, output in (("low", "output"), ("low_small", "output_small")):
        assert relative_error(program.call(expected[low]), expected[output]) < tolerances.forward(case.variant, 8)


def test_platforms_and_shapes(data):
    program = export.deserialize(bytearray(data))
    assert program.platforms == PLATFORMS
    assert [str(d) for d in program.in_avals[0].shape] == ["batch", "4*rows", "4*columns", "3"]
    with pytest.raises(ValueError, match="columns"):
        jax.eval_shape(program.call, np.zeros((1, 8, 10, 3), np.float32))


def test_weights_are_in_the_file_once(case, data):
    """Two forms of the program, one copy of the numbers."""
    kernel = weights.read(case.checkpoint).params["block"]["fuse"]["kernel"]
    assert data.count(kernel.tobytes()) == 1
