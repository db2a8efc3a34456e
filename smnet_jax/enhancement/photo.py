"""Brightening one picture: the network with everything around it that arbitrary pictures need."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from smnet_jax.checkpoints import untrained
from smnet_jax.enhancement import plan as plans
from smnet_jax.enhancement import tiles
from smnet_jax.enhancement.plan import Plan, Tile
from smnet_jax.errors import InputError
from smnet_jax.exposure import ExposureNet, knob
from smnet_jax.exposure import picture as exposed
from smnet_jax.images import padding, pictures, transparency, writing
from smnet_jax.network.model import SMNet

Variables = Mapping[str, Any]
Model = SMNet | ExposureNet
Weights = str | os.PathLike[str] | tuple[Model, Variables] | None
Strength = float | Literal["auto"]

MOST_STOPS = 4.0  # of the exposure knob, either way

Compute = Callable[[np.ndarray], np.ndarray]  # (H,W,3) to the same

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow turns RGB to gray


def enhance(
    image: Any,
    weights: Weights = None,
    *,
    strength: Strength = "auto",
    exposure: float = 0.0,
    tile: Tile = "auto",
    max_memory: int | None = None,
) -> Any:
    """Brighten a dark picture; the same kind of thing comes back that went in.

    image: a Pillow image of any mode but I and F, or an array (H,W) gray, (H,W,3) sRGB or (H,W,4) sRGB and alpha,
        of uint8, uint16, or float in [0, 1]; at least 8x8. Alpha is not touched, nor colours
        under alpha 0, and these change nothing elsewhere; gray stays gray. Pillow images keep
        EXIF and colour profile in `info`; palettes come back as RGB(A), CMYK as RGB. Arrays come back as numpy arrays.
    weights: a bundled name, a converted directory, a .pth or .safetensors file, or (model, variables); the bundled
        weights if None.
    strength: 0 gives the input, 1 the network's result, between them a blend: low + strength * (result - low). "auto"
        is 1: how much light a picture needs, ExposureNet finds out itself.
    exposure: taste, in stops from -4 to 4: the result darker or brighter in its shadows, without clipping (`adjust`).
    tile: "off" computes the picture whole, a number in tiles of that side, "auto" as memory allows. The result is the
        same. max_memory: bytes that "auto" may use, the process included; most of what is available if None.

    The result is clipped to [0, 1] and, for integers, rounded. Raises InputError for anything else.
    """
    model, variables = open_weights(weights)
    if isinstance(image, Image.Image):
        picture = pictures.from_pil(image)
        result = writing.to_pil(
            enhance_picture(
                model,
                variables,
                picture,
                plans.decide(model, picture.rgb.shape, tile, max_memory),
                strength=strength,
                exposure=exposure,
            )
        )
        result.info = {k: v for k, v in image.info.items() if k not in ("transparency", "icc_profile")} | result.info
        return result

    def compute(low: np.ndarray) -> np.ndarray:
        return _compute(model, variables, low, plans.decide(model, low.shape, tile, max_memory))

    return _enhance_array(compute, np.asarray(image), strength, exposure)


def enhance_picture(
    model: Model,
    variables: Variables,
    picture: pictures.Picture,
    plan: Plan | None = None,
    *,
    strength: Strength = "auto",
    exposure: float = 0.0,
    progress: Callable[[float], None] | None = None,
) -> pictures.Picture:
    """Brighten a decoded picture: only its rgb changes, and stays in the picture's own gamut until written.

    plan: whole or in tiles; as memory allows if None.
    progress: is called with the share of the work done where the picture is computed in tiles.
    """
    notes: list[str] = []
    plan = plans.decide(model, picture.rgb.shape) if plan is None else plan
    compute = functools.partial(_compute, model, variables, plan=plan, progress=progress, note=notes.append)
    low = picture.rgb if picture.alpha is None else transparency.filled(picture.rgb, picture.alpha)
    rgb = _blended(compute, low, picture.gray, strength, exposure)
    if low is not picture.rgb and picture.alpha is not None:
        rgb = np.where(picture.alpha[..., None] > 0, rgb, picture.rgb)
    return dataclasses.replace(picture, rgb=rgb, notes=(*picture.notes, *notes))


def _enhance_array(compute: Compute, values: np.ndarray, strength: Strength, exposure: float) -> np.ndarray:
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise InputError(f"array: shape {values.shape}; wanted (H, W), (H, W, 3) or (H, W, 4)")
    if values.size == 0 or min(values.shape[:2]) < pictures.SMALLEST:
        raise InputError(f"array: {values.shape[1]}x{values.shape[0]} pixels; at least 8x8 are needed")
    kind = values.dtype
    if kind in (np.uint8, np.uint16):
        peak = np.float32(np.iinfo(kind).max)
    elif np.issubdtype(kind, np.floating) or kind == jnp.bfloat16:
        peak = np.float32(1)
        if not np.isfinite(values).all():
            raise InputError("array: holds NaN or infinity; replace them first")
        if values.min() < 0 or values.max() > 1:
            raise InputError(
                f"array: floats from {values.min():g} to {values.max():g}; scale to [0, 1] (divide by 255?)"
            )
    else:
        raise InputError(f"array: dtype {kind}; wanted uint8, uint16 or floating point in [0, 1]")
    gray = values.ndim == 2
    low = values.astype(np.float32) / peak
    rgb = np.repeat(low[..., None], 3, axis=2) if gray else low[..., :3]
    if values.ndim == 3 and values.shape[2] == 4:
        seen = transparency.filled(rgb, low[..., 3])
        rgb = np.where(low[..., 3:] > 0, _blended(compute, seen, gray, strength, exposure), rgb)
    else:
        rgb = _blended(compute, rgb, gray, strength, exposure)
    rgb = np.clip(rgb, 0, 1) * peak
    if peak != 1:
        rgb = np.rint(rgb)
    if gray:
        return rgb[..., 0].astype(kind)
    return np.concatenate([rgb.astype(kind), values[..., 3:]], axis=2)  # alpha as it came, not through floats


def _blended(compute: Compute, low: np.ndarray, gray: bool, strength: Strength, exposure: float) -> np.ndarray:
    """(H,W,3) sRGB to the same, blended; outside [0, 1] only where `low` is and nothing was done to it."""
    check_strength(strength)
    check_exposure(exposure)
    amount = 1.0 if strength == "auto" else float(strength)
    if amount == 0 and exposure == 0:
        return low
    in_range = low.min() >= 0 and low.max() <= 1  # nearly always: then no copy, for a large picture is gigabytes
    result = inside = low if in_range else np.clip(low, 0, 1)
    if amount > 0:
        result = compute(inside)
        result = np.clip(result, 0, 1, out=result if result.flags.writeable else None)
        if not np.isfinite(result).all():
            raise InputError("weights: the network's result is not finite; are these trained weights for this network?")
        if gray or _is_gray(low):  # a network may tint what has no colour
            result = np.repeat((result @ _LUMA)[..., None], 3, axis=2)
        if amount < 1:
            result = (low if exposure == 0 else inside) + np.float32(amount) * (result - low)
    return knob.adjust(result, exposure)


def _is_gray(rgb: np.ndarray) -> bool:
    """Whether all channels are equal everywhere; looks at a few pixels first, for most pictures are in colour."""
    few = rgb[:: max(1, rgb.shape[0] // 16), :: max(1, rgb.shape[1] // 16)]
    return all(bool((part == part[..., :1]).all()) for part in (few, rgb))


def check_strength(strength: Strength) -> None:
    """Raise InputError for a strength that makes no sense."""
    if strength != "auto" and not (isinstance(strength, int | float) and 0 <= strength <= 1):  # also refuses NaN
        raise InputError(
            f"strength {strength}: must be auto, or lie between 0 (the input) and 1 (the network's result)"
        )


def check_exposure(stops: float) -> None:
    """Raise InputError for an exposure that makes no sense."""
    if not -MOST_STOPS <= stops <= MOST_STOPS:
        raise InputError(f"exposure {stops}: must lie between -{MOST_STOPS:g} (darker) and {MOST_STOPS:g} stops")


def _compute(
    model: Model,
    variables: Variables,
    low: np.ndarray,
    plan: Plan,
    *,
    progress: Callable[[float], None] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> np.ndarray:
    """The network on one picture of any size, (H,W,3) -> (H,W,3) float32, not clipped; whole or in tiles."""
    if isinstance(model, ExposureNet):
        block = exposed.BLOCK if plan.tile is None else plan.tile[0]
        return exposed.enhance(model, variables, low, block=block, progress=progress)
    padded = padding.pad(low)
    height, width = padded.shape[:2]
    if plan.tile is not None:
        result, done = tiles.enhance_tiled(model, variables, padded, plan.tile, progress=progress)
        note(f"computed in {done.tiles} tiles, with {done.work:.2f} times the operations of the whole picture")
        return padding.crop(result, *low.shape[:2])
    try:
        if plan.shape is None:
            result = compiled(model, variables, height, width)(variables, padded[None])
        else:
            array = np.zeros((1, *plan.shape, 3), np.float32)
            array[0, :height, :width] = padded
            program = compiled(model, variables, *plan.shape, shared=True)
            result = program(variables, array, np.array([[height, width]], np.int32))
        return padding.crop(np.asarray(result)[0], *low.shape[:2])
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(f"a picture of {low.shape[1]}x{low.shape[0]} does not fit into the device's memory") from error


def prepare(
    model: Model,
    variables: Variables,
    picture: pictures.Picture,
    plan: Plan,
) -> None:
    """Compile what `plan` needs ahead of the picture's turn; to be called from another thread than the one computing.

    Nothing is compiled ahead for ExposureNet, whose one program serves every size.
    """
    if isinstance(model, ExposureNet):
        return
    height, width = padding.padded(*picture.rgb.shape[:2])
    if plan.tile is not None:
        tiles.prepare(model, height, width, plan.tile)
    elif plan.shape is not None:
        compiled(model, variables, *plan.shape, shared=True)
    else:
        compiled(model, variables, height, width)


def compiled(model: SMNet, variables: Variables, height: int, width: int, *, shared: bool = False) -> Any:
    """The network compiled for (1, height, width, 3), a function of (variables, low); the last 16 sizes are kept.

    shared: for all sizes up to that one; a function of (variables, low, sizes), the latter as `SMNet` takes them.
    """
    leaves, tree = jax.tree.flatten(variables)
    kinds = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None)) for x in leaves)
    return _compiled(model, tree, kinds, (1, height, width, 3), shared)


@functools.lru_cache(maxsize=16)  # a cache of our own: jit's would keep every size of a folder for good
def _compiled(
    model: SMNet, tree: Any, kinds: tuple[jax.ShapeDtypeStruct, ...], shape: tuple[int, ...], shared: bool
) -> Any:
    model = model.for_inference(shape[0], shape[1])
    arguments = [jax.tree.unflatten(tree, kinds), jax.ShapeDtypeStruct(shape, jnp.float32)]
    if shared:
        sizes = jax.ShapeDtypeStruct((1, 2), jnp.int32)
        apply = jax.jit(lambda variables, low, sizes: model.apply(variables, low, sizes=sizes))
        return apply.lower(*arguments, sizes).compile()
    return jax.jit(lambda variables, low: model.apply(variables, low)).lower(*arguments).compile()


def open_weights(weights: Weights = None) -> tuple[Model, Variables]:
    """Whatever names weights -> (model, variables on the device); the last named ones are kept for the next call.

    Raises InputError where there are none: with the way to get some, if they were not named.
    """
    if isinstance(weights, tuple):
        return weights
    from smnet_jax.checkpoints.weights import DEFAULT, bundled

    if weights is None:
        if not bundled():
            raise InputError(
                "weights: this version ships no trained ones; name a checkpoint of the published PyTorch code "
                f"(--weights FILE.pth), or try --weights {untrained.NAME} to see the program at work"
            )
        weights = DEFAULT
    path = Path(weights)
    return _load(str(weights), path.stat().st_mtime_ns if path.exists() else 0)


@functools.lru_cache(maxsize=1)
def _load(source: str, _modified: int) -> tuple[Model, Variables]:
    if source == untrained.NAME:
        return untrained.make()
    from smnet_jax.checkpoints.weights import load

    model, variables = load(source)
    return model, jax.device_put(variables)


def forget() -> None:
    """Drop the compiled programs and the weights that are kept for the next call, as in a new process."""
    _compiled.cache_clear()
    _load.cache_clear()
