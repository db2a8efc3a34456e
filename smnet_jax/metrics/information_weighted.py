"""IW-SSIM, the information content weighted structural similarity index."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.metrics.color import plane
from smnet_jax.metrics.inputs import checked, levels
from smnet_jax.metrics.windows import gaussian, moments, uniform

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # finest scale first, as in multi-scale SSIM
WEIGHTS = WEIGHTS / WEIGHTS.sum()
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
NOISE = 0.4  # variance of the visual noise, on the scale 0..255
WINDOW = gaussian(11, 1.5)
MINIMUM = 161  # (11 - 1) * 2^4 + 1: the window must fit the coarsest scale
EPS = float(np.finfo(np.float32).eps)


def iw_ssim(pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> jax.Array:
    """Information content weighted SSIM, one per picture.

    Multi-scale SSIM on a five-level Laplacian pyramid of the luma, where each pixel of a scale's map is
    weighted by the information (mutual information through a noisy eye) that `target` and `pred` carry there.

    Range: [0, 1], 1 for identical pictures; higher is better. NOT symmetric: the weights come from `target`.
    Where a scale carries no information at all (a constant target), its pixels count equally.

    Args:
      pred, target: (N, H, W, 3) RGB or (N, H, W, 1), both uint8 or both floats in [0, 1]; at least 161x161 pixels.

    Returns:
      (N,) float32. SSIM maps: 11x11 Gaussian windows, sigma 1.5, wholly inside; information: 3x3 blocks with the
      parent pixel of the next coarser scale. Gradients flow to `pred`; the statistics of `target` that
      the weights rest on are held constant.

    Raises:
      InputError: shapes or types differ, values leave the range (not checked under jit), or the picture is too small.

    Source: Wang, Li, "Information content weighting for perceptual image quality assessment", IEEE TIP 20(5), 2011.
    Agrees with `piq.information_weighted_ssim` (0.8).
    """
    return _iw_ssim(*checked("iw_ssim", pred, target, minimum=MINIMUM, channels=(1, 3)))


@jax.jit
def _iw_ssim(pred: jax.Array, target: jax.Array) -> jax.Array:
    pyramid = _laplacian_pyramid(jnp.stack([plane(levels(images)) for images in (pred, target)]))
    score = jnp.ones(len(pred))
    for i, (x, y) in enumerate(pyramid):
        mean_x, mean_y, variance_x, variance_y, covariance = moments(x, y, WINDOW)
        similarity = (2 * covariance + C2) / (variance_x + variance_y + C2)
        if i == len(WEIGHTS) - 1:  # the low-pass remainder: compare means, too, and weigh all pixels alike
            similarity *= (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
            pooled = jnp.mean(similarity, (-2, -1))
        else:
            parent = pyramid[i + 1][1] if i < len(WEIGHTS) - 2 else None
            information = _information(x, y, parent)[..., 4:-4, 4:-4]  # 3x3 blocks reach 4 pixels nearer the rim
            amount = jnp.sum(information, (-2, -1))
            some = amount > 0
            pooled = jnp.where(
                some,
                jnp.sum(similarity * information, (-2, -1)) / jnp.where(some, amount, 1),
                jnp.mean(similarity, (-2, -1)),
            )
        # |0|^w has an infinite slope: keep zero away from the power itself, not only from its result.
        positive = jnp.abs(pooled) > 0
        score *= jnp.where(positive, jnp.where(positive, jnp.abs(pooled), 1) ** float(WEIGHTS[i]), 0)
    return score


def _laplacian_pyramid(planes: jax.Array) -> list[jax.Array]:
    """Four bands and the low-pass remainder, (..., H, W), each half the size of the last (rounded up)."""
    pyramid = []
    for _ in range(len(WEIGHTS) - 1):
        low = _halved(_halved(planes, -2), -1)
        pyramid.append(planes - _doubled(_doubled(low, -2, planes.shape[-2]), -1, planes.shape[-1]))
        planes = low
    return [*pyramid, planes]


# Both steps scale by sqrt 2 per axis, as in matlabPyrTools: levels grow by 2, as an orthonormal basis would have it.
ROOT2 = float(np.sqrt(2))


def _halved(x: jax.Array, axis: int) -> jax.Array:
    """Blur with [1 4 6 4 1] / 16 sqrt 2, mirrored at the rim, and keep every second sample of one axis."""
    axis += x.ndim
    padded = _padded(x, axis, (2, 2), "reflect")
    last = padded.shape[axis] - 4
    a, b, c, d, e = (lax.slice_in_dim(padded, i, i + last, 2, axis) for i in range(5))
    return (ROOT2 / 16) * (a + e + 4 * (b + d) + 6 * c)


def _doubled(x: jax.Array, axis: int, size: int) -> jax.Array:
    """Insert zeros between samples of one axis and blur with the same filter, cut to `size` samples.

    Mirroring the picture with its zeros means: mirrored on the left ([1] before [0]), repeated on the right.
    """
    axis += x.ndim
    n = x.shape[axis]
    x = _padded(x, axis, (1, 0), "reflect")
    x = _padded(x, axis, (0, 1), "edge")
    left, middle, right = (lax.slice_in_dim(x, i, i + n, 1, axis) for i in range(3))
    even = (ROOT2 / 16) * (left + 6 * middle + right)
    odd = (ROOT2 / 4) * (middle + right)
    both = jnp.stack([even, odd], axis + 1)
    both = both.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
    return lax.slice_in_dim(both, 0, size, 1, axis)


def _padded(x: jax.Array, axis: int, amount: tuple[int, int], mode: str) -> jax.Array:
    return jnp.pad(x, [amount if a == axis else (0, 0) for a in range(x.ndim)], mode=mode)


def _information(x: jax.Array, y: jax.Array, parent: jax.Array | None) -> jax.Array:
    """Bits per pixel that the eye shares with one band of target (y) and pred (x), (N, H, W) -> (N, H - 2, W - 2).

    Target blocks are modelled as a Gaussian scale mixture with one covariance for the whole band; pred is the
    target with a local gain and additive noise; both are seen through noise of variance NOISE.
    """
    _, _, variance_x, variance_y, covariance = moments(x, y, uniform(3))
    related = (variance_x >= EPS) & (variance_y >= EPS)
    gain = jnp.where(related, covariance / jnp.where(related, variance_y + EPS, 1), 0)
    noise = jnp.where(
        related, jnp.maximum(variance_x - gain * covariance, 0), jnp.where(variance_x < EPS, 0, variance_x)
    )

    energy, spectrum = _block_energy(lax.stop_gradient(y), None if parent is None else lax.stop_gradient(parent))

    def add(information: jax.Array, eigenvalue: jax.Array) -> tuple[jax.Array, None]:
        signal = energy * eigenvalue[:, None, None]
        return information + jnp.log1p(((noise + (1 + gain**2) * NOISE) * signal + NOISE * noise) / NOISE**2), None

    # A loop, here and below: written out, five levels of ten terms take XLA longer to compile than the rest of all.
    information, _ = lax.scan(add, jnp.zeros_like(energy), spectrum.T)
    information = information / float(np.log(2))
    return jnp.where(information >= EPS, information, 0)


def _block_energy(y: jax.Array, parent: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Each 3x3 block (and its parent pixel) against the covariance C of all blocks: y' C^-1 y / K, and C's eigenvalues.

    Returns (N, H - 2, W - 2) and (N, K), K = 9 or 10. In the eigenbasis the quadratic form is a sum of squares,
    which float32 cannot make negative; directions without variance, as in a constant picture, are left out.
    """
    height, width = y.shape[-2] - 2, y.shape[-1] - 2
    parts = [y[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    if parent is not None:
        parts.append(_enlarged(parent)[:, 1 : 1 + height, 1 : 1 + width])
    blocks = jnp.stack(parts, 1)  # (N, K, H - 2, W - 2)
    n, k = blocks.shape[:2]
    blocks = blocks.reshape(n, k, height * width)
    covariance = jnp.einsum("nip,njp->nij", blocks, blocks, precision="highest") / (height * width)
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


def _enlarged(x: jax.Array) -> jax.Array:
    """Twice the size, (N, H, W) -> (N, 2H, 2W), as the authors' code does it.

    They stretch to 4H - 3 by linear interpolation, extrapolate one sample at either end, and keep every second. The
    stretch is flat at the ends, so extrapolating repeats the end sample, and each output blends two inputs.
    """
    for axis in (1, 2):
        n = x.shape[axis]
        fine = np.clip(2 * np.arange(2 * n) - 1, 0, 4 * n - 4)
        source = np.clip((fine + 0.5) * n / (4 * n - 3) - 0.5, 0, n - 1)
        before = np.minimum(source.astype(int), n - 2)
        share = (source - before).astype(np.float32).reshape(1, *[-1 if a == axis else 1 for a in (1, 2)])
        x = jnp.take(x, before, axis) * (1 - share) + jnp.take(x, before + 1, axis) * share
    return x
