"""Gray from RGB."""

import jax
import jax.numpy as jnp
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""BT.601 luma, also the Y of YIQ and YCbCr: the gray of OpenCV, Pillow and the older metrics' code."""


def luma(images: jax.typing.ArrayLike) -> jax.Array:
    """Gray pictures by BT.601, (N, H, W, 3) -> (N, H, W, 1), of the type given.

    0.299 R + 0.587 G + 0.114 B of the stored (gamma-encoded) values, full range: what papers that report a "gray"
    PSNR or SSIM mostly compute (OpenCV's RGB2GRAY). uint8 is rounded to the nearest level, in integers, halves up.
    MATLAB's rgb2ycbcr differs: it squeezes Y into 16..235.
    """
    images = jnp.asarray(images)
    if images.dtype == jnp.uint8:
        red, green, blue = (images[..., c : c + 1].astype(jnp.int32) for c in range(3))
        return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(jnp.uint8)
    return plane(images)[..., None].astype(images.dtype)


def plane(images: jax.Array) -> jax.Array:
    """Luma as planes, (N, H, W, 3) -> (N, H, W); a single channel is taken as it is."""
    if images.shape[-1] == 1:
        return images[..., 0]
    # Written out rather than as a product of matrices, which a TPU would round to bfloat16.
    red, green, blue = (images[..., c] for c in range(3))
    return float(LUMA[0]) * red + float(LUMA[1]) * green + float(LUMA[2]) * blue
