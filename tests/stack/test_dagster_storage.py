"""Dagster's storage as dagster.yaml names it: connections are kept, and ones that were cut are
replaced.

On a PostgreSQL of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from carbon_ledger.settings import PROJECT_ROOT
from devstack.postgres import Postgres

pytestmark = pytest.mark.stack

STATEMENTS = 40


@pytest.fixture
def instance(
    ledger_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance that the project's dagster.yaml describes."""
    layout = ledger_server.layout
    given = {
        "HOST": "127.0.0.1",
        "PORT": str(layout.port("postgres")),
        "DB": "dagster",
        "USERNAME": "dagster",
        "PASSWORD": layout.passwords()["dagster"],
    }
    for name, text in given.items():
        monkeypatch.setenv(f"DAGSTER_PG_{name}", text)
    shutil.copyfile(PROJECT_ROOT / "dagster.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        yield found


@pytest.fixture
def superuser(ledger_server: Postgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    layout = ledger_server.layout
    url = f"host=127.0.0.1 port={layout.port('postgres')} dbname=dagster user=dagster"
    with closing(
        psycopg.connect(url, password=layout.passwords()["dagster"], autocommit=True)
    ) as conn:
        yield conn


def backends(conn: psycopg.Connection[tuple[object, ...]]) -> set[object]:
    """Connections of Dagster's role but for this one."""
    rows = conn.execute(
        "select pid from pg_stat_activity where usename = 'dagster' and pid <> pg_backend_pid()"
    )
    return {pid for (pid,) in rows.fetchall()}


def ask(instance: dg.DagsterInstance) -> None:
    """A statement to each of the three storages."""
    instance.get_runs(limit=1)
    instance.get_latest_materialization_event(dg.AssetKey("nothing"))
    instance.all_instigator_state()


def test_connections_are_kept(
    instance: dg.DagsterInstance, superuser: psycopg.Connection[tuple[object, ...]]
) -> None:
    ask(instance)
    before = backends(superuser)
    assert before
    for _ in range(STATEMENTS):
        ask(instance)
    assert backends(superuser) == before, "the same connections, and no others"


def test_connections_that_were_cut_are_replaced(
    instance: dg.DagsterInstance, superuser: psycopg.Connection[tuple[object, ...]]
) -> None:
    ask(instance)
    cut = backends(superuser)
    for pid in cut:
        superuser.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    ask(instance)
    assert backends(superuser)
    assert not backends(superuser) & cut


def test_a_run_s_process_keeps_its_connections_too(
    instance: dg.DagsterInstance, superuser: psycopg.Connection[tuple[object, ...]]
) -> None:
    others = backends(superuser)
    with dg.DagsterInstance.from_ref(instance.get_ref()) as again:
        ask(again)
        before = backends(superuser) - others
        for _ in range(STATEMENTS):
            ask(again)
        assert backends(superuser) - others == before
