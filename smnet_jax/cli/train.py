"""`smnet train CONFIG --workdir DIR [--field value ...]`: train SMNet, or continue where a run was stopped."""

import argparse
import dataclasses
import difflib
import importlib
import os
from pathlib import Path
from typing import Annotated

from smnet_jax.errors import InputError

SUMMARY = "train the network by one of the recipes in configs/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every word after `train` goes to `run`: tyro makes the options from the fields of `Config`."""
    parser.prefix_chars = "\0"  # nothing is an option to argparse
    parser.add_argument("words", nargs="*", metavar="CONFIG --workdir DIR [--field value ...]")


def run(args: argparse.Namespace) -> int:
    """Train. 0: done; 143 or 130: stopped by a signal with everything saved, the same command continues."""
    import tyro

    from smnet_jax.training import config as configs
    from smnet_jax.training import options

    if not args.words or args.words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if args.words else 2
    name, *rest = args.words
    if name not in configs.names() and not name.endswith((".py", ".json")):
        near = difflib.get_close_matches(name, configs.names(), 1) or configs.names()
        raise InputError(
            f"train {name}: no such config; did you mean {', '.join(near)}? First the config, then options"
        )

    @dataclasses.dataclass(frozen=True)
    class Command:
        workdir: Path
        """Folder of the run: checkpoints, log, pictures, and the weights at the end."""
        config: Annotated[configs.Config, tyro.conf.OmitArgPrefixes]
        resume_with: tuple[str, ...] = ()
        """Settings that may differ from those of the run in the workdir, to continue it with more epochs or another
        rate: epochs learning_rate ..."""

    asked = tyro.cli(
        Command,
        prog=f"smnet train {name}",
        description=configs.describe(name),
        default=Command(tyro.MISSING, configs.load(name)),
        args=rest,
        config=(tyro.conf.FlagConversionOff,),
        registry=options.REGISTRY,
    )
    resume_with = [setting.replace("-", "_") for setting in asked.resume_with]
    configs.refuse_overridden(asked.config, _given(rest))
    configs.check(asked.config)
    from smnet_jax.host import allocator, compile_cache, huge_pages
    from smnet_jax.training.loop import train

    if not huge_pages.are_used():
        allocator.keep_freed_memory()
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        compile_cache.use(compile_cache.default_folder())
    outcome = train(asked.config, asked.workdir, resume_with)
    return 0 if outcome.finished else 128 + outcome.signal


def _given(words: list[str]) -> list[str]:
    """The settings that the words name."""
    return [word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")]


def _overview() -> str:
    from smnet_jax.training import config as configs

    lines = ["usage: smnet train CONFIG --workdir DIR [--field value ...]", "", "configs:"]
    for name in configs.names():
        first = (importlib.import_module(f"smnet_jax.configs.{name}").__doc__ or "").strip().splitlines()[0]
        lines.append(f"  {name:12} {first}")
    lines += [
        "",
        "smnet train CONFIG --help lists every setting with its value in that config.",
        "CONFIG may also be FILE.py, which defines `config` as those do, or the config.json of a run.",
        "The same command continues a run that was stopped or killed.",
    ]
    return "\n".join(lines)
