"""`smnet bench tpu`: real compilations of tiny programs where libtpu is installed, and what it refuses."""

import json

import jax
import jax.numpy as jnp
import pytest

from smnet_jax import SMNet
from smnet_jax.aot import topology
from smnet_jax.cli import main

OPTIMISED = True  # what the TPU compiler says of a program

TINY = ["--config", "smoke", "--width", "4", "--blocks", "1", "--crop", "16", "--size", "16x16"]


@pytest.fixture
def compiler(monkeypatch):
    if reason := topology.missing():
        pytest.skip(reason)
    for name in ("TPU_SKIP_MDS_QUERY", "TPU_ACCELERATOR_TYPE", "TPU_WORKER_HOSTNAMES", "ALLOW_MULTIPLE_LIBTPU_LOAD"):
        monkeypatch.delenv(name, raising=False)


def test_a_step_compiles_for_a_real_topology(compiler, tmp_path, capsys):
    numbers = tmp_path / "tpu.json"
    outputs = ["--json", str(numbers), "--text", str(tmp_path)]
    assert main(["bench", "tpu", "--topology", "v5e:2x2", "--batch-per-chip", "10", *TINY, *outputs]) == 0
    found = json.loads(numbers.read_text())
    assert (found["chips"], found["devices_a_chip"]) == (4, 1)
    for kind in ("train", "infer"):
        program = found[kind]
        assert program["fits"] and program["temporary"] <= program["peak"] < program["hbm"] == 16 << 30
        assert program["cycles"] >= sum(f["cycles"] * f["runs"] for f in program["fusions"]) > 0
        assert program["seconds"] == pytest.approx(program["cycles"] / program["clock"])
        assert 0 < program["mfu"] < 1 and program["flops"] > 0
        assert program["cycles_of_hbm"] > 0 and program["hbm_bytes"] > 0
        assert (tmp_path / f"{kind}.txt").read_text().startswith("HloModule")
    assert found["train"]["images_a_chip"] == 10
    # Gradients of each parameter are summed over the four chips once, although there are two microbatches.
    params = jax.eval_shape(SMNet(width=4, blocks=1).init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    parameters = sum(4 * x.size for x in jax.tree.leaves(params))
    summed = {(c["kind"], c["group"]): c["bytes"] for c in found["train"]["collectives"]}
    assert parameters <= summed["all-reduce", 4] <= parameters + 100
    assert any("smnet_jax/" in fusion["source"] for fusion in found["train"]["fusions"])
    said = capsys.readouterr().out
    assert "batch 40 in 2 microbatches" in said and "nothing measured" in said
    assert "MFU" in said and "all-reduce" in said


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--topology", "v9:2x2"], "must be v4, v5e, v5p, v6e"),
        (["--topology", "v5e:32x32"], "1024 chips"),
        (["--topology", "v5e:3x3"], "compiler refuses"),
        (["--batch-per-chip", "0"], "at least 1"),
        (["--config", "lal"], "there are fivek, lol"),
        (["--size", "10x10"], "multiples of 4"),
        (["--rows", "3"], "rows 3"),
        (["--strips", "8", "--size", "600x200"], "200 rows cannot be cut into 8 strips"),
        (["--strips", "-1"], "-1 strips"),
    ],
)
def test_what_cannot_be_is_refused(compiler, capsys, options, reason):
    assert main(["bench", "tpu", "--only", "infer", *options]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.slow
def test_pictures_in_strips_compile_without_communication(compiler, tmp_path, capsys):
    numbers = tmp_path / "tpu.json"
    options = ["--only", "infer", "--pictures-per-chip", "4", *TINY, "--size", "16x120", "--json", str(numbers)]
    assert main(["bench", "tpu", "--topology", "v5e:2x2", *options]) == 0
    found = json.loads(numbers.read_text())["infer"]
    assert found["strips"] == 2
    assert found["collectives"] == [] and found["cycles"] > 0


def test_without_the_compiler_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(topology.importlib.util, "find_spec", lambda name: None)
    assert main(["bench", "tpu"]) == 2
    assert "pip install 'smnet-jax[tpu]'" in capsys.readouterr().err
