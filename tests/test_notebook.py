"""The guide's notebook, its cells as they are, in a kernel of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO

NOTEBOOK = REPO / "docs/guide/smnet.ipynb"


@pytest.mark.slow
def test_every_cell_runs(tmp_path):
    for needed in ("nbclient", "ipykernel", "tyro"):
        pytest.importorskip(needed, reason=f"needs {needed}, which make test installs")
    shutil.copy(NOTEBOOK, tmp_path)
    run = [sys.executable, "-c", "from nbclient.cli import main; main()", NOTEBOOK.name, "--inplace"]
    scripts = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"], "IPYTHONDIR": str(tmp_path / "ipython")}
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "runs/smoke/weights/smnet.json").is_file()  # a command in a cell fails without a sign
    outputs = [
        output
        for cell in json.loads((tmp_path / NOTEBOOK.name).read_text())["cells"]
        for output in cell.get("outputs", [])
    ]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_it_is_kept_without_outputs():
    assert all(not cell.get("outputs") for cell in json.loads(NOTEBOOK.read_text())["cells"])
