import contextlib
import platform
import subprocess
import sys

import pytest

from smnet_jax import cli
from smnet_jax.host import huge_pages

ask = huge_pages.ask  # the suite puts nothing in its place: conftest.py
GLIBC = pytest.mark.skipif(not huge_pages._glibc_can_ask(), reason="this system's C library cannot ask")


@pytest.fixture
def setting(tmp_path):
    def write(chosen):
        words = ("always", "madvise", "never")
        path = tmp_path / "enabled"
        path.write_text(" ".join(f"[{word}]" if word == chosen else word for word in words) + "\n")
        return path

    return write


@GLIBC
def test_the_same_program_starts_again_and_asks(setting):
    started = []
    ask({"HOME": "/"}, setting("madvise"), lambda *arguments: started.append(arguments))
    again = [sys.executable, *sys.orig_argv[1:]]
    assert started == [(sys.executable, again, {"HOME": "/", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"})]


@pytest.mark.parametrize("chosen", ["always", "never"])
def test_where_all_or_none_get_them_nobody_asks(setting, chosen):
    ask({}, setting(chosen), pytest.fail)


def test_where_the_system_does_not_say_nobody_asks(tmp_path):
    ask({}, tmp_path / "no such file", pytest.fail)


@pytest.mark.parametrize("library", [("glibc", "2.34"), ("", "")])
def test_a_c_library_that_cannot_ask_is_left_alone(setting, monkeypatch, library):
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    ask({}, setting("madvise"), pytest.fail)


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_who_chose_another_way_keeps_it(setting, name):
    ask({name: "1"}, setting("madvise"), pytest.fail)


@pytest.mark.parametrize(
    ("chosen", "tunables", "used"),
    [
        ("always", "", True),
        ("madvise", "", False),
        ("madvise", "glibc.malloc.hugetlb=1", True),
        ("madvise", "glibc.malloc.check=0:glibc.malloc.hugetlb=1", True),
        ("madvise", "glibc.malloc.hugetlb=10", False),
        ("never", "glibc.malloc.hugetlb=1", False),
    ],
)
def test_who_gets_them(setting, chosen, tunables, used):
    assert huge_pages.are_used({"GLIBC_TUNABLES": tunables}, setting(chosen)) == used


PROGRAM = """
import sys
from pathlib import Path
from smnet_jax.host import huge_pages

huge_pages.ask()
block = b"x" * (200 << 20)  # NumPy would ask by itself
found = Path("/proc/self/smaps_rollup").read_text().partition("AnonHugePages:")[2].split()
print(huge_pages.are_used(), int(found[0]) >> 10, sys.argv[1:])
"""


@GLIBC
@pytest.mark.skipif(
    huge_pages._chosen(huge_pages.SETTING) != "madvise", reason="this system gives huge pages to all or to none"
)
def test_a_program_that_asks_has_its_large_blocks_in_huge_pages():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "a b", "ü"], capture_output=True, text=True, check=True, env={}
    )
    used, mebibytes, arguments = done.stdout.split(maxsplit=2)
    assert used == "True"
    assert int(mebibytes) > 20  # nearly 200 where the system's memory is not in pieces
    assert arguments == "['a b', 'ü']\n"


@pytest.mark.parametrize(
    ("line", "asks"),
    [("train --help", True), ("bench step --help", True), ("bench infer --help", False), ("enhance --help", False)],
)
def test_what_trains_asks(monkeypatch, capsys, line, asks):
    asked = []
    monkeypatch.setattr(huge_pages, "ask", lambda: asked.append(True))
    monkeypatch.setattr(sys, "argv", ["smnet", *line.split()])
    with contextlib.suppress(SystemExit):
        cli.main()
    assert bool(asked) == asks
    asked.clear()
    with contextlib.suppress(SystemExit):
        cli.main(line.split())
    assert not asked  # somebody else's process
