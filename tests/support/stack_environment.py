"""The environment in which tests meet an embedded stack: a folder and ports of their own.

Belongs here: what a test process must set before anything reads a setting. Does not: starting the
stack.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carbon_ledger.settings import PROJECT_ROOT

# Downloads are the same for everybody; only what a stack keeps and where it listens must differ.
SHARED = ("CARBON_CACHE", "CARBON_MAVEN_REPOSITORY")
# Two test sessions side by side need a folder and ports each: TEST_STACK_HOME and
# TEST_STACK_OFFSET.
# So do the workers of one session that runs its files side by side (pytest -n 2 --dist loadfile).
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
# No service of two workers meets another, nor those that tests start at 1000 and 2000 above.
WORKER_PORTS = 3500
TEST_HOME = Path(
    (os.environ.get("TEST_STACK_HOME") or f"{PROJECT_ROOT / '.carbon-test'}")
    + (f"-{WORKER}" if WORKER else "")
).resolve()
TEST_OFFSET = int(os.environ.get("TEST_STACK_OFFSET") or 10_000) + WORKER_PORTS * int(
    WORKER.removeprefix("gw") or 0
)


def clean_environment() -> dict[str, str]:
    """This process's variables without a stack's, save where downloads come from and go to."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in SHARED or not name.startswith(("CARBON_", "DAGSTER_", "SPARK_", "PYSPARK_"))
    }


def enter_test_environment() -> None:
    """Make this process and its children see the test stack, and no other, as the stack."""
    clean = clean_environment()
    for name in set(os.environ) - set(clean):
        del os.environ[name]
    os.environ["CARBON_HOME"] = str(TEST_HOME)
    os.environ["CARBON_PORT_OFFSET"] = str(TEST_OFFSET)


@contextmanager
def only_session() -> Iterator[None]:
    """Hold the test stack against other test sessions, which would empty it meanwhile."""
    TEST_HOME.mkdir(parents=True, exist_ok=True)
    with (TEST_HOME / "session.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"another test session uses {TEST_HOME}; wait for it, or set TEST_STACK_HOME and "
                "TEST_STACK_OFFSET (for example 5000)"
            ) from None
        yield
