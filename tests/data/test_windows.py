"""Windows for the last look: the same places of picture, target and grid."""

import dataclasses

import numpy as np
import pytest

from smnet_jax.data.windows import Told, draw, shapes
from smnet_jax.exposure.resampling import linear
from smnet_jax.exposure.tone import GRID, KNOTS


@pytest.fixture
def told():
    """A picture whose colours say where a pixel lies, and its target, the same."""
    height, width = 90, 120
    where = np.stack(np.broadcast_arrays(np.arange(height)[:, None] * 2, np.arange(width)[None] * 2, 7), -1)
    picture = where.astype(np.uint8)
    grid = np.zeros((GRID, GRID, KNOTS), np.float32)
    return Told(picture, picture, np.ones(1, np.float32), grid, np.ones(KNOTS, np.float32), moved=0.25)


@pytest.fixture
def no_jpeg(monkeypatch):
    monkeypatch.setattr("smnet_jax.data.windows._jpeg", lambda picture, quality: picture)


def windows(told, count, size=32):
    for seed in range(count):
        yield draw(np.random.default_rng(seed), [told], size)


def test_what_lies_where_and_what_was_said_of_it(told, no_jpeg):
    """The rows and columns of the grid belong to the pixels' places, mirrored and enlarged as these are."""
    rows_of, columns_of = (linear(GRID, size) @ np.arange(GRID) for size in (90, 120))
    for low, high, *_, rows, columns, _ in windows(told, 40):
        np.testing.assert_array_equal(low, high)
        assert low.shape == (32, 32, 3)
        assert rows.shape == columns.shape == (32, GRID)
        assert {x.dtype for x in (low, high, rows, columns)} == {np.dtype(np.float32)}
        inner = slice(2, -2)  # bicubic and linear differ at edges
        y, x = 255 / 2 * low[inner, 16, 0], 255 / 2 * low[16, inner, 1]
        for matrix, place, wanted in ((rows, y, rows_of), (columns, x, columns_of)):
            found = (matrix @ np.arange(GRID))[inner]
            np.testing.assert_allclose(found, np.interp(place, np.arange(len(wanted)), wanted), rtol=0, atol=0.2)


def test_the_same_generator_the_same_window(told):
    first, second = (next(windows(told, 1)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_wrong_look_is_made_good_by_the_target_s_curve(told):
    """However much lighter a picture is said to be, the two powers together are those of the looks."""
    said = [(rate.item(), moved.item()) for _, _, rate, *_, moved in windows(told, 40)]
    np.testing.assert_allclose(np.sum(said, axis=1), 1.25, atol=1e-6)
    assert 0.3 < np.mean([rate != 1 for rate, _ in said]) < 0.7


def test_some_of_the_dark_ones_become_jpeg_files_and_no_target(told):
    drawn = list(windows(told, 60))
    assert 0.2 < np.mean([(low != high).any() for low, high, *_ in drawn]) < 0.6
    exact = dataclasses.replace(told, drawn=True)
    assert not any((low != high).any() for low, high, *_ in windows(exact, 60))


def test_shapes_are_flat_with_edges_in_the_dark():
    pictures = [shapes(np.random.default_rng(seed), 96) for seed in range(12)]
    assert {(x.shape, x.dtype) for x in pictures} == {((96, 96, 3), np.dtype(np.uint8))}
    steps = [np.abs(np.diff(x.astype(int), axis=1)).max(-1) for x in pictures]
    assert min((x > 8).mean() for x in steps) > 0  # each has an edge
    assert np.mean([(x <= 1).mean() for x in steps]) > 0.9
    assert np.mean([np.median(x) for x in pictures]) < 64
    assert max(x.max() for x in pictures) > 150


def test_enlarging_does_not_ring(no_jpeg):
    """Beside an edge nothing is darker or lighter than the edge's two sides."""
    picture = np.full((90, 120, 3), 40, np.uint8)
    picture[:, 60:] = 200
    grid = np.zeros((GRID, GRID, KNOTS), np.float32)
    told = Told(picture, picture, np.ones(1, np.float32), grid, np.ones(KNOTS, np.float32), moved=0.0)
    levels = np.concatenate([255 * low.ravel() for low, *_ in windows(told, 60, size=64)])
    assert (levels.min(), levels.max()) == pytest.approx((40, 200))
    assert ((levels > 41) & (levels < 199)).any()  # some are enlarged
