"""The tensorflow-datasets builders, for real: written, read back, and fed to the loader, without TensorFlow."""

import sys

import numpy as np
import pytest
from PIL import Image

from smnet_jax.data.paired import PairedFolder
from smnet_jax.data.pipeline import make_loader
from smnet_jax.data.sources import holdout
from smnet_jax.errors import InputError


@pytest.fixture
def records():
    for module in ("tensorflow_datasets", "array_record", "importlib_resources"):
        pytest.importorskip(module, reason="needs the extra tfds: pip install 'smnet-jax[tfds]'")
    from smnet_jax.data import tfds_records

    return tfds_records


def fill(root, names, size=(20, 16)):
    """A folder of pairs, random but of one look."""
    for side in ("low", "high"):
        (root / side).mkdir(parents=True, exist_ok=True)
        for name in names:
            rng = np.random.default_rng(sum(f"{side}{name}".encode()))
            Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(root / side / name)


def assert_same(source, folder):
    assert len(source) == len(folder)
    assert source.sizes == folder.sizes
    for index in range(len(folder)):
        a, b = source[index], folder[index]
        assert a["name"] == b["name"]
        np.testing.assert_array_equal(a["low"], b["low"])
        np.testing.assert_array_equal(a["high"], b["high"])


def test_lol_reads_back_equal_to_the_folders(records, tmp_path):
    fill(tmp_path / "raw" / "our485", [f"{i}.png" for i in (2, 5, 22, 100)])
    fill(tmp_path / "raw" / "eval15", ["1.png", "23.png"])
    builder = records.prepare(records.Lol, tmp_path / "raw", tmp_path / "data")
    for name, published in (("train", "our485"), ("test", "eval15")):
        folder = PairedFolder(tmp_path / "raw", published)
        kept, streamed = (records.TfdsSource(builder, name, memory_bytes=limit) for limit in (2 << 30, 0))
        assert_same(kept, folder)
        assert_same(streamed, folder)
        assert kept.high_hashes == folder.high_hashes
    assert "tensorflow" not in sys.modules
    assert records.Lol.pairs(tmp_path / "raw").keys() == {"train", "test"}


def test_loader_gives_the_same_batches_as_from_the_folder(records, tmp_path):
    fill(tmp_path / "raw" / "train", [f"{i}.png" for i in range(7)])
    builder = records.prepare(records.Lol, tmp_path / "raw", tmp_path / "data")
    streamed = records.TfdsSource(builder, memory_bytes=0)
    folder = PairedFolder(tmp_path / "raw")
    loaders = [make_loader(source, batch=3, crop=(12, 12), seed=1, threads=2) for source in (folder, streamed)]
    for _ in range(4):
        one, other = (next(loader) for loader in loaders)
        for key in ("low", "high", "index"):
            np.testing.assert_array_equal(one[key], other[key])
    for loader in loaders:
        loader.close()
    assert len(holdout(streamed, fraction=0.3)[1]) == 2


def test_turned_gray_and_odd_files_are_stored_upright(records, tmp_path):
    raw = tmp_path / "raw" / "train"
    fill(raw, ["0.png", "1.png", "2.jpg", "3.bmp"])
    for side in ("low", "high"):
        turned = Image.Exif()
        turned[0x0112] = 6
        with Image.open(raw / side / "2.jpg") as picture:
            picture.save(raw / side / "2.jpg", exif=turned)
        Image.open(raw / side / "1.png").convert("L").save(raw / side / "1.png")
    builder = records.prepare(records.Lol, tmp_path / "raw", tmp_path / "data")
    source = records.TfdsSource(builder)
    assert source.sizes == [(16, 20), (16, 20), (20, 16), (16, 20)]
    assert_same(source, PairedFolder(tmp_path / "raw"))
    # What is already plain is stored byte for byte.
    assert records.stored_bytes(raw / "low" / "0.png") == (raw / "low" / "0.png").read_bytes()


def test_prepared_data_are_reused(records, tmp_path):
    fill(tmp_path / "raw" / "train", ["0.png"])
    records.prepare(records.Lol, tmp_path / "raw", tmp_path / "data")
    builder = records.prepare(records.Lol, tmp_path / "gone", tmp_path / "data")
    assert len(records.TfdsSource(builder)) == 1
    with pytest.raises(InputError, match="no split test; it has train"):
        records.TfdsSource(builder, "test")


def test_faults_stop_the_build_before_it_writes(records, tmp_path):
    fill(tmp_path / "raw" / "train", ["0.png", "1.png"])
    (tmp_path / "raw" / "train" / "low" / "1.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"low/1\.png: cannot be decoded"):
        records.prepare(records.Lol, tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()
    with pytest.raises(InputError, match="neither our485 nor train is here"):
        records.prepare(records.Lol, tmp_path / "absent", tmp_path / "data")


def test_fivek_is_split_by_id(records, tmp_path):
    fill(tmp_path / "raw", ["a0500-x.jpg", "a0501-kme_1.jpg", "a0001-y.jpg", "a5000-z.jpg"])
    builder = records.prepare(records.MitAdobeFivek, tmp_path / "raw", tmp_path / "data")
    train, test = (records.TfdsSource(builder, name) for name in ("train", "test"))
    assert [train[i]["name"] for i in range(2)] == ["a0501-kme_1.jpg", "a5000-z.jpg"]
    assert [test[i]["name"] for i in range(2)] == ["a0001-y.jpg", "a0500-x.jpg"]
    folder = PairedFolder(tmp_path / "raw", None)  # in order of name: both test pairs first
    for index, stored in enumerate((test[0], test[1], train[0], train[1])):
        np.testing.assert_array_equal(folder[index]["high"], stored["high"])


def test_fivek_folders_do_not_decide_the_split(records, tmp_path):
    fill(tmp_path / "train", ["a0001-y.jpg", "a0700-x.jpg"])
    fill(tmp_path / "test", ["a0002-y.jpg"])
    pairs = records.MitAdobeFivek.pairs(tmp_path)
    assert [pair.name for pair in pairs["test"]] == ["a0001-y.jpg", "a0002-y.jpg"]
    assert [pair.name for pair in pairs["train"]] == ["a0700-x.jpg"]


def test_fivek_names_are_checked(records, tmp_path):
    fill(tmp_path, ["a0001-y.jpg", "b.jpg", "a0001-z.jpg"])
    with pytest.raises(
        InputError, match=r"a0001-z\.jpg and .*a0001-y\.jpg have the same id; b\.jpg: no FiveK file name"
    ):
        records.MitAdobeFivek.pairs(tmp_path)


def test_prepared_once_opened_by_folder(records, tmp_path, capfd):
    from smnet_jax.data.tfds_prepare import main

    fill(tmp_path / "raw" / "our485", ["0.png", "1.png"])
    assert main(["lol", str(tmp_path / "raw"), str(tmp_path / "data")]) == 0
    assert f"{tmp_path / 'data' / 'lol' / '1.0.0'}: train 2 pairs" in capfd.readouterr().out
    for folder in (tmp_path / "data" / "lol", tmp_path / "data" / "lol" / "1.0.0"):
        assert_same(records.open_tfds(folder, "train"), PairedFolder(tmp_path / "raw", "our485"))
        assert records.open_tfds(folder, "test") is None
    with pytest.raises(InputError, match=r"no prepared data set; run python -m smnet_jax\.data\.tfds_prepare"):
        records.open_tfds(tmp_path / "data", "train")
    assert main(["fivek", str(tmp_path / "absent"), str(tmp_path / "data")]) == 2
    assert "no low and high here" in capfd.readouterr().err


def test_split_of(records):
    assert [records.split_of(f"a{n:04d}-x.jpg") for n in (1, 500, 501, 5000)] == ["test", "test", "train", "train"]
    for name in ("0001.jpg", "a001.jpg", "a00012.jpg", "xa0001.jpg"):
        with pytest.raises(InputError, match="no FiveK file name"):
            records.split_of(name)


def test_without_the_extra_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    monkeypatch.delitem(sys.modules, "smnet_jax.data.tfds_records", raising=False)
    with pytest.raises(InputError, match=r"not installed; run pip install 'smnet-jax\[tfds\]'"):
        import smnet_jax.data.tfds_records  # noqa: F401
