"""The training step of `ExposureNet` but for its last look: a pure function, like SMNet's."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from smnet_jax.exposure import tone
from smnet_jax.exposure.network import ExposureNet
from smnet_jax.losses import ssim

SSIM_WEIGHT, LOG_WEIGHT, MONOTONE_WEIGHT = 0.4, 0.2, 0.3


class State(NamedTuple):
    """All that a step changes."""

    step: jax.Array
    params: Any
    average: Any  # moving average of the parameters: what is released
    opt_state: Any


def optimizer(steps: int, rate: float = 2e-3) -> optax.GradientTransformation:
    """AdamW, 100 steps of warm-up and one cosine to zero, gradients clipped at norm 1."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, min(100, steps // 2), steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-3))


def start(model: ExposureNet, tx: optax.GradientTransformation, seed: int, params: Any = None) -> State:
    """The state before the first step; `params` to go on from others' weights."""
    if params is None:
        side = tone.THUMBNAIL
        params = model.init(jax.random.key(seed), jnp.zeros((1, side, side, 3)), method="look_at")["params"]
    average = jax.tree.map(jnp.copy, params)  # buffers of its own, for each is donated
    return State(jnp.int32(0), params, average, tx.init(params))


def loss(model: ExposureNet, params: Any, low: jax.Array, high: jax.Array) -> jax.Array:
    """4 |e| + 0.2 ln(e^2 + 6e-4) + 0.4 (1 - SSIM of lightness), and a penalty where a darker picture gets less light.

    low, high: (N,S,S,3) sRGB in [0, 1]. The logarithm is PSNR's; it counts pictures that are nearly right already.
    """
    small = tone.thumbnail(low)
    found: Any = model.apply({"params": params}, small, method="look_at")
    error = tone.render(low, found) - high
    pred_luma, high_luma = (
        (x * jnp.array(tone.LUMA)[None, None, None]).sum(-1, keepdims=True) for x in (error + high, high)
    )
    fidelity = 4 * jnp.abs(error).mean() + LOG_WEIGHT * jnp.log(jnp.square(error).mean((1, 2, 3)) + 6e-4).mean()
    darker = small * jnp.exp2(-jnp.linspace(0.05, 0.6, low.shape[0]))[:, None, None, None]
    darker_found: Any = model.apply({"params": params}, darker, method="look_at")
    too_little = jax.nn.relu(_amount(found) - _amount(darker_found) + 0.02).mean()
    return fidelity + SSIM_WEIGHT * (1 - ssim(pred_luma, high_luma)) + MONOTONE_WEIGHT * too_little


def train_step(
    state: State, low: jax.Array, high: jax.Array, *, model: ExposureNet, tx: optax.GradientTransformation
) -> tuple[State, jax.Array]:
    """The next state and this step's loss."""
    value, gradient = jax.value_and_grad(lambda params: loss(model, params, low, high))(state.params)
    return updated(state, gradient, tx), value


def updated(state: State, gradient: Any, tx: optax.GradientTransformation) -> State:
    """The state after a step with this gradient of the parameters."""
    # optax divides counts of steps by numbers, which strict promotion of types would not let it.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = tx.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        keep = jnp.minimum(0.998, (1.0 + state.step) / (10.0 + state.step))
    average = jax.tree.map(lambda a, p: keep * a + (1 - keep) * p, state.average, params)
    return State(state.step + 1, params, average, opt_state)


def _amount(found: tone.Tone) -> jax.Array:
    """How much light is added, (N,), in binary logarithms of the rate."""
    return found.log2_rate[:, 0] + found.grid.mean((1, 2, 3))
