"""SSIM, the structural similarity index."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp

from smnet_jax.metrics import extents
from smnet_jax.metrics.inputs import checked, checked_sizes, levels
from smnet_jax.metrics.windows import gaussian, moments, uniform

Window = Literal["uniform", "gaussian"]
WINDOWS = {"uniform": uniform(7), "gaussian": gaussian(11, 1.5)}
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(
    pred: jax.typing.ArrayLike,
    target: jax.typing.ArrayLike,
    *,
    window: Window = "uniform",
    sizes: jax.typing.ArrayLike | None = None,
) -> jax.Array:
    """Structural similarity, one per picture: the mean of the SSIM map over pixels and channels.

    Range: [-1, 1], 1 for identical pictures; higher is better. Symmetric. Two definitions are in use and differ by up
    to 0.06, so say which one a number is:

    - "uniform": scikit-image's default. 7x7 window of equal weights, sample covariance (divided by 48, not 49).
    - "gaussian": Wang et al. 2004. 11x11 Gaussian window of sigma 1.5, population covariance; scikit-image's
      `gaussian_weights=True, use_sample_covariance=False`. What the training loss uses.

    Both take each channel by itself and only windows that lie wholly inside the picture: scikit-image pads by mirroring
    and then crops the rim that the padding touched, which comes to the same. For SSIM of the luma, as some
    papers report, pass `luma(pred), luma(target)`.

    Args:
      pred, target: (N, H, W, C), both uint8 or both floats in [0, 1]; at least 7x7 pixels (gaussian: 11x11).
      sizes: (N, 2) rows and columns of pictures in the upper left corners of larger arrays; None: they fill them.

    Returns:
      (N,) float32.

    Raises:
      InputError: shapes or types differ, values leave the range (not checked under jit), or the picture is too small.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE TIP 13(4), 2004. Agrees with `skimage.metrics.structural_similarity` (0.26).
    """
    if window not in WINDOWS:
        raise ValueError(f"ssim: window is {window!r}; it is one of {', '.join(WINDOWS)}")
    pair = checked("ssim", pred, target, minimum=len(WINDOWS[window]))
    return _ssim(*pair, checked_sizes("ssim", sizes, pair[0], minimum=len(WINDOWS[window])), window=window)


@functools.partial(jax.jit, static_argnames="window")
def _ssim(pred: jax.Array, target: jax.Array, sizes: extents.Sizes, *, window: Window) -> jax.Array:
    sizes = extents.of_channels(sizes)
    x, y = (jnp.moveaxis(levels(images), -1, 1) for images in (pred, target))  # (N, C, H, W)
    mean_x, mean_y, variance_x, variance_y, covariance = moments(x, y, WINDOWS[window], sizes)
    sample = 49 / 48 if window == "uniform" else 1.0
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * sample * covariance + C2) / (sample * (variance_x + variance_y) + C2)
    if sizes is None:
        return jnp.mean(luminance * structure, axis=(1, 2, 3))
    return jnp.mean(extents.mean(luminance * structure, extents.windows(sizes, len(WINDOWS[window]))), 1)
