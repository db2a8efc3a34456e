"""The five terms of SMNet's loss in PyTorch, to be read beside `losses` and compared with it.

Tensors are NCHW float32 RGB. Needs the extra `torch`; VGG16's weights are the ones that `vgg16.load_vgg16` gives, so
torchvision is not needed. Written the way papers draw it, with none of the rearrangements that `losses` makes for
speed.
"""

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from smnet_jax.losses import SIGMA, TV_WEIGHT, WINDOW
from smnet_jax.vgg16 import BLOCKS, CONVOLUTIONS

Vgg = dict[str, tuple[Tensor, Tensor]]


def total_loss(
    pred: Tensor, low: Tensor, high: Tensor, vgg: Vgg, features: AbstractContextManager[Any] | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The recipe's loss, and its terms unweighted, as `losses.total_loss`. Tensors are (N,3,H,W).

    `features`: a context for VGG16 alone, such as `torch.autocast`.
    """
    with features or contextlib.nullcontext():
        of_vgg = perceptual(pred, high, vgg)
    terms = {
        "ssim": 1 - ssim(pred, high),
        "perceptual": of_vgg,
        "smooth_l1": F.smooth_l1_loss(pred, high),
        "inner": (pred * low).mean(),
        "tv": tv(pred),
    }
    total = terms["ssim"] + terms["perceptual"] + terms["smooth_l1"] + terms["inner"] + TV_WEIGHT * terms["tv"]
    return total, terms


def l1_ssim(pred: Tensor, high: Tensor) -> Tensor:
    """The lighter loss without VGG, both weights 1, as `losses.l1_ssim`."""
    return ((pred - high).square() + 1e-3**2).sqrt().mean() + 1 - ssim(pred, high)


def ssim(pred: Tensor, high: Tensor) -> Tensor:
    """Mean structural similarity: Gaussian window per channel, valid convolution, dynamic range guessed from `pred`."""
    offsets = torch.arange(WINDOW, dtype=pred.dtype, device=pred.device) - WINDOW // 2
    tap = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    tap = tap / tap.sum()
    window = torch.outer(tap, tap).expand(pred.shape[1], 1, WINDOW, WINDOW)

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(x, window, groups=x.shape[1])

    top = 255.0 if pred.max() > 128 else 1.0
    bottom = -1.0 if pred.min() < -0.5 else 0.0
    c1, c2 = (0.01 * (top - bottom)) ** 2, (0.03 * (top - bottom)) ** 2
    mu_p, mu_h = blur(pred), blur(high)
    var_p, var_h = blur(pred * pred) - mu_p**2, blur(high * high) - mu_h**2
    cov = blur(pred * high) - mu_p * mu_h
    return (((2 * mu_p * mu_h + c1) * (2 * cov + c2)) / ((mu_p**2 + mu_h**2 + c1) * (var_p + var_h + c2))).mean()


def perceptual(pred: Tensor, high: Tensor, vgg: Vgg) -> Tensor:
    """Sum over relu1_2, relu2_2, relu3_3, relu4_3 of the mean absolute difference."""
    pairs = zip(vgg16_features(pred, vgg), vgg16_features(high, vgg), strict=True)
    return torch.stack([(p - h).abs().mean() for p, h in pairs]).sum()


def tv(pred: Tensor) -> Tensor:
    """Total variation in the published form: counts and sums over the whole batch."""
    n, c, h, w = pred.shape
    down = (pred[:, :, 1:] - pred[:, :, :-1]).square().sum() / (c * (h - 1) * w)
    right = (pred[:, :, :, 1:] - pred[:, :, :, :-1]).square().sum() / (c * h * (w - 1))
    return 2 * (down + right) / n


def vgg16_features(x: Tensor, vgg: Vgg) -> list[Tensor]:
    """relu1_2 (N,64,H,W), relu2_2, relu3_3, relu4_3 of RGB in [0, 1]."""
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], device=x.device)
    x = (x - mean[:, None, None]) / deviation[:, None, None]
    features = []
    for number, block in enumerate(BLOCKS):
        if number:
            x = F.max_pool2d(x, 2)
        for name, _, _ in block:
            weight, bias = (tensor.to(x.dtype) for tensor in vgg[name])  # float64, where a yardstick is wanted
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
        features.append(x)
    return features


def vgg16_weights(variables: dict[str, Any]) -> Vgg:
    """The variables of `vgg16.load_vgg16`, HWIO, as frozen tensors, OIHW."""
    params = variables["params"]
    return {
        name: (
            torch.tensor(np.asarray(params[name]["kernel"]).transpose(3, 2, 0, 1)),
            torch.tensor(np.asarray(params[name]["bias"])),
        )
        for name, _, _ in CONVOLUTIONS
    }
