import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.initialisation import initialise
from smnet_jax.model import SMNet
from smnet_jax.training.config import Config
from smnet_jax.training.filling import filled
from smnet_jax.training.step import make_loss, make_model


@pytest.mark.parametrize(("pictures", "seen"), [(1, 1), (2, 8), (7, 8), (8, 8), (10, 10)])
def test_only_what_pays_is_filled_and_pictures_keep_their_places(rng, pictures, seen):
    shapes = []

    def apply(variables, low):
        shapes.append(low.shape[0])
        return low + variables, 2 * low

    low = jnp.asarray(rng.random((pictures, 4, 4, 3)), jnp.float32)
    one, two = filled(apply)(1, low)
    assert shapes == [seen]
    np.testing.assert_array_equal(one, low + 1)
    np.testing.assert_array_equal(two, 2 * low)


@pytest.mark.parametrize("deep", [0.0, 0.5])
def test_black_crops_change_neither_loss_nor_gradient(rng, deep):
    config = Config(variant="fivek", width=8, blocks=2, crop=16, batch=6, loss="l1_ssim", deep_supervision=deep)
    packed: SMNet = make_model(config).clone(form="packed")
    params = initialise(packed, 0)["params"]
    batch = {name: jnp.asarray(rng.random((6, 16, 16, 3)), jnp.float32) for name in ("low", "high")}

    def gradient(model: SMNet) -> tuple:
        loss = make_loss(config, model, "l1_ssim")
        return jax.jit(jax.value_and_grad(lambda p: loss(p, batch, {}, None)[0]))(params)

    (plain, expected), (total, found) = gradient(packed.clone(form="subpixel")), gradient(packed)
    np.testing.assert_allclose(total, plain, rtol=1e-5)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6 * scale), found, expected)
