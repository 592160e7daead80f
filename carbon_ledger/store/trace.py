"""Single steps of a trace, one question each: a cell, its entries, a record's fate, a run, a seal.

Belongs here: those questions, answered with plain rows. Does not: the way from one to the next
(spark.trace), bulk reading (carbon_ledger.store.lineage).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg.rows import class_row, dict_row

from carbon_ledger.entries import EntryRow
from carbon_ledger.organisation.fiscal_year import fiscal_year_of
from carbon_ledger.store.connect import query
from carbon_ledger.store.reference import fiscal_years
from carbon_ledger.store.reports import SCOPE_2_LOCATION_DATAPOINT
from carbon_ledger.store.rows import Connection

# Which entries a datapoint is the sum of.
DATAPOINTS: Final[dict[str, dict[str, Any]]] = {
    SCOPE_2_LOCATION_DATAPOINT: {"scope": 2, "basis": "location"},
}
_ENTRY: Final = frozenset(one.name for one in fields(EntryRow))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a report snapshot. `value` in `unit`; country '' is the organization's total."""

    snapshot_id: UUID
    organization_id: str
    fiscal_year: int
    datapoint: str
    concept: str
    country_iso2: str
    value: Decimal
    unit: str
    entries: int
    as_of: datetime
    code_version: str
    run_id: str


def report_cells(
    conn: Connection,
    *,
    fiscal_year: int | None = None,
    datapoint: str | None = None,
    countries: Collection[str] | None = None,
    organization_id: str | None = None,
    snapshot_id: UUID | None = None,
    known_from: datetime | None = None,
) -> list[Cell]:
    """Cells of snapshots, newest first; only snapshots as of `known_from` or later, if given."""
    with conn.cursor(row_factory=class_row(Cell)) as cursor:
        return cursor.execute(
            query("report_cells"),
            {
                "fiscal_year": fiscal_year,
                "datapoint": datapoint,
                "countries": None if countries is None else list(countries),
                "organization_id": organization_id,
                "snapshot_id": snapshot_id,
                "known_from": known_from,
            },
        ).fetchall()


def cells_of_entry(conn: Connection, row: EntryRow) -> list[Cell]:
    """Every cell of every snapshot that the entry is part of, newest first."""
    names = [
        name
        for name, which in DATAPOINTS.items()
        if (row.scope, row.basis) == (which["scope"], which["basis"])
    ]
    years = fiscal_years(conn)
    # As the year was called when a report was made: a month that was stated wrongly may have been
    # put right since.
    months = years.first_months_ever(row.organization_id)
    return [
        cell
        for name in names
        for year in sorted({fiscal_year_of(row.local_date, month) for month in months})
        for cell in report_cells(
            conn,
            fiscal_year=year,
            datapoint=name,
            countries=("", row.country_iso2),
            organization_id=row.organization_id,
            known_from=row.recorded_at,
        )
        if years.as_known_at(cell.as_of).fiscal_year_of(row.organization_id, row.local_date) == year
    ]


def cell_entries(
    conn: Connection, cell: Cell, *, limit: int, offset: int = 0
) -> tuple[list[EntryRow], int, Decimal]:
    """A page of the entries of a cell, largest first; how many lines it has, and their kgCO2e.

    Lines are counted with reversals, each of which takes one back.
    """
    start, end = fiscal_years(conn, cell.as_of).fiscal_period(
        cell.organization_id, cell.fiscal_year
    )
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            query("cell_entries"),
            {
                **DATAPOINTS[cell.datapoint],
                "as_of": cell.as_of,
                "organization_id": cell.organization_id,
                "country_iso2": cell.country_iso2,
                "start": start,
                "end": end,
                "limit": limit,
                "offset": offset,
            },
        ).fetchall()
    rows = [EntryRow(**{k: v for k, v in one.items() if k in _ENTRY}) for one in found]
    if not found:
        return rows, 0, Decimal(0)
    return rows, found[0]["lines_of_cell"], found[0]["kgco2e_of_cell"]


def reversals_of(conn: Connection, entry_ids: Collection[UUID]) -> dict[UUID, tuple[UUID, date]]:
    """Of these entries those that were taken back: by which entry, of which month."""
    found = conn.execute(query("reversals_of"), {"entry_ids": list(entry_ids)}).fetchall()
    return {entry_id: (reversal_id, month) for entry_id, reversal_id, month, _ in found}


def events_of_activity(conn: Connection, activity_ref: str) -> list[tuple[str, date, UUID]]:
    """The activity's events that were posted: event id, month and id of its first line."""
    found = conn.execute(query("events_of_activity"), {"activity_ref": activity_ref}).fetchall()
    return [(event_id, month, entry_id) for event_id, month, entry_id in found]


def first_line_of(conn: Connection, event_id: str) -> tuple[UUID, date] | None:
    """The id and month of an event's first line; None for an event the ledger did not take."""
    row = conn.execute(query("event_identity"), {"event_id": event_id}).fetchone()
    return None if row is None else (row[0], row[1])


def asked(conn: Connection, name: str, **parameters: object) -> dict[str, Any] | None:
    """The first row of queries/`name`.sql by column, or None."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(name), parameters).fetchone()


def windows_of(conn: Connection, row: EntryRow) -> list[dict[str, Any]]:
    """The windows the entry is in, as they are now: five minutes, then the day."""
    names = (
        *("organization_id", "facility_id", "local_date", "scope", "category", "basis"),
        *("activity_type", "unit", "country_iso2", "occurred_from"),
    )
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            query("windows_of_entry"), {name: getattr(row, name) for name in names}
        ).fetchall()


def seal_of(conn: Connection, row: EntryRow) -> dict[str, Any] | None:
    """The entry's commit, and where it is in the sealed tree; no seal_no while it is not sealed,
    None for what was posted before there were lists.
    """
    commit = asked(
        conn, "commit_of_entry", recorded_at=row.recorded_at, entry_id=row.entry_id.bytes
    )
    if commit is None:
        return None
    seal = asked(conn, "seal_of_commit", commit_id=commit["commit_id"])
    if seal is None:
        return {**commit, "seal_no": None}
    return {**commit, **seal, "leaf": seal["first_leaf"] + commit["place"]}
