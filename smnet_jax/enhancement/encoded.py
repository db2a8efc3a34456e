"""A photo's file in memory, brightened: bytes to bytes, with everything that `smnet enhance` keeps."""

import dataclasses

from smnet_jax.enhancement import plan as plans
from smnet_jax.enhancement.buckets import Buckets
from smnet_jax.enhancement.photo import Strength, Weights, enhance_picture, open_weights
from smnet_jax.enhancement.plan import Tile
from smnet_jax.errors import InputError
from smnet_jax.images import pictures, writing

FORMATS = ("jpg", "png", "webp", "bmp", "tiff", "avif")


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A brightened photo as a file's content.

    suffix: ".jpg", say: of its format. width, height: in pixels. notes: what could not be kept, a sentence each.
    """

    data: bytes
    suffix: str
    width: int
    height: int
    notes: tuple[str, ...] = ()


def enhance_bytes(
    data: bytes,
    weights: Weights = None,
    *,
    format: str | None = None,
    strength: Strength = "auto",
    exposure: float = 0.0,
    quality: int = 95,
    tile: Tile = "auto",
    max_memory: int | None = None,
    max_megapixels: float = pictures.MAX_MEGAPIXELS,
) -> bytes:
    """Brighten a photo given as its file's content; the result is the content of a file, as `smnet enhance` writes it.

    EXIF (turned upright), colour profile, transparency, gray and 16 bits are kept where the format can hold them.
    format: "jpg", "png", "webp", "bmp", "tiff" or "avif"; the photo's own if None. quality: of JPEG and WebP, 1 to 100.
    max_megapixels: larger pictures are refused before a pixel is decoded. The rest is as in `enhance`.

    No file is opened or written, but for the scratch files of pictures in tiles. Raises InputError for what is no
    readable picture and for options that make no sense.
    """
    return encode_enhanced(
        data,
        weights,
        format=format,
        strength=strength,
        exposure=exposure,
        quality=quality,
        tile=tile,
        max_memory=max_memory,
        max_megapixels=max_megapixels,
    ).data


def encode_enhanced(
    data: bytes,
    weights: Weights = None,
    *,
    name: str = "picture",
    format: str | None = None,
    strength: Strength = "auto",
    exposure: float = 0.0,
    quality: int = 95,
    tile: Tile = "auto",
    max_memory: int | None = None,
    max_megapixels: float = pictures.MAX_MEGAPIXELS,
    buckets: Buckets | None = None,
) -> Encoded:
    """Brighten a photo's file, told what its content alone does not say. `name` is what errors call the photo.

    buckets: those of the weights' network, for who has photos of many sizes.
    """
    if format is not None and f".{format}" not in pictures.FORMATS:
        raise InputError(f"format {format}: must be one of {', '.join(FORMATS)}")
    if not 1 <= quality <= 100:
        raise InputError(f"quality {quality}: must lie between 1 and 100")
    picture, own = pictures.from_bytes(data, name=name, max_megapixels=max_megapixels)
    model, variables = open_weights(weights)
    plan = plans.decide(model, picture.rgb.shape, tile, max_memory, buckets)
    result = enhance_picture(model, variables, picture, plan, strength=strength, exposure=exposure)
    suffix = f".{format}" if format else own
    content, notes = writing.to_bytes(result, suffix, quality=quality)
    height, width = result.rgb.shape[:2]
    return Encoded(content, suffix, width, height, (*result.notes, *notes))
