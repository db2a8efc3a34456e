"""README and guide: every command is run, or parsed where running it takes long or needs hardware; so is the Python."""

import argparse
import importlib
import re
import shlex
import shutil
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smnet_jax.checkpoints.weights import BUNDLED
from smnet_jax.cli import COMMANDS, main
from tests.conftest import REPO

GUIDE = sorted((REPO / "docs/guide").glob("*.md"))
DOCUMENTS = [REPO / "README.md", REPO / "CONTRIBUTING.md", *GUIDE]
EXTRAS = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
ONLY_PARSED = ("evaluate", "verify", "bench", "serve")  # tested where they live; here they would take minutes
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def place(tmp_path: Path, fixtures: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """A folder with everything that the pages name, tiny."""
    dark = Image.fromarray(rng.integers(0, 60, (16, 24, 3), dtype=np.uint8))
    for name in ("dark.jpg", "photos/a.jpg", "photos/below/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        dark.save(tmp_path / name)
    shutil.copy(fixtures / "golden/lol_dim8.pth", tmp_path / "SMNet_LOL.pth")
    shutil.copytree(BUNDLED / "lol-small", tmp_path / "runs/mine/weights")
    assert main(["convert", str(tmp_path / "SMNet_LOL.pth"), str(tmp_path / "weights/lol")]) == 0
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_commands_and_python(page, place, monkeypatch):
    pytest.importorskip("tyro", reason="needs the extra train")
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    for kind, text in blocks:
        if kind == "console":
            for line in text.splitlines():
                if line.startswith("$ "):
                    _run(line[2:], monkeypatch)
        elif kind == "python":
            exec(compile(text, str(page), "exec"), names)


def _run(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command, comment = [*re.split(r"\s+# ", line, maxsplit=1), ""][:2]
    words = shlex.split(command)
    words = words[: next((i for i, word in enumerate(words) if word in "<>"), None)]
    match words:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", (REPO / "Makefile").read_text(), re.M), line
        case ["pip", "install", *what]:
            extras = [name for word in what if word.startswith(".[") for name in word[2:-1].split(",")]
            assert set(extras) <= EXTRAS.keys(), line
        case ["python", "-c", code]:
            exec(code, {})
        case ["smnet", "train", *rest]:
            _train(rest, monkeypatch)
        case ["smnet", name, *rest] if name in COMMANDS:
            if name in ONLY_PARSED or "needs" in comment or {"--max-memory", "--watch", "-"} & {*rest}:
                parser = argparse.ArgumentParser(exit_on_error=False)
                importlib.import_module(f"smnet_jax.cli.{name}").add_arguments(parser)
                parser.parse_args(rest)
            else:
                assert main([name, *rest]) == 0, line
        case ["docker" | "huggingface-cli", *_] if "needs" in comment:
            pass
        case ["python", example, *_] if "needs" in comment:
            assert (REPO / example).is_file(), line
        case _:
            raise AssertionError(f"{line}: what is this?")


def _train(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole command, but for the training itself."""
    from smnet_jax.training import config, loop

    def instead(settings: config.Config, workdir: Path, resume_with: Collection[str]) -> Any:
        config.check(settings)
        return argparse.Namespace(finished=True, signal=0)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train", instead)
        try:
            assert main(["train", *words]) == 0
        except SystemExit as end:  # --help
            assert end.code == 0


def test_the_table_of_extras_is_complete():
    rows = re.findall(r"^\| `(\w+)` \|", (REPO / "docs/guide/install.md").read_text(), re.M)
    assert set(rows) == EXTRAS.keys()


def test_nobody_is_told_to_install_somebody_elses_package():
    """PyPI's smnet is not ours."""
    wrong = re.compile(r"(?:pip3? install|pipx (?:run|install)|uvx|uv (?:pip install|add))(?: -\S+)* '?smnet(?![\w-])")
    assert wrong.search("pip install -U smnet") and not wrong.search("pip install 'smnet-jax[train]'")
    texts = [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "smnet_jax").rglob("*.py")]
    assert [path for path in texts if wrong.search(path.read_text(encoding="utf-8"))] == []


def test_pages_are_made_without_a_warning_or_a_dead_link(tmp_path):
    pytest.importorskip("pdoc", reason="needs the extra docs")
    from tools import make_docs

    make_docs.main(tmp_path / "docs")
    assert 'id="load"' in (tmp_path / "docs/api/smnet_jax.html").read_text()
    assert 'id="psnr"' in (tmp_path / "docs/api/smnet_jax/metrics.html").read_text()
    assert 'href="install.html"' in (tmp_path / "docs/docs/guide/README.html").read_text()
