"""Which part of a picture is the photo, and that a frame changes nothing in it."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import smnet_jax
from smnet_jax.exposure import ExposureNet, frame, picture
from tests.support import tolerances


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


def as_jpeg(picture, quality=90):
    file = io.BytesIO()
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / np.float32(255)


@pytest.mark.parametrize("width", [4, 8, 12, 16])
def test_narrow_white_frames_are_found_though_jpeg_rings_in_them(width):
    low = as_jpeg(framed(photo(), [width] * 4, 1))
    assert np.ptp(low[:width]) > 5 / 255
    assert frame.inside(low) == (slice(width, width + 60), slice(width, width + 80))


def test_walls_in_the_dark_are_no_frame():
    """Levels 0 to 3 by chance at two opposite sides, as files of dark rooms hold them."""
    low = framed(photo(), (0, 0, 12, 30), 0)
    low[:, :12] = low[:, -30:] = np.random.default_rng(3).integers(0, 4, (60, 1, 1)) / 255
    low[0, 0] = 1 / 255
    assert frame.inside(low) == (slice(0, 60), slice(0, 122))
    low[:, -30:] = 1 / 255  # one side alone is not enough
    assert frame.inside(low) == (slice(0, 60), slice(0, 122))
    low[:, :12] = 1 / 255
    assert frame.inside(low) == (slice(0, 60), slice(12, 92))
    low[:14, :12] = low[:14, -30:] = 3 / 255  # a quarter rings
    assert frame.inside(low[1:]) == (slice(0, 59), slice(0, 122))
    low[0, 0] = 1 / 255
    assert frame.inside(low) == (slice(0, 60), slice(12, 92))


def test_gray_and_nearly_empty_pictures_have_none():
    everything = (slice(0, 60), slice(0, 80))
    assert frame.inside(np.full((60, 80, 3), 0.5, np.float32)) == everything
    assert frame.inside(np.zeros((60, 80, 3), np.float32)) == everything
    little = np.zeros((60, 80, 3), np.float32)
    little[30, 40] = 1  # one star
    assert frame.inside(little) == everything


def test_each_picture_of_a_batch_as_alone():
    """Bars of all kinds, levels next to the thresholds, gray, nothing but frame: in a program as on the host."""
    whole = photo(60, 80)
    nearly = np.random.default_rng(1).uniform(0, 1, (60, 80, 1)).astype(np.float32)
    pictures = [whole, np.zeros_like(whole), np.ones_like(whole), np.full_like(whole, 0.5)]
    for top, bottom, left, right in (
        (5, 6, 7, 8),
        (9, 4, 0, 0),
        (0, 0, 3, 3),
        (20, 0, 0, 9),
        (5, 5, 0, 4),
        (20, 25, 9, 9),
    ):
        for colour in (0, 1, 15.9 / 255, 16.1 / 255, 0.5):
            for noise in (0, 3.9 / 255, 4.1 / 255):
                low = colour + np.repeat(noise * np.where(nearly > 0.99, 1, 0), 3, -1).astype(np.float32)
                low[top : 60 - bottom, left : 80 - right] = whole[top : 60 - bottom, left : 80 - right]
                pictures.append(np.clip(low, 0, 1))
                walls = pictures[-1].copy()  # a share of the outermost lines is of another level
                share = 12 + 2 * len(pictures) % 9
                walls[1:share, [0, -1]] = walls[[0, -1], 1:share] = walls[0, 0] + 1 / 255
                pictures.append(np.clip(walls, 0, 1))
    for width in (4, 8):
        for level in (0, 1):
            pictures.append(as_jpeg(framed(photo(60 - 2 * width, 80 - 2 * width), [width] * 4, level)))
    for speck in (230.9 / 255, 231.1 / 255):
        pictures.append(framed(photo(50, 70), [5] * 4, 1))
        pictures[-1][2, 10] = pictures[-1][30, -2] = speck
    found = jax.tree.map(np.asarray, jax.jit(frame.inside_each)(jnp.stack(pictures)))
    framed_ones = 0
    for low, top, height, left, width in zip(pictures, *found, strict=True):
        expected = frame.inside(low)
        assert expected == (slice(top, top + height), slice(left, left + width))
        framed_ones += height * width < 60 * 80
    assert 10 < framed_ones < len(pictures) - 10


def test_the_model_alone_leaves_frames_out_too():
    model, variables = smnet_jax.load("photo")
    assert isinstance(model, ExposureNet)
    pictures = [framed(photo(), bars, level) for bars, level in (((4, 6, 7, 3), 0), ((5, 5, 4, 6), 1))]
    bound = tolerances.exposed(model, variables, photo()[None])
    out = np.asarray(jax.jit(model.apply)(variables, np.stack(pictures)))
    for low, result in zip(pictures, out, strict=True):
        np.testing.assert_allclose(result, picture.enhance(model, variables, low), rtol=0, atol=bound)
        round_it = np.ones(low.shape, bool)
        round_it[frame.inside(low)] = False
        assert round_it.any()
        np.testing.assert_array_equal(result[round_it], low[round_it])


def test_gradients_are_finite_round_a_frame():
    model, variables = smnet_jax.load("photo")
    low = jnp.asarray(framed(photo(24, 24), (8, 8, 8, 8), 0)[None])
    gradient = jax.jit(jax.grad(lambda variables: jnp.sum(jnp.asarray(model.apply(variables, low)))))(variables)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("level", [0, 1])
def test_photo_in_a_frame_is_brightened_as_without(level):
    model, variables = smnet_jax.load("photo")
    assert isinstance(model, ExposureNet)
    inner = photo()
    out = picture.enhance(model, variables, framed(inner, (10, 10, 10, 10), level))
    np.testing.assert_array_equal(out[10:-10, 10:-10], picture.enhance(model, variables, inner))
    assert (out[:10] == level).all()
