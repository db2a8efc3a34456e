"""The exported default against the model, in ONNX Runtime, at several sizes."""

import numpy as np
import pytest

import smnet_jax
from smnet_jax import cli

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `export`")
pytest.importorskip("onnx", reason="needs the extra `export`")


def test_same_pixels(tmp_path):
    assert cli.main(["export", "photo", str(tmp_path / "photo.onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "photo.onnx", providers=["CPUExecutionProvider"])
    model, variables = smnet_jax.load("photo")
    for shape in ((2, 24, 40), (1, 131, 210)):
        low = np.random.default_rng(0).uniform(0, 1, (*shape, 3)).astype(np.float32) ** 3
        (out,) = session.run(None, {"low": low})
        # exp and log differ by a few roundings between runtimes, and rates up to 2^6 multiply them.
        np.testing.assert_allclose(out, np.asarray(model.apply(variables, low)), atol=5e-5)


def test_the_oldest_opset_gives_the_same_pixels(tmp_path):
    for opset in ("17", "23"):
        assert cli.main(["export", "photo", str(tmp_path / f"{opset}.onnx"), "--opset", opset]) == 0
    low = np.random.default_rng(0).uniform(0, 1, (1, 24, 40, 3)).astype(np.float32)
    old, new = (
        onnxruntime.InferenceSession(tmp_path / f"{opset}.onnx", providers=["CPUExecutionProvider"]).run(
            None, {"low": low}
        )
        for opset in (17, 23)
    )
    np.testing.assert_allclose(old[0], new[0], rtol=0, atol=5e-6)


def test_only_onnx(tmp_path, capsys):
    assert cli.main(["export", "photo", str(tmp_path / "photo.stablehlo")]) == 2
    assert "onnx only" in capsys.readouterr().err
