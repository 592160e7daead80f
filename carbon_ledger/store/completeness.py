"""What the ledger has of each expected source and beside each control total.

Belongs here: the two questions, and the answer put together as of a moment. Does not: what is a gap
(carbon_ledger.completeness), what is expected (reference data).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from carbon_ledger.completeness import (
    NOTHING,
    Completeness,
    Found,
    SourceMonth,
    Span,
    judged,
    midnight,
    months_of,
    source_month,
)
from carbon_ledger.reference.expected import ControlTotal, ExpectedSource
from carbon_ledger.reference.records import zone_of
from carbon_ledger.reference.register import Register
from carbon_ledger.store.connect import query
from carbon_ledger.store.reference import read_register
from carbon_ledger.store.rows import Connection

UTC_ZONE: Final = ZoneInfo("UTC")
# An activity lasts a year at most, so none from before meets the period.
ACTIVITY_DAYS_MAX: Final = 367
READING_DAYS_MAX: Final = 2


def completeness(conn: Connection, begin: date, end: date, as_of: datetime) -> Completeness:
    """What was expected on the local days `[begin, end)` and due at `as_of`, and what is missing.

    As the entries stand now. A reader is answered of the organizations it sees: the reference data
    of expected sources are shown only to who sees all.
    """
    register = read_register(conn)
    months: list[SourceMonth] = []
    for first, last in months_of(begin, end):
        months += _source_months(conn, register, first, last, as_of)
    controls = register.control_totals(begin, end)
    zones = {one.facility_id: _zone(register, one.facility_id, one.valid_from) for one in controls}
    return judged(months, control_sums(conn, controls), zones)


def _zone(register: Register, facility_id: str | None, on: date) -> ZoneInfo:
    site = None if facility_id is None else register.site(facility_id, on)
    return UTC_ZONE if site is None else zone_of(site.time_zone)


def _source_months(
    conn: Connection, register: Register, first: date, last: date, as_of: datetime
) -> list[SourceMonth]:
    """The source-months of one month; a site's calendar is that of the month's first day."""
    sources = register.expected_sources(first, last)
    zones = [_zone(register, one.facility_id, max(first, one.valid_from)) for one in sources]
    covered: dict[int, list[Span]] = {}
    for is_interval, reach in ((True, READING_DAYS_MAX), (False, ACTIVITY_DAYS_MAX)):
        places = [
            place for place, one in enumerate(sources) if (one.every == "interval") is is_interval
        ]
        covered |= covered_spans(conn, sources, zones, places, first, last, reach)
    return [
        source_month(one, first, last, covered.get(place, ()), zones[place], as_of)
        for place, one in enumerate(sources)
    ]


def covered_spans(
    conn: Connection,
    sources: Sequence[ExpectedSource],
    zones: Sequence[ZoneInfo],
    places: Sequence[int],
    first: date,
    last: date,
    reach_days: int,
) -> dict[int, list[Span]]:
    """When the sources at `places` have activities that meet the local days `[first, last)`.

    Of activities that begin at most `reach_days` before.
    """
    if not places:
        return {}
    rows = conn.execute(
        query("completeness_covered"),
        {
            "positions": list(places),
            "streams": [sources[place].stream for place in places],
            "sources": [sources[place].source_id for place in places],
            "facilities": [sources[place].facility_id for place in places],
            "begins": [midnight(first, zones[place]) for place in places],
            "ends": [midnight(last, zones[place]) for place in places],
            "first_month": (first - timedelta(days=reach_days)).replace(day=1),
            # A calendar may be a day ahead of another.
            "last_month": (last + timedelta(days=1)).replace(day=1),
        },
    )
    return {place: [(one.lower, one.upper) for one in spans] for place, spans in rows}


def control_sums(
    conn: Connection, controls: Sequence[ControlTotal]
) -> list[tuple[ControlTotal, Found]]:
    """Each control total with what the ledger has beside it."""
    if not controls:
        return []
    ends = [one.valid_to or one.valid_from for one in controls]
    rows = conn.execute(
        query("completeness_controls"),
        {
            "positions": list(range(len(controls))),
            "streams": [one.stream for one in controls],
            "sources": [one.source_id for one in controls],
            "facilities": [one.facility_id for one in controls],
            "organizations": [one.organization_id for one in controls],
            "activity_types": [one.activity_type for one in controls],
            "firsts": [one.valid_from for one in controls],
            "ends": ends,
            "first_month": min(one.valid_from for one in controls).replace(day=1),
            "last_month": max(ends).replace(day=1),
        },
    )
    sums: dict[int, dict[str, Decimal]] = defaultdict(dict)
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for place, unit, quantity, activities in rows:
        sums[place][unit], counts[place][unit] = quantity, activities
    return [
        (one, Found(sums=sums[place], activities=counts[place]) if place in sums else NOTHING)
        for place, one in enumerate(controls)
    ]
