"""Pictures come in at their own pixels, cut to what the network takes."""

import numpy as np
import pytest
from PIL import Image

from smnet_jax.errors import InputError
from smnet_jax.verification import inputs


def test_the_centre_in_multiples_of_four(tmp_path, rng):
    pixels = rng.integers(0, 256, (47, 61, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (whole,) = inputs.read(tmp_path, None)
    np.testing.assert_allclose(whole.low[0], pixels[1:45, 0:60] / 255.0, atol=1e-7)
    (part,) = inputs.read(tmp_path, (18, 400))
    assert part.low.shape == (1, 16, 60, 3) and part.low.dtype == np.float32


def test_samples_by_default():
    assert len(inputs.read(None, (32, 48))) == 4


def test_batches_are_the_same_for_a_seed():
    pictures = inputs.read(None, (32, 48))
    first, again, other = (inputs.batches(pictures, 2, batch=3, side=16, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.shape(first) == (2, 3, 16, 16, 3) and not np.array_equal(first, other)


@pytest.mark.parametrize("made", ["nothing", "empty", "tiny"])
def test_misuse(tmp_path, made):
    folder = tmp_path / made
    if made != "nothing":
        folder.mkdir()
    if made == "tiny":
        Image.new("RGB", (12, 100)).save(folder / "a.png")
    with pytest.raises(InputError):
        inputs.read(folder, (96, 128))
