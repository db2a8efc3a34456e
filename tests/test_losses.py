"""Every loss term against the published implementation's numbers, and each against its definition."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax import losses, metrics
from smnet_jax.vgg16 import load_vgg16
from tests.support import tolerances

TERMS = ("ssim", "perceptual", "smooth_l1", "inner", "tv")


@pytest.fixture(scope="module")
def vgg():
    return load_vgg16()


@pytest.fixture(scope="module")
def total_loss():
    return jax.jit(losses.total_loss)


@pytest.fixture(params=["shipped", "shared"])
def golden_losses(request) -> dict[str, np.ndarray]:
    """Four cases each; between them they cover the three dynamic ranges that SSIM may pick."""
    folder: Path = (
        request.getfixturevalue("fixtures") / "golden"
        if request.param == "shipped"
        else request.getfixturevalue("golden")
    )
    with np.load(folder / "losses.npz") as file:
        return dict(file)


@pytest.mark.parametrize("case", range(4))
def test_terms_equal_the_published_ones(golden_losses, case, vgg, total_loss):
    pred, low, high = (golden_losses[f"case{case}/{name}"] for name in ("pred", "low", "high"))
    total, terms = total_loss(pred, low, high, vgg)
    assert set(terms) == set(TERMS)
    for name, ours in {**terms, "total": total}.items():
        np.testing.assert_allclose(ours, golden_losses[f"case{case}/{name}"], rtol=tolerances.LOSS, err_msg=name)


def test_the_golden_cases_cover_every_dynamic_range(golden_losses):
    ranges = {float(losses.dynamic_range(jnp.asarray(golden_losses[f"case{i}/pred"]), None)) for i in range(4)}
    assert ranges == {1.0, 2.0, 255.0}


@pytest.mark.parametrize(
    ("top", "bottom", "span"), [(1, 0, 1), (128, -0.5, 1), (129, 0, 255), (1, -0.6, 2), (200, -1, 256)]
)
def test_dynamic_range_follows_the_extremes(top, bottom, span):
    assert losses.dynamic_range(jnp.array([0.0, top, bottom]), None) == span


def test_ssim_is_the_windowed_formula(rng):
    """Against a loop over windows in float64."""
    pred, high = rng.random((2, 1, 14, 17, 3))
    window = np.outer(*[np.exp(-((np.arange(11) - 5) ** 2) / 4.5)] * 2)
    window /= window.sum()
    values = []
    for i in range(4):
        for j in range(7):
            for c in range(3):
                p, h = (picture[0, i : i + 11, j : j + 11, c] for picture in (pred, high))
                mp, mh = (window * p).sum(), (window * h).sum()
                vp, vh, cov = ((window * a * b).sum() for a, b in ((p, p), (h, h), (p, h)))
                vp, vh, cov = vp - mp**2, vh - mh**2, cov - mp * mh
                values.append((2 * mp * mh + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mh**2 + 1e-4) * (vp + vh + 9e-4)))
    ours = losses.ssim(jnp.asarray(pred, jnp.float32), jnp.asarray(high, jnp.float32))
    np.testing.assert_allclose(ours, np.mean(values), rtol=tolerances.LOSS)


def test_the_gradient_of_ssim_keeps_its_digits_where_pictures_are_flat(rng):
    """Beside float64. Variances are differences: taken from black they lose digits (2e-5 and more of the gradient)."""
    high = 0.5 + 0.01 * rng.standard_normal((2, 24, 24, 3))
    pred = high + 0.02 * rng.standard_normal(high.shape)
    pred, high = pred.astype(np.float32), high.astype(np.float32)
    ours = jax.grad(losses.ssim)(pred, high)
    with jax.enable_x64(True):
        exact = np.asarray(jax.grad(losses.ssim)(jnp.float64(pred), jnp.float64(high)))
    np.testing.assert_allclose(ours, exact, rtol=0, atol=5e-6 * float(abs(exact).max()))


def test_ssim_refuses_pictures_smaller_than_its_window():
    small = jnp.zeros((1, 10, 40, 3))
    with pytest.raises(ValueError, match="10x40 are smaller than its 11x11"):
        losses.ssim(small, small)


def test_smooth_l1_is_quadratic_then_linear():
    pred = jnp.array([0.0, 0.5, 1.0, 3.0])
    np.testing.assert_allclose(losses.smooth_l1(pred, jnp.zeros(4)), np.mean([0, 0.125, 0.5, 2.5]))


def test_charbonnier_has_a_gradient_where_pictures_are_equal():
    same = jnp.full((1, 4, 4, 3), 0.5)
    np.testing.assert_allclose(losses.charbonnier(same, same), 1e-3, rtol=1e-4)
    assert np.all(np.isfinite(jax.grad(losses.charbonnier)(same, same)))


def test_targets_take_no_gradient(vgg):
    """In `perceptual` the target's branch is cut; a gradient through it would cost as much as the output's."""
    pred, high = (jnp.full((1, 16, 16, 3), value) for value in (0.2, 0.7))
    towards_pred, towards_high = jax.grad(losses.perceptual, argnums=(0, 1))(pred, high, vgg)
    assert np.abs(towards_pred).max() > 0
    assert np.abs(towards_high).max() == 0


def test_loss_of_a_batch_is_the_mean_of_its_parts(rng, vgg):
    """What data parallelism rests on."""
    pred, low, high = rng.random((3, 4, 16, 16, 3), np.float32)
    whole, _ = losses.total_loss(pred, low, high, vgg)
    parts = [losses.total_loss(pred[i : i + 2], low[i : i + 2], high[i : i + 2], vgg)[0] for i in (0, 2)]
    np.testing.assert_allclose(whole, np.mean(parts), rtol=tolerances.LOSS)


def test_l1_ssim_weighs_its_two_terms(rng):
    pred, low, high = rng.random((3, 1, 16, 16, 3), np.float32)
    total, terms = losses.l1_ssim(pred, low, high, l1_weight=2.0, ssim_weight=0.5)
    np.testing.assert_allclose(total, 2 * terms["charbonnier"] + 0.5 * terms["ssim"], rtol=tolerances.MEAN)
    np.testing.assert_allclose(terms["ssim"], 1 - losses.ssim(pred, high), rtol=tolerances.MEAN)
    assert "chroma" not in terms


def test_log_mse_is_minus_a_tenth_of_each_pictures_psnr(rng):
    pred, high = rng.random((2, 3, 16, 16, 3), np.float32)
    pred[1] = 0.9 * high[1] + 0.1 * pred[1]
    expected = -np.mean(np.asarray(metrics.psnr(pred, high))) / 10
    np.testing.assert_allclose(losses.log_mse(pred, high), expected, atol=2e-3)  # 1e-5 beside an MSE of 0.002
    np.testing.assert_allclose(losses.log_mse(high, high), -5, rtol=tolerances.MEAN)
    total, terms = losses.l1_ssim(pred, high, high, psnr_weight=0.1)
    np.testing.assert_allclose(total, terms["charbonnier"] + terms["ssim"] + 0.1 * terms["log_mse"], atol=1e-6)


def test_lpips_in_the_loss_is_the_metric_and_teaches(rng):
    pred, high = rng.random((2, 2, 40, 36, 3), np.float32)
    (total, terms), towards_pred = jax.value_and_grad(
        lambda pred: losses.l1_ssim(pred, high, high, lpips_weight=0.5), has_aux=True
    )(pred)
    np.testing.assert_allclose(terms["lpips"], np.mean(metrics.lpips(pred, high)), rtol=tolerances.LOSS)
    np.testing.assert_allclose(total, terms["charbonnier"] + terms["ssim"] + 0.5 * terms["lpips"], rtol=tolerances.LOSS)
    alone = jax.grad(lambda pred: losses.l1_ssim(pred, high, high)[0])(pred)
    nearer = pred - (towards_pred - alone)
    assert np.mean(metrics.lpips(np.clip(nearer, 0, 1), high)) < terms["lpips"]


def test_chroma_sees_hue_and_not_brightness(rng):
    pred, shift = rng.random((1, 16, 16, 3), np.float32), rng.random((1, 16, 16, 1), np.float32)
    np.testing.assert_allclose(losses.chroma(pred, pred + shift), 1e-3, rtol=1e-3)  # Charbonnier's zero
    tinted = pred + np.array([0.3, -0.3, 0.0], np.float32)
    np.testing.assert_allclose(losses.chroma(pred, tinted), 0.2, rtol=0.01)
    total, terms = losses.l1_ssim(pred, pred, tinted, chroma_weight=2.0)
    np.testing.assert_allclose(total, terms["charbonnier"] + terms["ssim"] + 2 * terms["chroma"], rtol=tolerances.MEAN)
