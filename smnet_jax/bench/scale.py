"""`smnet bench scale`: the training step over 1, 2, 4, ... devices: strong and weak scaling, three ways to divide it.

Batches are made up and stand on the devices already: this is the step alone. What the input pipeline delivers is
measured beside it, because a step that waits for pictures scales no further.
"""

import argparse
import csv
import dataclasses
import itertools
import json
import multiprocessing
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing

SUMMARY = "the training step over 1, 2, 4, ... devices: strong and weak scaling, MFU, memory, collectives"

STRATEGIES = ("jit-data", "pmap", "data-by-rows")
MODES = ("strong", "weak")
FORMULAS = {
    "seconds": "median over the measured steps of the time from dispatch until the results are there",
    "images_per_second": "global batch / seconds",
    "efficiency": "images_per_second(n) / (n / m * images_per_second(m)), m the fewest devices of jit-data in the same "
    "mode (of the strategy itself where jit-data was not measured)",
    "mfu": "model FLOPs of the step / (seconds * devices * peak FLOP/s of one), model FLOPs counted from the published "
    "layers: 3 * forward pass + 3 * VGG16 if the loss has it",
    "memory": "bytes for each device as the compiler plans them: arguments + results - reused + temporaries",
    "peak_memory": "bytes in use at most on the fullest device, as its allocator tells; null where it does not",
    "collective_bytes": "bytes that each device puts into the step's collectives, read from the compiled program",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="lol", metavar="NAME", help="a recipe of configs/ (default: lol)")
    parser.add_argument("--devices", type=int, nargs="+", metavar="N", help="counts (default: 1, 2, 4, ... all)")
    parser.add_argument(
        "--cpu-devices", type=int, default=4, metavar="N", help="on CPU, force up to N devices (default: 4)"
    )
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES, metavar="NAME",
                        help=f"of {', '.join(STRATEGIES)} (default: all)")  # fmt: skip
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, metavar="NAME", help="of strong, weak")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="strong: pictures in all (default: 64)")
    parser.add_argument(
        "--batch-per-device", type=int, default=16, metavar="N", help="weak: pictures for each device (default: 16)"
    )
    parser.add_argument("--rows", type=int, default=2, metavar="N", help="data-by-rows: devices that share a picture")
    for name, what in (("width", "features"), ("blocks", "blocks"), ("crop", "side of the crops")):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{what}, instead of the config's")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="instead of the config's")
    parser.add_argument("--loss", choices=("recipe", "l1_ssim"), help="instead of the config's")
    parser.add_argument("--remat", action="store_true", help="recompute each block in the gradient")
    parser.add_argument("--warmup", type=int, default=3, metavar="N", help="steps before measuring (default: 3)")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="measured steps (default: 20)")
    parser.add_argument("--data", metavar="DATA", help="as smnet train's: measure what the input pipeline delivers")
    parser.add_argument("--coordinator", default="", metavar="HOST:PORT", help="as smnet train's, with --processes N "
                        "and --process I, or auto: all devices of all hosts, at once")  # fmt: skip
    parser.add_argument("--processes", type=int, default=1, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--process", type=int, default=0, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each measurement")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves (png, svg or pdf)")


def run(args: argparse.Namespace) -> int:
    config = _config(args)
    from smnet_jax.training import hosts

    hosts.join(config)
    import jax

    forced = jax.default_backend() == "cpu" and jax.process_count() == 1
    cases = plan(args, args.cpu_devices if forced else jax.device_count())
    result = {**describe(forced), "config": dataclasses.asdict(config), "formulas": FORMULAS}
    result["rows"] = rows = _measure_all(config, cases, args.warmup, args.steps, forced)
    result["parameters"] = rows[0]["parameters"]
    add_efficiency(rows)
    if args.data:
        result["input"] = input_rate(dataclasses.replace(config, data=args.data))
    if hosts.is_writer():
        print(table(result))
        _write(result, args)
    return 0


@dataclasses.dataclass(frozen=True)
class Case:
    """One measurement."""

    mode: str
    strategy: str
    devices: int
    batch: int
    rows: int = 1

    def __str__(self) -> str:
        return f"{self.strategy} batch {self.batch}"


def plan(args: argparse.Namespace, most: int) -> list[Case]:
    """What to measure on up to `most` devices; combinations that do not divide are left out. Raises InputError where
    none is left."""
    import jax

    counts = args.devices or [2**i for i in range(most.bit_length())]
    if jax.process_count() > 1:
        counts = [most]  # a program of several processes has all their devices
    if too_many := [count for count in counts if not 1 <= count <= most]:
        raise InputError(f"--devices {too_many[0]}: there are {most} (on CPU, --cpu-devices makes more)")
    cases = []
    for mode, strategy, count in itertools.product(args.modes, args.strategies, sorted(set(counts))):
        batch = args.batch if mode == "strong" else args.batch_per_device * count
        rows = args.rows if strategy == "data-by-rows" else 1
        if batch % (count // rows or 1) or count % rows or (strategy == "pmap" and jax.process_count() > 1):
            continue
        cases.append(Case(mode, strategy, count, batch, rows))
    if not cases:
        raise InputError(f"--batch {args.batch}, --rows {args.rows}: divide over none of {counts} devices")
    return cases


def _measure_all(config: Any, cases: list[Case], warmup: int, steps: int, forced: bool) -> list[dict[str, Any]]:
    """A row for each case. Strong and weak meet where their batches are equal: that is measured once."""
    found: dict[Case, dict[str, Any]] = {}
    unlike = {dataclasses.replace(case, mode=""): None for case in cases}
    for count in sorted({case.devices for case in cases}):
        chosen = [case for case in unlike if case.devices == count]
        _say(f"{count} devices: {', '.join(map(str, chosen))}")
        if forced:
            # The number of CPU devices is fixed when JAX starts, and idle ones would still share out the cores.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                measured = pool.apply(_on_forced_devices, (config, chosen, warmup, steps))
        else:
            measured = [measure(config, case, warmup, steps) for case in chosen]
        found |= zip(chosen, measured, strict=True)
    return [{**dataclasses.asdict(case), **found[dataclasses.replace(case, mode="")]} for case in cases]


def _on_forced_devices(config: Any, cases: list[Case], warmup: int, steps: int) -> list[dict[str, Any]]:
    from smnet_jax.training import parallel

    parallel.prepare_cpu_devices(cases[0].devices)
    return [measure(config, case, warmup, steps) for case in cases]


def measure(config: Any, case: Case, warmup: int, steps: int) -> dict[str, Any]:
    """Compile the step, do it, and say how long it took, what it needs and what it sends."""
    import jax
    import numpy as np

    from smnet_jax.hardware import model_flops, specs
    from smnet_jax.hardware.hlo import Program
    from smnet_jax.training import parallel

    config = dataclasses.replace(
        config, devices=case.devices, rows=case.rows, batch=case.batch,
        parallel="pmap" if case.strategy == "pmap" else "jit",
    )  # fmt: skip
    mesh = parallel.make_mesh(config)
    parallel.check_batch(config.batch, config.crop, mesh.shape, config.accumulate)
    step, state, vgg = _step(config, mesh)
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    state, vgg = parallel.replicate(state, mesh), parallel.replicate(vgg, mesh)
    rng = np.random.default_rng(0)
    shape = (config.batch // jax.process_count(), config.crop, config.crop, 3)
    batch = parallel.share_batch({name: rng.random(shape, np.float32) for name in ("low", "high")}, mesh)
    begun = time.perf_counter()
    compiled = step.lower(state, batch, vgg).compile()
    compile_seconds = time.perf_counter() - begun
    seconds = []
    for number in range(warmup + steps):
        begun = time.perf_counter()
        state, scalars = step(state, batch, vgg)
        jax.block_until_ready((state, scalars))
        if number >= warmup:
            seconds.append(time.perf_counter() - begun)
    median = statistics.median(seconds)
    quarters = np.percentile(seconds, (25, 75)).tolist()
    work = model_flops.training_step(
        config.batch, (config.crop, config.crop), variant=config.variant, width=config.width, blocks=config.blocks,
        loss=config.loss, deep_supervision=bool(config.deep_supervision),
    )  # fmt: skip
    peak = specs.flops(mesh.devices.flat[0].device_kind, config.dtype, config.precision or None)
    memory = compiled.memory_analysis()
    sent = Program(compiled.as_text()).collective_bytes()
    return {
        "seconds": median,
        "quartiles": quarters,
        "all_seconds": seconds,
        "compile_seconds": compile_seconds,
        "images_per_second": case.batch / median,
        "model_flops": work,
        "parameters": parameters,
        "mfu": specs.mfu(work, median, peak, case.devices),
        "memory": memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes,
        "peak_memory": max(_in_use(device) for device in mesh.local_devices) or None,
        "collectives": sent,
        "collective_bytes": sum(sent.values()),
        "loss": float(scalars["loss"]),
    }  # fmt: skip


def _in_use(device: Any) -> int:
    return (device.memory_stats() or {}).get("peak_bytes_in_use") or 0


def _step(config: Any, mesh: Any) -> tuple[Any, Any, Any]:
    """(compilable step, first state, variables of VGG16 or nothing), just as `smnet train` has them."""
    from smnet_jax import vgg16
    from smnet_jax.network.initialisation import initialise
    from smnet_jax.training.schedule import learning_rate, plan
    from smnet_jax.training.step import init_state, make_step

    spans = plan(config, config.batch)
    step = make_step(config, mesh, spans[-1].stage, learning_rate(config, spans))
    state = init_state(config, initialise(step.model, config.seed)["params"])
    vgg = vgg16.load_vgg16() if config.loss == "recipe" else {}
    return step.compiled, state, vgg


def add_efficiency(rows: list[dict[str, Any]]) -> None:
    """Adds `efficiency` to each row; see FORMULAS."""
    for row in rows:
        alike = [r for r in rows if r["mode"] == row["mode"] and r["strategy"] in ("jit-data", row["strategy"])]
        base = min(alike, key=lambda r: (r["strategy"] != "jit-data", r["devices"]))
        row["efficiency"] = row["images_per_second"] / (row["devices"] / base["devices"] * base["images_per_second"])


def input_rate(config: Any, batches: int = 8) -> dict[str, Any]:
    """Pictures per second that this host reads, crops and batches, with `config.threads` threads and nothing else to
    do."""
    from smnet_jax.training import inputs, schedule

    pairs = inputs.open_data(config).training
    config = dataclasses.replace(config, batch=min(config.batch, len(pairs)))
    spans = schedule.plan(config, len(pairs))
    loader = inputs.open_loader(config, pairs, spans, spans[0], 0, 1)
    try:
        for _ in range(6):  # what was read ahead while nobody asked
            next(loader)
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(batches):
            next(loader)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    finally:
        loader.close()
    pictures = batches * config.batch
    return {
        "images_per_second": pictures / seconds,
        "cpu_seconds_per_image": cpu / pictures,
        "threads": config.threads,
        "data": config.data,
    }


def describe(forced: bool) -> dict[str, Any]:
    """Where this is measured, and what it is evidence of."""
    import jax

    from smnet_jax.bench import machine

    devices = jax.devices()
    found = machine.describe() | {"platform": devices[0].platform, "processes": jax.process_count()}
    found["topology"] = "forced CPU devices" if forced else f"{len(devices)} x {devices[0].device_kind}"
    if coordinates := [getattr(device, "coords", None) for device in devices if getattr(device, "coords", None)]:
        found["topology"] += ", " + "x".join(str(max(axis) + 1) for axis in zip(*coordinates, strict=True))
    evidence = "measured"
    if forced:
        evidence = (
            f"forced CPU devices that share the same {found['cores']} cores: evidence that the programs run and of "
            "what they send, none of how they scale"
        )
    return {"evidence": evidence, "machine": found}


def table(result: dict[str, Any]) -> str:
    """For reading."""
    from smnet_jax.hardware import specs

    where, config = result["machine"], result["config"]
    lines = [
        f"training step, {config['variant']} width {config['width']}, {config['blocks']} blocks, {config['loss']} "
        f"loss, {config['dtype']}, {config['crop']}x{config['crop']}; {where['topology']}, {where['processes']} "
        f"process(es), jax {where['jax']}, {where['date']}",
        result["evidence"],
        f"{'mode':7}{'strategy':13}{'devices':>8}{'batch':>7}{'s':>9}{'quartiles':>17}{'images/s':>10}{'efficiency':>11}"
        f"{'MFU':>8}{'MiB/device':>11}{'sent MB':>9}",
    ]
    for row in result["rows"]:
        low, high = row["quartiles"]
        lines.append(
            f"{row['mode']:7}{row['strategy']:13}{row['devices']:>8}{row['batch']:>7}{row['seconds']:>9.4f}"
            f"{f'{low:.4f}-{high:.4f}':>17}{row['images_per_second']:>10.2f}{row['efficiency']:>11.2f}"
            f"{specs.show(row['mfu']):>8}{(row['peak_memory'] or row['memory']) / 2**20:>11.0f}"
            f"{row['collective_bytes'] / 1e6:>9.2f}"
        )
    if found := result.get("input"):
        lines.append(
            f"input pipeline on this host: {found['images_per_second']:.0f} images/s with {found['threads']} threads "
            f"from {found['data']}, {found['cpu_seconds_per_image'] * 1e3:.2f} ms of CPU an image"
        )
    return "\n".join([*lines, *(f"{name} = {formula}" for name, formula in FORMULAS.items())])


COLUMNS = ("mode", "strategy", "devices", "rows", "batch", "seconds", "images_per_second", "efficiency", "mfu",
           "memory", "peak_memory", "collective_bytes", "compile_seconds")  # fmt: skip


def _write(result: dict[str, Any], args: argparse.Namespace) -> None:
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")
    if args.csv:
        with replacing(args.csv) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*COLUMNS, "evidence"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows({**row, "evidence": result["evidence"]} for row in result["rows"])
    if args.plot:
        from smnet_jax.bench.scale_plot import curves

        curves(result, args.plot)


def _config(args: argparse.Namespace) -> Any:
    from smnet_jax.training import config as configs

    for name in ("warmup", "steps", "batch", "batch_per_device", "rows", "cpu_devices"):
        if getattr(args, name) < (0 if name == "warmup" else 1):
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)}: is too small")
    config = configs.load(args.config)
    stage = config.stages[-1] if config.stages else None
    changes: dict[str, Any] = {"crop": stage.crop, "loss": stage.loss} if stage else {}
    for name in ("width", "blocks", "crop", "dtype", "loss"):
        if getattr(args, name) is not None:
            changes[name] = getattr(args, name)
    config = dataclasses.replace(
        config, **changes, stages=(), steps=1, batch=args.batch, remat=args.remat or config.remat,
        coordinator=args.coordinator, processes=args.processes, process=args.process,
    )  # fmt: skip
    configs.check(config)
    if config.crop % (4 * args.rows):
        raise InputError(f"--rows {args.rows}: the crop {config.crop} does not divide into as many strips of fours")
    return config


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
