"""One picture file to an array, the way training wants it: upright 8-bit RGB, or a clear refusal."""

import io
import os

import numpy as np
from PIL import Image, ImageOps

from smnet_jax.errors import InputError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def decode(path: str | os.PathLike[str], content: bytes | None = None) -> np.ndarray:
    """The whole picture, (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Gray becomes RGB, alpha is dropped, 16-bit gray is scaled to 8 bits. Colour profiles are ignored: data sets for
    this task are sRGB. With the file's `content` at hand, `path` only names it in messages.

    Raises InputError for a file that is missing, damaged, truncated or no picture.
    """
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):
                gray = np.asarray(upright, dtype=np.float64) / 257  # 65535 -> 255
                return np.repeat(np.clip(np.rint(gray), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
            return np.array(upright.convert("RGB"))
    except Exception as error:  # on a damaged file Pillow's decoders raise nearly anything, struct.error included
        reason = str(error).replace(str(path), "").strip(" '\"") or type(error).__name__
        raise InputError(f"{path}: cannot be decoded ({reason}); replace or remove it") from error
