"""One run at a time in a folder, also where several hosts share it."""

import contextlib
import datetime
import hashlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from smnet_jax.errors import InputError
from smnet_jax.host import places
from smnet_jax.host.atomic_files import replacing

BEAT = 5.0  # seconds between two signs of life
SILENT = 3  # beats without one after which a run on another host is taken for dead


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
    """Hold the lock of `workdir` during the block.

    The operating system's lock, which a kill releases, decides on one host; not every shared file system passes it on
    to others, so the holder also writes a sign of life every few seconds, and a run that finds one from another host
    waits for the next. Raises InputError that names the process, its host and since when it runs.

    For a bucket the lock is a file of this host, and the signs of life come less often. Of two hosts that begin in the
    same moment, the one whose sign is there after a while goes on.
    """
    holder = workdir / "run.json"
    remote = places.is_remote(workdir)
    here = _lock_of_this_host(workdir) if remote else workdir / ".run.lock"
    lock = filelock.FileLock(here, thread_local=False)
    beat = BEAT * 2 if remote else BEAT
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise _in_use(workdir, _read(holder)) from None
    except NotImplementedError:  # a file system without locks: the signs of life alone decide
        pass
    try:
        if _is_alive_elsewhere(holder, beat):
            raise _in_use(workdir, _read(holder))
        me = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "boot": _boot(),
            "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        _write(holder, {**me, "beat": 0})
        if remote:
            time.sleep(beat / 5)
            found = _read(holder)
            if (found.get("host"), found.get("boot")) != (me["host"], me["boot"]):
                raise _in_use(workdir, found)
        over = threading.Event()
        thread = threading.Thread(target=_beat, args=(holder, me, over, beat), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with contextlib.suppress(InputError), places.reached(holder):
                holder.unlink(missing_ok=True)
    finally:
        lock.release()


def _lock_of_this_host(workdir: Path) -> Path:
    name = hashlib.sha256(str(workdir).rstrip("/").encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"smnet-run-{name}.lock"


def _beat(holder: Path, me: dict[str, Any], over: threading.Event, beat: float) -> None:
    count = 0
    while not over.wait(beat):
        count += 1
        with contextlib.suppress(InputError, OSError):  # a full disk is for those to tell who write results
            _write(holder, {**me, "beat": count})


def _is_alive_elsewhere(holder: Path, beat: float) -> bool:
    found = _read(holder)
    if not found or (found.get("host"), found.get("boot")) == (socket.gethostname(), _boot()):
        return False
    deadline = time.monotonic() + SILENT * beat
    while time.monotonic() < deadline:
        time.sleep(beat / 5)
        if _read(holder) not in (found, {}):
            return True
    return False


def _in_use(workdir: Path, holder: dict[str, Any]) -> InputError:
    who = f"process {holder.get('process', 'unknown')} on {holder.get('host', 'this host')}"
    since = f" since {holder['since']}" if "since" in holder else ""
    return InputError(f"{workdir}: in use by {who}{since}; wait until it ends, or take another --workdir")


def _read(holder: Path) -> dict[str, Any]:
    try:
        with places.reached(holder):
            found = json.loads(holder.read_text(encoding="utf-8"))
    except (OSError, ValueError, InputError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(holder: Path, content: dict[str, Any]) -> None:
    with replacing(holder) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _boot() -> str:
    """Tells two hosts of one name apart, and a host from itself before it was started anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
