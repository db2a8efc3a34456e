"""From `Config.data` to the pairs to train on and the pairs to evaluate on."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from smnet_jax.data import layouts
from smnet_jax.data.augmentation import Daylight, LowGain, LowNoise
from smnet_jax.data.darkening import darken
from smnet_jax.data.paired import PairedFolder
from smnet_jax.data.pipeline import Loader, Transform, make_loader
from smnet_jax.data.sources import Concatenated, Example, Source, Subset, holdout, picture_hash
from smnet_jax.data.synthetic import SyntheticFolder
from smnet_jax.errors import InputError
from smnet_jax.host import places
from smnet_jax.training.config import Config
from smnet_jax.training.schedule import Span


@dataclasses.dataclass(frozen=True)
class Data:
    """The pairs to train on, those to evaluate on (None without any), and what is worth a line about both."""

    training: Source
    evaluation: Source | None
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class _Part:
    """One source of `Config.data`."""

    name: str
    repeats: int
    train: Source
    test: Source | None


def open_data(config: Config, *, progress: bool = False) -> Data:
    """Everything that a run reads, decoded once and checked.

    The evaluation pairs are the test pairs of all sources, then what is held out of the sources without any; pairs
    whose target is held out are trained on nowhere. Raises InputError that lists all pictures that are unpaired,
    unequal, damaged or too small, or training pairs whose target is a test pair's.
    """
    parts, notes = [], []
    for name, repeats in split_data(config.data):
        train, test, told = _open_one(name, config, progress)
        parts.append(_Part(name, repeats, train, test))
        notes += told
    tests = [part.test for part in parts if part.test is not None]
    _refuse_shared_targets(parts, config.on_leak, notes)
    if config.holdout:
        parts, held = _hold_out(parts, config, notes)
        tests += [held] if held is not None else []
    if not tests:
        notes.append("no test pairs: nothing is evaluated; --holdout 0.1 keeps a tenth of the pairs for it")
    once = len(parts) == 1 and parts[0].repeats == 1
    return Data(
        parts[0].train if once else Concatenated([part.train for part in parts], [part.repeats for part in parts]),
        None if not tests else tests[0] if len(tests) == 1 else Concatenated(tests),
        notes,
    )


def split_data(data: str) -> list[tuple[str, int]]:
    """The sources that `Config.data` names, each with how often it counts.

    What exists is taken as it stands, so that a path may hold commas and end in `*3`; `~` is the home folder.
    """
    words = data.split(",")
    sources = []
    while words:
        # The longest run of words that names something: a path with commas, if there is one.
        count = next((n for n in range(len(words), 1, -1) if _exists(",".join(words[:n]))), 1)
        item = ",".join(words[:count]).strip()
        words = words[count:]
        name, star, times = item.rpartition("*")
        repeated = star and times.isdigit() and not _is_there(item)
        name, repeats = (name.strip(), int(times)) if repeated else (item, 1)
        if repeats < 1:
            raise InputError(f"data {item}: must count at least once")
        sources.append((name, repeats))
    return sources


def _exists(item: str) -> bool:
    """Whether `item`, of whatever kind and repeated or not, names something."""
    name, star, times = item.rpartition("*")
    return _is_there(item) or bool(star and times.isdigit() and _is_there(name))


def _is_there(item: str) -> bool:
    kind, colon, rest = item.strip().partition(":")
    path = rest if colon and kind in KINDS else item.strip()
    if not path or (places.has_scheme(path) and "," not in path and "*" not in path):
        return False  # a bucket is asked only where it matters
    found = places.place(path)
    with places.reached(found):
        return found.exists()


KINDS = ("dummy", "synthetic", "tfds", "list")
LEAST_TO_SCORE = 11  # pixels: SSIM's window


def _open_one(name: str, config: Config, progress: bool) -> tuple[Source, Source | None, list[str]]:
    if config.stages:
        least, what = (
            max((min(stage.size) * stage.thin for stage in config.stages if not stage.resize), default=1),
            "the crop",
        )
    else:
        least, what = config.crop, "the crop"
    if config.holdout and least < LEAST_TO_SCORE:
        least, what = LEAST_TO_SCORE, "SSIM's window"
    kind, _, rest = name.partition(":")
    if kind == "dummy":
        if not rest.isdigit() or not 1 <= int(rest) <= 10_000:
            raise InputError(f"data {name}: dummy:N wants a number from 1 to 10000")
        widest = max((stage.wide for stage in config.stages), default=0)
        return DummyPairs(int(rest), size=max(64, least, widest), seed=config.seed), None, []
    if kind == "synthetic":
        folder = places.place(rest)
        return SyntheticFolder(folder, seed=config.seed, at_least=least, progress=progress), None, []
    if kind == "tfds":
        from smnet_jax.data.tfds_records import open_tfds  # needs the extra `tfds`

        folder = places.place(rest)
        if places.is_remote(folder):
            raise InputError(f"data {name}: a prepared data set is read from this machine; mount or copy it")
        train = open_tfds(folder, "train")
        if train is None:
            raise InputError(f"data {name}: this data set has no split train")
        return train, open_tfds(folder, "test"), []
    if kind == "list":
        layout, root = layouts.read_list(rest), rest
    else:
        folder = places.place(name)
        with places.reached(folder):
            if not folder.is_dir():
                raise InputError(f"data {name}: no such folder; give --data a folder with train/low and train/high")
            layout, root = layouts.recognise(folder, config.pair_names), str(folder)
    notes = [f"data {layout.told}"]

    def open_pairs(pairs: Sequence[layouts.Pair], least: int, what: str) -> PairedFolder:
        source = PairedFolder(root, pairs=pairs, at_least=least, what_is_least=what, progress=progress)
        if source.brighter > len(source) / 2:
            told = f"in {source.brighter} of {len(source)} pairs low is brighter than high; are they exchanged?"
            notes.append(f"data {name}: {told}")
        return source

    test_pairs = None if layout.test is None else open_pairs(layout.test, LEAST_TO_SCORE, "SSIM's window")
    return open_pairs(layout.train, least, what), test_pairs, notes


def _refuse_shared_targets(parts: list[_Part], on_leak: str, notes: list[str]) -> None:
    tests = {
        digest: f"{part.name}'s test pair {_pair_name(part.test, i)}"
        for part in parts
        for i, digest in enumerate(_hashes(part.test) if part.test is not None else [])
    }
    shared = [
        f"{part.name}'s training pair {_pair_name(part.train, i)} and {tests[digest]}"
        for part in parts
        for i, digest in enumerate(_hashes(part.train))
        if digest in tests
    ]
    if shared:
        more = f" (and {len(shared) - 1} more)" if len(shared) > 1 else ""
        told = f"data: the same target in {shared[0]}{more}: what is scored would have been trained on"
        if on_leak == "stop":
            raise InputError(f"{told}; take the pairs out of one side, or go on with --on-leak tell")
        notes.append(told)


def _hold_out(parts: list[_Part], config: Config, notes: list[str]) -> tuple[list[_Part], Source | None]:
    """The parts without what is held out of those that have no test pairs, and that."""
    whole = [part for part in parts if part.test is None]
    if not whole:
        notes.append(f"holdout {config.holdout}: changes nothing, there are test pairs for every source")
        return parts, None
    _, held = holdout(
        whole[0].train if len(whole) == 1 else Concatenated([part.train for part in whole]),
        fraction=config.holdout,
        seed=config.seed,
    )
    targets = set(_hashes(held))
    left = []
    for part in parts:
        hashes = _hashes(part.train)
        kept = tuple(i for i, digest in enumerate(hashes) if digest not in targets)
        if part.test is not None and len(kept) < len(hashes):
            notes.append(
                f"data {part.name}: {len(hashes) - len(kept)} pairs share their target with one held out; left out"
            )
        if not kept:
            raise InputError(f"holdout {config.holdout}: leaves nothing of {part.name} to train on; hold out less")
        train = part.train if len(kept) == len(hashes) else Subset(part.train, kept)
        left.append(dataclasses.replace(part, train=train))
    return left, held


def _hashes(source: Source) -> list[str]:
    return getattr(source, "high_hashes", None) or [picture_hash(source[i]["high"]) for i in range(len(source))]


def _pair_name(source: Source | None, index: int) -> str:
    pairs = getattr(source, "pairs", None)
    return pairs[index].name if pairs is not None else f"number {index}"


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
        crop=span.stage.size,
        seed=stage_seed(config.seed, spans.index(span)),
        process_index=process,
        process_count=processes,
        threads=config.threads,
        resize_to=(span.stage.resize, span.stage.resize) if span.stage.resize else None,
        thin=span.stage.thin,
        transforms=transforms,
    )


class DummyPairs:
    """`count` pairs drawn on the spot: smooth colour fields with a few discs and bars, and the same in the dark."""

    def __init__(self, count: int, size: int = 64, seed: int = 0):
        self.sizes = [(size, size)] * count
        self._pairs = [_draw(size, np.random.default_rng((seed, i))) for i in range(count)]
        self.high_hashes = [picture_hash(high) for _, high in self._pairs]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Example:
        low, high = self._pairs[index]
        return {"low": low, "high": high, "name": f"dummy_{index}"}


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
