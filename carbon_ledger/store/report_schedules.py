"""Which reports are due by what companies state of their calendars, and which were made.

Belongs here: rows of reports.scheduled beside the statements. Does not: moments and working days
(carbon_ledger.organisation.report_calendar), making a report, asking for one (sensors).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from psycopg.rows import class_row

from carbon_ledger.organisation.report_calendar import Due, due_between, next_due
from carbon_ledger.reference.calendars import Holiday, ReportSchedule
from carbon_ledger.reference.records import Entity
from carbon_ledger.reference.register import Register
from carbon_ledger.report_names import REPORTS_OF
from carbon_ledger.store.connect import query
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reference import read_statements
from carbon_ledger.store.rows import Connection

# What was due longer ago and was not made stays unmade: an annual report can be made up for.
CATCH_UP: Final = timedelta(days=400)
FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(9999, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A report that was due and has been made; no snapshot where the year had no entries then."""

    organization_id: str
    schedule: str
    period: str
    report: str
    fiscal_year: int
    due_at: datetime
    snapshot_id: UUID | None
    run_id: str
    code_version: str
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """What one organization states: its schedules and holidays, each in force on its own days, and
    the month in which its fiscal years begin.
    """

    organization_id: str
    schedules: tuple[ReportSchedule, ...]
    holidays: tuple[Holiday, ...]
    first_month: int


def read_calendars(conn: Connection) -> list[Calendar]:
    """The calendars of all organizations that state a schedule, as known now."""
    register = Register(records=read_statements(conn, (ReportSchedule, Holiday, Entity)))
    stated: dict[str, list[ReportSchedule]] = defaultdict(list)
    off: dict[str, list[Holiday]] = defaultdict(list)
    for one in register.report_schedules(FIRST_DAY, LAST_DAY):
        stated[one.organization_id].append(one)
    for other in register.holidays(FIRST_DAY, LAST_DAY):
        off[other.organization_id].append(other)
    return [
        Calendar(
            organization_id=name,
            schedules=tuple(schedules),
            holidays=tuple(off.get(name, ())),
            first_month=register.first_month(name),
        )
        for name, schedules in sorted(stated.items())
    ]


def scheduled_reports(conn: Connection, since: datetime) -> list[Scheduled]:
    """What was due from `since` on and has been made, the latest first."""
    with conn.cursor(row_factory=class_row(Scheduled)) as cursor:
        return cursor.execute(query("scheduled_reports"), {"since": since}).fetchall()


def due_reports(conn: Connection, schedule: str | None = None) -> list[Due]:
    """What was due, made or not, and can be made now: its moment is final.

    The earliest first, not further back than CATCH_UP; `schedule` None is every schedule.
    """
    horizon = knowledge_horizon(conn)
    found = [
        due
        for calendar in read_calendars(conn)
        for due in due_between(
            [one for one in calendar.schedules if schedule in (None, one.schedule)],
            calendar.holidays,
            horizon - CATCH_UP,
            horizon,
            calendar.first_month,
        )
    ]
    return sorted(found, key=lambda due: (due.due_at, due.organization_id, due.schedule))


def missing_reports(conn: Connection, schedule: str | None = None) -> list[Due]:
    """What of `due_reports` was not made, or not with all its reports."""
    due = due_reports(conn, schedule)
    made: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    if due:
        for one in scheduled_reports(conn, due[0].due_at):
            made[one.organization_id, one.schedule, one.period].add(one.report)
    return [
        one
        for one in due
        if not made[one.organization_id, one.schedule, one.period] >= set(REPORTS_OF[one.schedule])
    ]


def coming_reports(conn: Connection) -> list[Due]:
    """What is due next, of every organization and schedule, the earliest first."""
    horizon = knowledge_horizon(conn)
    found = [
        due
        for one in read_calendars(conn)
        for due in next_due(one.schedules, one.holidays, horizon, one.first_month).values()
    ]
    return sorted(found, key=lambda due: (due.due_at, due.organization_id, due.schedule))


def record_scheduled(
    conn: Connection,
    due: Due,
    report: str,
    *,
    snapshot_id: UUID | None,
    run_id: str,
    code_version: str,
) -> bool:
    """Writes down that a report that was due is made; False if it was written down before."""
    done = conn.execute(
        query("insert_scheduled_report"),
        {
            "organization_id": due.organization_id,
            "schedule": due.schedule,
            "period": due.period,
            "report": report,
            "fiscal_year": due.fiscal_year,
            "due_at": due.due_at,
            "snapshot_id": snapshot_id,
            "run_id": run_id,
            "code_version": code_version,
        },
    )
    return done.rowcount == 1
