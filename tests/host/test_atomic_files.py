"""New files and folders have the user's permissions, and no thread is ever without the user's mask."""

import os
import stat

import numpy as np
import pytest

from smnet_jax.checkpoints import weights
from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing
from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet


@pytest.fixture
def mask():
    """Another mask than the one this process began with: it counts when a file is made."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_files_and_folders_have_the_users_permissions_and_the_mask_stays(mask, tmp_path, monkeypatch):
    params = initialise(SMNet(width=4, blocks=1), 0)["params"]

    def touched(_):
        raise AssertionError("the mask belongs to every thread")

    with monkeypatch.context() as patch:
        patch.setattr(os, "umask", touched)
        with replacing(tmp_path / "notes.txt") as temporary:
            assert temporary.suffix == ".txt" and temporary.parent == tmp_path
            temporary.write_text("x")
        weights.save(tmp_path / "net", Architecture("lol", 4, 1), params)
    assert mode(tmp_path / "notes.txt") == 0o640
    assert mode(tmp_path / "net") == 0o750
    assert {mode(path) for path in (tmp_path / "net").iterdir()} == {0o640}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "notes.txt"]


def test_a_name_that_is_taken_is_left_alone(tmp_path, monkeypatch):
    names = iter(["taken", "taken", "free"])
    monkeypatch.setattr("smnet_jax.host.atomic_files.secrets.token_hex", lambda _: next(names))
    (tmp_path / ".a.taken.txt").write_text("somebody's")
    with replacing(tmp_path / "a.txt") as temporary:
        assert temporary.name == ".a.free.txt"
    assert (tmp_path / ".a.taken.txt").read_text() == "somebody's"


def test_nothing_is_left_of_a_failed_write(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.npy") as temporary:
        np.save(temporary, np.zeros(3))
        raise RuntimeError
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), replacing(tmp_path / "file" / "a.txt"):
        pass
