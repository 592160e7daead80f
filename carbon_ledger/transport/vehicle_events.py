"""The typed event of a vehicle's telematics: a trip, or a segment of one.

Belongs here: its fields, their checks, its natural key. Does not: what it emits
(carbon_ledger.transport.vehicles), Avro bytes (pipeline.serialization).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import (
    ActivityEvent,
    EventType,
    amount,
    choice,
    country,
    identifier,
    moment,
    optional,
    revision_number,
    seconds,
    share,
    whole,
)
from carbon_ledger.personal.pseudonyms import check_pair, ciphertext, pseudonym

SEGMENT_MAX: Final = 100_000
# Who operates the vehicle for whom, where the register does not say.
OPERATORS: Final = (
    "own",
    "leased",
    "carrier",
    "customer_carrier",
    "rental",
    "employee",
    "commuting",
)
CHARGING_PLACES: Final = ("depot", "public")


@dataclass(frozen=True, kw_only=True, slots=True)
class VehicleTelemetryEvent(ActivityEvent):
    """What a vehicle did in `[timestamp, timestamp + interval_seconds)`.

    Fuel in litres, electricity in kWh, distance in km driven, payload in kg. `biofuel_share` is the
    share of the litres that is biofuel, where the fuel is not the blend its name says;
    `position_distance_km` the sum of great circle distances between positions. Who drove, and where
    from and to, is in `subject_ciphertext` alone, which nothing but the person's key opens.
    """

    vehicle_id: str
    trip_id: str
    segment: int = 0
    facility_id: str | None = None
    country_iso2: str
    vehicle_class: str
    operator: str = "own"
    fuel_type: str | None = None
    fuel_litres: Decimal | None = None
    energy_kwh: Decimal | None = None
    distance_km: Decimal | None = None
    odometer_start_km: Decimal | None = None
    odometer_end_km: Decimal | None = None
    payload_kg: Decimal | None = None
    timestamp: datetime
    interval_seconds: int = 0
    revision: int = 0
    biofuel_share: Decimal | None = None
    charging: str | None = None
    model_year: int | None = None
    position_distance_km: Decimal | None = None
    subject_ref: str | None = None
    subject_ciphertext: str | None = None
    problem: RejectedRecord | None = field(init=False, repr=False, compare=False, default=None)

    TYPE: ClassVar[EventType] = EventType(
        stream="transport",
        checks={
            "vehicle_id": identifier,
            "trip_id": identifier,
            "segment": whole(SEGMENT_MAX, "segment_out_of_range"),
            "facility_id": optional(identifier),
            "country_iso2": country,
            "vehicle_class": identifier,
            "operator": choice(*OPERATORS, code="unknown_operator"),
            "fuel_type": optional(identifier),
            "fuel_litres": optional(amount),
            "energy_kwh": optional(amount),
            "distance_km": optional(amount),
            "odometer_start_km": optional(amount),
            "odometer_end_km": optional(amount),
            "payload_kg": optional(amount),
            "timestamp": moment,
            "interval_seconds": seconds(),
            "revision": revision_number,
            "biofuel_share": optional(share),
            "charging": optional(choice(*CHARGING_PLACES, code="unknown_charging")),
            "model_year": optional(whole(2100, "model_year_out_of_range")),
            "position_distance_km": optional(amount),
            "subject_ref": optional(pseudonym),
            "subject_ciphertext": optional(ciphertext),
        },
    )

    @property
    def activity_ref(self) -> str:
        """Natural key: vehicle, trip and segment."""
        return f"vehicle:{self.vehicle_id}@{self.trip_id}/{self.segment}"

    def judge(self) -> None:
        """Raises RejectedRecord `odometer_backwards` if the odometer ends before it starts, and
        `subject_incomplete` for a pseudonym without ciphertext or the other way round.
        """
        check_pair(self.subject_ref, self.subject_ciphertext)
        start, end = self.odometer_start_km, self.odometer_end_km
        if start is not None and end is not None and end < start:
            raise RejectedRecord(
                "odometer_backwards",
                f"the odometer ends at {end} km, before its start at {start} km",
                field="odometer_end_km",
                value=end,
                valid=f"{start} km or more; a replaced odometer starts a new segment",
            )
