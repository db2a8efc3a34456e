"""FSIM and FSIMc, the feature similarity index on luma alone and with colour."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.metrics import extents
from smnet_jax.metrics.color import plane
from smnet_jax.metrics.inputs import checked, levels

SCALES = ORIENTATIONS = 4
EPS = float(np.finfo(np.float32).eps)
MINIMUM = 16  # FSIM has no hard limit; below this the coarsest filter (wavelength 48) sees a third of a wave
T_PHASE, T_GRADIENT, T_COLOR, COLOR_POWER = 0.85, 160.0, 200.0, 0.03  # T1, T2, T3 = T4 and lambda of the paper


def fsim(pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> jax.Array:
    """Feature similarity (FSIM) of the luma, one per picture.

    Similarity of phase congruency (where waves of all scales agree in phase, as on edges and lines, whatever the
    contrast) times similarity of gradient magnitude, averaged with the larger phase congruency as the weight.

    Range: [0, 1], 1 for identical pictures; higher is better. Symmetric. Where neither picture has any feature (both
    constant) all pixels count equally.

    Args:
      pred, target: (N, H, W, 3) RGB or (N, H, W, 1), both uint8 or both floats in [0, 1]; at least 16x16 pixels.

    Returns:
      (N,) float32. Pictures are first averaged over k x k pixels, k = round(min(H, W) / 256); filters are circular
      (Fourier transforms), gradients (Scharr) see zeros beyond the rim; every pixel counts.

    Raises:
      InputError: shapes or types differ, values leave the range (not checked under jit), or the picture is too small.

    Source: L. Zhang, L. Zhang, Mou, D. Zhang, "FSIM: a feature similarity index for image quality assessment", IEEE TIP
    20(8), 2011; phase congruency after Kovesi 1999. Agrees with `piq.fsim(chromatic=False)` (0.8).
    """
    pair = checked("fsim", pred, target, minimum=MINIMUM, channels=(1, 3))
    return _fsim(*pair, *_filters(*_reduced_size(*pair[0].shape[1:3])), chromatic=(False,))[0]


def fsimc(pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> jax.Array:
    """Feature similarity with colour (FSIMc), one per picture: `fsim`, and the similarity of I and Q of YIQ.

    Range, direction, windows and errors as for `fsim`; pictures must be RGB. Where a colour turns into its opposite the
    product of similarities is negative and its absolute value counts, as in piq. Agrees with
    `piq.fsim(chromatic=True)` (0.8), which is piq's default.
    """
    pair = checked("fsimc", pred, target, minimum=MINIMUM, channels=(3,))
    return _fsim(*pair, *_filters(*_reduced_size(*pair[0].shape[1:3])), chromatic=(True,))[0]


def fsim_and_fsimc(pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> tuple[jax.Array, jax.Array]:
    """`fsim` and `fsimc` of RGB pictures, (N,) each, in little more time than one: what they share is done once."""
    pair = checked("fsimc", pred, target, minimum=MINIMUM, channels=(3,))
    luma, color = _fsim(*pair, *_filters(*_reduced_size(*pair[0].shape[1:3])), chromatic=(False, True))
    return luma, color


def fsim_responses(
    pred: jax.typing.ArrayLike, target: jax.typing.ArrayLike, *, grid: tuple[int, int], filters: Any = None
) -> dict[str, jax.Array]:
    """What FSIM must know the size for, of RGB pictures (N, H, W, 3): arrays with N first, for `fsim_of_responses`.

    Those are the pictures averaged over blocks, and the filters' responses to both, in planes of `grid`. One compiled
    program can make the scores of what pictures of many sizes gave, if `grid` is `fsim_grid` of the sizes. `filters`:
    `fsim_filters(height, width)`, which under jit should be arguments, not megabytes inside the program.
    """
    pair = checked("fsimc", pred, target, minimum=MINIMUM, channels=(3,))
    size = _reduced_size(*pair[0].shape[1:3])
    x, y = (_averaged(levels(images)) for images in pair)
    radial, angular, noise = filters or _filters(*size)
    bank = (radial[None] * angular[:, None]).astype(np.complex64)
    transform = _transform(jnp.stack([plane(x), plane(y)], 1))
    room = [(0, grid[0] - size[0]), (0, grid[1] - size[1])]
    n = len(x)
    return {
        "pred": jnp.pad(x, [(0, 0), *room, (0, 0)]),
        "target": jnp.pad(y, [(0, 0), *room, (0, 0)]),
        "responses": jnp.pad(jnp.fft.ifft2(transform[:, :, None, None] * bank[None, None]), [(0, 0)] * 4 + room),
        "noise": jnp.broadcast_to(jnp.asarray(noise)[None], (n, ORIENTATIONS)),
        "sizes": jnp.broadcast_to(jnp.array([size], jnp.int32), (n, 2)),
    }


def fsim_filters(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The filters for pictures of this size."""
    return _filters(*_reduced_size(height, width))


def fsim_grid(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The rows and columns that have room for the pictures of all `sizes` (rows, columns), averaged over blocks."""
    return max(_reduced_size(*size)[0] for size in sizes), max(_reduced_size(*size)[1] for size in sizes)


@jax.jit
def fsim_of_responses(made: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """`fsim` and `fsimc`, (N,) each, of what `fsim_responses` made."""
    sizes = made["sizes"]
    x, y = (
        jnp.moveaxis(extents.within(jnp.moveaxis(made[name], -1, 1), extents.of_channels(sizes)), 1, -1)
        for name in ("pred", "target")
    )
    both = jnp.concatenate([sizes, sizes])

    def add(sums: tuple[jax.Array, jax.Array], orientation: tuple[jax.Array, jax.Array]) -> Any:
        energy, amplitude = _orientation(orientation[0], orientation[1], both)
        return (sums[0] + energy, sums[1] + amplitude), None

    responses = jnp.concatenate([made["responses"][:, 0], made["responses"][:, 1]])  # (2N, O, S, R, C)
    noise = jnp.concatenate([made["noise"]] * 2)
    zero = jnp.zeros((len(both), *x.shape[1:3]))
    sums, _ = lax.scan(add, (zero, zero), (jnp.moveaxis(responses, 1, 0), noise.T))
    luma, color = _scores(x, y, sums[0] / (sums[1] + EPS), (False, True), sizes)
    return luma, color


@functools.partial(jax.jit, static_argnames="chromatic")
def _fsim(
    pred: jax.Array,
    target: jax.Array,
    radial: jax.Array,
    angular: jax.Array,
    noise: jax.Array,
    *,
    chromatic: tuple[bool, ...],
) -> list[jax.Array]:
    x, y = (_averaged(levels(images)) for images in (pred, target))
    return _scores(x, y, _phase_congruency(jnp.concatenate([plane(x), plane(y)]), radial, angular, noise), chromatic)


def _scores(
    x: jax.Array, y: jax.Array, phases: jax.Array, chromatic: tuple[bool, ...], sizes: extents.Sizes = None
) -> list[jax.Array]:
    """FSIM or, where `chromatic`, FSIMc; `phases` (2N, H, W) are the phase congruency of x and then of y."""
    phase_x, phase_y = jnp.split(phases, 2)
    luma_x, luma_y = plane(x), plane(y)
    score = _similarity(phase_x, phase_y, T_PHASE)
    score *= _similarity(_gradient(luma_x), _gradient(luma_y), T_GRADIENT)
    weight = jnp.maximum(phase_x, phase_y)
    return [_pooled(score * _color_similarity(x, y) if colored else score, weight, sizes) for colored in chromatic]


def _color_similarity(x: jax.Array, y: jax.Array) -> jax.Array:
    (i_x, q_x), (i_y, q_y) = _chroma(x), _chroma(y)
    color = jnp.abs(_similarity(i_x, i_y, T_COLOR) * _similarity(q_x, q_y, T_COLOR))
    # The slope of c^0.03 is infinite at zero: keep zero out of the power, not only out of its result.
    return jnp.where(color > 0, jnp.where(color > 0, color, 1) ** COLOR_POWER, 0)


def _pooled(score: jax.Array, weight: jax.Array, sizes: extents.Sizes) -> jax.Array:
    total = extents.total(weight, sizes)
    some = total > 0
    weighted = extents.total(score * weight, sizes) / jnp.where(some, total, 1)
    return jnp.where(some, weighted, extents.mean(score, sizes))


def _similarity(x: jax.Array, y: jax.Array, constant: float) -> jax.Array:
    return (2 * x * y + constant) / (x**2 + y**2 + constant)


def _block(height: int, width: int) -> int:
    return max(1, round(min(height, width) / 256))  # halves to even, as piq; MATLAB rounds them up (from 640 on)


def _reduced_size(height: int, width: int) -> tuple[int, int]:
    return height // _block(height, width), width // _block(height, width)


def _averaged(images: jax.Array) -> jax.Array:
    """Mean over k x k pixels; what is left over at the right and the bottom is dropped."""
    n, height, width, c = images.shape
    k = _block(height, width)
    if k == 1:
        return images
    rows, columns = height // k, width // k
    images = images[:, : rows * k, : columns * k]
    return jnp.mean(images.reshape(n, rows, k, columns, k, c), (2, 4))


def _chroma(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """I and Q of YIQ, each (N, H, W)."""
    red, green, blue = (images[..., c] for c in range(3))
    return 0.5959 * red - 0.2746 * green - 0.3213 * blue, 0.2115 * red - 0.5227 * green + 0.3112 * blue


def _gradient(x: jax.Array) -> jax.Array:
    """Magnitude of the Scharr gradient, (N, H, W) -> (N, H, W), zeros beyond the rim."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1)))
    height, width = x.shape[1:]

    def at(i: int, j: int) -> jax.Array:
        return padded[:, i : i + height, j : j + width]

    across = 3 * (at(0, 2) - at(0, 0)) + 10 * (at(1, 2) - at(1, 0)) + 3 * (at(2, 2) - at(2, 0))
    down = 3 * (at(2, 0) - at(0, 0)) + 10 * (at(2, 1) - at(0, 1)) + 3 * (at(2, 2) - at(0, 2))
    return _root((across**2 + down**2) / 256)


def _root(x: jax.Array) -> jax.Array:
    """Square root with a gradient of zero, not infinity, at zero."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


def _sum(parts: list[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, parts)


def _phase_congruency(x: jax.Array, radial: jax.Array, angular: jax.Array, noise: jax.Array) -> jax.Array:
    """Phase congruency of planes (N, H, W) -> (N, H, W), in [0, 1].

    Each log-Gabor filter passes one half of the plane of frequencies, so its response is complex: the even filter's
    in the real part and the odd filter's in the imaginary one.
    """
    transform = _transform(x)

    def add(
        sums: tuple[jax.Array, jax.Array], orientation: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        (energy, amplitude), (direction, noise) = sums, orientation
        bank = (radial * direction[None]).astype(transform.dtype)
        response = jnp.fft.ifft2(transform[:, None] * bank[None])  # (N, SCALES, H, W)
        energy_here, amplitude_here = _orientation(response, noise)
        return (energy + energy_here, amplitude + amplitude_here), None

    # A loop, and both pictures at once: XLA compiles it in half the time, and evaluations compile it for each size.
    (energy, amplitude), _ = lax.scan(add, (jnp.zeros_like(x), jnp.zeros_like(x)), (angular, noise))
    return energy / (amplitude + EPS)


def _transform(x: jax.Array) -> jax.Array:
    """Of planes (..., H, W). The filters are blind to the mean; without it the transform keeps more digits."""
    return jnp.fft.fft2(x - lax.stop_gradient(jnp.mean(x, (-2, -1), keepdims=True)))


def _orientation(response: jax.Array, noise: jax.Array, sizes: extents.Sizes = None) -> tuple[jax.Array, jax.Array]:
    """One orientation's energy above noise and amplitude, of the responses of all scales (N, S, H, W)."""
    # Scales are summed by Python: a reduction over that axis takes XLA six times as long on a CPU.
    even, odd = ([part[:, s] for s in range(SCALES)] for part in (response.real, response.imag))
    sum_even, sum_odd = _sum(even), _sum(odd)
    length = _root(sum_even**2 + sum_odd**2) + EPS
    mean_even, mean_odd = sum_even / length, sum_odd / length
    # cos - |sin| of each scale's angle to the mean phase, times its amplitude
    in_phase = _sum(
        [e * mean_even + d * mean_odd - jnp.abs(e * mean_odd - d * mean_even) for e, d in zip(even, odd, strict=True)]
    )
    threshold = noise * _root(lower_median(even[0] ** 2 + odd[0] ** 2, sizes))
    amplitude = _sum([_root(e**2 + d**2) for e, d in zip(even, odd, strict=True)])
    return jnp.maximum(in_phase - threshold[:, None, None], 0), amplitude


def lower_median(planes: jax.Array, sizes: extents.Sizes = None) -> jax.Array:
    """Median of each plane, (N, H, W) -> (N,); of two middle values the lower, as torch has it. For values >= 0.

    Of pictures of `sizes` (see `extents`) it has no gradient.

    Non-negative floats are ordered like their bits, so the median's bits can be found one by one, from the highest, by
    counting: 31 passes over memory, several times faster on a CPU than XLA's sort.
    """
    flat = planes.reshape(len(planes), -1)
    bits = lax.bitcast_convert_type(lax.stop_gradient(flat), jnp.uint32)
    if sizes is None:
        rank: int | jax.Array = (flat.shape[1] - 1) // 2
    else:
        rank = (sizes[:, 0] * sizes[:, 1] - 1) // 2
        there = jnp.broadcast_to(extents.inside(planes, sizes), planes.shape).reshape(flat.shape)
        bits = jnp.where(there, bits, jnp.uint32(0xFFFFFFFF))  # above all that is compared

    def settle(i: jax.Array, found: jax.Array) -> jax.Array:
        candidate = found | (jnp.uint32(1) << (jnp.uint32(30) - i.astype(jnp.uint32)))
        below = jnp.sum(bits < candidate[:, None], 1, dtype=jnp.int32)
        return jnp.where(below <= rank, candidate, found)

    found = lax.fori_loop(0, 31, settle, jnp.zeros(len(flat), jnp.uint32))
    median = lax.bitcast_convert_type(found, jnp.float32)
    if sizes is not None:
        return median
    # The pixel that holds the median changes with every step, and its own gradient says little about where the median
    # goes: take the mean gradient of all pixels near it.
    near = jnp.abs(lax.stop_gradient(flat) - median[:, None]) <= 0.05 * median[:, None]
    share = jnp.sum(jnp.where(near, flat, 0), 1) / jnp.sum(near, 1, dtype=flat.dtype)
    return median + (share - lax.stop_gradient(share))


@functools.lru_cache(maxsize=16)
def _filters(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The log-Gabor bank for one picture size: scales (4, H, W), orientations (4, H, W), noise (4,).

    Filter (o, s) is orientations[o] * scales[s]. noise[o] times the root of the median power at the finest scale is the
    threshold below which energy is put down to noise: it depends on nothing but the filters.
    """
    down, across = np.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius = np.hypot(down, across)
    theta = np.arctan2(-across, down)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)  # Butterworth: no frequencies from the corners
    radius[0, 0] = 1  # any value that has a logarithm; the mean is taken out below
    wavelengths = 6 * 2.0 ** np.arange(SCALES)
    radial = np.stack([np.exp(-(np.log(radius * w) ** 2) / (2 * math.log(0.55) ** 2)) * low_pass for w in wavelengths])
    radial[:, 0, 0] = 0
    angles = np.arange(ORIENTATIONS) * math.pi / ORIENTATIONS
    spread = math.pi / ORIENTATIONS / 1.2
    away = np.stack([np.abs(np.angle(np.exp(1j * (theta - angle)))) for angle in angles])
    angular = np.exp(-(away**2) / (2 * spread**2))
    noise = np.array([_noise_factor(radial * orientation) for orientation in angular])
    return radial.astype(np.float32), angular.astype(np.float32), noise.astype(np.float32)


def _frequencies(size: int) -> np.ndarray:
    """Frequencies in Kovesi's grid, zero first: an odd side runs from -1/2 to 1/2 inclusive, unlike fftfreq."""
    grid = np.arange(size) - size // 2
    return np.fft.ifftshift(grid / (size - size % 2))


def _noise_factor(filters: np.ndarray) -> float:
    """Kovesi's noise threshold for one orientation's filters (4, H, W), per root of the median power.

    Noise is taken as Gaussian: its power in the finest scale is exponential, so the median gives the mean;
    the filters carry it to the other scales; the summed amplitude is Rayleigh, and two standard deviations above its
    mean, over the empirical 1.7, is the threshold.
    """
    height, width = filters.shape[1:]
    kernels = np.fft.ifft2(filters).real * math.sqrt(height * width)
    gram = np.einsum("shw,thw->st", kernels, kernels)
    squares, products = np.trace(gram), (gram.sum() - np.trace(gram)) / 2
    power = 1 / math.log(2) / np.sum(filters[0] ** 2)
    tau = math.sqrt(power * (squares + 2 * products))
    return tau * (math.sqrt(math.pi / 2) + 2 * math.sqrt(2 - math.pi / 2)) / 1.7
