"""The typed reading of a meter of any kind: intervals and registers; power, gas and heat.

Belongs here: its fields, their checks, its natural key. Does not: what it emits
(carbon_ledger.energy.meters), readings of electricity in plain kWh as the hot path has them
(carbon_ledger.events), series of readings (carbon_ledger.energy.meter_series), Avro bytes.

The record is that of schemas/iot_energy.avsc with fields after it (schemas/meter_reading.avsc), so
a plain reading of electricity is the same event, with the same natural key, in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final, Self

from carbon_ledger import events
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import (
    ActivityEvent,
    EventType,
    amount,
    choice,
    country,
    flag,
    identifier,
    moment,
    optional,
    revision_number,
    seconds,
    shown,
    text,
)
from carbon_ledger.units import canonical_unit

METER_KINDS: Final = (
    "electricity",
    "solar",
    "export",
    "gas",
    "heat",
    "steam",
    "cooling",
    "chilled_water",
)
ELECTRICAL_KINDS: Final = ("electricity", "solar", "export")
RESET_MARKERS: Final = ("meter_replaced", "register_reset")
FUELS: Final = ("natural_gas", "biogas")
GENERATION_SOURCES: Final = ("geothermal", "hydro", "solar", "wind")


def _positive(field_name: str, value: object) -> Decimal:
    number = amount(field_name, value)
    if not number:
        raise RejectedRecord(
            "out_of_range",
            f"{field_name}: {shown(value)} is not above zero",
            field=field_name,
            value=value,
            valid="a number above zero",
        )
    return number


def _unit(field_name: str, value: object) -> str:
    return canonical_unit(value, field=field_name)


def _source(field_name: str, value: object) -> str:
    return events.check_energy_source(value)


def _scope(field_name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value in (1, 2):
        return value
    raise RejectedRecord(
        "scope_not_applicable",
        f"{field_name}: {shown(value)} does not apply to metered energy",
        field=field_name,
        value=value,
        valid="2, or 1 for fuel",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterReadingEvent(ActivityEvent):
    """What a meter counted in `[timestamp, timestamp + interval_seconds)`.

    The amount is in exactly one place: `energy_kwh`, or `quantity` in `unit`, or a cumulative
    register (`register_start`, `register_end`, in `unit`); `energy_kwh` is 0 where it is not there.
    """

    sensor_id: str
    facility_id: str
    country_iso2: str
    region: str | None = None
    energy_kwh: Decimal = Decimal(0)
    energy_source: str = "grid"
    grid_carbon_intensity_gco2_kwh: Decimal | None = None
    timestamp: datetime
    interval_seconds: int = 0
    scope: int = 2
    revision: int = 0
    meter_kind: str = "electricity"
    quantity: Decimal | None = None
    unit: str | None = None
    register_start: Decimal | None = None
    register_end: Decimal | None = None
    register_size: Decimal | None = None
    register_multiplier: Decimal | None = None
    reset_marker: str | None = None
    reset_final: Decimal | None = None
    reset_start: Decimal | None = None
    calorific_value: Decimal | None = None
    calorific_unit: str | None = None
    heating_value: str | None = None
    volume_correction: Decimal | None = None
    fuel: str | None = None
    certificates_sold: bool = False
    problem: RejectedRecord | None = field(init=False, repr=False, compare=False, default=None)

    TYPE: ClassVar[EventType] = EventType(
        stream="meter_reading",
        checks={
            "sensor_id": identifier,
            "facility_id": identifier,
            "country_iso2": country,
            "energy_kwh": amount,
            "energy_source": _source,
            "grid_carbon_intensity_gco2_kwh": optional(amount),
            "timestamp": moment,
            "interval_seconds": seconds(),
            "scope": _scope,
            "revision": revision_number,
            "meter_kind": choice(*METER_KINDS, code="unknown_meter_kind"),
            "quantity": optional(amount),
            "unit": optional(_unit),
            "register_start": optional(amount),
            "register_end": optional(amount),
            "register_size": optional(_positive),
            "register_multiplier": optional(_positive),
            "reset_marker": optional(choice(*RESET_MARKERS, code="unknown_reset_marker")),
            "reset_final": optional(amount),
            "reset_start": optional(amount),
            "calorific_value": optional(_positive),
            "calorific_unit": optional(text),
            "heating_value": optional(choice("gross", "net", code="unknown_heating_value")),
            "volume_correction": optional(_positive),
            "fuel": optional(choice(*FUELS, code="unknown_fuel")),
            "certificates_sold": flag,
        },
    )

    @property
    def activity_ref(self) -> str:
        """Natural key of the reading, as of a plain one: sensor and start."""
        return f"iot:{self.sensor_id}@{events.iso_utc(self.timestamp)}"

    @property
    def is_register(self) -> bool:
        """Whether the amount is the difference of two readings of a register."""
        return self.register_start is not None or self.register_end is not None

    @classmethod
    def from_fields(cls, fields: Mapping[str, object], now: datetime) -> Self:
        """As the base, but `energy_kwh` may be left out where the amount is in another field, and
        `energy_source` where the meter counts no electricity.
        """
        implied: dict[str, object] = {}
        if fields.get("quantity") is not None or fields.get("register_end") is not None:
            implied["energy_kwh"] = "0"
        if fields.get("meter_kind", "electricity") not in ELECTRICAL_KINDS:
            implied["energy_source"] = "grid"
        return super(MeterReadingEvent, cls).from_fields({**implied, **fields}, now)

    def judge(self) -> None:
        """Raises RejectedRecord if fields contradict each other.

        Codes: those of `events.check_region`; `two_quantities`, `unit_missing`, `unit_without_use`,
        `register_incomplete`, `reset_without_marker`, `reset_of_no_register`,
        `scope_not_applicable`, `not_own_generation`, `calorific_value_incomplete`,
        `not_a_fuel_meter`.
        """
        events.check_region(self.region, self.country_iso2)
        self._judge_amount()
        self._judge_register()
        self._judge_kind()

    def _judge_amount(self) -> None:
        elsewhere = self.quantity is not None or self.is_register
        if (self.quantity is not None and self.is_register) or (elsewhere and self.energy_kwh):
            raise RejectedRecord(
                "two_quantities",
                "the reading states its amount in two places",
                field="energy_kwh",
                value=self.energy_kwh,
                valid="one of energy_kwh, quantity, register_start and register_end",
            )
        if elsewhere and self.unit is None:
            raise RejectedRecord(
                "unit_missing",
                "quantity and registers need a unit",
                field="unit",
                valid="a unit such as kWh, MWh, GJ or m3",
            )
        if self.unit is not None and not elsewhere:
            raise RejectedRecord(
                "unit_without_use",
                f"unit {self.unit} is stated, but energy_kwh is in kWh",
                field="unit",
                value=self.unit,
                valid="no unit, or the amount in quantity",
            )

    def _judge_register(self) -> None:
        if (self.register_start is None) != (self.register_end is None):
            missing = "register_start" if self.register_start is None else "register_end"
            raise RejectedRecord(
                "register_incomplete", f"{missing} is missing", field=missing, valid="both readings"
            )
        resets = (self.reset_marker, self.reset_final, self.reset_start)
        if any(one is not None for one in resets):
            if not self.is_register:
                raise RejectedRecord(
                    "reset_of_no_register",
                    "a reset is stated of a reading that is not of a register",
                    field="reset_marker",
                    value=self.reset_marker,
                    valid="none, or register_start and register_end",
                )
            if self.reset_marker is None:
                raise RejectedRecord(
                    "reset_without_marker",
                    "readings around a reset are stated, but not that there was one",
                    field="reset_marker",
                    valid=", ".join(RESET_MARKERS),
                )

    def _judge_kind(self) -> None:
        is_fuel = self.meter_kind == "gas"
        if self.scope != (1 if is_fuel else 2):
            raise RejectedRecord(
                "scope_not_applicable",
                f"scope: {self.scope} does not apply to {self.meter_kind}",
                field="scope",
                value=self.scope,
                valid="1" if is_fuel else "2",
            )
        if self.meter_kind == "solar" and self.energy_source not in GENERATION_SOURCES:
            raise RejectedRecord(
                "not_own_generation",
                f"energy_source: {self.energy_source!r} is no generation without fuel",
                field="energy_source",
                value=self.energy_source,
                valid=", ".join(GENERATION_SOURCES),
            )
        if (self.calorific_value is None) != (self.calorific_unit is None) or (
            self.calorific_value is not None and self.heating_value is None
        ):
            raise RejectedRecord(
                "calorific_value_incomplete",
                "a calorific value has a unit and is gross or net",
                field="calorific_value",
                value=self.calorific_value,
                valid="calorific_value, calorific_unit such as MJ/m3, heating_value gross or net",
            )
        of_fuel = (self.calorific_value, self.heating_value, self.volume_correction, self.fuel)
        if not is_fuel and any(one is not None for one in of_fuel):
            raise RejectedRecord(
                "not_a_fuel_meter",
                f"a meter of {self.meter_kind} has no heating value and burns no fuel",
                field="meter_kind",
                value=self.meter_kind,
                valid="gas",
            )
