"""Every format that torch writes gives the numbers that torch reads; what we write, torch reads."""

import struct
import zipfile
from argparse import Namespace
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from smnet_jax.checkpoints import formats, pickles
from smnet_jax.errors import InputError
from tests.support import hostile


def state() -> OrderedDict[str, torch.Tensor]:
    """Tensors of all the layouts that a checkpoint may hold."""
    base = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    return OrderedDict(
        weight=base,
        transposed=base.permute(2, 0, 1),
        window=base[1:3, ::2, 1],
        scalar=torch.tensor(0.25),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.arange(5.0)),
        expanded=torch.tensor([1.0, 2.0]).expand(3, 2),
        channels_last=torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        steps=torch.tensor(2**40),
    )


def assert_same(read: dict[str, np.ndarray], written: dict[str, torch.Tensor]) -> None:
    assert list(read) == list(written)
    for name, tensor in written.items():
        np.testing.assert_array_equal(read[name], tensor.detach().numpy())
        assert read[name].shape == tuple(tensor.shape)


@pytest.mark.parametrize("zipped", [False, True], ids=["stream", "zip"])
@pytest.mark.parametrize("nest", [None, "state_dict", "model", "params"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torch_save(zipped, nest, prefix, tmp_path):
    path = tmp_path / "without_suffix"
    content = {prefix + name: tensor for name, tensor in state().items()}
    beside = {
        "epoch": 7,
        "best": np.float64(24.5),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "lr": [1e-3]},
    }
    torch.save({nest: content, **beside} if nest else content, path, _use_new_zipfile_serialization=zipped)
    result = formats.read(path)
    assert_same(result.state, state() | {"channels_last": content[f"{prefix}channels_last"]})
    assert ("stream" in result.kind) is not zipped
    assert bool(result.notes) is bool(prefix)


WEIGHTS, AVERAGE = ({"a": torch.tensor([value])} for value in (1.0, 2.0))


@pytest.mark.parametrize(
    ("content", "wanted", "told"),
    [
        ({"params": WEIGHTS, "params_ema": AVERAGE}, 2, "params_ema, the averaged weights, taken and not params"),
        ({"state_dict": WEIGHTS, "state_dict_ema": AVERAGE, "epoch": 3}, 2, "--key state_dict takes those"),
        ({"model": WEIGHTS, "ema": AVERAGE}, 2, "ema, the averaged"),
        ({"model": WEIGHTS, "ema": {"decay": 0.999}}, 1, None),
        ({"params_ema": AVERAGE}, 2, None),
        ({"net": WEIGHTS}, 1, None),
        ({"model_state_dict": WEIGHTS, "args": Namespace(lr=1e-3, out=Path("x"))}, 1, None),
        ({"_orig_mod.module.a": torch.tensor([1.0])}, 1, "_orig_mod. in front"),
        (
            {"state_dict": {"model.a": torch.tensor([1.0]), "loss.vgg.b": torch.tensor([3.0])}},
            1,
            "left out, not of model",
        ),
        ({"module.a": torch.tensor([1.0]), "n_averaged": torch.tensor(3)}, 1, "n_averaged"),
    ],
)
def test_the_average_is_taken_and_wrappers_are_dropped(content, wanted, told, tmp_path):
    torch.save(content, tmp_path / "c.pth")
    result = formats.read(tmp_path / "c.pth")
    assert list(result.state) == ["a"] and result.state["a"] == wanted
    assert not told or any(told in note for note in result.notes)


def test_key_chooses_a_state_dict(tmp_path):
    torch.save({"params": WEIGHTS, "params_ema": AVERAGE, "model": WEIGHTS}, tmp_path / "c.pth")
    result = formats.read(tmp_path / "c.pth", "params")
    assert result.state["a"] == 1 and not result.chosen
    with pytest.raises(InputError, match=r"no dict 'weights'; there are 'params', 'params_ema', 'model'; .*--key"):
        formats.read(tmp_path / "c.pth", "weights")
    torch.save({"params": WEIGHTS, "model": WEIGHTS}, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"several dicts \(model, params\); choose one with --key"):
        formats.read(tmp_path / "c.pth")


def test_no_object_but_a_plain_namespace_is_passed_over(tmp_path):
    torch.save({"model": WEIGHTS, "args": Fraction(1, 3)}, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"fractions.*nothing was run"):
        formats.read(tmp_path / "c.pth")


@pytest.mark.parametrize("zipped", [False, True], ids=["stream", "zip"])
def test_other_precisions(zipped, tmp_path):
    path = tmp_path / "checkpoint.pth"
    exact = torch.randn(64, dtype=torch.float32)
    written = {
        "half": exact.half(),
        "bfloat16": exact.bfloat16(),
        "exact double": exact.double(),
        "double": exact.double() + 1e-12,
    }
    torch.save(written, path, _use_new_zipfile_serialization=zipped)
    result = formats.read(path)
    assert_same(result.state, {name: tensor.float() for name, tensor in written.items()})
    assert all(array.dtype == np.float32 for array in result.state.values())
    assert result.notes == ("float64 rounded to float32: 'double'",)


def test_safetensors(tmp_path):
    path = tmp_path / "checkpoint.pth"  # recognised by content
    arrays: dict[str, np.ndarray] = {
        "module.a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "module.b": np.array([[0.1]], np.float16),
    }
    safetensors.numpy.save_file(arrays, path, {"blocks": "2"})
    result = formats.read(path)
    assert result.metadata == {"blocks": "2"}
    np.testing.assert_array_equal(result.state["a"], arrays["module.a"])
    assert result.state["b"] == np.float32(np.float16(0.1))


def test_safetensors_of_bfloat16(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    header = {"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    path.write_bytes(hostile.safetensors(header, struct.pack("<2H", 0x3FC0, 0xC000)))
    assert formats.read_state_dict(path)["a"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("mapped", [False, True])
def test_torch_reads_what_we_write(mapped, tmp_path):
    path = tmp_path / "written.pth"
    ours = {name: tensor.detach().float().numpy() for name, tensor in state().items()}
    formats.write_state_dict(ours, path)
    theirs = torch.load(path, weights_only=True, mmap=mapped)
    assert isinstance(theirs, OrderedDict)
    assert_same(ours, theirs)
    assert_same(formats.read_state_dict(path), theirs)
    first = path.read_bytes()
    formats.write_state_dict(ours, path)
    assert path.read_bytes() == first
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "written.pth"
    path.write_bytes(b"old")
    with pytest.raises(ValueError):
        formats.write_state_dict({"a": np.array("text")}, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no tensors"),
        ({"model": {}, "params": {}}, "several dicts"),
        ({"model": {"model": {"model": {"model": {"a": torch.ones(1)}}}}}, "too deep"),
        ({"a": torch.ones(1), "epoch": 3}, "'epoch'"),
        ([torch.ones(1)], "list"),
        (torch.ones(1), "Tensor"),
        ({"a": torch.ones(1), "module.a": torch.ones(1)}, "both with and without"),
        ({"a": torch.ones(1, dtype=torch.complex64)}, "ComplexFloatStorage"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True], ids=["stream", "zip"])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code:UserWarning")
def test_what_is_no_state_dict_is_refused(content, message, zipped, tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=message):
        formats.read(path)


ONE = {"archive/data/0": struct.pack("<f", 1)}
PICKLE = hostile.state_dict(a=hostile.tensor((1,), (1,)))


def test_the_hand_made_zip_is_sound(tmp_path):
    """So that the refusals below have their own reasons."""
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(hostile.zipped(PICKLE, ONE))
    assert formats.read_state_dict(path) == {"a": np.ones(1, np.float32)}


def _encrypted(data: bytes) -> bytes:
    return data.replace(b"PK\1\2\x14\x03\x14\x00\x00\x00", b"PK\1\2\x14\x03\x14\x00\x01\x00")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (hostile.zipped(PICKLE, ONE, zipfile.ZIP_DEFLATED), "compressed or encrypted"),
        (_encrypted(hostile.zipped(PICKLE, ONE)), "compressed or encrypted"),
        (hostile.zipped(PICKLE, ONE).replace(b"data/0", b"data/1"), "missing or of the wrong size"),
        (hostile.zipped(PICKLE, {"archive/data/0": b"12345"}), "missing or of the wrong size"),
        (hostile.zipped(PICKLE, ONE).replace(b"\0\0\x80?PK", b"\0\0\x81?PK"), "damaged"),
        (hostile.zipped(PICKLE, ONE | {"other/data.pkl": b""}), "without PyTorch's data.pkl"),
        (hostile.zipped(PICKLE, ONE | {"a/../../../etc/passwd": b""}).replace(b"archive/", b"archiv.."), "data.pkl"),
        (hostile.zipped(PICKLE, ONE | {"archive/byteorder": b"big"}), "big-endian"),
        (hostile.zipped(PICKLE, ONE | {"archive/data/1": b""}).replace(b"data/1", b"data/0"), "two members"),
        (hostile.zipped(hostile.state_dict(a=hostile.tensor((1,), (1,), key="../0")), ONE), "missing"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x89PNG", "neither"),
        (b"", "empty"),
    ],
)
def test_odd_files_are_refused(data, message, tmp_path):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        formats.read(path)


def test_limits(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(hostile.zipped(PICKLE, ONE))
    monkeypatch.setattr(formats, "MAX_MEMBERS", 1)
    with pytest.raises(InputError, match="more than 1 members"):
        formats.read(path)
    monkeypatch.setattr(formats, "MAX_MEMBERS", 2)
    assert formats.read_state_dict(path) == {"a": np.ones(1, np.float32)}
    monkeypatch.setattr(pickles, "MAX_OPERATIONS", 10)
    with pytest.raises(InputError, match="more than 10 operations"):
        formats.read(path)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.pth"):
        with pytest.raises(InputError, match="cannot be read"):
            formats.read(path)
