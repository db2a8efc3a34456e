"""Memory that is kept for its next use instead of going back to the system, where the C library is glibc.

Every call of a compiled program takes fresh memory for what it works with. glibc hands blocks that large straight back
to the system, which must fill the next one with zeros page by page: a sixth to a third of the time of `smnet enhance`
in tiles.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Mapping

from smnet_jax.host import process_memory

# From malloc.h; mallopt(3) tells what they do.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Have this process keep what it frees, from now on. To be called before threads start, so by programs only.

    One heap for all threads, since heaps of their own cannot hold blocks that large. Nothing is done, and False
    returned, with another C library, or where `environment` says how memory is to be allocated (MALLOC_...,
    GLIBC_TUNABLES).
    """
    libc = _glibc()
    if libc is None or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in environment):
        return False
    return all(libc.mallopt(*option) == 1 for option in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)))


def return_too_much(limit: float) -> None:
    """Give what is free back if the process holds more than `limit` bytes (where the system does not tell: always)."""
    held = process_memory.anonymous()
    if held is None or held > limit:
        return_freed_memory()


def return_freed_memory() -> None:
    """Give what is free back to the system: blocks of other sizes may come next and not fit into the gaps."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "gnu_get_libc_version") else None
