"""A cache that a kill, a full disk or a user without a home left in an odd state costs nothing but itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smnet_jax.host import compile_cache

PROGRAM = """
import sys, jax, warnings
from smnet_jax.host import compile_cache
warnings.simplefilter("error")
compile_cache.use(sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
print(jax.jit(lambda x: x * 3 + 1)(2))
"""


def run(folder: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION_CACHE")}
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout == "7\n", done.stderr


def test_an_orphan_and_a_truncated_entry_do_not_stop_the_cache(tmp_path):
    (tmp_path / "jit__lambda-0000-cache").write_bytes(b"x")  # without its time of use
    run(tmp_path)
    written = [path for path in tmp_path.glob("*-cache") if "0000" not in path.name]
    assert written, "the orphan keeps new entries out"
    sizes = {path: path.stat().st_size for path in written}
    for path in written:
        path.write_bytes(path.read_bytes()[: sizes[path] // 2])
    run(tmp_path)  # a warning would be an error there
    assert {path: path.stat().st_size for path in written} == pytest.approx(sizes, abs=64)


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    assert compile_cache.default_folder() is None
