"""Keeping other people's imports away from the process's root logger."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Within the block absl's logging, which grain and Orbax use, does not configure the root logger.

    It does wherever the root logger has no handler, and then a later `logging.basicConfig` of the user's own changes
    nothing, so that their messages are lost.
    """
    occupied = logging.NullHandler()
    logging.root.addHandler(occupied)
    try:
        yield
    finally:
        logging.root.removeHandler(occupied)
