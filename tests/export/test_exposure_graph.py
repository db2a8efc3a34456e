"""The exported default against the model, in ONNX Runtime, at several sizes."""

import jax
import numpy as np
import pytest

import smnet_jax
from smnet_jax import cli
from smnet_jax.export import exposure_graph
from smnet_jax.exposure import GRID, ExposureNet, frame
from smnet_jax.exposure.picture import enhance, thumbnail
from smnet_jax.exposure.resampling import linear
from smnet_jax.exposure.tone import HALO
from tests.support import tolerances

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `export`")
pytest.importorskip("onnx", reason="needs the extra `export`")


def test_same_pixels(tmp_path):
    assert cli.main(["export", "photo", str(tmp_path / "photo.onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "photo.onnx", providers=["CPUExecutionProvider"])
    model, variables = smnet_jax.load("photo")
    for shape in ((2, 24, 40), (1, 131, 210)):
        low = np.random.default_rng(0).uniform(0, 1, (*shape, 3)).astype(np.float32) ** 3
        (out,) = session.run(None, {"low": low})
        bound = tolerances.exposed(model, variables, low)
        np.testing.assert_allclose(out, np.asarray(jax.jit(model.apply)(variables, low)), rtol=0, atol=bound)


@pytest.mark.parametrize("opset", [17, 23])
def test_a_frame_of_its_own_for_each_picture(opset):
    """None, a white one with rings, bars of black, and a black one with specks; it stays, and changes nothing."""
    model, variables = smnet_jax.load("photo")
    assert isinstance(model, ExposureNet)
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 0.3, (4, 70, 90, 3)).astype(np.float32) ** 2
    low[1] = np.pad(low[1, 8:-6, 5:-9], ((8, 6), (5, 9), (0, 0)), constant_values=1)
    low[1, 3, 20:22] = low[1, -2, 4] = 0.92
    low[2, :20] = low[2, -10:] = 0
    speckled = np.where(rng.uniform(size=(70, 90, 1)) < 0.1, 3 / 255, 0).astype(np.float32)
    speckled[0, 0] = 0
    low[3] = np.where(np.pad(np.ones((40, 60, 3), bool), ((10, 20), (15, 15), (0, 0))), low[3], speckled)
    graph = exposure_graph.to_onnx(model, variables["params"], opset=opset)
    (out,) = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"low": low})
    framed = 0
    for picture, result in zip(low, out, strict=True):
        within = frame.inside(picture)
        bound = tolerances.exposed(model, variables, picture[within][None])
        np.testing.assert_allclose(result, enhance(model, variables, picture), rtol=0, atol=bound)
        framed += within != (slice(0, 70), slice(0, 90))
    assert framed == 3
    np.testing.assert_array_equal(out[1, :8], low[1, :8])


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
    model, variables = smnet_jax.load("photo")
    bound = tolerances.exposed(model, variables, low)
    np.testing.assert_allclose(old[0], new[0], rtol=0, atol=bound)


def test_only_onnx(tmp_path, capsys):
    assert cli.main(["export", "photo", str(tmp_path / "photo.stablehlo")]) == 2
    assert "onnx only" in capsys.readouterr().err


def test_look_and_render_apart_give_the_same_pixels():
    """As browsers compute it: curves from the thumbnail, then the photo in strips."""
    model, variables = smnet_jax.load("photo")
    look, render = (
        onnxruntime.InferenceSession(part, providers=["CPUExecutionProvider"])
        for part in exposure_graph.to_onnx_parts(model, variables["params"])
    )
    height, width = 131, 90
    low = 0.1 * np.random.default_rng(1).uniform(0, 1, (height, width, 3)).astype(np.float32)  # noise is smoothed here
    found = dict(zip(("rate", "grid", "saturation"), look.run(None, {"thumbnail": thumbnail(low)[None]}), strict=True))
    rows, columns = linear(GRID, height), linear(GRID, width)
    strips = []
    for top in range(0, height, 50):
        first, last = max(0, top - HALO), min(height, top + 50 + HALO)
        part = {"low": low[None, first:last], "rows": rows[first:last], "columns": columns}
        strips.append(render.run(None, {**found, **part})[0][:, top - first :][:, :50])
    whole = np.asarray(jax.jit(model.apply)(variables, low[None]))
    assert np.abs(whole - low).max() > 0.1
    bound = tolerances.exposed(model, variables, low[None])
    np.testing.assert_allclose(np.concatenate(strips, axis=1), whole, rtol=0, atol=bound)
