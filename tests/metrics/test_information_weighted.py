import numpy as np

from smnet_jax.metrics import iw_ssim, luma
from tests.support import tolerances


def bound(batch, *, centred=True):
    """That of what is averaged and that of the weights, which are information; all but the coarsest scale have a mean
    of zero."""
    planes = luma(batch.pred), luma(batch.target)
    return tolerances.windowed(*planes, 11, (0.03 * 255) ** 2, centred=centred) + tolerances.windowed(
        *planes, 3, 0.4, bits=True
    )


def test_agrees_with_piq(shipped):
    for batch in shipped:
        scores = batch.scores["iw_ssim"]
        np.testing.assert_allclose(iw_ssim(batch.pred, batch.target), scores, rtol=0, atol=bound(batch))


def test_agrees_with_golden_numbers(golden_pictures):
    """Those come from piq in float32, which counts variances from black."""
    for batch in golden_pictures:
        scores = batch.scores["iw_ssim"]
        np.testing.assert_allclose(iw_ssim(batch.pred, batch.target), scores, rtol=0, atol=bound(batch, centred=False))


def test_a_singular_target_has_a_score():
    """One direction of stripes: most eigenvalues of the block covariance vanish, where piq fails to invert it."""
    stripes = np.zeros((1, 161, 170, 1), np.uint8)
    stripes[:, :, ::2] = 200
    score = iw_ssim(stripes // 2, stripes)
    assert 0 < score[0] < 1
