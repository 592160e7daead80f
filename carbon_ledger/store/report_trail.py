"""The way between cells of reports and entries, page by page, in both directions.

Belongs here: which reports are kept, the entries behind a cell and their sums, the cells of kept
reports that an entry reached. Does not: whole reports (carbon_ledger.store.report_snapshots),
records of Kafka (carbon_ledger.store.trace).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row, dict_row

from carbon_ledger.entries import EntryRow
from carbon_ledger.reporting.cube import Selection
from carbon_ledger.store.connect import query
from carbon_ledger.store.reference import fiscal_years
from carbon_ledger.store.report_inputs import selection_parameters
from carbon_ledger.store.report_snapshots import KeptPlace, KeptReport
from carbon_ledger.store.rows import Connection

EVER: Final = datetime(1, 1, 1, tzinfo=UTC)
_KEPT: Final = tuple(one.name for one in fields(KeptReport))


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachedCell:
    """A cell that an entry is in; `table_id` is empty for one that no table shows, and an
    `operation` other than `entries` says that it is in it by way of other cells.
    """

    cell_id: str
    table_id: str
    value: Decimal | None
    text_value: str | None
    unit: str
    operation: str
    year: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """A kept report and its cells that an entry is in, those that a table shows first."""

    report: KeptReport
    cells: tuple[ReachedCell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Entries behind a cell that share month of their local dates, activity, method and factor."""

    month: date
    activity_type: str
    method: str
    factor_id: str
    factor_version: int
    entries: int
    kgco2e: Decimal


def kept_reports(
    conn: Connection, organization: str, *, before: KeptPlace | None = None, limit: int
) -> list[KeptReport]:
    """At most `limit` reports of an organization that are kept, the newest first."""
    with conn.cursor(row_factory=class_row(KeptReport)) as cursor:
        return cursor.execute(
            query("kept_reports"), {"organization": organization, **_place(before), "limit": limit}
        ).fetchall()


def reports_reached(
    conn: Connection,
    row: EntryRow,
    taken_back_at: datetime | None,
    *,
    before: KeptPlace | None = None,
    limit: int,
) -> list[Reached]:
    """At most `limit` kept reports that an entry is in, the newest first.

    An entry is in the reports that knew it and not what took it back; a reversal is in none, as
    reports are made of what stands.
    """
    if row.is_reversal:
        return []
    years = _names_of_its_year(conn, row)
    asked = {
        "organization": row.organization_id,
        "year_moments": [moment for moment, _ in years],
        "year_names": [year for _, year in years],
        "known_from": row.recorded_at,
        "known_until": taken_back_at,
        "first_year": min(year for _, year in years),
        "scope": str(row.scope),
        "category": str(row.category),
        "factor_version": str(row.factor_version),
        "method": row.method or "",
        "other_gases": list(row.other_gases or ()),
        **{
            name: getattr(row, name)
            for name in (
                *("basis", "stream", "facility_id", "country_iso2", "activity_type", "unit"),
                *("factor_id", "formula_id", "gas_split", "gwp_set"),
            )
        },
        **_place(before),
        "limit": limit,
    }
    found: dict[UUID, tuple[KeptReport, list[ReachedCell]]] = {}
    with conn.cursor(row_factory=dict_row) as cursor:
        for one in cursor.execute(query("reports_reached"), asked):
            report = KeptReport(**{name: one.pop(name) for name in _KEPT})
            found.setdefault(report.snapshot_id, (report, []))[1].append(ReachedCell(**one))
    return [Reached(report=report, cells=tuple(cells)) for report, cells in found.values()]


def _names_of_its_year(conn: Connection, row: EntryRow) -> list[tuple[datetime, int]]:
    """The fiscal year that an entry is in, with since when it was known so, in order: a month that
    was stated wrongly may have been put right, and a report has the years of its own moment.
    """
    years = fiscal_years(conn)
    moments = {one.recorded_at for one in years.records if one.recorded_at is not None}
    found: list[tuple[datetime, int]] = []
    for moment in [EVER, *sorted(moments)]:
        known = years.as_known_at(moment)
        year = known.fiscal_year_of(row.organization_id, row.local_date)
        if not found or found[-1][1] != year:
            found.append((moment, year))
    return found


def parts_behind(
    conn: Connection, organization: str, year: int, selection: Selection, as_of: datetime
) -> list[Part]:
    """The standing entries behind a cell, summed by month, activity, method and factor."""
    statement = sql.SQL(
        "select date_trunc('month', x.local_date)::date as month, x.activity_type, x.method, "
        "x.factor_id, x.factor_version, count(*) as entries, sum(x.kgco2e) as kgco2e "
        "from ({}) x group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5"
    ).format(sql.SQL(query("report_entries").decode()))
    asked = selection_parameters(fiscal_years(conn, as_of), organization, year, selection, as_of)
    with conn.cursor(row_factory=class_row(Part)) as cursor:
        return cursor.execute(statement, asked).fetchall()


def sizes_behind(
    conn: Connection,
    organization: str,
    selections: Iterable[tuple[int, Selection]],
    as_of: datetime,
    *,
    limit: int | None = None,
) -> dict[UUID, Decimal]:
    """The standing entries that any of these selections of years takes, each once, with its kgCO2e;
    no more than `limit` + 1 of a selection.
    """
    statement = sql.SQL("select x.entry_id, x.kgco2e from ({}) x").format(
        sql.SQL(query("report_entries").decode())
    )
    years = fiscal_years(conn, as_of)
    found: dict[UUID, Decimal] = {}
    for year, selection in selections:
        asked = selection_parameters(years, organization, year, selection, as_of)
        asked["limit"] = None if limit is None else limit + 1
        found.update(conn.execute(statement, asked).fetchall())
    return found


def _place(before: KeptPlace | None) -> dict[str, object]:
    at, snapshot_id = before or (None, None)
    return {"before_at": at, "before_id": snapshot_id}
