"""The example that uses an exported file runs without smnet_jax and gives the pixels that smnet_jax gives."""

import subprocess
import sys

import numpy as np
from PIL import Image

from smnet_jax import enhance
from smnet_jax.cli import main
from tests.conftest import REPO


def test_example(fixtures, tmp_path, rng):
    weights = str(fixtures / "golden/lol_dim8.pth")
    dark = Image.fromarray(rng.integers(0, 90, (22, 37, 3), np.uint8))
    dark.save(tmp_path / "dark.png")
    assert main(["export", weights, str(tmp_path / "net.onnx")]) == 0
    code = "import sys, runpy; sys.modules['smnet_jax'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    wrapped = code.replace("runpy.run_path(sys.argv[1]", "script = sys.argv.pop(1); runpy.run_path(script")
    script = REPO / "examples/run_exported.py"
    command = [sys.executable, "-c", wrapped, str(script), "net.onnx", "dark.png", "bright.png"]
    subprocess.run(command, cwd=tmp_path, check=True)
    got = np.asarray(Image.open(tmp_path / "bright.png")).astype(int)
    expected = np.asarray(enhance(dark, weights)).astype(int)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1 and np.mean(got != expected) < 1e-3  # a value may lie on .5


def test_it_is_short():
    lines = (REPO / "examples/run_exported.py").read_text().split('"""')[2].splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 20
