"""`smnet completion SHELL`: what the shell needs to complete commands, options and file names."""

import argparse
import importlib
from typing import Any

from smnet_jax.errors import InputError

SUMMARY = "print completion for bash, zsh or fish"

_FILES = {"INPUT", "SRC", "DST", "OUT", "W", "DIR", "FILE", "FILE.png", "FOLDER"}  # metavars of what lies on a disk


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "smnet completion bash > ~/.local/share/bash-completion/completions/smnet; the guide has the others"
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that will read it")


def run(args: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as error:
        raise InputError("completion: shtab is not installed; pip install 'smnet-jax[completion]'") from error
    print(shtab.complete(_everything(shtab.FILE), shell=args.shell))
    return 0


def _everything(file: Any) -> argparse.ArgumentParser:
    """The whole command line, with `file` as the completion of arguments that are files or folders."""
    from smnet_jax.cli import COMMANDS, train

    overview = argparse.ArgumentParser(prog="smnet")
    overview.add_argument("--version", action="store_true", help="print the version and exit")
    commands = overview.add_subparsers(dest="command")
    for name in COMMANDS:
        module = importlib.import_module(f"smnet_jax.cli.{name}")
        parser = commands.add_parser(name, help=module.SUMMARY)
        if module is train:
            _add_training(parser)
        else:
            module.add_arguments(parser)
        for action in parser._actions:  # shtab's way of saying it; argparse gives no other way to the arguments
            if action.metavar in _FILES and not action.choices:
                action.complete = file  # type: ignore[attr-defined]
    return overview


def _add_training(parser: argparse.ArgumentParser) -> None:
    """The settings of training, whose options tyro makes from the fields of `Config` when it is asked to."""
    import dataclasses
    from typing import Literal, get_args, get_origin, get_type_hints

    try:
        from smnet_jax.training import config
    except ImportError:  # without the extra `train` there is nothing to complete
        return
    parser.add_argument("config", choices=config.names())
    parser.add_argument("--workdir", metavar="DIR")
    kinds = get_type_hints(config.Config)
    for field in dataclasses.fields(config.Config):
        kind = kinds[field.name]
        option = f"--{field.name.replace('_', '-')}"
        if get_origin(kind) is Literal:
            parser.add_argument(option, choices=[word for word in get_args(kind) if word])
        else:
            parser.add_argument(option, metavar="FILE" if field.name in ("init", "data", "vgg") else "VALUE")
