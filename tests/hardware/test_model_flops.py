"""The analytic count against the published totals, PyTorch's counter, and XLA's."""

import jax
import jax.numpy as jnp
import pytest

from smnet_jax.bench import baselines
from smnet_jax.hardware import model_flops
from smnet_jax.vgg16 import CONVOLUTIONS, vgg16_features


@pytest.mark.parametrize(("height", "width", "macs"), [(128, 128, 32.0e9), (256, 256, 128.1e9), (400, 600, 469e9)])
def test_the_published_totals(height, width, macs):
    """Multiplications and additions of the published lol at width 64, counted from its layers."""
    assert model_flops.forward(height, width) / 2 == pytest.approx(macs, rel=2e-3)


@pytest.mark.parametrize("variant", ["lol", "fivek"])
def test_pytorch_counts_the_same(variant):
    pytest.importorskip("torch")
    eager = baselines.build("PyTorch eager", variant, 8, 32, 32)
    assert model_flops.forward(32, 32, variant=variant, width=8) == eager.operations


def test_vgg_is_what_xla_counts():
    params = {n: {"kernel": jnp.zeros((3, 3, i, o)), "bias": jnp.zeros(o)} for n, i, o in CONVOLUTIONS}
    picture = jax.ShapeDtypeStruct((1, 1024, 1024, 3), jnp.float32)
    cost = jax.jit(vgg16_features).lower({"params": params}, picture).cost_analysis()
    assert cost is not None
    # XLA leaves out the products with the padding, and counts biases, ReLU, pooling and the normalisation.
    assert model_flops.vgg(1024, 1024) == pytest.approx(cost["flops"], rel=0.01)


def test_a_step_is_three_forward_passes_and_vgg():
    light = model_flops.training_step(2, (16, 16), width=4, loss="l1_ssim")
    assert light == 2 * 3 * model_flops.forward(16, 16, width=4)
    assert model_flops.training_step(2, (16, 16), width=4) == light + 2 * 3 * model_flops.vgg(16, 16)
    deep = model_flops.training_step(1, (16, 16), width=4, deep_supervision=True)
    assert deep > model_flops.training_step(1, (16, 16), width=4) + 4 * model_flops.vgg(16, 16)


def test_parts_sum_to_the_whole():
    parts = dict(model_flops.layers("lol", 64, 3, 128, 128))
    assert 2 * sum(parts.values()) == model_flops.forward(128, 128)
    assert parts["fem"] == max(parts.values())
