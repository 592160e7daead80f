"""Asks PostgreSQL what follows from what: reversals, the list of events, windows, whole digits, and
the reports that reported periods bind.

Belongs here: one question each, and where the answer differs. Does not: hashes.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import psycopg

from verifier.connection import Connection, query
from verifier.findings import Report

_SERIES: Final = (
    *("organization_id", "facility_id", "country_iso2", "window_start", "local_date", "scope"),
    *("category", "basis", "activity_type", "unit"),
)
_KEYS: Final = ", ".join(_SERIES)


def check_digits(connection: Connection, report: Report) -> None:
    """No figure of an entry stores digits beyond its scale, which its text and its hash lack."""
    for entry, columns in _ask(connection, "hidden_digits"):
        message = f"column: {columns}; it stores more digits than it shows"
        report.add("entry_altered", "ledger.entry", message, entry_id=entry)


def check_bound_reports(connection: Connection, report: Report) -> None:
    """Reports that a reported period binds are there, and are text by text and cell by cell what
    the period was decided on.
    """
    rows = _ask(connection, "bound_reports")
    report.looked_at["periods that bind reports"] = len(rows)
    for organization, period, decision, agreed, named, kept, now, altered in rows:
        if named != kept:
            message = f"it binds {named} reports, {kept} of them are there"
        elif now != agreed:
            told = f"; the text of {altered} is not of its own hash" if altered else ""
            message = f"the reports it binds hash to {now}, agreed was {agreed}{told}"
        else:
            continue
        report.add(
            "report_altered",
            "ledger.period_decision",
            message,
            decision_id=decision,
            organization_id=organization,
            period=period,
        )


def check_reversals(connection: Connection, report: Report) -> None:
    """Each reversal has its entry, its row in ledger.reversal, and the opposite figures."""
    for reversal, said, reverses, is_no_entry, is_no_row in _ask(connection, "reversals"):
        if is_no_entry:
            message = f"it is listed as the reversal of {said}, and there is no such entry"
        elif is_no_row:
            message = f"it takes back {reverses}, and ledger.reversal does not have it"
        else:
            message = f"it takes back {reverses}; ledger.reversal says {said}, or another time"
        _unpaired(report, "ledger.reversal", reversal, message)
    rows = _ask(connection, "not_cancelling")
    for reversal, entry, is_missing, is_reversal, cancels, gases, negative in rows:
        if is_missing:
            _unpaired(
                report, "ledger.entry", reversal, f"it takes back {entry}, which is not there"
            )
        elif is_reversal:
            _unpaired(report, "ledger.entry", reversal, f"it takes back {entry}, itself a reversal")
        elif not cancels or not _gases_cancel(gases, negative):
            _unpaired(
                report, "ledger.entry", reversal, f"its figures do not cancel those of {entry}"
            )
    for entry, count in _ask(connection, "reversed_twice"):
        message = f"{count} entries take it back"
        report.add("reversal_unpaired", "ledger.entry", message, entry_id=entry)


def _unpaired(report: Report, table: str, reversal: str, message: str) -> None:
    report.add("reversal_unpaired", table, message, entry_id=reversal)


def _gases_cancel(gases: str | None, negative: str | None) -> bool:
    try:
        one, other = json.loads(gases or "{}"), json.loads(negative or "{}")
        names = {*one, *other}
        return all(Decimal(one[name]) == Decimal(other[name]).copy_negate() for name in names)
    except (ValueError, TypeError, KeyError, InvalidOperation):
        return False


def check_identities(connection: Connection, report: Report) -> None:
    """The list of events has the event of each entry, and no event without its entry."""
    ((missing, difference),) = _ask(connection, "identities")
    if missing:
        for event_id, entry_id in _ask(connection, "identities_missing"):
            report.add(
                "identity_missing",
                "ledger.event_identity",
                "the list of events does not have the event of this entry",
                event_id=event_id,
                entry_id=entry_id,
            )
    if difference:
        for event_id, entry_id in _ask(connection, "identities_altered"):
            report.add(
                "identity_altered",
                "ledger.event_identity",
                f"its entry {entry_id} is not there, or is of another event or record",
                event_id=event_id,
            )


def check_windows(connection: Connection, report: Report) -> None:
    """Each window is the sum of its entries: quantity, kgCO2e and both counts."""
    for row in _differences(
        connection, report, "windows", "window_differs", "windows.five_minute_delta"
    ):
        key = dict(zip(_SERIES, row, strict=False))
        quantity, kgco2e, entries, lines = row[len(_SERIES) :]
        report.add(
            "window_differs",
            "windows.five_minute_delta",
            f"entries have {quantity:+f} {key['unit']}, {kgco2e:+f} kgCO2e, {entries:+d} standing,"
            f" {lines:+d} lines against it",
            window_start=key["window_start"].isoformat(),
            **{name: key[name] for name in ("organization_id", "facility_id", "activity_type")},
        )


def check_sums(connection: Connection, report: Report) -> None:
    """Each sum by day and by month is that of its lines, as far as lines are summed."""
    for name, table in (("day_sums", "windows.day_sum"), ("month_sums", "windows.month_sum")):
        for organization, *of, kgco2e, entries in _differences(
            connection, report, name, "sum_differs", table
        ):
            report.add(
                "sum_differs",
                table,
                f"entries have {kgco2e:+f} kgCO2e, {entries:+d} standing against it",
                organization_id=organization,
                of=" ".join(str(part) for part in of if part),
            )


def _differences(
    connection: Connection, report: Report, name: str, code: str, table: str
) -> list[tuple[Any, ...]]:
    """Rows of a question about sums; where figures make no sum, that is the finding."""
    try:
        return _ask(connection, name)
    except psycopg.DataError as error:
        reason = " ".join(str(error).split())
        report.add(code, table, f"no sum can be made: {reason}")
        return []


def _ask(connection: Connection, name: str) -> list[tuple[Any, ...]]:
    """Rows of a question; a failing one leaves the snapshot usable."""
    with connection.transaction():
        return connection.execute(query(name)).fetchall()
