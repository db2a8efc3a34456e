"""Gradients written out equal the ones that JAX derives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network import layers
from smnet_jax.network.cpu import network as cpu
from smnet_jax.network.cpu import resampling
from tests.support import tolerances


def assert_same(ours, theirs, x, kernel, ct, products):
    """Values and gradients of two functions; `products`: in the longest of the sums that give any of them."""
    written, derived, sizes = (
        (value, *back(ct))
        for (value, back), ct in (
            (jax.vjp(ours, x, kernel), ct),
            (jax.vjp(theirs, x, kernel), ct),
            (jax.vjp(theirs, jnp.abs(x), jnp.abs(kernel)), jnp.abs(ct)),
        )
    )
    for a, b, size in zip(written, derived, sizes, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerances.summed(products, size))


@pytest.mark.parametrize("pictures", [(), (2,)], ids=["shared kernel", "kernel per picture"])
def test_product(rng, pictures):
    x, ct = (jnp.asarray(rng.standard_normal((2, 3, 5, c)), jnp.float32) for c in (4, 6))
    kernel = jnp.asarray(rng.standard_normal((*pictures, 1, 1, 4, 6)), jnp.float32)
    ours, theirs = (
        lambda x, k, conv=conv: conv(x, k, None, precision="highest") for conv in (cpu.conv1x1, layers.product1x1)
    )
    assert_same(ours, theirs, x, kernel, ct, 30)


def test_product_recomputed(rng):
    """Under `remat` the forward pass is computed again inside the gradient."""
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((1, 2, 3, 4), (1, 1, 4, 5)))

    def energy(kernel, x=x):
        return jnp.sum(cpu.conv1x1(x, kernel, None, None) ** 2)

    bound = tolerances.summed(4 + 6, jax.grad(energy)(jnp.abs(kernel), jnp.abs(x)))
    np.testing.assert_allclose(jax.grad(jax.checkpoint(energy))(kernel), jax.grad(energy)(kernel), rtol=0, atol=bound)


@pytest.mark.parametrize("channels", [(24, 32), (3, 5)], ids=["joined", "few channels"])
@pytest.mark.parametrize("shape", [(2, 4, 6), (1, 1, 1)], ids=["pictures", "a pixel"])
def test_conv3x3(rng, channels, shape):
    x, ct = (jnp.asarray(rng.standard_normal((*shape, c)), jnp.float32) for c in channels)
    kernel = jnp.asarray(rng.standard_normal((3, 3, *channels)), jnp.float32)
    ours, theirs = (
        lambda x, k, conv=conv: conv(x, k, None, precision="highest") for conv in (cpu.conv3x3, layers.conv3x3)
    )
    assert_same(ours, theirs, x, kernel, ct, 9 * max(channels))


@pytest.mark.parametrize("channels", [(24, 32), (3, 5)], ids=["joined", "few channels"])
@pytest.mark.parametrize("shape", [(2, 4, 6), (1, 1, 1)], ids=["pictures", "a pixel"])
def test_transposed_conv_phases(rng, channels, shape):
    n, h, w = shape
    x = jnp.asarray(rng.standard_normal((*shape, channels[0])), jnp.float32)
    ct = jnp.asarray(rng.standard_normal((n, 2 * h, 2 * w, channels[1])), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 3, *channels)), jnp.float32)

    def in_phases(x, kernel):
        return resampling.interleave(resampling.transposed_conv_phases(x, kernel, precision="highest"))

    def whole(x, kernel):
        return layers.transposed_conv(x, kernel, precision="highest")

    assert_same(in_phases, whole, x, kernel, ct, 9 * max(channels))
