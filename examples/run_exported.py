"""Brighten a picture with an exported network; needs only numpy, pillow and onnxruntime, not smnet-jax.

smnet export WEIGHTS net.onnx
python examples/run_exported.py net.onnx dark.jpg bright.png
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(network: str, dark: str, bright: str) -> None:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    picture = ImageOps.exif_transpose(Image.open(dark)).convert("RGB")
    low = np.asarray(picture, np.float32)[None] / 255  # (1, H, W, 3) in [0, 1]; any size of at least 8x8
    (high,) = session.run(["high"], {"low": low})
    Image.fromarray(np.rint(np.clip(high[0], 0, 1) * 255).astype(np.uint8)).save(bright)


if __name__ == "__main__":
    main(*sys.argv[1:])
