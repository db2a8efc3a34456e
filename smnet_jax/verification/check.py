"""The verification itself: our network in every mode against a reference."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.network.model import SMNet
from smnet_jax.verification import comparison, modes, stages
from smnet_jax.verification.comparison import Difference, first_outside
from smnet_jax.verification.modes import Mode
from smnet_jax.verification.stages import Arrays, Training


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """What the reference computed for one picture."""

    name: str
    low: np.ndarray
    """(1,H,W,3), or any batch."""
    forward: Arrays


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingReference:
    """What the reference computed in one training step from the same parameters."""

    low: np.ndarray
    high: np.ndarray
    training: Training


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """What one mode came to."""

    mode: Mode
    differences: list[Difference]
    """By stage, in the order of computation."""
    levels: int
    """Largest difference of the output in steps of 8 bits."""
    worst: tuple[str, np.ndarray, np.ndarray]
    """Name, our output and the reference's, (H,W,3), of the picture that differs most."""

    @property
    def within(self) -> bool:
        """No stage leaves its tolerance."""
        return first_outside(self.differences) is None


def check_forward(
    architecture: Architecture,
    params: Any,
    references: Sequence[Reference],
    *,
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Every mode against the references; `done` hears of each finished one."""
    variables = {"params": jax.tree.map(jnp.asarray, params)}
    outcomes = []
    for mode in modes.all_modes(jax.default_backend()):
        outcomes.append(_check_mode(mode, architecture, variables, references))
        done(outcomes[-1])
    return outcomes


def _check_mode(mode: Mode, architecture: Architecture, variables: Any, references: Sequence[Reference]) -> Outcome:
    run, output = modes.forward(mode, architecture), stages.output(architecture.blocks)
    differences, levels, pictures = [], 0, []
    for reference in references:
        ours = run(variables, reference.low)
        theirs = {name: value for name, value in reference.forward.items() if name in ours}
        named = [
            dataclasses.replace(d, where=reference.name)
            for d in comparison.stage_by_stage(ours, theirs, mode.tolerance)
        ]
        differences.append(named)
        levels = max(levels, comparison.levels(ours[output], theirs[output]))
        far = next(d.absolute for d in named if d.stage == output)
        pictures.append((far, reference.name, ours[output][0], theirs[output][0]))
    _, *worst = max(pictures, key=lambda picture: picture[0])
    return Outcome(mode, comparison.worst(differences), levels, (worst[0], worst[1], worst[2]))


def check_training(
    architecture: Architecture, params: Any, references: Sequence[TrainingReference], vgg: Any
) -> list[Difference]:
    """Loss terms, gradients and one update of Adam, computed at highest precision.

    Of the gradients, each group's *smallest* difference over the references counts. The gradient jumps where the input
    of an activation, a pooling or an absolute value crosses a non-smooth point. Rounding does that now and then, on
    another picture each time; an error of the formulas shows on all. Adam's update is made from the reference's
    gradients, so that it is judged alone.
    """
    model = SMNet(**vars(architecture), precision="highest")
    variables = {"params": jax.tree.map(jnp.asarray, params)}
    gradient = stages.loss_and_gradients(model)
    losses, gradients = [], []
    updates: list[Difference] = []
    for reference in references:
        theirs = reference.training
        loss, found = gradient(variables, reference.low, reference.high, vgg)
        losses.append(comparison.stage_by_stage(loss, theirs.loss, modes.LOSS, prefix="loss/"))
        gradients.append(comparison.by_group(found, theirs.gradients, modes.GRADIENT, prefix="gradient/"))
        if theirs.updated is not None and not updates:
            updates += _update(variables["params"], theirs)
    smallest = [min(same, key=lambda d: d.relative) for same in zip(*gradients, strict=True)]
    return [*comparison.worst(losses), *smallest, *updates]


def _update(params: Any, reference: Training) -> list[Difference]:
    assert reference.updated is not None
    found = stages.updated(params, reference.gradients)
    groups = comparison.by_group(found, reference.updated, modes.UPDATE, prefix="")
    return [dataclasses.replace(max(groups, key=lambda d: d.relative), stage="update by Adam")]
