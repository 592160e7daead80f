"""One embedded stack for all tests of a session that need one, on ports and in a folder of its own.

Belongs here: that fixture, a plugin of the root conftest, so that tests of every folder share the
one stack; and whether its Dagster works. Does not: the environment they meet it in
(tests.support.stack_environment), which the folders' own conftest enters before a test module reads
a setting.

Most tests of tests/stack have a ledger of their own and need PostgreSQL, Kafka or Spark alone.
Meanwhile the daemon would tick its sensors and start runs, which takes more of the processor than
many a test does: it stands still for them, and goes on for those marked `daemon`.

`KEEP_TEST_STACK=1` leaves it up for the next run, which then finds and uses it as it is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psutil
import pytest

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings
from tests.support.stack_environment import only_session

READY_SECONDS = 60
# The stack of this session, once there is one.
_running: list[Any] = []


@pytest.fixture(scope="session")
def stack() -> Iterator[object]:
    """The running test stack, empty at first but for the ledger's schema, the topics and the
    shipped factors.
    """
    from carbon_ledger.settings import load
    from devstack.stack import Stack

    keep = os.environ.get("KEEP_TEST_STACK") == "1"
    stack = Stack(load())
    with only_session():
        if not (keep and stack.is_running()):
            stack.down()
            stack.reset()
        stack.up(initialise=prepare, report=print)
        _running.append(stack)
        yield stack
        _running.clear()
        set_daemon(stack, at_work=True)
        if not keep:
            stack.down()


def prepare(settings: Settings) -> None:
    """What `carbon up` prepares, and the factors, which the daemon would otherwise ask for."""
    from carbon_ledger.store.connect import connect
    from carbon_ledger.store.factors import store_release
    from factor_seeds.load import release
    from pipeline.preparation import prepare_streams

    prepare_streams(settings)
    with closing(connect(settings["CARBON_DATABASE_WRITER_URL"], "tests", True)) as conn:
        store_release(conn, release())


def set_daemon(stack: Any, *, at_work: bool) -> None:
    """Lets Dagster's daemon go on, or stand still. Runs that it started go on either way."""
    pid = stack.pids().get("daemon")
    with suppress(psutil.NoSuchProcess):
        daemon = psutil.Process(pid) if pid else None
        if daemon is not None and (daemon.status() == psutil.STATUS_STOPPED) == at_work:
            daemon.send_signal(signal.SIGCONT if at_work else signal.SIGSTOP)
            if at_work:
                # Its heartbeat is old, and it counts as not ready until it writes the next one.
                with suppress(Unavailable):
                    stack.wait_ready(READY_SECONDS)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The daemon works for a test that is marked for it, and for all outside tests/stack."""
    for stack in _running:
        wanted = item.path.parent.name != "stack" or item.get_closest_marker("daemon") is not None
        set_daemon(stack, at_work=wanted)
