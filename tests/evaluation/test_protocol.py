"""Every protocol against its formula in numpy, written as the papers' scripts have it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax import metrics
from smnet_jax.evaluation import protocol
from smnet_jax.evaluation.columns import COLUMNS, STATISTICS
from tests.support import tolerances

BY_NAME = {column.name: column for column in (*COLUMNS, *STATISTICS)}


@pytest.fixture(scope="module")
def pictures():
    """A network's unclipped output, a brighter target and a dark input; two pictures of 16x24."""
    rng = np.random.default_rng(0)
    target = rng.integers(40, 256, (2, 16, 24, 3)).astype(np.uint8)
    output = (target / 255 * 0.7 + rng.normal(0, 0.1, target.shape)).astype(np.float32)
    output[0, 0, 0] = (-0.3, 1.4, 0.5)
    return jnp.asarray(target // 8), jnp.asarray(output), jnp.asarray(target)


def measured(name, pictures):
    return np.asarray(protocol.measure(BY_NAME[name], protocol.prepare(BY_NAME[name], *pictures)))


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2, axis=(1, 2, 3)))


def test_truncation_drops_the_fraction_and_rounding_does_not():
    output = jnp.array([-1, 0, 0.999 / 255, 1.5 / 255, 127.6 / 255, 0.9999, 1, 7])
    np.testing.assert_array_equal(protocol.truncated(output), [0, 0, 0, 1, 127, 254, 255, 255])
    np.testing.assert_array_equal(protocol.rounded(output), [0, 0, 1, 2, 128, 255, 255, 255])


def test_finished_pictures_are_not_touched():
    levels = jnp.arange(256, dtype=jnp.uint8)
    for quantise in (protocol.truncated, protocol.rounded):
        np.testing.assert_array_equal(quantise(levels), levels)


def test_published_psnr(pictures):
    _, output, target = pictures
    expected = psnr((np.clip(output, 0, 1) * np.float32(255)).astype(np.uint8), np.asarray(target))
    np.testing.assert_allclose(measured("psnr", pictures), expected, rtol=0, atol=tolerances.decibels(expected))


def test_rounded_psnr(pictures):
    _, output, target = pictures
    expected = psnr(np.rint(np.clip(output, 0, 1) * np.float32(255)), np.asarray(target))
    np.testing.assert_allclose(measured("psnr_rounded", pictures), expected, rtol=0, atol=tolerances.decibels(expected))


def test_float_psnr(pictures):
    _, output, target = pictures
    expected = psnr(np.clip(output, 0, 1) * 255.0, np.asarray(target))
    bound = tolerances.decibels(expected, floats=True)
    np.testing.assert_allclose(measured("psnr_float", pictures), expected, rtol=0, atol=bound)


@pytest.mark.parametrize(
    ("name", "brightness"),
    [
        ("gtmean_luma", lambda picture: (picture @ np.array([0.299, 0.587, 0.114])).mean()),
        ("gtmean_rgb", lambda picture: picture.mean()),
    ],
)
def test_brightness_matching(pictures, name, brightness):
    """One picture at a time, as LLFlow's test script does it."""
    _, output, target = (np.asarray(p) for p in pictures)
    matched = []
    for ours, theirs in zip(np.clip(output, 0, 1).astype(np.float64), target / 255.0, strict=True):
        matched.append(np.clip(ours * (brightness(theirs) / brightness(ours)), 0, 1))
    levels = (np.stack(matched) * 255).astype(np.uint8)
    expected = psnr(levels, target)
    # A value next to an integer may truncate differently in float32.
    bound = tolerances.one_level(levels, target)
    np.testing.assert_allclose(measured(f"psnr_{name}", pictures), expected, rtol=0, atol=bound)
    assert (expected > psnr((np.clip(output, 0, 1) * 255).astype(np.uint8), target) + 1).all(), "matching must matter"


def test_the_two_ways_of_matching_differ_where_colours_do():
    red = jnp.broadcast_to(jnp.array([0.4, 0.1, 0.1]), (1, 8, 8, 3))
    blue = jnp.broadcast_to(jnp.array([0.1, 0.1, 0.4]), (1, 8, 8, 3))
    luma = protocol.match_brightness(red, blue, protocol.mean_luma)
    rgb = protocol.match_brightness(red, blue, protocol.mean_rgb)
    np.testing.assert_allclose(rgb, red, rtol=tolerances.MEAN)
    np.testing.assert_allclose(
        luma[0, 0, 0] / red[0, 0, 0], (0.0299 + 0.0587 + 0.0456) / (0.1196 + 0.0587 + 0.0114), tolerances.MEAN
    )


def test_y_and_cropped_borders_are_basicsrs(pictures):
    """Written as its `to_y_channel` and `calculate_psnr` have it, in float64."""
    _, output, target = (np.asarray(p) for p in pictures)
    published = (np.clip(output, 0, 1) * np.float32(255)).astype(np.uint8)

    def y(picture):
        return (picture / 255.0) @ np.array([65.481, 128.553, 24.966]) + 16.0

    def error(a, b):
        return 10 * np.log10(255**2 / np.mean((a - b) ** 2, axis=(1, 2)))

    inside = np.s_[:, 4:-4, 4:-4]
    gray = psnr(*(((p @ np.array([299, 587, 114]) + 500) // 1000)[..., None] for p in (published, target)))
    for name, expected, floats in (
        ("psnr_y", error(y(published), y(target)), True),
        ("psnr_y_cropped", error(y(published)[inside], y(target)[inside]), True),
        ("psnr_cropped", psnr(published[inside], target[inside]), False),
        ("psnr_gray", gray, False),
    ):
        bound = tolerances.decibels(expected, floats=floats)
        np.testing.assert_allclose(measured(name, pictures), expected, rtol=0, atol=bound, err_msg=name)
    assert (measured("psnr_y", pictures) > gray + 1.2).all()


def test_black_stays_black():
    black, target = jnp.zeros((1, 8, 8, 3)), jnp.full((1, 8, 8, 3), 128, jnp.uint8)
    np.testing.assert_array_equal(protocol.match_brightness(black, target, protocol.mean_rgb), 0)


def test_ssim_variants_call_the_metric_that_they_name(pictures):
    _, output, target = pictures
    published = protocol.truncated(output)
    np.testing.assert_array_equal(measured("ssim", pictures), metrics.ssim(published, target))
    np.testing.assert_array_equal(
        measured("ssim_gaussian", pictures), metrics.ssim(published, target, window="gaussian")
    )
    gray = metrics.ssim(metrics.luma(published), metrics.luma(target))
    np.testing.assert_array_equal(measured("ssim_gray", pictures), gray)
    assert len({float(measured(name, pictures)[0]) for name in ("ssim", "ssim_gaussian", "ssim_gray")}) == 3


def test_loe_is_from_the_input_to_the_output_and_needs_no_target():
    rng = np.random.default_rng(1)
    low = jnp.asarray(rng.integers(0, 60, (1, 52, 60, 3)).astype(np.uint8))
    output = jnp.asarray(rng.uniform(0, 1.2, low.shape).astype(np.float32))
    found = measured("loe_nearest", (low, output, None))
    np.testing.assert_array_equal(found, metrics.loe(low, protocol.truncated(output), sampling="nearest"))
    assert found != measured("loe", (low, output, None))


def test_statistics():
    picture = np.full((1, 4, 4, 3), 0.5, np.float32)
    picture[0, 0] = 0
    picture[0, 1, :2] = 1.5
    pictures = (None, jnp.asarray(picture), None)
    luma = np.array([0.0] * 4 + [1.0] * 2 + [127 / 255] * 10)
    np.testing.assert_allclose(measured("luma_mean", pictures), luma.mean(), rtol=tolerances.MEAN)
    np.testing.assert_allclose(measured("luma_std", pictures), luma.std(), rtol=tolerances.MEAN)
    np.testing.assert_allclose(measured("black_share", pictures), 4 / 16)
    np.testing.assert_allclose(measured("white_share", pictures), 2 / 16)


def test_same_preparation_means_same_pictures(pictures):
    """What the runner computes once for all columns of one `preparation`."""
    made: dict[str, object] = {}
    for column in BY_NAME.values():
        key = protocol.preparation(column)
        prepared = protocol.prepare(column, *pictures)
        jax.tree.map(np.testing.assert_array_equal, prepared, made.setdefault(key, prepared))
