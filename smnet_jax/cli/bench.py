"""`smnet bench NAME`: measure; one file of `smnet_jax.bench` per NAME."""

import argparse
import importlib

SUMMARY = "measure speed and memory"

BENCHES = ("infer", "step", "growth", "folder", "rows", "scale", "predict", "tpu", "trace")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    benches = parser.add_subparsers(dest="bench", metavar="NAME", title="measurements", required=True)
    for name in BENCHES:
        module = importlib.import_module(f"smnet_jax.bench.{name}")
        bench = benches.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        module.add_arguments(bench)
        bench.set_defaults(measure=module.run)


def run(args: argparse.Namespace) -> int:
    return args.measure(args)
