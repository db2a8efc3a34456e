"""SMNet as a module of Flax NNX: the lines of the guide, and the same pixels."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from smnet_jax.network.model import SMNet


def test_the_guides_lines_give_the_same_pixels(rng):
    model = SMNet(width=4, blocks=1)
    low = jnp.asarray(rng.random((1, 12, 16, 3)), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), low)
    variables = jax.tree.map(lambda s: jnp.asarray(rng.normal(0, 0.1, s.shape), jnp.float32), shapes)
    net = nnx.eval_shape(lambda: nnx.bridge.ToNNX(model).lazy_init(low, rngs=nnx.Rngs(0)))
    nnx.update(net, variables["params"])
    ours = jax.jit(model.apply)(variables, low)
    theirs = nnx.jit(lambda net, low: net(low))(net, low)
    assert np.abs(ours).max() > 0.01
    np.testing.assert_array_equal(theirs, ours)
