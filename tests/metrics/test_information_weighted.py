import numpy as np

from smnet_jax.metrics import iw_ssim


def test_agrees_with_piq(shipped):
    for batch in shipped:
        np.testing.assert_allclose(iw_ssim(batch.pred, batch.target), batch.scores["iw_ssim"], rtol=0, atol=1e-6)


def test_agrees_with_golden_numbers(golden_pictures):
    for batch in golden_pictures:
        np.testing.assert_allclose(iw_ssim(batch.pred, batch.target), batch.scores["iw_ssim"], rtol=0, atol=5e-6)


def test_a_singular_target_has_a_score():
    """One direction of stripes: most eigenvalues of the block covariance vanish, where piq fails to invert it."""
    stripes = np.zeros((1, 161, 170, 1), np.uint8)
    stripes[:, :, ::2] = 200
    score = iw_ssim(stripes // 2, stripes)
    assert 0 < score[0] < 1
