"""Training side by side: right passes, a slightly different optimiser does not."""

import optax

from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.training import step as steps
from smnet_jax.verification import divergence, inputs, stored

ONE_BLOCK, PARAMS = (
    Architecture("lol", stored.WIDTH, blocks=1),
    stored.read("lol")[1],
)  # compiles in a third of the time
BATCHES = inputs.batches(inputs.read(None, (32, 32)), 3, batch=1, side=16)


def test_two_frameworks_drift_as_rounding_does(vgg):
    rows = divergence.compare(ONE_BLOCK, PARAMS, BATCHES, vgg)
    assert [row.step for row in rows] == [1, 2, 3]
    assert all(row.within for row in rows)
    assert all(abs(row.loss - row.torch_loss) < 1e-4 * row.loss for row in rows)
    assert 0 < rows[0].torchs < 1e-2  # float64 really is another run


def test_another_momentum_is_noticed(vgg, monkeypatch):
    """Adam's first update does not depend on it, the second one by a few per cent."""
    monkeypatch.setattr(
        steps,
        "make_optimizer",
        lambda *_: optax.chain(optax.scale(-1.0), optax.scale_by_adam(b1=0.8)),
    )
    rows = divergence.compare(ONE_BLOCK, PARAMS, BATCHES[:2], vgg)
    assert [row.within for row in rows] == [True, False]
    assert 0.01 < rows[1].ours < 0.2
