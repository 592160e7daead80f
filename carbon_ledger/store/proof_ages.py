"""How old the latest seal and the latest reports are.

Belongs here: those ages, for whoever watches the ledger. Does not: seals themselves
(carbon_ledger.store.seals), reports (carbon_ledger.store.report_snapshots).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from psycopg.rows import class_row

from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection


@dataclass(frozen=True, kw_only=True)
class ReportAge:
    """Since how many seconds the latest report of an organization and fiscal year is there."""

    report: str
    organization_id: str
    fiscal_year: int
    seconds: Decimal


@dataclass(frozen=True, kw_only=True)
class ProofAges:
    """`seal_seconds`: None while nothing is sealed. `reports` are those the connection sees."""

    seal_seconds: Decimal | None
    sealed_entries: int
    reports: tuple[ReportAge, ...]


def proof_ages(conn: Connection) -> ProofAges:
    """As of now, by the database's clock."""
    row = conn.execute(query("seal_age")).fetchone()
    with conn.cursor(row_factory=class_row(ReportAge)) as cursor:
        reports = cursor.execute(query("report_ages")).fetchall()
    seconds, entries = (None, 0) if row is None else row
    return ProofAges(seal_seconds=seconds, sealed_entries=entries, reports=tuple(reports))
