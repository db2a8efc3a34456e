"""Bounds on rounding, each with how it follows: a claim about mathematics, the same on every processor.

Measured on two instruction sets of one machine (`make test-avx2` runs the second). A processor of another make without
AVX-512 gave the digits of the second.

| what | bound | AVX-512 | held down to AVX2 |
|---|---|---|---|
| `forward`: our PyTorch network from the published one, width 8 | 2.8e-6 | 0, bit for bit | 4.1e-7, 2.1e-7 (fivek) |
| the same, width 16 | 4.0e-6 | 0, bit for bit | 1.36e-6, 2.14e-6 (fivek) |
| our PyTorch network from itself in float64, width 16 | | 5.5e-7, 5.3e-7 | 1.34e-6, 2.17e-6 |
| `forward`: our JAX network from the published one | 2.8e-6, 4.0e-6 | 7.3e-7 | below 2e-6 |
| `BESIDE_JUMPS`: weights of the width-16 trajectory, `drift` | 2.2e-2 | | 6.3e-3 |
| the same, loss terms over their way | 2.2e-2 | | 2.6e-3 |
| `ADAM`: two processes and one, `drift` | 3.2e-3 | | 1.8e-6 |
| the same: eight devices (jit, pmap, rows, accumulated) and one | 3.2e-3 | 3.5e-7 | |
| the loss of those runs, of its size | 3.2e-3 | 8.1e-8 | |
| `summed`: blur, bilinear, transposed convolution, over the bound | 1 | 0.21, 0.26, 0.13 | |
| the same: gradients of 1x1 and 3x3 convolutions written out | 1 | 0.19, 0.06 | |
| `forward`: tiles and the whole, width 8; by fewer products | 2.8e-6 | 1.1e-7, 2.3e-7 | |
| the same: a picture in a batch and alone, one block | 1.7e-6 | 1.7e-7 | |

A bound of 1e-6 for our PyTorch network had passed for as long as it ran where the published numbers were made.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from smnet_jax.checkpoints.torch_layout import layout
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
not compared with this."""

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

BESIDE_JUMPS = math.sqrt(JUMP)
"""`drift` between two runs of Adam that pass non-smooth points on different sides, as any two do after some steps."""


def drift(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], start: Mapping[str, np.ndarray]) -> float:
    """How far two sets of parameters by path are apart, over how far `other` is from `start`: root mean squares."""
    apart = sum(float(np.sum(np.square(np.float64(one[path]) - other[path]))) for path in other)
    travelled = sum(float(np.sum(np.square(np.float64(other[path]) - start[path]))) for path in other)
    return math.sqrt(apart / travelled)
