import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from smnet_jax.metrics import loe
from smnet_jax.metrics.resize import imresize
from tests.support import tolerances

OPTIMISED = True  # it computes for longer than it compiles


@pytest.mark.parametrize("sampling", ["nearest", "bicubic"])
def test_agrees_with_the_definition(shipped, sampling):
    for batch in shipped:
        score = loe(batch.low, batch.pred, sampling=sampling)
        np.testing.assert_allclose(score, batch.scores[f"loe_{sampling}"], rtol=2 * tolerances.UNIT)


def test_agrees_with_golden_numbers(golden_pictures):
    for batch in golden_pictures:
        score = loe(batch.low, batch.pred, sampling="nearest")
        np.testing.assert_allclose(score, batch.scores["loe_nearest50"], rtol=2 * tolerances.UNIT)


def test_of_two_pixels_equally_near_a_cell_s_middle_the_even_one_is_taken():
    """In the shipped pictures no middle lies between two pixels; at 100 rows each does."""
    low, enhanced = np.random.default_rng(0).integers(0, 256, (2, 1, 100, 104, 3), dtype=np.uint8)
    every_second = loe(low[:, ::2, ::2], enhanced[:, ::2, ::2], sampling="nearest")
    np.testing.assert_array_equal(loe(low, enhanced, sampling="nearest"), every_second)


def test_sees_only_order(pair):
    """A rising curve without merged levels leaves the order alone; an inverted picture turns all unequal pairs."""
    values = np.random.default_rng(0).permutation(50 * 51).reshape(1, 50, 51, 1)  # all different
    low = (values / 2550).astype(np.float32)
    assert loe(low, np.sqrt(low), sampling="nearest") == 0
    np.testing.assert_array_equal(loe(low, 1 - low, sampling="nearest"), 50 * 51 - 1)


def test_a_very_long_picture_does_not_overflow():
    """1000 x 50 reduced pixels: 2.5e9 comparisons, nearly all of which differ."""
    low = np.random.default_rng(0).random((1, 1000, 50, 1), np.float32)
    score = loe(low, 1 - low, sampling="nearest")
    assert 0.999 * 50_000 < score[0] < 50_000


def test_lightness_is_the_brightest_channel():
    rng = np.random.default_rng(0)
    low, enhanced = rng.integers(0, 256, (2, 1, 60, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(loe(low, enhanced), loe(low.max(-1, keepdims=True), enhanced.max(-1, keepdims=True)))


def test_imresize_resembles_another_bicubic_antialiased_resize():
    """Pillow's filter is the same but for the rim, which it cuts off where MATLAB mirrors, and its integer weights."""
    x, y = np.meshgrid(np.linspace(0, 9, 173), np.linspace(0, 7, 131))
    picture = np.round(127 + 80 * np.sin(x) * np.cos(y) + 40 * np.sin(3 * x + y)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize((66, 50), Image.Resampling.BICUBIC), int)
    ours = np.asarray(imresize(jnp.asarray(picture[None], jnp.float32), 50, 66))[0]
    assert np.abs(ours - expected)[3:-3, 3:-3].max() <= 1
    assert np.mean(ours != expected) < 0.05


def test_imresize_rounds_true_halves_up_at_the_rate_of_lol():
    """From 400 rows to 50 all weights are multiples of 2^-16, and a ramp's means are true halves."""
    ramp = np.broadcast_to(np.arange(400)[:, None] // 2, (400, 64)).astype(np.float32)
    reduced = np.asarray(imresize(jnp.asarray(ramp[None]), 50, 64))[0]
    np.testing.assert_array_equal(reduced[5:45, 0], 4 * np.arange(5, 45) + 2)  # the mean is 4 i + 1.5


def test_an_unknown_sampling_is_named(pair):
    with pytest.raises(ValueError, match="'area'; it is one of bicubic, nearest"):
        loe(*pair, sampling="area")  # type: ignore[arg-type]


def test_messages_use_its_own_argument_names(pair):
    with pytest.raises(ValueError, match=r"low is .* and enhanced is"):
        loe(pair[0][:, :60], pair[1])
