"""What the tests of training share."""

from pathlib import Path
from typing import Any

import pytest

from smnet_jax.training import pictures


@pytest.fixture(autouse=True)
def _curves_are_not_drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends with its curves, and drawing them takes longer than training on dummy pairs: that is left to
    `test_pictures`, and to the run that a file of tests begins with."""

    def touch(path: Path, _: Any) -> None:
        path.write_bytes(b"")

    if not request.module.__name__.endswith("test_pictures"):
        monkeypatch.setattr(pictures, "curves", touch)
