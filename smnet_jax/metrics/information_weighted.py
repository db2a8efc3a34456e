"""IW-SSIM, the information content weighted structural similarity index."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.metrics import extents
from smnet_jax.metrics.color import plane
from smnet_jax.metrics.inputs import checked, checked_sizes, levels
from smnet_jax.metrics.windows import gaussian, moments, uniform

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # finest scale first, as in multi-scale SSIM
WEIGHTS = WEIGHTS / WEIGHTS.sum()
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
NOISE = 0.4  # variance of the visual noise, on the scale 0..255
WINDOW = gaussian(11, 1.5)
MINIMUM = 161  # (11 - 1) * 2^4 + 1: the window must fit the coarsest scale
EPS = float(np.finfo(np.float32).eps)


def iw_ssim(
    pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike, *, sizes: jax.typing.ArrayLike | None = None
) -> jax.Array:
    """Information content weighted SSIM, one per picture.

    Multi-scale SSIM on a five-level Laplacian pyramid of the luma, where each pixel of a scale's map is
    weighted by the information (mutual information through a noisy eye) that `target` and `pred` carry there.

    Range: [0, 1], 1 for identical pictures; higher is better. NOT symmetric: the weights come from `target`.
    Where a scale carries no information at all (a constant target), its pixels count equally.

    Args:
      pred, target: (N, H, W, 3) RGB or (N, H, W, 1), both uint8 or both floats in [0, 1]; at least 161x161 pixels.
      sizes: (N, 2) rows and columns of pictures in the upper left corners of larger arrays; None: they fill them.

    Returns:
      (N,) float32. SSIM maps: 11x11 Gaussian windows, sigma 1.5, wholly inside; information: 3x3 blocks with the
      parent pixel of the next coarser scale. Gradients flow to `pred`; the statistics of `target` that
      the weights rest on are held constant.

    Raises:
      InputError: shapes or types differ, values leave the range (not checked under jit), or the picture is too small.

    Source: Wang, Li, "Information content weighting for perceptual image quality assessment", IEEE TIP 20(5), 2011.
    Agrees with `piq.information_weighted_ssim` (0.8).
    """
    pair = checked("iw_ssim", pred, target, minimum=MINIMUM, channels=(1, 3))
    return _iw_ssim(*pair, checked_sizes("iw_ssim", sizes, pair[0], minimum=MINIMUM))


@jax.jit
def _iw_ssim(pred: jax.Array, target: jax.Array, sizes: extents.Sizes) -> jax.Array:
    pyramid = _laplacian_pyramid(jnp.stack([plane(levels(images)) for images in (pred, target)]), sizes)
    score = jnp.ones(len(pred))
    for i, (x, y) in enumerate(pyramid):
        mean_x, mean_y, variance_x, variance_y, covariance = moments(x, y, WINDOW, sizes)
        whole = extents.windows(sizes, len(WINDOW))
        similarity = (2 * covariance + C2) / (variance_x + variance_y + C2)
        if i == len(WEIGHTS) - 1:  # the low-pass remainder: compare means, too, and weigh all pixels alike
            similarity *= (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
            pooled = extents.mean(similarity, whole)
        else:
            parent = pyramid[i + 1][1] if i < len(WEIGHTS) - 2 else None
            information = _information(x, y, parent, sizes)[..., 4:-4, 4:-4]  # 3x3 blocks reach 4 pixels nearer the rim
            amount = extents.total(information, whole)
            some = amount > 0
            pooled = jnp.where(
                some,
                extents.total(similarity * information, whole) / jnp.where(some, amount, 1),
                extents.mean(similarity, whole),
            )
        # |0|^w has an infinite slope: keep zero away from the power itself, not only from its result.
        positive = jnp.abs(pooled) > 0
        score *= jnp.where(positive, jnp.where(positive, jnp.abs(pooled), 1) ** float(WEIGHTS[i]), 0)
        sizes = _half(sizes)
    return score


def _half(sizes: extents.Sizes) -> extents.Sizes:
    return None if sizes is None else (sizes + 1) // 2


def _laplacian_pyramid(planes: jax.Array, sizes: extents.Sizes) -> list[jax.Array]:
    """Four bands and the low-pass remainder, (..., H, W), each half the size of the last (rounded up)."""
    pyramid = []
    for _ in range(len(WEIGHTS) - 1):
        low, half = _halved(_halved(planes, -2, sizes), -1, sizes), _half(sizes)
        pyramid.append(planes - _doubled(_doubled(low, -2, planes.shape[-2], half), -1, planes.shape[-1], half))
        planes, sizes = low, half
    return [*pyramid, planes]


# Both steps scale by sqrt 2 per axis, as in matlabPyrTools: levels grow by 2, as an orthonormal basis would have it.
ROOT2 = float(np.sqrt(2))


def _halved(x: jax.Array, axis: int, sizes: extents.Sizes) -> jax.Array:
    """Blur with [1 4 6 4 1] / 16 sqrt 2, mirrored at the rim, and keep every second sample of one axis."""
    padded = extents.padded(x, axis, (2, 2), "reflect", sizes)
    axis += x.ndim
    last = padded.shape[axis] - 4
    a, b, c, d, e = (lax.slice_in_dim(padded, i, i + last, 2, axis) for i in range(5))
    return (ROOT2 / 16) * (a + e + 4 * (b + d) + 6 * c)


def _doubled(x: jax.Array, axis: int, size: int, sizes: extents.Sizes) -> jax.Array:
    """Insert zeros between samples of one axis and blur with the same filter, cut to `size` samples.

    Mirroring the picture with its zeros means: mirrored on the left ([1] before [0]), repeated on the right.
    """
    n = x.shape[axis]
    x = extents.padded(x, axis, (0, 1), "edge", sizes)
    x = extents.padded(x, axis, (1, 0), "reflect", None)
    axis += x.ndim
    left, middle, right = (lax.slice_in_dim(x, i, i + n, 1, axis) for i in range(3))
    even = (ROOT2 / 16) * (left + 6 * middle + right)
    odd = (ROOT2 / 4) * (middle + right)
    both = jnp.stack([even, odd], axis + 1)
    both = both.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
    return lax.slice_in_dim(both, 0, size, 1, axis)


def _information(x: jax.Array, y: jax.Array, parent: jax.Array | None, sizes: extents.Sizes) -> jax.Array:
    """Bits per pixel that the eye shares with one band of target (y) and pred (x), (N, H, W) -> (N, H - 2, W - 2).

    Target blocks are modelled as a Gaussian scale mixture with one covariance for the whole band; pred is the
    target with a local gain and additive noise; both are seen through noise of variance NOISE.
    """
    _, _, variance_x, variance_y, covariance = moments(x, y, uniform(3), sizes)
    related = (variance_x >= EPS) & (variance_y >= EPS)
    gain = jnp.where(related, covariance / jnp.where(related, variance_y + EPS, 1), 0)
    noise = jnp.where(
        related, jnp.maximum(variance_x - gain * covariance, 0), jnp.where(variance_x < EPS, 0, variance_x)
    )

    energy, spectrum = _block_energy(lax.stop_gradient(y), None if parent is None else lax.stop_gradient(parent), sizes)

    def add(information: jax.Array, eigenvalue: jax.Array) -> tuple[jax.Array, None]:
        signal = energy * eigenvalue[:, None, None]
        return information + jnp.log1p(((noise + (1 + gain**2) * NOISE) * signal + NOISE * noise) / NOISE**2), None

    # A loop, here and below: written out, five levels of ten terms take XLA longer to compile than the rest of all.
    information, _ = lax.scan(add, jnp.zeros_like(energy), spectrum.T)
    information = information / float(np.log(2))
    return jnp.where(information >= EPS, information, 0)


def _block_energy(y: jax.Array, parent: jax.Array | None, sizes: extents.Sizes) -> tuple[jax.Array, jax.Array]:
    """Each 3x3 block (and its parent pixel) against the covariance C of all blocks: y' C^-1 y / K, and C's eigenvalues.

    Returns (N, H - 2, W - 2) and (N, K), K = 9 or 10. In the eigenbasis the quadratic form is a sum of squares,
    which float32 cannot make negative; directions without variance, as in a constant picture, are left out.
    """
    height, width = y.shape[-2] - 2, y.shape[-1] - 2
    parts = [y[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    if parent is not None:
        parts.append(_enlarged(parent, _half(sizes))[:, 1 : 1 + height, 1 : 1 + width])
    whole = extents.windows(sizes, 3)
    # Blocks that lie beyond the picture are zero, and add nothing to the covariance.
    blocks = extents.within(jnp.stack(parts, 1), extents.of_channels(whole))  # (N, K, H - 2, W - 2)
    n, k = blocks.shape[:2]
    blocks = blocks.reshape(n, k, height * width)
    covariance = jnp.einsum("nip,njp->nij", blocks, blocks, precision="highest")
    if whole is None:
        covariance /= height * width
    else:
        covariance /= (whole[:, 0] * whole[:, 1]).astype(jnp.float32)[:, None, None]
    spectrum, basis = jnp.linalg.eigh(covariance)
    # Rounding makes tiny eigenvalues negative. They are cut off, and the others stretched to keep the trace.
    positive = jnp.maximum(spectrum, 0)
    total = jnp.sum(positive, -1, keepdims=True)
    spectrum = positive * jnp.sum(spectrum, -1, keepdims=True) / jnp.where(total > 0, total, 1)
    significant = spectrum > EPS * spectrum[:, -1:]
    inverse_root = jnp.where(significant, 1 / jnp.sqrt(jnp.where(significant, spectrum, 1)), 0)
    whitening = basis * inverse_root[:, None, :]  # (N, K, K), column i belongs to eigenvalue i

    def add(energy: jax.Array, direction: jax.Array) -> tuple[jax.Array, None]:
        return energy + jnp.einsum("nk,nkp->np", direction, blocks, precision="highest") ** 2, None

    energy, _ = lax.scan(add, jnp.zeros((n, height * width)), jnp.moveaxis(whitening, 2, 0))
    energy = energy / k
    return energy.reshape(n, height, width), spectrum


def _enlarged(x: jax.Array, sizes: extents.Sizes) -> jax.Array:
    """Twice the size, (N, H, W) -> (N, 2H, 2W), as the authors' code does it.

    They stretch n samples to 4n - 3 by linear interpolation, extrapolate one sample at either end, and keep every
    second. The stretch is flat at the ends, so extrapolating repeats the end sample, and each output blends two inputs.
    """
    if sizes is None:
        sizes = jnp.array([x.shape[1:]])
    for axis in (1, 2):
        n = sizes[:, axis - 1, None]
        # Fractions in integers, over `below`: floats would be wrong by UNIT of a place, not of a share.
        below = 2 * (4 * n - 3)
        fine = jnp.clip(2 * jnp.arange(2 * x.shape[axis])[None] - 1, 0, 4 * n - 4)
        source = jnp.clip((2 * fine + 1) * n - below // 2, 0, (n - 1) * below)
        before = jnp.minimum(source // below, n - 2)
        share = (source - before * below).astype(jnp.float32) / below.astype(jnp.float32)
        before, share = (jnp.expand_dims(each, 3 - axis) for each in (before, share))
        one, next_ = (jnp.take_along_axis(x, index, axis, mode="clip") for index in (before, before + 1))
        x = one * (1 - share) + next_ * share
    return x
