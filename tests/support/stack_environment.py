"""The environment in which tests meet an embedded stack: a folder and ports of their own.

Belongs here: what a test process must set before anything reads a setting. Does not: starting the
stack.
"""

from __future__ import annotations

import os

from carbon_ledger.settings import PROJECT_ROOT

# Downloads are the same for everybody; only what a stack keeps and where it listens must differ.
SHARED = ("CARBON_CACHE", "CARBON_MAVEN_REPOSITORY")
TEST_HOME = PROJECT_ROOT / ".carbon-test"
TEST_OFFSET = 10_000


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
