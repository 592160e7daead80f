"""A PostgreSQL alone, and ledgers in it, for what only reads: no Kafka, no Spark, no stack.

Belongs here: the server, an API in front of it, posting entries through the store. Does not: what
the API answers (tests/stack/test_api_*.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.entries import EntryRow, sealed
from carbon_ledger.settings import Settings
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_identity, post_entries
from devstack.layout import Layout
from devstack.postgres import Postgres
from tests.support.api_server import api_server
from tests.support.own_postgres import free_offset, running
from tests.support.postgres import Connection, LedgerDatabase, reading

NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="session")
def ledger_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of this session's own."""
    home = tmp_path_factory.mktemp("ledger_server")
    server = Postgres(Layout(home=home, cache=home, offset=free_offset()))
    with running(server):
        yield server


def settings_of(database: LedgerDatabase, home: Path, **changes: str) -> Settings:
    """Settings of an API that has this database, and neither Kafka nor a registry."""
    return Settings(
        {
            "CARBON_HOME": str(home),
            "CARBON_CACHE": str(home),
            "CARBON_KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
            "CARBON_DATABASE_WRITER_URL": database.writer_url,
            "CARBON_DATABASE_READER_URL": database.reader_url,
            "CARBON_DATABASE_GATE_URL": database.gate_url,
            **changes,
        }
    )


@contextmanager
def reading_api(database: LedgerDatabase, home: Path, **changes: str) -> Iterator[tuple[str, Any]]:
    """The API of a ledger: its URL and the settings it has."""
    settings = settings_of(database, home, **changes)
    with api_server(settings) as (url, _):
        yield url, settings


def bought(
    number: int,
    day: date,
    kgco2e: str,
    *,
    supplier: str = "SUP_042_DE",
    stream: str = "procurement",
    **changes: Any,
) -> EntryRow:
    """What was bought from a supplier on a day, as an estimate, or as the supplier declared it."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=number)
    ref = f"purchase:{supplier}/{number}"
    if stream == "supplier":
        ref = f"supplier:{supplier}@{number}"
    basis = "supplier" if stream == "supplier" else "cradle_to_gate"
    return reading(
        number,
        **{
            "stream": stream,
            "source_ref": supplier,
            "activity_ref": ref,
            "claim_key": f"{ref}|scope-3|1|{basis}",
            "occurred_from": begin,
            "local_date": day,
            "scope": 3,
            "category": 1,
            "basis": basis,
            "activity_type": "purchase:steel",
            "unit": "EUR",
            "kgco2e": Decimal(kgco2e),
            "primary_share": Decimal(0) if stream == "procurement" else Decimal("0.8"),
            "method": "spend_based" if stream == "procurement" else "supplier_specific",
            "rule_id": "S3-1",
            **changes,
        },
    )


def post(conn: Connection, rows: Sequence[EntryRow]) -> datetime:
    """Posts entries in one commit of the writer's, with all that a posting has; when."""
    for month in sorted({row.activity_month for row in rows}):
        ensure_month(conn, month)
    with conn.transaction():
        recorded_at: datetime = begin_writing(conn)
        stamped = [sealed(replace(row, recorded_at=recorded_at)) for row in rows]
        for row in stamped:
            if not row.is_reversal:
                insert_identity(conn, row)
        post_entries(conn, stamped, recorded_at=recorded_at, kind="period")
    return recorded_at
