"""Which pictures a command line means, and what their results are called."""

import dataclasses
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from smnet_jax.errors import InputError
from smnet_jax.images.pictures import FORMATS


@dataclasses.dataclass(frozen=True)
class Job:
    """One picture to enhance: where it is, where the result goes, and the before|after picture if one is wanted."""

    source: Path
    target: Path
    comparison: Path | None = None


def find(inputs: Sequence[str], *, outside: Path) -> list[tuple[Path, Path]]:
    """Files, folders (recursive) and glob patterns -> (file, its place below the output folder), each file once.

    Structure below a folder, or below the fixed part of a pattern, is kept. In folders only pictures count, by suffix;
    hidden files and whatever lies in `outside`, the output folder, are passed over. A file named outright is always
    taken. Raises InputError for what does not exist and for a folder or pattern without pictures.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for name in inputs:
        for path, place in _expand(name, outside):
            found.setdefault(path.resolve(), (path, place))
    return list(found.values())


def _expand(name: str, outside: Path) -> list[tuple[Path, Path]]:
    path = Path(name)
    if path.is_dir():
        inside = [(p, p.relative_to(path)) for p in pictures_below(path, outside)]
        if not inside:
            raise InputError(f"{name}: no picture in this folder ({', '.join(FORMATS)})")
        return inside
    if path.exists():
        return [(path, Path(path.name))]
    if not glob.has_magic(name):
        raise InputError(f"{name}: no such file or folder")
    fixed = Path(*[p for p, magic in zip(path.parts, _magic_from(path), strict=True) if not magic])
    matches = [Path(m) for m in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207 (Path.glob refuses absolute ones)
    files = [m for m in matches if m.is_file() and m.suffix.lower() in FORMATS]
    below = [p for m in matches if m.is_dir() for p in pictures_below(m, outside)]
    if not files and not below:
        raise InputError(f"{name}: matches no picture")
    return [(p, p.relative_to(fixed)) for p in (*files, *below)]


def _magic_from(path: Path) -> list[bool]:
    """For each part, whether it or an earlier one is a pattern."""
    first = next(i for i, part in enumerate(path.parts) if glob.has_magic(part))
    return [i >= first for i in range(len(path.parts))]


def pictures_below(folder: Path, outside: Path | None = None) -> Iterator[Path]:
    """Every picture below `folder` by its suffix, sorted; nothing hidden, nothing in `outside` if that lies inside."""
    shut = outside.resolve() if outside else None
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and (Path(root) / f).resolve() != shut)
        for name in sorted(files):
            if Path(name).suffix.lower() in FORMATS and not name.startswith("."):
                yield Path(root) / name


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
            ending = f".{kind}" if kind else place.suffix if place.suffix.lower() in FORMATS else ".png"
            stem = place.stem + suffix
            names = [stem, f"{stem}_{own}"] if kind and own else [stem]
            target = _free([*names], ending, out / place.parent, taken)
        comparison = _free([f"{target.stem}_compare"], target.suffix, target.parent, taken) if compare else None
        jobs.append(Job(source, target, comparison))
    return jobs


def _free(stems: list[str], ending: str, folder: Path, taken: set[str]) -> Path:
    tries = [*stems, *(f"{stems[0]}_{n}" for n in range(2, len(taken) + 3))]
    target = next(t for t in (folder / f"{s}{ending}" for s in tries) if str(t).casefold() not in taken)
    taken.add(str(target).casefold())
    return target


def protect(jobs: Sequence[Job], *, overwrite: bool, skip: bool) -> list[Job]:
    """Refuse to replace existing files unless told to; with `skip`, leave out the pictures whose results exist.

    An input is never replaced under `skip` either. Raises InputError naming the first file in the way.
    """
    if overwrite:
        return list(jobs)
    if skip:
        jobs = [job for job in jobs if not job.target.exists() or job.target.resolve() == job.source.resolve()]
    sources = {job.source.resolve() for job in jobs}
    outputs = [path for job in jobs for path in (job.target, job.comparison) if path is not None]
    for path in outputs:
        if path.resolve() in sources:
            raise InputError(f"{path}: is an input; choose another -o or --suffix, or --overwrite it on purpose")
    existing = [path for path in outputs if path.exists()]
    if existing and not skip:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise InputError(f"{existing[0]}{more}: already there; --overwrite replaces, --skip-existing leaves out")
    return list(jobs)
