"""Camera raw files, developed by LibRaw through rawpy, an optional extra that is imported only where one is read.

Development is plain, which is what a dark photo wants: the camera's white balance, linear, 16 bits, no automatic
brightening. The camera's own preview is never taken for the photo.
"""

import importlib
from typing import IO

import numpy as np

from smnet_jax.errors import InputError
from smnet_jax.images.formats import PHOTOS


class Photo:
    """An opened raw file: its size is known before it is developed.

    Raises InputError where rawpy is not installed, and where LibRaw does not know the file.
    """

    def __init__(self, file: IO[bytes], path: object):
        try:
            self._rawpy = importlib.import_module("rawpy")
        except ImportError as error:
            raise InputError(f"{path}: a camera raw file, which is read through rawpy: {PHOTOS}") from error
        try:
            file.seek(0)
            self._raw = self._rawpy.imread(file)
        except self._rawpy.LibRawError as error:
            raise _unusable(path, error) from error
        self._path = path
        self.width, self.height = self._raw.sizes.iwidth, self._raw.sizes.iheight

    def values(self) -> np.ndarray:
        """(H, W, 3) uint16 in linear light with sRGB's primaries, upright."""
        try:
            return self._raw.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                output_bps=16,
                gamma=(1, 1),
                output_color=self._rawpy.ColorSpace.sRGB,
            )
        except self._rawpy.LibRawError as error:
            raise _unusable(self._path, error) from error

    def preview(self) -> bytes | None:
        """The JPEG that the camera put beside the photo, for what it tells about the photo; None if there is none."""
        try:
            found = self._raw.extract_thumb()
        except self._rawpy.LibRawError:
            return None
        return found.data if found.format == self._rawpy.ThumbFormat.JPEG else None


def _unusable(path: object, error: Exception) -> InputError:
    reason = str(error.args[0]) if error.args else type(error).__name__
    reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else reason
    return InputError(f"{path}: a camera raw file that LibRaw cannot develop ({reason}); export it as tiff or jpg")
