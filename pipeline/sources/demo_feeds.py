"""What the demo's sources other than a meter's reading say: telematics, carrier, ERP, supplier.

Belongs here: one run's trips, shipments, orders and declarations in the shapes in which such
sources publish them, and a few of each that no ledger should take, as pure functions of a run. Does
not: serving or sending them (cli.demo), the readings (pipeline.sources.demo).

The company is the one of pipeline.sources.company_reference; its trips, shipments, orders and
declarations are invented. Ids are of the run, so that a second run tells nothing twice.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from carbon_ledger.events import IoTEnergyEvent, iso_utc
from carbon_ledger.quantities import canonical_text
from pipeline.sources.company_reference import STEEL_SUPPLIER, reference_rows

ENTITY: Final = "meridian-components"
ERP_COMPANY: Final = "1010"
ERP_SUPPLIER: Final = "17300001"
TRIP: Final = timedelta(minutes=50)
PAUSE: Final = timedelta(minutes=20)
# So far back the trips of a run go at the most.
TRIPS_SINCE: Final = timedelta(days=5)

Answer = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a provider says of one thing from `share` (0 to 1) of the run on.

    `is_bad`: the ledger cannot take it, and somebody has to be told why.
    """

    key: str
    share: float
    content: Answer
    is_bad: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message on its way into a broker."""

    topic: str
    payload: bytes


# ---- meters, over MQTT


def meter_message(event: IoTEnergyEvent) -> Message:
    """The reading as deploy/sources/mqtt.toml takes it."""
    said: Answer = {
        "at": iso_utc(event.timestamp),
        "kwh": canonical_text(event.energy_kwh),
        "country": event.country_iso2,
        "seconds": event.interval_seconds,
        "source": event.energy_source,
    }
    if event.region is not None:
        said["region"] = event.region
    if event.grid_carbon_intensity_gco2_kwh is not None:
        said["gco2_kwh"] = canonical_text(event.grid_carbon_intensity_gco2_kwh)
    topic = f"plants/{event.facility_id}/meters/{event.sensor_id}/energy"
    return Message(topic=topic, payload=json.dumps(said).encode())


def bad_meter_messages(run: str, begun: datetime, count: int) -> Iterator[Message]:
    """Messages no reading comes of: cut JSON, an amount below zero, no time, and a country for
    which no factor is published (that one only the ledger can see).
    """
    plain = {"at": iso_utc(begun - timedelta(hours=1)), "kwh": "12.5", "country": "DE"}
    for number in range(count):
        said: Answer = {**plain, "seconds": 900}
        if number % 4 == 1:
            said["kwh"] = f"-{number}.5"
        elif number % 4 == 2:
            del said["at"]
        elif number % 4 == 3:
            said["country"] = "AQ"
        payload = json.dumps(said).encode()
        yield Message(
            topic=f"plants/demo-de-01/meters/faulty-{number}.{run}/energy",
            payload=payload[: len(payload) // 2] if number % 4 == 0 else payload,
        )


# ---- vehicles, asked of a telematics provider (samsara_trips)


def vehicles() -> list[dict[str, str]]:
    """The provider's list of what is asked about: a row for each registered lorry."""
    return [
        {
            "samsara_id": str(281_474_976_710_001 + number),
            "vehicle_id": row["vehicle_id"],
            "vehicle_class": row["vehicle_class"],
            "country_iso2": row["country_iso2"],
            "fuel_type": row["fuel"],
            "operator": row["ownership"],
            "facility_id": row.get("facility_id", ""),
        }
        for number, row in enumerate(reference_rows()["vehicle"])
    ]


def trips(begun: datetime, count: int, bad: int, seed: int) -> dict[str, list[Told]]:
    """By the provider's id of a vehicle its trips, oldest first, `bad` of them impossible.

    They end before `begun`, and become known one after the other during the run.
    """
    fleet = [row["samsara_id"] for row in vehicles()]
    each = -(-(count + bad) // len(fleet))
    found: dict[str, list[Told]] = {one: [] for one in fleet}
    for number in range(count + bad):
        vehicle, place = fleet[number % len(fleet)], number // len(fleet)
        chance = Random(f"{seed}|{vehicle}|{place}")  # noqa: S311 - amounts, no secrets
        start = begun - (each - place) * (TRIP + PAUSE)
        start_ms = int(start.timestamp() * 1000)
        metres = chance.randint(18_000, 62_000)
        trip: Answer = {
            "startMs": start_ms,
            "endMs": start_ms + int(TRIP.total_seconds() * 1000),
            "distanceMeters": metres,
            "fuelConsumedMl": metres * chance.randint(280, 370) // 1000,
            "tollMeters": 0,
            "startOdometer": 0,
            "endOdometer": 0,
        }
        is_bad = number >= count
        if is_bad and number % 2:
            trip["distanceMeters"] = -metres
        elif is_bad:
            trip["endMs"] = start_ms - 60_000
        share = (number + 1) / (count + bad)
        key = f"{vehicle}/{start_ms}"
        found[vehicle].append(Told(key=key, share=share, content=trip, is_bad=is_bad))
    return found


# ---- shipments, asked of a carrier (dhl_unified_tracking)

_LANES: Final = (
    ("freight", "DE", "FR"),
    ("express", "DE", "US"),
    ("freight", "PL", "DE"),
    ("ecommerce", "ES", "GB"),
)


def shipments(begun: datetime, count: int, bad: int, seed: int) -> dict[str, list[Told]]:
    """By tracking number what the carrier says of it, state by state: on its way, then delivered.

    Of the `bad` ones the carrier says a service or a status that nobody has mapped, or nothing from
    which a distance follows (that one only the ledger can see).
    """
    base = int(begun.timestamp())
    found: dict[str, list[Told]] = {}
    for number in range(count + bad):
        tracking = f"{base}{number:04}"
        share = (number + 1) / (count + bad)
        if number >= count:
            told = _bad_shipment(tracking, begun, number - count, seed)
            found[tracking] = [Told(key=tracking, share=share, content=told, is_bad=True)]
            continue
        found[tracking] = [
            Told(
                key=f"{tracking}/{state}",
                share=share / 2 if state == "transit" else share,
                content=_shipment(tracking, begun, state, seed),
            )
            for state in ("transit", "delivered")
        ]
    return found


def _shipment(tracking: str, begun: datetime, state: str, seed: int) -> Answer:
    chance = Random(f"{seed}|{tracking[-4:]}")  # noqa: S311 - amounts, no secrets
    service, origin, destination = _LANES[chance.randrange(len(_LANES))]
    left = begun - timedelta(hours=chance.randint(20, 70))
    stamps = {"transit": left, "delivered": left + timedelta(hours=chance.randint(6, 19))}
    states = ["transit"] if state == "transit" else ["delivered", "transit"]
    events = [{"timestamp": iso_utc(stamps[one]), "statusCode": one} for one in states]
    kilograms = f"{chance.randint(80, 9_000)}.{chance.randint(0, 9)}"
    return {
        "id": tracking,
        "service": service,
        "origin": {"address": {"countryCode": origin}},
        "destination": {"address": {"countryCode": destination}},
        "status": {"timestamp": events[0]["timestamp"], "statusCode": state},
        "details": {"weight": {"value": float(kilograms), "unitText": "kg"}},
        "events": events,
    }


def _bad_shipment(tracking: str, begun: datetime, number: int, seed: int) -> Answer:
    said = _shipment(tracking, begun, "delivered", seed)
    if number % 3 == 0:
        said["service"] = "dgf"
    elif number % 3 == 1:
        said["status"]["statusCode"] = "unknown"
    else:
        within = {"address": {"countryCode": "DE"}}
        said |= {"service": "freight", "origin": within, "destination": within}
    return said


def tracking_rows(numbers: Sequence[str]) -> list[dict[str, str]]:
    """The carrier's list of what is asked about."""
    return [
        {"tracking_number": one, "facility_id": "", "distance_km": "", "distance_kind": ""}
        for one in numbers
    ]


# ---- purchase orders, sent by an ERP system (sap_s4hana)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A document of an ERP system, and how many of its lines are good and bad."""

    document: Answer
    good: int
    bad: int = 0


def orders(begun: datetime, count: int, bad: int, seed: int) -> Iterator[Order]:
    """Orders of one to three lines; the last `bad` have one line more, in a unit nobody knows."""
    base = int(begun.timestamp())
    for number in range(count + bad):
        chance = Random(f"{seed}|order|{number}")  # noqa: S311 - amounts, no secrets
        good = chance.randint(1, 3)
        lines = [_order_line(chance, 10 * place) for place in range(1, good + 1)]
        if number >= count:
            lines.append(
                _order_line(chance, 10 * (good + 1)) | {"PurchaseOrderQuantityUnit": "FUR"}
            )
        document = {
            "PurchaseOrder": f"{base}{number:04}",
            "CompanyCode": ERP_COMPANY,
            "PurchaseOrderType": "NB",
            "PurchaseOrderVersion": "0",
            "PurchaseOrderDate": f"/Date({base * 1000})/",
            "Supplier": ERP_SUPPLIER,
            "DocumentCurrency": "EUR",
            "to_PurchaseOrderItem": {"results": lines},
        }
        yield Order(document=document, good=good, bad=int(number >= count))


def _order_line(chance: Random, line: int) -> Answer:
    tonnes = f"{chance.randint(4, 44)}.{chance.randint(0, 9)}"
    return {
        "PurchaseOrderItem": str(line),
        "PurchasingDocumentDeletionCode": "",
        "MaterialGroup": "L001",
        "Material": "steel-coil",
        "OrderQuantity": tonnes,
        "PurchaseOrderQuantityUnit": "TO",
        "NetPriceAmount": f"{chance.randint(640, 820)}.{chance.randint(0, 99):02}",
        "NetPriceQuantity": "1",
    }


def erp_system() -> dict[str, Any]:
    """What the ledger has to know of the ERP system, beside its secret."""
    return {
        "kind": "sap_s4hana",
        "entities": {ERP_COMPANY: ENTITY},
        "suppliers": {ERP_SUPPLIER: STEEL_SUPPLIER},
    }


# ---- declarations, of a supplier


def declarations(
    run: str, begun: datetime, count: int, bad: int, seed: int
) -> list[dict[str, str]]:
    """Product footprints of the month before; the last `bad` have a number no ledger can read."""
    end = begun.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    first = (end - timedelta(days=1)).replace(day=1)
    rows = []
    for number in range(count + bad):
        chance = Random(f"{seed}|declaration|{number}")  # noqa: S311 - amounts, no secrets
        per_unit = f"1.{chance.randint(450, 2_150):04}"
        rows.append(
            {
                "declaration_id": f"PCF-{run}-{number:03}",
                "supplier_id": STEEL_SUPPLIER,
                "entity_id": ENTITY,
                "kind": "product_footprint",
                "timestamp": iso_utc(first),
                "interval_seconds": str(int((end - first).total_seconds())),
                "product_id": f"HRC-{number:03}",
                "quantity": f"{chance.randint(2_000, 47_000)}",
                "quantity_unit": "kg",
                "unit": "kg",
                # As a spreadsheet in some countries writes it.
                "kgco2e_per_unit": per_unit.replace(".", ",") if number >= count else per_unit,
                "boundary": "cradle_to_gate",
                "gwp_set": "AR6",
            }
        )
    return rows


def as_csv(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Rows of one header, as a file a supplier leaves or a list a poller reads."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
