"""Fresh weights follow torch's defaults."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network.definition import Conv
from smnet_jax.network.initialisation import add_colour_path, initialise
from smnet_jax.network.model import SMNet


@pytest.mark.parametrize("variant", ["lol", "fivek"])
def test_the_tree_is_the_models(variant):
    model = SMNet(variant=variant, width=8)
    expected = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    assert jax.tree.map(jnp.shape, initialise(model, 0)) == jax.tree.map(jnp.shape, expected)


def test_torchs_distributions():
    params = initialise(SMNet(width=16), 0)["params"]
    for path, leaf in jax.tree.leaves_with_path(params):
        if path[-1].key == "slope":
            assert leaf == 0.25
    check_uniform(params["block"]["fuse"], (48 * 9) ** -0.5)


def test_flax_initialisation_draws_from_the_same():
    check_uniform(Conv(48, 16, 3).init(jax.random.key(0), jnp.zeros((1, 4, 4, 48)))["params"], (48 * 9) ** -0.5)


def check_uniform(layer, bound):
    """Kaiming-uniform with a = sqrt(5), torch's default, is uniform in +-1/sqrt(fan_in); biases likewise."""
    assert set(layer) == {"kernel", "bias"}
    for leaf in layer.values():
        assert 0.8 * bound < np.max(np.abs(leaf)) <= bound
    assert np.std(layer["kernel"]) == pytest.approx(bound / 3**0.5, rel=0.03)


def test_the_seed_decides():
    model = SMNet(width=4)
    first, again, other = (initialise(model, seed)["params"]["head"]["out"]["kernel"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_the_colour_path_alone_gives_the_colours_and_no_gray(rng):
    model = SMNet(width=4, blocks=2)
    params = jax.tree.map(np.zeros_like, initialise(model, 0)["params"])
    for name in ("stem", "block"):  # PReLUs that pass everything: what comes out is then linear
        params[name]["act"]["slope"] = np.float32(1)
    low = rng.random((1, 8, 8, 3), np.float32)
    out = np.asarray(model.apply({"params": add_colour_path(params, 3.0)}, low))
    np.testing.assert_allclose(out, 3 * (low - low.mean(-1, keepdims=True)), atol=1e-5)
