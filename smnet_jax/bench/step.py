"""`smnet bench step`: one training step, here and in PyTorch."""

import argparse
import json
import multiprocessing
import os
import statistics
from pathlib import Path
from typing import Any

from smnet_jax.bench import machine, torch_device, trainers
from smnet_jax.bench.interleaved import say, take_turns
from smnet_jax.bench.torch_device import Missing
from smnet_jax.errors import InputError

SUMMARY = "one training step on this machine: smnet-jax, and PyTorch on the same device in several ways"

# Relative, in the loss of the first steps: such a trainer trains something else. TF32 has three bits more than
# bfloat16.
_DISAGREES, _DISAGREES_TF32, _DISAGREES_BFLOAT16 = 1e-3, 4e-3, 3e-2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", choices=("lol", "fivek"), default="lol")
    parser.add_argument("--width", type=int, default=64, metavar="C", help="features of the network (default: 64)")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="pairs per step (default: 4)")
    parser.add_argument(
        "--crop", type=int, default=128, metavar="PX", help="their side, a multiple of 4 (default: 128)"
    )
    parser.add_argument(
        "--loss", choices=("recipe", "l1_ssim"), default="recipe", help="with VGG16, or without (default: recipe)"
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds, each with every one in turn")
    parser.add_argument("--threads", type=int, metavar="N", help="cores that all may use (default: all)")
    parser.add_argument(
        "--only", nargs="+", choices=trainers.NAMES, metavar="NAME",
        help=f"of: {'; '.join(trainers.NAMES)} (default on a CPU: {'; '.join(trainers.ON_CPU)}; on a GPU: all for it)",
    )  # fmt: skip
    parser.add_argument(
        "--tf32",
        choices=("off", "on"),
        default="off",
        help="on a GPU: round the inputs of all float32 products to TF32, or of none (default: off)",
    )
    parser.add_argument("--memory", action="store_true", help="also the peak memory of each, in a process of its own")
    parser.add_argument("--parts", action="store_true", help="also time forward, loss and Adam by themselves")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    if args.repeats < 1 or args.batch < 1:
        raise InputError(f"--repeats {args.repeats}, --batch {args.batch}: must be at least 1")
    if args.width < 4 or args.width % 4:
        raise InputError(f"--width {args.width}: must be a positive multiple of 4")
    if args.crop < 12 or args.crop % 4:
        raise InputError(f"--crop {args.crop}: must be a multiple of 4, at least 12")
    if args.threads is not None:
        try:
            machine.use_threads(args.threads)
        except ValueError as error:
            raise InputError(f"--threads {error}") from error
    from smnet_jax.host import allocator, huge_pages
    from smnet_jax.training.parallel import prepare_cpu_devices

    torch_device.share_the_card()
    if not huge_pages.are_used():  # as `smnet train` does; PyTorch shares the advantage here
        allocator.keep_freed_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    prepare_cpu_devices(cores)
    what = {name: getattr(args, name) for name in ("variant", "width", "batch", "crop", "loss", "repeats", "tf32")}
    case = trainers.make_case(args.variant, args.width, args.batch, args.crop, args.loss, args.tf32 == "on")
    import jax

    names = args.only or (trainers.ON_CPU if jax.default_backend() == "cpu" else trainers.ON_GPU)
    found = measure(case, args.repeats, names, cores, parts=args.parts)
    if args.memory:
        for name, row in found["rows"].items():
            say(f"memory of {name}")
            row["peak_memory"] = memory(name, case, cores)
    print(", ".join(f"{name} {value}" for name, value in what.items()))
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps({"what": what, "machine": machine.describe(), **found}, indent=1) + "\n")
    return 0


def measure(
    case: trainers.Case, repeats: int, names: tuple[str, ...] = trainers.ON_CPU, cores: int = 1, *, parts: bool = False
) -> dict[str, Any]:
    """Medians over rounds in which the trainers take turns, each training on from where it stands; compiling, and
    choosing among kernels, was in two steps before."""
    import numpy as np

    built: dict[str, trainers.Trainer] = {}
    missing: dict[str, str] = {}
    first: dict[str, list[float]] = {}
    for name in names:
        say(f"preparing {name}")
        try:
            built[name] = trainers.build(name, case, cores)
            first[name] = [built[name].step() for _ in range(2)]
        except Missing as error:
            missing[name] = str(error)
    reference = next(iter(first.values()))
    for name, losses in first.items():
        exact = _DISAGREES_TF32 if case.tf32 else _DISAGREES
        allowed = _DISAGREES_BFLOAT16 if "bfloat16" in name else exact
        if not max(abs(a / b - 1) for a, b in zip(losses, reference, strict=True)) < allowed:
            raise RuntimeError(f"{name} trains something else than {next(iter(first))}: {losses}, {reference}")
    clocks = take_turns({name: trainer.step for name, trainer in built.items()}, repeats, "steps", settle=True)
    rows: dict[str, dict[str, Any]] = {
        name: {
            "seconds": statistics.median(clock for clock, _ in clocks[name]),
            "cpu_seconds": statistics.median(cpu for _, cpu in clocks[name]),
            "quartiles": np.percentile([clock for clock, _ in clocks[name]], (25, 75)).tolist(),
            "all_seconds": [clock for clock, _ in clocks[name]],
            "first_losses": first[name],
        }
        for name in built
    }
    if parts:
        pieces = {(name, part): run for name in built for part, run in built[name].parts.items()}
        for run in pieces.values():
            run()  # compile
        timed = take_turns({f"{name}, {part}": run for (name, part), run in pieces.items()}, repeats, "parts")
        for name, part in pieces:
            rows[name].setdefault("parts", {})[part] = statistics.median(c for c, _ in timed[f"{name}, {part}"])
    return {"rows": rows, "missing": missing}


def memory(name: str, case: trainers.Case, cores: int) -> int:
    """Peak memory of a process that does nothing but two steps, in bytes; on a GPU, of its memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_alone, (name, case, cores))


def _alone(name: str, case: trainers.Case, cores: int) -> int:
    from smnet_jax.training.parallel import prepare_cpu_devices

    prepare_cpu_devices(cores)
    trainer = trainers.build(name, case, cores)
    for _ in range(2):
        trainer.step()
    return torch_device.peak_memory(name)


def ratios(found: dict[str, Any], clock: str = "seconds") -> dict[str, float]:
    """How many times as long as our best of the same precision each way of PyTorch takes."""
    rows = found["rows"]
    kinds = (((trainers.OURS, trainers.SHARED), trainers.TORCH), ((trainers.OURS_BFLOAT16,), trainers.BFLOAT16))
    result: dict[str, float] = {}
    for ours, theirs in kinds:
        best = min((rows[name][clock] for name in ours if name in rows), default=None)
        if best is not None:
            result |= {name: rows[name][clock] / best for name in theirs if name in rows}
    return result


def table(found: dict[str, Any]) -> str:
    """What `measure` found, for reading."""
    lines = [f"{'':32}{'s':>9}{'quartiles':>17}{'CPU s':>9}{'GiB':>7}"]
    for name, row in found["rows"].items():
        parts = ", ".join(f"{part} {seconds:.3f}" for part, seconds in row.get("parts", {}).items())
        spread = "{:.4f}-{:.4f}".format(*row["quartiles"])
        held = f"{row['peak_memory'] / 2**30:.2f}" if "peak_memory" in row else "-"
        lines.append(
            f"{name:32}{row['seconds']:9.4f}{spread:>17}{row['cpu_seconds']:9.3f}{held:>7}"
            f"{'   ' + parts if parts else ''}"
        )
    for clock, called in (("seconds", "clock"), ("cpu_seconds", "CPU time")):
        said = ", ".join(f"{ratio:.2f} times as fast as {name}" for name, ratio in ratios(found, clock).items())
        if said:
            lines.append(f"smnet-jax is {said} ({called})")
    lines += [f"{name}: {why}" for name, why in found["missing"].items()]
    return "\n".join(lines)
