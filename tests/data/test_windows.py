"""Windows for the last look: the same places of picture, target and grid."""

import numpy as np
import pytest

from smnet_jax.data.windows import Told, draw
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


def windows(told, kind, count, size=32):
    for seed in range(count):
        yield draw(np.random.default_rng(seed), {kind: [told]}, {kind: 1.0}, size)


def test_what_lies_where_and_what_was_said_of_it(told):
    """The rows and columns of the grid belong to the pixels' places, mirrored and enlarged as these are."""
    rows_of, columns_of = (linear(GRID, size) @ np.arange(GRID) for size in (90, 120))
    for low, high, *_, rows, columns, _ in windows(told, "scenes", 40):
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
    first, second = (next(windows(told, "lol", 1)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_wrong_look_is_made_good_by_the_target_s_curve(told):
    """However much lighter a picture is said to be, the two powers together are those of the looks."""
    said = [(rate.item(), moved.item()) for _, _, rate, *_, moved in windows(told, "photos", 40)]
    np.testing.assert_allclose(np.sum(said, axis=1), 1.25, atol=1e-6)
    assert 0.3 < np.mean([rate != 1 for rate, _ in said]) < 0.7


def test_only_what_was_no_jpeg_becomes_one(told):
    changed = {
        kind: np.mean([(low != high).any() for low, high, *_ in windows(told, kind, 60)])
        for kind in ("scenes", "fivek", "lol", "photos")
    }
    assert changed["scenes"] == changed["fivek"] == 0
    assert 0.2 < changed["lol"] < 0.6
    assert 0.2 < changed["photos"] < 0.6
