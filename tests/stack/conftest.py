"""Tests here meet the test stack, and no other, as the stack; the longest files come first."""

from __future__ import annotations

import pytest

from tests.support.reading_ledger import ledger_server
from tests.support.stack_environment import enter_test_environment

__all__ = ["ledger_server"]

enter_test_environment()

# Begun first, so that no worker ends long before the other (with --no-loadscope-reorder).
LONGEST_FIRST = (
    "test_crashes.py",
    "test_dagster_graph.py",
    "test_devstack.py",
    "test_demo.py",
    "test_steel_year.py",
    "test_five_streams.py",
    "test_failpoints.py",
    "test_heads.py",
    "test_supplier_drops.py",
    "test_backup.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, all others in their order."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
