"""Gradients on the same side of every kink as PyTorch: what is left is rounding, to the bound without exceptions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from smnet_jax import convert, weights
from smnet_jax.training.config import Config
from smnet_jax.training.step import make_loss, make_model
from smnet_jax.vgg16 import load_vgg16
from tests import kinks, torch_loss

BOUND = 1e-4  # of each tensor's largest magnitude
SLOPE_BOUND = 1e-3  # a slope's one number is a sum over all pixels, which may cancel (seen: 3.9e-4)


def test_every_gradient_equals_pytorchs_on_the_same_side_of_every_kink(golden_case):
    """And the published one, wherever PyTorch on this machine reproduces that.

    `test_step` compares without this help. What it finds beyond the bound is there because a kink went the other way.
    """
    golden, vgg = golden_case.arrays("loss_grad"), load_vgg16()
    net = torch_loss.load(golden_case.checkpoint, golden_case.variant, golden_case.width, torch.float32)
    with kinks.record() as choices:
        total = torch_loss.terms(net, golden["low"], golden["high"], vgg, torch.float32)["total"]
    total.backward()
    theirs = {name: p.grad.numpy() for name, p in net.named_parameters() if p.grad is not None}
    ours = _gradients(golden_case, golden, vgg, choices)
    reproduced = 0
    for entry in convert.layout(golden_case.variant, golden_case.width):
        if entry.path is None:
            continue
        here, published = (
            entry.ours(theirs[entry.name]),
            entry.ours(golden[f"grad/{entry.name}"]),
        )
        largest, bound = np.abs(published).max(), BOUND if published.size > 1 else SLOPE_BOUND
        assert np.abs(ours[entry.path] - here).max() <= bound * largest, entry.name
        if np.abs(here - published).max() <= BOUND * largest / 2:
            reproduced += 1
            assert np.abs(ours[entry.path] - published).max() <= bound * largest, entry.name
    print(f"{golden_case.variant} {golden_case.width}: PyTorch here reproduces {reproduced} of {len(ours)} tensors")


def _gradients(case, golden, vgg, choices) -> dict[str, Any]:
    config = Config(variant=case.variant, width=case.width)
    loss = make_loss(config, make_model(config), "recipe")

    def imposed(params, batch, vgg, choices):
        with kinks.replay(choices):
            return loss(params, batch, vgg, None)[0]

    batch = {name: jnp.asarray(golden[name]) for name in ("low", "high")}
    grads = jax.jit(jax.grad(imposed))(weights.read(case.checkpoint).params, batch, vgg, choices)
    return convert.flatten(jax.device_get(grads))
