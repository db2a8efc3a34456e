"""How much memory this process holds, as Linux tells it."""

from pathlib import Path


def anonymous() -> int | None:
    """Bytes held now that are no file's; None where the system does not tell."""
    return _status("RssAnon")


def peak() -> int | None:
    """Bytes held at most until now, files' included; None where the system does not tell."""
    return _status("VmHWM")


def _status(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) << 10
    except (OSError, StopIteration):
        return None
