"""One picture file to an array, the way training wants it: upright 8-bit RGB, or a clear refusal."""

import os

import numpy as np

from smnet_jax.errors import InputError
from smnet_jax.host import places
from smnet_jax.images import formats, pictures

SUFFIXES = formats.READ


def decode(path: str | os.PathLike[str], content: bytes | None = None) -> np.ndarray:
    """The whole picture, (H, W, 3) uint8 sRGB, turned upright: what `smnet enhance` reads, rounded to 8 bits.

    Gray becomes RGB, alpha is dropped, colour profiles are obeyed. With the file's `content` at hand, `path` only names
    it in messages.

    Raises InputError for a file that is missing, damaged, truncated, no picture, or in floating point.
    """
    if content is None and places.is_remote(path):
        with places.reached(path):
            content = places.place(path).read_bytes()
    try:
        return pictures.read_rgb8(path, content)
    except InputError as error:
        reason = str(error).replace(f"{path}: ", "", 1).removeprefix("cannot be decoded (")
        reason = reason.removesuffix("); the file is damaged or of an unusual kind").replace("; ", ", ")
        raise InputError(f"{path}: cannot be decoded ({reason}); replace or remove it") from error
