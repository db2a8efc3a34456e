"""What the tests of the default share."""

import pytest


@pytest.fixture(scope="module")
def optimised() -> bool:
    """Curves are to be rounded as for users."""
    return True
