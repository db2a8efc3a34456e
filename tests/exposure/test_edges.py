"""No halo where dark and light meet: the default on drawn edges."""

import numpy as np
import pytest

import smnet_jax

SIDE = 128
# Levels of 8 bits, of results from 21 to 255. The bundled weights have 10.7 at most, without their last look 5.1; a
# look that was trained without drawn edges had 29.7.
MOST = 12


def step(dark, light, direction):
    """A dark half and a light half, and each pixel's distance from the edge, positive in the light."""
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = {"upright": x - SIDE / 2 + 0.5, "level": y - SIDE / 2 + 0.5, "aslant": 0.8 * x + 0.6 * y - 0.7 * SIDE}
    return np.where(distance[direction][..., None] < 0, dark, light).astype(np.uint8).repeat(3, -1), distance[direction]


@pytest.mark.parametrize("direction", ["upright", "level", "aslant"])
@pytest.mark.parametrize(("dark", "light"), [(2, 60), (6, 60), (12, 120), (12, 200), (24, 255), (60, 255)])
def test_flat_areas_stay_flat_up_to_the_edge(dark, light, direction):
    picture, distance = step(dark, light, direction)
    out = smnet_jax.enhance(picture).astype(float)[..., 0]
    for side in (-1, 1):
        near = [out[(side * distance > i) & (side * distance <= i + 1)].mean() for i in range(8)]
        far = out[(side * distance > 16) & (side * distance < 24)].mean()
        assert np.abs(np.array(near) - far).max() < MOST
