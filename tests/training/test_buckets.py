"""A run in a bucket on pictures in a bucket: what it leaves, that it continues, and that a second one is refused."""

import dataclasses
import io
import signal
import socket
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("etils.epath", reason="needs the extra train")

import fsspec
from orbax.checkpoint._src.path import gcs_utils

from smnet_jax import InputError
from smnet_jax.checkpoints import weights
from smnet_jax.evaluation import folders
from smnet_jax.host import places
from smnet_jax.training import config as configs
from smnet_jax.training import lock, log, loop, parallel
from smnet_jax.training.checkpoint import Checkpoints
from smnet_jax.training.inputs import open_data, split_data
from smnet_jax.training.loop import train
from smnet_jax.training.step import init_state
from tests.support import fake_gcs

CONFIG = dataclasses.replace(
    configs.load("smoke"),
    blocks=1,
    crop=12,
    batch=2,
    steps=4,
    checkpoint_steps=1,
    evaluate_epochs=2,
    log_steps=1,
    holdout=0.0,
)


@pytest.fixture(scope="module", autouse=True)
def bucket():
    """gs:// is the fake for the whole module: TensorStore reads its variables once."""
    server = fake_gcs.serve()
    with pytest.MonkeyPatch.context() as patch:
        fsspec.register_implementation("gcs", fake_gcs.FakeGcs, clobber=True)
        patch.setenv("TENSORSTORE_GCS_HTTP_URL", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "none")
        patch.setenv("EPATH_USE_TF", "false")
        patch.setattr(gcs_utils, "get_bucket", lambda name: object())  # needs Google's own library
        yield
    server.shutdown()
    server.server_close()
    fake_gcs.OBJECTS.clear()


@pytest.fixture(scope="module")
def mesh():
    return parallel.make_mesh(CONFIG)


@pytest.fixture(scope="module")
def pictures(bucket):
    """Six pairs in gs://data/lol, as LOL is downloaded, with two test pairs."""
    for folder, count in (("our485", 6), ("eval15", 2)):
        for number in range(count):
            high = np.random.default_rng((count, number)).integers(0, 256, (16, 20, 3), np.uint8)
            for side, picture in (("high", high), ("low", high // 4)):
                buffer = io.BytesIO()
                Image.fromarray(picture).save(buffer, "PNG")
                fake_gcs.put(f"data/lol/{folder}/{side}/{number}.png", buffer.getvalue())
    return "gs://data/lol"


def test_pictures_in_a_bucket(pictures):
    data = open_data(dataclasses.replace(CONFIG, data=pictures))
    assert data.evaluation is not None and (len(data.training), len(data.evaluation)) == (6, 2)
    assert "gs://data/lol/our485: low/high, 6 pairs" in data.notes[0]
    assert split_data(f"{pictures},{pictures}*2") == [(pictures, 1), (pictures, 2)]
    fake_gcs.put("data/pairs.csv", b"low,high\nlol/our485/low/1.png,gs://data/lol/our485/high/1.png\n")
    only = open_data(dataclasses.replace(CONFIG, data="list:gs://data/pairs.csv")).training[0]
    np.testing.assert_array_equal(only["low"], only["high"] // 4)
    items = folders.check(folders.find({side: f"{pictures}/eval15/{side}" for side in ("low", "high")}))
    assert [(item.name, item.height, item.width) for item in items] == [("0", 16, 20), ("1", 16, 20)]
    photos = open_data(dataclasses.replace(CONFIG, data=f"synthetic:{pictures}/our485/high"))
    assert len(photos.training) == 6


def test_checkpoints_are_written_kept_and_read_there(mesh):
    """Two are left of three, none half written, and the newest comes back, also as weights."""

    def opened():
        return Checkpoints(places.place("gs://runs/kept"), 2)

    def state(step):
        made = init_state(CONFIG, {"w": jnp.full((40, 50), 0.5 * step)})
        return dataclasses.replace(made, step=jnp.int32(step))

    checkpoints = opened()
    for step in (1, 2, 3):
        checkpoints.save(state(step), CONFIG, {"pairs": 5, "history": []}, None)
    checkpoints.wait()
    checkpoints.close()
    below = "runs/kept/checkpoints/"
    assert {name.removeprefix(below).split("/")[0] for name in fake_gcs.OBJECTS if name.startswith(below)} == {"2", "3"}
    again = opened()
    restored = again.restore(state(0), CONFIG, mesh)
    again.close()
    assert restored is not None and int(restored[0].step) == 3
    np.testing.assert_array_equal(restored[0].params["w"], np.full((40, 50), 1.5))


def test_weights_are_written_replaced_and_read_there(fixtures):
    given = weights.read(fixtures / "golden/lol_dim8.pth")
    for name in ("first", "second"):
        weights.save(places.place("gs://runs/w/weights"), given.architecture, given.params, {"told": name})
    for source in ("gs://runs/w/weights", "gs://runs/w", places.place("gs://runs/w")):
        read = weights.read(source)
        assert read.about["told"] == "second"
        np.testing.assert_equal(read.params, given.params)
    fake_gcs.put("runs/w/net.pth", (fixtures / "golden/lol_dim8.pth").read_bytes())
    np.testing.assert_equal(weights.read("gs://runs/w/net.pth").params, given.params)
    fake_gcs.put("runs/full/notes.txt", b"")
    with pytest.raises(InputError, match=r"gs://runs/full: holds notes\.txt"):
        weights.save(places.place("gs://runs/full"), given.architecture, given.params)
    with pytest.raises(InputError, match="gs://runs/none: there are no weights here"):
        weights.read("gs://runs/none")


@pytest.mark.slow
def test_a_run_is_stopped_and_continued(pictures, monkeypatch, capfd):
    config = dataclasses.replace(CONFIG, data=pictures)
    tell = loop.Run._tell

    def told(self, *args):
        tell(self, *args)
        if self.step == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(loop.Run, "_tell", told)
    stopped = train(config, "gs://runs/one").step
    assert 2 <= stopped < 4
    assert steps_in("gs://runs/one/metrics.jsonl") == [1, 2, 3][:stopped]
    monkeypatch.undo()
    assert train(config, Path("gs://runs/one")).finished
    assert f"continuing after step {stopped}" in capfd.readouterr().err
    assert steps_in("gs://runs/one/metrics.jsonl") == [1, 2, 3, 4]

    files = {name.removeprefix("runs/one/") for name in fake_gcs.OBJECTS if name.startswith("runs/one/")}
    assert {"config.json", "curves.png", "metrics.jsonl", "best/smnet.json", "weights/params.safetensors"} <= files
    for folder in ("tensorboard/", "pictures/", "checkpoints/3/", "checkpoints/4/"):
        assert any(name.startswith(folder) for name in files), folder
    assert not any(name.startswith(".") or name == "run.json" for name in files)
    read = weights.read("gs://runs/one")
    assert read.about["source"] == {"name": "smnet train, step 4"} and read.architecture.width == 4


def steps_in(path):
    return [line["step"] for line in log.read(places.place(path)) if line["kind"] == "train"]


def test_the_log_is_there_with_each_checkpoint_and_what_failed_comes_later(monkeypatch, capsys):
    written = log.Log(places.place("gs://runs/log"), 3)
    written.start(0)
    written.record("train", 1, {"loss": 0.5})
    assert "runs/log/metrics.jsonl" not in fake_gcs.OBJECTS
    written.flush()
    assert steps_in("gs://runs/log/metrics.jsonl") == [1]
    written.record("train", 2, {"loss": 0.25})
    with monkeypatch.context() as patch:
        patch.setattr(fake_gcs.FakeGcs, "_open", refused)
        written.flush()
    assert "the log will be copied later: gs://runs/log/" in capsys.readouterr().err
    assert steps_in("gs://runs/log/metrics.jsonl") == [1]
    written.close()
    assert steps_in("gs://runs/log/metrics.jsonl") == [1, 2]
    again = log.Log(places.place("gs://runs/log"), 3)  # continues after step 1: what comes later is dropped
    again.start(1)
    again.close()
    assert steps_in("gs://runs/log/metrics.jsonl") == [1]


def refused(*_, **__):
    raise RuntimeError("Anonymous caller does not have storage.objects.list access\nand more")


def test_a_second_run_is_refused_here_and_from_another_host(monkeypatch, tmp_path):
    monkeypatch.setattr(lock, "BEAT", 0.02)
    workdir = places.place("gs://runs/two")
    with lock.held(workdir), pytest.raises(InputError, match=r"in use by process \d+ on"), lock.held(workdir):
        pass
    with lock.held(workdir):
        monkeypatch.setattr(lock, "_lock_of_this_host", lambda _: tmp_path / "another.lock")
        monkeypatch.setattr(socket, "gethostname", lambda: "another")
        with pytest.raises(InputError, match="in use by process"), lock.held(workdir):
            pass


def test_what_cannot_be_reached_is_one_line(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fake_gcs.FakeGcs, "info", refused)
    monkeypatch.setattr(fake_gcs.FakeGcs, "_open", refused)
    with pytest.raises(InputError, match=r"gs://data/other.*: cannot be reached \(Anonymous caller .* access\); check"):
        open_data(dataclasses.replace(CONFIG, data="gs://data/other"))
    with pytest.raises(InputError, match=r"gs://runs/three.*cannot be reached"):
        log.make_workdir(places.place("gs://runs/three"))
    assert not list(tmp_path.iterdir())  # nor is a folder of this name made here


def test_other_schemes_and_what_is_not_installed_are_refused_in_a_line(monkeypatch):
    with pytest.raises(InputError, match="s3://bucket/lol: only folders of this machine and gs:// buckets"):
        places.place("s3://bucket/lol")

    def missing(_):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(InputError, match=r"gs://bucket/run: .* pip install 'smnet-jax\[buckets\]'"):
        train(CONFIG, Path("gs://bucket/run"))
