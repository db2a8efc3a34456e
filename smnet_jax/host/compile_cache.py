"""Compiled programs kept on disk, so that the second run of a command starts at once."""

import contextlib
import os
from pathlib import Path
from typing import Any

import filelock
import jax
from jax._src import compilation_cache as compilation_cache_of_jax
from jax.experimental.compilation_cache import compilation_cache

MAX_BYTES = 2 << 30


def default_folder() -> Path | None:
    """`smnet-jax` in the user's cache folder: $XDG_CACHE_HOME, or ~/.cache; None for a user without a home."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if Path(home).is_absolute():
        return Path(home) / "smnet-jax"
    try:
        return Path.home() / ".cache" / "smnet-jax"
    except RuntimeError:  # neither $HOME nor an entry in the system's list of users, as in many containers
        return None


def use(folder: str | os.PathLike[str] | None) -> Path | None:
    """Keep compiled programs in `folder`, the least used thrown out above 2 GiB; None turns the cache off.

    Compiled programs are run as they are: the folder is made for its owner alone. Where it cannot be made or written
    the cache stays off. Returns the folder in use.
    """
    path = None
    if folder is not None:
        try:
            path = Path(folder).expanduser()
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except (OSError, RuntimeError):
            path = None
    if path is not None and not os.access(path, os.W_OK | os.X_OK):
        path = None
    if path is not None:
        _complete_entries(path)
        _forget_what_cannot_be_read(path)
    jax.config.update("jax_compilation_cache_dir", None if path is None else str(path))
    jax.config.update("jax_enable_compilation_cache", path is not None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
    compilation_cache.reset_cache()  # the folder in use, if any, is otherwise kept until the process ends
    return path


def _complete_entries(folder: Path) -> None:
    """Give entries without a time of use one: a kill or a full disk leaves such, and JAX then writes no other entry.

    An entry that is itself not whole is found out when it is read.
    """
    lock = filelock.FileLock(folder / ".lockfile")  # JAX's own
    with contextlib.suppress(OSError, filelock.Timeout), lock.acquire(timeout=1):
        for path in folder.glob("*-cache"):
            used = path.with_name(path.name.removesuffix("-cache") + "-atime")
            if not used.exists() or used.stat().st_size != 8:
                used.write_bytes(path.stat().st_mtime_ns.to_bytes(8, "little"))


_reading: Any = getattr(compilation_cache_of_jax, "get_executable_and_time", None)
_folder: Path | None = None


def _forget_what_cannot_be_read(folder: Path) -> None:
    """Have JAX compile and write anew what it cannot read, instead of warning about it in every run for ever.

    JAX has no hook for this, and keeps a damaged entry. The function replaced is its only way to read one; where a
    later version has none of this name, everything is as JAX does it.
    """
    global _folder
    _folder = folder
    if _reading is not None:
        compilation_cache_of_jax.get_executable_and_time = _read_or_forget


def _read_or_forget(cache_key: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    try:
        return _reading(cache_key, *args, **options)
    except Exception:  # whatever a damaged entry raises
        if _folder is not None:
            for kind in ("cache", "atime"):
                (_folder / f"{cache_key}-{kind}").unlink(missing_ok=True)
        return None, None
