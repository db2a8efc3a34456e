"""HEIC and HEIF photos, through pillow-heif, an optional extra that is imported only where such a file is read.

libheif applies the rotation that the file asks for: the pixels stand upright, and EXIF's orientation means nothing.
"""

import importlib
from typing import IO, Any

import numpy as np

from smnet_jax.errors import InputError
from smnet_jax.images.formats import PHOTOS


class Photo:
    """A HEIF file of which the header is read: its size is known before any pixel is decoded.

    Raises InputError where pillow-heif is not installed.
    """

    def __init__(self, file: IO[bytes], path: object):
        try:
            pillow_heif = importlib.import_module("pillow_heif")
        except ImportError as error:
            raise InputError(f"{path}: HEIC photos are read through pillow-heif: {PHOTOS}") from error
        self._image = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
        self.width, self.height = self._image.size
        self.info: dict[str, Any] = {key: value for key, value in self._image.info.items() if value}

    def values(self) -> np.ndarray:
        """(H, W, 1|2|3|4) uint8, or uint16 for photos of 10 and 12 bits."""
        values = np.asarray(self._image)
        if self._image.premultiplied_alpha:
            peak = np.iinfo(values.dtype).max
            alpha = np.maximum(values[..., -1:], 1).astype(np.float32)
            colours = np.minimum(values[..., :-1] * (peak / alpha), peak).round().astype(values.dtype)
            values = np.concatenate([colours, values[..., -1:]], axis=2)
        return values.reshape(*values.shape[:2], -1)
