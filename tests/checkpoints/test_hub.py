"""Weights from a hub, tried on a small one of our own on this machine, and the folder to upload to one."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml

from smnet_jax.checkpoints import hub, trees, weights
from smnet_jax.cli import main
from smnet_jax.errors import InputError

pytest.importorskip("huggingface_hub", reason="needs the extra hub")
from huggingface_hub import constants

NAME, COMMIT = "somebody/lights", "a" * 40


class Hub:
    """Answers /OWNER/NAME/resolve/REVISION/FILE as the hub does, from `files`; `asked` lists what was downloaded."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.said_size: dict[str, int] = {}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            owner, name, _, revision, file = [*self.path.strip("/").split("/"), "", "", "", ""][:5]
            problem = (
                "RepoNotFound" if f"{owner}/{name}" != NAME
                else "RevisionNotFound" if revision not in ("main", "v1", COMMIT)
                else "EntryNotFound" if file not in state.files
                else ""
            )  # fmt: skip
            body = state.files.get(file, b"")
            self.send_response(404 if problem else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            if problem:
                self.send_header("X-Error-Code", problem)
                body = b""
            else:
                digest = hashlib.sha256(body).hexdigest()
                self.send_header("ETag", f'"{digest if file.endswith(".safetensors") else digest[:40]}"')
            self.send_header("Content-Length", str(len(body) if with_body else state.said_size.get(file, len(body))))
            self.end_headers()
            if with_body:
                if not problem:
                    state.asked.append(file)
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def upload(fake: Hub, fixtures: Path, tmp_path: Path) -> Path:
    """A folder as `smnet convert --to-hub` writes it, and as the fake hub has it."""
    folder = tmp_path / "upload"
    assert main(["convert", str(fixtures / "golden/lol_dim8.pth"), str(folder), "--to-hub"]) == 0
    fake.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return folder


def _same(a: weights.Weights, b: weights.Weights) -> bool:
    ours, theirs = trees.flatten(a.params), trees.flatten(b.params)
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_folder_there_and_back_then_offline(fake, upload, monkeypatch):
    for source in (f"hf://{NAME}", f"hf://{NAME}@v1", f"hf://{NAME}@{COMMIT}"):
        assert _same(weights.read(source), weights.read(upload))
    assert sorted(fake.asked) == ["params.safetensors", "smnet.json"]  # once: later revisions are the same commit
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert _same(weights.read(f"hf://{NAME}"), weights.read(upload))
    with pytest.raises(InputError, match=r"hf://somebody/other: .*not in the cache"):
        weights.read("hf://somebody/other")


def test_a_single_file(fake, upload, tmp_path):
    assert main(["convert", "--to-torch", str(upload), str(tmp_path / "model.safetensors")]) == 0
    fake.files = {"model.safetensors": (tmp_path / "model.safetensors").read_bytes(), "model.pth": b"never"}
    assert _same(weights.read(f"hf://{NAME}"), weights.read(upload))
    assert fake.asked == ["model.safetensors"]


def test_pickles_are_not_fetched(fake):
    fake.files = {"pytorch_model.bin": b"x", "model.pth": b"x"}
    with pytest.raises(InputError, match="pickled files are not fetched"):
        weights.read(f"hf://{NAME}")
    assert fake.asked == []


def test_other_bytes_than_the_description_says(fake, upload):
    data = bytearray(fake.files["params.safetensors"])
    data[-1] ^= 1
    fake.files["params.safetensors"] = bytes(data)
    with pytest.raises(InputError, match="sha256"):
        weights.read(f"hf://{NAME}")


def test_a_cached_file_that_changed(fake, upload, tmp_path):
    weights.read(f"hf://{NAME}")
    (blob,) = (path for path in (tmp_path / "cache").rglob("blobs/*") if len(path.name) == 64)
    with blob.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    with pytest.raises(InputError, match="delete it and fetch it again"):
        weights.read(f"hf://{NAME}")


def test_a_file_too_large_is_not_fetched(fake, upload):
    fake.said_size["params.safetensors"] = hub.MAX_BYTES + 1
    with pytest.raises(
        InputError, match=rf"^hf://{NAME}: params.safetensors has 1024 MB, more than 1024; these are no weights$"
    ):
        weights.read(f"hf://{NAME}")
    assert fake.asked == ["smnet.json"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("hf://nobody/nothing", "no such repository, or it is private"),
        (f"hf://{NAME}@v2", "has no revision v2"),
        ("hf://one", "must be hf://OWNER/NAME"),
        ("hf://a/b/c", "must be hf://OWNER/NAME"),
        ("hf://a/../b@x y", "must be hf://OWNER/NAME"),
        ("hf://../..", "cannot be fetched"),
    ],
)
def test_a_name_that_leads_nowhere(fake, source, told):
    with pytest.raises(InputError, match=told):
        weights.read(source)


def test_the_card(upload, fixtures, capsys):
    _, front, text = (upload / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(front)
    assert (about["library_name"], about["pipeline_tag"]) == ("smnet-jax", "image-to-image")
    assert "| lol | 8 | 3 |" in text and weights.read(upload).about["sha256"] in text
    assert main(["convert", str(fixtures / "golden/lol_dim8.pth"), str(upload), "--to-hub"]) == 2
    assert "no edited card is lost" in capsys.readouterr().err
