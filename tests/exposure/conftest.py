"""What the tests of the default share."""

import pytest


@pytest.fixture(scope="module")
def optimised(request: pytest.FixtureRequest) -> bool:
    """Curves are to be rounded as for users."""
    return getattr(request.module, "OPTIMISED", True)
