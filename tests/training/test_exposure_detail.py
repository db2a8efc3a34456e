"""The last look learns what a curve for each place cannot know, and nothing about brightness."""

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.exposure import tone
from smnet_jax.exposure.detail import Detail
from smnet_jax.exposure.resampling import linear
from smnet_jax.exposure.tone import GRID, KNOTS
from smnet_jax.training import exposure as training
from smnet_jax.training import exposure_detail
from smnet_jax.training.exposure_detail import Windows

N, SIDE = 2, 24


def windows(lighter=0.0):
    """Dark stripes, whose targets have half as much contrast; `lighter` stops of rate more than the looks said."""
    stripes = np.where(np.arange(SIDE) // 3 % 2, 0.06, 0.03).astype(np.float32)
    low = np.broadcast_to(stripes[None, None, :, None], (N, SIDE, SIDE, 3)).copy()
    place = np.broadcast_to(linear(GRID, SIDE)[None], (N, SIDE, GRID)).astype(np.float32)
    grid, saturation = np.zeros((N, GRID, GRID, KNOTS), np.float32), np.ones((N, KNOTS), np.float32)
    rate = np.full((N, 1), 3, np.float32)
    found = tone.Tone(jnp.asarray(rate), jnp.asarray(grid), jnp.asarray(saturation))
    lit = np.asarray(jax.jit(tone.render_part)(low, found, place, place))
    high = lit.mean() + 0.5 * (lit - lit.mean())
    moved = np.full(N, -lighter, np.float32)
    values = (low, high, rate + np.float32(lighter), grid, saturation, place, place, moved)
    return Windows(*(jnp.asarray(value) for value in values))


def test_steps_lower_the_loss():
    model, tx = Detail(features=4), training.optimizer(40, 1e-2)
    state = jax.jit(lambda: exposure_detail.start(model, tx, 0))()
    step = jax.jit(lambda state, windows: exposure_detail.train_step(state, windows, model=model, tx=tx))
    examples = windows()
    losses = []
    for _ in range(30):
        state, value = step(state, examples)
        losses.append(float(value))
    assert losses[-1] < 0.8 * losses[0]
    assert int(state.step) == 30


def test_brightness_counts_nothing():
    """A look that errs in brightness, made good by the window's own curve, leaves the loss as it is."""
    model = Detail(features=4)
    params = jax.jit(lambda: exposure_detail.start(model, training.optimizer(40), 0))().params
    loss = jax.jit(lambda params, windows: exposure_detail.loss(model, params, windows))
    right, lighter = (float(loss(params, windows(by))) for by in (0.0, 0.4))
    spoiled = float(loss(params, windows(0.4)._replace(moved=jnp.zeros(N))))
    assert abs(lighter - right) < 0.1 * abs(spoiled - right)
