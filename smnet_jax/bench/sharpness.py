"""How much of a picture's finest detail is left: what smoothing takes, and PSNR hardly sees."""

import numpy as np

from smnet_jax.metrics.color import LUMA


def fine_detail(picture: np.ndarray, target: np.ndarray) -> float:
    """The share of the target's finest detail that is in the picture: 1 is all of it, less is blurred or flatter.

    picture, target: (H,W,3) sRGB in [0, 1]. Detail is the Laplacian of lightness, 4 times a pixel less its four
    neighbours; the share is the slope of the picture's on the target's, so noise counts nothing. NaN for a flat target.
    """
    ours, wanted = (_laplacian(np.asarray(x, np.float64) @ LUMA) for x in (picture, target))
    energy = float((wanted * wanted).mean())
    flat = energy < 1e-12  # a millionth of white: what is left of a flat target is rounding
    return float("nan") if flat else float((ours * wanted).mean()) / energy


def _laplacian(light: np.ndarray) -> np.ndarray:
    inner = light[1:-1, 1:-1]
    return 4 * inner - light[:-2, 1:-1] - light[2:, 1:-1] - light[1:-1, :-2] - light[1:-1, 2:]
