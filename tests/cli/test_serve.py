"""`smnet serve` as a user starts and ends it."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from PIL import Image

import smnet_jax
from smnet_jax.checkpoints.weights import DEFAULT
from smnet_jax.cli import main
from smnet_jax.cli.enhance import samples
from tests.conftest import REPO

pytest.importorskip("starlette", reason="starlette is not installed (extra serve)")
pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra serve)")


def test_it_says_where_it_is_answers_there_and_ends_on_ctrl_c(tmp_path):
    arguments = ["serve", "--port", "0"]
    command = [sys.executable, "-m", "smnet_jax.cli", *arguments]
    with subprocess.Popen(
        command,
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("smnet: photos are brightened at http://127.0.0.1:"), process.communicate()
            address = line.split()[5]
            with urllib.request.urlopen(address, timeout=30) as page:
                assert b"<!doctype html>" in page.read()
            with urllib.request.urlopen(f"{address}healthz", timeout=30) as answer:
                assert json.load(answer)["weights"] == DEFAULT
            with Image.open(samples() / "chelsea.png") as image:
                image.resize((64, 48)).save(content := io.BytesIO(), "PNG")
            photo = content.getvalue()
            post = urllib.request.Request(
                f"{address}enhance?strength=0.5&exposure=0.5&format=jpg", photo, method="POST"
            )
            with urllib.request.urlopen(post, timeout=300) as answer:
                result = answer.read()
            assert result == smnet_jax.enhance_bytes(photo, strength=0.5, exposure=0.5, format="jpg")
            assert list(tmp_path.iterdir()) == []  # nothing of the photo was put on disk
        finally:
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "{taken}"], "cannot listen there"),
        (["--port", "70000"], "--port 70000"),
        (["--host", "no such host"], "--host no such host"),
        (["--max-megapixels", "0"], "must be positive"),
        (["--port", "0", "--weights", "missing.pth"], "missing.pth"),
        (["--max-memory", "much"], "--max-memory much"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, says, capsys, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", os.environ["JAX_COMPILATION_CACHE_DIR"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", *(a.format(taken=port) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_without_the_extra_the_remedy_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert main(["serve"]) == 2
    assert "pip install 'smnet-jax[serve]'" in capsys.readouterr().err
