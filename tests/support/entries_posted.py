"""Entries as a batch would post them, of any moment of recording, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from carbon_ledger.entries import EntryRow, sealed
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_identity, post_entries
from tests.support.postgres import LedgerDatabase, reading


def line(number: int, kg: str, **changes: Any) -> EntryRow:
    """An entry of March 2024 with this figure; scope 2, location-based, unless said otherwise."""
    event_id = f"t:{number}#0"
    scope = changes.get("scope", 2)
    return reading(
        number,
        **{
            "event_id": event_id,
            "activity_ref": event_id[:-2],
            "claim_key": f"{event_id}|{scope}|{changes.get('category', '-')}",
            "basis": "location" if scope == 2 else "combustion",
            "kgco2e": Decimal(kg),
            **changes,
        },
    )


def known_at(row: EntryRow, moment: datetime) -> EntryRow:
    """The row as recorded at another moment."""
    return sealed(replace(row, recorded_at=moment))


def post(
    database: LedgerDatabase, rows: Sequence[EntryRow], *, recorded_at: datetime | None = None
) -> datetime:
    """Posts the rows, known from `recorded_at` on (None: now); the moment."""
    with database.writer(autocommit=True) as conn:
        for month in {row.activity_month for row in rows}:
            ensure_month(conn, month)
        with conn.transaction():
            moment = recorded_at or begin_writing(conn)
            known = [known_at(row, moment) for row in rows]
            for row in known:
                if row.reverses_id is None:
                    insert_identity(conn, row)
            post_entries(conn, known, recorded_at=moment, kind="period")
    return moment
