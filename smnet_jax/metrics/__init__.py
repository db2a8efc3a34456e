"""Image quality in JAX: every metric of the low-light papers' tables, jit-compiled, one number per picture.

    score = ssim(pred, target)                  # (N, H, W, 3), (N, H, W, 3) -> (N,)

First the picture that is judged, then the reference (`niqe` has none). Both are uint8 (0..255) or both floats in
[0, 1]; the type decides, values are checked and never guessed at. All are plain functions of arrays: they can be
jitted, mapped, sharded over the batch and, but for `loe` and `niqe`, differentiated. docs/metrics.md gives definitions
and measured agreement.
"""

from smnet_jax.metrics.color import luma
from smnet_jax.metrics.feature_similarity import (
    fsim,
    fsim_and_fsimc,
    fsim_filters,
    fsim_grid,
    fsim_of_responses,
    fsim_responses,
    fsimc,
)
from smnet_jax.metrics.information_weighted import iw_ssim
from smnet_jax.metrics.lightness_order import loe, loe_grid, loe_reduction
from smnet_jax.metrics.naturalness import niqe
from smnet_jax.metrics.peak_signal_to_noise import psnr
from smnet_jax.metrics.perceptual_distance import load_lpips, lpips
from smnet_jax.metrics.structural_similarity import ssim
from smnet_jax.metrics.visual_information import vif

__all__ = [
    "fsim",
    "fsim_and_fsimc",
    "fsim_filters",
    "fsim_grid",
    "fsim_of_responses",
    "fsim_responses",
    "fsimc",
    "iw_ssim",
    "load_lpips",
    "loe",
    "loe_grid",
    "loe_reduction",
    "lpips",
    "luma",
    "niqe",
    "psnr",
    "ssim",
    "vif",
]
