"""How much of its bound each comparison of arrays uses: what stands in `tolerances`' table.

    .venv/bin/python -m pytest -p tests.support.measured tests/metrics
    PYTEST_ADDOPTS='-p tests.support.measured' make test-avx2

prints for each line that calls `np.testing.assert_allclose` the largest share of the bound and the largest difference,
over all calls.
"""

import functools
import sys
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

_found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)


def _measured(compare: Any) -> Any:
    @functools.wraps(compare)
    def assert_allclose(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, **rest: Any) -> None:
        caller = sys._getframe(1)
        with np.errstate(all="ignore"):
            expected = np.asarray(desired, np.float64)
            apart = np.abs(np.asarray(actual, np.float64) - expected)
            share = apart / (atol + rtol * np.abs(expected))
        where = f"{caller.f_code.co_filename.rpartition('tests/')[2]}:{caller.f_lineno} {caller.f_code.co_name}"
        if apart.size:
            _found[where].append((float(np.nanmax(np.nan_to_num(share))), float(np.nanmax(np.nan_to_num(apart)))))
        compare(actual, desired, rtol=rtol, atol=atol, **rest)

    return assert_allclose


def pytest_configure() -> None:
    np.testing.assert_allclose = _measured(np.testing.assert_allclose)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["measured"] = dict(_found)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for where, values in getattr(node, "workeroutput", {}).get("measured", {}).items():
        _found[where] += values


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for where, values in sorted(_found.items()):
        share, apart = np.max(values, axis=0)
        terminalreporter.write_line(f"{share:8.2g} of the bound, {apart:.1e} apart: {where}")
