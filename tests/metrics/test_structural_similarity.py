import numpy as np
import pytest

from smnet_jax.metrics import luma, ssim
from tests.support import tolerances

SIDE = {"uniform": 7, "gaussian": 11}


@pytest.mark.parametrize(("window", "shipped_name", "golden_name"), [
    ("uniform", "ssim", "ssim_skimage_default"),
    ("gaussian", "ssim_gaussian", "ssim_gaussian"),
])  # fmt: skip
class TestAgreesWithScikitImage:
    def test_on_shipped_pictures(self, shipped, window, shipped_name, golden_name):
        for batch in shipped:
            score = ssim(batch.pred, batch.target, window=window)
            bound = tolerances.windowed(batch.pred, batch.target, SIDE[window], (0.03 * 255) ** 2)
            np.testing.assert_allclose(score, batch.scores[shipped_name], rtol=0, atol=bound)

    def test_on_golden_pictures(self, golden_pictures, window, shipped_name, golden_name):
        for batch in golden_pictures:
            score = ssim(batch.pred, batch.target, window=window)
            bound = tolerances.windowed(batch.pred, batch.target, SIDE[window], (0.03 * 255) ** 2)
            np.testing.assert_allclose(score, batch.scores[golden_name], rtol=0, atol=bound)


@pytest.mark.parametrize("window", ["uniform", "gaussian"])
def test_bright_flat_pictures_keep_their_digits(window):
    """Spread of one level on a mean of 250: E[x²] - E[x]² in float32 would leave no correct digit."""
    rng = np.random.default_rng(0)
    x, y = (250 + rng.integers(0, 2, (2, 1, 40, 50, 1))).astype(np.uint8)
    bound = tolerances.windowed(x, y, SIDE[window], (0.03 * 255) ** 2)
    np.testing.assert_allclose(ssim(x, y, window=window), _by_definition(x, y, window), rtol=0, atol=bound)


def _by_definition(x, y, window):
    """Each window by itself in float64, deviations from its own mean."""
    size = 7 if window == "uniform" else 11
    line = np.ones(size) if window == "uniform" else np.exp(-((np.arange(size) - size // 2) ** 2) / 4.5)
    weights = np.outer(line, line) / line.sum() ** 2
    correction = 49 / 48 if window == "uniform" else 1
    views = [
        np.lib.stride_tricks.sliding_window_view(p[0, :, :, 0].astype(float), (size, size)).reshape(-1, size, size)
        for p in (x, y)
    ]
    mean_x, mean_y = (np.einsum("nij,ij->n", v, weights) for v in views)
    dx, dy = (v - mean[:, None, None] for v, mean in zip(views, (mean_x, mean_y), strict=True))
    var_x, var_y, cov = (np.einsum("nij,ij->n", a * b, weights) * correction for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    c1, c2 = 2.55**2, 7.65**2
    score = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / (mean_x**2 + mean_y**2 + c1) / (var_x + var_y + c2)
    return [score.mean()]


def test_an_unknown_window_is_named(pair):
    with pytest.raises(ValueError, match="'box'; it is one of uniform, gaussian"):
        ssim(*pair, window="box")  # type: ignore[arg-type]


def test_luma_rounds_bytes_to_the_nearest_level():
    rgb = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    exact = rgb @ np.array([299, 587, 114]) / 1000
    gray = np.asarray(luma(rgb))
    assert gray.dtype == np.uint8
    np.testing.assert_array_equal(gray[..., 0], np.floor(exact + 0.5))
    np.testing.assert_allclose(
        luma((rgb / 255).astype(np.float32))[..., 0], exact / 255, rtol=0, atol=tolerances.summed(3, 1)
    )
