"""A company whose sources are complete but for gaps that are planted, and the list of them.

Belongs here: reference data, entries, and what `carbon completeness` has to say of them. Does not:
how gaps are found.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from carbon_ledger.entries import EntryRow
from carbon_ledger.reference.expected import ControlTotal, ExpectedSource
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.files import Stated
from carbon_ledger.reference.records import Site
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.rows import ensure_month, insert_entries
from tests.support.postgres import Connection, reading

FIRST = date(2024, 1, 1)
END = date(2024, 7, 1)
MONTHS = tuple(date(2024, month, 1) for month in range(1, 7))
# One with a change of clocks in its March, one without.
ZONES = {"site-de": "Europe/Berlin", "site-is": "Atlantic/Reykjavik"}
HOURS = {"site-de": 1, "site-is": 6}
KWH = Decimal("12.5")
CHUNK = 20_000

# kind, subject, begin, and for a control total its difference.
Planted = tuple[str, str, datetime, Decimal | None]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many clean sources of each kind, and how many gaps of each of the four kinds."""

    meters_hourly: int
    meters_six_hourly: int
    vehicles: int
    suppliers: int
    gaps: int


@dataclass(kw_only=True)
class World:
    """The records, the planted gaps, and how many source-months have nothing planted in them."""

    records: list[Record] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)
    clean_source_months: int = 0
    entries: int = 0


def next_month(day: date) -> date:
    return (day + timedelta(days=32)).replace(day=1)


def start(day: date, facility_id: str | None) -> datetime:
    zone = ZoneInfo("UTC" if facility_id is None else ZONES[facility_id])
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def build_world(conn: Connection, sizes: Sizes, seed: int) -> World:
    """Stores the world in a fresh ledger."""
    world = World()
    rows: list[EntryRow] = []
    for month in MONTHS:
        ensure_month(conn, month)
    ensure_month(conn, date(2023, 12, 1))
    for row in _rows(world, sizes, random.Random(seed)):
        rows.append(row)
        if len(rows) == CHUNK:
            insert_entries(conn, rows)
            world.entries += len(rows)
            rows.clear()
    insert_entries(conn, rows)
    world.entries += len(rows)
    stated = [Stated(record=one, file="world.yaml") for one in world.records]
    apply_statements(conn, stated, source="world.yaml", source_sha256=bytes(32))
    conn.commit()
    return world


def _rows(world: World, sizes: Sizes, rng: random.Random) -> Iterator[EntryRow]:
    for facility_id, zone in ZONES.items():
        country = "DE" if facility_id == "site-de" else "IS"
        world.records.append(
            Site(
                facility_id=facility_id,
                organization_id="acme",
                country_iso2=country,
                time_zone=zone,
            )
        )
    for number in range(sizes.meters_hourly):
        yield from _meter(world, f"m1-{number}", "site-de", None, rng)
    for number in range(sizes.meters_six_hourly):
        yield from _meter(world, f"m6-{number}", "site-is", None, rng)
    for number in range(sizes.gaps):
        plan = ("silent", "hole")[number % 2]
        yield from _meter(world, f"gap-{number}", "site-is", plan, rng)
        yield from _meter(world, f"invoice-{number}", "site-is", "invoice", rng)
        yield from _file(world, number, rng)
        yield from _supplier(world, f"late-{number}", rng.choice(MONTHS))
    for number in range(sizes.vehicles):
        yield from _vehicle(world, f"v-{number}", rng)
    for number in range(sizes.suppliers):
        yield from _supplier(world, f"s-{number}", None)


def _meter(
    world: World, name: str, facility_id: str, plan: str | None, rng: random.Random
) -> Iterator[EntryRow]:
    """A meter read in every interval, with an invoice for every month; one month is spoilt."""
    length = timedelta(hours=HOURS[facility_id])
    world.records.append(
        ExpectedSource(
            stream="iot_energy",
            source_id=name,
            facility_id=facility_id,
            every="interval",
            interval_seconds=int(length.total_seconds()),
            valid_from=FIRST,
            valid_to=END,
        )
    )
    spoilt = rng.choice(MONTHS) if plan else None
    for month in MONTHS:
        begin, end = start(month, facility_id), start(next_month(month), facility_id)
        count = (end - begin) // length
        left_out: range = range(0)
        stated = KWH * count
        if month == spoilt and plan == "silent":
            left_out = range(count)
            world.planted.append(("silent_source", name, begin, None))
        elif month == spoilt and plan == "hole":
            first = rng.randrange(count - 8)
            left_out = range(first, first + rng.randrange(1, 8))
            world.planted.append(("missing_slots", name, begin + first * length, None))
        elif month == spoilt and plan == "invoice":
            stated = KWH * (count + rng.choice((-40, -3, 3, 40)))
            world.planted.append(
                ("control_differs", f"{name}-{month:%m}", begin, KWH * count - stated)
            )
        else:
            world.clean_source_months += 1
        if not left_out:
            # Within the tolerance of 1 %.
            stated += 0 if month == spoilt else KWH * rng.choice((-1, 0, 1))
            world.records.append(_invoice(f"{name}-{month:%m}", name, month, stated))
        for n in range(count):
            if n not in left_out:
                yield _reading(name, facility_id, begin + n * length, length)


def _invoice(control_id: str, meter_id: str, month: date, stated: Decimal) -> ControlTotal:
    return ControlTotal(
        control_id=control_id,
        kind="invoice",
        stream="iot_energy",
        source_id=meter_id,
        facility_id="site-de" if meter_id.startswith("m1-") else "site-is",
        # Invoices of one site are in MWh.
        quantity=stated / 1000 if meter_id.startswith("m1-") else stated,
        unit="MWh" if meter_id.startswith("m1-") else "kWh",
        tolerance_pct=Decimal(1),
        valid_from=month,
        valid_to=next_month(month),
    )


def _reading(name: str, facility_id: str, begin: datetime, length: timedelta) -> EntryRow:
    return reading(
        organization_id="acme",
        source_ref=name,
        facility_id=facility_id,
        occurred_from=begin,
        occurred_to=begin + length,
        local_date=begin.astimezone(ZoneInfo(ZONES[facility_id])).date(),
        quantity=KWH,
    )


def _file(world: World, number: int, rng: random.Random) -> Iterator[EntryRow]:
    """Three suppliers whose declarations come in one file a month; one month's file is lost."""
    series, lost = f"drop-{number}", rng.choice(MONTHS)
    world.planted.append(("lost_file", series, start(lost, None), None))
    for member in range(3):
        yield from _supplier(world, f"{series}-{member}", None, series, lost)


def _supplier(
    world: World,
    name: str,
    missing: date | None,
    series: str | None = None,
    lost: date | None = None,
) -> Iterator[EntryRow]:
    """A supplier that declares every month."""
    world.records.append(
        ExpectedSource(
            stream="supplier",
            source_id=name,
            every="month",
            grace_days=45,
            arrives_in=series,
            valid_from=FIRST,
            valid_to=END,
        )
    )
    for month in MONTHS:
        if month == missing:
            world.planted.append(("missing_month", name, start(month, None), None))
        elif month != lost:
            world.clean_source_months += 1
            yield _activity("supplier", name, start(month, None), start(next_month(month), None))


def _vehicle(world: World, name: str, rng: random.Random) -> Iterator[EntryRow]:
    """A vehicle that makes a trip on every day."""
    world.records.append(
        ExpectedSource(
            stream="transport", source_id=name, every="day", valid_from=FIRST, valid_to=END
        )
    )
    world.clean_source_months += len(MONTHS)
    for n in range((END - FIRST).days):
        begin = start(FIRST + timedelta(days=n), None) + timedelta(hours=rng.randrange(20))
        yield _activity("transport", name, begin, begin + timedelta(hours=rng.randrange(1, 3)))


def _activity(stream: str, name: str, begin: datetime, end: datetime) -> EntryRow:
    changes: dict[str, Any] = {"stream": stream, "source_ref": name, "organization_id": "acme"}
    return reading(
        activity_ref=f"{stream}:{name}@{begin:%Y-%m-%dT%H:%M}",
        occurred_from=begin,
        occurred_to=end,
        local_date=begin.date(),
        **changes,
    )
