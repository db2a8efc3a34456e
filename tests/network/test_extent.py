"""Pictures in a corner of a larger array come out as they do alone, whatever lies beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network import extent
from tests.support import tolerances
from tests.support.golden_case import relative_error
from tests.support.networks import network

SIZES = np.array([(20, 28), (32, 36)], np.int32)  # the last fills its array


@pytest.fixture(scope="module")
def low() -> np.ndarray:
    return np.random.default_rng(0).random((2, 32, 36, 3), np.float32)


def both(variant, implementation, low):
    """(pictures in one array, each alone) by two blocks: what one leaves beside a picture the next one finds."""
    model, variables = network(variant, implementation)
    model = model.clone(blocks=2, scan=True)
    together = jax.jit(lambda low, sizes: model.apply(variables, low, sizes=sizes))(low, SIZES)
    alone = jax.jit(lambda low: model.apply(variables, low))
    return together, [alone(one[None, :height, :width])[0] for one, (height, width) in zip(low, SIZES, strict=True)]


@pytest.mark.parametrize(("variant", "implementation"), [("fivek", "reference"), ("lol", "cpu"), ("lol", "gpu")])
def test_each_picture_is_that_of_its_own_size(variant, implementation, low):
    for result, expected in zip(*both(variant, implementation, low), strict=True):
        height, width = expected.shape[:2]
        assert relative_error(result[:height, :width], expected) < tolerances.forward(variant, 8)


def test_by_fewer_products_too(winograd_everywhere, low):
    for result, expected in zip(*both("lol", "cpu", low), strict=True):
        height, width = expected.shape[:2]
        assert relative_error(result[:height, :width], expected) < tolerances.forward("lol", 8)


def test_nothing_is_told_outside():
    x = jnp.ones((1, 8, 8, 2))
    with extent.of(8, 8, jnp.array([[4, 4]])):
        assert extent.zero_beyond(x).sum() == 32
    assert extent.zero_beyond(x) is x and extent.edge_beyond(x) is x


@pytest.mark.parametrize("fields", [{"implementation": "tpu"}, {"strips": 2}])
def test_strips_and_tpus_refuse(fields):
    model, variables = network("lol")
    with pytest.raises(ValueError, match="sizes"):
        model.clone(**fields).apply(variables, np.zeros((1, 128, 128, 3), np.float32), sizes=np.array([[64, 64]]))
