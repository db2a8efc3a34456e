"""What is installed: everything the package needs, nothing else, under the names that the documentation gives."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import BytesHeaderParser
from pathlib import Path

import pytest
import yaml

from smnet_jax.version import __version__
from tests.conftest import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())
BUILD = "from setuptools import build_meta; build_meta.build_sdist({0!r}); build_meta.build_wheel({0!r})"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel, built from a copy (setuptools leaves things behind) by the setuptools at hand."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    nothing_made = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in ("smnet_jax", "configs", "tests/fixtures"):
        shutil.copytree(REPO / folder, source / folder, ignore=nothing_made)
    (source / "tests/test_something.py").touch()
    for path in REPO.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, source)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD.format(str(dist))], cwd=source, check=True, capture_output=True
    )
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return sdist, wheel


def _package_files() -> set[str]:
    return {
        str(folder / path.relative_to(root))
        for root, folder in ((REPO / "smnet_jax", Path("smnet_jax")), (REPO / "configs", Path("smnet_jax/configs")))
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_package_is_installed():
    listed = PROJECT["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(REPO) for path in (REPO / "smnet_jax").rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} | {"smnet_jax.configs"} == set(listed)


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == _package_files()
    assert built[1].stat().st_size < 10e6


def test_the_sdist_builds_and_holds_no_tests(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {name for name in names if name.startswith("tests")} == set()
    assert _package_files() <= names | {name.replace("configs/", "smnet_jax/configs/") for name in names}
    assert {"pyproject.toml", "LICENSE", "CHANGELOG.md", "CITATION.cff"} <= names


def test_the_wheels_metadata(built):
    with zipfile.ZipFile(built[1]) as wheel:
        inside = f"smnet_jax-{__version__}.dist-info"
        metadata = BytesHeaderParser().parsebytes(wheel.read(f"{inside}/METADATA"))
        scripts = wheel.read(f"{inside}/entry_points.txt").decode()
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Python"]) == ("smnet-jax", __version__, ">=3.11")
    assert set(metadata.get_all("License-File", [])) == {"LICENSE", "NOTICE"}
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["project"]["optional-dependencies"])
    for script in ("smnet", "smnet-jax"):  # the second for pipx run and uvx
        assert f"{script} = smnet_jax.cli:main" in scripts


def test_as_a_module():
    for module in ("smnet_jax", "smnet_jax.cli"):
        said = subprocess.run([sys.executable, "-m", module, "--version"], check=True, capture_output=True, text=True)
        assert said.stdout == f"smnet-jax {__version__}\n"


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == __version__
