"""`smnet bench NAME`: measure here, or compile for other machines and read the program."""

import argparse
import importlib

SUMMARY = "measure speed and memory"

BENCHES = {
    **{name: f"smnet_jax.bench.{name}" for name in ("infer", "step", "sizes", "folder", "scale", "photos")},
    "predict": "smnet_jax.aot.predict",
    "tpu": "smnet_jax.aot.tpu",
    "trace": "smnet_jax.hardware.trace",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    benches = parser.add_subparsers(dest="bench", metavar="NAME", title="measurements", required=True)
    for name, home in BENCHES.items():
        module = importlib.import_module(home)
        bench = benches.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        module.add_arguments(bench)
        bench.set_defaults(measure=module.run)


def run(args: argparse.Namespace) -> int:
    return args.measure(args)
