"""The physical model: its curve, its mean, its variance."""

import numpy as np
import pytest

from smnet_jax.data.darkening import DarkeningRanges, darken, log_uniform
from smnet_jax.data.paired import PairedFolder
from smnet_jax.images.srgb import from_linear, to_linear


def test_without_noise_it_is_exposure_in_linear_light():
    high = np.random.default_rng(0).random((9, 7, 3), np.float32)
    low = darken(high, np.random.default_rng(1), exposure=0.1, shot=0, read=0, white_balance=(1.2, 0.9), bits=None)
    assert low.dtype == np.float32 and low.shape == high.shape
    np.testing.assert_allclose(to_linear(low), to_linear(high) * [0.12, 0.1, 0.09], rtol=1e-4, atol=1e-7)


def test_exposure_one_without_noise_is_the_picture_itself():
    high = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.float32) / 255
    low = darken(high, np.random.default_rng(1), exposure=1, shot=0, read=0)
    np.testing.assert_allclose(low, high, atol=1e-7)


@pytest.mark.parametrize(("shot", "read"), [(1e-3, 0.0), (0.0, 0.01), (5e-4, 0.005)])
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_mean_and_variance_follow_the_model(shot, read, level):
    """Foi et al.: mean y and variance shot * y + read^2, in linear light. Levels far from the clipping at 0 and 1."""
    count, exposure = 200_000, 0.6
    high = np.full((count, 1, 3), from_linear(np.array(level)), np.float32)
    low = darken(high, np.random.default_rng(0), exposure=exposure, shot=shot, read=read, bits=None)
    light = to_linear(low.astype(np.float64))
    y = exposure * level
    variance = shot * y + read**2
    assert abs(light.mean() - y) < 4 * np.sqrt(variance / light.size)
    assert abs(light.var() / variance - 1) < 4 * np.sqrt(2 / light.size) + 1e-3
    # Noise is independent between channels and pixels.
    assert abs(np.corrcoef(light[:, 0].T)[0, 1]) < 4 / np.sqrt(count)
    assert abs(np.corrcoef(light[:-1, 0, 0], light[1:, 0, 0])[0, 1]) < 4 / np.sqrt(count)


def test_few_photons_are_counted_not_approximated():
    """At 2 photons a pixel the chance of none is exp(-2), which no Gaussian gives."""
    high = np.ones((100_000, 3), np.float32)
    low = darken(high, np.random.default_rng(0), exposure=0.02, shot=0.01, read=0, bits=None)
    photons = to_linear(low.astype(np.float64)) / 0.01
    np.testing.assert_allclose(photons, np.rint(photons), atol=1e-3)
    assert abs((np.rint(photons) == 0).mean() - np.exp(-2)) < 4 * np.sqrt(0.135 * 0.865 / photons.size)


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_to_so_many_levels(bits):
    high = np.random.default_rng(0).random((64, 64, 3), np.float32)
    levels = darken(high, np.random.default_rng(1), exposure=0.5, shot=1e-3, read=1e-3, bits=bits) * (2**bits - 1)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert levels.min() >= 0 and levels.max() <= 2**bits - 1


def test_same_generator_same_noise():
    high = np.random.default_rng(0).random((8, 8, 3), np.float32)
    once, again, other = (DarkeningRanges()(high, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


def test_log_uniform():
    rng = np.random.default_rng(0)
    drawn = np.log([log_uniform((0.01, 1.0), rng) for _ in range(2000)])
    assert np.log(0.01) <= drawn.min() and drawn.max() <= 0
    assert abs(drawn.mean() - np.log(0.1)) < 4 * (np.log(100) / np.sqrt(12)) / np.sqrt(2000)
    assert log_uniform((0.0, 0.0), rng) == 0.0


def test_the_default_ranges_surround_real_noise(shared_data):
    """Flat patches of LOL's native pairs: variance over mean is inside the range of `shot`."""

    def patches(picture):
        return to_linear(picture[:400, :600] / 255).reshape(50, 8, 75, 8, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 64, 3)

    ratios = []
    source = PairedFolder(shared_data / "lol")
    for index in range(len(source)):
        low, high = patches(source[index]["low"]), patches(source[index]["high"])
        flat = high.std(1) < 0.02 * high.mean(1)
        ratios.append(low.var(1)[flat] / low.mean(1)[flat])
    smallest, largest = DarkeningRanges().shot
    assert smallest < np.median(np.concatenate(ratios)) < largest
