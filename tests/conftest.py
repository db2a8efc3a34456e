"""What every test shares: the compile cache, the fixtures' folders, and material that may be absent."""

import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before JAX is imported: eight fake CPU devices would slow every other test, so the tests of sharding start
# processes of their own; the cache, which all checkouts share, makes a second run of the suite several times faster.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "smnet-jax-suite"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Compiling is most of the suite, and LLVM's optimisation more than half of that. What XLA does to a program stays, and
# results move by rounding, which no bound may notice. The published network's features are compared as users compile
# them (`OPTIMISED`, below), and so is what computes for longer than it compiles; `make test-avx2` does it everywhere.
# Processes that tests start inherit all this.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Three quarters of the rest is XLA's newer way to generate code for fusions, which sets MLIR up for each of them. The
# option has gone from jaxlib 0.12, where an unknown one would end the process.
if importlib.metadata.version("jaxlib").startswith("0.10.") and os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1":
    os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}".strip()
# As the commands bound it (`compile_cache`): a folder must not be used with a bound and without.
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2 << 30))

# The TPU compiler, where `make test` found one: for this process and none that it starts.
if sys.version_info[:2] == (3, 11):  # it is of the release that goes with that Python's jax
    sys.path.append(str(Path(__file__).parents[1] / "build" / "libtpu"))

import jax
import numpy as np
import pytest
from jax._src import compiler

from smnet_jax.host import allocator, huge_pages
from smnet_jax.network.cpu import winograd
from tests.support.golden_case import CASES, GoldenCase

OLDER_FUSIONS = "--xla_cpu_use_fusion_emitters=false" in os.environ.get("XLA_FLAGS", "")
REPO = Path(__file__).parents[1]
SHARED = REPO.parent / "shared"


NEEDS_TORCH = re.compile(
    r"^\s*(import torch|from torch|from tests\.support import .*(nonsmooth|torch_loss))"
    r"|^from smnet_jax\.verification\.torch_model import|\b(torch_stages|divergence)\b",
    re.M,
)


class WithoutTorch(pytest.Module):
    """A file of tests that compare with PyTorch, where there is none."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        pytest.skip("compares with PyTorch, which is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip files that need PyTorch as a whole: a newer Python is tested without it (see the Makefile)."""
    if importlib.util.find_spec("torch") is None and NEEDS_TORCH.search(module_path.read_text(encoding="utf-8")):
        return WithoutTorch.from_parent(parent, path=module_path)
    return None


# Half a minute of CPU and more each: files that begin late would leave the other process without work at the end.
LONG = (
    "training/test_parallel", "training/test_step", "training/test_nonsmooth", "training/test_loop",
    "training/test_double", "training/test_resident", "training/test_hosts", "metrics/test_every_metric",
    "network/test_published", "network/test_implementations", "network/cpu/test_winograd", "aot/test_tpu",
    "bench/test_step", "verification/test_stages", "metrics/test_extents",
    "test_vgg16",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    place = {REPO / "tests" / f"{name}.py": number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(LONG)))


@pytest.fixture(scope="module")
def optimised(request: pytest.FixtureRequest) -> bool:
    """Whether programs are compiled as users have them: in files that say `OPTIMISED = True`."""
    return getattr(request.module, "OPTIMISED", False)


@pytest.fixture(autouse=True, scope="module")
def _compiled_as_users_have_it(optimised: bool) -> Iterator[None]:
    if not optimised:
        yield
        return
    options = compiler.get_compile_options

    def with_newer_fusions(*arguments: Any, **named: Any) -> Any:
        """XLA reads its flags once for a process, but takes others with a program: JAX has no public place for all."""
        found = options(*arguments, **named)
        if named["backend"].platform == "cpu":
            found.env_option_overrides = [*found.env_option_overrides, ("xla_cpu_use_fusion_emitters", True)]
        return found

    with pytest.MonkeyPatch.context() as patch:
        if OLDER_FUSIONS:
            patch.setattr(compiler, "get_compile_options", with_newer_fusions)
        jax.config.update("jax_disable_most_optimizations", False)
        yield
        jax.config.update("jax_disable_most_optimizations", os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1")


@pytest.fixture(autouse=True)
def _the_suite_is_not_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is called here must not change how this process allocates: for good, and for every other test."""
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: False)
    monkeypatch.setattr(huge_pages, "ask", lambda: None)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The small files that ship with the tests."""
    return REPO / "tests" / "fixtures"


def _shared(folder: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip(f"needs {path}, the project's shared material, which is not in the repository")
    return path


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers from the published implementation."""
    return _shared("golden")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real paired photographs."""
    return _shared("data")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture(params=CASES)
def golden_case(request: pytest.FixtureRequest) -> GoldenCase:
    """Width 8 ships with the tests; width 16 is part of the shared material."""
    variant, width = request.param
    folder = request.getfixturevalue("fixtures") / "golden" if width == 8 else request.getfixturevalue("golden")
    return GoldenCase(folder, variant, width)


@pytest.fixture
def winograd_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The implementation for CPUs computes every layer by fewer products, however small.

    What `tiles` keeps of a model is forgotten before and after: it would be the other program's.
    """
    from smnet_jax.enhancement import tiles

    monkeypatch.setattr(winograd, "WORTH", 0)
    monkeypatch.setattr(winograd, "FEW_INPUTS", 0)
    monkeypatch.setattr(winograd, "FEW_OUTPUTS", 0)
    kept = (tiles.programs_for, tiles.whole_operations)
    for cache in kept:
        cache.cache_clear()
    yield
    for cache in kept:
        cache.cache_clear()
