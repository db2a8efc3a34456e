"""The `smnet` command: one sub-command per file of this folder.

Each command's module has SUMMARY (a line for the overview), `add_arguments(parser)` and `run(args) -> exit code`.
Only the chosen command's module is imported, so that `smnet --help` does not wait for JAX.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from smnet_jax.cli.terminal import printable, tolerate_any_character
from smnet_jax.errors import InputError
from smnet_jax.host import huge_pages

COMMANDS = ("enhance", "train", "evaluate", "convert", "verify", "bench", "export", "serve", "completion")

# A training step of a narrow network is nearly twice as fast with huge pages; `enhance` takes as long without.
TRAINS = (["train"], ["bench", "step"])

# What only an optional extra brings, and which: for a command that needs it and does not say so itself.
EXTRAS = {
    "grain": "train",
    "matplotlib": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "tensorboardX": "train",
    "torch": "torch",
    "tyro": "train",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smnet` with `argv` (default: the process's) and return its exit code.

    0: done; 1: done, but some inputs failed and were named; 2: unusable input, one line on stderr; 130: interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None and any(arguments[: len(words)] == words for words in TRAINS):  # the process is ours
        huge_pages.ask()
    tolerate_any_character()
    try:
        return _dispatch(arguments)
    except InputError as error:
        # Lines of a message's own, a list say, stay lines.
        print("smnet: " + "\n".join(printable(line) for line in str(error).split("\n")), file=sys.stderr)
        return 2
    except (RuntimeError, AssertionError):
        if not _no_backend():
            raise
        platforms = printable(os.environ["JAX_PLATFORMS"])
        print(f"smnet: JAX_PLATFORMS={platforms}: not there; unset it, or install JAX for it", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        print(f"smnet: {missing} is not installed; pip install 'smnet-jax[{EXTRAS[missing]}]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("smnet: interrupted; finished outputs are kept", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of our output (`head`, say) has left: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _no_backend() -> bool:
    """Whether JAX finds none of the backends that JAX_PLATFORMS names; what it raises then differs by call."""
    if "JAX_PLATFORMS" not in os.environ or "jax" not in sys.modules:
        return False
    try:
        sys.modules["jax"].devices()
    except (RuntimeError, AssertionError):
        return True
    return False


def _dispatch(arguments: list[str]) -> int:
    overview = argparse.ArgumentParser(prog="smnet", description="SMNet low-light image enhancement in JAX.")
    overview.add_argument("--version", action="store_true", help="print the version and exit")
    commands = overview.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    asked = next((a for a in arguments if not a.startswith("-")), None)
    for name in COMMANDS:
        if name == asked or asked not in COMMANDS:
            module = importlib.import_module(f"smnet_jax.cli.{name}")
            parser = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
            module.add_arguments(parser)
            parser.set_defaults(run=module.run)
    args = overview.parse_args(arguments)
    if args.version:
        from smnet_jax import __version__

        print(f"smnet-jax {__version__}")
        return 0
    if args.command is None:
        overview.print_help()
        return 2
    return args.run(args)
