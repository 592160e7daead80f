"""One embedded stack for all tests of a session that need one, on ports and in a folder of its own.

Belongs here: that fixture, a plugin of the root conftest, so that tests of every folder share the
one stack. Does not: the environment they meet it in (tests.support.stack_environment), which the
folders' own conftest enters before a test module reads a setting.

`KEEP_TEST_STACK=1` leaves it up for the next run, which then finds and uses it as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.stack_environment import only_session


@pytest.fixture(scope="session")
def stack() -> Iterator[object]:
    """The running test stack, empty at first but for the ledger's schema and the topics."""
    from carbon_ledger.settings import load
    from devstack.stack import Stack
    from pipeline.preparation import prepare_streams

    keep = os.environ.get("KEEP_TEST_STACK") == "1"
    stack = Stack(load())
    with only_session():
        if not (keep and stack.is_running()):
            stack.down()
            stack.reset()
        stack.up(initialise=prepare_streams, report=print)
        yield stack
        if not keep:
            stack.down()
