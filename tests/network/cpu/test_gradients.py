"""Gradients written out equal the ones that JAX derives."""

import functools

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


@pytest.mark.parametrize("channels", [(24, 32), (3, 5), (5, 16)], ids=["joined", "very few channels", "few channels"])
@pytest.mark.parametrize(
    "shape", [(2, 4, 8), (2, 3, 6), (1, 3, 5), (1, 1, 1)], ids=["pictures", "pairs", "odd", "a pixel"]
)
def test_conv3x3(rng, channels, shape):
    x, ct = (jnp.asarray(rng.standard_normal((*shape, c)), jnp.float32) for c in channels)
    kernel = jnp.asarray(rng.standard_normal((3, 3, *channels)), jnp.float32)
    ours, theirs = (
        lambda x, k, conv=conv: conv(x, k, None, precision="highest") for conv in (cpu.conv3x3, layers.conv3x3)
    )
    assert_same(ours, theirs, x, kernel, ct, 9 * max(channels))


def test_conv3x3_beside_ones(rng):
    """A channel that depends on nothing: the others' gradients are those of all, its own is zero."""
    x, ct = (jnp.asarray(rng.standard_normal((2, 4, 8, c)), jnp.float32) for c in (4, 16))
    kernel = jnp.asarray(rng.standard_normal((3, 3, 5, 16)), jnp.float32)

    def beside_ones(conv):
        def convolve(x, kernel):
            return conv(jnp.concatenate([x, jnp.ones((2, 4, 8, 1))], -1), kernel, None, precision="highest")

        return convolve

    constant = functools.partial(cpu.conv3x3, constant=1)
    assert_same(beside_ones(constant), beside_ones(layers.conv3x3), x, kernel, ct, 9 * 16)
    towards_all, _ = jax.vjp(lambda x, k: constant(x, k, None, "highest"), jnp.ones((2, 4, 8, 5)), kernel)[1](ct)
    assert not towards_all[..., 4].any()


@pytest.mark.parametrize("inputs, outputs, pixels", [(3, 8, 4), (8, 8, 2), (4, 16, 2), (5, 16, 2), (16, 16, 1)])
def test_pixels_at_once(inputs, outputs, pixels):
    """By how few channels there are, and by what divides a row: the program convolves that many times more channels."""
    for width, expected in ((12, pixels), (6, min(pixels, 2)), (5, 1)):
        x, kernel = jnp.zeros((1, 4, width, inputs)), jnp.zeros((3, 3, inputs, outputs))
        program = jax.jit(lambda x, k: cpu.conv3x3(x, k, None, None)).lower(x, kernel).as_text()
        beside = (
            expected > 1 and max(inputs, outputs) <= 8
        )  # a group with its neighbouring pixels: one column is enough
        window = f"3x1x{(expected + 2) * inputs}" if beside else f"3x3x{expected * inputs}"
        assert f"tensor<{window}x{expected * outputs}xf32>) -> tensor<1x4x{width // expected}x" in program


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 2, 1, 2), (1, 1, 2, 2)])
def test_bilinear_up(rng, shape):
    x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    ours = lambda x: resampling.interleave(resampling.bilinear_up_phases(x))  # noqa: E731
    ct = jnp.asarray(rng.standard_normal(ours(x).shape), jnp.float32)
    written, derived = (jax.vjp(up, x)[1](ct)[0] for up in (ours, layers.bilinear_up))
    size = float(jnp.abs(jax.vjp(layers.bilinear_up, x)[1](jnp.abs(ct))[0]).max())
    np.testing.assert_allclose(written, derived, rtol=0, atol=tolerances.summed(16, size))


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
