"""`smnet evaluate`: the paper's whole table, every number under a named protocol."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smnet_jax.errors import InputError
from smnet_jax.evaluation.columns import select

if TYPE_CHECKING:
    import numpy as np

    from smnet_jax.evaluation.folders import Item
    from smnet_jax.evaluation.runner import Network

SUMMARY = "score a network, or finished pictures, by every metric in use"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Files are matched by name without suffix. Without --high there are NIQE, LOE and statistics of the output. "
        "docs/evaluation.md describes protocols, columns and the JSON file."
    )
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument("--low", type=Path, metavar="DIR", help="the dark inputs")
    pictures.add_argument("--high", type=Path, metavar="DIR", help="the targets")
    pictures.add_argument("--images", type=Path, metavar="DIR", help="score these finished pictures, not a network")
    parser.add_argument("--weights", metavar="W", help="bundled name, converted folder, .pth or .safetensors file")
    parser.add_argument(
        "--metrics", default="all", metavar="NAMES", help='"all", "paper" or column names with commas (default: all)'
    )
    parser.add_argument("--batch", type=int, metavar="N", help="pictures per step over all devices (default: as fits)")
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument("--cache-dir", metavar="DIR", help="of compiled programs (default: ~/.cache/smnet-jax)")
    cache.add_argument("--no-cache", action="store_true", help="keep no compiled programs")
    outputs = parser.add_argument_group("outputs, beside the table")
    outputs.add_argument("--json", type=Path, metavar="FILE", help="every number, with versions, weights and protocol")
    outputs.add_argument("--csv", type=Path, metavar="FILE", help="one line per picture")
    outputs.add_argument("--save-images", type=Path, metavar="DIR", help="the scored 8-bit outputs as PNG")
    outputs.add_argument("--report", type=Path, metavar="DIR", help="one self-contained HTML page, DIR/index.html")


def run(args: argparse.Namespace) -> int:
    """Check everything that can be checked, score, show the table, write what was asked for."""
    folders = _folders(args)
    available = frozenset(folders) - {"images"}
    names = [name.strip() for name in args.metrics.split(",") if name.strip()]
    columns = select(names, available=available, quantised=args.images is not None)
    _check_outputs(args, folders)

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from smnet_jax.evaluation import folders as folders_

    items = folders_.find({"image" if kind == "images" else kind: folder for kind, folder in folders.items()})
    look = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*look, console=console, transient=True, disable=not console.is_terminal) as progress:
        checking = progress.add_task("checking", total=len(items))
        items = folders_.check(items, advance=lambda: progress.advance(checking))

        # Only from here on is JAX imported: bad pictures are told at once.
        from smnet_jax.evaluation import results, runner, table
        from smnet_jax.evaluation.report import Report
        from smnet_jax.host import compile_cache

        if args.no_cache or args.cache_dir or "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            compile_cache.use(None if args.no_cache else args.cache_dir or compile_cache.default_folder())
        network = None if args.images else _network(args.weights)
        report = Report(len(items)) if args.report else None

        def receive(index: int, item: "Item", pictures: Mapping[str, "np.ndarray"]) -> None:
            if args.save_images:
                _save(args.save_images / f"{item.name}.png", pictures["output"])
            if report:
                report.add(index, item, pictures)

        scoring = progress.add_task("scoring", total=len(items))
        evaluation = runner.evaluate(
            items,
            columns,
            network,
            required=frozenset(names) - {"all", "paper"},
            batch=args.batch,
            settings=_settings(args),
            notes=_notes(args, folders),
            advance=lambda: progress.advance(scoring),
            receive=receive if report or args.save_images else None,
        )
    # Files first: whatever happens to the terminal, hours of work are not lost.
    if args.json:
        results.write_json(evaluation, args.json)
    if args.csv:
        results.write_csv(evaluation, args.csv)
    page = report.write(evaluation, args.report) if report else None
    table.show(evaluation)
    if page:
        print(f"report: {page}")
    return 0


def _folders(args: argparse.Namespace) -> dict[str, Path]:
    """The folders of pictures that were given, or InputError where they make no evaluation."""
    if args.images and args.weights:
        raise InputError("--images and --weights: finished pictures need no network; give one of the two")
    if not args.images and not args.low:
        raise InputError("--low DIR: needed, the dark pictures to enhance (or --images DIR to score finished ones)")
    if args.batch is not None and args.batch < 1:
        raise InputError(f"--batch {args.batch}: must be at least 1")
    given = {"low": args.low, "images": args.images, "high": args.high}
    return {kind: folder for kind, folder in given.items() if folder is not None}


def _check_outputs(args: argparse.Namespace, folders: Mapping[str, Path]) -> None:
    """InputError now rather than after the work where an output cannot be written, or would overwrite an input."""
    for option, path in (("--json", args.json), ("--csv", args.csv)):
        if path is not None and path.is_dir():
            raise InputError(f"{option} {path}: is a folder; give a file name")
    for option, folder in (("--save-images", args.save_images), ("--report", args.report)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"{option} {folder}: is a file; give a folder")
    for path in (args.json, args.csv, args.save_images, args.report):
        if path is None:
            continue
        nearest = next(parent for parent in (path, *path.absolute().parents) if parent.is_dir())
        if not os.access(nearest, os.W_OK):
            raise InputError(f"{path}: {nearest} cannot be written; choose another folder")
    for kind, folder in folders.items():
        if args.save_images is not None and args.save_images.resolve() == folder.resolve():
            raise InputError(f"--save-images {args.save_images}: is the folder of --{kind}; choose another one")


def _network(source: str | None) -> "Network":
    from smnet_jax.checkpoints.weights import DEFAULT
    from smnet_jax.enhancement.buckets import for_model
    from smnet_jax.enhancement.photo import open_weights
    from smnet_jax.evaluation.runner import Network, fingerprint
    from smnet_jax.exposure import ExposureNet

    model, variables = open_weights(source)
    architecture: dict[str, Any]
    if isinstance(model, ExposureNet):
        architecture = {"network": "exposure", "features": model.features, "hidden": model.hidden, "fine": model.fine}
    else:
        architecture = {"variant": model.variant, "width": model.width, "blocks": model.blocks}
    about = {"source": source or DEFAULT, "sha256": fingerprint(variables), **architecture}

    def apply(variables: Any, low: Any, *sizes: Any) -> Any:
        if isinstance(model, ExposureNet):
            return model.apply(variables, low)
        return model.for_inference(*low.shape[:2]).apply(variables, low, "last", *sizes)

    return Network(apply, variables, about, for_model(model))


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, in JSON types."""
    keys = ("weights", "low", "high", "images", "metrics", "batch")
    return {key: str(value) if isinstance(value := getattr(args, key), Path) else value for key in keys}


def _notes(args: argparse.Namespace, folders: Mapping[str, Path]) -> list[str]:
    from smnet_jax.checkpoints import untrained

    notes = []
    if args.images:
        notes.append("finished 8-bit pictures: published, rounded and float are the same, so only published is shown")
    if "high" not in folders:
        notes.append("no --high: nothing here measures closeness to a target, only NIQE, LOE and statistics")
    if "low" not in folders:
        notes.append("no --low: LOE, which compares with the dark input, is left out")
    if args.weights == untrained.NAME:
        notes.append(untrained.WARNING)
    return notes


def _save(path: Path, picture: "np.ndarray") -> None:
    from PIL import Image

    from smnet_jax.host.atomic_files import replacing

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, "PNG")
