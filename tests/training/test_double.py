"""Gradients in float64, where nothing is rounded to speak of."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from smnet_jax import losses
from smnet_jax.checkpoints import torch_layout, trees, weights
from smnet_jax.training.config import Config
from smnet_jax.training.step import make_loss, make_model
from smnet_jax.vgg16 import load_vgg16, vgg16_features
from tests.support import torch_loss
from tests.support.golden_case import VARIANTS, GoldenCase


@pytest.fixture(scope="module")
def vgg():
    return load_vgg16()


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_equal_pytorchs_in_float64(fixtures, variant, vgg, monkeypatch):
    """Without rounding there is no wrong side of a non-smooth point: every tensor to 3e-5 of its largest magnitude.

    What remains comes from the global statistics and the head, which always compute in float32.
    """
    case = GoldenCase(fixtures / "golden", variant, 8)
    golden = case.arrays("loss_grad")
    net = torch_loss.load(case.checkpoint, variant, 8, torch.float64)
    torch_loss.terms(net, golden["low"], golden["high"], vgg, torch.float64)["total"].backward()
    theirs = {name: p.grad.numpy() for name, p in net.named_parameters() if p.grad is not None}
    with jax.enable_x64(True):
        monkeypatch.setattr(losses, "vgg16_features", functools.partial(vgg16_features, dtype=jnp.float64))
        config = Config(variant=variant, width=8)
        model = make_model(config).clone(dtype=jnp.float64)
        params, wide_vgg, batch = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float64),
            (weights.read(case.checkpoint).params, vgg, {name: golden[name] for name in ("low", "high")}),
        )
        grads = jax.jit(jax.grad(lambda *args: make_loss(config, model, "recipe")(*args, None)[0]))(
            params, batch, wide_vgg
        )
        ours = trees.flatten(jax.device_get(grads))
    for entry in torch_layout.layout(variant, 8):
        if entry.path is not None:
            expected = entry.ours(theirs[entry.name])
            assert np.abs(ours[entry.path] - expected).max() <= 3e-5 * np.abs(expected).max(), entry.name
