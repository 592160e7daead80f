"""Calendars of companies by which something is due at a moment of a test's choice."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta

from carbon_ledger.reference.files import parse
from carbon_ledger.store.reference import apply_statements
from tests.support.postgres import LedgerDatabase


def calendar(organization: str, moment: datetime, *names: str) -> str:
    """Statements by which what `names` name became due at `moment`, and nothing else did."""
    lines = []
    for name in names:
        when = f"due_time: '{moment:%H:%M}', weekend: none, time_zone: UTC"
        day = f"valid_from: {moment:%Y-%m-%d}, valid_to: {moment + timedelta(days=1):%Y-%m-%d}"
        if name.startswith("annual"):
            place = f"due_day: {moment:%m-%d}"
        else:
            place = f"working_day: {month_due(moment)[1]}"
        lines.append(
            f"  - {{organization_id: {organization}, schedule: {name}, {place}, {when}, {day}}}"
        )
    return "report_schedule:\n" + "\n".join(lines) + "\n"


def month_due(moment: datetime) -> tuple[datetime, int]:
    """A month that may be due then: its first day, and on which working day, if all are."""
    begin = moment.replace(day=1, hour=0, minute=0)
    if moment.day <= 20:
        return (begin - timedelta(days=1)).replace(day=1), moment.day
    end = (begin + timedelta(days=32)).replace(day=1)
    return begin, (moment.date() - end.date()).days


def state(database: LedgerDatabase, text: str) -> None:
    stated = parse({"calendar.yaml": text})
    assert not stated.faults, stated.faults
    with closing(database.writer(autocommit=True)) as conn:
        apply_statements(conn, stated.stated, source="calendar.yaml", source_sha256=bytes(32))
