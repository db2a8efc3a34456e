"""One knob for taste: a finished picture brighter or darker."""

import numpy as np

_ENCODING = 2.2  # sRGB is close to this power of linear light


def adjust(rgb: np.ndarray, ev: float) -> np.ndarray:
    """A finished picture (H,W,3), sRGB in [0, 1], float32, by `ev` stops in its shadows; less towards white.

    The curve is `tone.curve`, 1 - (1 - v)^r with r = 2^(ev / 2.2), on each pixel's largest channel: hues stay, black
    and white stay, nothing clips. 0 returns the picture itself.
    """
    if ev == 0:
        return rgb
    rate = np.float32(2 ** (ev / _ENCODING))
    level = np.clip(rgb.max(-1, keepdims=True), 0, 1)
    factor = np.where(level > 1e-6, (1 - (1 - level) ** rate) / np.maximum(level, np.float32(1e-6)), rate)
    return rgb * factor.astype(np.float32)
