"""The optimizers beside the recipe's Adam: optax's own numbers, resumed bit for bit, and what of them is released."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from smnet_jax.checkpoints import trees, weights
from smnet_jax.training import config as configs
from smnet_jax.training import parallel
from smnet_jax.training.checkpoint import Checkpoints
from smnet_jax.training.config import Config
from smnet_jax.training.loop import train
from smnet_jax.training.optimizer import KNOWS_ITS_RATE, averaged, make_optimizer
from smnet_jax.training.schedule import learning_rate, plan
from smnet_jax.training.step import TrainState, init_state, train_step

RATE, DECAY = 3e-3, 0.1
LOUD = 1e4  # prodigy estimates 1e-6 at first: times 1 nothing would be seen to move
NAMES = ("adamw", "lion", "muon", "schedule_free_adamw", "prodigy")


def config(name: str) -> Config:
    rate = LOUD if name == "prodigy" else RATE
    return Config(optimizer=name, weight_decay=DECAY, learning_rate=rate, steps=6, warmup=2, batch=1)  # type: ignore


def theirs(name: str) -> optax.GradientTransformation:
    """As somebody would write it with optax alone, with a warm-up of two steps."""

    def rate(step):
        return (LOUD if name == "prodigy" else RATE) * jnp.minimum(1.0, (step + 1) / 2)

    if name == "muon":
        numbers = {"kernel": optax.contrib.MuonDimensionNumbers((0, 1, 2), 3), "slope": None}
        return optax.contrib.muon(
            rate, weight_decay=DECAY, adam_weight_decay=DECAY, muon_weight_dimension_numbers=numbers
        )
    make = getattr(optax if name in ("adamw", "lion") else optax.contrib, name)
    return make(rate, weight_decay=DECAY)


def first_params() -> dict[str, jax.Array]:
    return {
        "kernel": jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 4, 6)), jnp.float32),
        "slope": jnp.ones(()),
    }


def loss(params, batch, vgg, axis_name):
    return jnp.mean(jnp.abs(params["kernel"] - batch["low"])) + jnp.square(params["slope"] - 3), {}


def batch(step: int) -> dict[str, jax.Array]:
    return {"low": jnp.asarray(np.random.default_rng(step).normal(size=(3, 3, 4, 6)), jnp.float32)}


def steps(state: TrainState, config: Config, count: int) -> TrainState:
    rate = learning_rate(config, plan(config, 4))
    optimizer, applied = make_optimizer(config, rate), config.optimizer in KNOWS_ITS_RATE
    for _ in range(count):
        state, scalars = train_step(
            state, batch(int(state.step)), {}, loss=loss, optimizer=optimizer, rate=rate, rate_applied=applied
        )
        assert scalars["learning_rate"] == rate(state.step - 1)
    return state


@pytest.mark.parametrize("name", NAMES)
def test_the_same_as_with_optax_alone(name):
    ours = steps(init_state(config(name), first_params()), config(name), 4)
    params, optimizer = first_params(), theirs(name)
    opt_state = optimizer.init(params)
    for step in range(4):
        gradient = jax.grad(lambda p, step=step: loss(p, batch(step), {}, None)[0])(params)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
    for path in params:
        np.testing.assert_allclose(ours.params[path], params[path], rtol=1e-5, atol=1e-6)
    if name == "schedule_free_adamw":
        expected = optax.contrib.schedule_free_eval_params(opt_state, params)
        released = averaged(config(name), ours.params, ours.opt_state)
        np.testing.assert_allclose(released["kernel"], expected["kernel"], rtol=1e-5, atol=1e-6)
        assert np.abs(released["kernel"] - ours.params["kernel"]).max() > 1e-4


@pytest.mark.parametrize("name", ["adam", *NAMES])
def test_resumed_bit_for_bit(name, tmp_path):
    config_ = dataclasses.replace(config(name), weight_decay=0.0 if name == "adam" else DECAY)
    half = steps(init_state(config_, first_params()), config_, 3)
    undisturbed = steps(half, config_, 3)
    checkpoints = Checkpoints(tmp_path, 1)
    checkpoints.save(half, config_, {}, None)
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path, 1)
    restored = checkpoints.restore(init_state(config_, first_params()), config_, parallel.make_mesh(config_))
    checkpoints.close()
    assert restored is not None
    resumed = steps(restored[0], config_, 3)
    for one, other in zip(jax.tree.leaves(resumed), jax.tree.leaves(undisturbed), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_schedule_free_releases_its_average_from_the_run_and_from_a_checkpoint(tmp_path):
    config = configs.change(
        configs.load("smoke"), blocks=1, crop=12, steps=3, optimizer="schedule_free_adamw", holdout=0.0
    )
    assert train(config, tmp_path).finished
    checkpoints = Checkpoints(tmp_path, 1)
    params = weights.read(tmp_path / "weights").params
    restored = checkpoints.restore(init_state(config, params), config, parallel.make_mesh(config))
    checkpoints.close()
    assert restored is not None
    released, of_checkpoint, trained = (
        trees.flatten(tree)
        for tree in (params, weights.read(tmp_path / "checkpoints" / "3").params, jax.device_get(restored[0].params))
    )
    for path in released:
        np.testing.assert_array_equal(released[path], of_checkpoint[path])
    assert any(np.abs(released[path] - trained[path]).max() > 1e-5 for path in released)
