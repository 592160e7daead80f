"""Reports as they were made: kept cell by cell and as one text, never changed.

Belongs here: keeping and finding snapshots, and whether they still say what the entries say. Does
not: making a report (carbon_ledger.reporting), its documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.reporting.report_json import report_from_json, report_to_json
from carbon_ledger.reporting.tables import Cell, Report
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

# A place among kept reports: when one was kept, its id.
KeptPlace = tuple[datetime, UUID]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptReport:
    """A kept report without its text."""

    snapshot_id: UUID
    report: str
    organization_id: str
    fiscal_year: int
    profile: str
    as_of: datetime
    code_version: str
    run_id: str
    content_sha256: bytes
    recorded_at: datetime

    @property
    def place(self) -> KeptPlace:
        """Where it is among kept reports."""
        return self.recorded_at, self.snapshot_id


@dataclass(frozen=True, kw_only=True)
class Snapshot(KeptReport):
    """A report as it was made; `content` is the whole of it (carbon_ledger.reporting)."""

    content: str
    kept_because: str

    def opened(self) -> Report:
        """The report; BrokenInvariant `snapshot_changed` if the text is not what its hash says."""
        if hashlib.sha256(self.content.encode()).digest() != self.content_sha256:
            raise BrokenInvariant(
                "snapshot_changed", f"snapshot {self.snapshot_id} is not the text it was kept as"
            )
        return report_from_json(self.content)


def keep_report(
    conn: Connection,
    report: Report,
    *,
    snapshot_id: UUID,
    run_id: str,
    kept_because: Literal["asked", "scheduled", "posted"] = "asked",
) -> None:
    """Keeps a report and every cell of it, in one transaction.

    `kept_because` says how long: what was `asked` for or `scheduled` for good, what was made after
    something was `posted` until it is thinned (reports.retire_snapshots).
    """
    content = report_to_json(report)
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(
            query("insert_report_snapshot"),
            {
                "snapshot_id": snapshot_id,
                "report": report.name,
                "organization_id": report.organization_id,
                "fiscal_year": report.fiscal_year,
                "profile": report.profile,
                "as_of": report.as_of,
                "code_version": report.code_version,
                "run_id": run_id,
                "content": content,
                "content_sha256": hashlib.sha256(content.encode()).digest(),
                "kept_because": kept_because,
            },
        )
        cursor.executemany(
            query("insert_report_cell"),
            [
                {**row, "selection": None if (asked := row["selection"]) is None else Jsonb(asked)}
                for row in _rows(report, snapshot_id)
            ],
        )


def _rows(report: Report, snapshot_id: UUID) -> list[dict[str, Any]]:
    """A row of reports.cell for every cell."""
    shown_in = {cell.cell_id: table.table_id for table in report.tables for cell in table.cells()}
    return [
        _row(cell, report, snapshot_id, shown_in.get(cell.cell_id, ""))
        for cell in report.cells().values()
    ]


def _row(cell: Cell, report: Report, snapshot_id: UUID, table_id: str) -> dict[str, Any]:
    is_figure = isinstance(cell.value, Decimal)
    return {
        "snapshot_id": snapshot_id,
        "organization_id": report.organization_id,
        "cell_id": cell.cell_id,
        "table_id": table_id,
        "value": cell.value if is_figure else None,
        "text_value": None if is_figure else cell.value,
        "unit": cell.unit,
        "operation": cell.operation,
        "concept": cell.concept,
        "datapoint": cell.datapoint,
        "year": cell.year,
        "selection": None if cell.selection is None else cell.selection.as_text(),
        "inputs": list(cell.inputs),
        "entries": cell.entries,
    }


def find_snapshots(
    conn: Connection,
    *,
    report: str,
    fiscal_year: int | None = None,
    organization: str | None = None,
    profile: str | None = None,
) -> list[Snapshot]:
    """Snapshots of a report, the newest first."""
    with conn.cursor(row_factory=class_row(Snapshot)) as cursor:
        return cursor.execute(
            query("report_snapshots"),
            {
                "report": report,
                "fiscal_year": fiscal_year,
                "organization": organization,
                "profile": profile,
            },
        ).fetchall()


def kept_at(conn: Connection, report: str, fiscal_year: int, profile: str) -> dict[str, datetime]:
    """When each organization's newest snapshot of a report and year was kept."""
    found = conn.execute(
        query("latest_report_snapshots"),
        {"report": report, "fiscal_year": fiscal_year, "profile": profile},
    ).fetchall()
    return {organization: recorded_at for organization, _, recorded_at in found}


def read_snapshot(conn: Connection, snapshot_id: UUID) -> Snapshot:
    """One snapshot; ConfigurationError `unknown_snapshot`, or `snapshot_retired` with how to make
    it again.
    """
    with conn.cursor(row_factory=class_row(Snapshot)) as cursor:
        found = cursor.execute(query("report_snapshot"), {"snapshot_id": snapshot_id}).fetchone()
    if found is None:
        gone = conn.execute(query("retired_snapshot"), {"snapshot_id": snapshot_id}).fetchone()
        if gone is not None:
            report, organization, year, as_of, sha256, retired_at = gone
            raise ConfigurationError(
                "snapshot_retired",
                f"{report} {snapshot_id} of {organization} was retired at {retired_at.isoformat()}"
                f"; `carbon report {report.replace('_', '-')} --year {year} --organization "
                f"{organization} --as-of {as_of.isoformat()}` makes it again"
                + ("" if sha256 is None else f", SHA-256 {sha256.hex()}"),
            )
        raise ConfigurationError(
            "unknown_snapshot",
            f"there is no report {snapshot_id}; `carbon report list` names those that are kept",
        )
    return found


def kept_cells_differ(conn: Connection, kept: Snapshot) -> list[str]:
    """Cells of a kept report that are not those of its text, in words.

    Raises BrokenInvariant `snapshot_changed` if the text itself is not what its hash says.
    """
    said = {row["cell_id"]: row for row in _rows(kept.opened(), kept.snapshot_id)}
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query("snapshot_cells"), {"snapshot_id": kept.snapshot_id})
        rows = {row["cell_id"]: row for row in found}
    return [
        f"cell {cell_id} is kept as {_told(rows.get(cell_id))}, the text has "
        f"{_told(said.get(cell_id))}"
        for cell_id in sorted({*said, *rows})
        if said.get(cell_id) != rows.get(cell_id)
    ]


def _told(row: dict[str, Any] | None) -> str:
    if row is None:
        return "nothing"
    return f"{row['value'] if row['text_value'] is None else row['text_value']} {row['unit']}"


def gross_faults(conn: Connection, snapshot_id: UUID) -> list[str]:
    """Where gross figures of a kept report are not the sums of its entries, by plain SQL.

    It shares nothing with the cells' own way: entries of the year as known at the report's moment,
    by scope, category and basis, beside the cells of those names.
    """
    rows: Sequence[tuple[Any, ...]] = conn.execute(
        query("report_gross_faults"), {"snapshot_id": snapshot_id}
    ).fetchall()
    return [str(what) for (what,) in rows]
