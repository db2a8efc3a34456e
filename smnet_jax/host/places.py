"""A path from a string: a folder of this machine, or one in a bucket (gs://BUCKET/FOLDER).

A path in a bucket is an `etils.epath.Path`. It has the methods of `pathlib.Path` that are used here, but is none:
`open`, `os` and `pathlib.Path` do not know it. An object there appears whole or not at all, and nothing is appended.
"""

import atexit
import contextlib
import importlib.util
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from smnet_jax.errors import InputError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?=[^/])")  # Path("gs://a") has one slash
EXTRA = "pip install 'smnet-jax[buckets]'"


def place(path: str | os.PathLike[str]) -> Path:
    """The path that `path` means; `~` is the home folder.

    Raises InputError for a scheme other than gs://, and where what reads buckets is not installed.
    """
    words = os.fspath(path)
    scheme = _SCHEME.match(words)
    if scheme is None:
        return Path(words).expanduser()
    uri = f"{scheme[1]}://{words[scheme.end() :]}"
    if scheme[1] != "gs":
        raise InputError(
            f"{uri}: only folders of this machine and gs:// buckets are read and written; mount it, and give the path"
        )
    with _told(uri):
        from etils import epath

        if importlib.util.find_spec("tensorflow") is None:  # which epath takes where it is there
            import fsspec

            fsspec.get_filesystem_class("gcs")
    remote: Any = epath.Path(uri)
    return remote


def has_scheme(path: str) -> bool:
    """Whether `path` is a URI, of whatever kind."""
    return _SCHEME.match(path) is not None


def is_remote(path: object) -> bool:
    """Whether a path that `place` gave is in a bucket."""
    return not isinstance(path, str | Path)


@contextlib.contextmanager
def reached(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever a bucket's library raises during the block becomes an InputError of one line; nothing else changes."""
    if not is_remote(path):
        yield
        return
    with _told(path):
        yield


@contextlib.contextmanager
def _told(path: object) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"{path}: what reads buckets is not installed; {EXTRA}") from error
    except Exception as error:  # each library has its own: HTTP, credentials, DNS, time
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"{path}: cannot be reached ({reason}); check its name and your credentials") from error


def walk(folder: Path) -> Iterator[Path]:
    """Every file below `folder` in a bucket."""
    base = _without_scheme(folder)
    for root, _, files in folder.walk():  # type: ignore[attr-defined]  # pathlib has it from Python 3.12 on
        # epath gives the roots without gs://.
        inside = folder / PurePosixPath(_without_scheme(root)).relative_to(base)
        yield from (inside / name for name in files)


def _without_scheme(path: object) -> str:
    return str(path).removeprefix("gs:").strip("/")


class Mirror:
    """Copies what changes in `local`, a folder of this machine, into `remote`, in a bucket."""

    def __init__(self, local: Path, remote: Path, seconds: float):
        self._local, self._remote, self._seconds = local, remote, seconds
        self._last = time.monotonic()
        self._copied: dict[Path, tuple[int, int]] = {}
        self.failed: str | None = None  # why the last copy did not work

    def now_and_then(self) -> None:
        """Copy, if the last time was `seconds` ago."""
        if time.monotonic() - self._last >= self._seconds:
            self.now()

    def now(self) -> None:
        """Copy what is new. Raises nothing: what a bucket does not take now is tried again the next time."""
        self._last = time.monotonic()
        self.failed = None
        for path in sorted(self._local.rglob("*")):
            if path.is_file():
                found = path.stat()
                state = found.st_size, found.st_mtime_ns
                if self._copied.get(path) != state:
                    try:
                        upload(path, self._remote / path.relative_to(self._local).as_posix())
                    except InputError as error:
                        self.failed = str(error)
                    else:
                        self._copied[path] = state


def upload(path: Path, remote: Path) -> None:
    """Copy a file of this machine to `remote`, which appears when it is whole. Raises InputError."""
    with reached(remote):
        remote.write_bytes(path.read_bytes())


def download(remote: Path, names: tuple[str, ...]) -> Path:
    """A folder of this machine, until the program ends, with the objects `names` of `remote`, or with `remote` itself
    where there are no names."""
    folder = Path(tempfile.mkdtemp(prefix="smnet-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with reached(remote):
        for source in [remote / name for name in names] or [remote]:
            (folder / source.name).write_bytes(source.read_bytes())
    return folder
