"""What `--only-dark` takes for dark."""

import numpy as np

from smnet_jax.images.darkness import is_dark


def test_night_is_dark_day_is_not_and_a_backlit_half_is():
    night, day = np.full((20, 30, 3), 0.1, np.float32), np.full((20, 30, 3), 0.5, np.float32)
    assert is_dark(night) and not is_dark(day)
    backlit = day.copy()
    backlit[:, :14] = 0.05
    assert is_dark(backlit) and is_dark(night * np.array([1, 0.2, 0.1], np.float32))


def test_what_alpha_hides_does_not_count():
    picture, alpha = np.full((20, 30, 3), 0.5, np.float32), np.ones((20, 30), np.float32)
    picture[:, :20], alpha[:, :20] = 0, 0
    assert is_dark(picture) and not is_dark(picture, alpha)


def test_the_packages_dark_photos_are_dark():
    from smnet_jax.cli.enhance import samples
    from smnet_jax.images import naming, pictures

    assert all(is_dark(pictures.read(path).rgb) for path in naming.pictures_below(samples()))
