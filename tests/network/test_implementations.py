"""Every implementation is the definition: parameters, features, outputs and gradients, in whatever way it is called."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network.definition import Network, statistics
from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet, implementation_for
from tests.support import tolerances
from tests.support.golden_case import relative_error

IMPLEMENTATIONS = ("reference", "cpu", "gpu", "tpu")


@pytest.fixture(scope="module", params=["lol", "fivek"])
def defined(request):
    """(the definition, variables, pictures, its outputs, its features)."""
    network = Network(variant=request.param, width=8, blocks=2, precision="highest")
    low = jax.random.uniform(jax.random.key(1), (2, 16, 20, 3))
    variables = initialise(SMNet(request.param, 8, 2), 0)
    outputs, features = jax.jit(lambda v, x: network.apply(v, x, mutable=["intermediates"]))(variables, low)
    return network, variables, low, outputs, features["intermediates"]


def gradient(apply, variables, low):
    """Of networks of one block: that its weights are used again is in what is compared with PyTorch."""
    return jax.jit(jax.grad(lambda v: jnp.sum(jnp.sin(3 * apply(v, low)))))(variables)


@pytest.fixture(scope="module")
def defined_gradient(defined):
    network, variables, low, *_ = defined
    return gradient(lambda v, x: network.clone(blocks=1).apply(v, x)[0], variables, low)


def implemented(network: Network, implementation, **fields) -> SMNet:
    return SMNet(
        network.variant, network.width, network.blocks, precision="highest", implementation=implementation, **fields
    )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_parameters_are_the_definitions(defined, implementation):
    def shapes(network) -> Any:
        return jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))

    for fields in ({}, {"remat": True, "scan": True, "strips": 2}):
        assert shapes(implemented(defined[0], implementation, **fields)) == shapes(defined[0])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_features_and_outputs_are_the_definitions(defined, implementation):
    network, variables, low, outputs, features = defined
    model = implemented(network, implementation)
    ours, recorded = jax.jit(lambda v, x: model.apply(v, x, outputs="all", mutable=["intermediates"]))(variables, low)
    # jax.tree.map refuses trees that differ
    found = jax.tree.map(relative_error, (ours, recorded["intermediates"]), (outputs, features))
    assert max(jax.tree.leaves(found)) < tolerances.forward(network.variant, 8, 2), found


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_gradients_are_the_definitions(defined, defined_gradient, implementation):
    """With and without `remat`, which knows nothing of the variant: one way each."""
    (network, variables, low, *_), expected = defined, defined_gradient
    model = implemented(network, implementation, remat=network.variant == "fivek").clone(blocks=1)
    found = gradient(model.apply, variables, low)
    bound = tolerances.GRADIENT * max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=bound), found, expected)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_pieces_and_the_loop_give_the_definitions_picture(defined, implementation):
    network, variables, low, outputs, _ = defined
    model, bound = implemented(network, implementation), tolerances.forward(network.variant, 8, 2)

    @jax.jit
    def in_pieces(variables, low):
        x: Any = model.apply(variables, low, method="embed")
        for _ in range(model.blocks):
            z: Any = model.apply(variables, x, method="local")
            s = model.apply(variables, *statistics(z), method="gate")
            x = model.apply(variables, z, s, x, method="recalibrate")
        return model.apply(variables, x, low, method="decode")

    assert relative_error(in_pieces(variables, low), outputs[0]) < bound
    assert relative_error(jax.jit(model.clone(scan=True).apply)(variables, low), outputs[0]) < bound


def test_the_implementation_follows_the_platform_unless_named():
    assert [implementation_for("auto", platform) for platform in ("cpu", "tpu", "gpu", "cuda")] == [
        "cpu",
        "tpu",
        "gpu",
        "gpu",
    ]
    assert implementation_for() == "cpu" and implementation_for("gpu", "tpu") == "gpu"
    with pytest.raises(ValueError, match="packed"):
        implementation_for("packed")  # type: ignore[arg-type]
