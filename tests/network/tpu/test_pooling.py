import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from smnet_jax.network import tpu


def plain(x):
    return nn.max_pool(x, (2, 2), strides=(2, 2))


def of_pairs(x):
    return tpu.max_pool(tpu.pack(x))


@pytest.mark.parametrize(("ours", "shape"), [(of_pairs, (6, 8)), (of_pairs, (7, 8)), (tpu.max_pool_pixels, (7, 9))])
def test_pools_and_their_gradients_where_values_are_equal(rng, ours, shape):
    x = jnp.asarray(rng.integers(0, 3, (4, *shape, 5)), jnp.float32)  # every way for four values to share a maximum
    weights = jnp.asarray(rng.normal(size=(4, shape[0] // 2, shape[1] // 2, 5)), jnp.float32)
    np.testing.assert_array_equal(ours(x), plain(x))
    found, wanted = (jax.grad(lambda x, f=f: (weights * f(x)).sum())(x) for f in (ours, plain))
    np.testing.assert_array_equal(found, wanted)
