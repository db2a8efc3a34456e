"""What `pip install` would leave out without a word."""

import tomllib

from tests.conftest import REPO


def test_every_package_is_installed():
    listed = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(REPO) for path in (REPO / "smnet_jax").rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} | {"smnet_jax.configs"} == set(listed)


def test_every_data_file_is_installed():
    settings = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = REPO / "smnet_jax"
    installed = {path for pattern in settings["package-data"]["smnet_jax"] for path in package.glob(pattern)}
    present = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert present <= installed
