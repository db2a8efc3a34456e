"""Training without pairs: any folder of ordinary photographs, darkened on the fly."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from smnet_jax.data.augmentation import to_float
from smnet_jax.data.checking import check_all, pictures_in
from smnet_jax.data.darkening import DarkeningRanges
from smnet_jax.data.decoding import decode
from smnet_jax.data.sources import Cut, Example
from smnet_jax.errors import InputError

LONG_SIDE = 1024  # pixels


class SyntheticFolder:
    """The photographs of `root` as targets, each with a `low` that `darkening` makes of it.

    `source[i]` is darkened whole with parameters and noise that follow from (`seed`, i): always the same picture, for
    validation. The training pipeline asks for `darkened_cut` instead and gets new darkness for every crop.
    Photographs longer than LONG_SIDE pixels are first reduced to it: a 128-pixel crop of a phone's 4000 shows nothing
    but a wall, and the noise of the original goes too. Checks and memory are those of `PairedFolder`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        seed: int = 0,
        at_least: int = 1,
        memory_bytes: int = 2 << 30,
        progress: bool = False,
    ):
        self.darkening = DarkeningRanges()
        self.seed = seed
        self.paths = pictures_in(root, nested=True)
        if not self.paths:
            raise InputError(f"{root}: no pictures; put PNG or JPEG photographs here")
        checked = check_all(
            root,
            [(path,) for path in self.paths],
            at_least=at_least,
            memory_bytes=memory_bytes,
            progress=progress,
            decode=self._decode,
        )
        self.sizes = checked.sizes
        self.high_hashes = checked.high_hashes
        self._pictures = checked.pictures

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Example:
        high = self._high(index)
        low = self.darkening(to_float({"high": high})["high"], np.random.default_rng((self.seed, index)))
        return {"low": np.rint(low * 255).astype(np.uint8), "high": high, "name": self.paths[index].name}

    def darkened_cut(self, index: int, cut: Cut, rng: np.random.Generator) -> Example:
        """The cut of photograph `index`, darkened anew by `rng`."""
        example = cut({"high": self._high(index), "name": self.paths[index].name})
        return {**example, "low": self.darkening(example["high"], rng)}

    def _high(self, index: int) -> np.ndarray:
        return self._pictures[index][0] if self._pictures is not None else self._decode(self.paths[index])

    def _decode(self, path: Path) -> np.ndarray:
        picture = decode(path)
        height, width = picture.shape[:2]
        if max(height, width) <= LONG_SIDE:
            return picture
        ratio = LONG_SIDE / max(height, width)
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
