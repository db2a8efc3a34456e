"""Where the pairs of a data set lie: the layouts that data sets are published in, and lists of one's own."""

import csv
import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from smnet_jax.data.checking import complain, pictures_in
from smnet_jax.errors import InputError
from smnet_jax.host import places

TRAIN = ("train", "our485", "training")
TEST = ("test", "eval15", "testing", "val", "valid", "validation")
LOW = ("low", "input", "inputs", "lq", "dark", "short")
HIGH = ("high", "target", "targets", "normal", "gt", "gts", "reference", "long")
KNOWN = (
    "known are {train,test}/{low,high}, LOL's our485 and eval15, input/target, LOL-v2's Low/Normal, low and "
    "high alone; or give a list: list:PAIRS.csv"
)
MAX_LIST = 64 << 20  # bytes of a list: half a million pairs

Key = Callable[[str], str | None]  # a file's name without suffix to what its partner's gives too

_SIDES = "|".join(sorted((*LOW, *HIGH), key=len, reverse=True))
_WORD = re.compile(rf"^(?:{_SIDES})[-_. ]?(?=.)|(?<=.)[-_. ](?:{_SIDES})$", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A low-light file and its target."""

    name: str
    low: Path
    high: Path


@dataclasses.dataclass(frozen=True)
class Layout:
    """The pairs of a data set, and the layout in words."""

    train: list[Pair]
    test: list[Pair] | None
    told: str


def recognise(root: Path, names: str = "") -> Layout:
    """The layout of the folder `root`; `names` as in `find_pairs`.

    A folder that holds nothing but one other folder stands for that one. Raises InputError for an unknown layout,
    naming what is there and what is known, and for pictures without a partner.
    """
    while True:
        folders = {path.name.casefold(): path for path in sorted(_folders(root), reverse=True)}
        train, test = (_first(folders, known) for known in (TRAIN, TEST))
        if train is not None and _sides(train):
            break
        if _sides(root):
            pairs, told = _pairs_of(root, names)
            return Layout(pairs, None, told)
        if len(folders) != 1 or next(iter(folders)) in TRAIN + TEST:
            listed = ", ".join(path.name for path in sorted(folders.values())) or "no folders"
            raise InputError(f"{root}: no layout that is known here, but {listed}; {KNOWN}")
        root = next(iter(folders.values()))
    pairs, told = _pairs_of(train, names)
    if test is None or not _sides(test):
        return Layout(pairs, None, told)
    tests, told_tests = _pairs_of(test, names)
    return Layout(pairs, tests, f"{told}; {told_tests}")


def read_list(files: str) -> Layout:
    """The pairs of `PAIRS.csv`, with columns low and high and perhaps split (train or test), or of `LOW.txt:HIGH.txt`,
    one file to a line. Files are relative to the list's folder.

    Raises InputError for a list that cannot be read or lines that make no pairs; the pictures are not looked at.
    """
    if files.casefold().endswith(".csv"):
        path = places.place(files)
        rows = list(csv.DictReader(_lines(path), skipinitialspace=True))
        wrong = [n for n, row in enumerate(rows, 2) if not (row.get("low") and row.get("high"))]
        wrong += [n for n, row in enumerate(rows, 2) if (row.get("split") or "train") not in ("train", "test")]
        if wrong or not rows:
            at = f"line {min(wrong)}" if wrong else "no lines"
            raise InputError(f"{path}: {at}: its columns must be low, high and perhaps split (train or test)")
        split: dict[str, list[Pair]] = {"train": [], "test": []}
        for row in rows:
            split[row.get("split") or "train"].append(_listed(path, row["low"], row["high"]))
        told = f"{path}: a list of {len(split['train'])} training and {len(split['test'])} test pairs"
        return Layout(split["train"], split["test"] or None, told)
    lists = [places.place(name) for name in re.split(r":(?!//)", files)]
    if len(lists) != 2:
        raise InputError(f"list:{files}: must be list:PAIRS.csv or list:LOW.txt:HIGH.txt")
    low, high = ([line for line in map(str.strip, _lines(path)) if line] for path in lists)
    if len(low) != len(high) or not low:
        raise InputError(f"{lists[0]} has {len(low)} lines, {lists[1]} has {len(high)}; give one target for each file")
    pairs = [Pair(a, _beside(lists[0], a), _beside(lists[1], b)) for a, b in zip(low, high, strict=True)]
    return Layout(pairs, None, f"{lists[0]} and {lists[1]}: lists of {len(pairs)} pairs")


def find_pairs(low_dir: Path, high_dir: Path, names: str = "") -> list[Pair]:
    """Match the files of two folders, and of folders in them, by name without suffix: 7.png pairs with 7.png or 7.jpg.

    Where names alone do not match, those without the word for their side do: low00001.png pairs with normal00001.png,
    7_low.png with 7_gt.png. `names` says it of other names: "{}_s1:{}_s9" pairs 7_s1.png with 7_s9.png.
    Raises InputError that lists the files without a partner, and those whose name occurs twice in a folder.
    """
    for needed in (low_dir, high_dir):
        if not needed.is_dir():
            raise InputError(f"{needed}: no such folder; the layout is ROOT/{{train,test}}/{{low,high}}")
    folders = (low_dir, high_dir)
    files = [{path.relative_to(folder): path for path in pictures_in(folder, nested=True)} for folder in folders]
    if names:
        sides, problems = _by_key(files, _templates(names))
    else:
        sides, problems = _by_key(files, (str, str))
        if sides[0].keys() != sides[1].keys():
            shorter, more = _by_key(files, (_without_word, _without_word))
            if not more and shorter[0].keys() == shorter[1].keys():
                sides, problems = shorter, more
    low, high = sides
    problems += [f"{low[key]} has no partner in {high_dir}" for key in low if key not in high]
    problems += [f"{high[key]} has no partner in {low_dir}" for key in high if key not in low]
    complain(low_dir.parent, problems, "every picture needs exactly one partner of the same name")
    if not low:
        raise InputError(f"{low_dir}: no pictures; put PNG or JPEG files here and their targets in {high_dir}")
    return [Pair(path.relative_to(low_dir).as_posix(), path, high[key]) for key, path in low.items()]


def check_names(names: str) -> None:
    """Raise InputError unless `names` is "" or two templates as `find_pairs` takes them."""
    if names:
        _templates(names)


def _by_key(files: Sequence[dict[Path, Path]], keys: Sequence[Key]) -> tuple[list[dict[str, Path]], list[str]]:
    """For each side its files by folder and what `keys` leave of their names; and which names occur twice."""
    sides: list[dict[str, Path]] = []
    problems = []
    for found, key in zip(files, keys, strict=True):
        side: dict[str, Path] = {}
        for relative, path in found.items():
            stem = key(relative.stem)
            if stem is None:
                problems.append(f"{path} has a name of another form")
                continue
            name = (relative.parent / stem).as_posix()
            if name in side:
                problems.append(f"{path} and {side[name].name} have the same name")
            side[name] = path
        sides.append(side)
    return sides, problems


def _without_word(stem: str) -> str:
    return _WORD.sub("", stem, count=1)


def _templates(names: str) -> tuple[Key, Key]:
    parts = names.split(":")
    if len(parts) != 2 or any(part.count("{}") != 1 for part in parts):
        raise InputError(f"pair_names {names}: must be two names with one {{}} in each, as low{{}}:normal{{}}")

    def key(template: str) -> Key:
        before, after = template.split("{}")

        def middle(stem: str) -> str | None:
            if len(stem) <= len(before) + len(after) or not (stem.startswith(before) and stem.endswith(after)):
                return None
            return stem[len(before) : len(stem) - len(after)]

        return middle

    return key(parts[0]), key(parts[1])


def _pairs_of(folder: Path, names: str) -> tuple[list[Pair], str]:
    low, high = _sides(folder) or (folder / "low", folder / "high")
    pairs = find_pairs(low, high, names)
    nested = sum("/" in pair.name for pair in pairs)
    told = f"{folder}: {low.name}/{high.name}, {len(pairs)} pairs"
    return pairs, told + (f", {nested} of them in folders below" if nested else "")


def _sides(folder: Path) -> tuple[Path, Path] | None:
    folders = {path.name.casefold(): path for path in sorted(_folders(folder), reverse=True)}
    low, high = (_first(folders, known) for known in (LOW, HIGH))
    return None if low is None or high is None else (low, high)


def _folders(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__"))]
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; name a folder that can be read") from error


def _first(folders: dict[str, Path], known: Sequence[str]) -> Path | None:
    return next((folders[name] for name in known if name in folders), None)


def _lines(path: Path) -> list[str]:
    try:
        with places.reached(path), path.open("rb") as file:
            text = file.read(MAX_LIST + 1)
        if len(text) > MAX_LIST:
            raise InputError(f"{path}: is larger than {MAX_LIST >> 20} MB; give a list of files")
        return text.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list ({error}); give a text file in UTF-8") from error


def _listed(path: Path, low: str, high: str) -> Pair:
    return Pair(low, _beside(path, low), _beside(path, high))


def _beside(path: Path, listed: str) -> Path:
    """The file that the list `path` means: of its own folder, if no other is named."""
    if places.has_scheme(listed):
        return places.place(listed)
    return path.parent / (listed if places.is_remote(path) else places.place(listed))
