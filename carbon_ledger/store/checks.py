"""Whether the ledger agrees with itself; [] is the only good answer.

Belongs here: comparisons of what was written twice (windows and entries, accounts and rows, offsets
and parts), recomputed from the rows. Does not: repairing anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from psycopg.rows import class_row, kwargs_row

from carbon_ledger.entries import EntryRow, content_sha256
from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

DIFFERENCES_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`what` of `subject` should be `expected`, and is `found`."""

    what: str
    subject: str
    expected: int
    found: int


@dataclass(frozen=True, kw_only=True)
class WindowDifference:
    """A five-minute series whose sum is not that of its entries."""

    organization_id: str
    facility_id: str
    country_iso2: str
    window_start: datetime
    local_date: date
    scope: int
    category: int | None
    basis: str
    activity_type: str
    unit: str
    entry_quantity: Decimal
    window_quantity: Decimal
    entry_kgco2e: Decimal
    window_kgco2e: Decimal
    entry_count: int
    window_count: int
    entry_lines: int
    window_lines: int


def check_windows(conn: Connection, local_dates: Sequence[date]) -> list[WindowDifference]:
    """Every five-minute series of these days that is not the sum of its entries, to the last digit.

    At most DIFFERENCES_MAX of them.
    """
    with conn.cursor(row_factory=class_row(WindowDifference)) as cursor:
        return cursor.execute(
            query("check_windows"), {"local_dates": list(local_dates), "limit": DIFFERENCES_MAX}
        ).fetchall()


def check_accounts(conn: Connection, batch_ids: Sequence[int] | None = None) -> list[Difference]:
    """Where a batch's accounts differ from its entries, windows and dead letters (None: of all)."""
    wanted = None if batch_ids is None else list(batch_ids)
    with conn.cursor(row_factory=class_row(Difference)) as cursor:
        return cursor.execute(query("check_accounts"), {"batch_ids": wanted}).fetchall()


def reconcile(conn: Connection) -> list[Difference]:
    """Where offsets are missing or twice in the accounts, or streams have other numbers of events.

    Offsets that an accepted truncation of the topic took away are not missing.
    """
    with conn.cursor(row_factory=class_row(Difference)) as cursor:
        return cursor.execute(query("reconcile"), {}).fetchall()


def altered_entries(conn: Connection, activity_month: date) -> list[EntryRow]:
    """The entries of a month whose content is not what their hash was made of.

    At most DIFFERENCES_MAX of them; recomputed in plain Python, row by row.
    """
    altered: list[EntryRow] = []
    with (
        conn.transaction(),
        conn.cursor(name="entries_of_month", row_factory=kwargs_row(EntryRow)) as cursor,
    ):
        cursor.itersize = 5000
        cursor.execute(query("entries_of_month"), {"activity_month": activity_month})
        for row in cursor:
            if not _is_as_hashed(row) and len(altered) < DIFFERENCES_MAX:
                altered.append(row)
    return altered


def _is_as_hashed(row: EntryRow) -> bool:
    try:
        return content_sha256(row) == row.content_sha256
    except BrokenInvariant:
        return False  # what no entry can hold was put in later
