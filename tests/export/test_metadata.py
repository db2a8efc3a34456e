"""The description beside an exported file: enough to use it without this package."""

import hashlib
from pathlib import Path

import pytest

from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.export import metadata

ABOUT = {"source": {"name": "lol.pth"}}


def test_it_lies_beside_the_file():
    assert metadata.metadata_path(Path("out/net.onnx")) == Path("out/net.onnx.json")


@pytest.mark.parametrize("kind", list(metadata.PROGRAM))
def test_it_says_what_the_file_is_and_how_pictures_are_prepared(kind):
    said = metadata.describe(kind, b"content", Architecture("fivek", 8, 2), ABOUT, {"onnx": "1.19"})
    assert said["sha256"] == hashlib.sha256(b"content").hexdigest() and said["bytes"] == 7
    assert (said["variant"], said["width"], said["blocks"]) == ("fivek", 8, 2)
    assert said["runs_in"] == metadata.PROGRAM[kind] and said["weights"] == ABOUT
    assert ("multiples of 4" in said["preprocessing"]) == (kind == ".stablehlo")
    assert said["written_by"]["onnx"] == "1.19"
