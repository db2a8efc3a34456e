"""`smnet bench rows`: the memory of each device when several share the rows of one picture, and whether that is exact.

Every device is a process with one CPU device, so that the system can tell what each of them holds.
"""

import argparse
import json
import multiprocessing
import os
import socket
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from smnet_jax.bench import machine
from smnet_jax.bench.arguments import picture_size
from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing

SUMMARY = "rows of one picture over several devices: memory of each, measured"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", type=int, nargs="+", default=(1, 2, 4), metavar="N", help="default: 1 2 4")
    parser.add_argument("--width", type=int, default=64, metavar="C", help="of the network (default: 64)")
    parser.add_argument("--size", default="1024x768", metavar="WxH", help="of the picture (default: 1024x768)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    if min(args.devices) < 1:
        raise InputError(f"--devices {min(args.devices)}: must be at least 1")
    if args.width < 4 or args.width % 4:
        raise InputError(f"--width {args.width}: must be a positive multiple of 4")
    breadth, height = picture_size(args.size)
    whole, rows = None, []
    for count in sorted({1, *args.devices}):
        picture, row = measure(count, args.width, height, breadth)
        whole = picture if whole is None else whole
        row["difference"] = float(np.abs(picture - whole).max() / np.abs(whole).max())
        rows.append(row)
        print(_line(row), flush=True)
    if args.json:
        what = {"width": args.width, "picture": args.size, "dtype": "float32"}
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps({"machine": machine.describe(), **what, "rows": rows}, indent=1) + "\n")
    return 0


def measure(count: int, width: int, height: int, breadth: int) -> tuple[np.ndarray, dict[str, Any]]:
    """The result (H,W,3) of `count` devices together, and the bytes that each of them held before and at most."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=spawn) as pool:  # each waits for the others, so each has a process
        waiting = [pool.submit(_one_device, place, count, address, width, height, breadth) for place in range(count)]
        found = [each.result() for each in waiting]
    picture = np.full((height, breadth, 3), np.nan, np.float32)
    for own, _, _ in found:
        np.copyto(picture, own, where=np.isfinite(own))
    return picture, {"devices": count, "before": [held for _, held, _ in found], "peak": [most for *_, most in found]}


def _one_device(
    place: int, count: int, address: str, width: int, height: int, breadth: int
) -> tuple[np.ndarray, int, int]:
    """(H,W,3), NaN where the rows are another device's; bytes held before, and at most."""
    import jax
    from jax.sharding import Mesh

    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)  # Gloo, which connects the processes, says so on standard output
    jax.config.update("jax_platforms", "cpu")
    if count > 1:
        jax.distributed.initialize(address, count, place)

    from smnet_jax.checkpoints import untrained
    from smnet_jax.enhancement.devices import enhance_in_rows
    from smnet_jax.host import allocator

    model, variables = untrained.make(width)
    low = np.random.default_rng(0).random((height, breadth, 3), np.float32) * np.float32(0.3)
    mesh = Mesh(np.array(jax.devices()), ("rows",))
    enhance_in_rows(model, variables, low, mesh)  # compile, which takes memory too
    allocator.return_freed_memory()  # else what compiling left would hide as much of what follows
    with machine.AnonymousMemory() as before:
        pass
    with machine.AnonymousMemory(0.002) as held:
        own = enhance_in_rows(model, variables, low, mesh)
    return own, before.peak, held.peak


def _line(row: dict[str, Any]) -> str:
    before, peak = max(row["before"]) / 2**20, max(row["peak"]) / 2**20
    more = max(most - held for most, held in zip(row["peak"], row["before"], strict=True)) / 2**20
    return (
        f"{row['devices']:3} device{'s' * (row['devices'] > 1):1} {more:8.0f} MiB for the picture on each "
        f"(most {peak:.0f}, {before:.0f} before), differs by {row['difference']:.1e}"
    )
