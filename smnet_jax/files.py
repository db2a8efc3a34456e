"""Writing files so that a failed run never costs an existing good one."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from smnet_jax.errors import InputError

# Reading the mask means setting it, for the whole process: done once, before there are threads to surprise.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success rename it to `path`, on any failure delete it.

    The rename is atomic within one file system, hence "beside". The temporary name keeps the suffix, because
    writers choose the format by it. Missing parent folders are made.

    Raises InputError where the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:80]}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose a folder that can") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; what a user asked for should look like any other file of theirs.
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
