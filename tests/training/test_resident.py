"""Pairs on the devices: how they lie there, who may have them there, and whole runs with them."""

import dataclasses
import shutil
import signal

import jax
import numpy as np
import pytest

from smnet_jax import InputError
from smnet_jax.checkpoints import weights
from smnet_jax.checkpoints.trees import flatten
from smnet_jax.data.sources import Concatenated, Subset
from smnet_jax.network.initialisation import initialise
from smnet_jax.training import config as configs
from smnet_jax.training import feed, inputs, log, loop, parallel, resident, schedule
from smnet_jax.training.config import Config
from smnet_jax.training.loop import train
from smnet_jax.training.step import make_model
from tests.support import tolerances

CONFIG = dataclasses.replace(
    configs.load("smoke"), blocks=1, crop=12, steps=7, checkpoint_steps=3, evaluate_epochs=5, log_steps=7, ema=0.9,
    data_on="device", gain=0.5, noise=0.02,
)  # fmt: skip


@pytest.fixture
def mesh():
    return parallel.make_mesh(Config(devices=1))


def arrays(workdir):
    return [np.asarray(x) for x in jax.tree.leaves(weights.read(workdir / "weights").params)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("resident")
    assert train(dataclasses.replace(CONFIG, steps_per_call=4), workdir).finished
    return workdir


def test_four_steps_a_call_train_what_single_ones_do(finished, tmp_path):
    assert train(CONFIG, tmp_path).finished
    # Two programs sum in another order, and Adam makes a whole step of whatever is left of a gradient of nearly zero.
    start = initialise(make_model(CONFIG), CONFIG.seed)["params"]
    one, four, begun = (
        flatten(jax.device_get(params))
        for params in (*(weights.read(w / "weights").params for w in (tmp_path, finished)), start)
    )
    apart = tolerances.drift(four, one, begun)
    print(f"drift between four steps a call and single ones: {apart:.1e}")
    assert apart <= tolerances.ADAM
    records = [[r for r in log.read(w / "metrics.jsonl") if r["kind"] == "train"] for w in (tmp_path, finished)]
    assert [r["step"] for r in records[0]] == [r["step"] for r in records[1]]
    assert records[0][-1]["loss"] == pytest.approx(records[1][-1]["loss"], rel=1e-4)
    assert records[1][-1]["input_wait"] < 0.5


def test_stopped_and_started_again_it_ends_bit_for_bit_the_same(finished, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, steps_per_call=4)
    due = loop.Run._checkpoint_due

    def stop_at_three(self, step):
        if step == self.step == 3:
            signal.raise_signal(signal.SIGTERM)
        return due(self, step)

    monkeypatch.setattr(loop.Run, "_checkpoint_due", stop_at_three)
    assert train(config, tmp_path).step == 3
    monkeypatch.undo()
    # auto: as the run has it, on a CPU, too.
    assert train(dataclasses.replace(config, data_on="auto"), tmp_path).finished
    for ours, theirs in zip(arrays(tmp_path), arrays(finished), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_keeps_its_place(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "copy")
    with pytest.raises(InputError, match="draws its crops on the device; leave out --data-on host"):
        train(dataclasses.replace(CONFIG, data_on="host"), workdir)


def test_several_steps_a_call_need_the_device(tmp_path):
    with pytest.raises(InputError, match="steps_per_call 4: the pairs are on the host"):
        train(dataclasses.replace(CONFIG, data_on="auto", steps_per_call=4), tmp_path)


@pytest.mark.slow
def test_stages_resize_and_have_draws_of_their_own(tmp_path):
    stages = (
        configs.Stage(steps=2, crop=12, batch=4, loss="l1_ssim"),
        configs.Stage(steps=3, crop=16, batch=2, loss="l1_ssim", resize=32),
    )
    config = dataclasses.replace(CONFIG, stages=stages, steps=0, steps_per_call=2, holdout=0.0)
    assert train(config, tmp_path).step == 5


def test_not_finite_names_the_step_and_its_pairs(finished, tmp_path):
    """By the program of the finished run, from weights that are too large for it."""
    good = weights.read(finished / "weights")
    huge = jax.tree.map(lambda x: x * np.float32(1e30), good.params)
    weights.save(tmp_path / "huge", good.architecture, huge)
    config = dataclasses.replace(CONFIG, steps_per_call=4, init=str(tmp_path / "huge"))
    with pytest.raises(InputError, match=r"step \d: .* not finite; the batch: dummy_\d, "):
        train(config, tmp_path / "run")


def test_pictures_lie_once_and_without_gaps(mesh):
    source = inputs.DummyPairs(3, size=16)
    pairs = resident.load(Concatenated([source, Subset(source, (1,))], [2, 1]), mesh)
    assert pairs.low.shape == (3, 16 * 16 * 3) and pairs.low.dtype == np.uint8
    assert pairs.row.tolist() == [0, 1, 2, 0, 1, 2, 1]
    np.testing.assert_array_equal(np.asarray(pairs.high[1]).reshape(16, 16, 3), source[1]["high"])


class Gpu:
    """A device that says how much memory it has."""

    platform = "gpu"

    def memory_stats(self):
        return {"bytes_limit": 4 * 6 * 6 * 16 * 16}  # a quarter of it holds six pairs of 16x16


class Synthetic(inputs.DummyPairs):
    def darkened_cut(self, *_): ...


def mesh_of(device):
    shape = {"data": 1, "rows": 1}
    return type("FakeMesh", (), {"devices": np.array([device]), "local_devices": [device], "shape": shape})()


@pytest.mark.parametrize(
    ("count", "device", "chosen"), [(6, Gpu(), "device"), (7, Gpu(), "host"), (6, jax.devices("cpu")[0], "host")]
)
def test_auto_takes_the_device_where_the_pairs_fit_its_share(count, device, chosen):
    config = Config(crop=12, batch=2, steps=1)
    source = inputs.DummyPairs(count, size=16)
    spans = schedule.plan(config, count)
    assert resident.choose(config, source, spans, mesh_of(device)) == chosen
    assert resident.choose(dataclasses.replace(config, data_on="host"), source, spans, mesh_of(device)) == "host"


def test_a_crop_wider_than_the_pictures_is_refused_there_too():
    """The device would take lines that run on into the next without a word."""
    config = Config(crop=12, batch=2, data_on="device", devices=1, stages=(configs.Stage(1, 12, 2, wide=20),))
    source = inputs.DummyPairs(2, size=16)
    spans = schedule.plan(config, len(source))
    with pytest.raises(InputError, match="crop 20x12: 2 of 2 pictures are smaller, the first is 16x16"):
        feed.FromDevice(config, resident.load(source, parallel.make_mesh(config)), spans, spans[0])


@pytest.mark.parametrize(
    ("change", "source", "says"),
    [({}, inputs.DummyPairs(7, size=16), "more than 25% of its"),
     ({}, Concatenated([inputs.DummyPairs(2, size=16), Synthetic(2, size=16)]), "darkens every crop anew"),
     ({"parallel": "pmap"}, inputs.DummyPairs(2, size=16), "use --parallel jit"),
     ({"stages": (configs.Stage(steps=1, crop=12, batch=2, thin=2),), "steps": 0}, inputs.DummyPairs(2, size=32),
      "thin: another part")],
)  # fmt: skip
def test_what_cannot_be_there_is_refused_or_left_to_the_host(change, source, says):
    config = Config(**{"crop": 12, "batch": 2, "steps": 1, "data_on": "device", **change})
    spans = schedule.plan(config, len(source))
    with pytest.raises(InputError, match=f"data_on device: .*{says}.*--data-on host"):
        resident.choose(config, source, spans, mesh_of(Gpu()))
    assert resident.choose(dataclasses.replace(config, data_on="auto"), source, spans, mesh_of(Gpu())) == "host"
