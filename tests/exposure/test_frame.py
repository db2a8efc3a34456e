"""Which part of a picture is the photo, and that a frame changes nothing in it."""

import numpy as np
import pytest

import smnet_jax
from smnet_jax.exposure import ExposureNet, frame, picture


def photo(height=60, width=80):
    return np.random.default_rng(0).uniform(0.05, 0.4, (height, width, 3)).astype(np.float32)


def framed(inner, bars, level):
    top, bottom, left, right = bars
    return np.pad(inner, ((top, bottom), (left, right), (0, 0)), constant_values=level)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("bars", [(5, 6, 7, 8), (9, 4, 0, 0), (0, 0, 3, 3)])
def test_found(level, bars):
    top, _, left, _ = bars
    assert frame.inside(framed(photo(), bars, level)) == (slice(top, top + 60), slice(left, left + 80))


@pytest.mark.parametrize("bars", [(20, 0, 0, 0), (0, 0, 0, 9), (5, 0, 5, 0)])
def test_dark_sky_and_white_table_are_no_frame(bars):
    low = framed(photo(), bars, 0)
    assert frame.inside(low) == (slice(0, low.shape[0]), slice(0, low.shape[1]))


def test_gray_and_nearly_empty_pictures_have_none():
    everything = (slice(0, 60), slice(0, 80))
    assert frame.inside(np.full((60, 80, 3), 0.5, np.float32)) == everything
    assert frame.inside(np.zeros((60, 80, 3), np.float32)) == everything
    little = np.zeros((60, 80, 3), np.float32)
    little[30, 40] = 1  # one star
    assert frame.inside(little) == everything


@pytest.mark.parametrize("level", [0, 1])
def test_photo_in_a_frame_is_brightened_as_without(level):
    model, variables = smnet_jax.load("photo")
    assert isinstance(model, ExposureNet)
    inner = photo()
    out = picture.enhance(model, variables, framed(inner, (10, 10, 10, 10), level))
    np.testing.assert_array_equal(out[10:-10, 10:-10], picture.enhance(model, variables, inner))
    assert (out[:10] == level).all()
