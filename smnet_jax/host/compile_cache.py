"""Compiled programs kept on disk, so that the second run of a command starts at once."""

import os
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

MAX_BYTES = 2 << 30


def default_folder() -> Path:
    """`smnet-jax` in the user's cache folder: $XDG_CACHE_HOME, or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "smnet-jax"


def use(folder: str | os.PathLike[str] | None) -> Path | None:
    """Keep compiled programs in `folder`, the least used thrown out above 2 GiB; None turns the cache off.

    Compiled programs are run as they are: the folder is made for its owner alone. Where it cannot be made or written
    the cache stays off. Returns the folder in use.
    """
    path = None if folder is None else Path(folder).expanduser()
    if path is not None:
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            path = None
    if path is not None and not os.access(path, os.W_OK | os.X_OK):
        path = None
    jax.config.update("jax_compilation_cache_dir", None if path is None else str(path))
    jax.config.update("jax_enable_compilation_cache", path is not None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
    compilation_cache.reset_cache()  # the folder in use, if any, is otherwise kept until the process ends
    return path
