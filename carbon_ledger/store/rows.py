"""Entries to and from PostgreSQL, row by row, for the few that pass through plain Python.

Belongs here: COPY of EntryRows, reading them back, their identities. Does not: the bulk path of a
batch (carbon_ledger.store.append), what an entry is (carbon_ledger.entries).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

from carbon_ledger.entries import COLUMNS, EntryRow
from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.store.commits import Kind, insert_commit
from carbon_ledger.store.connect import connect, query
from carbon_ledger.store.windows import deltas_of, insert_deltas

Connection = psycopg.Connection[tuple[Any, ...]]

COPY_ENTRIES: Final = sql.SQL("copy ledger.entry ({}) from stdin").format(
    sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
)


def insert_entries(conn: Connection, rows: Iterable[EntryRow]) -> int:
    """COPY `rows` into ledger.entry as they are; the number written. Their months must exist.

    A reversal and what it reverses may come in one call. Constraint violations surface as
    psycopg.errors, the transaction is then lost.
    """
    written = 0
    with conn.cursor() as cursor, cursor.copy(COPY_ENTRIES) as copy:
        for row in rows:
            copy.write_row([_field(row, column) for column in COLUMNS])
            written += 1
    return written


def post_entries(
    conn: Connection, rows: Sequence[EntryRow], *, recorded_at: datetime, kind: Kind
) -> None:
    """Entries, what they add to the windows, and the list of them for the seal, in the caller's
    transaction.

    For every posting but a batch's. `recorded_at` is that of all rows; their identities and months
    exist. Raises BrokenInvariant if a row says another time; psycopg.errors of the constraints.
    """
    other = next((row for row in rows if row.recorded_at != recorded_at), None)
    if other is not None:
        raise BrokenInvariant(
            "recorded_at_differs",
            f"entry {other.entry_id} says {other.recorded_at}, its transaction {recorded_at}",
        )
    insert_entries(conn, rows)
    insert_deltas(conn, deltas_of(rows, recorded_at=recorded_at))
    insert_commit(
        conn,
        kind=kind,
        recorded_at=recorded_at,
        entry_ids=[row.entry_id.bytes for row in rows],
        content_sha256s=[row.content_sha256 for row in rows],
    )


def _field(row: EntryRow, column: str) -> object:
    value = getattr(row, column)
    return Jsonb(dict(value)) if column == "other_gases" and value is not None else value


def insert_identity(conn: Connection, first_line: EntryRow) -> None:
    """Put an event into ledger.event_identity; UniqueViolation if the ledger has it already."""
    conn.execute(
        query("insert_identity"),
        {
            "event_id": first_line.event_id,
            "payload_sha256": first_line.payload_sha256,
            "entry_month": first_line.activity_month,
            "entry_id": first_line.entry_id,
        },
    )


def find_entry(conn: Connection, activity_month: date, entry_id: UUID) -> EntryRow | None:
    """The entry, or None."""
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        return cursor.execute(
            query("find_entry"), {"activity_month": activity_month, "entry_id": entry_id}
        ).fetchone()


def entries_of_event(conn: Connection, event_id: str) -> list[EntryRow]:
    """Every line that bears this event_id, reversals included, oldest first; [] if unknown."""
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        return cursor.execute(query("entries_of_event"), {"event_id": event_id}).fetchall()


def begin_writing(conn: Connection) -> Any:
    """The moment (UTC) to stamp this transaction's rows with; the first thing a writer does."""
    row = conn.execute(query("begin_writing")).fetchone()
    return row[0] if row else None


def ensure_month(conn: Connection, month: date) -> bool:
    """Make the partition that holds `month`; whether it was missing.

    In a transaction of its own, so that nobody waits for it. psycopg.errors.CheckViolation before
    2000-01 and after next month.
    """
    with conn.transaction():
        row = conn.execute(query("ensure_month"), {"month": month}).fetchone()
    return bool(row and row[0])


def make_months_aside(conn: Connection, months: Collection[date]) -> list[date]:
    """Make the missing ones of `months` over a connection of their own; the months made.

    For a writer whose transaction is open: a month made inside it would be locked until it commits,
    and every other writer that needs a new month would wait for it. Errors as of `ensure_month`.
    """
    missing = [
        row[0] for row in conn.execute(query("missing_months"), {"months": list(months)}).fetchall()
    ]
    if not missing:
        return []
    url = make_conninfo(conn.info.dsn, password=conn.info.password)
    with connect(url, "carbon months", True) as aside:
        return [month for month in missing if ensure_month(aside, month)]


def next_corrections(conn: Connection, activity_refs: Collection[str]) -> dict[str, int]:
    """The number of the next correction of each activity: the revision `c1`, `c2`, … it will be."""
    rows = conn.execute(query("next_corrections"), {"refs": list(activity_refs)})
    return {ref: number for ref, number in rows}
