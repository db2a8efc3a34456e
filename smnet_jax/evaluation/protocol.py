"""From enhanced pictures and targets to one number per column: how pictures are prepared, and which metric then."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from smnet_jax import metrics
from smnet_jax.evaluation.columns import Column
from smnet_jax.metrics import extents

Operands = tuple[jax.Array, ...]
BORDER = 4  # pixels that the protocols "cropped" cut off at each side


def truncated(output: jax.Array) -> jax.Array:
    """Any float RGB -> uint8 as the published code does: clip to [0, 1], times 255, drop the fraction.

    0.5/255 darker on average than rounding. uint8 passes through: pictures read from files are quantised already.
    """
    if output.dtype == jnp.uint8:
        return output
    return jnp.floor(jnp.clip(output, 0, 1) * 255).astype(jnp.uint8)


def rounded(output: jax.Array) -> jax.Array:
    """Any float RGB -> the nearest uint8 after clipping to [0, 1] (ties to even)."""
    if output.dtype == jnp.uint8:
        return output
    return jnp.round(jnp.clip(output, 0, 1) * 255).astype(jnp.uint8)


def unit(picture: jax.Array) -> jax.Array:
    """uint8 or float RGB -> float32 clipped to [0, 1]."""
    if picture.dtype == jnp.uint8:
        return picture.astype(jnp.float32) / 255
    return jnp.clip(picture, 0, 1)


def match_brightness(output: jax.Array, target: jax.Array, mean: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """`output` scaled to the brightness of `target` ("GT-mean"), clipped to [0, 1]; both (N,H,W,3), uint8 or float.

    `mean` gives each picture's brightness, (N,H,W,3) float -> (N,): `mean_luma` or `mean_rgb`. A black output, which
    no factor can brighten, stays black.
    """
    output, target = unit(output), unit(target)
    theirs, ours = mean(target), mean(output)
    factor = jnp.where(ours > 0, theirs / jnp.where(ours > 0, ours, 1), 1)
    return jnp.clip(output * factor[:, None, None, None], 0, 1)


def mean_luma(picture: jax.Array, sizes: extents.Sizes = None) -> jax.Array:
    """Mean luma per picture, float (N,H,W,3) -> (N,): the brightness that LLFlow's test script matches."""
    return _mean(metrics.luma(picture), sizes)


def mean_rgb(picture: jax.Array, sizes: extents.Sizes = None) -> jax.Array:
    """Mean of all values per picture, float (N,H,W,3) -> (N,)."""
    return _mean(picture, sizes)


def _mean(picture: jax.Array, sizes: extents.Sizes) -> jax.Array:
    if sizes is None:
        return jnp.mean(picture, axis=(1, 2, 3))
    return jnp.mean(extents.mean(jnp.moveaxis(picture, -1, 1), extents.of_channels(sizes)), 1)


def limited_y(picture: jax.Array) -> jax.Array:
    """uint8 RGB (N,H,W,3) -> Y of YCbCr in limited range (N,H,W,1), float32 from 16/255 to 235/255, not rounded."""
    red, green, blue = (picture[..., c : c + 1].astype(jnp.float32) for c in range(3))
    return (16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255) / 255


def cropped(picture: jax.Array) -> jax.Array:
    """(N,H,W,C) without BORDER pixels at each side; of a smaller picture nothing is left."""
    return picture[:, BORDER:-BORDER, BORDER:-BORDER]


def prepare(
    column: Column,
    low: jax.Array | None,
    output: jax.Array,
    target: jax.Array | None,
    sizes: extents.Sizes = None,
) -> Operands:
    """The uint8 or float pictures that the column's metric compares, (enhanced, other) or (enhanced,).

    `low` (the dark input) and `target` are uint8 RGB (N,H,W,3), or None where `column.needs` does not name them;
    `output` is the network's unclipped float output or a finished uint8 picture. `sizes` (N,2) are rows and columns of
    pictures that lie in the upper left corners of larger arrays, as those returned then do (`prepared_sizes`).
    """
    if not column.needs:
        return (truncated(output),)
    if "low" in column.needs:
        assert low is not None
        return truncated(output), low
    assert target is not None
    match column.protocol:
        case "published":
            return truncated(output), target
        case "rounded":
            return rounded(output), target
        case "float":
            return unit(output), unit(target)
        case "gray":
            return metrics.luma(truncated(output)), metrics.luma(target)
        case "y":
            return limited_y(truncated(output)), limited_y(target)
        case "cropped":
            return cropped(truncated(output)), cropped(target)
        case "y-cropped":
            return cropped(limited_y(truncated(output))), cropped(limited_y(target))
        case "gtmean-luma":
            return truncated(match_brightness(output, target, functools.partial(mean_luma, sizes=sizes))), target
        case "gtmean-rgb":
            return truncated(match_brightness(output, target, functools.partial(mean_rgb, sizes=sizes))), target
    raise ValueError(f"protocol {column.protocol!r} is not one of columns.PROTOCOLS")


def prepared_sizes(column: Column, sizes: jax.Array) -> jax.Array:
    """Rows and columns (N,2) of the pictures that `prepare` makes of pictures of `sizes`."""
    return sizes - 2 * BORDER if column.protocol.endswith("cropped") else sizes


def preparation(column: Column) -> str:
    """A name for what `prepare` makes: columns with the same one compare the same pictures."""
    return " ".join([column.protocol, *sorted(column.needs)])


def constants(column: Column) -> dict[str, Any]:
    """The arrays that the column's metric reads beside the pictures, as keyword arguments of `measure`.

    Raises InputError where they are not installed.
    """
    return {"weights": metrics.load_lpips(**dict(column.options))} if column.function == "lpips" else {}


def constants_of_sizes(
    column: Column, sizes: Sequence[tuple[int, int]], shape: tuple[int, int], among: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Further arguments of `measure_together`, with N first, that depend on the sizes of pictures in arrays of `shape`.

    `among` are all sizes that are to share one program.
    """
    if column.function != "loe":
        return {}
    grid = metrics.loe_grid(among)
    sampling: Any = dict(column.options)["sampling"]
    return {"reduction": metrics.loe_reduction(sizes, shape, sampling=sampling, grid=grid)}


def transforming(column: Column, size: tuple[int, int]) -> dict[str, Any] | None:
    """The arrays that `transformed` reads beside the pictures; None where the column has no such step."""
    return {"filters": metrics.fsim_filters(*size)} if column.function in ("fsim", "fsimc") else None


def transformed(
    column: Column,
    pictures: tuple[jax.Array | None, jax.Array, jax.Array | None],
    size: tuple[int, int],
    among: Sequence[tuple[int, int]],
    **arrays: Any,
) -> dict[str, Any]:
    """Further arguments of `measure_together`, with N first, that only a program of one size can make of `pictures`.

    They are what `prepare` takes, in the upper left corners of larger arrays. `arrays` are from `transforming`, which
    says of which columns: those with Fourier transforms.
    """
    low, output, target = (None if p is None else p[:, : size[0], : size[1]] for p in pictures)
    assert output is not None
    grid = metrics.fsim_grid(among)
    return {"made": metrics.fsim_responses(*prepare(column, low, output, target), grid=grid, **arrays)}


def program(column: Column) -> tuple[Any, ...]:
    """Columns of pictures alike (`prepare`) that have the same one are measured together (`measure_together`)."""
    return ("fsim",) if column.function == "fsimc" else (column.function, *column.options)


def measure_together(
    columns: Sequence[Column], pictures: Operands, sizes: extents.Sizes = None, **arrays: Any
) -> dict[str, jax.Array]:
    """`measure` of columns that have one `program`, function -> (N,).

    Where `sizes` are given, `arrays` hold the first column's `constants_of_sizes` and what is `transformed`, too.
    """
    functions = {column.function for column in columns}
    if "made" in arrays:
        return dict(zip(("fsim", "fsimc"), metrics.fsim_of_responses(arrays["made"]), strict=True))
    if functions == {"fsim", "fsimc"}:
        return dict(zip(("fsim", "fsimc"), metrics.fsim_and_fsimc(*pictures), strict=True))
    (function,) = functions
    return {function: measure(columns[0], pictures, sizes, **arrays)}


def measure(column: Column, pictures: Operands, sizes: extents.Sizes = None, **arrays: Any) -> jax.Array:
    """The column's metric of pictures that `prepare` made, one number per picture, (N,) float32.

    `sizes` (N,2): rows and columns of what `prepare` returned; None: pictures fill their arrays.
    `arrays` are the column's `constants`: under jit they should be arguments, not 59 MB inside the program.
    """
    if column.function in STATISTICS:
        return STATISTICS[column.function](pictures[0], sizes)
    if sizes is not None and column.function != "loe":  # its `reduction` holds them
        arrays["sizes"] = sizes
    if "low" in column.needs:
        pictures = pictures[::-1]  # loe(low, enhanced)
    return getattr(metrics, column.function)(*pictures, **dict(column.options), **arrays)


def _share(value: int) -> Callable[[jax.Array, extents.Sizes], jax.Array]:
    return lambda picture, sizes: extents.mean(jnp.any(picture == value, axis=-1).astype(jnp.float32), sizes)


def _luma_std(picture: jax.Array, sizes: extents.Sizes) -> jax.Array:
    luma = metrics.luma(unit(picture))
    return jnp.sqrt(_mean(jnp.square(luma - _mean(luma, sizes)[:, None, None, None]), sizes))


STATISTICS: dict[str, Callable[[jax.Array, extents.Sizes], jax.Array]] = {
    "luma_mean": lambda picture, sizes: mean_luma(unit(picture), sizes),
    "luma_std": _luma_std,
    "black_share": _share(0),
    "white_share": _share(255),
}
