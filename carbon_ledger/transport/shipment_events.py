"""The typed event of a leg of a shipment: its state, its load, its way, what its carrier declares.

Belongs here: its fields, their checks, its natural key. Does not: what it emits
(carbon_ledger.transport.shipments), Avro bytes (pipeline.serialization).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Final

from carbon_ledger.countries import COUNTRY_NAMES
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import (
    ActivityEvent,
    EventType,
    amount,
    choice,
    flag,
    identifier,
    moment,
    optional,
    revision_number,
    seconds,
    several,
    shown,
    signed_amount,
)
from carbon_ledger.transport.freight_vocabulary import MODES

BOOKED, DEPARTED, DELIVERED, CANCELLED = "booked", "departed", "delivered", "cancelled"
STATUSES: Final = (BOOKED, DEPARTED, DELIVERED, CANCELLED)
PAYERS: Final = ("reporter", "customer", "supplier")
ACTUAL, SHORTEST, GREAT_CIRCLE = "actual", "shortest_feasible", "great_circle"
DISTANCE_KINDS: Final = (ACTUAL, SHORTEST, GREAT_CIRCLE)
GROSS: Final = "gross"
MASS_KINDS: Final = (GROSS, "net", "volumetric", "chargeable")
DATA_LEVELS: Final = ("primary", "modelled", "default")
# Incoterms 2020. With the first group the buyer pays the main carriage, with the second the seller.
BUYER_PAYS: Final = ("EXW", "FCA", "FAS", "FOB")
SELLER_PAYS: Final = ("CFR", "CIF", "CPT", "CIP", "DAP", "DPU", "DDP")
# What whoever makes an event may have assumed where its source is silent.
ASSUMABLE: Final = (
    "origin",
    "destination",
    "mode",
    "operation_class",
    "carrier_id",
    "payer",
    "mass_kg",
    "timestamp",
)
VOYAGE_SECONDS_MAX: Final = 366 * 24 * 3600

_PLACE = re.compile(r"([A-Z]{2})(?:[A-Z2-9]{3})?")


def place(field_name: str, value: object) -> str:
    """A UN/LOCODE, or a country where that is all that is known; code `unknown_place`."""
    match = _PLACE.fullmatch(value) if isinstance(value, str) else None
    if match is not None and match[1] in COUNTRY_NAMES:
        return match[0]
    raise RejectedRecord(
        "unknown_place",
        f"{field_name}: {shown(value)} is no place",
        field=field_name,
        value=value,
        valid="a UN/LOCODE such as DEHAM, or an ISO 3166-1 alpha-2 code",
    )


def _latitude(field_name: str, value: object) -> Decimal:
    return _degrees(field_name, value, 90)


def _longitude(field_name: str, value: object) -> Decimal:
    return _degrees(field_name, value, 180)


def _degrees(field_name: str, value: object, limit: int) -> Decimal:
    number = signed_amount(field_name, value)
    if abs(number) > limit:
        raise RejectedRecord(
            "out_of_range",
            f"{field_name}: {shown(value)} degrees is nowhere on earth",
            field=field_name,
            value=value,
            valid=f"-{limit} to {limit}",
        )
    return number


@dataclass(frozen=True, kw_only=True, slots=True)
class ShipmentEvent(ActivityEvent):
    """The state of a leg that left at `timestamp` and arrived `interval_seconds` later.

    Mass in kg gross, packaging included; distance in km of the kind stated; TEU as units (40 ft is
    2, 45 ft is 2.25). `vehicle_id` is the own vehicle that carried it, if one did.
    `transport_activity_tkm` is the tonne-kilometres the carrier states, `empty_return_km` what the
    vehicle drove back empty for this load, `days_stored` how long a hub kept it. `assumed` names
    the fields that are assumptions: their line is flagged with each.
    """

    shipment_id: str
    leg_id: str
    status: str
    mode: str
    operation_class: str | None = None
    carrier_id: str | None = None
    facility_id: str | None = None
    origin: str
    destination: str
    mass_kg: Decimal | None = None
    volume_m3: Decimal | None = None
    teu: Decimal | None = None
    distance_km: Decimal | None = None
    distance_kind: str | None = None
    is_refrigerated: bool = False
    payer: str
    incoterm: str | None = None
    co2e_wtw_kg: Decimal | None = None
    co2e_ttw_kg: Decimal | None = None
    data_level: str | None = None
    timestamp: datetime
    interval_seconds: int = 0
    revision: int = 0
    mass_kind: str | None = None
    vehicle_id: str | None = None
    transport_activity_tkm: Decimal | None = None
    empty_return_km: Decimal | None = None
    days_stored: Decimal | None = None
    origin_latitude: Decimal | None = None
    origin_longitude: Decimal | None = None
    destination_latitude: Decimal | None = None
    destination_longitude: Decimal | None = None
    assumed: tuple[str, ...] = ()
    problem: RejectedRecord | None = field(init=False, repr=False, compare=False, default=None)

    TYPE: ClassVar[EventType] = EventType(
        stream="logistics",
        checks={
            "shipment_id": identifier,
            "leg_id": identifier,
            "status": choice(*STATUSES, code="unknown_status"),
            "mode": choice(*MODES, code="unknown_mode"),
            "operation_class": optional(identifier),
            "carrier_id": optional(identifier),
            "facility_id": optional(identifier),
            "origin": place,
            "destination": place,
            "mass_kg": optional(amount),
            "volume_m3": optional(amount),
            "teu": optional(amount),
            "distance_km": optional(amount),
            "distance_kind": optional(choice(*DISTANCE_KINDS, code="unknown_distance_kind")),
            "is_refrigerated": flag,
            "payer": choice(*PAYERS, code="unknown_payer"),
            "incoterm": optional(choice(*BUYER_PAYS, *SELLER_PAYS, code="unknown_incoterm")),
            "co2e_wtw_kg": optional(amount),
            "co2e_ttw_kg": optional(amount),
            "data_level": optional(choice(*DATA_LEVELS, code="unknown_data_level")),
            "timestamp": moment,
            "interval_seconds": seconds(VOYAGE_SECONDS_MAX),
            "revision": revision_number,
            "mass_kind": optional(choice(*MASS_KINDS, code="unknown_mass_kind")),
            "vehicle_id": optional(identifier),
            "transport_activity_tkm": optional(amount),
            "empty_return_km": optional(amount),
            "days_stored": optional(amount),
            "origin_latitude": optional(_latitude),
            "origin_longitude": optional(_longitude),
            "destination_latitude": optional(_latitude),
            "destination_longitude": optional(_longitude),
            "assumed": several(choice(*ASSUMABLE, code="unknown_assumption")),
        },
    )

    @property
    def activity_ref(self) -> str:
        """Natural key: shipment and leg."""
        return f"shipment:{self.shipment_id}/{self.leg_id}"

    @property
    def country_iso2(self) -> str:
        """Where the leg began."""
        return self.origin[:2]

    def judge(self) -> None:
        """Fields that contradict each other.

        Codes: `mass_not_gross`, `distance_kind_missing`, `ttw_exceeds_wtw`.
        """
        if self.mass_kg is not None and self.mass_kind not in (None, GROSS):
            raise RejectedRecord(
                "mass_not_gross",
                f"mass_kg: {self.mass_kg} kg is {self.mass_kind} weight",
                field="mass_kg",
                value=self.mass_kg,
                valid="the gross mass, packaging included; a volumetric weight is a price, no mass",
            )
        if self.distance_km is not None and self.distance_kind is None:
            raise RejectedRecord(
                "distance_kind_missing",
                f"distance_kind: {self.distance_km} km are stated, but not which",
                field="distance_kind",
                valid=", ".join(DISTANCE_KINDS),
            )
        wtw, ttw = self.co2e_wtw_kg, self.co2e_ttw_kg
        if wtw is not None and ttw is not None and ttw > wtw:
            raise RejectedRecord(
                "ttw_exceeds_wtw",
                f"co2e_ttw_kg: {ttw} kg in use is more than the {wtw} kg from well to wheel",
                field="co2e_ttw_kg",
                value=ttw,
                valid="at most co2e_wtw_kg",
            )

    def looks_volumetric(self) -> bool:
        """Whether the mass is what couriers bill for the volume: per 5000 or 6000 cm3, or 3 m3."""
        if not self.mass_kg or not self.volume_m3:
            return False
        density = Fraction(self.mass_kg) / Fraction(self.volume_m3)
        return density in (Fraction(200), Fraction(500, 3), Fraction(167), Fraction(1000, 3))
