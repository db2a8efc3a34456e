"""`smnet bench sizes`: time and memory of one picture against its size."""

import argparse
import json
import math
import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from smnet_jax.bench import machine
from smnet_jax.errors import InputError

SUMMARY = "time and memory of one picture against its size"

SIZES = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 24)  # megapixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="W", help="bundled name, converted directory or checkpoint")
    parser.add_argument("--width", type=int, metavar="C", help="instead of --weights: an untrained network")
    parser.add_argument("--megapixels", type=float, nargs="+", default=SIZES, metavar="M", help="sizes, 3:2 each")
    parser.add_argument("--tile", default="auto", metavar="auto|off|N", help="as in smnet enhance")
    parser.add_argument("--max-memory", metavar="SIZE", help="as in smnet enhance: 2G")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="after the first time (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw them (png, svg or pdf)")


def run(args: argparse.Namespace) -> int:
    if args.width is not None and (args.width < 4 or args.width % 4):
        raise InputError(f"--width {args.width}: must be a positive multiple of 4")
    if not all(0.001 <= megapixels <= 1000 for megapixels in args.megapixels):
        raise InputError("--megapixels: must lie between 0.001 and 1000")
    if args.repeats < 1:
        raise InputError(f"--repeats {args.repeats}: must be at least 1")
    from smnet_jax.cli.enhance import memory_size, tile_size

    how = {"tile": tile_size(args.tile), "max_memory": memory_size(args.max_memory)}
    rows = []
    for megapixels in sorted(args.megapixels):
        if sys.stderr.isatty():
            print(f"\r\033[K{megapixels:g} megapixels", end="", file=sys.stderr, flush=True)
        rows.append(_apart(megapixels, args.weights, args.width, how, args.repeats))
        print(_line(rows[-1]), flush=True)
    result = {"machine": machine.describe(), "weights": args.weights, "width": args.width, **how, "rows": rows}
    result["deviation"] = deviation(rows)
    if len(rows) > 1:
        print(f"time to compute in proportion to the size: off by at most {result['deviation']:.0%}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.chart:
        from smnet_jax.bench.chart import sizes

        sizes(result, args.chart)
    return 0


def _apart(*case: Any) -> dict[str, Any]:
    """`measure` in a process of its own: memory that one picture left behind would be counted for the next."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, case)


def measure(
    megapixels: float, weights: str | None, width: int | None, how: dict[str, Any], repeats: int
) -> dict[str, Any]:
    """One picture of noise, compiled for beforehand, in a process that treats its memory as `smnet enhance` does.

    `first_cpu_seconds` is what the first time takes, when the system must find the memory; a virtual machine may have
    to ask its host for it, which can take as long as computing. `seconds` and `cpu_seconds` are medians of the times
    after it; `system_seconds` are those of the latter that went into the system, nearly all for pages of memory.
    `anonymous` is the most that the process holds and that is no file's.
    """
    import numpy as np

    from smnet_jax.checkpoints import untrained
    from smnet_jax.enhancement import memory, photo
    from smnet_jax.enhancement.plan import decide
    from smnet_jax.host import allocator
    from smnet_jax.images import pictures

    allocator.keep_freed_memory()
    model, variables = untrained.make(width) if width else photo.open_weights(weights)
    height, image_width = shape(megapixels)
    low = np.random.default_rng(0).random((height, image_width, 3), np.float32) * np.float32(0.3)
    picture = pictures.Picture(low)
    plan = decide(model, low.shape, **how)
    photo.prepare(model, variables, picture, plan)
    kept = memory.kept_between_pictures(how["max_memory"])
    clocks = []
    with machine.AnonymousMemory() as held:
        for _ in range(1 + repeats):
            before = _clocks()
            after = photo.enhance_picture(model, variables, picture, plan)
            clocks.append([now - then for now, then in zip(_clocks(), before, strict=True)])
            notes = list(after.notes)
            del after
            allocator.return_too_much(kept)
    seconds, cpu_seconds, system_seconds = (statistics.median(values) for values in zip(*clocks[1:], strict=True))
    return {
        "megapixels": height * image_width / 1e6,
        "picture": f"{image_width}x{height}",
        "first_seconds": clocks[0][0],
        "first_cpu_seconds": clocks[0][1],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "system_seconds": system_seconds,
        "anonymous": held.peak,
        "notes": notes,
    }


def _clocks() -> tuple[float, float, float]:
    """The clock, this process's CPU time, and what of it went into the system."""
    return time.perf_counter(), time.process_time(), os.times().system


def shape(megapixels: float) -> tuple[int, int]:
    """Height and width near 2:3, multiples of four."""
    height = max(8, round(math.sqrt(megapixels * 1e6 / 1.5) / 4) * 4)
    return height, max(8, round(megapixels * 1e6 / height / 4) * 4)


def deviation(rows: list[dict[str, Any]]) -> float:
    """How far the time to compute (not the system's) is at most from one rate per megapixel, the best there is."""
    rates = [(row["cpu_seconds"] - row["system_seconds"]) / row["megapixels"] for row in rows]
    return (max(rates) - min(rates)) / (max(rates) + min(rates))


def _line(row: dict[str, Any]) -> str:
    names = ("first_cpu_seconds", "cpu_seconds", "system_seconds")
    first, rate, system = (row[name] / row["megapixels"] for name in names)
    return (
        f"{row['megapixels']:7.2f} MP {row['picture']:>11} {row['seconds']:8.2f} s {row['cpu_seconds']:8.2f} CPU s "
        f"{rate:6.2f} CPU s/MP ({system:4.2f} the system's; {first:5.2f} the first time) "
        f"{row['anonymous'] / 2**30:6.2f} GiB  {'; '.join(row['notes'])}"
    ).rstrip()
