"""VIF, visual information fidelity, in the pixel domain (VIFp)."""

import jax
import jax.numpy as jnp

from smnet_jax.metrics import extents
from smnet_jax.metrics.color import plane
from smnet_jax.metrics.inputs import checked, checked_sizes, levels
from smnet_jax.metrics.windows import gaussian, moments, slide

NOISE = 2.0  # variance of the visual noise, on the scale 0..255
TINY = 1e-8
SIZES = (17, 9, 5, 3)  # window at each of the four scales; sigma is a fifth of it
MINIMUM = 41  # below it the window of the coarsest scale does not fit


def vif(
    pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike, *, sizes: jax.typing.ArrayLike | None = None
) -> jax.Array:
    """Visual information fidelity in the pixel domain (VIFp), one per picture.

    The information that the eye can draw from `pred` about the scene, over the information in `target`, both modelled
    as local Gaussians seen through noise of variance 2: summed over four scales and all pixels of the luma.

    Range: 0 upwards; higher is better; 1 for identical pictures, above 1 where `pred` has more contrast than
    `target`. NOT symmetric: the judged picture comes first. A target without any structure gives 1.

    Args:
      pred, target: (N, H, W, 3) RGB or (N, H, W, 1), both uint8 or both floats in [0, 1]; at least 41x41 pixels.
      sizes: (N, 2) rows and columns of pictures in the upper left corners of larger arrays; None: they fill them.

    Returns:
      (N,) float32. Gaussian windows of 17, 9, 5, 3 (sigma a fifth of it), wholly inside the picture; each
      scale is the last one blurred with its own window and halved.

    Raises:
      InputError: shapes or types differ, values leave the range (not checked under jit), or the picture is too small.

    Source: Sheikh, Bovik, "Image information and visual quality", IEEE TIP 15(2), 2006; the pixel-domain form is
    their vifp_mscale code. Agrees with `piq.vif_p` (0.8). The wavelet form of the paper gives other numbers.
    """
    pair = checked("vif", pred, target, minimum=MINIMUM, channels=(1, 3))
    return _vif(*pair, checked_sizes("vif", sizes, pair[0], minimum=MINIMUM))


@jax.jit
def _vif(pred: jax.Array, target: jax.Array, sizes: extents.Sizes) -> jax.Array:
    x, y = plane(levels(pred)), plane(levels(target))
    # A shift changes no variance; taken off here, a blurred and halved copy cannot lose digits to it either.
    x, y = (p - jax.lax.stop_gradient(extents.mean(p, sizes)[..., None, None]) for p in (x, y))
    kept, total = jnp.zeros(len(x)), jnp.zeros(len(y))
    for scale, size in enumerate(SIZES):
        window = gaussian(size, size / 5)
        if scale > 0:
            x, y = slide(x, window, stride=2), slide(y, window, stride=2)
            sizes = extents.windows(sizes, size, stride=2)
        _, _, variance_x, variance_y, covariance = moments(x, y, window, sizes)
        whole = extents.windows(sizes, size)

        # y passes through a gain and an additive noise to become x. Where either is flat, or the gain would be
        # negative, nothing of y is left in x and all of x's variance counts as noise.
        related = (variance_x >= TINY) & (variance_y >= TINY) & (covariance > 0)
        gain = jnp.where(related, covariance / jnp.where(related, variance_y, 1), 0)
        noise = jnp.maximum(variance_x - gain * covariance, TINY)
        kept += extents.total(jnp.log1p(gain**2 * variance_y / (noise + NOISE)), whole)
        total += extents.total(jnp.where(variance_y >= TINY, jnp.log1p(variance_y / NOISE), 0), whole)
    return (kept + TINY) / (total + TINY)
