"""The recipe's loss in PyTorch at any precision: the referee between two float32 results that differ."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from smnet_jax import torch_files
from smnet_jax.torch_model import TorchSMNet
from smnet_jax.vgg16 import BLOCKS


def load(checkpoint: Path, variant: str, width: int, dtype: torch.dtype) -> TorchSMNet:
    """Our own PyTorch network with the weights of `checkpoint`."""
    net = TorchSMNet(variant, width)
    state = torch_files.read_state_dict(checkpoint)
    net.load_state_dict({name.removeprefix("module."): torch.tensor(array) for name, array in state.items()})
    return net.to(dtype)


def terms(net: TorchSMNet, low: np.ndarray, high: np.ndarray, vgg, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The five terms, unweighted, and their sum `total`, of pictures (N, H, W, 3)."""
    low, high = (torch.tensor(x, dtype=dtype).permute(0, 3, 1, 2) for x in (low, high))
    output = net(low)
    pred = output[0] if isinstance(output, tuple) else output
    features = [_features(x, vgg, dtype) for x in (pred, high)]
    parts = {
        "ssim": 1 - _ssim(pred, high),
        "perceptual": sum((p - t).abs().mean() for p, t in zip(*features, strict=True)),
        "smooth_l1": F.smooth_l1_loss(pred, high),
        "inner": (pred * low).mean(),
        "tv": 2 * (pred.diff(dim=2).square().mean() + pred.diff(dim=3).square().mean()),
    }
    return {**parts, "total": sum(parts.values()) - 0.999 * parts["tv"]}


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


def _features(x: torch.Tensor, vgg, dtype: torch.dtype) -> list[torch.Tensor]:
    mean, deviation = (
        torch.tensor(v, dtype=dtype).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    x = (x - mean) / deviation
    features: list[torch.Tensor] = []
    for block in BLOCKS:
        x = F.max_pool2d(x, 2) if features else x
        for name, _, _ in block:
            kernel, bias = (torch.tensor(np.asarray(vgg["params"][name][k]), dtype=dtype) for k in ("kernel", "bias"))
            x = F.relu(F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=1))
        features.append(x)
    return features


def _ssim(pred: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    taps = torch.exp(-((torch.arange(11, dtype=pred.dtype) - 5) ** 2) / 4.5)
    taps = taps / taps.sum()
    window = torch.outer(taps, taps).expand(3, 1, 11, 11)
    maps = (pred, high, pred * pred, high * high, pred * high)
    mp, mh, pp, hh, ph = (F.conv2d(x, window, groups=3) for x in maps)
    span = (255 if pred.max() > 128 else 1) - (-1 if pred.min() < -0.5 else 0)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    luminance = (2 * mp * mh + c1) / (mp**2 + mh**2 + c1)
    return (luminance * (2 * (ph - mp * mh) + c2) / (pp - mp**2 + hh - mh**2 + c2)).mean()
