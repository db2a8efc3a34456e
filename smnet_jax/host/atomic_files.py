"""Writing files so that a failed run never costs an existing good one."""

import contextlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from smnet_jax.errors import InputError
from smnet_jax.host import places


def new_file(path: Path) -> Path:
    """Make an empty hidden file beside `path`, of a name nobody has. It keeps the suffix: writers go by it.

    The kernel applies the user's mask of permissions, as for any file of theirs. (`tempfile` makes private files, and
    to learn the mask afterwards one has to set it, for every thread of the process.)
    """
    while True:
        new = _beside(path)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return new


def new_folder(path: Path) -> Path:
    """Make an empty hidden folder beside `path`, as `new_file` does."""
    while True:
        new = _beside(path)
        with contextlib.suppress(FileExistsError):
            new.mkdir(0o777)
            return new


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.stem[:50]}.{secrets.token_hex(4)}{path.suffix}")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success rename it to `path`, on any failure delete it.

    The rename is atomic within one file system, hence "beside". The temporary name keeps the suffix, because
    writers choose the format by it. Missing parent folders are made. A path in a bucket is written to a file of this
    machine and uploaded whole.

    Raises InputError where the folder cannot be written.
    """
    if places.is_remote(path):
        with tempfile.TemporaryDirectory(prefix="smnet-") as folder:
            temporary = Path(folder, Path(path).name)
            yield temporary
            places.upload(temporary, places.place(path))
        return
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = new_file(path)
        permissions = stat.S_IMODE(temporary.stat().st_mode)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose a folder that can") from error
    try:
        yield temporary
        temporary.chmod(permissions)  # some writers, safetensors for one, put a private file of their own there
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
