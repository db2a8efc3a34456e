"""JAX's strict modes: nothing of ours relies on promotion of ranks or types, or on a transfer that nobody asked for.

Promotion is decided while tracing, so these trace only.
"""

import functools
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax import metrics, vgg16
from smnet_jax.exposure.network import ExposureNet
from smnet_jax.exposure.tone import THUMBNAIL
from smnet_jax.network.model import Implementation, SMNet
from smnet_jax.training import exposure
from smnet_jax.training.config import Config
from smnet_jax.training.schedule import learning_rate, plan
from smnet_jax.training.step import init_state, make_loss, make_model, make_optimizer, train_step

IMPLEMENTATIONS = [name for name in get_args(Implementation) if name != "auto"]
LOW = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)


def shapes(function, *arguments) -> Any:
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        return jax.eval_shape(function, *arguments)


@pytest.fixture
def strict():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("variant", "dtype"), [("lol", jnp.float32), ("fivek", jnp.float32), ("lol", jnp.bfloat16)])
def test_the_network_and_its_gradient(strict, implementation, variant, dtype):
    model = SMNet(variant=variant, width=4, blocks=1, implementation=implementation, dtype=dtype)
    variables = shapes(model.init, jax.random.key(0), LOW)

    def mean(variables: Any, low: jax.Array) -> jax.Array:
        output: Any = model.apply(variables, low)
        return output.mean()

    assert jax.eval_shape(jax.value_and_grad(mean), variables, LOW)[0].dtype == jnp.float32
    jax.eval_shape(model.for_inference(1, 16).apply, variables, LOW)


def test_the_curves_and_their_training_step(strict):
    model, optimizer = ExposureNet(fine=0), exposure.optimizer(10)
    start = shapes(functools.partial(exposure.start, model, optimizer, 0))
    pictures = jax.ShapeDtypeStruct((2, THUMBNAIL, THUMBNAIL, 3), jnp.float32)
    jax.eval_shape(lambda params, low: model.apply({"params": params}, low), start.params, LOW)
    jax.eval_shape(functools.partial(exposure.train_step, model=model, tx=optimizer), start, pictures, pictures)


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32])
@pytest.mark.parametrize("name", ["psnr", "ssim", "iw_ssim", "vif", "fsim", "fsimc", "loe"])
def test_metrics(strict, name, dtype):
    pictures = jax.ShapeDtypeStruct((2, 176, 176, 3), dtype)
    assert jax.eval_shape(getattr(metrics, name), pictures, pictures).dtype == jnp.float32


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32])
def test_niqe(strict, dtype):
    assert jax.eval_shape(metrics.niqe, jax.ShapeDtypeStruct((2, 176, 200, 3), dtype)).dtype == jnp.float32


def test_lpips(strict):
    shape = jax.ShapeDtypeStruct
    sizes = [(11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256)]
    convs = tuple((shape((k, k, i, o), jnp.float32), shape((o,), jnp.float32)) for k, i, o in sizes)
    weights = {"convs": convs, "heads": tuple(shape((o,), jnp.float32) for _, _, o in sizes)}
    pictures = shape((2, 64, 64, 3), jnp.uint8)
    jax.eval_shape(lambda x, y, w: metrics.lpips(x, y, weights=w), pictures, pictures, weights)


@pytest.mark.parametrize(("loss", "platform"), [("recipe", "cpu"), ("l1_ssim", "cpu"), ("recipe", "tpu")])
def test_the_training_step(strict, loss, platform):
    config = Config(width=4, blocks=1, crop=16, batch=2, loss=loss, ema=0.9, warmup=2, clip=1.0, schedule="cosine")
    model = make_model(config, platform)
    rate = learning_rate(config, plan(config, 4))
    params = shapes(model.init, jax.random.key(0), LOW)["params"]
    state = shapes(functools.partial(init_state, config), params)
    step = functools.partial(
        train_step,
        loss=make_loss(config, model, loss),
        optimizer=make_optimizer(config),
        rate=rate,
        ema=config.ema,
        accumulate=2,
    )
    _, scalars = jax.eval_shape(step, state, {"low": LOW, "high": LOW}, vgg16.shapes())
    assert scalars["loss"].dtype == jnp.float32


def test_no_transfer_is_needed_under_jit(rng):
    model = ExposureNet()
    low = jax.device_put(rng.random((1, 24, 32, 3)).astype(np.float32))
    variables = jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros((1, 24, 32, 3))))()
    apply = jax.jit(model.apply)
    levels = jax.device_put(rng.integers(0, 256, (1, 24, 32, 3), dtype=np.uint8))
    with jax.transfer_guard("disallow"):
        jax.block_until_ready((apply(variables, low), metrics.psnr(levels, levels), metrics.ssim(low, low)))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_forward_mode_works_or_says_that_it_does_not(implementation):
    """As the docstring of SMNet has it."""
    model = SMNet(width=4, blocks=1, implementation=implementation)
    variables = shapes(model.init, jax.random.key(0), LOW)
    program = jax.jit(lambda v, x: jax.jvp(lambda a: model.apply(v, a), (x,), (x,)))
    if implementation in ("cpu", "tpu"):
        with pytest.raises(TypeError, match="forward-mode"):
            program.lower(variables, LOW)
    else:
        program.lower(variables, LOW)
