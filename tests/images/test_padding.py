import numpy as np
import pytest

from smnet_jax.images import padding


@pytest.mark.parametrize("height", range(8, 13))
@pytest.mark.parametrize("width", [8, 13, 15])
def test_pads_to_the_next_multiple_and_crops_back(height, width):
    picture = np.random.default_rng(0).random((height, width, 3), np.float32)
    padded = padding.pad(picture)
    assert padded.shape == (-(-height // 4) * 4, -(-width // 4) * 4, 3)
    assert np.array_equal(padding.crop(padded, height, width), picture)


def test_mirrors_without_repeating_the_edge_and_leaves_other_axes_alone():
    rows = np.arange(2 * 10 * 8).reshape(2, 10, 8, 1)
    padded = padding.pad(rows)
    assert padded.shape == (2, 12, 8, 1)
    assert np.array_equal(padded[:, 10], rows[:, 8]) and np.array_equal(padded[:, 11], rows[:, 7])


def test_nothing_missing_means_no_copy_and_too_small_is_refused():
    picture = np.zeros((8, 8, 3))
    assert padding.pad(picture) is picture
    with pytest.raises(ValueError, match="too small"):
        padding.pad(np.zeros((3, 8, 3)))
