"""`smnet bench infer`: one picture through the network, here and in the other runtimes."""

import argparse
import json
import multiprocessing
import statistics
from pathlib import Path
from typing import Any

from smnet_jax.bench import machine, torch_device
from smnet_jax.bench.arguments import picture_size
from smnet_jax.bench.baselines import BFLOAT16, BFLOAT16_COMPILED, NAMES, TORCH, Missing, build
from smnet_jax.bench.interleaved import say, take_turns
from smnet_jax.errors import InputError
from smnet_jax.host import allocator

SUMMARY = "one picture on this machine: smnet-jax, PyTorch, ONNX Runtime; float32, and bfloat16 for comparison"

MATMUL = 3072  # large enough to show what the machine can do
# Of the picture's largest value: such a runtime computes something else.
_DISAGREES, _DISAGREES_TF32, _DISAGREES_BFLOAT16 = 1e-4, 1e-2, 5e-2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", choices=("lol", "fivek", "both"), default="both")
    parser.add_argument("--width", type=int, default=64, metavar="C", help="features of the network (default: 64)")
    parser.add_argument("--size", default="600x400", metavar="WxH", help="of the picture (default: 600x400)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds, each with every runtime in turn")
    parser.add_argument("--threads", type=int, metavar="N", help="cores that all may use (default: all)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--tf32",
        choices=("off", "on"),
        default="off",
        help="on a GPU: round the inputs of all float32 products to TF32, or of none (default: off)",
    )
    parser.add_argument(
        "--keep-memory", action="store_true", help="give all the memory settings of smnet enhance: PyTorch gains most"
    )
    parser.add_argument("--no-memory", action="store_true", help="skip the runs in processes of their own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw them (png, svg or pdf)")


def run(args: argparse.Namespace) -> int:
    image_width, height = picture_size(args.size)
    if args.repeats < 1:
        raise InputError(f"--repeats {args.repeats}: must be at least 1")
    if args.width < 4 or args.width % 4:
        raise InputError(f"--width {args.width}: must be a positive multiple of 4")
    if args.threads is not None:
        try:
            machine.use_threads(args.threads)
        except ValueError as error:
            raise InputError(f"--threads {error}") from error
    torch_device.share_the_card()
    kept = {"memory_kept": args.keep_memory and allocator.keep_freed_memory()}
    result: dict[str, Any] = {
        "what": {
            "width": args.width,
            "picture": args.size,
            "repeats": args.repeats,
            "dtype": "float32",
            "tf32": args.tf32,
            **kept,
        },
        "machine": machine.describe(),
        "variants": {},
    }
    for variant in ("lol", "fivek") if args.variant == "both" else (args.variant,):
        found = measure(variant, args.width, height, image_width, args.repeats, args.only, args.tf32 == "on")
        if not args.no_memory:
            for name, row in found["rows"].items():
                say(f"{variant}: memory of {name}")
                row["peak_memory"] = memory(name, variant, args.width, height, image_width, args.tf32 == "on")
        result["variants"][variant] = found
        print(table(variant, found))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.chart:
        from smnet_jax.bench.chart import bars

        bars(result, args.chart)
    return 0


def measure(
    variant: str,
    width: int,
    height: int,
    image_width: int,
    repeats: int,
    names: tuple[str, ...] = NAMES,
    tf32: bool = False,
) -> dict[str, Any]:
    """Medians over rounds in which the runtimes take turns, so that a busy minute hits all of them alike.

    `seconds` by the clock, `cpu_seconds` over all threads of this process: of a machine that others use too, the
    latter say more.
    """
    import numpy as np

    runtimes, missing, pictures = {}, {}, {}
    for name in names:
        say(f"{variant}: preparing {name}")
        try:
            runtimes[name] = build(name, variant, width, height, image_width, tf32)
            pictures[name] = runtimes[name].fetch(runtimes[name].run())
        except Missing as error:
            missing[name] = str(error)
    reference = next(iter(pictures.values()))
    for name, picture in pictures.items():
        difference = float(np.abs(picture - reference).max() / np.abs(reference).max())
        allowed = _DISAGREES_TF32 if tf32 else _DISAGREES
        if not difference < (_DISAGREES_BFLOAT16 if "bfloat16" in name else allowed):
            raise RuntimeError(f"{name} differs by {difference:.1e} from {next(iter(pictures))}")
    runs = {name: runtime.run for name, runtime in runtimes.items()}
    runs["matmul"] = machine.matmul(MATMUL)
    clocks = take_turns(runs, repeats, variant)
    peak = 2 * MATMUL**3 / statistics.median(clock for clock, _ in clocks["matmul"])
    rows = {}
    for name, runtime in runtimes.items():
        seconds = statistics.median(clock for clock, _ in clocks[name])
        rate = None if runtime.operations is None else runtime.operations / seconds
        rows[name] = {
            "seconds": seconds,
            "cpu_seconds": statistics.median(cpu for _, cpu in clocks[name]),
            "quartiles": np.percentile([clock for clock, _ in clocks[name]], (25, 75)).tolist(),
            "all_seconds": [clock for clock, _ in clocks[name]],
            "operations": runtime.operations,
            "rate": rate,
            "share_of_peak": None if rate is None else rate / peak,
            "difference": float(np.abs(pictures[name] - reference).max() / np.abs(reference).max()),
        }
    return {"rows": rows, "missing": missing, "matmul_rate": peak}


def memory(name: str, variant: str, width: int, height: int, image_width: int, tf32: bool = False) -> int:
    """Peak memory of a process that does nothing but this, in bytes; on a GPU, of its memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_alone, (name, variant, width, height, image_width, tf32))


def _alone(name: str, *case: Any) -> int:
    runtime = build(name, *case)
    runtime.run()
    return torch_device.peak_memory(name)


def ratios(found: dict[str, Any], clock: str = "seconds") -> dict[str, float]:
    """How many times as long as ours the published way takes, and PyTorch's best."""
    rows = found["rows"]
    if "smnet-jax" not in rows:
        return {}
    ours = rows["smnet-jax"][clock]
    wanted = {"PyTorch eager": rows["PyTorch eager"][clock]} if "PyTorch eager" in rows else {}
    if best := [rows[name][clock] for name in TORCH if name in rows]:
        wanted["PyTorch's best"] = min(best)
    return {name: seconds / ours for name, seconds in wanted.items()}


def table(variant: str, found: dict[str, Any]) -> str:
    """What `measure` found, for reading."""
    lines = [
        f"{variant:26}{'s':>9}{'quartiles':>17}{'CPU s':>9}{'GFLOP':>9}{'GFLOP/s':>9}{'of peak':>9}{'GiB':>7}"
        f"{'differs':>10}"
    ]
    for name, row in found["rows"].items():
        executed = f"{row['operations'] / 1e9:.0f}" if row["operations"] else "-"
        rate = f"{row['rate'] / 1e9:.0f}" if row["rate"] else "-"
        share = f"{row['share_of_peak']:.0%}" if row["share_of_peak"] else "-"
        held = f"{row['peak_memory'] / 2**30:.2f}" if "peak_memory" in row else "-"
        lines.append(
            f"{name:26}{row['seconds']:9.4f}{'{:.4f}-{:.4f}'.format(*row['quartiles']):>17}{row['cpu_seconds']:9.3f}"
            f"{executed:>9}{rate:>9}{share:>9}{held:>7}"
            f"{row['difference']:10.1e}"
        )
    lines.append(f"peak: {found['matmul_rate'] / 1e9:.0f} GFLOP/s in a float32 matmul of {MATMUL}, in the same rounds")
    for clock in ("seconds", "cpu_seconds"):
        said = ", ".join(f"{ratio:.2f} times as fast as {name}" for name, ratio in ratios(found, clock).items())
        if said:
            lines.append(f"smnet-jax is {said} ({'clock' if clock == 'seconds' else 'CPU time'})")
    if all(name in found["rows"] for name in BFLOAT16):
        ours, theirs = (found["rows"][name] for name in BFLOAT16)
        ratio = theirs["cpu_seconds"] / ours["cpu_seconds"]
        lines.append(f"in bfloat16 smnet-jax is {ratio:.2f} times as fast as PyTorch (CPU time)")
        best = min(found["rows"][name]["seconds"] for name in (BFLOAT16[1], BFLOAT16_COMPILED) if name in found["rows"])
        lines.append(f"and {best / ours['seconds']:.2f} times as fast as its quickest way there (clock)")
    lines += [f"{name}: {why}" for name, why in found["missing"].items()]
    return "\n".join(lines)
