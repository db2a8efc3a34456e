"""Bounds on rounding, each with how it follows: a claim about mathematics, the same on every processor.

Measured on two instruction sets of one machine (`make test-avx2` runs the second). A processor of another make without
AVX-512 gave the digits of the second.

| what | bound | AVX-512 | held down to AVX2 |
|---|---|---|---|
| `forward`: our PyTorch network from the published one, width 8 | 2.8e-6 | 0, bit for bit | 4.1e-7, 2.1e-7 (fivek) |
| the same, width 16 | 4.0e-6 | 0, bit for bit | 1.36e-6, 2.14e-6 (fivek) |
| our PyTorch network from itself in float64, width 16 | | 5.5e-7, 5.3e-7 | 1.34e-6, 2.17e-6 |
| `forward`: our JAX network from the published one | 2.8e-6, 4.0e-6 | 7.3e-7 | below 2e-6 |
| `BESIDE_KINKS`: weights of the width-16 trajectory, `drift` | 2.2e-2 | | 6.3e-3 |
| the same, loss terms over their way | 2.2e-2 | | 2.6e-3 |
| `ADAM`: two processes and one, `drift` | 3.2e-3 | | 1.8e-6 |

A bound of 1e-6 for our PyTorch network had passed for as long as it ran where the published numbers were made.
"""

import math
from collections.abc import Mapping

import numpy as np

from smnet_jax.checkpoints.torch_names import layout

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


GRADIENT = 1e-5
"""Of a gradient's largest magnitude, where no kink is between the two: the forward bound once there and once back."""

ADAM = math.sqrt(GRADIENT)
"""For `drift` between two runs of Adam that differ by rounding.

Adam divides a gradient g by its own size, so an error e in it changes the step by about e / |g|, at most by a whole
one. Gradients are spread smoothly around zero: with G their largest magnitude, a share e / G of them is so small that
its step is lost, and those beyond add as much again. So the mean square of the change is e / G and its root `drift`.
A wrong gradient (one process's own in place of the mean of all) has a drift of order one.
"""

KINK = 5e-4
"""What a sign that went the other way at a kink does to a gradient, of its largest magnitude: the published float32
gradients are as far from PyTorch's own in float64 (one of the 30,000 signs of relu4_3 is worth 6e-5)."""

BESIDE_KINKS = math.sqrt(KINK)
"""`drift` between two runs of Adam that pass kinks on different sides, as any two do after some steps."""


def drift(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], start: Mapping[str, np.ndarray]) -> float:
    """How far two sets of parameters by path are apart, over how far `other` is from `start`: root mean squares."""
    apart = sum(float(np.sum(np.square(np.float64(one[path]) - other[path]))) for path in other)
    travelled = sum(float(np.sum(np.square(np.float64(other[path]) - start[path]))) for path in other)
    return math.sqrt(apart / travelled)
