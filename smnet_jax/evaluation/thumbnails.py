"""Small embedded pictures for the report: bounded in pixels and bytes, as `data:` addresses."""

import base64
import io

import numpy as np
from PIL import Image

ERROR_SCALE = 64  # levels of 255: differences from here on get the brightest colour, in every report alike
BYTES = 48_000  # of one thumbnail; noisy pictures compress badly and lose quality instead
# Nine samples of matplotlib's "inferno" (CC0), dark for no error; read in between linearly.
INFERNO = np.array(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    np.float64,
)


def edge_for(count: int) -> int:
    """Longest side in pixels where `count` pictures share a page: at 500 rows the page must still open."""
    return 560 if count <= 40 else 320 if count <= 200 else 160


def data_uri(picture: np.ndarray, edge: int) -> str:
    """uint8 RGB (H,W,3) -> a JPEG of at most `edge` pixels a side and about `BYTES` bytes, never enlarged."""
    image = Image.fromarray(picture)
    image.thumbnail((edge, edge), Image.Resampling.BOX if edge * 4 < max(picture.shape) else Image.Resampling.LANCZOS)
    for quality in (88, 75, 60, 40):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, subsampling=0 if quality > 80 else 2)
        if buffer.tell() <= BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def error_map(output: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where two uint8 RGB pictures differ: mean absolute difference over the channels, in colours, (H,W,3) uint8."""
    difference = np.abs(output.astype(np.int16) - target.astype(np.int16)).mean(axis=-1)
    return colours(difference / ERROR_SCALE)


def colours(values: np.ndarray) -> np.ndarray:
    """[0, 1] (clipped) of any shape -> uint8 RGB, (..., 3)."""
    positions = np.linspace(0, 1, len(INFERNO))
    return np.stack([np.interp(values, positions, INFERNO[:, c]) for c in range(3)], axis=-1).round().astype(np.uint8)
