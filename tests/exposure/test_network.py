"""ExposureNet's points of view: what is averaged, and what follows from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import smnet_jax
from smnet_jax.exposure import THUMBNAIL
from smnet_jax.exposure.network import NEARLY
from smnet_jax.exposure.tone import Tone

TOLERANCE = 1e-5  # binary logarithms: float32's rounding through some thirty operations, of values up to 4


@pytest.fixture(scope="module")
def network():
    model, variables = smnet_jax.load("photo")
    return {name: jax.jit(lambda x, m=name: model.apply(variables, x, method=m)) for name in ("predict", "look_at")}


@pytest.fixture(scope="module")
def thumbnails():
    """Two dark pictures, neither of which is its own mirror image, (2,128,128,3)."""
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 1, THUMBNAIL)[None, :, None, None] * np.linspace(0.2, 1, THUMBNAIL)[None, None, :, None] ** 2
    return (slope * rng.uniform(0.1, 0.5, (2, 1, 1, 3)) + rng.uniform(0, 0.02, (2, 128, 128, 3))).astype(np.float32)


def exchanged(found: Tone) -> Tone:
    return found._replace(grid=found.grid.swapaxes(1, 2))


def assert_close(found: Tone, expected: Tone) -> None:
    for name, a, b in zip(Tone._fields, found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCE, rtol=0, err_msg=name)


def test_rows_and_columns_exchanged_give_the_same(network, thumbnails):
    found = network["predict"](thumbnails.swapaxes(1, 2))
    assert_close(found, exchanged(network["predict"](thumbnails)))


def test_one_look_alone_would_not(network, thumbnails):
    lying = exchanged(network["look_at"](thumbnails.swapaxes(1, 2)))
    assert float(jnp.abs(lying.log2_rate - network["look_at"](thumbnails).log2_rate).max()) > 0.01


def test_four_looks_are_averaged_for_each_picture(network, thumbnails):
    looks = []
    for factor in (1 / NEARLY, NEARLY):
        seen = thumbnails * np.float32(factor)
        looks += [network["look_at"](seen), exchanged(network["look_at"](seen.swapaxes(1, 2)))]
    expected = Tone(*(np.mean(parts, 0) for parts in zip(*looks, strict=True)))
    assert_close(network["predict"](thumbnails), expected)
