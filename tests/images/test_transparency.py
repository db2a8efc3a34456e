"""What nobody sees changes nothing that somebody sees."""

import numpy as np
import pytest

from smnet_jax.checkpoints import untrained
from smnet_jax.enhancement import photo
from smnet_jax.images import pictures, writing
from smnet_jax.images.transparency import filled


@pytest.fixture
def cut_out(rng) -> tuple[np.ndarray, np.ndarray]:
    """A dark picture and the alpha of a disc."""
    y, x = np.mgrid[0:40, 0:52]
    return rng.uniform(0, 0.2, (40, 52, 3)).astype(np.float32), ((y - 20) ** 2 + (x - 25) ** 2 < 150).astype(np.float32)


def test_hidden_colours_give_way_to_smooth_ones_from_around(cut_out):
    rgb, alpha = cut_out
    white = np.where(alpha[..., None] > 0, rgb, 1)
    assert np.array_equal(filled(white, alpha), filled(rgb, alpha))
    result = filled(white, alpha)
    assert np.array_equal(result[alpha > 0], rgb[alpha > 0])
    assert result.min() >= 0 and result.max() <= 0.2 + 1e-6


def test_nothing_hidden_or_nothing_seen_is_left_alone(cut_out):
    rgb, alpha = cut_out
    assert filled(rgb, np.ones_like(alpha)) is rgb and filled(rgb, np.zeros_like(alpha)) is rgb


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".tif", ".jpg"])
def test_visible_results_do_not_depend_on_hidden_colours(cut_out, suffix):
    rgb, alpha = cut_out
    weights = untrained.make(width=4)
    seen = []
    for hidden in (0.0, 1.0):
        low = pictures.Picture(np.where(alpha[..., None] > 0, rgb, np.float32(hidden)), alpha)
        after = photo.enhance_picture(*weights, low, strength=0.5)
        assert np.array_equal(after.rgb[alpha == 0], low.rgb[alpha == 0])
        seen.append(pictures.from_bytes(writing.to_bytes(after, suffix)[0])[0].rgb[alpha > 0])
    assert np.array_equal(*seen) and seen[0].mean() > 0.01


def test_the_same_for_arrays(cut_out):
    rgb, alpha = cut_out
    weights = untrained.make(width=4)
    values = np.dstack([rgb, alpha])
    white = np.where(alpha[..., None] > 0, values, [1, 1, 1, 0]).astype(np.float32)
    one, other = (photo.enhance(array, weights) for array in (values, white))
    assert np.array_equal(one[alpha > 0], other[alpha > 0]) and np.array_equal(other[alpha == 0], white[alpha == 0])
