"""Made-up meter readings that look like real ones: sixty plants, twenty-five countries.

Belongs here: the plants, their load by hour and weekday, and the readings of a run, as pure
functions of a seed and a time. Does not: sending (scripts/load_demo_data.py).

Places, calendars and grids are real; plants, loads and intensities are invented. Every run has
meters of its own, so that readings of two runs are never one activity told twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.reference.records import Site, zone_of
from pipeline.sources.company_reference import ORGANIZATION

STEP: Final = timedelta(minutes=5)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# country, region, time zone, plants there, gCO2/kWh around which the meters' own figure wavers.
PLACES: Final[tuple[tuple[str, str | None, str, int, int], ...]] = (
    ("AT", None, "Europe/Vienna", 2, 120),
    ("AU", "AU-NSW-ACT", "Australia/Sydney", 1, 620),
    ("AU", "AU-SA", "Australia/Adelaide", 1, 250),
    ("BR", None, "America/Sao_Paulo", 3, 100),
    ("CA", "CA-AB", "America/Edmonton", 1, 480),
    ("CA", "CA-ON", "America/Toronto", 1, 60),
    ("CH", None, "Europe/Zurich", 1, 40),
    ("CL", None, "America/Santiago", 1, 270),
    ("CN", "CN-GD", "Asia/Shanghai", 2, 480),
    ("CN", "CN-SH", "Asia/Shanghai", 1, 580),
    ("CZ", None, "Europe/Prague", 2, 420),
    ("DE", None, "Europe/Berlin", 4, 340),
    ("ES", None, "Europe/Madrid", 3, 150),
    ("FR", None, "Europe/Paris", 3, 45),
    ("GB", None, "Europe/London", 3, 210),
    ("IN", None, "Asia/Kolkata", 3, 700),
    ("IT", None, "Europe/Rome", 3, 290),
    ("JP", None, "Asia/Tokyo", 3, 480),
    ("KR", None, "Asia/Seoul", 2, 420),
    ("MX", None, "America/Mexico_City", 2, 480),
    ("NL", None, "Europe/Amsterdam", 2, 260),
    ("NO", None, "Europe/Oslo", 1, 30),
    ("PL", None, "Europe/Warsaw", 3, 640),
    ("SE", None, "Europe/Stockholm", 2, 35),
    ("TR", None, "Europe/Istanbul", 1, 460),
    ("US", "US-CA", "America/Los_Angeles", 2, 210),
    ("US", "US-OH", "America/New_York", 1, 500),
    ("US", "US-TX", "America/Chicago", 2, 380),
    ("VN", None, "Asia/Ho_Chi_Minh", 2, 520),
    ("ZA", None, "Africa/Johannesburg", 2, 720),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Industry:
    """A kind of plant: connected load, and its use in per mille by local hour and at weekends."""

    name: str
    load_kw: int
    by_hour: tuple[int, ...]
    weekend: int
    supply: str | None
    supply_kw: int


def _hours(night: int, day: int, evening: int) -> tuple[int, ...]:
    return (night,) * 6 + (day,) * 12 + (evening,) * 4 + (night,) * 2


INDUSTRIES: Final[tuple[Industry, ...]] = (
    Industry(
        name="Steelworks",
        load_kw=18_000,
        by_hour=_hours(820, 900, 860),
        weekend=950,
        supply=None,
        supply_kw=0,
    ),
    Industry(
        name="Car assembly",
        load_kw=9_500,
        by_hour=_hours(280, 880, 760),
        weekend=330,
        supply="solar",
        supply_kw=2_400,
    ),
    Industry(
        name="Dairy",
        load_kw=2_600,
        by_hour=_hours(520, 840, 610),
        weekend=800,
        supply="gas",
        supply_kw=900,
    ),
    Industry(
        name="Data centre",
        load_kw=12_000,
        by_hour=_hours(880, 930, 910),
        weekend=980,
        supply=None,
        supply_kw=0,
    ),
    Industry(
        name="Paper mill",
        load_kw=15_000,
        by_hour=_hours(900, 930, 910),
        weekend=960,
        supply="biomass",
        supply_kw=3_000,
    ),
    Industry(
        name="Distribution centre",
        load_kw=950,
        by_hour=_hours(220, 780, 430),
        weekend=420,
        supply="solar",
        supply_kw=700,
    ),
    Industry(
        name="Chemical works",
        load_kw=21_000,
        by_hour=_hours(910, 940, 920),
        weekend=990,
        supply="wind",
        supply_kw=6_000,
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plant:
    """One plant: its site, what it makes, its size against others of its kind, its grid."""

    site: Site
    industry: Industry
    size: int
    intensity: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Meter:
    """One meter of a plant for one run. `intensity` in gCO2/kWh, None if it does not tell."""

    sensor_id: str
    plant: Plant
    source: str
    interval: timedelta
    load_kw: int
    intensity: int | None


def plants() -> tuple[Plant, ...]:
    """The sixty plants, always the same."""
    found: list[Plant] = []
    for country, region, time_zone, count, intensity in PLACES:
        for _ in range(count):
            number = len(found)
            industry = INDUSTRIES[number % len(INDUSTRIES)]
            within = sum(one.site.country_iso2 == country for one in found) + 1
            site = Site(
                facility_id=f"demo-{country.lower()}-{within:02}",
                organization_id=ORGANIZATION,
                country_iso2=country,
                region=region,
                time_zone=time_zone,
                name=f"{industry.name} {country} {within}",
            )
            size = 60 + 37 * number % 90
            found.append(Plant(site=site, industry=industry, size=size, intensity=intensity))
    return tuple(found)


def meters(run: str) -> tuple[Meter, ...]:
    """The meters of a run: the grid connection of every plant, and what some make on site."""
    found = []
    for number, plant in enumerate(plants()):
        every = STEP if number % 2 else 3 * STEP
        kinds = [("grid", plant.industry.load_kw, plant.intensity if number % 3 else None)]
        if plant.industry.supply is not None and number % 4 != 1:
            kinds.append((plant.industry.supply, plant.industry.supply_kw, None))
        for source, load_kw, intensity in kinds:
            found.append(
                Meter(
                    sensor_id=f"{plant.site.facility_id}.{source}.{run}",
                    plant=plant,
                    source=source,
                    interval=every if source == "grid" else 3 * STEP,
                    load_kw=load_kw * plant.size // 100,
                    intensity=intensity,
                )
            )
    return tuple(found)


def run_name(begun: datetime) -> str:
    """A run is named after the microsecond it began in."""
    return begun.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")


def readings(
    of: Sequence[Meter], count: int, until: datetime, seed: int
) -> Iterator[IoTEnergyEvent]:
    """The last `count` readings of the meters before `until`, oldest first, the same for a seed.

    Intervals are aligned to the clock; the last ones end at or before `until`.
    """
    last = (until - EPOCH) // STEP
    steps, planned = 0, 0
    while planned < count:
        steps += 1
        planned += len(_due(of, last - steps + 1))
    surplus = planned - count
    for step in range(last - steps + 1, last + 1):
        for meter in _due(of, step)[surplus:] if step == last - steps + 1 else _due(of, step):
            yield _reading(meter, EPOCH + step * STEP - meter.interval, seed)


def _due(of: Sequence[Meter], step: int) -> list[Meter]:
    """The meters with an interval that ends at `step`, in five minutes since 1970."""
    return [meter for meter in of if step % (meter.interval // STEP) == 0]


def _reading(meter: Meter, start: datetime, seed: int) -> IoTEnergyEvent:
    chance = Random(f"{seed}|{meter.plant.site.facility_id}|{meter.source}|{start.isoformat()}")  # noqa: S311
    local = start.astimezone(zone_of(meter.plant.site.time_zone))
    share = _share(meter, local, chance)
    seconds = int(meter.interval.total_seconds())
    watt_hours = meter.load_kw * share * seconds // 3600
    wavering = chance.randint(-80, 80)
    return IoTEnergyEvent(
        sensor_id=meter.sensor_id,
        facility_id=meter.plant.site.facility_id,
        country_iso2=meter.plant.site.country_iso2,
        energy_kwh=Decimal(watt_hours).scaleb(-3),
        energy_source="grid_mix" if meter.source == "grid" else meter.source,
        grid_carbon_intensity_gco2_kwh=None
        if meter.intensity is None
        else Decimal(meter.intensity * (1000 + wavering)).scaleb(-3),
        timestamp=start,
        region=meter.plant.site.region,
        interval_seconds=seconds,
    )


def _share(meter: Meter, local: datetime, chance: Random) -> int:
    """Use of the connected load, in per mille, at a local time."""
    if meter.source == "solar":
        height = math.sin(math.pi * (local.hour + local.minute / 60 - 6) / 12)
        return max(0, int(1000 * height * chance.uniform(0.45, 0.95)))
    if meter.source == "wind":
        return int(1000 * chance.betavariate(2, 4))
    share = meter.plant.industry.by_hour[local.hour] * chance.randint(930, 1070) // 1000
    return share * meter.plant.industry.weekend // 1000 if local.weekday() >= 5 else share
