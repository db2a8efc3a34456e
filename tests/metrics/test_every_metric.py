"""What holds for all metrics alike."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.errors import InputError
from smnet_jax.metrics import fsim, fsimc, iw_ssim, loe, psnr, ssim, vif
from tests.support import tolerances

Metric = Callable[..., jax.Array]

METRICS: dict[str, tuple[Metric, int, float]] = {  # with the smallest side and the score of identical pictures
    "psnr": (psnr, 1, np.inf),
    "ssim": (ssim, 7, 1),
    "ssim gaussian": (functools.partial(ssim, window="gaussian"), 11, 1),
    "iw_ssim": (iw_ssim, 161, 1),
    "vif": (vif, 41, 1),
    "fsim": (fsim, 16, 1),
    "fsimc": (fsimc, 16, 1),
    "loe": (loe, 50, 0),
    "loe nearest": (functools.partial(loe, sampling="nearest"), 50, 0),
}
every_metric = pytest.mark.parametrize("name", METRICS)
LOSSES = [name for name in METRICS if not name.startswith("loe")]


@every_metric
def test_identical_pictures(name, pair):
    metric, _, best = METRICS[name]
    for picture in (pair[1], np.zeros_like(pair[1]), np.full_like(pair[1], 255), np.full_like(pair[1], 77)):
        bound = tolerances.mean(picture[0, ..., 0].size)  # VIF divides two sums over all pixels
        np.testing.assert_allclose(metric(picture, picture), best, rtol=0, atol=bound)


@every_metric
def test_a_picture_scores_the_same_in_any_company(name, pair):
    metric = METRICS[name][0]
    together = metric(*pair)
    assert together.shape == (3,) and together.dtype == jnp.float32
    assert len(set(together.tolist())) == 3
    other = [1, 1, 0]
    np.testing.assert_array_equal(metric(*(picture[jnp.array(other)] for picture in pair)), together[jnp.array(other)])


@every_metric
def test_floats_score_like_bytes(name, pair):
    metric = METRICS[name][0]
    floats = metric(*((picture / 255).astype(np.float32) for picture in pair))
    np.testing.assert_allclose(floats, metric(*pair), rtol=2 * tolerances.MEAN)  # values are rounded once more


@every_metric
def test_constant_pictures_have_a_finite_score(name, pair):
    metric = METRICS[name][0]
    flat, other = np.full_like(pair[0], 77), np.full_like(pair[0], 200)
    for x, y in ((flat, pair[1]), (pair[1], flat), (flat, other)):
        assert np.isfinite(metric(x, y)).all()


@every_metric
def test_the_smallest_size_works_and_one_less_is_refused(name):
    metric, side, _ = METRICS[name]
    x, y = np.random.default_rng(0).integers(0, 256, (2, 1, side + 1, side, 3), dtype=np.uint8)
    assert np.isfinite(metric(x, y)).all()
    if side > 1:
        with pytest.raises(InputError, match=f"{side - 1}x{side + 1} pixels are too small; .* at least {side}"):
            metric(x[:, :, 1:], y[:, :, 1:])


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_and_right(name, pair):
    metric = METRICS[name][0]
    score_and_gradient = jax.jit(jax.value_and_grad(lambda x, y: metric(x, y).sum()))
    pred, target = ((picture[:1] / 255 * 0.9 + 0.05).astype(np.float32) for picture in pair)
    flat, black = np.full_like(pred, 0.3), np.zeros_like(pred)
    for x, y in ((target, target), (flat, target), (pred, black), (black, black)):
        assert np.isfinite(score_and_gradient(x, y)[1]).all()

    # A step along the gradient changes the score by the step's length times the gradient's.
    gradient = np.asarray(score_and_gradient(pred, target)[1])
    step = 0.003 * gradient / np.abs(gradient).max()
    change = score_and_gradient(pred + step, target)[0] - score_and_gradient(pred - step, target)[0]
    np.testing.assert_allclose(change, 2 * np.sum(gradient * step), rtol=0.05)


@pytest.mark.parametrize("name", ["psnr", "ssim", "vif", "fsimc", "loe"])
def test_can_be_mapped(name, pair):
    metric = METRICS[name][0]
    stacked = tuple(picture[:, None] for picture in pair)  # three batches of one
    np.testing.assert_allclose(jax.vmap(metric)(*stacked)[:, 0], metric(*pair), rtol=tolerances.MEAN)


class TestInputs:
    def test_a_float_above_one_names_range_and_remedy(self):
        x = np.zeros((1, 8, 8, 3), np.float32)
        y = x.copy()
        y[0, 1, 1, 1] = 1.5
        for bad in (y, jnp.asarray(y)):
            with pytest.raises(InputError, match=r"target has values from 0 to 1.5; clip it to \[0, 1\]"):
                psnr(x, bad)

    def test_a_float_of_levels_is_not_guessed_at(self):
        with pytest.raises(InputError, match="from 200 to 200"):
            ssim(np.full((1, 8, 8, 3), 200.0), np.zeros((1, 8, 8, 3)))

    def test_nan_is_refused(self):
        with pytest.raises(InputError, match="nan"):
            psnr(np.full((1, 2, 2, 3), np.nan, np.float32), np.zeros((1, 2, 2, 3), np.float32))

    def test_values_being_traced_cannot_be_checked(self):
        x = np.full((1, 2, 2, 3), 3, np.float32)
        assert np.isfinite(jax.jit(psnr)(x, x / 2)).all()

    def test_mixed_types(self):
        with pytest.raises(InputError, match="pred is uint8 and target is float32"):
            psnr(np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2, 3), np.float32))

    def test_half_and_double_floats_are_floats(self):
        x, y = np.random.default_rng(0).integers(0, 5, (2, 1, 9, 9, 3)) / 4
        for kind in (np.float16, np.float64, jnp.bfloat16):
            np.testing.assert_array_equal(ssim(x.astype(kind), y), ssim(x.astype(np.float32), y.astype(np.float32)))

    @pytest.mark.parametrize("kind", [np.int32, np.uint16, bool])
    def test_other_types(self, kind):
        with pytest.raises(InputError, match=r"give uint8 \(0..255\) or floats in \[0, 1\]"):
            psnr(np.zeros((1, 2, 2, 3), kind), np.zeros((1, 2, 2, 3), kind))

    def test_shapes(self):
        with pytest.raises(InputError, match=r"pred is \(1, 4, 5, 3\) and target is \(1, 5, 4, 3\)"):
            psnr(np.zeros((1, 4, 5, 3)), np.zeros((1, 5, 4, 3)))
        with pytest.raises(InputError, match=r"for one picture picture\[None\]"):
            psnr(np.zeros((4, 5, 3)), np.zeros((4, 5, 3)))
        with pytest.raises(InputError, match="no pixel"):
            psnr(np.zeros((0, 4, 5, 3)), np.zeros((0, 4, 5, 3)))
        with pytest.raises(InputError, match="4 channels; give 3"):
            fsimc(np.zeros((1, 20, 20, 4)), np.zeros((1, 20, 20, 4)))


SHARDED = """
import numpy as np, jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from smnet_jax import metrics
from tests.support import tolerances
assert jax.device_count() == 2
mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
x, y = np.random.default_rng(0).integers(0, 256, (2, 2, 161, 170, 3), dtype=np.uint8)
split = [jax.device_put(p, NamedSharding(mesh, PartitionSpec("data"))) for p in (x, y)]
windows = tolerances.windowed(metrics.luma(x), metrics.luma(y), 11, 7.65**2)
for name, bound in (("psnr", tolerances.decibels(10)), ("iw_ssim", windows), ("fsimc", tolerances.METRIC)):
    metric = getattr(metrics, name)
    np.testing.assert_allclose(metric(*split), metric(x, y), rtol=0, atol=bound, err_msg=name)
"""


def test_a_batch_may_be_sharded():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", SHARDED], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
