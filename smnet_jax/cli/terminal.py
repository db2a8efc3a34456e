"""What goes to the terminal: file names are anybody's, and not every terminal can show everything."""

import sys


def printable(text: str) -> str:
    """Text with what steers a terminal, and what is no character at all, shown as \\x1b, \\n, \\udcff."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return shown.encode("utf-8", "backslashreplace").decode()


def tolerate_any_character() -> None:
    """Let stdout and stderr write what their encoding lacks as \\u5199, rather than end the program over a name."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
