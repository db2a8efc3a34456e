"""A few steps on made pictures lower the loss; examples come as promised."""

import jax
import numpy as np

from smnet_jax.data.exposures import Sources, darker, drawing, framed, smooth_field, spotted
from smnet_jax.exposure import ExposureNet
from smnet_jax.training import exposure as training


def sources():
    rng = np.random.default_rng(0)
    high = [np.asarray(smooth_field(rng, 48)[..., None] * [200, 160, 120] + 40, np.uint8) for _ in range(4)]
    pairs = [(darker(picture, 3.0, rng), picture) for picture in high]
    return Sources(pairs, pairs, pairs, high)


def test_same_generator_same_example():
    first, second = (sources().draw(np.random.default_rng(5), 32) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.shape == (32, 32, 3)
        assert one.dtype == np.uint8


def test_darker_by_stops():
    white = np.full((8, 8, 3), 255, np.uint8)
    assert darker(white, 0.0, np.random.default_rng(1)).min() >= 250
    dark = darker(white, 1.0, np.random.default_rng(1)).mean()
    assert abs(dark - 255 * 0.7354) < 2  # sRGB of linear 0.5


def test_drawings_and_frames():
    rng = np.random.default_rng(0)
    shapes = {drawing(rng, 40).shape for _ in range(8)}
    assert shapes == {(40, 40, 3)}
    low, high = framed((np.full((40, 40, 3), 9, np.uint8), np.full((40, 40, 3), 99, np.uint8)), rng)
    np.testing.assert_array_equal(low[0], high[0])
    assert low[20, 20, 0] == 9
    assert high[20, 20, 0] == 99


def test_spots_are_bright_and_the_same_in_both():
    rng = np.random.default_rng(0)
    dark, good = np.full((40, 40, 3), 9, np.uint8), np.full((40, 40, 3), 99, np.uint8)
    low, high = spotted((dark, good), rng)
    spots = low[..., 0] != 9
    assert 0 < spots.mean() < 0.1
    assert low[spots].min() >= 190
    np.testing.assert_array_equal(low[spots], high[spots])
    assert (high[~spots] == 99).all()
    assert (dark == 9).all()


def test_steps_lower_the_loss():
    model, tx = ExposureNet(features=8, hidden=8), training.optimizer(40, 1e-2)
    state = jax.jit(lambda: training.start(model, tx, 0))()
    step = jax.jit(lambda state, low, high: training.train_step(state, low, high, model=model, tx=tx))
    rng = np.random.default_rng(0)
    pairs = [sources().draw(rng, 32) for _ in range(4)]
    low, high = (np.stack(side).astype(np.float32) / 255 for side in zip(*pairs, strict=True))
    losses = []
    for _ in range(20):
        state, value = step(state, low, high)
        losses.append(float(value))
    assert losses[-1] < losses[0] - 0.1
    assert int(state.step) == 20
