"""The optimizer as configured: the recipe's Adam, or one of optax's own."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from smnet_jax.training.config import Config
from smnet_jax.training.schedule import Schedule

# These compute with the rate itself, so it cannot be applied to what they give: one weighs its average by the rate, the
# other multiplies it by its own estimate.
KNOWS_ITS_RATE = frozenset({"schedule_free_adamw", "prodigy"})


def make_optimizer(config: Config, rate: Schedule = lambda _: jnp.float32(1)) -> optax.GradientTransformation:
    """The configured optimizer; its updates are to be added, as all of optax's.

    Those of KNOWS_ITS_RATE take `rate`, of the number of their updates. All others are of rate 1: `train_step`
    multiplies their updates by the rate of the step's number, so that skipped updates do not delay it.
    """
    clip = optax.clip_by_global_norm(config.clip) if config.clip else optax.identity()
    decay = config.weight_decay
    match config.optimizer:
        case "adamw":
            return optax.chain(clip, optax.adamw(1.0, weight_decay=decay))
        case "lion":
            return optax.chain(clip, optax.lion(1.0, weight_decay=decay))
        case "muon":
            return optax.chain(clip, _muon(decay))
        case "schedule_free_adamw":
            return optax.chain(clip, optax.contrib.schedule_free_adamw(rate, weight_decay=decay))
        case "prodigy":
            return optax.chain(clip, optax.contrib.prodigy(rate, weight_decay=decay))
    direction = optax.chain(clip, optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8))

    def update(grads: Any, state: optax.OptState, params: Any = None) -> tuple[Any, optax.OptState]:
        ascent, state = direction.update(grads, state, params)
        return jax.tree.map(jnp.negative, ascent), state

    # Not chained with `optax.scale(-1)`: its (empty) state would make older checkpoints unreadable.
    return optax.GradientTransformation(direction.init, update)


def averaged(config: Config, params: Any, opt_state: Any) -> Any:
    """The weights that the optimizer means to be evaluated; `params` are those that it computes gradients at."""
    if config.optimizer != "schedule_free_adamw":
        return params
    return optax.contrib.schedule_free_eval_params(opt_state[-1], params)


def _muon(decay: float) -> optax.GradientTransformation:
    def as_matrices(params: Any) -> Any:
        """Kernels (..., I, O): all axes but the last as one. What is no kernel: None, which is Adam's."""
        return jax.tree.map(
            lambda p: optax.contrib.MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1) if p.ndim > 1 else None,
            params,
        )

    return optax.contrib.muon(
        1.0, weight_decay=decay, adam_weight_decay=decay, muon_weight_dimension_numbers=as_matrices
    )
