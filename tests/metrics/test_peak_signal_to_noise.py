import jax
import numpy as np
import pytest

from smnet_jax.metrics import psnr
from tests.support import tolerances


def test_agrees_with_scikit_image(shipped):
    for batch in shipped:
        expected = batch.scores["psnr"]
        bound = tolerances.decibels(expected)
        np.testing.assert_allclose(psnr(batch.pred, batch.target), expected, rtol=0, atol=bound)


def test_agrees_with_golden_numbers(golden_pictures):
    for batch in golden_pictures:
        expected = batch.scores["psnr"]
        bound = tolerances.decibels(expected)
        np.testing.assert_allclose(psnr(batch.pred, batch.target), expected, rtol=0, atol=bound)


@pytest.mark.parametrize("width", [7, 300, 40_000])
def test_squared_error_of_bytes_is_summed_exactly(width):
    """The sum passes 2^32 in the widest case, where float32 and 32-bit integers alike would be wrong."""
    rng = np.random.default_rng(width)
    a, b = rng.integers(0, 256, (2, 2, 5, width, 3), dtype=np.uint8)
    b[1] = 255 - (a[1] > 127) * np.uint8(255)  # the greatest differences there are
    expected = 10 * np.log10(255**2 / np.mean((a.astype(np.int64) - b) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(psnr(a, b), expected, rtol=0, atol=tolerances.decibels(expected))


def test_one_level_in_one_pixel(pair):
    target = pair[1][:1]
    pred = target.copy()
    pred[0, 3, 4, 1] ^= 1
    expected = [10 * np.log10(255**2 * target.size)]
    np.testing.assert_allclose(psnr(pred, target), expected, rtol=0, atol=tolerances.decibels(expected))


def test_identical_pictures_are_infinitely_good_with_a_gradient_of_zero(pair):
    target = pair[1][:1]
    assert np.isposinf(psnr(target, target)).all()
    same = (target / 255).astype(np.float32)
    assert not np.any(jax.grad(lambda x: psnr(x, same).sum())(same))


def test_gradient_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    pred, target = rng.random((2, 1, 4, 5, 3), np.float32)
    expected = -10 / np.log(10) * 2 * (pred - target) / np.sum((pred - target) ** 2)
    np.testing.assert_allclose(jax.grad(lambda x: psnr(x, target).sum())(pred), expected, rtol=tolerances.MEAN)
