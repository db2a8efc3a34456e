import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network import layers, tpu
from tests.support import tolerances

BACK = {"even": tpu.unpack, "odd": tpu.unpack_odd}


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.normal(size=(2, 5, 6, 3)), jnp.float32)


def test_packing_is_undone_by_unpacking(x):
    assert tpu.pack(x).shape == (2, 5, 3, 6)
    assert tpu.pack_odd(x).shape == (2, 5, 4, 6)
    np.testing.assert_array_equal(tpu.unpack(tpu.pack(x)), x)
    np.testing.assert_array_equal(tpu.unpack_odd(tpu.pack_odd(x)), x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shifting_changes_no_number(x, dtype):
    x = x.astype(dtype)
    shifted = tpu.to_odd(tpu.pack(x))
    assert shifted.dtype == dtype
    np.testing.assert_array_equal(shifted, tpu.pack_odd(x))


def test_inside_is_the_picture(x):
    shifted = tpu.masked(jnp.pad(tpu.pack_odd(x), ((0, 0),) * 4) + 1)
    np.testing.assert_array_equal(shifted, tpu.pack_odd(x + 1))


@pytest.mark.parametrize(
    ("convolve", "before", "after"),
    [
        (tpu.conv3x3, "even", "even"),
        (tpu.conv3x3_to_odd, "even", "odd"),
        (tpu.conv3x3_to_even, "odd", "even"),
    ],
)
def test_convolutions_of_pairs_are_those_of_pixels(x, rng, convolve, before, after):
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 4)), jnp.float32)
    bias = jnp.asarray(rng.normal(size=4), jnp.float32)
    weights = jnp.asarray(rng.normal(size=(2, 5, 6, 4)), jnp.float32)

    def ours(x, kernel, bias, weights=weights):
        y = BACK[after](convolve({"even": tpu.pack, "odd": tpu.pack_odd}[before](x), kernel, bias))
        return (weights * y).sum(), y

    def plain(x, kernel, bias, weights=weights):
        y = layers.conv3x3(x, kernel, bias)
        return (weights * y).sum(), y

    sizes, size = jax.grad(plain, argnums=(0, 1, 2), has_aux=True)(*map(jnp.abs, (x, kernel, bias, weights)))

    (found, y), (wanted, z) = (jax.grad(f, argnums=(0, 1, 2), has_aux=True)(x, kernel, bias) for f in (ours, plain))
    for a, b, of in zip((y, *found), (z, *wanted), (size, *sizes), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerances.summed(2 * 5 * 6, of))  # all pixels, for the kernel


@pytest.mark.parametrize("pairs", ["none", "even", "odd"])
def test_border_bias_is_the_convolution_of_a_constant(rng, pairs):
    taps = jnp.asarray(rng.normal(size=(3, 3, 4)), jnp.float32)
    expected = layers.conv3x3(jnp.ones((1, 5, 6, 1)), taps[:, :, None], None)
    columns = {"none": 6, "even": 3, "odd": 4}[pairs]
    found = tpu.border_bias(taps, 5, columns, pairs)[None]
    assert found.shape == (1, 5, columns, 4 if pairs == "none" else 8)
    bound = tolerances.summed(9, layers.conv3x3(jnp.ones((1, 5, 6, 1)), jnp.abs(taps)[:, :, None], None))
    np.testing.assert_allclose(BACK.get(pairs, jnp.asarray)(found), expected, rtol=0, atol=bound)


def test_a_1x1_of_pairs_has_the_gradients_of_one(x, rng):
    kernel = jnp.asarray(rng.normal(size=(1, 1, 3, 4)), jnp.float32)

    def weighted(convolve):
        return lambda x, kernel: (jnp.cos(jnp.arange(4)) * convolve(x, kernel) ** 2).sum()

    ours, plain = (
        jax.grad(weighted(f), argnums=(0, 1))(x, kernel)
        for f in (lambda x, kernel: tpu.conv1x1(x, kernel, None), layers.conv1x1)
    )
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerances.GRADIENT * float(jnp.abs(b).max()))
