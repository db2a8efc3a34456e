"""The stages computed by PyTorch on its CPU backend. Imported only where torch is installed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smnet_jax.checkpoints import torch_layout, torch_names
from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.verification import torch_losses
from smnet_jax.verification.stages import LEARNING_RATE, Arrays, Training, names
from smnet_jax.verification.torch_model import TorchSMNet


def network(params: Mapping[str, Any], architecture: Architecture) -> TorchSMNet:
    """The PyTorch network with our parameters, loaded strictly under the published names."""
    net = TorchSMNet(architecture.variant, architecture.width, architecture.blocks)
    state = torch_names.to_torch({"params": params}, architecture)
    net.load_state_dict({name.removeprefix("module."): torch.tensor(array) for name, array in state.items()})
    return net


def nchw(pictures: np.ndarray) -> Tensor:
    """NHWC array to NCHW tensor."""
    return torch.tensor(np.moveaxis(pictures, 3, 1))


def nhwc(x: Tensor) -> np.ndarray:
    """NCHW tensor to NHWC array."""
    return np.ascontiguousarray(x.detach().permute(0, 2, 3, 1).numpy())


@torch.inference_mode()
def forward(net: TorchSMNet, low: np.ndarray) -> Arrays:
    """Every stage of the forward pass, as `stages.forward`."""
    given = nchw(low)
    x = net.embed(given)
    found = {"stem": x}
    for i in range(net.blocks):
        taps: dict[str, Tensor] = {}
        x = net.block(x, taps)
        found |= {f"block{i + 1}/{name}": value for name, value in taps.items()}
        found[f"block{i + 1}/head"] = net.decode(x, given)
    return {name: nhwc(found[name]) for name in names(net.blocks)}


def training(net: TorchSMNet, low: np.ndarray, high: np.ndarray, vgg: torch_losses.Vgg) -> Training:
    """One training step taken apart: loss, gradients, and what torch's Adam makes of them. Changes `net`."""
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    given = nchw(low)
    total, terms = torch_losses.total_loss(net(given), given, nchw(high), vgg)
    total.backward()
    gradients = by_path(net, gradients=True)
    optimizer.step()
    loss = {name: value.detach().numpy() for name, value in {**terms, "total": total}.items()}
    return Training(loss, gradients, by_path(net))


def by_path(net: TorchSMNet, *, gradients: bool = False) -> Arrays:
    """The network's parameters, or their gradients, by our paths and in our layout."""
    tensors = dict(net.named_parameters())
    found: Arrays = {}
    for entry in torch_layout.layout(net.variant, net.out_conv2.out_channels):
        if entry.path:
            tensor = tensors[entry.name].grad if gradients else tensors[entry.name]
            assert tensor is not None, f"{entry.name}: has no gradient"
            found[entry.path] = entry.ours(tensor.detach().numpy().copy())
    return found
