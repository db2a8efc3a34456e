"""The training step of `Detail`, the last look of `ExposureNet`; what the looks before it say is fixed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from smnet_jax.exposure import tone
from smnet_jax.exposure.detail import Detail
from smnet_jax.losses import ssim
from smnet_jax.training import exposure
from smnet_jax.training.exposure import State


class Windows(NamedTuple):
    """N windows of S by S pixels at full size, float32."""

    low: jax.Array  # (N,S,S,3) sRGB in [0, 1]
    high: jax.Array  # (N,S,S,3), the target
    log2_rate: jax.Array  # (N,1): with `grid` and `saturation` what `ExposureNet.predict` said of the whole pictures
    grid: jax.Array  # (N,GRID,GRID,KNOTS)
    saturation: jax.Array  # (N,KNOTS)
    rows: jax.Array  # (N,S,GRID): where the window lies, as `tone.render_part` takes it
    columns: jax.Array  # (N,S,GRID)
    moved: jax.Array  # (N,): binary logarithm of the rate that takes the result's brightness to the target's


def start(model: Detail, tx: optax.GradientTransformation, seed: int) -> State:
    """The state before the first step."""
    one = jnp.zeros((1, 8, 8))
    params = model.init(jax.random.key(seed), [one] * 3, one, one, one)["params"]
    return State(jnp.int32(0), params, jax.tree.map(jnp.copy, params), tx.init(params))


def loss(model: Detail, params: Any, windows: Windows) -> jax.Array:
    """2 |e| + (1 - SSIM of lightness), after one curve for each window that sets its brightness right.

    How light a picture should be is not for the last look to say, so it is not to learn it.
    """
    found = tone.Tone(windows.log2_rate, windows.grid, windows.saturation)

    def finish(*seen: Any) -> Any:
        return model.apply({"params": params}, *jax.lax.stop_gradient(seen))

    out = tone.render_part(windows.low, found, windows.rows, windows.columns, finish)
    level = jnp.maximum(out.max(-1, keepdims=True), tone.BLACK)
    out = out * (tone.curve(level, jnp.exp2(windows.moved)[:, None, None, None]) / level)
    luma = jnp.array(tone.LUMA)[None, None, None]
    pred_luma, high_luma = ((x * luma).sum(-1, keepdims=True) for x in (out, windows.high))
    return 2 * jnp.abs(out - windows.high).mean() + 1 - ssim(pred_luma, high_luma)


def train_step(
    state: State, windows: Windows, *, model: Detail, tx: optax.GradientTransformation
) -> tuple[State, jax.Array]:
    """The next state and this step's loss."""
    value, gradient = jax.value_and_grad(lambda params: loss(model, params, windows))(state.params)
    return exposure.updated(state, gradient, tx), value
