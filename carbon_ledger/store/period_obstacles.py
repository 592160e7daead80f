"""What stands in the way of closing a period, and as of when it can be closed.

Belongs here: work under way or due, gaps, restatements of the period's organization. Does not: the
codes and which of them two people may accept (carbon_ledger.organisation.period_close), deciding
(carbon_ledger.store.periods).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from carbon_ledger.organisation.fiscal_year import parts_of_period
from carbon_ledger.organisation.period_close import Obstacle, Period, is_over
from carbon_ledger.store.completeness import completeness
from carbon_ledger.store.connect import query
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reference import read_register
from carbon_ledger.store.restatements import list_restatements
from carbon_ledger.store.rows import Connection

# Work that is done within so long is not in the way: the period is closed as of before it.
SETTLED_WITHIN: Final = timedelta(minutes=15)
SHOWN_MAX: Final = 5


def settled_moment(conn: Connection) -> datetime:
    """The latest final moment before which no work is under way that began a short while ago."""
    horizon = knowledge_horizon(conn)
    rows = conn.execute(query("period_work_open"), {"as_of": horizon})
    recent: list[datetime] = [
        since
        for code, since, _ in rows
        if code != "stream_halted" and horizon - since <= SETTLED_WITHIN
    ]
    return min([horizon, *(since - timedelta(microseconds=1) for since in recent)])


def obstacles_of(
    conn: Connection, organization: str, period: Period, as_of: datetime, now: datetime
) -> list[Obstacle]:
    """What stands in the way of closing a period as of a moment, with codes of IN_THE_WAY."""
    found = []
    if not is_over(period, as_of):
        found.append(Obstacle(code="not_over", message=f"{period.text} ends on {period.end_date}"))
    rows = conn.execute(query("period_work_open"), {"as_of": as_of})
    found += [Obstacle(code=code, message=what) for code, _, what in rows]
    return [
        *found,
        *_postings_due(conn, organization, period, as_of),
        *open_restatements(conn, organization, period),
        *_incomplete(conn, organization, period, now),
    ]


def _postings_due(
    conn: Connection, organization: str, period: Period, as_of: datetime
) -> list[Obstacle]:
    """Period postings and supersessions that were still to be made as of the moment."""
    # Of a month the calendar year it is in; of a fiscal year the parts of two that it may have.
    parts = parts_of_period(period.first_date, period.end_date)
    rows = conn.execute(
        query("period_postings_due"),
        {
            "organization": organization,
            "years": [begin.year for begin, _ in parts],
            "begins": [begin if period.is_year else date(begin.year, 1, 1) for begin, _ in parts],
            "ends": [end if period.is_year else date(begin.year + 1, 1, 1) for begin, end in parts],
            "first_date": period.first_date,
            "end_date": period.end_date,
            "as_of": as_of,
        },
    ).fetchall()
    if not rows:
        return []
    text = f"still to be made as of {as_of.isoformat()}: {'; '.join(str(what) for (what,) in rows)}"
    return [Obstacle(code="postings_due", message=text)]


def open_restatements(conn: Connection, organization: str, period: Period) -> list[Obstacle]:
    """Restatements somebody agreed to that have months of the organization's period to post."""
    found = []
    for one in list_restatements(conn):
        months = [
            month for month in one.open_months if period.first_date <= month < period.end_date
        ]
        if not one.approved_by or not months:
            continue
        row = conn.execute(
            query("restatement_is_of"),
            {
                "restatement_id": one.restatement_id,
                "organization": organization,
                "months": months,
            },
        ).fetchone()
        if row is None or row[0]:
            found.append(
                Obstacle(
                    code="restatement_open",
                    message=f"restatement R-{one.restatement_id} ({one.status}) has "
                    f"{len(one.approved_by)} approvals and months of {period.text} to post",
                )
            )
    return found


def _incomplete(
    conn: Connection, organization: str, period: Period, now: datetime
) -> list[Obstacle]:
    """Gaps of the organization's sites, and of sources that are of no site."""
    found = completeness(conn, period.first_date, period.end_date, now)
    register = read_register(conn)
    gaps = []
    for gap in found.gaps:
        site = None if gap.facility_id is None else register.site(gap.facility_id, gap.begin.date())
        if site is None or site.organization_id == organization:
            gaps.append(gap.message)
    if not gaps:
        return []
    more = f", and {len(gaps) - SHOWN_MAX} more" if len(gaps) > SHOWN_MAX else ""
    text = f"{len(gaps)} gaps in {period.text}: {'; '.join(gaps[:SHOWN_MAX])}{more}"
    return [Obstacle(code="incomplete", message=text)]
