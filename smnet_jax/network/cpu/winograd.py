"""3x3 convolutions by fewer products: minimal filtering over rows, for XLA's CPU backend.

Down a column a 3x3 convolution is a filter of three taps. Four outputs of such a filter come from 6 products instead of
12, each of a sum of inputs and a sum of taps (Winograd 1980; Lavin and Gray 2016), so a layer takes half of the
multiplications; a transposed convolution, whose odd rows are a filter of two taps, three quarters. Across the columns
everything stays an ordinary convolution: rows are contiguous, so their sums go at the memory's speed, where filtering
in both directions takes more passes over the features than it saves.

The sums cost float32 accuracy, hence four rows at a time and no more, and interpolation points that were searched for:
results have 1.6 to 2.6 times the rounding error of the plain sum (`docs/lab/performance.md`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import ArrayLike

ROWS = 4
"""Outputs of one filter, which share their products."""

WORTH = 4e9
"""Operations of a plain convolution from which on a few pictures make up for the longer compilation; by timing."""

FEW_INPUTS, FEW_OUTPUTS = 16, 64
"""With fewer channels the passes over the features cost about what the saved products do: `docs/lab/performance.md`."""


class Filter(NamedTuple):
    """ROWS outputs of a filter as `outputs @ ((kernels @ taps) * (inputs @ data))`.

    Interpolation of polynomials at some points and at infinity (Toom and Cook), transposed.
    """

    inputs: tuple[tuple[float, ...], ...]  # (products, ROWS + taps - 1)
    kernels: tuple[tuple[float, ...], ...]  # (products, taps)
    outputs: tuple[tuple[float, ...], ...]  # (ROWS, products)


THREE_TAPS = Filter(  # at 0, 1, -1, 1/2, -2
    inputs=(
        (1, -1.5, -2, 1.5, 1, 0),
        (0, -2, 1, 5, 2, 0),
        (0, -2, 5, -1, -2, 0),
        (0, 2, 1, -2, -1, 0),
        (0, 1, -2, -1, 2, 0),
        (0, 1, -1.5, -2, 1.5, 1),
    ),
    kernels=(
        (1, 0, 0),
        (1 / 6, 1 / 6, 1 / 6),
        (1 / 6, -1 / 6, 1 / 6),
        (16 / 15, 8 / 15, 4 / 15),
        (1 / 30, -2 / 30, 4 / 30),
        (0, 0, 1),
    ),
    outputs=((1, 1, 1, 1, 1, 0), (0, 1, -1, 0.5, -2, 0), (0, 1, 1, 0.25, 4, 0), (0, 1, -1, 0.125, -8, 1)),
)

TWO_TAPS = Filter(  # at 0, -1, 1/2, 2
    inputs=((1, -1.5, -1.5, 1, 0), (0, -1, 2.5, -1, 0), (0, 2, 1, -1, 0), (0, -1, 1, 2, 0), (0, 1, -1.5, -1.5, 1)),
    kernels=((1, 0), (2 / 9, -2 / 9), (8 / 9, 4 / 9), (1 / 18, 2 / 18), (0, 1)),
    outputs=((1, 1, 1, 1, 0), (0, -1, 0.5, 2, 0), (0, 1, 0.25, 4, 0), (0, -1, 0.125, 8, 1)),
)


def worthwhile(x: jax.Array | jax.ShapeDtypeStruct, kernel: jax.Array | jax.ShapeDtypeStruct) -> bool:
    """Whether (N,H,W,I) by (3,3,I,O) is better computed here than plainly: in float32, of a size that is known."""
    if x.dtype != jnp.float32 or not all(isinstance(size, int) for size in x.shape):
        return False
    inputs, outputs = kernel.shape[2:]
    operations = 2 * 9 * outputs * x.size
    return operations >= WORTH and inputs >= FEW_INPUTS and outputs >= FEW_OUTPUTS


def conv3x3(x: jax.Array, kernel: jax.Array, precision: lax.PrecisionLike = None) -> jax.Array:
    """(N,H,W,I) by (3,3,I,O), zero padding of one pixel: (N,H,W,O), float32."""
    (y,) = _filter_rows(x, [(kernel, (1, 1))], THREE_TAPS, 1, precision)
    return y


def transposed_conv_phases(
    x: jax.Array, kernel: jax.Array, precision: lax.PrecisionLike = None
) -> list[list[jax.Array]]:
    """`resampling.transposed_conv_phases` by fewer products; float32."""
    by_column = (kernel[:, 1:2], (0, 0)), (kernel[:, ::-2], (0, 1))  # an even output column sees one input column
    even = [_along_rows(x, window[1:2], padding, precision) for window, padding in by_column]
    odd = _filter_rows(x, [(window[::-2], padding) for window, padding in by_column], TWO_TAPS, 0, precision)
    return [even, odd]


def _filter_rows(
    x: jax.Array,
    windows: Sequence[tuple[jax.Array, tuple[int, int]]],
    by: Filter,
    before: int,
    precision: lax.PrecisionLike,
) -> list[jax.Array]:
    """Convolve (N,H,W,I) with each window (taps,columns,I,O), whose first tap lies on the row `before` rows above.

    Beside each window stands how many columns of zeros x gets to its left and right.
    """
    n, h, w, _ = x.shape
    tiles = -(-h // ROWS)
    x = _pad(x, 1, 0, tiles * ROWS - h).reshape(n, tiles, ROWS, w, -1)
    rows = [x[:, :, row] for row in range(ROWS)]
    data = [_pad(row, 1, 1, -1) for row in rows[ROWS - before :]] + rows
    data += [_pad(row, 1, -1, 1) for row in rows[: len(by.inputs[0]) - len(data)]]
    sums = [_weighted(weights, data) for weights in by.inputs]
    results = []
    for window, padding in windows:
        kernels = (_weighted(weights, list(window))[None] for weights in by.kernels)
        products = [_along_rows(s, k, padding, precision) for s, k in zip(sums, kernels, strict=True)]
        # All rows of outputs in one pass: (N, tiles, ROWS, W, O).
        spread = np.array(by.outputs).T[..., None, None]  # (products, ROWS, 1, 1)
        y = _weighted(spread, [product[:, :, None] for product in products])
        results.append(y.reshape(n, tiles * ROWS, w, -1)[:, :h])
    return results


def _along_rows(x: jax.Array, kernel: jax.Array, padding: tuple[int, int], precision: lax.PrecisionLike) -> jax.Array:
    """Convolve each row of (N,H,W,I) with (1,columns,I,O).

    A picture's rows are laid end to end, with a zero between, for XLA shares a convolution out over the cores by pieces
    of a row: short ones it leaves to a single core.
    """
    n, h, w, _ = x.shape
    gap = max(padding)
    y = lax.conv_general_dilated(
        _pad(x, 2, 0, gap).reshape(n, 1, h * (w + gap), -1),
        kernel,
        (1, 1),
        ((0, 0), padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=precision,
    )
    return y.reshape(n, h, w + gap, -1)[:, :, :w]


def _pad(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    """Zeros before and after; where negative, what is there is cut off."""
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (before, after, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), padding)


def _weighted(weights: ArrayLike, terms: Sequence[jax.Array]) -> jax.Array:
    """The sum of weighted terms, those of weight 0 left out; weights are numbers, or arrays that fit the terms."""
    pairs = zip(np.asarray(weights, np.float32), terms, strict=True)
    first, *others = (term * weight for weight, term in pairs if weight.any())
    return sum(others, start=first)
