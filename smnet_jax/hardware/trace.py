"""`smnet bench trace DIR`: where the time of profiled steps went, read from JAX's own trace, without TensorBoard.

`smnet train ... --profile 10:13` writes the trace into WORKDIR/profile. The same file opens in xprof or Perfetto.
"""

import argparse
import collections
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing

SUMMARY = "where the time of profiled training steps went (smnet train --profile 10:13)"

STEP = "train"  # the name under which steps stand in the trace
PROGRAM = "step.hlo.txt"  # the compiled program beside the trace: which operation belongs to which layer

# Components of JAX's names that say how an operation came about, not where it belongs.
_MACHINERY = frozenset({"while", "body", "cond", "closed_call", "checkpoint", "rematted_computation", "remat"})


@dataclasses.dataclass(frozen=True)
class Trace:
    """Times in seconds. Those of operations are sums over all traced steps and devices, insides not counted twice."""

    steps: dict[int, float]
    """Step number -> time."""
    devices: int
    operations: dict[str, float]
    """HLO instruction -> time."""
    parts: dict[tuple[str, str], float]
    """(part of the network, "forward" or "backward") -> time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="WORKDIR/profile of a run, or any folder with a trace of JAX")
    parser.add_argument("--top", type=int, default=20, metavar="N", help="rows to print of each table (default: 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    found = read(args.folder)
    print(table(found, args.top))
    if args.json:
        plain = dataclasses.asdict(found)
        plain["parts"] = [{"part": p, "pass": d, "seconds": s} for (p, d), s in found.parts.items()]
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(plain, indent=1) + "\n")
    return 0


def read(folder: Path) -> Trace:
    """The newest trace below `folder` (of one process). Raises InputError where there is none."""
    files = sorted(folder.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise InputError(f"{folder}: no *.xplane.pb in it; make one with smnet train ... --profile 10:13")
    from jax.profiler import ProfileData

    try:
        planes = list(ProfileData.from_file(str(files[-1])).planes)
    except Exception as error:  # whatever a cut-off file makes the parser raise
        raise InputError(f"{files[-1]}: is not a trace ({error}); make one with smnet train ... --profile") from error
    operations: dict[str, float] = collections.defaultdict(float)
    devices: set[Any] = set()
    steps: list[tuple[float, float, int]] = []
    for plane in planes:
        for line in _lines(plane):
            events = sorted(_events(line), key=lambda event: (event[0], -event[1]))
            for operation, own, device in own_times(events):
                operations[operation] += own
                devices.add((plane.name, device))
            steps += [(e.start_ns, e.end_ns, _stats(e)["step_num"]) for e in line.events if e.name == STEP]
    program = folder / PROGRAM
    names = _operation_names(program.read_text()) if program.exists() else {}
    parts: dict[tuple[str, str], float] = collections.defaultdict(float)
    for operation, seconds in operations.items():
        parts[part(names.get(operation, ""))] += seconds
    times = {number: (end - start) / 1e9 for start, end, number in sorted(steps)}
    return Trace(times, max(1, len(devices)), dict(operations), dict(parts))


def table(found: Trace, top: int = 20) -> str:
    """For reading: steps, parts of the network, operations, the longest first; milliseconds a step and device."""
    if not found.operations:
        return "the trace holds no operations: this backend's profiler records none"
    lines = ["step: " + ", ".join(f"{number} {seconds * 1e3:.1f} ms" for number, seconds in found.steps.items())]
    whole = sum(found.operations.values())
    unit = 1e3 / (max(1, len(found.steps)) * found.devices)
    lines.append(f"on {found.devices} device(s), ms a step and device:")
    by_part: dict[str, dict[str, float]] = {}
    for (name, way), seconds in found.parts.items():
        by_part.setdefault(name, {})[way] = seconds
    if by_part.keys() != {_UNNAMED}:
        lines.append(f"{'part':28}{'forward':>10}{'backward':>10}{'share':>8}")
        for name, ways in sorted(by_part.items(), key=lambda item: -sum(item[1].values()))[:top]:
            forward, backward = (ways.get(way, 0.0) * unit for way in ("forward", "backward"))
            lines.append(f"{name:28}{forward:>10.2f}{backward:>10.2f}{sum(ways.values()) / whole:>8.1%}")
    lines.append(f"{'operation':48}{'ms':>10}{'share':>8}")
    for name, seconds in sorted(found.operations.items(), key=lambda item: -item[1])[:top]:
        lines.append(f"{name[:47]:48}{seconds * unit:>10.2f}{seconds / whole:>8.1%}")
    return "\n".join(lines)


_UNNAMED = "(not named)"


def part(operation: str) -> tuple[str, str]:
    """JAX's name of an operation to the part of the training step it belongs to, and "forward" or "backward".

    "jit(train_step)/transpose(jvp(SMNet))/block/block.local/up_half/conv/dot" to ("block/up_half", "backward").
    """
    if not operation.startswith("jit("):
        return _UNNAMED, "forward"
    match = re.match(r"jit\([^/]*\)/(transpose\()?jvp\((\w*)\)+/(.*)", operation)
    if not match:
        return "optimizer and the rest", "forward"
    backward, owner, path = match.groups()
    way = "backward" if backward else "forward"
    if owner != "SMNet":
        return owner or "loss", way
    layers = [name for name in path.split("/")[:-1] if not re.search(r"[.(>]", name) and name not in _MACHINERY]
    return "/".join(layers[:2]) or "SMNet", way


def _lines(plane: Any) -> Iterable[Any]:
    """A TPU's or GPU's plane repeats its operations by other groupings; "XLA Ops" is the one without repetition."""
    lines = list(plane.lines)
    chosen = [line for line in lines if line.name == "XLA Ops"]
    return chosen if chosen and plane.name.startswith("/device:") else lines


def _events(line: Any) -> Iterator[tuple[float, float, str, Any]]:
    """(start, end, HLO instruction, device) of the operations, in nanoseconds."""
    for event in line.events:
        if event.duration_ns <= 0 or event.name.startswith("end: "):
            continue
        stats = _stats(event)
        if "hlo_op" in stats:
            yield event.start_ns, event.end_ns, str(stats["hlo_op"]), stats.get("device_ordinal", 0)
        elif line.name == "XLA Ops":  # a TPU: the event's name is the instruction's text
            yield event.start_ns, event.end_ns, event.name.split(" = ")[0].lstrip("%"), 0


def own_times(events: list[tuple[float, float, str, Any]]) -> Iterator[tuple[str, float, Any]]:
    """(instruction, seconds without the instructions inside it, device) of events sorted by start, the longer first."""
    open_: list[list[Any]] = []
    for start, end, name, device in events:
        while open_ and open_[-1][0] <= start:
            yield _closed(open_.pop())
        if open_:
            open_[-1][2] -= min(end, open_[-1][0]) - start
        open_.append([end, name, end - start, device])
    while open_:
        yield _closed(open_.pop())


def _closed(event: list[Any]) -> tuple[str, float, Any]:
    _, name, own, device = event
    return name, max(0.0, own) / 1e9, device


def _stats(event: Any) -> dict[str, Any]:
    return dict(event.stats)


def _operation_names(text: str) -> dict[str, str]:
    """HLO instruction -> JAX's name of it."""
    return dict(re.findall(r'^\s+(?:ROOT )?%?([\w.\-]+) = .*?op_name="([^"]*)"', text, re.MULTILINE))
