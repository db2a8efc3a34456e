"""The exposure knob: monotone, neutral at 0, never clipping, for any weights."""

import numpy as np
import pytest

import smnet_jax
from smnet_jax.errors import InputError
from smnet_jax.exposure import adjust
from tests.support import tolerances

PICTURE = np.random.default_rng(0).uniform(0, 1, (20, 24, 3)).astype(np.float32)


def test_zero_changes_nothing():
    assert adjust(PICTURE, 0) is PICTURE


def test_brighter_and_darker():
    means = [adjust(PICTURE, ev).mean() for ev in (-2, -1, 0, 1, 2)]
    assert np.all(np.diff(means) > 0)
    assert adjust(PICTURE, 4).max() <= 1 + tolerances.toned(2 ** (4 / 2.2))


def test_one_stop_doubles_linear_light_in_the_shadows():
    dark = np.full((8, 8, 3), 0.02, np.float32)
    assert adjust(dark, 1)[0, 0, 0] / 0.02 == pytest.approx(2 ** (1 / 2.2), rel=0.02)


def test_hues_stay():
    ratio = adjust(PICTURE, 1.5) / PICTURE
    np.testing.assert_allclose(ratio, np.repeat(ratio[..., :1], 3, -1), rtol=4 * tolerances.UNIT)  # two roundings each


def test_black_stays_black():
    assert adjust(np.zeros((8, 8, 3), np.float32), 3).max() == 0


def test_with_other_weights_and_refused_where_it_makes_no_sense():
    low = PICTURE[:16, :16] / 4
    plain, brighter = (smnet_jax.enhance(low, "lol-small", exposure=ev) for ev in (0, 1))
    np.testing.assert_allclose(brighter, adjust(plain, 1), rtol=0, atol=tolerances.toned(2 ** (1 / 2.2)))
    assert smnet_jax.enhance(low, strength=0, exposure=1).mean() > low.mean()
    for wrong in (5, -5, np.nan):
        with pytest.raises(InputError, match="exposure"):
            smnet_jax.enhance(low, exposure=wrong)
