"""The transfer curve against IEC 61966-2-1's table: half of linear light is 188/255, sRGB 0.5 is 0.2140."""

import numpy as np

from smnet_jax.images.srgb import from_linear, to_linear


def test_known_values():
    np.testing.assert_allclose(from_linear(np.array([0, 0.5, 1])), [0, 0.735357, 1], atol=1e-6)
    np.testing.assert_allclose(to_linear(np.array([0, 0.5, 1])), [0, 0.214041, 1], atol=1e-6)


def test_inverse_odd_and_of_the_type_given():
    ramp = np.linspace(-1, 2, 999, dtype=np.float32)
    assert to_linear(ramp).dtype == from_linear(ramp).dtype == np.float32
    np.testing.assert_allclose(from_linear(to_linear(ramp)), ramp, atol=2e-6)
    np.testing.assert_array_equal(to_linear(-ramp), -to_linear(ramp))
