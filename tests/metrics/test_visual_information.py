import numpy as np

from smnet_jax.metrics import luma, vif
from tests.support import tolerances


def test_agrees_with_piq(shipped):
    for batch in shipped:
        bound = tolerances.windowed(luma(batch.pred), luma(batch.target), 17, 2, bits=True)
        np.testing.assert_allclose(vif(batch.pred, batch.target), batch.scores["vif"], rtol=0, atol=bound)


def test_agrees_with_golden_numbers(golden_pictures):
    """Those come from piq in float32, which counts variances from black."""
    for batch in golden_pictures:
        bound = tolerances.windowed(luma(batch.pred), luma(batch.target), 17, 2, bits=True, centred=False)
        np.testing.assert_allclose(vif(batch.pred, batch.target), batch.scores["vif_p"], rtol=0, atol=bound)


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
