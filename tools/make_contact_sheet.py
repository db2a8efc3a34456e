"""Draw docs/contact_sheet.jpg: what the bundled weights make of dark, very dark, bright and gray pictures.

    pip install scikit-image==0.26.0
    python tools/make_contact_sheet.py docs/contact_sheet.jpg [--weights W]

Rows of input, output and original. The pictures are scikit-image's in the public domain or under CC0, darkened by
`smnet_jax.data.darkening`; exposure 1 leaves them as they are.
"""

import argparse
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw

import smnet_jax
from smnet_jax.data.darkening import darken

SIDE, CAPTION = 240, 16
# name, exposure (factor on linear light), what it shows
CASES = (
    ("astronaut", 0.05, "dark"),
    ("coffee", 0.02, "dark"),
    ("chelsea", 0.02, "dark"),
    ("rocket", 0.1, "dark"),
    ("astronaut", 0.005, "very dark"),
    ("coffee", 0.001, "nearly black"),
    ("chelsea", 1.0, "bright already"),
    ("coffee", 0.3, "slightly dark"),
    ("camera", 0.03, "gray, dark"),
    ("brick", 0.03, "gray, smooth"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--weights", default="lol-small")
    args = parser.parse_args()
    sheet = Image.new("RGB", (len(CASES) // 2 * SIDE, 2 * 3 * SIDE + 2 * CAPTION), "white")
    for i, (name, exposure, caption) in enumerate(CASES):
        left, top = i % (len(CASES) // 2) * SIDE, i // (len(CASES) // 2) * (3 * SIDE + CAPTION)
        original = Image.fromarray(getattr(skimage.data, name)())
        original.thumbnail((512, 512))
        dark = original
        if exposure < 1:
            picture = np.asarray(original.convert("RGB")) / np.float32(255)
            values = darken(picture, np.random.default_rng(i), exposure=exposure, shot=8e-5, read=2e-4)
            dark = Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert(original.mode)
        ImageDraw.Draw(sheet).text((left + 4, top + 2), f"{caption} (exposure x {exposure:g})", "black")
        for row, shown in enumerate((dark, smnet_jax.enhance(dark, weights=args.weights), original)):
            sheet.paste(_square(shown.convert("RGB")), (left, top + CAPTION + row * SIDE))
    sheet.save(args.output, quality=88)


def _square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
