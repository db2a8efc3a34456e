"""What `ExposureNet` learns from: pairs of a dark picture and a good one, real ones and made ones."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from smnet_jax.images.srgb import from_linear, to_linear

Pair = tuple[np.ndarray, np.ndarray]  # low and high, (H,W,3) uint8 sRGB


@dataclasses.dataclass(frozen=True)
class Sources:
    """Decoded pictures. `share` of each kind in `draw` is fixed: what people have, not how many files there are."""

    scenes: Sequence[Pair]  # real scenes under-exposed, and their targets
    fivek: Sequence[Pair]  # as shot, and as a person wants it
    lol: Sequence[Pair]  # nearly black, and well exposed (LOL)
    photos: Sequence[np.ndarray]  # pictures that need nothing

    def draw(self, rng: np.random.Generator, size: int) -> Pair:
        """One example of `size` by `size` pixels."""
        kind = rng.choice(6, p=(0.33, 0.23, 0.04, 0.21, 0.16, 0.03))
        if kind == 0:
            low, high = _crop(_one(self.scenes, rng), rng, size)
            if rng.random() < 0.5:  # one target for neighbouring exposures
                low = _exposed(low, rng.uniform(-0.8, 0.6))
        elif kind == 1:
            low, high = _crop(_one(self.fivek, rng), rng, size)
        elif kind == 2:
            low, high = _crop(_one(self.lol, rng), rng, size)
        elif kind == 3:  # evenly dark, or not dark at all
            (high,) = _crop((_one(self.photos, rng),), rng, size)
            low = high if rng.random() < 0.5 else darker(high, rng.uniform(0, 5.5), rng)
            if rng.random() < 0.25:  # one lamp, or the date in a corner, does not make a dark picture a light one
                low, high = spotted((low, high), rng)
        elif kind == 4:  # unevenly dark
            (high,) = _crop((_one(self.photos, rng),), rng, size)
            low = darker(high, rng.uniform(0, 1) + rng.uniform(1, 4.5) * smooth_field(rng, size)[..., None], rng)
        else:
            low = high = drawing(rng, size)
        if rng.random() < 0.12:
            low, high = framed((low, high), rng)
        if rng.random() < 0.08:
            low, high = (np.repeat(x.mean(2, keepdims=True), 3, 2).astype(np.uint8) for x in (low, high))
        if rng.random() < 0.25:  # what matters is how light a thing is, not which colour it has
            order = rng.permutation(3)
            low, high = low[..., order], high[..., order]
        return low, high


def held_out(kind: str, target: Path) -> bool:
    """Whether a target ("scenes", "fivek", "lol" or "photos") is never trained on: a fifth, the same everywhere.

    Decided by its name, so that all exposures of a scene stay together; LOL's by its content, for its targets repeat
    under several names.
    """
    key = hashlib.sha256(target.read_bytes()).hexdigest() if kind == "lol" else target.stem
    return int(hashlib.sha256(f"{kind}{key}".encode()).hexdigest(), 16) % 5 == 0


def darker(high: np.ndarray, stops: np.ndarray | float, rng: np.random.Generator) -> np.ndarray:
    """uint8 sRGB darkened by `stops` (a number, or (H,W,1)) in linear light, half of the time with sensor noise."""
    linear = to_linear(high / np.float32(255)) * np.exp2(-np.asarray(stops, np.float32))
    if rng.random() < 0.5:
        variance = linear * np.float32(rng.uniform(0, 2e-4)) + np.float32(rng.uniform(0, 3e-4) ** 2)
        linear = linear + np.sqrt(variance) * rng.standard_normal(linear.shape, np.float32)
    return _eight_bits(linear)


def smooth_field(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size,size) from 0 to 1, as shadows and lamps leave it: a few random numbers, interpolated."""
    few = rng.integers(2, 6)
    field = Image.fromarray(rng.standard_normal((few, few)).astype(np.float32))
    values = np.asarray(field.resize((size, size), Image.Resampling.BICUBIC))
    return (values - values.min()) / (np.ptp(values) + 1e-6)


def drawing(rng: np.random.Generator, size: int) -> np.ndarray:
    """Something that must stay as it is: a starry or black sky, or flat shapes on a flat ground."""
    if rng.random() < 0.35:
        gradient = np.linspace(1, rng.uniform(0.2, 2), size)[:, None, None] * np.array([0.8, 0.9, 1.1])
        sky = np.abs(rng.normal(0, rng.uniform(0.5, 3), (size, size, 3))) + rng.uniform(0, 10) * gradient
        for _ in range(rng.integers(10, 400)):
            y, x = rng.integers(1, size - 1, 2)
            sky[y, x] += rng.uniform(20, 255) * rng.uniform(0.8, 1, 3)
            sky[y - 1 : y + 2, x - 1 : x + 2] += rng.uniform(0, 40)
        return np.clip(sky, 0, 255).astype(np.uint8)
    ground = rng.choice([255, 255, 250, 240, 0, 30, int(rng.integers(0, 256))])
    picture = np.full((size, size, 3), ground, np.uint8)
    if rng.random() < 0.3:
        picture[:] = rng.integers(0, 256, 3)
    for _ in range(rng.integers(0, 12)):
        y, x = rng.integers(0, size, 2)
        box = rng.random() < 0.6
        h, w = rng.integers(2, size // 2, 2) if box else (rng.integers(1, 4), rng.integers(5, size))
        picture[y : y + h, x : x + w] = rng.integers(0, 256, 3) if rng.random() < 0.6 else rng.integers(0, 256)
    return picture


def framed(pictures: Pair, rng: np.random.Generator) -> Pair:
    """Both pictures in one plain frame, white or black mostly."""
    size = pictures[0].shape[0]
    border = int(size * rng.uniform(0.04, 0.2))
    colour = rng.choice([0, 255, 255, int(rng.integers(0, 256))])
    inner = size - 2 * border
    result = []
    for picture in pictures:
        frame = np.full_like(picture, colour)
        small = Image.fromarray(picture).resize((inner, inner), Image.Resampling.BICUBIC)
        frame[border : border + inner, border : border + inner] = np.asarray(small)
        result.append(frame)
    return result[0], result[1]


def spotted(pictures: Pair, rng: np.random.Generator) -> Pair:
    """Both pictures with the same few small bright spots."""
    low, high = (picture.copy() for picture in pictures)
    size = low.shape[0]
    for _ in range(rng.integers(1, 8)):
        h, w = rng.integers(1, max(2, size // 16), 2)
        y, x = rng.integers(0, size - h), rng.integers(0, size - w)
        low[y : y + h, x : x + w] = high[y : y + h, x : x + w] = rng.integers(190, 256)
    return low, high


def _one(pictures: Sequence, rng: np.random.Generator):
    return pictures[int(rng.integers(len(pictures)))]


def _crop(pictures: Sequence[np.ndarray], rng: np.random.Generator, size: int) -> list[np.ndarray]:
    """At least a third of the picture in about its aspect, to `size` by `size`, mirrored half the time."""
    height, width = pictures[0].shape[:2]
    box = (0.0, 0.0, float(width), float(height))
    if rng.random() >= 0.3:
        area, aspect = rng.uniform(0.35, 1), np.exp(rng.uniform(-0.3, 0.3))
        w, h = min(width, width * np.sqrt(area * aspect)), min(height, height * np.sqrt(area / aspect))
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        box = (x, y, x + w, y + h)
    mirrored = rng.random() < 0.5
    parts = []
    for picture in pictures:
        part = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC, box=box))
        parts.append(part[:, ::-1] if mirrored else part)
    return parts


def _exposed(picture: np.ndarray, stops: float) -> np.ndarray:
    return _eight_bits(np.minimum(to_linear(picture / np.float32(255)) * np.float32(2.0**stops), 1))


def _eight_bits(linear: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(from_linear(np.clip(linear, 0, None)), 0, 1) * 255).astype(np.uint8)
