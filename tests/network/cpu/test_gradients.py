"""Gradients written out equal the ones that JAX derives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network import layers
from smnet_jax.network.cpu import network as cpu
from smnet_jax.network.cpu import resampling


@pytest.mark.parametrize("pictures", [(), (2,)], ids=["shared kernel", "kernel per picture"])
def test_product(rng, pictures):
    x, ct = (jnp.asarray(rng.standard_normal((2, 3, 5, c)), jnp.float32) for c in (4, 6))
    kernel = jnp.asarray(rng.standard_normal((*pictures, 1, 1, 4, 6)), jnp.float32)
    written, derived = (
        jax.vjp(lambda x, k, conv=conv: conv(x, k, None, precision="highest"), x, kernel)
        for conv in (cpu.conv1x1, layers.product1x1)
    )
    np.testing.assert_allclose(written[0], derived[0], rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(written[1](ct), derived[1](ct), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_product_recomputed(rng):
    """Under `remat` the forward pass is computed again inside the gradient."""
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((1, 2, 3, 4), (1, 1, 4, 5)))

    def energy(kernel):
        return jnp.sum(cpu.conv1x1(x, kernel, None, None) ** 2)

    np.testing.assert_allclose(jax.grad(jax.checkpoint(energy))(kernel), jax.grad(energy)(kernel), rtol=1e-6)


@pytest.mark.parametrize("channels", [(24, 32), (3, 5)], ids=["joined", "few channels"])
@pytest.mark.parametrize("shape", [(2, 4, 6), (1, 1, 1)], ids=["pictures", "a pixel"])
def test_conv3x3(rng, channels, shape):
    x, ct = (jnp.asarray(rng.standard_normal((*shape, c)), jnp.float32) for c in channels)
    kernel = jnp.asarray(rng.standard_normal((3, 3, *channels)), jnp.float32)
    written, derived = (
        jax.vjp(lambda x, k, conv=conv: conv(x, k, None, precision="highest"), x, kernel)
        for conv in (cpu.conv3x3, layers.conv3x3)
    )
    np.testing.assert_array_equal(written[0], derived[0])
    for ours, theirs in zip(written[1](ct), derived[1](ct), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


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

    written, derived = jax.vjp(in_phases, x, kernel), jax.vjp(whole, x, kernel)
    np.testing.assert_allclose(written[0], derived[0], rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(written[1](ct), derived[1](ct), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)
