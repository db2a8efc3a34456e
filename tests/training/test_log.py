"""metrics.jsonl: one record a line, readable after a kill, without what a killed run logged beyond its checkpoint."""

import json
import sys

import numpy as np
import pytest

from smnet_jax import InputError
from smnet_jax.training import log


@pytest.fixture
def started(tmp_path):
    told = log.Log(tmp_path, 10)
    told.start(0)
    yield told
    told.close()


def test_records_come_back(started):
    started.record("train", 1, {"loss": 0.5})
    started.record("evaluation", 2, {"psnr": float("inf")})
    first, second = log.read(started.path)
    assert (first["kind"], first["step"], first["loss"]) == ("train", 1, 0.5)
    assert second["psnr"] is None  # JSON has no infinity
    started.picture(2, "sheet", np.zeros((4, 4, 3), np.uint8))
    assert list((started.path.parent / "tensorboard").iterdir())


def test_a_log_that_cannot_be_written_is_told(started):
    started.path.unlink()
    started.path.mkdir()
    with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be written .*; make room"):
        started.record("train", 1, {"loss": 0.5})


def test_a_resumed_run_drops_what_will_come_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"kind": "train", "step": s}) + "\n" for s in (1, 2, 3)) + '{"kind": "tr')
    resumed = log.Log(tmp_path, 10)
    resumed.start(2)
    resumed.record("train", 3, {})
    resumed.close()
    assert [r["step"] for r in log.read(path)] == [1, 2, 3]
    assert "time" in log.read(path)[2]  # the new one


def test_a_process_that_does_not_write_leaves_no_file(tmp_path):
    silent = log.Log(tmp_path, 10, write=False)
    silent.start(0)
    silent.record("train", 1, {"loss": 1.0})
    silent.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        log.make_workdir(tmp_path / "taken")


def test_without_a_terminal_there_are_lines_at_intervals(tmp_path, monkeypatch, capsys):
    told = log.Log(tmp_path, 10)
    for step in (1, 2, 3):
        told.progress(step, f"loss 0.{step}")
    monkeypatch.setattr(log, "PLAIN_SECONDS", 0.0)
    told.progress(4, "loss 0.4")
    told.close()
    assert capsys.readouterr().err == "step 1/10: loss 0.1\nstep 4/10: loss 0.4\n"


def test_a_full_disk_is_told_by_whoever_writes_and_not_by_close(started):
    def full(*_):
        raise OSError(28, "No space left on device")

    file = started._tensorboard._file
    close, file.write_event, file.close = file.close, full, full
    with pytest.raises(InputError, match=r"cannot be written .No space left"):
        started.record("train", 1, {"loss": 0.5})
    started.close()
    close()


def test_weights_and_biases_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for step in (1, 2):  # the second continues the first
        written = log.Log(tmp_path, 2, wandb={"width": 4})
        written.start(step - 1)
        written.record("train", step, {"loss": 0.125 * step})
        written.close()
    wandb.teardown()  # its own process has written everything
    told = [path.read_bytes() for path in sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))]
    assert len(told) == 2 and all(b"train/loss" in content for content in told)
    assert b"0.125" in told[0] and b"0.25" in told[1]
    assert all((tmp_path / "wandb.id").read_bytes().strip() in content for content in told)


def test_weights_and_biases_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"pip install 'smnet-jax\[wandb\]'"):
        log.Log(tmp_path, 2, wandb={})
