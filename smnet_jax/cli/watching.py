"""`smnet enhance FOLDER --watch`: what comes into a folder is enhanced, one look a second."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.images import formats, naming

SECONDS = 1.0  # between two looks; a file is whole when nothing about it changed from one to the next

Mark = tuple[int, int]  # size in bytes, time of change


def check(args: argparse.Namespace) -> None:
    """Raise InputError where there is no one folder to watch, or where results would be seen as new pictures."""
    if len(args.inputs) != 1 or not os.path.isdir(args.inputs[0]):  # noqa: PTH112
        raise InputError("--watch: name one folder to watch")
    folder, out = (os.path.realpath(name) for name in (args.inputs[0], args.out))
    if folder == out or folder.startswith(out + os.sep):
        raise InputError(f"{args.out}: would be watched too; name another folder for the results (-o)")
    if args.compare or args.overwrite or args.shard or args.json:
        raise InputError("--watch: goes together with neither --compare, --overwrite, --shard nor --json")


def target(source: Path, folder: Path, args: argparse.Namespace) -> Path:
    """Where the result goes: told by the source alone, so that a later run finds what an earlier one has done."""
    place = source.relative_to(folder)
    own = place.suffix
    ending = f".{args.format}" if args.format else formats.result_suffix(own)
    kind = "" if ending.lower() == own.lower() else f"_{own[1:].lower()}"  # a.heic and a.jpg both become .jpg
    stem = naming.shortened(f"{place.stem}{args.suffix}{kind}", 255 - len(os.fsencode(ending)))
    return Path(args.out) / place.parent / f"{stem}{ending}"


def watch(args: argparse.Namespace, enhance: Callable[[list[Any]], list[dict[str, Any]]]) -> int:
    """Enhance each picture of the folder whose result is missing, then look again; Ctrl-C ends it.

    A picture that failed is tried again once it has changed.
    """
    folder, out = Path(args.inputs[0]), Path(args.out)
    seen: dict[Path, Mark] = {}
    left: dict[Path, Mark] = {}  # failed, or bright enough
    print(f"watching {folder}; results go to {out}; Ctrl-C ends it", flush=True)
    while True:
        now = {path: mark for path in naming.pictures_below(folder, out) if (mark := _mark(path)) is not None}
        whole = [path for path, mark in now.items() if mark[0] and seen.get(path) == mark and left.get(path) != mark]
        jobs = [naming.Job(path, target(path, folder, args)) for path in whole]
        jobs = [job for job in jobs if not os.path.exists(job.target)]  # noqa: PTH110
        seen = now
        if jobs:
            for job, record in zip(jobs, enhance(jobs), strict=True):
                if "output" not in record:
                    left[job.source] = now[job.source]
        time.sleep(SECONDS)  # after work too: two looks must be apart, or a growing file would seem at rest


def _mark(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except OSError:  # gone since the folder was listed
        return None
    return found.st_size, found.st_mtime_ns
