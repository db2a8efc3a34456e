"""Crops, flips and the optional transforms."""

import collections

import numpy as np
import pytest

from smnet_jax.data.augmentation import Daylight, LowGain, LowNoise, crop_and_flip, resize, thinned, to_float
from smnet_jax.errors import InputError

DRAWS = 4000


@pytest.fixture(scope="module")
def crops():
    """Corner and orientation of many crops of 16 from one wide and one tall picture, read off their pixels."""
    seen: dict[tuple[int, int], list[tuple[int, int, bool, bool]]] = {}
    for height, width in ((24, 40), (40, 24)):
        y, x = np.mgrid[:height, :width]
        high = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)
        example = {"low": 255 - high, "high": high, "name": "a"}
        rng = np.random.default_rng(0)
        seen[height, width] = []
        for _ in range(DRAWS):
            out = crop_and_flip(example, (16, 16), rng)
            np.testing.assert_array_equal(out["low"], 255 - out["high"])
            window = out["high"].astype(int)
            assert window.shape == (16, 16, 3)
            left, top = window.min((0, 1))[:2]
            mirrored, upside_down = (window[0, 0, :2] != (left, top)).tolist()
            # Whatever the flips, the window is one contiguous piece of the picture.
            straight = window[:: -1 if upside_down else 1, :: -1 if mirrored else 1, :2]
            np.testing.assert_array_equal(straight, high[top : top + 16, left : left + 16, :2])
            seen[height, width].append((int(top), int(left), mirrored, upside_down))
    return seen


@pytest.mark.parametrize("size", [(24, 40), (40, 24)])
def test_corners_are_uniform_inside_the_picture(crops, size):
    for axis, places in ((0, size[0] - 15), (1, size[1] - 15)):
        counts = np.bincount([crop[axis] for crop in crops[size]], minlength=places)
        assert len(counts) == places  # every place is reached, none beyond
        expected = DRAWS / places
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert chi2 < (places - 1) + 4 * np.sqrt(2 * (places - 1))


def test_corner_coordinates_are_independent(crops):
    corners = np.array([crop[:2] for crop in crops[24, 40]])
    assert abs(np.corrcoef(corners.T)[0, 1]) < 4 / np.sqrt(DRAWS)


def test_four_orientations_are_equally_frequent(crops):
    """Three independent coin flips of which the last is both others: four outcomes, a quarter each."""
    counts = collections.Counter(crop[2:] for crop in crops[24, 40])
    assert len(counts) == 4
    for count in counts.values():
        assert abs(count / DRAWS - 0.25) < 4 * np.sqrt(0.25 * 0.75 / DRAWS)


class Scripted:
    """A generator whose coins are given."""

    def __init__(self, *coins):
        self.coins = coins

    def integers(self, high):
        return 0

    def random(self, count):
        return np.where(self.coins, 0.2, 0.7)


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("turn", [False, True])
def test_each_of_the_eight_draws_does_what_it_says(vertical, horizontal, turn):
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    expected = picture
    if vertical:
        expected = np.flipud(expected)
    if horizontal:
        expected = np.fliplr(expected)
    if turn:
        expected = np.rot90(expected, 2)
    out = crop_and_flip({"high": picture, "name": "a"}, (8, 8), Scripted(vertical, horizontal, turn))  # type: ignore[arg-type]
    np.testing.assert_array_equal(out["high"], expected)


def test_too_small_is_refused(coordinates):
    with pytest.raises(InputError, match=r"0\.png: 40x24 is smaller than the crop of 28"):
        crop_and_flip(coordinates(1)[0], (28, 28), np.random.default_rng(0))


def test_to_float_divides_by_255():
    out = to_float({"high": np.array([[[0, 128, 255]]], np.uint8), "name": "a"})
    assert out["high"].dtype == np.float32 and out["name"] == "a"
    np.testing.assert_array_equal(out["high"], np.array([[[0, 128 / 255, 1]]], np.float32))


def test_resize_takes_both_to_the_size(coordinates):
    out = resize(coordinates(1)[0], (12, 20))
    assert out["low"].shape == out["high"].shape == (12, 20, 3)
    # Coordinates halve (bicubic keeps a ramp), and the negative stays the negative.
    np.testing.assert_allclose(out["high"][2:-2, 2:-2, 0], np.tile(np.arange(2, 18) * 2 + 0.5, (8, 1)), atol=0.51)
    np.testing.assert_allclose(out["low"].astype(int) + out["high"], 255, atol=1)
    same = coordinates(1)[0]
    assert resize(same, (24, 40))["high"] is same["high"]


def test_thinned_keeps_every_second_pixel_from_a_random_one_on(coordinates):
    example = coordinates(1, 25, 41)[0]
    starts = set()
    for seed in range(20):
        out = thinned(example, 2, np.random.default_rng(seed))
        assert out["low"].shape == out["high"].shape == (12, 20, 3)
        left, top = (int(v) for v in out["high"][0, 0, :2])
        starts.add((top, left))
        np.testing.assert_array_equal(out["high"][:, :, 0], np.tile(left + 2 * np.arange(20), (12, 1)))
        np.testing.assert_array_equal(out["high"][:, :, 1].T, np.tile(top + 2 * np.arange(12), (20, 1)))
        np.testing.assert_array_equal(out["low"], 255 - out["high"])
    assert starts == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_low_noise_has_the_drawn_deviation_and_spares_high():
    grey = np.full((64, 64, 3), 0.5, np.float32)
    deviations, noises = [], []
    for seed in range(200):
        out = LowNoise(0.08)({"low": grey, "high": grey, "name": "a"}, np.random.default_rng(seed))
        assert out["low"].dtype == np.float32
        np.testing.assert_array_equal(out["high"], grey)
        assert abs(out["low"].mean() - 0.5) < 0.008
        levels = out["low"] * 255
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
        deviations.append(out["low"].std())
        noises.append((out["low"] - 0.5) / max(deviations[-1], 1e-3))
    assert max(deviations) < 0.084 and min(deviations) < 0.003
    assert abs(np.mean(deviations) - 0.04) < 4 * 0.08 / np.sqrt(12 * 200)
    noise = np.stack(noises[:100])
    assert abs(np.mean(noise[..., 0] * noise[..., 1]) - 0.5) < 0.05  # between channels
    # Half of all neighbours share a coarse block, which has a quarter of the variance on average.
    assert abs(np.mean(noise[:, :-1] * noise[:, 1:]) - 0.125) < 0.03
    assert abs(np.mean(noise[:, :-2] * noise[:, 2:])) < 0.02


def test_daylight_gives_its_share_a_bright_low():
    high = np.full((16, 16, 3), 0.8, np.float32)
    dark = np.full((16, 16, 3), 0.05, np.float32)
    lows = []
    for seed in range(400):
        out = Daylight(0.25)({"low": dark, "high": high, "name": "a"}, np.random.default_rng(seed))
        np.testing.assert_array_equal(out["high"], high)
        lows.append(out["low"].mean())
    bright = [low for low in lows if low > 0.1]
    assert abs(len(bright) - 100) < 4 * np.sqrt(400 * 0.25 * 0.75)
    # Two stops below 0.8 sRGB (0.604 linear) is 0.42 sRGB.
    assert 0.41 < min(bright) < 0.5 and 0.75 < max(bright) < 0.81


def test_low_gain_is_one_factor_within_its_stops():
    low = np.linspace(0, 0.4, 48, dtype=np.float32).reshape(4, 4, 3)
    gains = []
    for seed in range(200):
        out = LowGain(1.0)({"low": low, "high": low, "name": "a"}, np.random.default_rng(seed))
        ratio = out["low"].ravel()[1:] / low.ravel()[1:]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
        np.testing.assert_array_equal(out["high"], low)
        gains.append(np.log2(ratio[0]))
    assert -1 <= min(gains) < -0.9 and 0.9 < max(gains) <= 1
    assert LowGain(1.0)({"low": low + 0.6, "high": low}, np.random.default_rng(2))["low"].max() <= 1
