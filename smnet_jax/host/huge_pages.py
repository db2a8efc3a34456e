"""Memory in pages of 2 MiB instead of 4 KiB, where the C library is glibc and Linux gives such pages on request.

A training step takes hundreds of megabytes anew each time, in thousands of blocks. In small pages the system spends a
third of the step filling them with zeros. To keep what is freed instead (`host.allocator`) costs more than that where
several threads look for a block that fits, among what compiling left behind. Large pages need neither.
"""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

# "always [madvise] never", with what holds in brackets: admin-guide/mm/transhuge of the Linux kernel.
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
VARIABLE, ASK = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"  # has malloc ask
_SINCE = (2, 35)  # of glibc; before, it is ignored


def are_used(environment: Mapping[str, str] = os.environ, setting: Path = SETTING) -> bool:
    """Whether this process, started in `environment`, gets its large blocks in huge pages."""
    chosen = _chosen(setting)
    return chosen == "always" or (chosen == "madvise" and ASK in environment.get(VARIABLE, "").split(":"))


def ask(
    environment: Mapping[str, str] = os.environ, setting: Path = SETTING, execute: Callable[..., object] = os.execve
) -> None:
    """Replace this process by the same program with huge pages, where the system gives them to who asks.

    glibc reads what it is told at a program's start only. Nothing happens where it is not glibc 2.35 or newer,
    where the system gives huge pages to all or to none, or where `environment` says already how memory is to be
    allocated (MALLOC_..., GLIBC_TUNABLES). To be called by programs only, before they have done anything.

    execute: as `os.execve`.
    """
    if any(name == VARIABLE or name.startswith("MALLOC_") for name in environment):
        return
    if not _glibc_can_ask() or _chosen(setting) != "madvise" or not sys.executable:
        return
    sys.stdout.flush()
    execute(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**environment, VARIABLE: ASK})


def _glibc_can_ask() -> bool:
    library, version = platform.libc_ver()
    return library == "glibc" and tuple(map(int, version.split(".")[:2])) >= _SINCE


def _chosen(setting: Path) -> str:
    try:
        return setting.read_text().partition("[")[2].partition("]")[0]
    except OSError:  # no Linux, or a container that hides it
        return ""
