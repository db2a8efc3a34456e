import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax import layers, packed


def plain(z):
    """Mean and maximum over the picture, of both pixels of each pair."""
    z = jnp.concatenate([packed.unpack(part) for part in jnp.split(z, 3, axis=-1)], axis=-1).astype(jnp.float32)
    return jnp.mean(z, (1, 2)), jnp.max(z, (1, 2))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_statistics_and_their_gradient(rng, dtype):
    # Few different values, so that several pixels share the maximum, and its gradient.
    z = jnp.asarray(rng.integers(-4, 3, (2, 6, 5, 24)), dtype)
    weights = [jnp.asarray(rng.normal(size=(2, 12)), jnp.float32) for _ in range(2)]

    def weighted(statistics):
        return lambda z: sum((w * value).sum() for w, value in zip(weights, statistics(z), strict=True))

    for ours, expected in zip(packed.statistics(z), plain(z), strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)
    ours, expected = (jax.jit(jax.grad(weighted(f)))(z) for f in (packed.statistics, plain))
    assert ours.dtype == dtype
    # Shared among the pixels of either half first, and then between the halves: the sum is the same.
    total, wanted = (np.asarray(g, np.float32).sum((1, 2)).reshape(2, 3, 2, 4).sum(2) for g in (ours, expected))
    np.testing.assert_allclose(total, wanted, rtol=0.02, atol=0.02)
    assert ((ours != 0) == (expected != 0)).all()


def test_one_maximum_gets_its_whole_gradient(rng):
    z = jnp.asarray(rng.normal(size=(1, 4, 3, 12)), jnp.float32)
    ours, expected = (jax.grad(lambda z, f=f: (f(z)[1] ** 2).sum())(z) for f in (packed.statistics, plain))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def up_case(rng, k=8):
    """(top, x, kernels) as `model.Up` has them at its half."""
    top, x = (jnp.asarray(rng.normal(size=(2, 5, 6, k)), jnp.float32) for _ in range(2))
    shapes = ((3, 3, k, k), (1, 1, k, k // 2), (1, 1, k, k // 2))
    up, reduce, skip = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    return top, x, packed.UpKernels(up, jnp.float32(0.3), reduce, skip)


def plain_up(top, x, kernels):
    """(N,2h,2w,k/2), layer by layer."""
    t = layers.prelu(layers.transposed_conv(top, kernels.up), kernels.slope)
    return layers.straight_conv1x1(t, kernels.reduce) + layers.straight_conv1x1(
        layers.bilinear_up(x, "straight"), kernels.skip
    )


@pytest.mark.parametrize("at", [0, 8])
def test_up_writes_pairs_into_their_place(rng, at):
    top, x, kernels = up_case(rng)
    z = jnp.full((2, 10, 6, 24), 7, jnp.float32)
    filled, part = packed.up_into(z, at, top, x, kernels, "highest")
    np.testing.assert_array_equal(filled[..., at : at + 8], part)
    assert (np.delete(filled, np.s_[at : at + 8], axis=3) == 7).all()
    np.testing.assert_allclose(packed.unpack(part), plain_up(top, x, kernels), atol=2e-5)


def test_the_gradient_of_up_keeps_z_and_part_apart(rng):
    """z goes on to one use and the part to another; both reach what was written, and what z held elsewhere its own."""
    top, x, kernels = up_case(rng)
    weight_z = jnp.asarray(rng.normal(size=(2, 10, 6, 16)), jnp.float32)
    weight_part = jnp.asarray(rng.normal(size=(2, 10, 6, 8)), jnp.float32)

    def ours(other, top, x, kernels):
        z, _ = packed.place(jnp.zeros((2, 10, 6, 16)), other, 8)
        z, part = packed.up_into(z, 0, top, x, kernels, "highest")
        return (weight_z * z**2).sum() + (weight_part * part).sum()

    def expected(other, top, x, kernels):
        part = packed.pack(plain_up(top, x, kernels))
        z = jnp.concatenate([part, other], axis=3)
        return (weight_z * z**2).sum() + (weight_part * part).sum()

    other = jnp.asarray(rng.normal(size=(2, 10, 6, 8)), jnp.float32)
    with jax.default_matmul_precision("highest"):
        found, wanted = (jax.grad(f, argnums=(0, 1, 2, 3))(other, top, x, kernels) for f in (ours, expected))
        values = ours(other, top, x, kernels), expected(other, top, x, kernels)
        kept = jax.value_and_grad(ours)(other, top, x, kernels)[0]  # by the other way of computing it
    np.testing.assert_allclose(*values, rtol=1e-5)
    np.testing.assert_allclose(kept, values[0], rtol=1e-5)
    for mine, other_ in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(mine, other_, atol=1e-5 * float(jnp.abs(other_).max()))
