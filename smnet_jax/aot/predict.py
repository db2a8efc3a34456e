"""`smnet bench predict FILE...`: the curves of `smnet bench scale` on paper, for up to thousands of chips.

From one chip's step time at a few batch sizes (compiled by `smnet bench tpu --json` or measured by `smnet bench scale
--json`), the bytes its gradient all-reduce sends, and the model of links below. An estimate throughout.
"""

import argparse
import bisect
import dataclasses
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.hardware import specs
from smnet_jax.host.atomic_files import replacing

SUMMARY = "strong and weak scaling on paper up to thousands of chips, and where it stops"

HOP = 1e-6  # seconds from a chip to its neighbour
EXCHANGE = 50e-6  # seconds of one exchange between hosts over the data-centre network, however small
MODEL = (
    "step(n) = compute(pictures a chip) + all-reduce(n), nothing of which is hidden behind computing",
    "compute: straight lines between the given batch sizes (the compiler's cycles / clock, or measured)",
    "at least max(FLOPs / peak, bytes to and from HBM / its bandwidth), shown as the bound of the compiled program",
    "all-reduce inside a slice: 2 (n-1)/n bytes / width + 2 hops * 1 us; width = 2 directions * axes * link, half of "
    "that on an axis without wrap-around; behind a switch: link",
    "beyond a slice of m chips: reduce-scatter inside, 2 (s-1)/s (bytes/m) / network + 2 log2(s) * 50 us between the s "
    "slices, all-gather inside",
    "efficiency = images/s / (n * the best images/s of one chip at any given batch)",
)


@dataclasses.dataclass(frozen=True)
class Point:
    """One compiled or measured training step."""

    kind: str  # as jax.Device.device_kind
    chips: int
    batch: float  # pictures a chip
    seconds: float
    sent: int  # bytes that each chip puts into collectives
    model_flops: float  # of one picture; 0: not known
    bound: float  # seconds by operations and memory traffic alone; 0: not known
    measured: bool
    parameters: int  # 0: not known
    title: str


@dataclasses.dataclass(frozen=True)
class Model:
    """What the curves are made of."""

    chip: specs.Specs
    points: tuple[Point, ...]  # of the fewest chips, by batch
    gradient: int  # bytes
    pairs: int = 485

    def compute(self, batch: float) -> float:
        """Seconds of one chip's step on `batch` pictures, without communication."""
        known = self.points
        if len(known) == 1:
            return known[0].seconds * batch / known[0].batch
        i = min(max(1, bisect.bisect([p.batch for p in known], batch)), len(known) - 1)
        a, b = known[i - 1], known[i]
        line = a.seconds + (b.seconds - a.seconds) * (batch - a.batch) / (b.batch - a.batch)
        # Beyond the known batches no step is faster than its share of the nearest known one: the line may fall through
        # zero below, and above it would promise rates that nobody has seen.
        nearest = known[0] if batch < known[0].batch else known[-1]
        outside = not known[0].batch <= batch <= known[-1].batch
        return max(line, nearest.seconds * batch / nearest.batch) if outside else line

    @property
    def best_rate(self) -> float:
        """Images per second of one chip at its best batch."""
        return max(p.batch / p.seconds for p in self.points)

    @property
    def best_batch(self) -> float:
        """The batch at which one chip is fastest for each picture."""
        return max(self.points, key=lambda p: p.batch / p.seconds).batch


def slice_shape(chips: int, chip: specs.Specs) -> tuple[int, ...]:
    """A slice's torus, its axes as equal as powers of two allow: 32 to (4, 8)."""
    shape = [1] * chip.axes
    while math.prod(shape) < chips:
        shape[shape.index(min(shape))] *= 2
    return tuple(sorted(shape))


def all_reduce(size: int, chips: int, chip: specs.Specs) -> float:
    """Seconds to sum `size` bytes over `chips`; see MODEL. Raises InputError where a bandwidth is not known."""
    if chips == 1:
        return 0.0
    inside = min(chips, chip.slice)
    slices = -(-chips // inside)
    seconds = 0.0
    if inside > 1:
        if chip.link is None:
            raise InputError(f"{chip.name}: the bandwidth of its links is not known (smnet_jax/hardware/specs.py)")
        shape = slice_shape(inside, chip)
        if chip.axes == 1:
            width, hops = chip.link, 2
        else:
            # A v5e or v6e axis closes to a ring at 16, a three-dimensional one at every multiple of 4.
            closes = 16 if chip.axes == 2 else 4
            width = sum(2 * chip.link * (1.0 if axis % closes == 0 else 0.5) for axis in shape if axis > 1)
            hops = sum(axis - 1 for axis in shape)
        seconds += 2 * (inside - 1) / inside * size / width + 2 * hops * HOP
    if slices > 1:
        if chip.network is None:
            raise InputError(f"{chip.name}: the bandwidth between its hosts is not known (smnet_jax/hardware/specs.py)")
        seconds += (
            2 * (slices - 1) / slices * size / inside / chip.network + 2 * math.ceil(math.log2(slices)) * EXCHANGE
        )
    return seconds


def strong(model: Model, counts: Sequence[int], batch: int) -> list[dict[str, Any]]:
    """One `batch` in all, shared by 1, 2, 4, ... chips."""
    return [_row("strong", model, chips, batch) for chips in counts]


def weak(model: Model, counts: Sequence[int], batch: int) -> list[dict[str, Any]]:
    """One `batch` on each chip."""
    return [_row("weak", model, chips, batch * chips) for chips in counts]


def _row(mode: str, model: Model, chips: int, batch: int) -> dict[str, Any]:
    working = min(chips, batch)
    each = batch / working
    compute = model.compute(math.ceil(each))  # the fullest chip is the one waited for
    communication = all_reduce(model.gradient, chips, model.chip)
    seconds = compute + communication
    rate = batch / seconds
    peak = model.chip.flops.get("bfloat16")
    work = model.points[0].model_flops
    row = {
        "mode": mode,
        "chips": chips,
        "batch": batch,
        "batch_per_chip": batch / chips,
        "seconds": seconds,
        "compute_seconds": compute,
        "all_reduce_seconds": communication,
        "images_per_second": rate,
        "efficiency": rate / (chips * model.best_rate),
        "mfu": work * rate / (chips * peak) if work and peak else None,
    }
    return {**row, "limit": _limit(row, model, batch, working, compute)}


def _limit(row: dict[str, Any], model: Model, batch: int, working: int, compute: float) -> str:
    """What keeps the row from being ideal, the hardest first; "" where nothing much does."""
    if row["chips"] > working:
        return f"batch: {batch} pictures for {row['chips']} chips"
    if batch > model.pairs:
        return f"batch: {batch} of {model.pairs} pairs"
    # Beyond the best batch, more chips or microbatches are the way on.
    if row["efficiency"] > 0.8 or batch / working > model.best_batch:
        return ""
    lost_to_batch = compute - batch / working / model.best_rate
    return "all-reduce" if row["all_reduce_seconds"] > lost_to_batch else "batch: too few pictures a chip to fill it"


def stops(rows: list[dict[str, Any]]) -> str:
    """Where the curve leaves the ideal, and why."""
    mode = rows[0]["mode"]
    for row in rows:
        if row["limit"]:
            return (
                f"{mode}: stops at {row['chips']} chips ({row['limit']}; efficiency {row['efficiency']:.2f}, "
                f"all-reduce {row['all_reduce_seconds'] / row['seconds']:.1%} of the step)"
            )
    last = rows[-1]
    return f"{mode}: not stopped up to {last['chips']} chips (efficiency {last['efficiency']:.2f})"


def check(model: Model, others: Sequence[Point]) -> list[dict[str, Any]]:
    """The model beside programs compiled (or measured) for several chips."""
    return [
        {
            "chips": point.chips,
            "batch_per_chip": point.batch,
            "sent": point.sent,
            "sent_by_model": model.gradient,
            "seconds": point.seconds,
            "seconds_by_model": model.compute(point.batch)
            + (all_reduce(model.gradient, point.chips, model.chip) if point.measured else 0.0),
            "measured": point.measured,
        }
        for point in others
    ]


def read(path: Path) -> list[Point]:
    """The training steps of a file of `smnet bench tpu` or `smnet bench scale`. Raises InputError for any other."""
    try:
        found = json.loads(path.read_text())
        return _measured(found) if "rows" in found else [_compiled(found)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: holds no training step ({type(error).__name__}: {error}); make it with smnet bench tpu --only "
            "train --json, or smnet bench scale --json"
        ) from error


def _compiled(found: dict[str, Any]) -> Point:
    train, kind = found["train"], found["device_kind"]
    peak = specs.of(kind)
    best = specs.flops(kind, "bfloat16") or 0.0
    share = found.get("devices_a_chip", 1)
    bound = max(train["flops"] / best, train.get("hbm_bytes", 0) / peak.bandwidth) * share if peak and best else 0.0
    title = re.sub(r", batch \d+( in \d+ microbatches)?", "", train["title"])  # of many points, one each
    return Point(
        kind, found["chips"], train["images_a_chip"], train["seconds"],
        sum(row["bytes"] for row in train["collectives"]),
        train["mfu"] * best * train["seconds"] / train["images_a_chip"] if train.get("mfu") else 0.0,
        0.0 if train.get("loops") else bound,  # the compiler counts a loop's body once
        False, found.get("parameters", 0), title,
    )  # fmt: skip


def _measured(found: dict[str, Any]) -> list[Point]:
    config = found["config"]
    title = f"{config['variant']} width {config['width']}, {config['loss']} loss, {config['dtype']}, {config['crop']}"
    return [
        Point(
            found["machine"]["device"], row["devices"], row["batch"] / row["devices"], row["seconds"],
            row["collective_bytes"], row["model_flops"] / row["batch"], 0.0, True, found.get("parameters", 0), title,
        )
        for row in found["rows"]
        if row["strategy"] == "jit-data"
    ]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", type=Path, nargs="*", metavar="FILE",
        help="JSON of smnet bench tpu --only train, or of smnet bench scale: one chip at several batch sizes, and any "
        "others to check the model against",
    )  # fmt: skip
    parser.add_argument("--chips", type=int, default=4096, metavar="N", help="up to (default: 4096)")
    parser.add_argument("--batch", type=int, default=256, metavar="N", help="strong: pictures in all (default: 256)")
    parser.add_argument(
        "--batch-per-chip", type=int, default=16, metavar="N", help="weak: pictures for each chip (default: 16)"
    )
    parser.add_argument("--pairs", type=int, default=485, metavar="N", help="training pairs (default: LOL's 485)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves (png, svg or pdf)")


def run(args: argparse.Namespace) -> int:
    _check(args)
    points = [point for path in args.files for point in read(path)]
    model, others = build(points, args)
    counts = [2**i for i in range(args.chips.bit_length())]
    rows = strong(model, counts, args.batch) + weak(model, counts, args.batch_per_chip)
    result = {
        "evidence": "an estimate: nothing at this scale was measured",
        "what": model.points[0].title,
        "chip": dataclasses.asdict(model.chip),
        "gradient_bytes": model.gradient,
        "points": [dataclasses.asdict(point) for point in model.points],
        "model": MODEL,
        "rows": rows,
        "stops": [stops([row for row in rows if row["mode"] == mode]) for mode in ("strong", "weak")],
        "check": check(model, others),
    }
    print(table(result))
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")
    if args.plot:
        from smnet_jax.bench.scale_plot import predicted

        predicted(result, args.plot)
    return 0


def build(points: list[Point], args: argparse.Namespace) -> tuple[Model, list[Point]]:
    """The model, and the points that it is not made of. Raises InputError where something is missing."""
    kinds = sorted({point.kind for point in points})
    if not points:
        raise InputError("bench predict: nothing to predict from; give files of smnet bench tpu or scale")
    if len(kinds) > 1:
        raise InputError(f"bench predict: the files are of {', '.join(kinds)}; give those of one kind")
    chip = specs.of(kinds[0])
    if chip is None:
        raise InputError(
            f"bench predict: nothing is known of the links of {kinds[0]}; give files of a chip in hardware/specs.py"
        )
    fewest = min(point.chips for point in points)
    by_batch = {point.batch: point for point in points if point.chips == fewest}
    own = tuple(by_batch[batch] for batch in sorted(by_batch))
    # With one chip there is nothing to send; the fewest that send tell what.
    sending = sorted((point for point in points if point.sent), key=lambda point: point.chips)
    gradient = sending[0].sent if sending else 4 * points[0].parameters
    if not gradient:
        raise InputError("bench predict: nothing tells the bytes of the all-reduce; add a file of two or more chips")
    model = Model(chip, own, gradient, args.pairs)
    return model, [point for point in points if point not in own]


def table(result: dict[str, Any]) -> str:
    """For reading."""
    chip = result["chip"]
    lines = [f"{result['what']}; {chip['name']}; {result['evidence']}"]
    lines.append(
        f"gradient {result['gradient_bytes'] / 1e6:.2f} MB; link {_gb(chip['link'])} each way, {chip['axes']} axes, "
        f"slices of {chip['slice']}; network {_gb(chip['network'])} a chip; HBM {_gb(chip['bandwidth'])}"
    )
    for point in result["points"]:
        bound = f", bound by operations and HBM {point['bound'] * 1e3:.2f} ms" if point["bound"] else ""
        how = "measured" if point["measured"] else "compiled"
        lines.append(
            f"  {how}: {point['batch']:g} pictures a chip {point['seconds'] * 1e3:.2f} ms, "
            f"{point['batch'] / point['seconds']:.0f} images/s{bound}"
        )
    lines.append(
        f"{'mode':7}{'chips':>6}{'batch':>8}{'ms':>9}{'all-reduce':>11}{'images/s':>11}{'efficiency':>11}{'MFU':>8}"
        f"  limit"
    )
    for row in result["rows"]:
        lines.append(
            f"{row['mode']:7}{row['chips']:>6}{row['batch']:>8}{row['seconds'] * 1e3:>9.2f}"
            f"{row['all_reduce_seconds'] * 1e3:>11.3f}{row['images_per_second']:>11.0f}{row['efficiency']:>11.2f}"
            f"{specs.show(row['mfu']):>8}  {row['limit']}"
        )
    lines += result["stops"]
    for row in result["check"]:
        how = "measured" if row["measured"] else "compiled"
        lines.append(
            f"check, {row['chips']} chips, {row['batch_per_chip']:g} a chip, {how}: sends {row['sent'] / 1e6:.2f} MB "
            f"(model {row['sent_by_model'] / 1e6:.2f}), {row['seconds'] * 1e3:.2f} ms "
            f"(model {row['seconds_by_model'] * 1e3:.2f})"
        )
    return "\n".join([*lines, *result["model"]])


def _gb(rate: float | None) -> str:
    return "n/a" if rate is None else f"{rate / 1e9:g} GB/s"


def _check(args: argparse.Namespace) -> None:
    for name in ("chips", "batch", "batch_per_chip", "pairs"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)}: must be at least 1")
