"""Make the dark sample photos of `smnet_jax/samples` and their originals in `tests/fixtures/samples_high`.

    pip install scikit-image==0.26.0
    python tools/make_samples.py

The pictures are scikit-image's in the public domain or under CC0, darkened by `smnet_jax.data.darkening`.
"""

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from smnet_jax.data.darkening import darken

REPO = Path(__file__).parents[1]
# name: (longer side, exposure, shot noise, read noise, format of the dark picture)
SAMPLES = {
    "astronaut": (360, 0.030, 8e-5, 2e-4, "jpg"),
    "chelsea": (260, 0.030, 8e-5, 2e-4, "png"),
    "coffee": (480, 0.022, 8e-5, 2e-4, "jpg"),
    "rocket": (450, 0.080, 1e-4, 2e-4, "jpg"),
}


def main() -> None:
    for seed, (name, (side, exposure, shot, read, kind)) in enumerate(SAMPLES.items()):
        picture = Image.fromarray(getattr(skimage.data, name)())
        scale = side / max(picture.size)
        picture = picture.resize(
            (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS
        )
        high = np.asarray(picture, np.float32) / 255
        low = darken(high, np.random.default_rng(seed), exposure=exposure, shot=shot, read=read)
        dark = Image.fromarray(np.rint(low * 255).astype(np.uint8))
        options = {"quality": 92, "subsampling": 0} if kind == "jpg" else {"optimize": True}
        dark.save(REPO / "smnet_jax" / "samples" / f"{name}.{kind}", **options)
        picture.save(REPO / "tests" / "fixtures" / "samples_high" / f"{name}.jpg", quality=90)


if __name__ == "__main__":
    main()
