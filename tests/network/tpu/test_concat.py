import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network import tpu
from smnet_jax.network.tpu.strips import Strips


def join(parts):
    """As `model.LGBlock` does."""
    z = jnp.zeros((*parts[0].shape[:3], sum(part.shape[3] for part in parts)), parts[0].dtype)
    placed = []
    at = 0
    for part in parts:
        z, part_of_z = tpu.place(z, part, at)
        placed.append(part_of_z)
        at += part.shape[3]
    return z, tuple(placed)


def ours(parts):
    return tpu.statistics(*join(parts))


def plain(parts):
    """Mean and maximum over the picture, of both pixels of each pair."""
    z = jnp.concatenate([tpu.unpack_odd(part) for part in parts], axis=-1).astype(jnp.float32)
    return jnp.mean(z, (1, 2)), jnp.max(z, (1, 2))


def three(values, dtype=jnp.float32):
    """Three parts, (2,6,5,8) each, with the largest values beside the picture, where they do not count."""
    parts = [np.array(part) for part in np.split(values, 3, axis=-1)]
    for part in parts:
        part[:, :, 0, :4] = part[:, :, -1, 4:] = 9
    return [jnp.asarray(part, dtype) for part in parts]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_statistics_and_their_gradient(rng, dtype):
    # Few different values, so that several pixels share the maximum, and its gradient.
    parts = three(rng.integers(-4, 3, (2, 6, 5, 24)), dtype)
    weights = [jnp.asarray(rng.normal(size=(2, 12)), jnp.float32) for _ in range(2)]

    def weighted(statistics):
        return lambda parts: sum((w * value).sum() for w, value in zip(weights, statistics(parts), strict=True))

    for found, expected in zip(ours(parts), plain(parts), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    found, expected = (jax.jit(jax.grad(weighted(f)))(parts) for f in (ours, plain))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == dtype
        assert ((mine != 0) == (theirs != 0)).all()
        # Shared among the pixels of either half first, and then between the halves: the sum is the same.
        total, wanted = (np.asarray(g, np.float32).sum((1, 2)).reshape(2, 2, 4).sum(1) for g in (mine, theirs))
        np.testing.assert_allclose(total, wanted, rtol=0.02, atol=0.02)


def test_one_maximum_gets_its_whole_gradient(rng):
    parts = three(rng.normal(size=(2, 6, 5, 24)))
    found, expected = (jax.grad(lambda parts, f=f: (f(parts)[1] ** 2).sum())(parts) for f in (ours, plain))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_z_and_its_parts_have_gradients_of_their_own(rng):
    parts = three(rng.normal(size=(2, 6, 5, 24)))
    weights = jnp.asarray(rng.normal(size=(2, 6, 5, 24)), jnp.float32)

    def joined(parts):
        z, placed = join(parts)
        return (weights * z).sum() + (tpu.statistics(z, placed)[0] ** 2).sum()

    def apart(parts):
        return (weights * jnp.concatenate(parts, axis=-1)).sum() + (plain(parts)[0] ** 2).sum()

    for mine, theirs in zip(*(jax.grad(f)(parts) for f in (joined, apart)), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_strips_of_pictures_have_the_statistics_of_the_pictures(rng):
    cut = Strips(120, 2)
    parts = [jnp.asarray(rng.normal(size=(3, 120, 5, 8)), jnp.float32) for _ in range(3)]
    z, placed = join([cut.split(part) for part in parts])
    for found, expected in zip(tpu.statistics(z, placed, cut), plain(parts), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
