"""The published training in PyTorch at any precision: the referee between two float32 results that differ."""

from pathlib import Path

import numpy as np
import torch

from smnet_jax.checkpoints import formats
from smnet_jax.verification import torch_losses
from smnet_jax.verification.torch_model import TorchSMNet


def load(checkpoint: Path, variant: str, width: int, dtype: torch.dtype) -> TorchSMNet:
    """Our own PyTorch network with the weights of `checkpoint`."""
    net = TorchSMNet(variant, width)
    state = formats.read_state_dict(checkpoint)
    net.load_state_dict({name.removeprefix("module."): torch.tensor(array) for name, array in state.items()})
    return net.to(dtype)


def terms(net: TorchSMNet, low: np.ndarray, high: np.ndarray, vgg, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The five terms, unweighted, and the loss as `total`, of pictures (N, H, W, 3)."""
    dark, bright = (torch.tensor(x, dtype=dtype).permute(0, 3, 1, 2) for x in (low, high))
    total, parts = torch_losses.total_loss(net(dark), dark, bright, torch_losses.vgg16_weights(vgg))
    return {**parts, "total": total}


def trajectory(net: TorchSMNet, batches, vgg, dtype: torch.dtype) -> list[dict[str, float]]:
    """Terms before each Adam step over `batches` of (low, high); the rate is divided by 1.2 after the fourth."""
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4)
    told = []
    for i, (low, high) in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 5e-4 / (1.2 if i >= 4 else 1)
        optimizer.zero_grad()
        parts = terms(net, low, high, vgg, dtype)
        parts["total"].backward()
        optimizer.step()
        told.append({name: value.item() for name, value in parts.items()})
    return told
