"""The whole reports that a reported period binds: which they are, and whether they still are.

Belongs here: finding or making the kept reports of a close, their digest, what is not as it was
bound. Does not: who decides (carbon_ledger.store.periods), figures (carbon_ledger.reporting).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from psycopg.rows import class_row

from carbon_ledger.errors import CarbonError, RejectedRecord
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.cdp_profile import CDP_PROFILE
from carbon_ledger.reporting.cdp_profile import NAME as CDP
from carbon_ledger.reporting.esrs_e1 import NAME as ESRS_E1
from carbon_ledger.reporting.esrs_e1 import PROFILE as ESRS_PROFILE
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.report_json import report_to_json
from carbon_ledger.reporting.tables import Report
from carbon_ledger.store.connect import query
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.report_snapshots import (
    gross_faults,
    keep_report,
    kept_cells_differ,
    read_snapshot,
)
from carbon_ledger.store.rows import Connection
from carbon_ledger.version import code_version as code_of_today

RUN: Final = "carbon period close"
# Every report that a reported period binds, how it is made, and by which profile if none is kept.
MAKERS: Final[Mapping[str, Callable[[ReportInputs, str], Report]]] = {ESRS_E1: esrs_e1, CDP: cdp}
PROFILES: Final[Mapping[str, str]] = {ESRS_E1: ESRS_PROFILE, CDP: CDP_PROFILE}


@dataclass(frozen=True, kw_only=True)
class BoundReport:
    """A kept report that a period binds, or may: its id, report, profile and digest (32 bytes)."""

    snapshot_id: UUID
    report: str
    profile: str
    content_sha256: bytes


def reports_as_of(
    conn: Connection, organization: str, fiscal_year: int, as_of: datetime
) -> list[BoundReport]:
    """Kept reports of the year as of exactly that moment, the one kept last first."""
    with conn.cursor(row_factory=class_row(BoundReport)) as cursor:
        return cursor.execute(
            query("period_reports_as_of"),
            {"organization": organization, "fiscal_year": fiscal_year, "as_of": as_of},
        ).fetchall()


def bound_reports(conn: Connection, report_ids: Sequence[UUID]) -> list[BoundReport]:
    """The kept reports of these ids, by report and id."""
    with conn.cursor(row_factory=class_row(BoundReport)) as cursor:
        return cursor.execute(
            query("period_reports_bound"), {"report_ids": list(report_ids)}
        ).fetchall()


def reports_to_bind(
    conn: Connection,
    organization: str,
    fiscal_year: int,
    as_of: datetime,
    given: Sequence[UUID],
    *,
    code_version: str,
) -> list[UUID]:
    """The whole reports that the year binds as of its close: of each report those given, else the
    newest that is kept of exactly that moment, else one that is made and kept now.

    Raises RejectedRecord `no_snapshot` where the year has no entries.
    """
    known = reports_as_of(conn, organization, fiscal_year, as_of)
    named = []
    inputs: ReportInputs | None = None
    for name, make in MAKERS.items():
        of_it = [one.snapshot_id for one in known if one.report == name]
        chosen = [one for one in of_it if one in given] or of_it[:1]
        if not chosen:
            inputs = inputs or _inputs(
                conn, organization, fiscal_year, as_of, code_version=code_version
            )
            chosen = [uuid4()]
            keep_report(conn, make(inputs, PROFILES[name]), snapshot_id=chosen[0], run_id=RUN)
        named += chosen
    return sorted(named)


def digest_of_reports(conn: Connection, report_ids: Sequence[UUID]) -> bytes:
    """SHA-256 of what the database says is kept of these reports (ledger.period_reports)."""
    row = conn.execute(query("period_reports"), {"report_ids": list(report_ids)}).fetchone()
    return hashlib.sha256(str(row[0] if row else "").encode()).digest()


def bound_report_faults(
    conn: Connection, report_ids: Sequence[UUID], digest: bytes | None
) -> list[str]:
    """What is not as it was bound, in words: a text or a cell that was changed; gross figures that
    plain SQL does not add up from the entries; and a report that the code it was made with does not
    make again to the byte (by other code only the first two are looked at).
    """
    if not report_ids:
        return []
    faults = []
    if digest_of_reports(conn, report_ids) != digest:
        faults.append("the reports that it binds are not what two people agreed to")
    for snapshot_id in report_ids:
        try:
            faults += [f"report {snapshot_id}: {one}" for one in _faults(conn, snapshot_id)]
        except CarbonError as error:
            faults.append(f"report {snapshot_id}: {error.message}")
    return faults


def _faults(conn: Connection, snapshot_id: UUID) -> list[str]:
    kept = read_snapshot(conn, snapshot_id)
    found = kept_cells_differ(conn, kept)
    if kept.report == ESRS_E1:
        found += gross_faults(conn, snapshot_id)
    if kept.code_version == code_of_today():
        inputs = _inputs(
            conn,
            kept.organization_id,
            kept.fiscal_year,
            kept.as_of,
            code_version=kept.code_version,
        )
        again = MAKERS[kept.report](inputs, kept.profile)
        if report_to_json(again) != kept.content:
            found.append("made again as of its moment, it is another text")
    return found


def _inputs(
    conn: Connection,
    organization: str,
    fiscal_year: int,
    as_of: datetime,
    *,
    code_version: str,
) -> ReportInputs:
    found = read_report_inputs(
        conn,
        fiscal_year,
        as_of=as_of,
        code_version=code_version,
        organization=organization,
    )
    if not found:
        raise RejectedRecord(
            "no_snapshot",
            f"{organization} has no entries of {fiscal_year} as of its close",
            field="period",
            value=str(fiscal_year),
            valid="a year with entries",
        )
    return found[0]
