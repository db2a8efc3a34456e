"""What the tests of training share."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smnet_jax.training import loop, pictures
from smnet_jax.training.config import Config
from smnet_jax.training.step import Step, make_step

# What of a config no step depends on.
_OF_THE_LOOP: dict[str, Any] = {
    "init": "", "on_nan": "stop", "evaluate_epochs": 5, "evaluate_pairs": 0, "checkpoint_steps": 0, "log_steps": 10,
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _runs_share_their_steps() -> Iterator[None]:
    """A file's runs of one config compile its step once: that is most of what a short run does."""
    made: dict[Any, Step] = {}

    def once(config: Config, mesh: Any, stage: Any, rate: Any, model: Any = None, augmentation: Any = None) -> Step:
        if config.profile:  # names its program's parts
            return make_step(config, mesh, stage, rate, model, augmentation)
        key = dataclasses.replace(config, **_OF_THE_LOOP), mesh, stage, model, augmentation
        if key not in made:
            made[key] = make_step(config, mesh, stage, rate, model, augmentation)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_step", once)
        yield


@pytest.fixture(autouse=True)
def _curves_are_not_drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends with its curves, and drawing them takes longer than training on dummy pairs: that is left to
    `test_pictures`, and to the run that a file of tests begins with."""

    def touch(path: Path, _: Any) -> None:
        path.write_bytes(b"")

    if not request.module.__name__.endswith("test_pictures"):
        monkeypatch.setattr(pictures, "curves", touch)
