"""`--watch` with an enhancer that copies: which files it takes, when, and how often."""

import argparse
import shutil
import time
from pathlib import Path

import pytest

from smnet_jax.cli import watching
from smnet_jax.errors import InputError


@pytest.fixture
def inbox(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in/deep").mkdir(parents=True)
    return tmp_path / "in"


def options(**changes) -> argparse.Namespace:
    plain = {"inputs": ["in"], "out": "out", "format": None, "suffix": "", "compare": False, "overwrite": False}
    return argparse.Namespace(**(plain | {"shard": None, "json": False} | changes))


def watched(monkeypatch, *looks, args=None, fail=()) -> list[str]:
    """What was enhanced, in order; before each pause one of `looks` is called, and Ctrl-C comes after the last."""
    done: list[str] = []
    coming = iter(looks)

    def pause(_seconds):
        look = next(coming, None)
        if look is None:
            raise KeyboardInterrupt
        look()

    def enhance(jobs):
        records = []
        for job in jobs:
            done.append(job.source.name)
            if job.source.name in fail:
                records.append({"error": "broken"})
                continue
            job.target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(job.source, job.target)
            records.append({"output": str(job.target)})
        return records

    monkeypatch.setattr(time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        watching.watch(args or options(), enhance)
    return done


def nothing() -> None:
    pass


def test_files_are_taken_when_whole_and_once(inbox, monkeypatch):
    (inbox / "a.jpg").write_bytes(b"whole")
    growing = inbox / "deep/b.png"
    looks = [lambda: growing.write_bytes(b"half"), lambda: growing.write_bytes(b"half and half"), nothing, nothing]
    assert watched(monkeypatch, *looks) == ["a.jpg", "b.png"]
    assert Path("out/deep/b.png").read_bytes() == b"half and half"
    assert watched(monkeypatch, nothing, nothing) == []  # a restart does nothing twice
    (inbox / ".c.jpg.part").write_bytes(b"whole")
    assert watched(monkeypatch, lambda: (inbox / ".c.jpg.part").rename(inbox / "c.jpg"), nothing, nothing) == ["c.jpg"]


def test_a_broken_picture_is_tried_again_only_when_it_changed(inbox, monkeypatch):
    (inbox / "a.jpg").write_bytes(b"broken")
    looks = [nothing, nothing, nothing, lambda: (inbox / "a.jpg").write_bytes(b"less broken"), nothing, nothing]
    assert watched(monkeypatch, *looks, fail=["a.jpg"]) == ["a.jpg", "a.jpg"]


def test_results_have_names_of_their_own(inbox, monkeypatch):
    for name in ("a.jpg", "a.png"):
        (inbox / name).write_bytes(b"x")
    watched(monkeypatch, nothing, nothing, args=options(format="jpg"))
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.jpg", "a_png.jpg"]


@pytest.mark.parametrize(
    "changes", [{"inputs": []}, {"inputs": ["nowhere"]}, {"out": "in"}, {"out": "."}, {"compare": True}]
)
def test_what_cannot_be_watched_is_refused(inbox, changes):
    with pytest.raises(InputError):
        watching.check(options(**changes))
    watching.check(options(out="in/bright"))
