"""How the settings of a run are read from the command line; apart from `Config`, which so needs no tyro."""

import dataclasses
from typing import Any

import tyro

from smnet_jax.training.config import Stage


def _parse_stage(words: list[str]) -> Stage:
    values = {name: value for name, _, value in (part.partition("=") for part in words[0].split(","))}
    kinds = {field.name: field.type for field in dataclasses.fields(Stage)}
    if unknown := sorted(values.keys() - kinds.keys()):
        raise ValueError(f"{words[0]}: a stage has {', '.join(kinds)}, not {', '.join(unknown)}")
    if missing := sorted({"steps", "crop", "batch"} - values.keys()):
        raise ValueError(f"{words[0]}: a stage needs {', '.join(missing)}")
    if values.get("loss", "recipe") not in ("recipe", "l1_ssim"):
        raise ValueError(f"{words[0]}: loss is recipe or l1_ssim")
    typed: dict[str, Any] = {name: int(value) if kinds[name] is int else value for name, value in values.items()}
    return Stage(**typed)


STAGE_IN_WORDS = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="steps=N,crop=N,batch=N[,loss=L][,resize=N][,thin=N][,wide=N]",
    instance_from_str=_parse_stage,
    is_instance=lambda value: isinstance(value, Stage),
    str_from_instance=lambda stage: [stage.in_words()],
)

REGISTRY = tyro.constructors.ConstructorRegistry()


@REGISTRY.primitive_rule
def _stage(kind: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[Stage] | None:
    return STAGE_IN_WORDS if kind.type is Stage else None
