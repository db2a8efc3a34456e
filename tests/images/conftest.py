import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """A smooth picture, 24 wide and 16 high, that JPEG hardly changes; no two edges alike."""
    y, x = np.mgrid[0:16, 0:24] / np.float32(24)
    return Image.fromarray(np.uint8(np.stack([x * 200 + 20, y * 250 + 30, (1 - x) * y * 180 + 40], axis=-1)))
