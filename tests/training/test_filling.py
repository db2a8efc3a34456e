import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.initialisation import initialise
from smnet_jax.model import SMNet
from smnet_jax.training.config import Config
from smnet_jax.training.filling import filled
from smnet_jax.training.step import make_loss, make_model


@pytest.mark.parametrize(
    ("pictures", "devices", "seen"), [(1, 1, 1), (2, 1, 8), (6, 2, 16), (8, 1, 8), (10, 1, 10), (2, 2, 2)]
)
def test_only_what_pays_is_filled_and_pictures_keep_their_places(rng, pictures, devices, seen):
    shapes = []

    def apply(variables, low):
        shapes.append(low.shape[0])
        return low + variables, 2 * low

    low = jnp.asarray(rng.random((pictures, 4, 4, 3)), jnp.float32)
    one, two = filled(apply, devices)(1, low)
    assert shapes == [seen]
    np.testing.assert_array_equal(one, low + 1)
    np.testing.assert_array_equal(two, 2 * low)


def test_each_device_keeps_its_own_pictures():
    """What a device holds after filling begins with what it held before."""
    held = []

    def apply(_, low):
        held.append(np.asarray(low[:, 0, 0, 0]))
        return low

    low = jnp.arange(6, dtype=jnp.float32)[:, None, None, None] * jnp.ones((6, 4, 4, 3))
    filled(apply, 2)({}, low)
    np.testing.assert_array_equal(held[0].reshape(2, 8), [[0, 1, 2, *[0] * 5], [3, 4, 5, *[0] * 5]])


@pytest.mark.parametrize("deep", [0.0, 0.5])
def test_black_crops_change_neither_loss_nor_gradient(rng, deep):
    config = Config(variant="fivek", width=8, blocks=2, crop=16, batch=6, loss="l1_ssim", deep_supervision=deep)
    packed: SMNet = make_model(config).clone(form="packed")
    params = initialise(packed, 0)["params"]
    batch = {name: jnp.asarray(rng.random((6, 16, 16, 3)), jnp.float32) for name in ("low", "high")}

    def gradient(model: SMNet, devices: int) -> tuple:
        loss = make_loss(config, model, "l1_ssim", devices)
        return jax.jit(jax.value_and_grad(lambda p: loss(p, batch, {}, None)[0]))(params)

    (plain, expected), (total, found) = gradient(packed.clone(form="subpixel"), 1), gradient(packed, 2)
    np.testing.assert_allclose(total, plain, rtol=1e-5)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6 * scale), found, expected)
