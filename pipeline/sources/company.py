"""One made-up company with events of all five streams, as pure functions of a seed.

Belongs here: the history of its fiscal years. Does not: its reference data
(pipeline.sources.company_reference), sending (scripts/load_demo_data.py), what must come of the
events (scripts/demo_truth.py, which shares no code with the ledger).

Grids, currencies and calendars are real; the company, its amounts and its suppliers are invented.
Every number hangs on the seed and on the activity it is of alone, so a year comes out the same
whatever other years are asked for, and ids never change: what is sent twice is ledgered once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.reference.records import zone_of
from pipeline.producers import (
    Event,
    IoTEnergyEvent,
    MeterReadingEvent,
    PurchaseOrderEvent,
    ShipmentEvent,
    SupplierDeclarationEvent,
    VehicleTelemetryEvent,
)
from pipeline.sources.company_reference import (
    BEGIN,
    HOLDING,
    STEEL_SUPPLIER,
    YEARS,
    reference_rows,
)

Fields = dict[str, Any]

_CLASSES: Final[dict[str, type[Event]]] = {
    "iot_energy": IoTEnergyEvent,
    "meter_reading": MeterReadingEvent,
    "transport": VehicleTelemetryEvent,
    "logistics": ShipmentEvent,
    "procurement": PurchaseOrderEvent,
    "supplier": SupplierDeclarationEvent,
}
_TOPICS: Final = {
    "iot_energy": "raw.iot.energy",
    "meter_reading": "raw.iot.energy",
    "transport": "raw.transport",
    "logistics": "raw.logistics",
    "procurement": "raw.procurement",
    "supplier": "raw.supplier",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """An event by the fields of its schema; numbers are decimal text, times ISO 8601 with `Z`.

    `schema` is the stream's name, or `meter_reading` for a reading that is not plain electricity.
    """

    schema: str
    fields: Fields

    @property
    def topic(self) -> str:
        """Where it is sent."""
        return _TOPICS[self.schema]

    @property
    def stream(self) -> str:
        """The stream it arrives in."""
        return "iot_energy" if self.schema == "meter_reading" else self.schema

    def event(self) -> Event:
        """The typed event of a producer."""
        given = dict(self.fields)
        if self.schema == "iot_energy":
            given.setdefault("grid_carbon_intensity_gco2_kwh", None)
        return _CLASSES[self.schema](**given)


def check_years(years: Sequence[int]) -> tuple[int, ...]:
    """The fiscal years asked for, in order, each once; raises ConfigurationError `unknown_year`."""
    wanted = tuple(sorted(set(years)))
    unknown = [str(year) for year in wanted if year not in YEARS]
    if unknown or not wanted:
        valid = " ".join(map(str, YEARS))
        raise ConfigurationError(
            "unknown_year",
            f"--years {' '.join(unknown) or '(none)'}: the company has no history of it; valid: "
            f"{valid}",
        )
    return wanted


def history(seed: int, years: Sequence[int] = YEARS) -> Iterator[Activity]:
    """Every event of the fiscal years, stream by stream, in order of time within a source."""
    for year in check_years(years):
        yield from _power(seed, year)
        yield from _gas_and_sun(seed, year)
        yield from _trips(seed, year)
        yield from _legs(seed, year)
        yield from _purchases(seed, year)
        yield from _declarations(seed, year)


def _chance(seed: int, *what: object) -> Random:
    return Random("|".join(map(str, (seed, *what))))  # noqa: S311 - amounts, no secrets


def _amount(chance: Random, low: int, high: int, places: int) -> str:
    """A number between two, both in the last place, as decimal text."""
    return f"{Decimal(chance.randint(low, high)).scaleb(-places):f}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _local(day: date, zone: str) -> datetime:
    """The moment at which a day of a calendar begins, UTC."""
    return datetime.combine(day, time(), zone_of(zone)).astimezone(UTC)


def _span(first: date, end: date, zone: str) -> Fields:
    begins, ends = _local(first, zone), _local(end, zone)
    return {"timestamp": _utc(begins), "interval_seconds": int((ends - begins).total_seconds())}


def _days(year: int, begin: date) -> Iterator[date]:
    day = max(date(year, 1, 1), begin)
    while day.year == year:
        yield day
        day += timedelta(days=1)


def _months(year: int) -> Iterator[tuple[date, date]]:
    for month in range(1, 13):
        yield (
            date(year, month, 1),
            date(year + 1, 1, 1) if month == 12 else date(year, month + 1, 1),
        )


_PLACES: Final = {row["facility_id"]: row for row in reference_rows()["site"]}
# Site to kWh a day, least and most, in thousandths.
_LOADS: Final = {
    "mer-hamburg": (6_200_000, 9_400_000),
    "mer-leeds": (1_100_000, 2_300_000),
    "mer-ulsan": (14_000_000, 21_500_000),
    "mer-ohio": (3_800_000, 5_900_000),
}


def _power(seed: int, year: int) -> Iterator[Activity]:
    """A reading of each grid connection for every day of its site's calendar."""
    for facility_id, (low, high) in _LOADS.items():
        place = _PLACES[facility_id]
        begin = date.fromisoformat(place.get("valid_from", BEGIN))
        for day in _days(year, begin):
            chance = _chance(seed, facility_id, day)
            fields = {
                "sensor_id": f"{facility_id}.main",
                "facility_id": facility_id,
                "country_iso2": place["country_iso2"],
                "region": place.get("region"),
                "energy_kwh": _amount(chance, low, high, 3),
                "energy_source": "grid",
                **_span(day, day + timedelta(days=1), place["time_zone"]),
            }
            yield Activity(schema="iot_energy", fields=fields)


def _gas_and_sun(seed: int, year: int) -> Iterator[Activity]:
    """The months of Leeds' boiler and of Hamburg's roof.

    The British clock goes back in October, so that its month is an hour longer than 31 days, which
    no interval may be: gas is read by the month of UTC there.
    """
    for first, end in _months(year):
        chance = _chance(seed, "gas", first)
        gas = {
            "sensor_id": "mer-leeds.gas",
            "facility_id": "mer-leeds",
            "country_iso2": "GB",
            "energy_kwh": "0",
            "energy_source": "grid",
            "meter_kind": "gas",
            "scope": 1,
            "quantity": _amount(chance, 21_000, 96_000, 3),
            "unit": "MWh",
            "heating_value": "gross",
            **_span(first, end, "UTC"),
        }
        yield Activity(schema="meter_reading", fields=gas)
        sun = {
            "sensor_id": "mer-hamburg.roof",
            "facility_id": "mer-hamburg",
            "country_iso2": "DE",
            "energy_kwh": _amount(_chance(seed, "sun", first), 9_000, 61_000, 1),
            "energy_source": "solar",
            "meter_kind": "solar",
            # Read at the first midnight of the month there; October's extra hour is November's.
            "timestamp": _utc(_local(first, "Europe/Berlin")),
            "interval_seconds": (end - first).days * 86_400,
        }
        yield Activity(schema="meter_reading", fields=sun)


def _trips(seed: int, year: int) -> Iterator[Activity]:
    """Two trips a week of each lorry, on Tuesdays and Fridays."""
    for day in _days(year, date.fromisoformat(BEGIN)):
        if day.weekday() not in (1, 4):
            continue
        for vehicle in reference_rows()["vehicle"]:
            name = vehicle["vehicle_id"]
            chance = _chance(seed, name, day)
            km = chance.randint(1_800, 6_400)
            fields = {
                "vehicle_id": name,
                "trip_id": f"{day:%Y%m%d}",
                "facility_id": vehicle.get("facility_id"),
                "country_iso2": "DE",
                "vehicle_class": vehicle["vehicle_class"],
                "operator": vehicle["ownership"],
                "fuel_type": "diesel",
                "fuel_litres": f"{Decimal(km * chance.randint(280, 370)).scaleb(-4):f}",
                "distance_km": f"{Decimal(km).scaleb(-1):f}",
                "timestamp": f"{day}T06:00:00Z",
                "interval_seconds": 28_800,
            }
            yield Activity(schema="transport", fields=fields)


# Mode, from, to, km at least and most in tenths, who pays.
_LANES: Final = (
    ("road", "DEHAM", "ATVIE", 10_800, 11_200, "reporter"),
    ("rail", "DEHAM", "ITGOA", 13_100, 13_600, "reporter"),
    ("road", "DEHAM", "FRLIO", 11_300, 11_900, "customer"),
)


# The site that sends what is carried: without one, a leg would be of no company's inventory.
_SHIPPER: Final = "mer-hamburg"


def _legs(seed: int, year: int) -> Iterator[Activity]:
    """A shipment a week on each lane; the first of a month is told twice, first as on its way."""
    for day in _days(year, date.fromisoformat(BEGIN)):
        if day.weekday() != 2:
            continue
        for number, (mode, origin, destination, low, high, payer) in enumerate(_LANES, start=1):
            chance = _chance(seed, "lane", number, day)
            fields: Fields = {
                "shipment_id": f"MER-{day:%Y%m%d}-{number}",
                "leg_id": "1",
                "status": "delivered",
                "mode": mode,
                "carrier_id": "spedition",
                "facility_id": _SHIPPER,
                "origin": origin,
                "destination": destination,
                "mass_kg": _amount(chance, 41_000, 236_000, 1),
                "distance_km": _amount(chance, low, high, 1),
                "distance_kind": "shortest_feasible",
                "payer": payer,
                "timestamp": f"{day}T05:00:00Z",
                "interval_seconds": 108_000,
            }
            if day.day <= 7:
                yield Activity(schema="logistics", fields={**fields, "status": "departed"})
                fields["revision"] = 1
            yield Activity(schema="logistics", fields=fields)


# Supplier: entity, country, currency, classification or account, amount in hundredths, invoices.
_TERMS: Final = {
    STEEL_SUPPLIER: ("meridian-components", "EUR", "naics:331110", (1_500_000, 4_200_000)),
    "SUP_017_KR": ("meridian-korea", "KRW", "naics:334413", (900_000_000, 4_000_000_000)),
    "SUP_008_US": (HOLDING, "USD", "naics:333517", (2_000_000, 9_000_000)),
    "SUP_023_DE": (HOLDING, "EUR", "gl:627100", (400_000, 1_800_000)),
}
_INVOICES: Final = 2


def _steel_tonnes(seed: int, first: date, number: int) -> Decimal:
    """Tonnes of the month's invoice of that number."""
    return Decimal(_chance(seed, "steel", first, number).randint(21_000, 47_000)).scaleb(-3)


def _purchases(seed: int, year: int) -> Iterator[Activity]:
    """An order and two invoices a month of each supplier; Korea credits a part each quarter."""
    countries = {row["supplier_id"]: row["country_iso2"] for row in reference_rows()["supplier"]}
    for first, _ in _months(year):
        for supplier_id, (entity_id, currency, code, (low, high)) in _TERMS.items():
            shared: Fields = {
                "purchase_order_id": f"PO-{supplier_id}-{first:%Y%m}",
                "entity_id": entity_id,
                "supplier_id": supplier_id,
                "supplier_country_iso2": countries[supplier_id],
                "classification": code,
                "currency": currency,
                "is_capital": supplier_id == "SUP_008_US",
                "interval_seconds": 0,
            }
            amounts = [
                _amount(_chance(seed, supplier_id, first, number), low, high, 2)
                for number in range(1, _INVOICES + 1)
            ]
            yield _document(
                shared, "purchase_order", 1, f"{sum(map(Decimal, amounts)):f}", first, day=2
            )
            for number, amount in enumerate(amounts, start=1):
                steel = _steel(seed, first, number) if supplier_id == STEEL_SUPPLIER else {}
                yield _document(
                    {**shared, **steel}, "invoice", number, amount, first, day=6 + 9 * number
                )
            if supplier_id == "SUP_017_KR" and first.month % 3 == 0:
                yield _credit(shared, amounts[0], first)


def _steel(seed: int, first: date, number: int) -> Fields:
    quantity = f"{_steel_tonnes(seed, first, number):f}"
    return {"item_id": "steel-coil", "quantity": quantity, "unit": "t"}


def _document(
    shared: Fields, kind: str, number: int, amount: str, first: date, *, day: int
) -> Activity:
    short = "OR" if kind == "purchase_order" else f"IN{number}"
    fields = {
        **shared,
        "document_id": f"{short}-{shared['supplier_id']}-{first:%Y%m}",
        "document_kind": kind,
        "line_no": 1,
        "order_line_no": number,
        "amount_net": amount,
        "timestamp": f"{first.replace(day=day)}T00:00:00Z",
    }
    return Activity(schema="procurement", fields=fields)


def _credit(shared: Fields, invoiced: str, first: date) -> Activity:
    """An eighth of the first invoice is credited, on the 27th of the same month."""
    credit = _document(shared, "credit_note", 1, f"-{_eighth(invoiced):f}", first, day=27)
    invoice_id = credit.fields["document_id"]
    more = {
        "document_id": f"CR-{shared['supplier_id']}-{first:%Y%m}",
        "corrects": f"{invoice_id}/1",
        "corrects_timestamp": f"{first.replace(day=15)}T00:00:00Z",
    }
    return Activity(schema="procurement", fields={**credit.fields, **more})


def _eighth(amount: str) -> Decimal:
    return (Decimal(amount) / 8).quantize(Decimal("0.01"))


def _declarations(seed: int, year: int) -> Iterator[Activity]:
    """The steel mill's footprint of each month; every third covers three quarters of the coils."""
    for first, end in _months(year):
        bought = sum(
            (_steel_tonnes(seed, first, number) for number in range(1, _INVOICES + 1)), Decimal(0)
        )
        covered = bought * 3 / 4 if first.month % 3 == 0 else bought
        fields = {
            "declaration_id": f"PCF-HRC-{first:%Y%m}",
            "supplier_id": STEEL_SUPPLIER,
            "entity_id": "meridian-components",
            "kind": "product_footprint",
            "product_id": "HRC-3MM",
            "quantity": f"{covered:f}",
            "quantity_unit": "t",
            "unit": "kg",
            "kgco2e_per_unit": _amount(_chance(seed, "pcf", first), 1_450_000, 2_150_000, 6),
            "boundary": "cradle_to_gate",
            "gwp_set": "AR6",
            **_span(first, end, "UTC"),
        }
        yield Activity(schema="supplier", fields=fields)
