"""`smnet train` as a command: help, mistakes, and a run from end to end without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

from smnet_jax.cli import main
from smnet_jax.host import compile_cache
from smnet_jax.training import loop

REPO = Path(__file__).parents[2]


def exit_code(*words: str) -> int:
    try:
        return main(["train", *words])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_help_lists_the_configs(capsys):
    assert exit_code("--help") == 0
    assert "lol_small" in capsys.readouterr().out


def test_help_of_a_config_explains_every_setting(capsys):
    assert exit_code("smoke", "--help") == 0
    said = capsys.readouterr().out
    for name in ("--learning-rate", "--batch", "--on-nan", "--devices", "--workdir"):
        assert name in said
    assert "dummy:N" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["smok"], "did you mean smoke"),
        (["smoke", "--workdir", "w", "--learning-rat", "1"], "--learning-rate"),
        (["smoke", "--workdir", "w", "--batch", "many"], "--batch"),
        (["smoke", "--workdir", "w", "--parallel", "threads"], "jit"),
        (["smoke"], "--workdir"),
        (["smoke", "--workdir", "w", "--crop", "30"], "crop 30"),
        (["smoke", "--workdir", "w", "--profile", "5"], "START:STOP"),
        (["lol_small", "--workdir", "w", "--steps", "5"], "--steps: would change nothing"),
        (["lol_small", "--workdir=w", "--batch=2"], "--batch: would change nothing"),
        (["smoke", "--workdir", "w", "--decay_epochs", "2"], "--decay-epochs: would change nothing"),
        (["smoke", "--workdir", "w", "--coordinator", "auto", "--processes", "2"], "leave --processes"),
    ],
)
def test_mistakes_end_with_code_2_and_the_remedy(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert exit_code(*words) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_compiled_programs_are_kept_where_the_environment_does_not_say_otherwise(monkeypatch, tmp_path):
    used: list[Path | None] = []
    monkeypatch.setattr(compile_cache, "use", used.append)
    monkeypatch.setattr(loop, "train", lambda *_: loop.Outcome(1, True, {}, 0))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert exit_code("smoke", "--workdir", str(tmp_path)) == 0 and not used
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    assert exit_code("smoke", "--workdir", str(tmp_path)) == 0 and used == [compile_cache.default_folder()]


def test_train_py_runs_the_smoke_config_without_a_warning(tmp_path):
    options = ["--blocks", "1", "--crop", "12", "--steps", "4", "--evaluate-pairs", "1"]
    process = subprocess.run(
        [sys.executable, "-W", "error", "train.py", "smoke", "--workdir", str(tmp_path / "run"), *options],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "run" / "weights" / "params.safetensors").exists()
    assert "Warning" not in process.stderr
