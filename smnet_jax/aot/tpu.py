"""`smnet bench tpu`: what the TPU compiler makes of the training step and of inference, without a TPU.

Nothing is run and nothing is measured. FLOPs, bytes, memory and collectives are what the compiled program says;
cycles are the compiler's own estimates, of which step time, images/s and MFU are made.
"""

import argparse
import collections
import dataclasses
import functools
import json
import re
import time
from pathlib import Path
from typing import Any

from smnet_jax.aot.topology import EXAMPLES, Topology, describe
from smnet_jax.bench.arguments import picture_size
from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing

SUMMARY = "compile for TPUs that are not there; the compiler's estimates, nothing measured"
DTYPES = {"bf16": "bfloat16", "bfloat16": "bfloat16", "f32": "float32", "float32": "float32"}
IMPLEMENTATIONS = ("auto", "reference", "cpu", "gpu", "tpu")
TOP = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--topology", default="v5e:2x2", metavar="KIND:SHAPE", help=f"{EXAMPLES}, ... (up to 256 chips)"
    )
    parser.add_argument("--config", default="lol", metavar="NAME", help="a recipe of configs/ (default: lol)")
    parser.add_argument("--batch-per-chip", type=int, default=16, metavar="N", help="training pairs (default: 16)")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", metavar="TYPE", help="bf16 (default) or float32")
    parser.add_argument("--size", default="600x400", metavar="WxH", help="of the pictures in inference")
    parser.add_argument("--pictures-per-chip", type=int, default=8, metavar="N", help="in inference (default: 8)")
    parser.add_argument("--only", choices=("train", "infer"), help="compile one of the two")
    parser.add_argument(
        "--implementation",
        choices=IMPLEMENTATIONS,
        default="auto",
        help="of the network, to compare (default: TPU's best)",
    )
    parser.add_argument("--width", type=int, metavar="C", help="features, instead of the config's")
    parser.add_argument("--blocks", type=int, metavar="N", help="instead of the config's")
    parser.add_argument("--crop", type=int, metavar="N", help="side of the training pictures, instead of the config's")
    parser.add_argument("--rows", type=int, default=1, metavar="N", help="devices that share one picture (default: 1)")
    parser.add_argument("--strips", type=int, metavar="N", help="of a picture's rows in inference, instead of the best")
    parser.add_argument(
        "--accumulate", type=int, metavar="N", help="microbatches of a batch (default: as smnet train has them)"
    )
    parser.add_argument("--remat", action="store_true", help="recompute each block in the gradient")
    parser.add_argument("--scan", action="store_true", help="the block as a loop's body in training too")
    parser.add_argument(
        "--xla", nargs="+", default=[], metavar="NAME=VALUE", help="options of the compiler, to see what they do"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--text", type=Path, metavar="FOLDER", help="write the compiled programs (HLO) for reading")


def run(args: argparse.Namespace) -> int:
    _avoid_real_tpus()
    topology = describe(args.topology)
    config = _config(args, topology)
    result: dict[str, Any] = {
        "what": "ahead-of-time compilation: estimates of the TPU compiler, nothing measured",
        "topology": topology.name,
        "chips": topology.chips,
        "devices_a_chip": topology.devices_a_chip,
        "device_kind": topology.device_kind,
        "config": args.config,
        **_versions(),
    }
    for kind in (args.only,) if args.only else ("train", "infer"):
        program = training(config, topology, args) if kind == "train" else inference(config, topology, args)
        text, found = compile_program(program, topology, _options(args.xla))
        result[kind] = found
        print(table(result, kind), flush=True)
        if args.text and text:
            with replacing(args.text / f"{kind}.txt") as temporary:
                temporary.write_text(text)
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")
    return 0


@dataclasses.dataclass(frozen=True)
class Compilable:
    """A jitted function, its abstract arguments, and what one call of it does on all devices together."""

    title: str
    function: Any
    arguments: tuple[Any, ...]
    images: int
    model_flops: int
    dtype: str
    implementation: str
    strips: int = 1


def training(config: Any, topology: Topology, args: argparse.Namespace) -> Compilable:
    """The step as `smnet train` jits it, over all devices of the topology."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh

    from smnet_jax import vgg16
    from smnet_jax.hardware import model_flops
    from smnet_jax.training import parallel
    from smnet_jax.training import step as steps
    from smnet_jax.training.schedule import Stage, learning_rate, plan

    stage = Stage(1, config.crop, config.batch, config.loss)
    shape = {"data": len(topology.devices) // config.rows, "rows": config.rows}
    parallel.check_batch(config.batch, config.crop, shape, config.accumulate)
    mesh = Mesh(_array(topology).reshape(shape["data"], shape["rows"]), ("data", "rows"))
    rate = learning_rate(config, plan(dataclasses.replace(config, stages=(stage,)), config.batch))
    model = None
    if args.implementation != "auto":
        model = steps.make_model(config, "tpu").clone(implementation=args.implementation)
    step = steps.make_step(config, mesh, stage, rate, model)
    model, microbatches = step.model, step.microbatches
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    state = jax.eval_shape(functools.partial(steps.init_state, config), params)
    pictures = jax.ShapeDtypeStruct((config.batch, config.crop, config.crop, 3), jnp.float32)
    vgg = vgg16.shapes() if config.loss == "recipe" else {}
    work = model_flops.training_step(
        config.batch,
        (config.crop, config.crop),
        variant=config.variant,
        width=config.width,
        blocks=config.blocks,
        loss=config.loss,
        deep_supervision=bool(config.deep_supervision),
    )
    return Compilable(
        f"training step, {config.variant} width {config.width}, {config.loss} loss, {config.dtype}, "
        f"{config.crop}x{config.crop}, batch {config.batch}"
        + (f" in {microbatches} microbatches" if microbatches > 1 else ""),
        step.compiled,
        (state, {"low": pictures, "high": pictures}, vgg),
        config.batch,
        work,
        config.dtype,
        model.implementation,
    )


def inference(config: Any, topology: Topology, args: argparse.Namespace) -> Compilable:
    """The network on whole pictures, the batch over all devices."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from smnet_jax.hardware import model_flops
    from smnet_jax.network.tpu.strips import Strips
    from smnet_jax.training.step import make_model

    width, height = picture_size(args.size)
    count = args.pictures_per_chip * topology.chips
    if count < 1 or count % len(topology.devices):
        raise InputError(f"--pictures-per-chip {args.pictures_per_chip}: must share out over its devices")
    model = make_model(config, "tpu").clone(remat=False)
    if args.implementation != "auto":
        model = model.clone(implementation=args.implementation)
    if args.implementation != "reference":  # which is there to compare with, and has no such refinements
        model = model.for_inference(count // len(topology.devices), height, "tpu")
    model = model.clone(scan=model.scan or args.scan, strips=args.strips or model.strips)
    try:
        Strips(height, model.strips)
    except ValueError as error:
        raise InputError(f"--strips {model.strips}: {error}") from error
    mesh = Mesh(_array(topology), ("data",))
    everywhere, by_picture = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    work = count * model_flops.forward(height, width, variant=config.variant, width=config.width, blocks=config.blocks)
    return Compilable(
        f"inference, {config.variant} width {config.width}, {config.dtype}, {count} pictures of {args.size}",
        jax.jit(model.apply, in_shardings=(everywhere, by_picture), out_shardings=by_picture),
        (variables, jax.ShapeDtypeStruct((count, height, width, 3), jnp.float32)),
        count,
        work,
        config.dtype,
        model.implementation,
        model.strips,
    )


def compile_program(
    program: Compilable, topology: Topology, options: dict[str, Any] | None = None
) -> tuple[str, dict[str, Any]]:
    """(HLO text, what is to be said of it); the text is empty where the program does not fit into memory."""
    from smnet_jax.aot.traffic import main_memory_bytes
    from smnet_jax.hardware import specs
    from smnet_jax.hardware.hlo import Program

    peak, share = specs.of(topology.device_kind), topology.devices_a_chip
    found: dict[str, Any] = {
        "title": program.title,
        "implementation": program.implementation,
        "strips": program.strips,
        "options": options or {},
        "images": program.images,
        "images_a_chip": program.images / topology.chips,
        "hbm": peak.memory // share if peak else None,
    }
    started, cpu = time.perf_counter(), time.process_time()
    try:
        compiled = program.function.lower(*program.arguments).compile(compiler_options=options or None)
    except Exception as error:  # JAX has no type of its own for it
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return "", found | {"fits": False, "reason": _first_line(error)}
    found |= {"compile_seconds": time.perf_counter() - started, "compile_cpu_seconds": time.process_time() - cpu}
    text = compiled.as_text()
    hlo, costs, memory = Program(text), compiled.cost_analysis() or {}, compiled.memory_analysis()
    at_peak = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    at_peak += memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
    found |= {
        "flops": costs.get("flops"),
        "bytes": costs.get("bytes accessed"),
        "hbm_bytes": main_memory_bytes(hlo),
        "arguments": memory.argument_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        "peak": at_peak,
        "fits": at_peak <= found["hbm"] if found["hbm"] else None,
        "loops": list(hlo.loops.values()),
        "loops_of_unknown_length": len(hlo.unknown_loops),
        "collectives": [
            {"kind": kind, "group": group, "count": count, "bytes": size}
            for (kind, group), (count, size) in _collectives(hlo).items()
        ],
        "cycles": hlo.cycles,
        "fusions": top(hlo),
    }
    if peak and peak.clock and hlo.cycles:
        seconds = hlo.cycles / peak.clock
        best = specs.flops(topology.device_kind, program.dtype)
        found |= {
            "clock": peak.clock,
            "cycles_of_operations": found["flops"] / (best / share) * peak.clock if best else None,
            "cycles_of_hbm": found["hbm_bytes"] / (peak.bandwidth / share) * peak.clock,
            "seconds": seconds,
            "images_per_second": program.images / seconds,
            "images_per_second_a_chip": program.images / seconds / topology.chips,
            "mfu": specs.mfu(program.model_flops / topology.chips, seconds, best),
        }
    return text, found


def top(hlo: Any, count: int = TOP) -> list[dict[str, Any]]:
    """The instructions with most cycles over all their executions."""
    chosen = sorted(hlo.work, key=lambda work: -work.total)[:count]
    return [{**dataclasses.asdict(work), "share": work.total / hlo.cycles} for work in chosen]


def table(result: dict[str, Any], kind: str) -> str:
    """One program's numbers, for reading."""
    found = result[kind]
    per = "chip" if result["devices_a_chip"] == 1 else f"device ({result['devices_a_chip']} a chip)"
    lines = [
        f"{found['title']}, implementation {found['implementation']}"
        + (f", in {found['strips']} strips" if found["strips"] > 1 else ""),
        f"on {result['topology']} ({result['chips']} chips, {result['device_kind']}); the compiler's estimates for "
        f"each {per}, nothing measured; jax {result['jax']}, libtpu {result['libtpu']}",
    ]
    if "cycles" not in found:
        return "\n".join([*lines, f"  does not fit into {_gib(found['hbm'])} of HBM: {found['reason']}", ""])
    memory = "HBM unknown" if found["fits"] is None else f"{'fits' if found['fits'] else 'DOES NOT FIT'} into"
    once = ", loop bodies counted once" if found["loops"] else ""
    lines += [
        f"  operations       {found['flops'] / 1e9:12.1f} GFLOP, {found['bytes'] / 1e9:.2f} GB accessed{once}",
        f"  of these         {found['hbm_bytes'] / 1e9:12.2f} GB move to or from HBM{_least(found)}",
        f"  memory           {_gib(found['peak']):>12} at peak, {_gib(found['temporary'])} of it temporary; "
        f"{memory} {_gib(found['hbm'])}",
    ]
    for row in found["collectives"]:
        members = f"over {row['group']} devices" if row["group"] else ""
        lines.append(f"  {row['kind']:16} {row['bytes'] / 1e6:12.2f} MB in {row['count']} {members}")
    if not found["collectives"]:
        lines.append("  collectives              none")
    lines.append(f"  cycles           {found['cycles'] / 1e6:12.2f} million, communication not included")
    if "seconds" in found:
        lines.append(
            f"  from these       {1e3 * found['seconds']:12.2f} ms at {found['clock'] / 1e9:.3f} GHz, "
            f"{found['images_per_second_a_chip']:.1f} images/s a chip, {found['images_per_second']:.0f} in all, "
            f"MFU {_percent(found['mfu'])}"
        )
    if found["loops_of_unknown_length"]:
        lines.append(f"  {found['loops_of_unknown_length']} loops of unknown length are counted as one turn")
    lines += [
        f"  compiled in      {found['compile_seconds']:12.0f} s ({found['compile_cpu_seconds']:.0f} s of CPU)",
        f"  the {len(found['fusions'])} largest by cycles:",
    ]
    for row in found["fusions"]:
        turns = f" x{row['runs']}" if row["runs"] > 1 else ""
        name = "/".join(re.sub(r"^jit\([^)]*\)/", "", row["operation"]).split("/")[-4:]) or row["opcode"]
        lines.append(
            f"  {row['cycles'] * row['runs'] / 1e6:8.3f} M{turns:4} {row['share']:6.1%}  {name}  {row['source']}"
        )
    return "\n".join([*lines, ""])


def _least(found: dict[str, Any]) -> str:
    """What operations and memory alone would take."""
    if not found.get("cycles_of_hbm"):
        return ""
    said = f": {found['cycles_of_hbm'] / 1e6:.2f} million cycles at its bandwidth"
    if found["loops"] or not found["cycles_of_operations"]:
        return said
    return f"{said}; the operations take {found['cycles_of_operations'] / 1e6:.2f}"


def _collectives(hlo: Any) -> dict[tuple[str, int], tuple[int, int]]:
    """(kind, group) -> (how many, bytes that a device puts in)."""
    sums: dict[tuple[str, int], tuple[int, int]] = collections.defaultdict(lambda: (0, 0))
    for collective in hlo.collectives:
        count, size = sums[collective.kind, collective.group]
        sums[collective.kind, collective.group] = count + collective.runs, size + collective.total
    return dict(sums)


def _config(args: argparse.Namespace, topology: Topology) -> Any:
    from smnet_jax.training import config as configs

    if args.batch_per_chip < 1:
        raise InputError(f"--batch-per-chip {args.batch_per_chip}: must be at least 1")
    config = configs.load(args.config)
    stage = config.stages[-1] if config.stages else None
    changes = {
        "dtype": DTYPES[args.dtype],
        "batch": args.batch_per_chip * topology.chips,
        "crop": args.crop or (stage.crop if stage else config.crop),
        "loss": stage.loss if stage else config.loss,
        "width": args.width or config.width,
        "blocks": args.blocks or config.blocks,
        "rows": args.rows,
        "accumulate": args.accumulate or config.accumulate,
        "remat": args.remat or config.remat,
        "scan": args.scan or config.scan,
        "stages": (),
    }
    config = dataclasses.replace(config, **changes)
    configs.check(config)
    if len(topology.devices) % config.rows:
        raise InputError(f"--rows {config.rows}: does not divide the {len(topology.devices)} devices")
    return config


def _avoid_real_tpus() -> None:
    """Keep JAX's own arrays on the CPU: a machine's own TPU, if any, is not what is asked about."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def _array(topology: Topology) -> Any:
    import numpy as np

    return np.array(topology.devices)


def _versions() -> dict[str, str]:
    import importlib.metadata

    names = ("jax", "libtpu")
    return {name: importlib.metadata.version(name) for name in names} | {"date": time.strftime("%Y-%m-%d")}


def _options(words: list[str]) -> dict[str, Any]:
    """NAME=VALUE, where true and false are meant as such."""
    if wrong := [word for word in words if "=" not in word]:
        raise InputError(f"--xla {wrong[0]}: must be NAME=VALUE")
    pairs = (word.split("=", 1) for word in words)
    return {name: {"true": True, "false": False}.get(value.lower(), value) for name, value in pairs}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.2f} GiB"


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{share:.1%}".replace("%", " %")
