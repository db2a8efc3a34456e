"""CIELAB against published values, and what hue and chroma see."""

import numpy as np
import pytest

from smnet_jax.bench.colours import hue_and_chroma, lab


@pytest.mark.parametrize(
    ("rgb", "expected"),  # as colour calculators give them (D65, 2 degrees), to their last digit
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_lab(rgb, expected):
    np.testing.assert_allclose(lab(np.array(rgb, float)), expected, atol=0.02)


def test_gain_in_linear_light_keeps_hues_and_gray_has_none():
    picture = np.random.default_rng(0).uniform(0.2, 0.8, (16, 16, 3))
    assert hue_and_chroma(picture, picture) == (0, 1)
    gray = np.repeat(picture[..., :1], 3, -1)
    assert hue_and_chroma(gray, picture)[1] < 0.01
    assert np.isnan(hue_and_chroma(picture, gray)).all()


def test_exchanged_channels_turn_hues():
    red = np.broadcast_to(np.array([0.8, 0.2, 0.2]), (4, 4, 3))
    turned, chroma = hue_and_chroma(red[..., ::-1], red)
    assert 70 < turned <= 180
    assert 0.5 < chroma < 2
