"""Fewer products give the same convolutions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.checkpoints.weights import load
from smnet_jax.network import layers
from smnet_jax.network.cpu import gradients, resampling, winograd
from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet
from tests.support import tolerances
from tests.support.golden_case import relative_error


@pytest.mark.parametrize("by", [winograd.THREE_TAPS, winograd.TWO_TAPS], ids=["three taps", "two taps"])
def test_tables_are_a_filter(rng, by):
    inputs, kernels, outputs = (np.array(table) for table in by)
    data, taps = rng.standard_normal(inputs.shape[1]), rng.standard_normal(kernels.shape[1])
    found = outputs @ ((kernels @ taps) * (inputs @ data))
    np.testing.assert_allclose(found, np.correlate(data, taps, "valid"), atol=1e-14)
    assert np.array_equal(inputs, inputs.astype(np.float32))  # only the kernels' sums round their weights


def plain(x, kernel):
    """3x3, zero padding of one pixel, in float64."""
    h, w = x.shape[1:3]
    padded = np.pad(x.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(padded[:, a : a + h, b : b + w] @ kernel[a, b].astype(float) for a in range(3) for b in range(3))


@pytest.mark.parametrize("shape", [(2, 8, 9), (1, 7, 5), (1, 1, 1), (3, 2, 4)])
def test_conv3x3(rng, shape):
    x = rng.standard_normal((*shape, 24)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 24, 40)).astype(np.float32)
    found, expected = winograd.conv3x3(jnp.asarray(x), jnp.asarray(kernel), "highest"), plain(x, kernel)
    bound = tolerances.filtered(winograd.THREE_TAPS, 3 * 24) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("shape", [(2, 8, 9), (1, 7, 5), (1, 1, 1), (3, 2, 4)])
def test_transposed_conv_phases(rng, shape):
    x = jnp.asarray(rng.standard_normal((*shape, 24)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 3, 24, 40)), jnp.float32)
    found = resampling.interleave(winograd.transposed_conv_phases(x, kernel, "highest"))
    expected = layers.transposed_conv(x, kernel, precision="highest")
    bound = tolerances.filtered(winograd.TWO_TAPS, 2 * 24) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("operation", [gradients.conv3x3, gradients.transposed_conv_phases])
def test_it_is_used_but_where_there_is_a_gradient(rng, winograd_everywhere, operation):
    """What training computes stays the plain sum."""
    x = jnp.asarray(rng.standard_normal((1, 8, 6, 16)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 3, 16, 32)), jnp.float32)

    def run(x, kernel):
        return jnp.stack(jax.tree.leaves(operation(x, kernel, None)))

    alone, (derived, _) = run(x, kernel), jax.vjp(run, x, kernel)
    bound = tolerances.filtered(winograd.THREE_TAPS, 3 * 16) * float(jnp.abs(derived).max())
    np.testing.assert_allclose(alone, derived, rtol=0, atol=bound)
    assert (alone != derived).any()


def test_worthwhile():
    def of(height, channels, dtype=jnp.float32):
        x = jax.ShapeDtypeStruct((1, height, 600, channels[0]), dtype)
        return winograd.worthwhile(x, jax.ShapeDtypeStruct((3, 3, *channels), dtype))

    assert of(400, (64, 64)) and of(400, (192, 64)) and of(4000, (17, 64))
    assert not of(80, (64, 64))  # soon done
    assert not of(4000, (64, 32)) and not of(4000, (8, 64))  # few channels
    assert not of(400, (64, 64), jnp.bfloat16)
    (height,) = jax.export.symbolic_shape("height")
    assert not of(height, (64, 64))


def test_network_equals_the_published_one(golden_case, winograd_everywhere):
    """As it is enhanced, with the block compiled once."""
    expected = golden_case.arrays("forward")
    model, variables = load(golden_case.checkpoint, implementation="cpu", precision="highest")
    found = jax.jit(model.clone(scan=True).apply)(variables, expected["low"])
    bound = tolerances.forward(golden_case.variant, golden_case.width)
    assert relative_error(found, expected["output"]) < bound


def test_network_computes_a_large_picture_so(monkeypatch):
    model = SMNet(blocks=1, implementation="cpu")
    low = jax.ShapeDtypeStruct((1, 400, 600, 3), jnp.float32)
    variables = jax.eval_shape(lambda: initialise(model, 0))

    def operations():
        costs: Any = jax.jit(lambda *a: model.apply(*a)).lower(variables, low).cost_analysis()
        return costs["flops"]

    found = operations()
    monkeypatch.setattr(winograd, "WORTH", np.inf)
    assert found < 0.7 * operations()
