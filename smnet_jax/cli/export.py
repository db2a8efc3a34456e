"""`smnet export`: the network as a file that runs without this package."""

import argparse
import json
from importlib.metadata import version
from pathlib import Path

from smnet_jax.errors import InputError

SUMMARY = "write the network with its weights as ONNX or StableHLO, to run without this package"

SUFFIXES = {"onnx": ".onnx", "stablehlo": ".stablehlo"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "`smnet verify OUT --weights W` proves that the file gives the same pictures in its own runtime."
    parser.add_argument(
        "weights", metavar="W", nargs="?", help="bundled name, converted directory, .pth or .safetensors file"
    )
    parser.add_argument("out", metavar="OUT", nargs="?", type=Path, help="file to write; its suffix is the format")
    parser.add_argument(
        "--format", choices=(*SUFFIXES, "both"), help="the format, where OUT has no suffix of one; both: writes two"
    )
    parser.add_argument(
        "--opset",
        type=int,
        metavar="N",
        help="ONNX: version of its operators, 17 to 23 (default: 23); older runtimes, TensorRT and OpenVINO want 17",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="ONNX, SMNet: of weights and features; float16 is half as large and coarser, and faster on GPUs",
    )
    parser.add_argument(
        "--precision",
        choices=("highest", "default"),
        default="highest",
        help="StableHLO: of float32 products; highest (default) gives the same pictures on every device, "
        "default is the device's fastest",
    )
    parser.add_argument(
        "--web", metavar="DIR", type=Path, help="write instead a page that brightens photos in the visitor's browser"
    )
    parser.add_argument(
        "--ort",
        metavar="PATH",
        type=Path,
        help="for --web: the npm package onnxruntime-web, a folder or the .tgz file that `npm pack` downloads",
    )


def run(args: argparse.Namespace) -> int:
    """Write each format and its description, and say what they are."""
    if args.web is not None:
        return _web(args)
    if args.ort is not None:
        raise InputError("--ort: belongs to --web DIR; give both or neither")
    if args.weights is None or args.out is None:
        raise InputError("export: name the weights and the file to write (smnet export W OUT), or --web DIR")
    targets = _targets(args.out, args.format)
    if any(path.suffix != ".onnx" for path in targets):
        for option, given in (("--opset", args.opset is not None), ("--dtype float16", args.dtype == "float16")):
            if given:
                raise InputError(f"{option}: belongs to ONNX; leave it out, or name a file that ends in .onnx")

    from smnet_jax.checkpoints import weights
    from smnet_jax.export.metadata import describe, metadata_path
    from smnet_jax.host.atomic_files import replacing

    if weights.is_exposure(args.weights):
        if args.dtype == "float16":
            raise InputError("--dtype float16: these weights draw curves, which need float32; leave it out")
        return _exposure(args.weights, targets, args.opset)
    found = weights.read(args.weights)
    about = {"name": Path(args.weights).name, **{k: v for k, v in found.about.items() if k in ("source", "sha256")}}
    for path in targets:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        if path.suffix == ".onnx":
            from smnet_jax.export.onnx_graph import to_onnx
            from smnet_jax.export.onnx_nodes import OPSET

            opset = OPSET if args.opset is None else args.opset
            data = to_onnx(found.architecture, found.params, opset=opset, half=args.dtype == "float16")
            versions = {"onnx": version("onnx"), "opset": str(opset), "dtype": args.dtype}
        else:
            from smnet_jax.export.stablehlo import to_stablehlo
            from smnet_jax.network.model import SMNet

            precision = None if args.precision == "default" else args.precision
            model = SMNet(**vars(found.architecture), precision=precision)
            data = to_stablehlo(model, {"params": found.params})
            versions = {"jax": version("jax"), "precision": args.precision}
        description = describe(path.suffix, data, found.architecture, about, versions)
        with replacing(path) as temporary:
            temporary.write_bytes(data)
        with replacing(metadata_path(path)) as temporary:
            temporary.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        print(f"{path}: {len(data) / 1e6:.1f} MB, {found.architecture.variant}, width {found.architecture.width}")
        print(f"  runs in {description['runs_in']}; described in {metadata_path(path)}")
        print(f"  check it: smnet verify {path} --weights {args.weights}")
    return 0


def _web(args: argparse.Namespace) -> int:
    if args.out is not None or args.format is not None:
        raise InputError("--web DIR: writes a folder; leave OUT and --format out (smnet export W --web DIR)")

    from smnet_jax.checkpoints import weights
    from smnet_jax.export import web

    web.check_folder(args.web)
    runtime = web.read_runtime(web.find_runtime(args.ort))
    source = args.weights or weights.DEFAULT
    if weights.is_exposure(source):
        model, variables = weights.load(source)
        network = web.exposure(model, variables["params"])
    else:
        found = weights.read(source)
        network = web.smnet(found.architecture, found.params)
    size = web.write_page(args.web, network, Path(source).name, runtime)
    print(f"{args.web}: {size / 1e6:.1f} MB, ready for any static host; ONNX Runtime Web {runtime.version}")
    print(f"  try it here: python -m http.server --bind 127.0.0.1 --directory {args.web}")
    return 0


def _exposure(source: str, targets: list[Path], opset: int | None) -> int:
    """ExposureNet, as ONNX."""
    from smnet_jax.checkpoints.weights import load
    from smnet_jax.export.exposure_graph import to_onnx
    from smnet_jax.export.metadata import describe_exposure, metadata_path
    from smnet_jax.export.onnx_nodes import OPSET
    from smnet_jax.host.atomic_files import replacing

    for path in targets:
        if path.suffix != ".onnx":
            raise InputError(f"{path}: these weights are exported as .onnx only; let the name end so")
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        model, variables = load(source)
        opset = OPSET if opset is None else opset
        data = to_onnx(model, variables["params"], opset=opset)
        versions = {"onnx": version("onnx"), "opset": str(opset)}
        with replacing(path) as temporary:
            temporary.write_bytes(data)
        with replacing(metadata_path(path)) as temporary:
            description = describe_exposure(data, model, {"name": Path(source).name}, versions)
            temporary.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        print(f"{path}: {len(data) / 1e6:.1f} MB, ExposureNet; runs in {description['runs_in']}")
    return 0


def _targets(out: Path, kind: str | None) -> list[Path]:
    """The files to write."""
    suffix = out.suffix if out.suffix in SUFFIXES.values() else None
    if kind == "both":
        stem = out.with_suffix("") if suffix else out
        return [stem.with_name(stem.name + end) for end in SUFFIXES.values()]
    if suffix and kind and SUFFIXES[kind] != suffix:
        raise InputError(f"{out}: contradicts --format {kind}; leave one of them out")
    if not suffix and not kind:
        raise InputError(f"{out}: let its name end in .onnx or .stablehlo, or give --format")
    return [out if suffix else out.with_name(out.name + SUFFIXES[kind or ""])]
