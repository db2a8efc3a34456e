"""A folder through Ray Data: two actors, a broken photo among whole ones, and a restart."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPO

pytest.importorskip("ray.data", reason="needs the extra ray")


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(REPO / "examples/enhance_with_ray.py"), *words, "--actors", "2", "--threads", "1"],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])},
    )


@pytest.mark.slow
def test_two_actors_a_broken_photo_and_a_restart(tmp_path, rng):
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "below").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010F] = "maker"
    for name in ("a.jpg", "b.png", "below/c.JPEG"):
        Image.fromarray(rng.integers(0, 60, (16, 24, 3), dtype=np.uint8)).save(photos / name, exif=exif)
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:40])
    (photos / "notes.txt").write_text("no photo")

    first = run(str(photos), str(out))
    assert first.returncode == 1, first.stderr
    assert "3 enhanced, 1 broken" in first.stdout
    (manifest,) = out.glob("manifest-*.jsonl")
    rows = {row["path"]: row for row in map(json.loads, manifest.read_text().splitlines())}
    assert {path: row["result"] for path, row in rows.items()} == {
        "a.jpg": "a.jpg", "b.png": "b.png", "below/c.JPEG": "below/c.JPEG", "broken.jpg": "",
    }  # fmt: skip
    assert rows["broken.jpg"]["error"].startswith("InputError: broken.jpg") and not rows["a.jpg"]["error"]
    with Image.open(photos / "a.jpg") as before, Image.open(out / "a.jpg") as after:
        assert np.asarray(after).mean() > 1.2 * np.asarray(before).mean()
        assert after.getexif()[0x010F] == "maker"

    written = (out / "a.jpg").stat().st_mtime_ns
    (photos / "broken.jpg").unlink()
    again = run(str(photos), str(out))
    assert again.returncode == 0 and "3 photos, 3 have a result" in again.stdout, again.stderr
    assert (out / "a.jpg").stat().st_mtime_ns == written
