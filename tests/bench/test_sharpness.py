"""What blur takes is told, and noise is not taken for detail."""

import numpy as np
import pytest

from smnet_jax.bench.sharpness import fine_detail

PICTURE = np.random.default_rng(0).uniform(0, 1, (64, 64, 3))


def test_all_of_it_half_of_it_and_none():
    assert fine_detail(PICTURE, PICTURE) == pytest.approx(1)
    assert fine_detail(0.5 * PICTURE + 0.3, PICTURE) == pytest.approx(0.5)
    assert fine_detail(np.full_like(PICTURE, 0.4), PICTURE) == pytest.approx(0)
    assert np.isnan(fine_detail(PICTURE, np.full_like(PICTURE, 0.25)))


def test_blur_counts_and_noise_does_not():
    blurred = (PICTURE + np.roll(PICTURE, 1, 0) + np.roll(PICTURE, 1, 1)) / 3
    assert fine_detail(blurred, PICTURE) < 0.5
    noisy = PICTURE + np.random.default_rng(1).normal(0, 0.2, PICTURE.shape)
    # The slope's standard error: noise over detail, both of Laplacians, by the root of some 3,600 pixels.
    assert fine_detail(noisy, PICTURE) == pytest.approx(1, abs=5 * 0.2 * 12**0.5 / 60)
