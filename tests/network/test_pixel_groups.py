"""Several pixels at once are the convolution itself, whatever form it takes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from smnet_jax.network import pixel_groups
from smnet_jax.network.layers import LAYOUT
from tests.support import tolerances


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("inputs", "outputs", "pixels"), [(8, 8, 2), (3, 8, 4), (5, 16, 2)])
def test_against_xla_s_own(inputs, outputs, pixels, dilation):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 5, 8, inputs)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 3, inputs, outputs)), jnp.float32)
    ours = functools.partial(pixel_groups.conv3x3, precision="highest", pixels=pixels, dilation=dilation)
    around = [(dilation, dilation)] * 2
    own = lambda x, kernel: lax.conv_general_dilated(  # noqa: E731
        x, kernel, (1, 1), around, rhs_dilation=(dilation, dilation), dimension_numbers=LAYOUT, precision="highest"
    )
    wanted, largest = jax.jit(own)(x, kernel), float(jax.jit(own)(jnp.abs(x), jnp.abs(kernel)).max())
    bound = tolerances.summed(9 * inputs, largest)
    np.testing.assert_allclose(jax.jit(ours)(x, kernel), wanted, rtol=0, atol=bound)
