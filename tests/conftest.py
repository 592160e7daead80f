"""What holds for every test."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

pytest_plugins = ("tests.support.stack_fixture",)

# A test is never judged by its time: machines are shared, and first calls compile and import.
settings.register_profile("carbon", deadline=None)
settings.load_profile("carbon")


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is named when it happens: the whole report of a long run comes at its end."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stderr.write(f"\nFAILED {report.nodeid} ({report.when})\n")
        sys.stderr.flush()
