"""Pillow without its limit of pixels, for callers that judge the size in the header themselves."""

import contextlib
import threading
from collections.abc import Iterator

from PIL import Image

_OPENING = threading.Lock()


@contextlib.contextmanager
def no_limit() -> Iterator[None]:
    """While a file is opened (TIFF: until it is decoded). Pillow's limit is one global number, so one at a time."""
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
