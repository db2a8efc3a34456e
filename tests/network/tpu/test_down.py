import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network import layers, tpu
from tests.support import tolerances


def plain(a, slope, kernel):
    """(N,H,W,c) -> (N,H/2,W/2,O), layer by layer."""
    return layers.conv1x1(layers.blur_down(layers.prelu(a, slope)), kernel)


def of_pairs(a, slope, kernel):
    # What lies beside the picture is nobody's: 7 would be seen.
    return tpu.blur_down(
        tpu.pack(jnp.pad(a, ((0, 0), (0, 0), (1, 1), (0, 0)), constant_values=7)), slope, kernel, "highest"
    )


def of_pixels(a, slope, kernel):
    return tpu.blur_down_pixels(a, slope, kernel, "highest")


@pytest.mark.parametrize("ours", [of_pairs, of_pixels])
@pytest.mark.parametrize("slope", [0.25, 0.0, -0.5])
@pytest.mark.parametrize("size", [(4, 4), (8, 12)])
def test_down_and_its_gradients(rng, ours, slope, size):
    a = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(1, 1, 3, 6)), jnp.float32)
    weights = jnp.asarray(rng.normal(size=(2, size[0] // 2, size[1] // 2, 6)), jnp.float32)

    def weighted(f, weights=weights):
        return lambda *of: ((y := f(*of)) * weights).sum() + (y**2).sum()

    # Negative values with the slope -1 are their magnitudes, and so is all that is made of them.
    sized = -jnp.abs(a), jnp.float32(-1), jnp.abs(kernel)
    # Of one result, as pairs have it: 3x2 pairs of 6 channels, with 2 pairs for the row outside and a column outside.
    products = 3 * 2 * 6 + 2 * 6 + 3
    with jax.default_matmul_precision("highest"):
        of = a, jnp.float32(slope), kernel
        bound = tolerances.summed(products, plain(*sized))
        np.testing.assert_allclose(ours(*of), plain(*of), rtol=0, atol=bound)
        found, wanted = (jax.grad(weighted(f), argnums=(0, 1, 2))(*of) for f in (ours, plain))
        sizes = jax.grad(weighted(plain, jnp.abs(weights)), argnums=(0, 1, 2))(*sized)
    # Of a gradient: those of the results that it sees, and one for each of these: for a value 4 results of 6 channels,
    # for a kernel's number the results of one channel, for the slope everything.
    seen = 4 * 6, weights.size // 6, a.size
    for x, y, of_them, size in zip(found, wanted, seen, sizes, strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerances.summed(products + of_them, size))


def test_uninitialised_pixels_have_no_gradient(rng):
    a = jnp.asarray(rng.normal(size=(1, 4, 5, 6)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(1, 1, 3, 6)), jnp.float32)
    found = jax.grad(lambda a: tpu.blur_down(a, jnp.float32(0.25), kernel, None).sum())(a)
    np.testing.assert_array_equal(found, tpu.masked(found))
    assert (tpu.unpack_odd(found) != 0).all()
