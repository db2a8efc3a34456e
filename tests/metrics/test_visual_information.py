import numpy as np

from smnet_jax.metrics import vif


def test_agrees_with_piq(shipped):
    for batch in shipped:
        np.testing.assert_allclose(vif(batch.pred, batch.target), batch.scores["vif"], rtol=0, atol=1e-6)


def test_agrees_with_golden_numbers(golden_pictures):
    """Those come from piq in float32, whose uncentred variances are off by up to 5e-5 in dark pictures."""
    for batch in golden_pictures:
        np.testing.assert_allclose(vif(batch.pred, batch.target), batch.scores["vif_p"], rtol=0, atol=1e-4)


def test_is_not_symmetric_and_rewards_contrast(shipped):
    batch = next(batch for batch in shipped if "coffee_dark.png" in batch.names)
    i = batch.names.index("coffee_dark.png")
    dark, target = batch.pred[i : i + 1], batch.target[i : i + 1]
    assert vif(dark, target)[0] < 1 < vif(target, dark)[0]


def test_a_target_without_structure_gives_one(pair):
    flat = np.full_like(pair[0], 77)
    np.testing.assert_array_equal(vif(pair[0], flat), 1)


def test_a_prediction_without_structure_gives_nothing(pair):
    flat = np.full_like(pair[0], 77)
    np.testing.assert_allclose(vif(flat, pair[1]), 0, atol=1e-9)
