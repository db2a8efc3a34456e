import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network import layers, tpu
from tests.support import tolerances


def up_case(rng, k=8):
    """(top, x, kernels) as `model.Up` has them at its half."""
    top, x = (jnp.asarray(rng.normal(size=(2, 5, 6, k)), jnp.float32) for _ in range(2))
    shapes = ((3, 3, k, k), (1, 1, k, k // 2), (1, 1, k, k // 2))
    up, reduce, skip = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    return top, x, tpu.UpKernels(up, jnp.float32(0.3), reduce, skip)


def plain_up(top, x, kernels):
    """(N,2h,2w,k/2), layer by layer."""
    t = layers.prelu(layers.transposed_conv(top, kernels.up), kernels.slope)
    return layers.conv1x1(t, kernels.reduce) + layers.conv1x1(layers.bilinear_up(x), kernels.skip)


def pixels(part, pairs):
    return tpu.unpack_odd(part) if pairs else part


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("at", [0, 1])
def test_up_is_written_into_its_place(rng, at, pairs):
    top, x, kernels = up_case(rng)
    shape, size = ((2, 10, 7), 8) if pairs else ((2, 10, 12), 4)
    at *= size
    z = jnp.full((*shape, 3 * size), 7, jnp.float32)
    filled, part = tpu.up_into(z, at, top, x, kernels, pairs, "highest")
    np.testing.assert_array_equal(filled[..., at : at + size], part)
    assert (np.delete(filled, np.s_[at : at + size], axis=3) == 7).all()
    bound = tolerances.summed(4 * 8 + 8 + 4, plain_up(*jax.tree.map(jnp.abs, (top, x, kernels))))
    np.testing.assert_allclose(pixels(part, pairs), plain_up(top, x, kernels), rtol=0, atol=bound)


@pytest.mark.parametrize("pairs", [False, True])
def test_the_gradient_of_up_keeps_z_and_part_apart(rng, pairs):
    """z goes on to one use and the part to another; both reach what was written, and what z held elsewhere its own."""
    top, x, kernels = up_case(rng)
    shape, size = ((2, 10, 7), 8) if pairs else ((2, 10, 12), 4)
    weight_z = jnp.asarray(rng.normal(size=(*shape, 2 * size)), jnp.float32)
    weight_part = jnp.asarray(rng.normal(size=(*shape, size)), jnp.float32)
    if pairs:  # nobody's pixels have no gradient
        weight_z = jnp.concatenate([tpu.masked(half) for half in jnp.split(weight_z, 2, axis=-1)], axis=-1)
        weight_part = tpu.masked(weight_part)

    def weighted(z, part):
        return (weight_z * z**2).sum() + (weight_part * part).sum()

    def ours(other, top, x, kernels):
        z, _ = tpu.place(jnp.zeros((*shape, 2 * size)), other, size)
        return weighted(*tpu.up_into(z, 0, top, x, kernels, pairs, "highest"))

    def expected(other, top, x, kernels):
        part = plain_up(top, x, kernels)
        part = tpu.pack_odd(part) if pairs else part
        return weighted(jnp.concatenate([part, other], axis=3), part)

    of = jnp.asarray(rng.normal(size=(*shape, size)), jnp.float32), top, x, kernels
    with jax.default_matmul_precision("highest"):
        found, wanted = (jax.grad(f, argnums=(0, 1, 2, 3))(*of) for f in (ours, expected))
        values = ours(*of), expected(*of)
        kept = jax.value_and_grad(ours)(*of)[0]  # by the other way of computing it
    np.testing.assert_allclose(*values, rtol=tolerances.GRADIENT)
    np.testing.assert_allclose(kept, values[0], rtol=tolerances.GRADIENT)
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerances.GRADIENT * float(jnp.abs(other).max()))
