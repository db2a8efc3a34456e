import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.metrics import fsim, fsimc
from smnet_jax.metrics.feature_similarity import lower_median
from tests.support import tolerances


@pytest.mark.parametrize(("metric", "name"), [(fsim, "fsim"), (fsimc, "fsimc")])
class TestAgreesWithPiq:
    def test_on_shipped_pictures(self, shipped, metric, name):
        for batch in shipped:
            np.testing.assert_allclose(
                metric(batch.pred, batch.target), batch.scores[name], rtol=0, atol=tolerances.METRIC
            )

    def test_on_golden_pictures(self, golden_pictures, metric, name):
        for batch in golden_pictures:
            np.testing.assert_allclose(
                metric(batch.pred, batch.target), batch.scores[name], rtol=0, atol=tolerances.METRIC
            )


def test_large_pictures_are_averaged_first(shipped):
    """163 x 175 repeated three times: 489 rows are averaged over 2x2, which cuts across the repeated pixels."""
    batch = min(shipped, key=lambda batch: batch.pred.size)
    pred, target = (picture.repeat(3, 1).repeat(3, 2) for picture in (batch.pred, batch.target))
    np.testing.assert_allclose(fsimc(pred, target), batch.scores["fsimc_enlarged"], rtol=0, atol=tolerances.METRIC)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (5, 5), (20, 33)])
def test_median_by_counting_is_the_lower_median(size):
    rng = np.random.default_rng(0)
    values = rng.choice(rng.random(50, np.float32) ** 8, (6, *size))  # with repetitions
    values[0] = 0
    flat = np.sort(values.reshape(6, -1))
    np.testing.assert_array_equal(lower_median(jnp.asarray(values)), flat[:, (flat.shape[1] - 1) // 2])


def test_color_counts_in_fsimc_only(pair):
    target = pair[1]
    swapped = target[..., [2, 1, 0]]
    gray = np.repeat(target[..., 1:2], 3, -1)
    assert (fsimc(swapped, target) < fsim(swapped, target)).all()
    np.testing.assert_allclose(fsimc(gray // 2, gray), fsim(gray // 2, gray), rtol=tolerances.MEAN)
