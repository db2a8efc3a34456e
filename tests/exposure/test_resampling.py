"""Resampling matrices against Pillow's and JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from smnet_jax.exposure.resampling import from_part, linear, to_part
from tests.support import tolerances


@pytest.mark.parametrize(("size", "new_size"), [(100, 16), (16, 100), (37, 128), (8, 8)])
def test_equals_jax_and_pillow(size, new_size):
    values = np.random.default_rng(0).uniform(0, 1, (size, 3)).astype(np.float32)
    ours = linear(size, new_size) @ values
    theirs = jax.image.resize(values, (new_size, 3), "linear", antialias=True)
    bound = tolerances.resampled(size, new_size)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound)
    pillow = [Image.fromarray(values[:, i : i + 1]).resize((1, new_size), Image.Resampling.BILINEAR) for i in range(3)]
    np.testing.assert_allclose(ours, np.concatenate([np.asarray(p) for p in pillow], 1), rtol=0, atol=bound)


def test_same_on_host_and_device():
    np.testing.assert_allclose(linear(61, 128), linear(61, 128, jnp), rtol=0, atol=tolerances.resampled(61, 128))


@pytest.mark.parametrize("other", [16, 128])
def test_of_a_part_equals_that_of_the_part_alone(other):
    first, count = np.array([0, 7, 60], np.int32), np.array([100, 80, 9], np.int32)
    reduced = np.asarray(jax.jit(from_part, static_argnums=(2, 3))(first, count, 100, other))
    stretched = np.asarray(jax.jit(to_part, static_argnums=(0, 3))(other, first, count, 100))
    for number, (start, size) in enumerate(zip(first, count, strict=True)):
        part = slice(start, start + size)
        expected = np.zeros((other, 100), np.float32)
        expected[:, part] = linear(size, other)
        np.testing.assert_allclose(reduced[number], expected, rtol=0, atol=tolerances.resampled(size, other))
        expected = np.zeros((100, other), np.float32)
        expected[part] = linear(other, size)
        np.testing.assert_allclose(stretched[number], expected, rtol=0, atol=tolerances.resampled(other, size))
