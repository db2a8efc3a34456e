"""Resampling matrices against Pillow's and JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from smnet_jax.exposure.resampling import linear


@pytest.mark.parametrize(("size", "new_size"), [(100, 16), (16, 100), (37, 128), (8, 8)])
def test_equals_jax_and_pillow(size, new_size):
    values = np.random.default_rng(0).uniform(0, 1, (size, 3)).astype(np.float32)
    ours = linear(size, new_size) @ values
    theirs = jax.image.resize(values, (new_size, 3), "linear", antialias=True)
    # Sums of at most 2 * size / new_size + 1 products of numbers up to 1.
    np.testing.assert_allclose(ours, theirs, atol=32 * float(np.finfo(np.float32).eps))
    pillow = [Image.fromarray(values[:, i : i + 1]).resize((1, new_size), Image.Resampling.BILINEAR) for i in range(3)]
    np.testing.assert_allclose(ours, np.concatenate([np.asarray(p) for p in pillow], 1), atol=1e-5)


def test_same_on_host_and_device():
    np.testing.assert_allclose(linear(61, 128), linear(61, 128, jnp), atol=4 * float(np.finfo(np.float32).eps))
