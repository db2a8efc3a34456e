"""Checkpoints: what comes back, which are kept, and what happens when one is damaged or cannot be written."""

import dataclasses
import logging
import resource
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax import InputError
from smnet_jax.training import parallel
from smnet_jax.training.checkpoint import Checkpoints
from smnet_jax.training.config import Config
from smnet_jax.training.step import TrainState, init_state

CONFIG = Config(ema=0.9)


@pytest.fixture(scope="module")
def mesh():
    return parallel.make_mesh(CONFIG)


def state_at(step: int, size: int = 8) -> TrainState:
    noise = np.random.default_rng(step).random(size, np.float32)  # which does not compress away
    state = init_state(CONFIG, {"w": jnp.asarray(noise), "slope": jnp.float32(step)})
    return dataclasses.replace(state, step=jnp.int32(step))


def save(workdir: Path, steps, scores=None, keep: int = 3) -> Checkpoints:
    checkpoints = Checkpoints(workdir, keep)
    for step in steps:
        checkpoints.save(state_at(step), CONFIG, {"pairs": 5, "history": []}, (scores or {}).get(step))
    checkpoints.wait()
    return checkpoints


def kept(workdir: Path) -> set[int]:
    return {int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit()}


def test_state_and_run_come_back(tmp_path, mesh):
    save(tmp_path, [3]).close()
    checkpoints = Checkpoints(tmp_path, 3)
    restored = checkpoints.restore(state_at(0), CONFIG, mesh)
    assert restored is not None
    state, run = restored
    assert run == {"pairs": 5, "history": []}
    assert str(jax.tree.structure(state)) == str(jax.tree.structure(state_at(3)))
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(state_at(3)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    checkpoints.close()


def test_what_is_saved_is_what_was_given_however_it_grows_later(tmp_path, mesh):
    checkpoints = Checkpoints(tmp_path, 3)
    run: dict[str, Any] = {"pairs": 5, "history": [{"step": 1}]}
    checkpoints.save(state_at(3), CONFIG, run, None)
    run["history"].append({"step": 9})
    checkpoints.wait()
    restored = checkpoints.restore(state_at(0), CONFIG, mesh)
    checkpoints.close()
    assert restored is not None and restored[1]["history"] == [{"step": 1}]


def test_scores_on_other_pairs_say_nothing_about_the_best(tmp_path):
    for evaluated, steps in (("a", {1: {"psnr": 30.0}}), ("b", {2: {"psnr": 20.0}, 3: {"psnr": 10.0}, 4: None})):
        checkpoints = Checkpoints(tmp_path, 1, evaluated)
        for step, scores in steps.items():
            checkpoints.save(state_at(step), CONFIG, {"pairs": 5, "history": []}, scores)
        checkpoints.close()
    assert kept(tmp_path) == {2, 4}


def test_nothing_there_is_no_error(tmp_path, mesh):
    checkpoints = Checkpoints(tmp_path, 3)
    assert checkpoints.restore(state_at(0), CONFIG, mesh) is None
    checkpoints.close()


def test_the_latest_and_the_best_are_kept(tmp_path):
    scores = {1: {"psnr": 20.0}, 2: {"psnr": 25.0}, 3: {"psnr": 22.0}, 5: {"psnr": 21.0}}
    save(tmp_path, [1, 2, 3, 4, 5, 6], scores, keep=2).close()
    assert kept(tmp_path) == {2, 5, 6}


@pytest.mark.parametrize("part", ["state", "_CHECKPOINT_METADATA", "everything"])
def test_an_incomplete_newest_checkpoint_is_passed_over(tmp_path, mesh, part):
    """As a kill in the middle of its deletion leaves it."""
    save(tmp_path, [1, 2]).close()
    newest = tmp_path / "checkpoints" / "2"
    for path in newest.iterdir():
        if part in (path.name, "everything"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    checkpoints = Checkpoints(tmp_path, 3)
    restored = checkpoints.restore(state_at(0), CONFIG, mesh)
    assert restored is not None and restored[0].step == 1
    # The run goes on and writes step 2 again.
    checkpoints.save(state_at(2), CONFIG, {"pairs": 5, "history": []}, None)
    checkpoints.close()
    again = Checkpoints(tmp_path, 3)
    restored = again.restore(state_at(0), CONFIG, mesh)
    assert restored is not None and restored[0].step == 2
    again.close()


def test_only_damaged_checkpoints_end_with_their_names(tmp_path, mesh):
    save(tmp_path, [1]).close()
    shutil.rmtree(tmp_path / "checkpoints" / "1" / "state")
    checkpoints = Checkpoints(tmp_path, 3)
    with pytest.raises(InputError, match="no checkpoint can be read"):
        checkpoints.restore(state_at(0), CONFIG, mesh)
    checkpoints.close()


def test_another_config_is_refused(tmp_path, mesh):
    save(tmp_path, [1]).close()
    checkpoints = Checkpoints(tmp_path, 3)
    with pytest.raises(InputError, match=r"learning_rate 0\.0005 there, 0\.1 here"):
        checkpoints.restore(state_at(0), dataclasses.replace(CONFIG, learning_rate=0.1), mesh)
    checkpoints.close()
    assert kept(tmp_path) == {1}


def test_a_full_disk_is_told_and_leaves_the_old_checkpoint(tmp_path, mesh):
    checkpoints = save(tmp_path, [1])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))  # the same error path as a full disk
    try:
        with pytest.raises(InputError, match="a checkpoint could not be written"):
            checkpoints.save(state_at(2, size=1_000_000), CONFIG, {"pairs": 5, "history": []}, None)
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    checkpoints.close()
    later = Checkpoints(tmp_path, 3)
    restored = later.restore(state_at(0), CONFIG, mesh)
    assert restored is not None and restored[0].step == 1
    later.close()


def test_what_a_thread_of_orbax_still_logs_after_a_failure_is_not_shown(tmp_path, caplog):
    class Late(threading.Thread):
        def run(self):
            time.sleep(0.3)
            logging.getLogger("absl").error("a traceback of what has been told")

    Late.__module__ = "orbax.checkpoint.futures"
    checkpoints = Checkpoints(tmp_path, 3)
    late = Late()
    late.start()
    checkpoints.close()
    late.join()
    assert not caplog.records
    logging.getLogger("absl").error("somebody else's")  # heard again
    assert [record.message for record in caplog.records] == ["somebody else's"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "checkpoints").write_text("a file in the way")
    with pytest.raises(InputError, match="cannot be written"):
        Checkpoints(tmp_path, 3)
