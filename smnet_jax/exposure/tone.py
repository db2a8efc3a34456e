"""What is done to a picture: one curve for each place and level, in a form that cannot clip, and its saturation.

A value v in [0, 1] becomes 1 - (1 - v)^r (as in PSENet, Nguyen et al., WACV 2023): r = 1 changes nothing, r > 1
brightens, black stays black and white stays white. v is a pixel's largest channel, and all its channels get the same
factor, so hues stay. log2(r) is read from a bilateral grid (Chen, Paris and Durand, "Real-time edge-aware image
processing with the bilateral grid", SIGGRAPH 2007): by place and by level, so that a window and the dark wall round
it get curves of their own, without a halo where they meet. Where light is added, noise is smoothed first
(`exposure.noise`), and a look at each pixel's neighbours moves its curve (`exposure.detail`).

Values are sRGB in [0, 1], float32, NHWC; within, each channel is a plane (N,H,W) of its own, for XLA on a CPU is slow
where three channels lie side by side: a block of 278x278 then takes 32 instead of 4 ms of one core, without the last
look (AMD EPYC, Zen 4, 2026-11-28).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from smnet_jax.exposure import detail, noise
from smnet_jax.exposure.frame import Within
from smnet_jax.exposure.noise import Planes
from smnet_jax.exposure.resampling import from_part, linear, to_part

THUMBNAIL = 128  # pixels: the side of the square that the network sees
GRID = 16  # cells of the grid along each side of the picture
KNOTS = 8  # levels of the grid; curves and saturation are linear between them

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
BLACK = 1e-3  # darker pixels get the factor of this level
HALO = noise.HALO + detail.HALO  # pixels: as far as a result depends on its neighbours

Finish = Callable[[Planes, jax.Array, jax.Array, jax.Array], jax.Array]  # as `detail.Detail` is called


class Tone(NamedTuple):
    """What is done to each of N pictures."""

    log2_rate: jax.Array  # (N,1): of the whole picture
    grid: jax.Array  # (N,GRID,GRID,KNOTS): added to it by place and by level after `log2_rate` alone
    saturation: jax.Array  # (N,KNOTS): factor on the distance from gray, by the square root of the pixel's level


def thumbnail(low: jax.Array, within: Within | None = None) -> jax.Array:
    """What the network sees of whole pictures, (N,H,W,3) -> (N,THUMBNAIL,THUMBNAIL,3), averaged.

    within: where the photos lie in them (`frame.inside_each`); all of each picture if None.
    """
    height, width = low.shape[1:3]
    if within is None:
        rows, columns = (linear(size, THUMBNAIL, jnp) for size in (height, width))
        return jnp.einsum("ih,nhwc,jw->nijc", rows, low, columns, precision="highest")
    rows = from_part(within.top, within.height, height, THUMBNAIL)
    columns = from_part(within.left, within.width, width, THUMBNAIL)
    return jnp.einsum("nih,nhwc,njw->nijc", rows, low, columns, precision="highest")


def render(low: jax.Array, tone: Tone, within: Within | None = None, finish: Finish | None = None) -> jax.Array:
    """Whole pictures brightened, (N,H,W,3) -> (N,H,W,3).

    within: where the photos lie in them (`frame.inside_each`), round which all stays as it is; all of each picture if
    None. finish: what each pixel needs beside, a bound `Detail`; nothing if None.
    """
    height, width = low.shape[1:3]
    if within is None:
        return render_part(low, tone, linear(GRID, height, jnp), linear(GRID, width, jnp), finish)
    rows = to_part(GRID, within.top, within.height, height)
    columns = to_part(GRID, within.left, within.width, width)
    photo = (rows.sum(-1) > 0.5)[:, :, None, None] & (columns.sum(-1) > 0.5)[:, None, :, None]
    return jnp.where(photo, render_part(low, tone, rows, columns, finish), low)


def render_part(
    low: jax.Array, tone: Tone, rows: jax.Array, columns: jax.Array, finish: Finish | None = None
) -> jax.Array:
    """Parts of pictures brightened, (N,h,w,3) -> (N,h,w,3); `rows` and `columns` say where they lie.

    These are the rows of `linear(GRID, H)` and `linear(GRID, W)` that belong to the part, (h,GRID) and (w,GRID) for
    all or (N,h,GRID) and (N,w,GRID) for each, and zeros outside the picture. Results nearer than `HALO` to an edge of
    the part are right only where the picture ends there. finish: as `render` has it.
    """
    rate = jnp.exp2(tone.log2_rate[:, :, None])
    each = "n" * (rows.ndim - 2)
    at_place = jnp.einsum(f"{each}hi,nijk,{each}wj->knhw", rows, tone.grid, columns, precision="highest")
    inside = rows.sum(-1), columns.sum(-1)
    planes = _planes(low)
    grainy = _level(planes)
    around = jnp.maximum(noise.mean(grainy, *inside), BLACK)
    gain = _brightened(around, rate, at_place) / around
    amount = noise.amount(gain, grainy)
    planes = noise.reduced(planes, around, amount, *inside)
    level = _level(planes)
    more: jax.Array | float = 0.0
    if finish is not None:
        factor = _brightened(level, rate, at_place) / level
        lit = [x * factor for x in planes]
        needs = finish(lit, _brightened(grainy, rate, at_place), jnp.log2(gain), noise.in_picture(*inside))
        more = amount * needs
    return _coloured(planes, _brightened(level, rate, at_place, more), tone)


def each_alone(low: jax.Array, tone: Tone) -> jax.Array:
    """Whole pictures brightened, each pixel by itself, (N,H,W,3) -> (N,H,W,3): `render` if there were no noise."""
    rows, columns = (linear(GRID, size, jnp) for size in low.shape[1:3])
    at_place = jnp.einsum("hi,nijk,wj->knhw", rows, tone.grid, columns, precision="highest")
    planes = _planes(low)
    return _coloured(planes, _brightened(_level(planes), jnp.exp2(tone.log2_rate[:, :, None]), at_place), tone)


def _planes(rgb: jax.Array) -> list[jax.Array]:
    return [rgb[..., channel] for channel in range(3)]


def _level(planes: Planes) -> jax.Array:
    return jnp.maximum(functools.reduce(jnp.maximum, planes), BLACK)


def _brightened(level: jax.Array, rate: jax.Array, at_place: jax.Array, more: jax.Array | float = 0.0) -> jax.Array:
    local = _interpolate(curve(level, rate), at_place) + more
    return curve(level, rate * jnp.exp2(local))


def _coloured(planes: Planes, brightened: jax.Array, tone: Tone) -> jax.Array:
    """Pixels at the levels `brightened`, with their hues and the saturation that belongs to their own levels: NHWC."""
    level = _level(planes)
    factor = _interpolate(jnp.sqrt(level), tone.saturation.T[:, :, None, None])
    return jnp.stack(_saturated([x * (brightened / level) for x in planes], factor), -1)


def curve(level: jax.Array, rate: jax.Array) -> jax.Array:
    """1 - (1 - level)^rate for levels in [0, 1]."""
    return 1 - jnp.exp(rate * jnp.log(jnp.maximum(1 - level, 1e-12)))  # white is 0.999 or more for rates from 1/4 on


def _interpolate(position: jax.Array, values: jax.Array) -> jax.Array:
    """Values (KNOTS,...) at `position` (...) in [0, 1], linearly -> (...).

    Knot by knot: processors compute many pixels at once, not eight knots.
    """
    place = position * (KNOTS - 1)
    parts = [jnp.maximum(0, 1 - jnp.abs(place - knot)) * values[knot] for knot in range(KNOTS)]
    return sum(parts[1:], parts[0])


def _saturated(planes: Planes, factor: jax.Array) -> list[jax.Array]:
    """Colours moved away from gray (or towards it) by `factor`, but never past black or white."""
    luma = functools.reduce(jnp.add, (weight * x for weight, x in zip(LUMA, planes, strict=True)))
    lightest, darkest = functools.reduce(jnp.maximum, planes), functools.reduce(jnp.minimum, planes)
    to_white = (1 - luma) / jnp.maximum(lightest - luma, 1e-4)
    to_black = luma / jnp.maximum(luma - darkest, 1e-4)
    factor = jnp.minimum(factor, jnp.maximum(1, jnp.minimum(to_white, to_black)))
    return [luma + factor * (x - luma) for x in planes]
