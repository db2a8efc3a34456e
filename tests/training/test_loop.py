"""Whole runs on dummy data: what they leave, how they stop, and that continuing equals not having stopped."""

import dataclasses
import json
import logging
import os
import shutil
import signal
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from smnet_jax import InputError
from smnet_jax.checkpoints import weights
from smnet_jax.data.pipeline import Loader
from smnet_jax.host import allocator
from smnet_jax.training import config as configs
from smnet_jax.training import log, loop
from smnet_jax.training.config import Config
from smnet_jax.training.loop import train

CONFIG = dataclasses.replace(
    configs.load("smoke"), blocks=1, crop=12, steps=6, checkpoint_steps=2, evaluate_epochs=3, log_steps=1, ema=0.9
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("run")
    outcome = train(CONFIG, workdir)
    assert outcome.finished and outcome.step == 6 and np.isfinite(outcome.scores["psnr"])
    return workdir


@pytest.fixture
def signalled(monkeypatch):
    """Makes a run receive a signal after the given step."""

    def arrange(step: int, number: int) -> None:
        tell = loop.Run._tell

        def told(self, *args):
            tell(self, *args)
            if self.step == step:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(loop.Run, "_tell", told)

    return arrange


def arrays(workdir: Path) -> bytes:
    return (workdir / "weights" / weights.ARRAYS).read_bytes()


def test_a_run_leaves_weights_log_pictures_and_curves(finished):
    architecture = weights.read(finished / "weights").architecture
    assert (architecture.variant, architecture.width, architecture.blocks) == ("lol", 4, 1)
    assert weights.read(finished / "best").about["training"]["seed"] == 123
    records = log.read(finished / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert [r["step"] for r in records if r["kind"] == "evaluation"] == [3, 6]
    assert all(0 <= r["input_wait"] <= 1 and r["images_per_second"] > 0 for r in records if r["kind"] == "train")
    for name in ("curves.png", "pictures/0000003.png", "pictures/0000006.png"):
        with Image.open(finished / name) as picture:
            assert picture.width > 300
    assert any((finished / "tensorboard").iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_and_saves(tmp_path, signalled, number):
    signalled(1, number)
    before = signal.getsignal(number)
    stopped = train(CONFIG, tmp_path)
    assert (stopped.finished, stopped.signal) == (False, number)
    assert 1 <= stopped.step < 6
    assert (tmp_path / "checkpoints" / str(stopped.step)).is_dir() and not (tmp_path / "weights").exists()
    assert signal.getsignal(number) is before


def test_stopped_by_a_signal_and_continued_equals_undisturbed(finished, tmp_path, signalled):
    signalled(3, signal.SIGTERM)
    assert 3 <= train(CONFIG, tmp_path).step < 6
    assert train(CONFIG, tmp_path).finished
    assert arrays(tmp_path) == arrays(finished)
    assert [r["step"] for r in log.read(tmp_path / "metrics.jsonl") if r["kind"] == "train"] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_given_again_only_writes_its_results_again(finished, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(finished, workdir)
    shutil.rmtree(workdir / "weights")
    before = log.read(workdir / "metrics.jsonl")
    assert train(CONFIG, workdir).finished
    assert arrays(workdir) == arrays(finished)
    assert log.read(workdir / "metrics.jsonl") == before


def test_a_checkpoint_half_deleted_by_a_kill_costs_steps_not_the_result(finished, tmp_path, capfd):
    workdir = tmp_path / "copy"
    shutil.copytree(finished, workdir)
    shutil.rmtree(workdir / "checkpoints" / "6" / "state")
    shutil.rmtree(workdir / "weights")
    assert train(CONFIG, workdir).finished
    assert "checkpoint passed over" in capfd.readouterr().err
    assert arrays(workdir) == arrays(finished)


def test_other_settings_or_other_data_are_refused(finished):
    before = logging.getLogger("absl").level
    with pytest.raises(InputError, match="seed 123 there, 7 here"):
        train(dataclasses.replace(CONFIG, seed=7), finished)
    with pytest.raises(InputError, match=r"6 training pairs, dummy:9 has 7 or other ones"):
        train(dataclasses.replace(CONFIG, data="dummy:9"), finished)
    with pytest.raises(InputError, match=r"6 training pairs, dummy:4\*2 has 6 or other ones"):
        train(dataclasses.replace(CONFIG, data="dummy:4*2"), finished)
    assert logging.getLogger("absl").level == before  # what Orbax says is heard again


@pytest.fixture(scope="module")
def too_large(finished, tmp_path_factory) -> Config:
    """A run by the program of the finished one that is never finite: it starts from huge weights."""
    good, folder = weights.read(finished / "weights"), tmp_path_factory.mktemp("huge") / "weights"
    weights.save(folder, good.architecture, jax.tree.map(lambda x: x * np.float32(1e30), good.params))
    return dataclasses.replace(CONFIG, init=str(folder))


def test_not_finite_stops_with_step_names_and_checkpoint(too_large, tmp_path):
    with pytest.raises(
        InputError, match=r"step \d: .* not finite; the batch: dummy_\d, .*last good checkpoint"
    ) as caught:
        train(too_large, tmp_path)
    assert "--on-nan skip" in str(caught.value)


def test_not_finite_is_skipped_and_counted_on_request(too_large, tmp_path):
    outcome = train(dataclasses.replace(too_large, on_nan="skip", evaluate_epochs=100), tmp_path)
    assert outcome.finished
    assert log.read(tmp_path / "metrics.jsonl")[-2]["skipped"] > 0


def test_a_run_that_only_skips_ends(too_large, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SKIPPED_RUNNING", 3)
    with pytest.raises(InputError, match=r"step \d: 3 updates running were not finite and skipped"):
        train(dataclasses.replace(too_large, on_nan="skip", evaluate_epochs=100), tmp_path)


def test_a_picture_damaged_since_it_was_checked_costs_no_step(tmp_path, monkeypatch):
    following = Loader.__next__
    read: list[object] = []

    def damaged(loader):
        if len(read) == 3:
            raise InputError("a.png: cannot be decoded; replace or remove it")
        read.append(following(loader))
        return read[-1]

    monkeypatch.setattr(Loader, "__next__", damaged)
    with pytest.raises(InputError, match=r"a\.png: .*; all is saved at step 3, the same command continues"):
        train(CONFIG, tmp_path)
    assert (tmp_path / "checkpoints" / "3").is_dir()


def test_a_checkpoint_holds_the_evaluations_before_it_and_no_others(finished, tmp_path, capfd):
    workdir = tmp_path / "copy"
    shutil.copytree(finished, workdir)
    kept = sorted(int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit())
    for step in kept:
        about = json.loads((workdir / "checkpoints" / str(step) / "_CHECKPOINT_METADATA").read_text())
        assert [scores["step"] for scores in about["custom_metadata"]["history"]] == [s for s in (3, 6) if s <= step]
    # So a run that continues before an evaluation does it; and with other pairs its scores start anew.
    shutil.rmtree(workdir / "checkpoints" / "6")
    assert train(dataclasses.replace(CONFIG, evaluate_pairs=1), workdir).finished
    assert "scores and best/ start anew" in capfd.readouterr().err
    assert [r["step"] for r in log.read(workdir / "metrics.jsonl") if r["kind"] == "evaluation"] == [3, 6]
    assert weights.read(workdir / "best").about["source"]["name"] == "smnet train, step 6"


def test_any_part_of_a_run_is_read_as_weights(finished):
    whole, checkpoint = (weights.read(finished / name).params for name in ("", "checkpoints/6"))
    for ours, theirs in zip(jax.tree.leaves(whole), jax.tree.leaves(checkpoint), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_finished_run_goes_on_for_more_steps_on_purpose(finished, tmp_path, capfd):
    workdir = tmp_path / "copy"
    shutil.copytree(finished, workdir)
    longer = dataclasses.replace(CONFIG, steps=7)
    with pytest.raises(InputError, match=r"steps 6 there, 7 here.*--resume-with steps"):
        train(longer, workdir)
    assert train(longer, workdir, ["steps"]).step == 7
    assert "resumed with steps 6 there, 7 here" in capfd.readouterr().err
    assert configs.load(str(workdir / "config.json")) == longer


def test_trains_in_a_thread(tmp_path):
    outcomes: list[loop.Outcome] = []
    config = dataclasses.replace(CONFIG, evaluate_epochs=100, checkpoint_steps=0)
    thread = threading.Thread(target=lambda: outcomes.append(train(config, tmp_path)))
    thread.start()
    thread.join()
    assert outcomes and outcomes[0].finished


def test_in_a_thread_that_nobody_waits_for_it_says_so(tmp_path, monkeypatch):
    """Python shuts its pools down when the main thread has ended, whichever threads still run."""

    def over(*_):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(loop.Run, "__init__", over)
    with pytest.raises(InputError, match=r"wait for it with join\(\)"):
        train(CONFIG, tmp_path)


def test_starts_from_given_weights_that_may_be_gone_later(finished, tmp_path, signalled):
    given = shutil.copytree(finished / "weights", tmp_path / "given")
    config = dataclasses.replace(CONFIG, init=str(given), evaluate_epochs=100)
    run = loop.Run(config, tmp_path / "begun")
    run.close()
    for ours, theirs in zip(
        jax.tree.leaves(run.state.params), jax.tree.leaves(weights.read(given).params), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    signalled(1, signal.SIGTERM)
    assert not train(config, tmp_path / "run").finished
    shutil.rmtree(given)
    assert train(config, tmp_path / "run").finished
    with pytest.raises(InputError, match="another variant or width"):
        train(dataclasses.replace(config, init=str(finished / "weights"), width=8), tmp_path / "other")


def test_stages_change_crop_and_batch_in_one_run(tmp_path, monkeypatch):
    """And memory is given back after compiling each, and after the evaluation."""
    returned: list[bool] = []
    monkeypatch.setattr(allocator, "return_freed_memory", lambda: returned.append(True))
    stages = (
        configs.Stage(steps=2, crop=12, batch=4, loss="l1_ssim"),
        configs.Stage(steps=2, crop=16, batch=2, loss="l1_ssim", resize=32),
    )
    assert train(dataclasses.replace(CONFIG, stages=stages, steps=0, noise=0.01, gain=0.5), tmp_path).step == 4
    assert len(returned) == 3
