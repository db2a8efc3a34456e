"""The files that the host of a repository reads, which cannot run here, against their schema and linter."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPO

WORKFLOWS = sorted((REPO / ".github/workflows").glob("*.yml"))


def _tool(name: str) -> Path:
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.skip(f"needs {name}, which make test installs where there is one for this system")
    return path


def test_workflows_fit_their_schema():
    check: list[str | Path] = [_tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *WORKFLOWS]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_workflows_run_targets_that_exist():
    targets = {line.partition(":")[0] for line in (REPO / "Makefile").read_text().splitlines() if ":" in line}
    commands = [
        step["run"]
        for path in WORKFLOWS
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job.get("steps", [])
        if step.get("run", "").startswith("make ")
    ]
    assert commands
    assert {command.split()[1] for command in commands} <= targets


def test_the_container_file_is_sound_and_not_root():
    done = subprocess.run([_tool("hadolint"), REPO / "Containerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    lines = (REPO / "Containerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")][-1] not in ("USER root", "USER 0")
