"""`smnet enhance`: brighten pictures, one or ten thousand."""

import argparse
import itertools
import json
import math
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from smnet_jax.cli import watching
from smnet_jax.cli.terminal import printable
from smnet_jax.errors import InputError
from smnet_jax.host import allocator

SUMMARY = "brighten dark pictures"

MOST_STOPS = 4.0  # of --exposure, either way
_OUT = "enhanced"
_FORMATS = ("jpg", "png", "webp", "bmp", "tiff", "avif")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="pictures, folders (with all below), patterns, or -")
    parser.add_argument("-o", "--out", default=_OUT, help="folder, file for one picture, or - (default: ./enhanced)")
    parser.add_argument("--weights", metavar="W", help="bundled name, converted directory, .pth or .safetensors file")
    parser.add_argument("--list-weights", action="store_true", help="name the weights that come with smnet and stop")
    parser.add_argument(
        "--strength", default="auto", metavar="S", help="auto (default: what each picture needs), or 0, the input, to 1"
    )
    parser.add_argument(
        "--exposure",
        type=float,
        default=0.0,
        metavar="EV",
        help="taste: results by EV stops brighter, or darker if < 0",
    )
    parser.add_argument("--compare", action="store_true", help="also write NAME_compare with before and after")
    parser.add_argument("--samples", action="store_true", help="enhance the dark photos that come with smnet")
    parser.add_argument("--format", choices=_FORMATS, help="of the results (default: each as its input)")
    parser.add_argument("--suffix", default="", metavar="TEXT", help="appended to each result's name: _bright")
    parser.add_argument("--quality", type=int, default=95, metavar="Q", help="of JPEG and WebP, 1 to 100 (default: 95)")
    parser.add_argument(
        "--shard", metavar="I/N", help="only the I-th of N parts, 1 to N: for N machines that see the same pictures"
    )
    parser.add_argument("--only-dark", action="store_true", help="leave out pictures that are bright enough")
    parser.add_argument("--watch", action="store_true", help="go on with what comes into the folder, until Ctrl-C")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace files that exist, inputs included")
    existing.add_argument("--skip-existing", action="store_true", help="leave out pictures whose result exists")
    parser.add_argument("--tile", default="auto", metavar="auto|off|N", help="compute in tiles of N pixels, exactly")
    parser.add_argument("--max-memory", metavar="SIZE", help="4G, 900M: what --tile auto may use (default: most of it)")
    parser.add_argument("--max-megapixels", type=float, default=200.0, metavar="M", help="refuse larger pictures")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON instead of a sentence")
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument("--cache-dir", metavar="DIR", help="of compiled programs (default: ~/.cache/smnet-jax)")
    cache.add_argument("--no-cache", action="store_true", help="keep no compiled programs")


class Limits(NamedTuple):
    """How pictures are computed: what --tile and --max-memory say, and which sizes share a program."""

    tile: Any
    max_memory: int | None
    shapes: Any  # the network's `Buckets`, or None


class _BrightEnough(InputError):
    """A picture that --only-dark leaves out."""


def run(args: argparse.Namespace) -> int:
    if args.list_weights:
        return _list_weights()
    started = time.monotonic()
    tile = _checked(args)
    max_memory = memory_size(args.max_memory)
    if args.out == "-" or "-" in args.inputs:
        return _stream(args, tile, max_memory)
    passed: list[Path] = []
    jobs, earlier = ([], []) if args.watch else _jobs(args, passed)
    if args.watch:
        watching.check(args)
    allocator.keep_freed_memory()

    # Only from here on is JAX imported: a wrong file name is told at once.
    from smnet_jax.checkpoints import untrained, weights
    from smnet_jax.enhancement import buckets, photo
    from smnet_jax.host import compile_cache

    if args.no_cache or args.cache_dir or "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        compile_cache.use(None if args.no_cache else args.cache_dir or compile_cache.default_folder())
    source = args.weights
    if source is None and args.samples and not weights.bundled():
        source = untrained.NAME
    model, variables = photo.open_weights(source)
    _check_writable(jobs)
    if source == untrained.NAME:
        print(f"smnet: {untrained.WARNING}", file=sys.stderr)

    limits = Limits(tile, max_memory, buckets.for_model(model))
    if args.watch:
        return watching.watch(args, lambda jobs: _done(jobs, model, variables, args, limits))
    records = _done(jobs, model, variables, args, limits)
    return _finish(args, records, passed, earlier, time.monotonic() - started)


def _done(
    jobs: list[Any], model: Any, variables: Any, args: argparse.Namespace, limits: Limits
) -> list[dict[str, Any]]:
    """Enhance `jobs`, tell what there is to tell about each, and give a record of each."""
    records: list[dict[str, Any]] = []
    notes: dict[str, int] = {}  # a folder's pictures mostly have the same to say: once is enough
    with _quiet_pillow(), _progress(len(jobs)) as (advance, say):
        for job, outcome in _enhanced(jobs, model, variables, args, limits, advance):
            record: dict[str, Any] = {"input": str(job.source)}
            if isinstance(outcome, _BrightEnough):
                record["skipped"] = "bright enough"
            elif isinstance(outcome, Exception):
                record["error"] = str(outcome)
                about = "" if str(job.source) in record["error"] else f"{job.source}: "
                say(f"smnet: {about}{outcome}")
            else:
                record |= {"output": str(job.target), **outcome}
                for note in outcome["notes"]:
                    notes[note] = notes.get(note, 0) + 1
                    if notes[note] == 1:
                        say(f"{job.source}: {note}")
            records.append(record)
            advance(len(records))
        for note, times in notes.items():
            if times > 1:
                say(f"for {times - 1} more picture{'s' * (times > 2)}: {note}")
    return records


def _stream(args: argparse.Namespace, tile: Any, max_memory: int | None) -> int:
    """One picture from standard input, or to standard output: `-` is their name."""
    if len(args.inputs) != 1 or args.samples or (not Path(args.inputs[0]).is_file() and args.inputs[0] != "-"):
        raise InputError("-: is the name of one picture; name no other input beside it, and no folder")
    if args.compare or args.suffix or args.skip_existing or (args.json and args.out == "-"):
        raise InputError("-: goes together with neither --compare, --suffix, --skip-existing nor --json")
    to_stdout = args.out == "-" or args.out == _OUT
    out = Path(args.out)
    if args.inputs[0] == "-":
        if sys.stdin.isatty():
            raise InputError("-: standard input is a terminal; pipe a picture into it (... < dark.jpg)")
        data, name = sys.stdin.buffer.read(), "standard input"
    else:
        data, name = Path(args.inputs[0]).read_bytes(), args.inputs[0]
    if not to_stdout and out.exists() and not args.overwrite:
        raise InputError(f"{out}: already there; --overwrite replaces it")
    if to_stdout and sys.stdout.isatty():
        raise InputError("-: standard output is a terminal; send it to a file or a program (... > bright.jpg)")

    from smnet_jax.enhancement import encoded
    from smnet_jax.host import compile_cache
    from smnet_jax.host.atomic_files import replacing
    from smnet_jax.images import formats

    kind = args.format
    if not to_stdout and kind is None:
        kind = out.suffix.lower().removeprefix(".")
        if f".{kind}" not in formats.WRITTEN:
            raise InputError(f"{out}: name a file with one of the suffixes {', '.join(formats.WRITTEN)}")
    if args.no_cache or args.cache_dir or "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        compile_cache.use(None if args.no_cache else args.cache_dir or compile_cache.default_folder())
    how: dict[str, Any] = {"quality": args.quality, "max_megapixels": args.max_megapixels, "max_memory": max_memory}
    with _quiet_pillow():
        result = encoded.encode_enhanced(
            data,
            args.weights,
            name=name,
            format=kind,
            strength=strength(args.strength),
            exposure=args.exposure,
            tile=tile,
            **how,
        )
    for note in result.notes:
        print(printable(f"{name}: {note}"), file=sys.stderr)
    if to_stdout:
        sys.stdout.buffer.write(result.data)
        sys.stdout.buffer.flush()
    else:
        with replacing(out) as temporary:
            temporary.write_bytes(result.data)
    return 0


def _list_weights() -> int:
    from smnet_jax.checkpoints import untrained, weights

    for name in weights.bundled():
        print(name)
    print(f"{untrained.NAME}  (random, for trying the program only)")
    return 0


def _checked(args: argparse.Namespace) -> Any:
    """The tile; raise InputError for numbers that make no sense."""
    strength(args.strength)
    if not -MOST_STOPS <= args.exposure <= MOST_STOPS:
        raise InputError(f"--exposure {args.exposure}: must lie between -{MOST_STOPS:g} and {MOST_STOPS:g} stops")
    if not 1 <= args.quality <= 100:
        raise InputError(f"--quality {args.quality}: must lie between 1 and 100")
    if not args.max_megapixels > 0:
        raise InputError(f"--max-megapixels {args.max_megapixels}: must be positive")
    if "/" in args.suffix or os.sep in args.suffix or "\0" in args.suffix:
        raise InputError(f"--suffix {args.suffix}: is a part of a file name, without folders")
    return tile_size(args.tile)


def strength(text: str) -> Any:
    """What --strength says: "auto" or a number from 0 to 1."""
    if text == "auto":
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise InputError(f"--strength {text}: must be auto, or lie between 0 (the input) and 1")
    return number


def tile_size(tile: str) -> Any:
    """What --tile says: "auto", "off" or pixels."""
    if tile in ("auto", "off"):
        return tile
    if not tile.isdecimal() or int(tile) < 1:
        raise InputError(f"--tile {tile}: must be auto, off or a number of pixels")
    return int(tile)


def memory_size(size: str | None) -> int | None:
    """What --max-memory says, in bytes."""
    if size is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([MG])(?:i?B)?", size)
    if match is None:
        raise InputError(f"--max-memory {size}: must be a size like 4G or 900M")
    return int(float(match[1]) * (1 << 30 if match[2] == "G" else 1 << 20))


def shard_numbers(shard: str) -> tuple[int, int]:
    """What --shard says: I and N."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"--shard {shard}: must be I/N with I from 1 to N, 3/8 for the third of eight parts")
    return int(match[1]), int(match[2])


def _jobs(args: argparse.Namespace, passed: list[Path]) -> tuple[list[Any], list[Path]]:
    """What is to be done, and the results of an earlier run that were found among the inputs."""
    from smnet_jax.images import naming
    from smnet_jax.images.formats import WRITTEN as FORMATS

    out = Path(args.out)
    inputs = list(args.inputs)
    if args.samples:
        inputs += [str(path) for path in sorted(samples().iterdir()) if path.suffix != ".md"]
    if not inputs:
        raise InputError("no input: name pictures or folders, or try --samples")
    found = naming.find(inputs, outside=out, passed=passed)
    names_a_file = bool(out.suffix) and not args.out.endswith(("/", os.sep)) and not os.path.isdir(out)  # noqa: PTH112
    to_file = names_a_file and len(inputs) == 1 and found[0][0] == Path(inputs[0])
    if to_file and out.suffix.lower() not in FORMATS:
        raise InputError(
            f"{out}: results are written as {', '.join(FORMATS)}; for a folder of this name write it with / at the end"
        )
    if to_file and args.format and FORMATS[out.suffix.lower()] != FORMATS[f".{args.format}"]:
        raise InputError(f"{out}: contradicts --format {args.format}; leave one of them out")
    if names_a_file and not to_file and out.suffix.lower() in FORMATS:
        raise InputError(f"{out}: is the name of one picture, but {len(found)} are to be written; name a folder")
    how: dict[str, Any] = {"to_file": to_file, "suffix": args.suffix, "kind": args.format}
    earlier = naming.without_results(found, inputs, naming.plan(found, out, compare=True, **how))
    found = [pair for pair in found if pair[0] not in earlier]
    jobs = naming.plan(found, out, compare=args.compare, **how)
    if args.shard is not None:
        jobs = naming.shard(jobs, out, *shard_numbers(args.shard))
    return naming.protect(jobs, overwrite=args.overwrite, skip=args.skip_existing), earlier


def samples() -> Path:
    """The folder of dark photos that ship with the package."""
    return Path(str(resources.files("smnet_jax"))) / "samples"


def _check_writable(jobs: list[Any]) -> None:
    if not jobs:
        return
    folder = jobs[0].target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}); choose another -o") from error


def _enhanced(
    jobs: list[Any],
    model: Any,
    variables: Any,
    args: argparse.Namespace,
    limits: Limits,
    advance: Any,
) -> Iterator[Any]:
    """The work itself, as `prefetch.pipelined` yields it; `advance` learns how many pictures are computed."""
    from smnet_jax.enhancement import memory, photo
    from smnet_jax.enhancement.buckets import AT_ONCE
    from smnet_jax.enhancement.plan import decide
    from smnet_jax.enhancement.prefetch import pipelined
    from smnet_jax.images import darkness, padding, pictures, writing

    def announce(some):
        sizes = [pictures.size_in_header(job.source) for job in some]
        limits.shapes.announce(padding.padded(*size) for size in sizes if size is not None)

    def read(job):
        place = next(reading)
        if amount != 0 and limits.shapes is not None and len(jobs) > 1 and place % AT_ONCE == 0:
            announce(jobs[place : place + AT_ONCE])
        picture = pictures.read(job.source, max_megapixels=args.max_megapixels)
        if args.only_dark and not darkness.is_dark(picture.rgb, picture.alpha):
            raise _BrightEnough(f"{job.source}: bright enough")
        writing.check_fits(picture, job.target.suffix)
        plan = decide(model, picture.rgb.shape, *limits)
        if amount != 0:  # which runs no network
            photo.prepare(model, variables, picture, plan)  # compile for this size while another is computed
        return picture, plan

    amount = strength(args.strength)
    reading, turn = itertools.count(), itertools.count()
    kept = memory.kept_between_pictures(limits.max_memory)

    def compute(_job, ready):
        before, plan = ready
        place = next(turn)
        after = photo.enhance_picture(
            model,
            variables,
            before,
            plan,
            strength=amount,
            exposure=args.exposure,
            progress=lambda share: advance(place + share),
        )
        allocator.return_too_much(kept)
        return (before if args.compare else None), after

    def write(job, result):
        before, after = result
        height, width = after.rgb.shape[:2]
        notes = after.notes + writing.write(after, job.target, quality=args.quality)
        done = {"width": width, "height": height, "notes": list(notes)}
        if before is not None:
            try:
                writing.write(writing.side_by_side(before, after), job.comparison, quality=args.quality)
                done["comparison"] = str(job.comparison)
            except (InputError, OSError) as error:  # the picture itself is written, and counts as done
                done["notes"].append(f"the comparison could not be written: {error}")
        return done

    return pipelined(jobs, read, compute, write, survives=(InputError, OSError, MemoryError))


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Pillow's warnings about odd metadata, which do not name the file, stay out of the terminal."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar with the time left on stderr, if that is a terminal; a single picture has one if it comes in tiles."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    share = TextColumn("{task.percentage:.0f}%") if total == 1 else MofNCompleteColumn()
    columns = (BarColumn(), share, TimeElapsedColumn(), "left", TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, visible=total > 1)
        yield (
            # Pictures are written later than computed: the bar follows whichever is further.
            lambda done: progress.update(
                task, completed=max(done, progress.tasks[0].completed), visible=total > 1 or 0 < done < 1
            ),
            lambda text: console.print(printable(text), markup=False, highlight=False, emoji=False, soft_wrap=True),
        )


def _finish(
    args: argparse.Namespace, records: list[dict[str, Any]], passed: list[Path], earlier: list[Path], seconds: float
) -> int:
    from smnet_jax.images import formats

    shut = [path for path in passed if os.path.isdir(path)]  # noqa: PTH112
    files = [path for path in passed if path not in shut]
    failed = [record["input"] for record in records if "error" in record] + [str(path) for path in shut]
    bright = sum("skipped" in record for record in records)
    done = len(records) - bright - sum("error" in record for record in records)
    if args.json:
        records += [{"input": str(path), "error": "cannot be listed"} for path in shut]
        told: dict[str, Any] = {"seconds": round(seconds, 3), "pictures": records}
        told["passed_over"] = [str(path) for path in files]
        if files:
            told["remedy"] = formats.passed_over(files)
        print(json.dumps(told, indent=1))
        return 1 if failed else 0
    sentence = f"{done} picture{'s' * (done != 1)} enhanced in {seconds:.1f} s, written to {args.out}"
    if bright:
        sentence += f"; {bright} left out as bright enough (--only-dark)"
    if failed:
        shown = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
        sentence += f"; {len(failed)} failed: {shown}"
    print(printable(sentence))
    for path in shut:
        print(printable(f"smnet: {path}: cannot be listed; nothing in it was enhanced"), file=sys.stderr)
    if earlier:
        plural = "s" * (len(earlier) != 1)
        print(f"left out {len(earlier)} result{plural} of an earlier run found among the inputs")
    if about := formats.passed_over(files):
        print(printable(about))
    return 1 if failed else 0
