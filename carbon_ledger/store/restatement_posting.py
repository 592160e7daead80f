"""The one transaction that posts a month of a restatement, and the comparison with its preview.

Belongs here: reversals, new entries, their identities and the row that says the month is posted.
Does not: previews and approvals (carbon_ledger.store.restatements), computing lines
(spark.restate_plan).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

import psycopg

from carbon_ledger.entries import EntryRow, reversal_of, sealed
from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.failpoints import failpoint
from carbon_ledger.restatement import person
from carbon_ledger.store.connect import query
from carbon_ledger.store.restatements import PlannedLine, PlannedMonth, ledger_moved
from carbon_ledger.store.rows import Connection, begin_writing, make_months_aside, post_entries


@dataclass(frozen=True, kw_only=True)
class PostedMonth:
    """A month that is posted; `was_posted`: it was so before."""

    month: date
    entries: int
    delta_kgco2e: Decimal
    was_posted: bool


def planned_month(
    conn: Connection, restatement_id: int, month: date
) -> tuple[PlannedMonth, bool] | None:
    """What was previewed of a month and whether it is posted; None if it has no part in it."""
    row = conn.execute(
        query("restatement_month"), {"restatement_id": restatement_id, "month": month}
    ).fetchone()
    if row is None:
        return None
    planned = PlannedMonth(month=month, entries=row[0], delta_kgco2e=row[1], digest=row[2])
    return planned, bool(row[3])


def post_month(
    conn: Connection,
    restatement_id: int,
    planned: PlannedMonth,
    lines: Sequence[PlannedLine],
    *,
    cause: str,
    by: str,
) -> PostedMonth:
    """Reversals and new entries of one month, in one transaction that is committed here.

    `lines` are recomputed and have the month's digest. What is posted is compared with the preview
    line by line before the commit. Raises RejectedRecord `ledger_moved` if somebody else corrected
    one of the entries at the same moment, BrokenInvariant `restatement_differs`.
    """
    news = [line.new for line in lines if line.new is not None]
    make_months_aside(conn, {row.activity_month for row in news})
    try:
        with conn.transaction():
            recorded_at = begin_writing(conn)
            conn.execute(
                query("insert_restatement_posting"),
                {
                    **vars(planned),
                    "restatement_id": restatement_id,
                    "recorded_at": recorded_at,
                    "posted_by": person(by),
                },
            )
            rows = [sealed(replace(row, recorded_at=recorded_at)) for row in news]
            _claim(conn, rows)
            backs = [
                reversal_of(line.change.old, recorded_at=recorded_at, cause=cause)
                for line in lines
                if line.change.old is not None
            ]
            post_entries(conn, [*backs, *rows], recorded_at=recorded_at, kind="restatement")
            _check_posted(conn, restatement_id, planned, recorded_at)
            failpoint("restatement_posted")
    except psycopg.errors.UniqueViolation as error:
        again = planned_month(conn, restatement_id, planned.month)
        if again is not None and again[1]:
            return _posted(planned, was_posted=True)
        raise ledger_moved(
            restatement_id, f"an entry of {planned.month:%Y-%m} was corrected at the same moment"
        ) from error
    failpoint("restatement_committed")
    return _posted(planned, was_posted=False)


def _posted(planned: PlannedMonth, *, was_posted: bool) -> PostedMonth:
    return PostedMonth(
        month=planned.month,
        entries=planned.entries,
        delta_kgco2e=planned.delta_kgco2e,
        was_posted=was_posted,
    )


def _claim(conn: Connection, rows: Sequence[EntryRow]) -> None:
    """Each new line is an event of its own, as a correction by hand is. In the order of the ids, so
    that two writers wait for each other in one direction only.
    """
    with (
        conn.cursor() as cursor,
        cursor.copy(
            "copy ledger.event_identity (event_id, payload_sha256, entry_month, entry_id)"
            " from stdin"
        ) as copy,
    ):
        for row in sorted(rows, key=lambda row: row.event_id):
            copy.write_row((row.event_id, row.payload_sha256, row.activity_month, row.entry_id))


def _check_posted(
    conn: Connection, restatement_id: int, planned: PlannedMonth, recorded_at: datetime
) -> None:
    row = conn.execute(
        query("restatement_posted"),
        {"restatement_id": restatement_id, "month": planned.month, "recorded_at": recorded_at},
    ).fetchone()
    if row != (planned.entries, planned.entries, planned.delta_kgco2e):
        raise BrokenInvariant(
            "restatement_differs",
            f"{planned.month:%Y-%m} of R-{restatement_id}: previewed {planned.entries} lines and "
            f"{planned.delta_kgco2e} kgCO2e, posted (lines, equal ones, kgCO2e) {row}",
        )


def posting_faults(conn: Connection, restatement_id: int) -> list[str]:
    """Every posted month that is not exactly its preview, now."""
    faults = []
    postings = conn.execute(
        query("restatement_postings"), {"restatement_id": restatement_id}
    ).fetchall()
    for month, recorded_at, entries, delta, _ in postings:
        planned = PlannedMonth(month=month, entries=entries, delta_kgco2e=delta, digest=b"")
        try:
            _check_posted(conn, restatement_id, planned, recorded_at)
        except BrokenInvariant as error:
            faults.append(error.message)
    return faults
