"""From `Config.data` to the pairs to train on and the pairs to evaluate on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smnet_jax.data.augmentation import Daylight, LowGain, LowNoise
from smnet_jax.data.darkening import darken
from smnet_jax.data.paired import PairedFolder
from smnet_jax.data.pipeline import Loader, Transform, make_loader
from smnet_jax.data.sources import Concatenated, Example, Source, holdout
from smnet_jax.data.synthetic import SyntheticFolder
from smnet_jax.errors import InputError
from smnet_jax.training.config import Config
from smnet_jax.training.schedule import Span


def open_data(config: Config, *, progress: bool = False) -> tuple[Source, Source | None]:
    """(training pairs, evaluation pairs or None), everything decoded once and checked.

    Of several sources the first one's test or held-out pairs are the evaluation. Raises InputError that lists all
    pictures that are unpaired, unequal, damaged or too small.
    """
    at_least = max((stage.crop for stage in config.stages if not stage.resize), default=config.crop)
    training: list[Source] = []
    repeats: list[int] = []
    evaluation: Source | None = None
    for number, item in enumerate(config.data.split(",")):
        name, times = _repeated(item.strip())
        train, test = _open_one(name, at_least, config.seed, progress)
        if test is None and config.holdout:
            train, test = holdout(train, fraction=config.holdout, seed=config.seed)
        training.append(train)
        repeats.append(times)
        evaluation = test if number == 0 else evaluation
    return (training[0] if len(training) == 1 and repeats == [1] else Concatenated(training, repeats)), evaluation


def _repeated(item: str) -> tuple[str, int]:
    name, star, times = item.rpartition("*")
    return (name, int(times)) if star and times.isdigit() else (item, 1)


def _open_one(name: str, at_least: int, seed: int, progress: bool) -> tuple[Source, Source | None]:
    kind, _, rest = name.partition(":")
    if kind == "made":
        if not rest.isdigit() or not 1 <= int(rest) <= 10_000:
            raise InputError(f"data {name}: made:N wants a number from 1 to 10000")
        return MadePictures(int(rest), size=max(64, at_least), seed=seed), None
    if kind == "synthetic":
        return SyntheticFolder(rest, seed=seed, at_least=at_least, progress=progress), None
    if kind == "tfds":
        from smnet_jax.data.tfds_sources import open_tfds  # needs the extra `tfds`

        train = open_tfds(rest, "train")
        if train is None:
            raise InputError(f"data {name}: this data set has no split train")
        return train, open_tfds(rest, "test")
    root = Path(name)
    if not root.is_dir():
        raise InputError(f"data {name}: no such folder; give --data a folder with train/low and train/high")
    test = PairedFolder(root, "test", progress=progress) if (root / "test").is_dir() else None
    return PairedFolder(root, "train", at_least=at_least, progress=progress), test


def stage_seed(seed: int, stage: int) -> int:
    """The seed of stage number `stage` (from 0) of a run: `seed` for the first, then one of 64 bits made of both.

    So no stage of one run draws what a stage of another run with a nearby seed draws.
    """
    if stage == 0:
        return seed
    return int(np.random.SeedSequence((seed, stage)).generate_state(1, np.uint64)[0])


def open_loader(
    config: Config, source: Source, spans: Sequence[Span], span: Span, process: int, processes: int
) -> Loader:
    """The batches of `span`, from its first step on. Each span draws its own order and crops: see `stage_seed`."""
    transforms: list[Transform] = []
    if config.gain:
        transforms.append(LowGain(config.gain))
    if config.noise:
        transforms.append(LowNoise(config.noise))
    if config.daylight:
        transforms.append(Daylight(config.daylight))
    return make_loader(
        source,
        batch=span.stage.batch,
        crop=span.stage.crop,
        seed=stage_seed(config.seed, spans.index(span)),
        process_index=process,
        process_count=processes,
        threads=config.threads,
        resize_to=(span.stage.resize, span.stage.resize) if span.stage.resize else None,
        transforms=transforms,
    )


class MadePictures:
    """`count` pairs drawn on the spot: smooth colour fields with a few discs and bars, and the same in the dark."""

    def __init__(self, count: int, size: int = 64, seed: int = 0):
        self.sizes = [(size, size)] * count
        self._pairs = [_draw(size, np.random.default_rng((seed, i))) for i in range(count)]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Example:
        low, high = self._pairs[index]
        return {"low": low, "high": high, "name": f"made_{index}"}


def _draw(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:size, 0:size] / size
    frequency, phase = rng.uniform(1, 6, (3, 2)), rng.uniform(0, 6.3, 3)
    high = np.stack([0.5 + 0.3 * np.sin(f[0] * x + f[1] * y + p) for f, p in zip(frequency, phase, strict=True)], -1)
    for _ in range(5):
        cx, cy, radius = rng.uniform(0, 1, 3)
        shape = (x - cx) ** 2 + (y - cy) ** 2 < (radius / 4) ** 2 if rng.random() < 0.5 else abs(x - cx) < radius / 16
        high[shape] = rng.uniform(0.1, 0.9, 3)
    low = darken(high, rng, exposure=0.05, shot=1e-4, read=1e-4)
    return np.rint(low * 255).astype(np.uint8), np.rint(high * 255).astype(np.uint8)
