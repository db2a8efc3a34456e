"""Bounds on rounding, each with how it follows: a claim about mathematics, the same on every processor.

Measured on two instruction sets of one machine (`make test-avx2` runs the second). A processor of another make without
AVX-512 gave the digits of the second.

| what | bound | AVX-512 | held down to AVX2 |
|---|---|---|---|
| `forward`: our PyTorch network from the published one, width 8 | 2.8e-6 | 0, bit for bit | 4.1e-7, 2.1e-7 (fivek) |
| the same, width 16 | 4.0e-6 | 0, bit for bit | 1.36e-6, 2.14e-6 (fivek) |
| our PyTorch network from itself in float64, width 16 | | 5.5e-7, 5.3e-7 | 1.34e-6, 2.17e-6 |
| `forward`: our JAX network from the published one | 2.8e-6, 4.0e-6 | 7.3e-7 | below 2e-6 |
| `beside_jumps`: eight steps, width 16, `drift` | 6.3e-2 | | 6.3e-3 |
| the same, width 8 | 6.3e-2 | 9.6e-5 | 3.7e-2 |
| the same, loss terms over their way | 6.3e-2 | 6.0e-5 | 2.7e-3 |
| `ADAM`: two processes and one, `drift` | 3.2e-3 | | 1.8e-6 |
| the same: eight devices (jit, pmap, rows, accumulated) and one | 3.2e-3 | 3.5e-7 | |
| the loss of those runs, of its size | 3.2e-3 | 8.1e-8 | |
| `summed`: blur, bilinear, transposed convolution, over the bound | 1 | 0.21, 0.26, 0.13 | |
| the same: gradients of 1x1 and 3x3 convolutions written out | 1 | 0.19, 0.06 | |
| `filtered`: 3x3 by fewer products, 24 channels, over the bound | 1 | 0.44 | 0.44 |
| the same: transposed; in training's place | 1 | 0.51, 0.45 | 0.49, 0.45 |
| `summed`: blur and 1x1 of Down, slope -0.5 | 2.5e-6 | 1.3e-6 | 9.5e-7 |
| the same: its gradients, over the bound | 1 | 0.12 | 0.12 |
| `decibels`: PSNR of bytes; of floats and Y | 2.1e-6; 6.8e-6 | 9.8e-7; 2.9e-6 | 9.8e-7; 2.0e-6 |
| `windowed`: SSIM, shipped and golden pictures, over the bound | 1 | 0.23, 0.59 | 0.23, 0.59 |
| the same: VIF, shipped; beside piq in float32 | 1 | 0.10, 0.45 | 0.09, 0.45 |
| the same: IW-SSIM, shipped; beside piq in float32 | 1 | 0.03, 0.01 | 0.03, 0.01 |
| `METRIC`: FSIM, LPIPS | 1e-6 | 2.4e-7, 4.0e-8 | 2.4e-7, 4.0e-8 |
| LOE: a sum of integers, divided; of its size | 1.2e-7 | 9e-8 | 9e-8 |
| `toned`: neutral, parts of a picture, over the bound | 1 | 0.05, 0.01 | 0.05, 0.01 |
| `exposed`: blocks and the whole, ONNX Runtime, over the bound | 1 | 0.003, 0.011 | |
| `guided`: from the definition in float64 | 6.6e-7 | 2.6e-8 | 2.6e-8 |
| `resampled`: from JAX's and Pillow's, over the bound | 1 | 0.17, 0.41 | 0.17, 0.41 |
| `forward`: tiles and the whole, width 8; by fewer products | 2.8e-6 | 1.1e-7, 2.3e-7 | |
| the same: a picture in a batch and alone, one block | 1.7e-6 | 1.7e-7 | |

`tests/support/measured.py` prints such shares. Bounds that grew had been chosen below what rounding alone may do:
PSNR's 1e-6 dB is half the spacing of float32 at 16 dB, SSIM's 2e-6 and VIF's 1e-6 depend on how flat a picture is.
A bound of 1e-6 for our PyTorch network had passed for as long as it ran where the published numbers were made.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.checkpoints.torch_layout import layout
from smnet_jax.exposure import Tone, noise, thumbnail, tone
from smnet_jax.exposure.detail import MOST, Detail
from smnet_jax.network.cpu import winograd

UNIT = 2.0**-24
"""The largest relative error of one float32 rounding."""


def forward(variant: str, width: int, blocks: int = 3) -> float:
    """Between any two float32 evaluations of the network, at any of its features: over the largest magnitude there.

    By counting. A sum of n products of random sign collects the rounding errors of its partial sums. After k products
    a partial sum is sqrt(k) products large, and a rounding's deviation is at most UNIT / sqrt(3) of it. So the error is
    sqrt((1 + 2 + ... + n) / 3) = n / sqrt(6) UNIT of one product, which is sqrt(n / 6) UNIT of the sum's own size.
    Errors of different layers are independent and add as squares, over the layers that lie one behind the other or
    feed the same feature: at most all of them, the block's once for each time that it runs. Two evaluations differ by
    sqrt(2) times that. Fast convolutions sum by blocks, which rounds less: a correct network stays well below.
    """
    rounded = 0.0
    for entry in layout(variant, width):
        if entry.path is not None and entry.path.endswith("/kernel"):
            times = blocks if entry.path.startswith("block/") else 1
            rounded += times * math.prod(entry.shape[1:]) / 6
    return UNIT * math.sqrt(2 * rounded)


def summed(products: int, magnitudes: Any) -> float:
    """Between two float32 evaluations of sums of `products` products, absolute.

    `magnitudes` are the sums of the products' absolute values. A rounding is at most UNIT of its partial sum, and no
    partial sum exceeds the magnitudes. The 2 n roundings of either evaluation have independent signs: together they
    deviate by at most sqrt(4 n / 3) UNIT magnitudes. Twice sqrt(n) is more than that, and partial sums of random sign
    are much smaller than their magnitudes: it is five deviations for four products, thirteen for forty. Several linear
    operations one behind the other count together, with the magnitudes that all of them give on absolute values.
    """
    return 2 * UNIT * math.sqrt(products) * float(np.max(np.abs(magnitudes)))


def filtered(by: winograd.Filter, products: int) -> float:
    """Between a convolution by fewer products and the plain one, of normal numbers: over the largest magnitude.

    Each of the filter's products is a sum of `products` (channels and columns) of a sum of inputs times a sum of taps.
    Their sizes are the lengths of the rows of `by.inputs` and `by.kernels`; by `forward`'s count such a sum is wrong by
    sqrt(products / 6) UNIT of its size, and the sums before and after it add a rounding or two each: 3 for 1 / 6 of a
    product. `by.outputs` adds what is wrong as squares. The plain sum has its own error, for all taps. Both maxima are
    over few numbers: twice the deviation.
    """
    inputs, kernels, outputs = (np.array(table) for table in by)
    taps = kernels.shape[1]
    sizes = np.linalg.norm(inputs, axis=1) * np.linalg.norm(kernels, axis=1)
    gain = float(np.max(np.sum(np.square(outputs * sizes), axis=1))) / taps
    return 2 * UNIT * math.sqrt(gain * (products / 6 + 3) + taps * products / 6)


def vgg_features() -> tuple[float, ...]:
    """Between two evaluations of VGG16's four features, each over its largest magnitude: as `forward` counts."""
    rounded, bounds = 0, []
    inputs = 3
    for outputs, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3)):
        for _ in range(convolutions):
            rounded, inputs = rounded + 9 * inputs, outputs
        bounds.append(UNIT * math.sqrt(2 * rounded / 6))
    return tuple(bounds)


LOSS = 1e-5
"""Between two evaluations of a loss term, of its size. The roughest is the perceptual one, a mean of |a - b| of
features that are each wrong by `vgg_features` at most, 4.8e-6 of the largest: 6.9e-6 for the two, of a difference that
is as large as the features themselves. SSIM subtracts squares of means from means of squares: what is lost of the
variance, UNIT times a square, stands beside the constant 9e-4, and in the mean over all windows less than 1e-6
remains."""

MEAN = 1e-6
"""Between two means of the same numbers of one sign, of their size. Summed one after the other, n numbers collect
sqrt(n) / 3 UNIT: 1e-6 is for 2,500. XLA sums in lanes and PyTorch in pairs, which is better; a mean of more numbers is
not compared with this, but where XLA does not optimise with `mean`."""


def mean(numbers: int) -> float:
    """MEAN of any count of numbers, summed one after the other."""
    return UNIT * math.sqrt(numbers) / 3


METRIC = 1e-6
"""Between two evaluations of FSIM or LPIPS, absolute: 17 UNIT.

A Fourier transform rounds once at each of its 15 levels, with either sign: 4 UNIT of the mean amplitude, 5.5 UNIT there
and back. FSIM weighs pixels by their phase congruency, so those count whose amplitude is above that, and their errors
have independent signs. LPIPS is a sum of squares of differences d between features of length one; with the features
wrong by e it is wrong by 2 d e, averaged over the 90 positions or more of the last layer. As `forward` counts, e is
3.4e-6 for AlexNet and 6.7e-6 for VGG16: with d of 0.6, which makes a score of 0.4, 4e-7 and 8e-7."""


def decibels(scores: Any, *, floats: bool = False) -> float:
    """Between two evaluations of PSNR, absolute.

    Squares of bytes are summed exactly. What is rounded then is 10 log10 of a mantissa around 1, below 1.6 and a few
    times, and in the end the score: UNIT of both. The squares of floats are summed to MEAN; the differences are wrong
    by some UNIT of 1 with either sign, of which over hundreds of them less than 4 UNIT of their squares remain.
    10 / ln 10 decibels are the whole mean square.
    """
    moved = MEAN + 4 * UNIT if floats else 0.0
    return UNIT * (float(np.max(np.abs(scores))) + 6) + 10 / math.log(10) * moved


def one_level(pictures: Any, others: Any) -> float:
    """PSNR of uint8 pictures (N,H,W,C) where a value beside an integer is cut off to one level more or less, in one of
    them: with d the largest difference, the sum of the squares changes by 2 d + 1 at most."""
    apart = np.abs(np.asarray(pictures, float) - np.asarray(others, float))
    share = (2 * apart.max((1, 2, 3)) + 1) / np.square(apart).sum((1, 2, 3))
    return 10 / math.log(10) * float(share.max())


def windowed(one: Any, other: Any, size: int, constant: float, *, centred: bool = True, bits: bool = False) -> float:
    """Between two evaluations of a mean over windows: SSIM, and with `bits` VIF, absolute; (N,H,W,C) in 0..255.

    Averaging n weighted numbers along a window's rows and then columns deviates by sqrt(2 n) / 3 UNIT, as `forward`
    counts: 1.2 for 7, 2 for 17, so two. Variances are means of squares S less squared means, so they are wrong by
    2 UNIT of S, however small they are themselves. S is counted from the picture's mean. What a window gives is a
    quotient with variances + `constant` below, wrong by 4 UNIT (S + S') over that; the logarithm in bits has the same
    derivative. Windows that share no pixel err independently: three deviations, and the mean's own rounding.

    Not `centred`: one of the two is piq in float32. It counts S from black, and sums size^2 products one after the
    other, which deviates by size / 3 UNIT; much of it is alike in all windows, as are weights that, once rounded, do
    not sum to one. So errors add up with one sign.
    """
    most = 0.0
    planes = (np.moveaxis(np.asarray(x, float), -1, 1).reshape(-1, *np.shape(x)[1:3]) for x in (one, other))
    for pair in zip(*planes, strict=True):
        squares, variances = [], []
        for plane in pair:
            h, w = (side // size * size for side in plane.shape)
            blocks = (plane - centred * plane.mean())[:h, :w].reshape(h // size, size, w // size, size)
            squares.append(np.square(blocks).mean((1, 3)))
            variances.append(blocks.var((1, 3)))
        below = variances[1] if bits else sum(variances)
        total = np.log1p(variances[1] / constant).sum() if bits else below.size
        error = 2 * UNIT * (2 if centred else size / 3) * sum(squares) / (below + constant)
        together = 3 * np.sqrt(np.square(error).sum()) if centred else error.sum()
        most = max(most, float(together / total))
    return most + MEAN


def toned(rate: float, grid: float = 0.0, step: float = 0.0) -> float:
    """Between two evaluations of `exposure.tone` at one pixel, absolute: `rate` of the whole picture, `grid` the
    largest power of two on top of it and `step` between neighbouring levels of the grid.

    1 - (1 - v)^r is wrong by r UNIT (1 - v is rounded, and its logarithm is multiplied by r), by 3 x exp(-x) < 1.2 UNIT
    (x = r |log(1 - v)|, which is rounded three times) and by 3 UNIT (exp and the difference): r + 5 together. That
    result is read in the grid of 8 levels, 7 times as steep as its step, with 9 UNIT of its own; a power of two more or
    less in r changes the second curve by ln 2 x exp(-x) < 0.26. The factor, the mix with gray and the clip add 8 UNIT.
    Either evaluation may be wrong by as much.
    """
    chosen = 0.26 * (7 * step * (rate + 5) + 9) if step else 0.0
    return 2 * UNIT * (rate * 2**grid + 5 + chosen + 8)


def resampled(size: int, new_size: int) -> float:
    """Between two ways of computing `exposure.resampling.linear` of values in [0, 1], absolute.

    A place is up to the larger size and rounded to UNIT of it: in pixels of the coarser of the two sizes, which weights
    are linear in, UNIT of the smaller size. Values change by 1 at most over such a pixel. The weighted sum adds
    `summed` of 2 size / new_size + 1 weights that sum to one.
    """
    return UNIT * min(size, new_size) + summed(2 * max(1, size // new_size) + 1, 1)


def guided(low: Any, deviation: float) -> float:
    """Between two evaluations of `exposure.noise.smoothed`, absolute, with `deviation` its NOISE.

    A variance is wrong by 2 UNIT of the mean square, m^2 at most, and so is a covariance: the slope by
    4 UNIT m^2 / (variance + deviation^2), which counts times the distance from the window's mean, three standard
    deviations at most. sqrt(v) / (v + d^2) is 1 / (2 d) at most: 6 UNIT m^2 / d, and 8 roundings of m.
    """
    most = float(np.max(low))
    return UNIT * (6 * most**2 / deviation + 8 * most)


def evened(low: Any) -> float:
    """Between two evaluations of `exposure.noise.evened`, absolute.

    Means are sums of 121 and quotients of two: `summed` twice. A variance is wrong by 2 UNIT of the mean square, which
    is (mean / BLOTCHES)^2 of the least that it is compared with, times the distance from the mean, up to the largest.
    """
    most = float(np.max(low))
    return most * (2 * summed(121, 1) + 2 * UNIT * (1 + most / noise.BLOTCHES) ** 2)


def exposed(model: Any, variables: Any, low: Any) -> float:
    """Between two evaluations of `ExposureNet`, the whole default, of `low` (N,H,W,3).

    As `forward` counts, sums of 3,500 products behind each other make the network's numbers wrong by 34 UNIT of the
    largest; they are powers of two (see `toned`). Where noise is smoothed, levels are multiplied by 2^LEAST at least
    and stay below 1, and so does what `guided` has for them: m^2 times the gain is no more than m, or 2^-LEAST.
    """
    predict = jax.jit(lambda variables, low: model.apply(variables, thumbnail(low), method="predict"))
    found: Any = predict(variables, jnp.asarray(low))
    largest = float(jnp.abs(found.log2_rate).max() + jnp.abs(found.grid).max())
    level = min(float(np.max(low)), 2.0**-noise.LEAST)
    before = of_tone(found) + UNIT * (2 * 0.26 * 34 * largest + 6 * level / noise.NOISE + 8)
    return before + (0.26 * of_detail(model, variables, low, found, before) if model.fine else 0.0)


def of_detail(model: Any, variables: Any, low: Any, found: Tone, before: float) -> float:
    """Between two evaluations of `exposure.detail.Detail` of these pictures, where what it sees is wrong by `before`.

    Errors of neighbouring pixels have independent signs, so the derivative along random signs says what they make of
    it; three such draws, and twice the largest at any pixel. Stops are logarithms of quotients of levels above 1 / 16
    where light is added: wrong by 16 / ln 2 as much. Its own sums, one of 54 products, four of 9 and one of 1 for each
    feature, are wrong as `forward` counts, of numbers that are no larger than ten times MOST.
    """
    seen: list[Any] = []
    params = {"params": variables["params"]["detail"]}
    look = lambda *values: Detail(model.fine).apply(params, *values)  # noqa: E731

    def captured(low: Any) -> Any:
        def finish(*values: Any) -> Any:
            seen.append(values)
            return jnp.zeros_like(values[1])

        tone.render(low, found, finish=finish)
        return seen.pop()

    values = jax.jit(captured)(jnp.asarray(low))

    def along(key: Any) -> Any:
        planes, tree = jax.tree.flatten(values)
        keys = jax.random.split(key, len(planes))
        signs = [jax.random.rademacher(k, plane.shape, plane.dtype) for k, plane in zip(keys, planes, strict=True)]
        signs[-2:] = signs[-2] * 16 / math.log(2), jnp.zeros_like(planes[-1])  # stops, and what lies in the picture
        return jnp.abs(jax.jvp(look, values, jax.tree.unflatten(tree, signs))[1]).max()

    steepest = max(float(jax.jit(along)(jax.random.key(seed))) for seed in range(3))
    return 2 * steepest * before + UNIT * math.sqrt(2 * (54 + 37 * model.fine) / 6) * 10 * MOST


def of_tone(found: Tone) -> float:
    """`toned` of this one."""
    rate = float(jnp.exp2(found.log2_rate).max())
    return toned(rate, float(found.grid.max()), float(jnp.abs(jnp.diff(found.grid)).max()))


GRADIENT = 1e-5
"""Of a gradient's largest magnitude, with no non-smooth point between the two: the forward bound there and back."""

ADAM = math.sqrt(GRADIENT)
"""For `drift` between two runs of Adam that differ by rounding.

Adam divides a gradient g by its own size, so an error e in it changes the step by about e / |g|, at most by a whole
one. Gradients are spread smoothly around zero: with G their largest magnitude, a share e / G of them is so small that
its step is lost, and those beyond add as much again. So the mean square of the change is e / G and its root `drift`.
A wrong gradient (one process's own in place of the mean of all) has a drift of order one.
"""

JUMP = 5e-4
"""What a sign that went the other way at a non-smooth point does to a gradient, of its largest magnitude: the published
float32 gradients are as far from PyTorch's own in float64 (one of the 30,000 signs of relu4_3 is worth 6e-5)."""


def beside_jumps(steps: int) -> float:
    """`drift` between two runs of Adam that pass non-smooth points on different sides, as any two may at every step.

    A jump in one step's gradient costs a share JUMP of the weights their step, as `ADAM` has it; those of different
    steps cost others, and as momentum remembers them, the shares add up.
    """
    return math.sqrt(steps * JUMP)


def drift(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], start: Mapping[str, np.ndarray]) -> float:
    """How far two sets of parameters by path are apart, over how far `other` is from `start`: root mean squares."""
    apart = sum(float(np.sum(np.square(np.float64(one[path]) - other[path]))) for path in other)
    travelled = sum(float(np.sum(np.square(np.float64(other[path]) - start[path]))) for path in other)
    return math.sqrt(apart / travelled)
