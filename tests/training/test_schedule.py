"""How long a run is, and the learning rate at each step."""

import dataclasses

import numpy as np
import pytest

from smnet_jax import InputError
from smnet_jax.training.config import Config, Stage
from smnet_jax.training.schedule import learning_rate, plan, span_at

RECIPE = Config()


def test_the_recipe_is_601_epochs_of_48_steps_on_485_pairs():
    (span,) = plan(RECIPE, 485)
    assert (span.epoch_steps, span.stop) == (48, 601 * 48)


def test_the_recipe_divides_the_rate_after_every_50th_epoch():
    rate = learning_rate(RECIPE, plan(RECIPE, 485))
    at = {step: float(rate(step)) for step in (0, 50 * 48 - 1, 50 * 48, 100 * 48 - 1, 100 * 48, 600 * 48)}
    expected = [5e-4, 5e-4, 5e-4 / 1.2, 5e-4 / 1.2, 5e-4 / 1.2**2, 5e-4 / 1.2**12]
    np.testing.assert_allclose(list(at.values()), expected, rtol=1e-5)


def test_warm_up_climbs_from_the_first_step_then_cosine_falls():
    config = Config(schedule="cosine", warmup=4, steps=104, final_learning_rate=1e-5)
    rate = learning_rate(config, plan(config, 10))
    np.testing.assert_allclose([float(rate(s)) for s in range(4)], 5e-4 * np.array([0.25, 0.5, 0.75, 1]), rtol=1e-6)
    np.testing.assert_allclose([float(rate(s)) for s in (4, 54, 104)], [5e-4, 2.55e-4, 1e-5])


def test_stages_follow_each_other_and_epochs_add_up():
    config = Config(stages=(Stage(steps=10, crop=32, batch=4), Stage(steps=6, crop=64, batch=2, loss="l1_ssim")))
    first, second = plan(config, 8)
    assert (first.start, first.stop, second.start, second.stop) == (0, 10, 10, 16)
    assert (first.epoch(10), second.epoch(10), second.epoch(16)) == (5.0, 5.0, 6.5)
    assert [span_at([first, second], step).stage.batch for step in (0, 9, 10, 15, 16)] == [4, 4, 2, 2, 2]


def test_decay_counts_epochs_across_stages():
    config = Config(stages=(Stage(steps=10, crop=32, batch=4), Stage(steps=8, crop=64, batch=2)), decay_epochs=6)
    rate = learning_rate(config, plan(config, 8))  # epoch 5 at step 10, epoch 6 at step 14
    np.testing.assert_allclose([float(rate(s)) for s in (13, 14)], [5e-4, 5e-4 / 1.2], rtol=1e-6)


@pytest.mark.parametrize("batch", [0, 9])
def test_a_batch_that_the_data_cannot_fill_is_refused(batch):
    with pytest.raises(InputError, match=r"between 1 and the 8 training pairs"):
        plan(dataclasses.replace(RECIPE, batch=batch), 8)
