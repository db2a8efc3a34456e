import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet
from smnet_jax.network.tpu.microbatches import microbatch_count, pad_batch
from smnet_jax.training.config import Config
from smnet_jax.training.step import make_loss, make_model, microbatches_for
from tests.support import tolerances


@pytest.mark.parametrize(("pictures", "seen"), [(1, 1), (2, 8), (7, 8), (8, 8), (10, 10)])
def test_only_what_pays_is_padded_and_pictures_keep_their_places(rng, pictures, seen):
    shapes = []

    def apply(variables, low):
        shapes.append(low.shape[0])
        return low + variables, 2 * low

    low = jnp.asarray(rng.random((pictures, 4, 4, 3)), jnp.float32)
    one, two = pad_batch(apply)(1, low)
    assert shapes == [seen]
    np.testing.assert_array_equal(one, low + 1)
    np.testing.assert_array_equal(two, 2 * low)


@pytest.mark.parametrize(
    ("crops", "count"), [(1, 1), (8, 1), (9, 1), (10, 2), (12, 2), (16, 2), (17, 1), (24, 3), (64, 8), (128, 16)]
)
def test_microbatches_are_equal_and_have_at_most_eight_crops(crops, count):
    assert microbatch_count(crops, "TPU v5 lite") == count
    assert microbatch_count(crops, "TPU v5") == 1  # a v5p, which computes larger batches in less time


@pytest.mark.parametrize(
    ("implementation", "accumulate", "count"), [("tpu", 0, 2), ("tpu", 1, 1), ("cpu", 0, 1), ("cpu", 4, 4)]
)
def test_only_the_tpu_s_implementation_is_computed_in_microbatches_unasked(implementation, accumulate, count):
    config = Config(width=8, accumulate=accumulate)
    assert microbatches_for(config, make_model(config).clone(implementation=implementation), 16, "TPU v5 lite") == count


@pytest.mark.parametrize(("blocks", "deep"), [(1, 0.0), (2, 0.5)])
def test_black_crops_change_neither_loss_nor_gradient(rng, blocks, deep):
    config = Config(variant="fivek", width=8, blocks=blocks, crop=16, batch=6, loss="l1_ssim", deep_supervision=deep)
    packed: SMNet = make_model(config).clone(implementation="tpu")
    params = initialise(packed, 0)["params"]
    batch = {name: jnp.asarray(rng.random((6, 16, 16, 3)), jnp.float32) for name in ("low", "high")}

    def gradient(model: SMNet) -> tuple:
        loss = make_loss(config, model, "l1_ssim")
        return jax.jit(jax.value_and_grad(lambda p: loss(p, batch, {}, None)[0]))(params)

    (plain, expected), (total, found) = gradient(packed.clone(implementation="cpu")), gradient(packed)
    np.testing.assert_allclose(total, plain, rtol=tolerances.LOSS)
    bound = tolerances.GRADIENT * max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=bound), found, expected)
