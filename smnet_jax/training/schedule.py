"""When things happen: a run as spans of equal steps, and the learning rate at each step."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from smnet_jax.errors import InputError
from smnet_jax.training.config import Config, Stage

Schedule = Callable[[jax.typing.ArrayLike], jax.Array]


@dataclasses.dataclass(frozen=True)
class Span:
    """Steps `start` to `stop` (exclusive), all of the same stage."""

    start: int
    stop: int
    stage: Stage
    epoch_steps: int
    """Steps in one pass over the training pairs."""
    start_epoch: float
    """Passes finished before `start`."""

    def epoch(self, step: int) -> float:
        """Passes over the data finished after `step` steps of the run."""
        return self.start_epoch + (step - self.start) / self.epoch_steps


def plan(config: Config, pairs: int) -> list[Span]:
    """The spans of a run over `pairs` training pairs. Raises InputError where a batch does not fit into them."""
    stages = config.stages
    if not stages:
        steps = config.steps or config.epochs * (pairs // max(1, config.batch))
        stages = (Stage(steps, config.crop, config.batch, config.loss),)
    spans: list[Span] = []
    for stage in stages:
        if not 1 <= stage.batch <= pairs:
            raise InputError(f"batch {stage.batch}: must be between 1 and the {pairs} training pairs")
        start, epoch = (spans[-1].stop, spans[-1].epoch(spans[-1].stop)) if spans else (0, 0.0)
        spans.append(Span(start, start + stage.steps, stage, pairs // stage.batch, epoch))
    return spans


def span_at(spans: list[Span], step: int) -> Span:
    """The span that does step number `step` (from 0); the last one at and after the end."""
    return next((span for span in spans if step < span.stop), spans[-1])


def learning_rate(config: Config, spans: list[Span]) -> Schedule:
    """Step number (from 0) -> rate of that step's update."""
    total = spans[-1].stop
    main: Schedule
    if config.optimizer == "schedule_free_adamw":
        main = optax.constant_schedule(config.learning_rate)
    elif config.schedule == "cosine":
        main = optax.cosine_decay_schedule(
            config.learning_rate, max(1, total - config.warmup), config.final_learning_rate / config.learning_rate
        )
    elif config.schedule == "steps":
        changes, epoch = {}, config.decay_epochs
        for span in spans:
            while (step := span.start + round((epoch - span.start_epoch) * span.epoch_steps)) < span.stop:
                changes[step - config.warmup] = 1 / config.decay
                epoch += config.decay_epochs
        main = optax.piecewise_constant_schedule(config.learning_rate, changes)
    else:
        raise InputError(f"schedule {config.schedule!r}: must be 'steps' or 'cosine'")

    def rate(step: jax.typing.ArrayLike) -> jax.Array:
        warm = jnp.minimum(1.0, (step + 1) / max(1, config.warmup))
        return warm * main(jnp.maximum(step - config.warmup, 0))

    return rate
