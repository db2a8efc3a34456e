"""Which pictures a command line means, and what their results are called."""

import dataclasses
import glob
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from smnet_jax.errors import InputError
from smnet_jax.images import formats
from smnet_jax.images.formats import WRITTEN as FORMATS

_LONGEST_NAME = 255  # bytes, on nearly every file system


@dataclasses.dataclass(frozen=True)
class Job:
    """One picture to enhance: where it is, where the result goes, and the before|after picture if one is wanted."""

    source: Path
    target: Path
    comparison: Path | None = None


def find(inputs: Sequence[str], *, outside: Path, passed: list[Path] | None = None) -> list[tuple[Path, Path]]:
    """Files, folders (recursive) and glob patterns -> (file, its place below the output folder), each file once.

    Structure below a folder, or below the fixed part of a pattern, is kept. In folders only pictures that can be read
    here count, by suffix; hidden files and whatever lies in `outside`, the output folder, are left out. A file named
    outright is always taken. `passed` receives the other files of folders, and folders that cannot be listed.
    Raises InputError for what does not exist and for a folder or pattern without pictures.
    """
    passed = [] if passed is None else passed
    found: dict[str, tuple[Path, Path]] = {}
    for name in inputs:
        for path, place in _expand(name, outside, passed):
            found.setdefault(os.path.realpath(path), (path, place))  # unlike Path.resolve, at ease with looping links
    return list(found.values())


def _expand(name: str, outside: Path, passed: list[Path]) -> list[tuple[Path, Path]]:
    path = Path(name)
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (Path's questions answer "no" to some errors and raise others)
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if not glob.has_magic(name):
            raise InputError(f"{name}: cannot be read ({reason})") from error
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        inside = [(p, p.relative_to(path)) for p in pictures_below(path, outside, passed)]
        if not inside:
            raise InputError(f"{name}: {_nothing_found('no picture in this folder', passed, ', '.join(FORMATS))}")
        return inside
    if mode is not None:
        return [(path, Path(path.name))]
    if not glob.has_magic(name):
        raise InputError(f"{name}: no such file or folder")
    pattern, fixed = _pattern(path)
    matches = [Path(m) for m in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 (Path.glob refuses absolute ones)
    files = [m for m in matches if m.suffix.lower() in formats.READ and _is_file(m)]
    below = [p for m in matches if os.path.isdir(m) for p in pictures_below(m, outside, passed)]  # noqa: PTH112
    passed += [m for m in files if not formats.readable(m)]
    files = [m for m in files if formats.readable(m)]
    if not files and not below:
        if fixed.is_dir() and not os.access(fixed, os.R_OK | os.X_OK):
            passed.append(fixed)
        raise InputError(f"{name}: {_nothing_found('matches no picture', passed)}")
    return [(p, p.relative_to(fixed)) for p in (*files, *below)]


def _nothing_found(what: str, passed: Sequence[Path], expected: str = "") -> str:
    """`what`, and why: folders that cannot be listed, the files that were passed over, or what was `expected`."""
    shut = [str(path) for path in passed if os.path.isdir(path)]  # noqa: PTH112
    if shut:
        return f"{what} that may be read: {', '.join(shut)} cannot be listed; give yourself the right to read it"
    sentence = formats.passed_over(passed)
    return what + (f"; {sentence}" if sentence else f" ({expected})" if expected else "")


def _pattern(path: Path) -> tuple[str, Path]:
    """The pattern for glob, and its fixed part: what exists under the very name is meant so, "[2024] trip" say."""
    fixed, rest = Path(), list(path.parts)
    while rest and (os.path.lexists(fixed / rest[0]) or not glob.has_magic(rest[0])):
        fixed /= rest.pop(0)
    return str(Path(glob.escape(str(fixed)), *rest)), fixed


def _is_file(path: Path) -> bool:
    """Whether it is an ordinary file, or a link to one: reading a pipe by accident may never end."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def pictures_below(
    folder: Path, outside: Path | None = None, passed: list[Path] | None = None, *, nested: bool = True
) -> Iterator[Path]:
    """Every readable picture by its suffix, folder by folder, sorted: in `folder` and, if `nested`, in those below.

    Nothing hidden, nothing in macOS's __MACOSX, nothing in `outside` if that lies inside. `passed` receives the other
    files, pipes and dangling links included, and folders that cannot be listed.
    """
    passed = [] if passed is None else passed
    shut = os.path.realpath(outside) if outside else None
    for root, folders, files in os.walk(folder, onerror=lambda error: passed.append(Path(error.filename))):
        shown = sorted(f for f in folders if nested and not f.startswith((".", "__MACOSX")))
        folders[:] = [f for f in shown if os.path.realpath(Path(root) / f) != shut]
        for name in sorted(files):
            path = Path(root) / name
            if name.startswith("."):
                continue
            if formats.readable(path) and _is_file(path):
                yield path
            else:
                passed.append(path)


def without_results(found: Sequence[tuple[Path, Path]], inputs: Sequence[str], jobs: Sequence[Job]) -> list[Path]:
    """The found files that are results of others among them, by name: what an earlier run wrote among its inputs.

    jobs: planned for all of `found`, with comparisons. A file named outright in `inputs` is never one.
    """
    parents: dict[str, str] = {}  # a folder of ten thousand asks for its own real name once

    def where(path: str | os.PathLike[str]) -> str:
        parent, name = os.path.split(path)
        if parent not in parents:
            parents[parent] = os.path.realpath(parent or ".")
        return os.path.join(parents[parent], name)  # noqa: PTH118 (half as fast as a Path)

    outright = {where(name) for name in inputs if os.path.isfile(name)}  # noqa: PTH113
    results = set()
    for job in jobs:
        source = where(job.source)
        results |= {place for path in (job.target, job.comparison) if path and (place := where(path)) != source}
    return [source for source, _ in found if (place := where(source)) in results and place not in outright]


def plan(
    found: Sequence[tuple[Path, Path]],
    out: Path,
    *,
    to_file: bool = False,
    suffix: str = "",
    kind: str | None = None,
    compare: bool = False,
) -> list[Job]:
    """Name every result: `out` itself, or its place below `out` with `suffix` appended to the stem.

    kind: the format as a suffix without dot; by default the input's. Where two results would share a name
    (a.jpg and a.png to png; x/a.jpg and y/a.jpg), the later gets its own format or a number: a_png.png, a_2.jpg.
    Letter case does not tell names apart, for file systems that do not either.
    """
    taken: set[str] = set()
    jobs = []
    for source, place in found:
        if to_file:
            target = out
        else:
            own = place.suffix.lower().removeprefix(".")
            ending = f".{kind}" if kind else formats.result_suffix(place.suffix)
            stem = place.stem + suffix
            names = [stem, f"{stem}_{own}"] if kind and own else [stem]
            target = _free([*names], ending, out / place.parent, taken)
        comparison = _free([f"{target.stem}_compare"], target.suffix, target.parent, taken) if compare else None
        jobs.append(Job(source, target, comparison))
    return jobs


def shard(jobs: Sequence[Job], out: Path, part: int, parts: int) -> list[Job]:
    """The jobs of the `part`-th of `parts` machines that planned the same pictures; each job is in one of the parts.

    The name of the result below `out` decides, so that neither the order in which a file system lists nor pictures
    that are added or taken away move the others.
    """

    def belongs(job: Job) -> bool:
        name = job.target.relative_to(out) if job.target.is_relative_to(out) else job.target
        digest = hashlib.sha256(os.fsencode(name.as_posix())).digest()
        return int.from_bytes(digest[:8]) % parts == part - 1

    return [job for job in jobs if belongs(job)]


def _free(stems: list[str], ending: str, folder: Path, taken: set[str]) -> Path:
    tries = itertools.chain(stems, (f"{stems[0]}_{n}" for n in itertools.count(2)))
    paths = (folder / f"{shortened(s, _LONGEST_NAME - len(os.fsencode(ending)))}{ending}" for s in tries)
    target = next(path for path in paths if str(path).casefold() not in taken)
    taken.add(str(target).casefold())
    return target


def shortened(stem: str, longest: int) -> str:
    """A stem of at most `longest` bytes in the file system's encoding: its middle is left out, at whole characters."""
    if len(os.fsencode(stem)) <= longest:
        return stem
    end = stem[-12:]
    start = stem[:-12]
    while start and len(os.fsencode(f"{start}~{end}")) > longest:
        start = start[:-1]
    return f"{start}~{end}"


def protect(jobs: Sequence[Job], *, overwrite: bool, skip: bool) -> list[Job]:
    """Refuse to replace existing files unless told to; with `skip`, leave out the pictures whose results exist.

    An input is never replaced under `skip` either. Raises InputError naming the first file in the way.
    """
    if overwrite:
        return list(jobs)
    if skip:
        jobs = [job for job in jobs if not _exists(job.target) or _same(job.target, job.source)]
    sources = {os.path.realpath(job.source) for job in jobs}
    outputs = [path for job in jobs for path in (job.target, job.comparison) if path is not None]
    for path in outputs:
        if os.path.realpath(path) in sources:
            raise InputError(f"{path}: is an input; choose another -o or --suffix, or --overwrite it on purpose")
    existing = [path for path in outputs if _exists(path)]
    if existing and not skip:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise InputError(f"{existing[0]}{more}: already there; --overwrite replaces, --skip-existing leaves out")
    return list(jobs)


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises where a folder above is closed)


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
