"""`carbon completeness`: what was expected of the sources and is not in the ledger.

Belongs here: the period, tables on a terminal, JSON, the exit status. Does not: what is a gap
(carbon_ledger.completeness), reading the ledger (carbon_ledger.store.completeness).
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import click

from carbon_ledger.completeness import Completeness, Gap, SourceMonth
from carbon_ledger.quantities import canonical_text
from carbon_ledger.store.completeness import completeness as ask
from cli.ledger_commands import moment, open_database, table

GAPS_SHOWN = 100
INCOMPLETE, NOTHING_EXPECTED = 1, 2
_PERIOD = re.compile(r"(20[0-9]{2})(?:-(0[1-9]|1[0-2]))?")


class Period(click.ParamType):  # type: ignore[type-arg]
    """A year, `2025`, or a month, `2025-03`."""

    name = "period"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[date, date]:
        if isinstance(value, tuple):
            return value
        match = _PERIOD.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no period; valid is a year or a month: 2025, 2025-03")
        year, month = int(match[1]), match[2]
        if month is None:
            return date(year, 1, 1), date(year + 1, 1, 1)
        first = date(year, int(month), 1)
        return first, date(year + int(month) // 12, int(month) % 12 + 1, 1)


@click.command()
@click.option("--period", type=Period(), help="A year or a month; default: this year so far.")
@click.option("--as-of", metavar="MOMENT", help="What was due by then; default: now.")
@click.option("--json", "as_json", is_flag=True, help="For programs; numbers as exact texts.")
def completeness(period: tuple[date, date] | None, as_of: str | None, as_json: bool) -> None:
    """Compare what was expected with the ledger, and name each gap.

    Expected are the sources and control totals of the reference data (docs/completeness.md). Exit
    status: 0 nothing is missing, 1 something is, 2 nothing was expected, so there is no verdict.

    \b
    carbon completeness --period 2025-03
    carbon completeness --period 2025 --json
    """
    now = datetime.now(UTC)
    begin, end = period or (date(now.year, 1, 1), date(now.year + 1, 1, 1))
    with open_database("READER") as conn:
        found = ask(conn, begin, end, moment(as_of) or now)
    if as_json:
        click.echo(json.dumps(values(found, begin, end), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(told(found, begin, end)))
    if not found.expected and not found.controls:
        sys.exit(NOTHING_EXPECTED)
    sys.exit(0 if found.is_complete else INCOMPLETE)


def told(found: Completeness, begin: date, end: date) -> list[str]:
    """The answer as a person reads it: coverage by stream, then every gap."""
    if not found.expected and not found.controls:
        return [
            f"Nothing is expected in {begin} to {end} (exclusive), so nothing can be missing: "
            "state expected_source and control_total in the reference data."
        ]
    lines = [
        f"{begin} to {end} (exclusive): {shown(found.coverage_pct)} % of {found.expected} slots in "
        f"{sum(1 for one in found.months if one.expected)} source-months, {found.controls} control "
        f"totals, {len(found.gaps)} gaps"
    ]
    streams = sorted({one.source.stream for one in found.months})
    rows = [stream_row(stream, found) for stream in streams]
    if rows:
        heads = ("stream", "sources", "slots due", "there", "missing", "coverage %")
        lines.append(table(heads, rows, 5))
    for gap in found.gaps[:GAPS_SHOWN]:
        lines.append(f"{gap.kind}: {gap.message}")
    if len(found.gaps) > GAPS_SHOWN:
        lines.append(f"… and {len(found.gaps) - GAPS_SHOWN} more; --json has all")
    return lines


def stream_row(stream: str, found: Completeness) -> tuple[object, ...]:
    """What a stream's sources come to."""
    months = tuple(one for one in found.months if one.source.stream == stream)
    part = Completeness(months=months, controls=0, gaps=())
    sources = {one.source.key for one in months}
    missing = part.expected - part.present
    return (
        stream,
        len(sources),
        part.expected,
        part.present,
        missing,
        shown(part.coverage_pct),
    )


def shown(value: Decimal | None) -> str:
    """Two decimals, or a dash where nothing is due."""
    return "-" if value is None else f"{value:.2f}"


def values(found: Completeness, begin: date, end: date) -> dict[str, Any]:
    """The answer as plain values."""
    return {
        "begin": begin.isoformat(),
        "end": end.isoformat(),
        "expected": found.expected,
        "present": found.present,
        "coverage_pct": None if found.coverage_pct is None else f"{found.coverage_pct:.2f}",
        "control_totals": found.controls,
        "gaps_by_kind": dict(sorted(Counter(gap.kind for gap in found.gaps).items())),
        "gaps": [gap_values(gap) for gap in found.gaps],
        "source_months": [month_values(one) for one in found.months if one.expected],
    }


def gap_values(gap: Gap) -> dict[str, Any]:
    """A gap as plain values."""
    numbers = {
        name: None if value is None else canonical_text(value)
        for name, value in (
            ("stated", gap.stated),
            ("found", gap.found),
            ("difference", gap.difference),
        )
    }
    return {
        "kind": gap.kind,
        "stream": gap.stream,
        "subject": gap.subject,
        "facility_id": gap.facility_id,
        "begin": gap.begin.isoformat(),
        "end": gap.end.isoformat(),
        "missing": gap.missing,
        "sources": list(gap.sources),
        **numbers,
        "unit": gap.unit,
        "message": gap.message,
    }


def month_values(one: SourceMonth) -> dict[str, Any]:
    """A source-month as plain values."""
    return {
        "stream": one.source.stream,
        "source_id": one.source.source_id,
        "facility_id": one.source.facility_id,
        "month": f"{one.month:%Y-%m}",
        "expected": one.expected,
        "present": one.present,
    }
