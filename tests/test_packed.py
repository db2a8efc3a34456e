import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax import packed


def plain(parts):
    """Mean and maximum over the picture, of both pixels of each pair."""
    z = jnp.concatenate([packed.unpack(part) for part in parts], axis=-1).astype(jnp.float32)
    return jnp.mean(z, (1, 2)), jnp.max(z, (1, 2))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_statistics_and_their_gradient(rng, dtype):
    # Few different values, so that several pixels share the maximum, and its gradient.
    parts = [jnp.asarray(rng.integers(-4, 3, (2, 6, 5, 8)), dtype) for _ in range(3)]
    weights = [jnp.asarray(rng.normal(size=(2, 12)), jnp.float32) for _ in range(2)]

    def weighted(statistics):
        return lambda parts: sum(
            (w * value).sum() for w, value in zip(weights, jax.tree.leaves(statistics(parts)), strict=True)
        )

    for ours, expected in zip(packed.statistics(parts), plain(parts), strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)
    ours, expected = (jax.jit(jax.grad(weighted(f)))(parts) for f in (packed.statistics, plain))
    for mine, other in zip(ours, expected, strict=True):
        assert mine.dtype == dtype
        # Shared among the pixels of either half first, and then between the halves: the sum is the same.
        mine_total, other_total = (np.asarray(g, np.float32).sum((1, 2)).reshape(2, 2, 4).sum(1) for g in (mine, other))
        np.testing.assert_allclose(mine_total, other_total, rtol=0.02, atol=0.02)
        assert ((mine != 0) == (other != 0)).all()


def test_one_maximum_gets_its_whole_gradient(rng):
    parts = [jnp.asarray(rng.normal(size=(1, 4, 3, 4)), jnp.float32) for _ in range(3)]
    ours, expected = (jax.grad(lambda p, f=f: (f(p)[1] ** 2).sum())(parts) for f in (packed.statistics, plain))
    for mine, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6)
