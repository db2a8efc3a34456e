"""Gradients written out equal the ones that JAX derives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax import layers


@pytest.mark.parametrize("pictures", [(), (2,)], ids=["shared kernel", "kernel per picture"])
def test_product(rng, pictures):
    x, ct = (jnp.asarray(rng.standard_normal((2, 3, 5, c)), jnp.float32) for c in (4, 6))
    kernel = jnp.asarray(rng.standard_normal((*pictures, 1, 1, 4, 6)), jnp.float32)
    written, derived = (
        jax.vjp(lambda x, k, form=form: layers.conv1x1(x, k, precision="highest", form=form), x, kernel)
        for form in ("subpixel", "conv")
    )
    np.testing.assert_allclose(written[0], derived[0], rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(written[1](ct), derived[1](ct), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_product_recomputed(rng):
    """Under `remat` the forward pass is computed again inside the gradient."""
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((1, 2, 3, 4), (1, 1, 4, 5)))

    def energy(kernel):
        return jnp.sum(layers.conv1x1(x, kernel, form="subpixel") ** 2)

    np.testing.assert_allclose(jax.grad(jax.checkpoint(energy))(kernel), jax.grad(energy)(kernel), rtol=1e-6)
