"""What an activity event may say, field by field, and the typed meter reading.

Belongs here: the checks a producer applies at send and the micro-batch applies again on arrival,
and the event's natural key. Does not: Avro bytes (pipeline.serialization), factors, ledger entries.

Every check is a pure function of the values it is given, so that a frame of records may be judged
by the distinct values of its columns. Each raises RejectedRecord with the field, the value and what
would be valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, SupportsFloat

from carbon_ledger.countries import require_country
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.factor_book.book import normalise_energy_source
from carbon_ledger.quantities import canonical_text, decimal_from

Number = str | SupportsFloat

INTEGER_DIGITS_MAX: Final = 18
FRACTION_DIGITS_MAX: Final = 24
# Local months exist from 2000-01 on; one day later in UTC, every site on earth has reached it.
TIMESTAMP_MIN: Final = datetime(2000, 1, 2, tzinfo=UTC)
# Clocks run ahead, and a producer may stamp a day by its last second.
CLOCK_ALLOWANCE: Final = timedelta(hours=24)
INTERVAL_SECONDS_MAX: Final = 31 * 24 * 3600
# Each revision that was passed over is marked in the ledger, so their number is bounded.
REVISION_MAX: Final = 999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INTEGER_LIMIT = Decimal(10) ** INTEGER_DIGITS_MAX
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:/+-]{1,128}")
_COUNTRY_LETTERS = re.compile(r"[A-Za-z]{2}")
# ISO 3166-2, and the finer grid areas factors are published for: AU-NSW-ACT, EGRID-CAMX.
_REGION = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,4}(?:-[A-Z0-9]{1,4})?")
_EGRID = re.compile(r"EGRID-[A-Z]{4}")
_EGRID_COUNTRIES = frozenset({"US", "PR"})


def check_identifier(field_name: str, value: object) -> str:
    """`value` if it can be part of an event's natural key; code `invalid_identifier`.

    `#` and `@` are kept out because activity references and event ids are built with them.
    """
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    raise RejectedRecord(
        "invalid_identifier",
        f"{field_name}: {_shown(value)} is not an identifier",
        field=field_name,
        value=value,
        valid="1 to 128 characters out of A-Z a-z 0-9 . _ : / + -",
    )


def check_country(value: object) -> str:
    """`value` if it is an upper-case ISO 3166-1 alpha-2 code; code `unknown_country`."""
    return require_country(value if isinstance(value, str) else str(value))


def check_region(value: object, country: str) -> str | None:
    """`value` if it is a region of `country`, or None.

    Codes: `invalid_region`, `region_country_mismatch`. Only form and country are judged: whether a
    factor exists is a question for the book.
    """
    if value is None:
        return None
    match = _REGION.fullmatch(value) if isinstance(value, str) else None
    if match is None and not (isinstance(value, str) and _EGRID.fullmatch(value)):
        raise RejectedRecord(
            "invalid_region",
            f"region: {_shown(value)} is not a region code",
            field="region",
            value=value,
            valid=f"an ISO 3166-2 code such as {country}-XX, an eGRID subregion EGRID-XXXX, none",
        )
    is_within = match[1] == country if match else country in _EGRID_COUNTRIES
    if not is_within:
        raise RejectedRecord(
            "region_country_mismatch",
            f"region {_shown(value)} is not in country {country}",
            field="region",
            value=value,
            valid=f"a code that begins with {country}-, or no region",
        )
    return str(value)


def check_energy_source(value: object) -> str:
    """The canonical name of a source (`grid_mix` is `grid`); code `unknown_energy_source`."""
    return normalise_energy_source(value if isinstance(value, str) else str(value))


def check_scope(value: object) -> int:
    """`value` if a reading in kWh of electricity can have it, which is 2; `scope_not_applicable`.

    Purchased or acquired electricity is scope 2 whatever made it (GHG Protocol Corporate Standard,
    chapter 4); fuel burnt on site is metered, and has its factors, per quantity of fuel.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value == 2:
        return 2
    raise RejectedRecord(
        "scope_not_applicable",
        f"scope: {_shown(value)} does not apply to a reading in kWh of electricity",
        field="scope",
        value=value,
        valid="2",
    )


def check_interval_seconds(value: object) -> int:
    """Length of the metered interval in seconds, 0 to 31 days; code `interval_out_of_range`."""
    return check_integer("interval_seconds", value, INTERVAL_SECONDS_MAX, "interval_out_of_range")


def check_revision(value: object) -> int:
    """Revision of the reading, 0 for the first; code `revision_out_of_range`."""
    return check_integer("revision", value, REVISION_MAX, "revision_out_of_range")


def check_integer(field_name: str, value: object, maximum: int, code: str) -> int:
    """`value` if it is a whole number from 0 to `maximum`; raises RejectedRecord `code`."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= maximum:
        return int(value)
    raise RejectedRecord(
        code,
        f"{field_name}: {_shown(value)} is out of range",
        field=field_name,
        value=value,
        valid=f"a whole number from 0 to {maximum}",
    )


def check_energy_kwh(text: object) -> Decimal:
    """kWh of a reading, exactly as written.

    Codes: `not_a_number`, `not_finite`, `negative_quantity`, `out_of_range` (18 digits before the
    point), `too_precise` (24 after it).
    """
    return check_amount("energy_kwh", text)


def check_intensity(text: object) -> Decimal | None:
    """The grid's intensity in gCO2/kWh as the source saw it, or None; codes as for a quantity."""
    return None if text is None else check_amount("grid_carbon_intensity_gco2_kwh", text)


def check_amount(field_name: str, value: object) -> Decimal:
    """A quantity of 0 or more, exactly as written; codes as for `check_energy_kwh`."""
    number = decimal_from(value, field=field_name)
    if number < 0:
        code, complaint = "negative_quantity", "is negative"
    elif number >= _INTEGER_LIMIT:
        code, complaint = "out_of_range", "is too large"
    elif _fraction_digits(number) > FRACTION_DIGITS_MAX:
        code, complaint = "too_precise", "has too many digits after the point"
    else:
        return number.copy_abs()
    raise RejectedRecord(
        code,
        f"{field_name}: {_shown(value)} {complaint}",
        field=field_name,
        value=value,
        valid=f"0 or more, at most {INTEGER_DIGITS_MAX} digits before the point "
        f"and {FRACTION_DIGITS_MAX} after it",
    )


def _fraction_digits(number: Decimal) -> int:
    exponent = int(number.as_tuple().exponent)
    if exponent >= -FRACTION_DIGITS_MAX:
        return max(0, -exponent)
    return len(canonical_text(number).partition(".")[2])


def check_timestamp(value: object, now: datetime) -> datetime:
    """`value` as aware UTC, if it lies between 2000-01-02 and `now` + 24 h.

    Takes a datetime (naive is UTC), ISO 8601 text, or whole microseconds since 1970 (as Avro
    carries it). Codes: `not_a_timestamp`, `timestamp_out_of_range`.
    """
    moment = normalise_timestamp(value)
    if not TIMESTAMP_MIN <= moment <= now + CLOCK_ALLOWANCE:
        raise _timestamp_out_of_range(value, now)
    return moment


def normalise_timestamp(value: object) -> datetime:
    """`value` as aware UTC; codes as for `check_timestamp`, in the range a datetime holds."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _not_a_timestamp(value) from None
    try:
        if isinstance(moment, int) and not isinstance(moment, bool):
            return _EPOCH + timedelta(microseconds=moment)
        if isinstance(moment, datetime):
            if moment.utcoffset() is None:
                return moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC)
    except OverflowError:
        raise _timestamp_out_of_range(value, None) from None
    raise _not_a_timestamp(value)


def _not_a_timestamp(value: object) -> RejectedRecord:
    return RejectedRecord(
        "not_a_timestamp",
        f"timestamp: {_shown(value)} is not a point in time",
        field="timestamp",
        value=value,
        valid="a datetime, or ISO 8601 text such as 2024-05-01T13:15:00+02:00 (no offset: UTC)",
    )


def _timestamp_out_of_range(value: object, now: datetime | None) -> RejectedRecord:
    latest = "24 hours from now" if now is None else (now + CLOCK_ALLOWANCE).isoformat()
    return RejectedRecord(
        "timestamp_out_of_range",
        f"timestamp: {_shown(value)} is outside the ledger's time",
        field="timestamp",
        value=value,
        valid=f"{TIMESTAMP_MIN.isoformat()} to {latest}",
    )


def written_moment(text: str | None, code: str) -> datetime | None:
    """What somebody wrote as a moment in ISO 8601, UTC where it has no zone; None for nothing.

    Raises ConfigurationError with this code.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            code, f"{text!r} is no moment; valid is for example 2026-03-01T12:00:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def iso_utc(moment: datetime) -> str:
    """The one spelling of a moment in a natural key: seconds, else exactly six digits, `Z`."""
    timespec = "microseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _shown(value: object) -> str:
    return repr(value if isinstance(value, int | datetime) else str(value)[:60])


@dataclass(frozen=True, init=False, slots=True)
class IoTEnergyEvent:
    """A meter reading: energy drawn in `[timestamp, timestamp + interval_seconds)`.

    Construction takes numbers as text, int, Decimal or binary floating point (which enters as the
    shortest text that denotes it) and times as datetime or ISO text (naive is UTC). It never fails:
    what cannot be understood is kept as given, and `check` refuses it, so that whoever holds an
    event from outside can show it, count it or set it aside. No event passes `check` with a field
    of another type than declared here.
    """

    sensor_id: str
    facility_id: str
    country_iso2: str
    energy_kwh: Decimal
    energy_source: str
    grid_carbon_intensity_gco2_kwh: Decimal | None
    timestamp: datetime
    scope: int
    region: str | None
    interval_seconds: int
    revision: int
    _problem: RejectedRecord | None = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        sensor_id: str,
        facility_id: str,
        country_iso2: str,
        energy_kwh: Number,
        energy_source: str,
        grid_carbon_intensity_gco2_kwh: Number | None,
        timestamp: datetime | str,
        scope: int = 2,
        *,
        region: str | None = None,
        interval_seconds: int = 0,
        revision: int = 0,
    ) -> None:
        """An event whose fields are normalised as far as they are unambiguous; never raises.

        `country_iso2` is put in upper case, `energy_source` under its canonical name. Energy is in
        kWh, intensity in gCO2/kWh, `timestamp` is the start of the activity.
        """
        if isinstance(country_iso2, str) and _COUNTRY_LETTERS.fullmatch(country_iso2):
            country_iso2 = country_iso2.upper()
        problems: list[RejectedRecord] = []

        def put(name: str, given: object, check: Callable[[Any], object]) -> None:
            try:
                object.__setattr__(self, name, check(given))
            except RejectedRecord as problem:
                problems.append(problem)
                object.__setattr__(self, name, given)

        put("sensor_id", sensor_id, lambda value: check_identifier("sensor_id", value))
        put("facility_id", facility_id, lambda value: check_identifier("facility_id", value))
        put("country_iso2", country_iso2, check_country)
        put("energy_kwh", energy_kwh, check_energy_kwh)
        put("energy_source", energy_source, check_energy_source)
        put("grid_carbon_intensity_gco2_kwh", grid_carbon_intensity_gco2_kwh, check_intensity)
        put("timestamp", timestamp, normalise_timestamp)
        put("scope", scope, check_scope)
        put("region", region, lambda value: check_region(value, self.country_iso2))
        put("interval_seconds", interval_seconds, check_interval_seconds)
        put("revision", revision, check_revision)
        object.__setattr__(self, "_problem", problems[0] if problems else None)

    def check(self, now: datetime) -> None:
        """Returns if the ledger would take this event at `now`; raises RejectedRecord else."""
        if self._problem is not None:
            raise self._problem
        check_timestamp(self.timestamp, now)

    @property
    def activity_ref(self) -> str:
        """Natural key of the reading: a new revision of it has the same."""
        return f"iot:{self.sensor_id}@{iso_utc(self.timestamp)}"

    @property
    def event_id(self) -> str:
        """Natural key and revision: what can be ledgered once."""
        return f"{self.activity_ref}#{self.revision}"

    @property
    def occurred_from(self) -> datetime:
        """Start of the activity, UTC."""
        return self.timestamp

    @property
    def occurred_to(self) -> datetime:
        """End of the activity, UTC, exclusive; equal to its start for a momentary reading."""
        return self.timestamp + timedelta(seconds=self.interval_seconds)

    def to_avro_fields(self) -> dict[str, str | int | None]:
        """The record of schemas/iot_energy.avsc; equal events give equal fields.

        Decimals in their one canonical spelling, the timestamp in whole microseconds since 1970.
        """
        intensity = self.grid_carbon_intensity_gco2_kwh
        return {
            "sensor_id": self.sensor_id,
            "facility_id": self.facility_id,
            "country_iso2": self.country_iso2,
            "region": self.region,
            "energy_kwh": canonical_text(self.energy_kwh),
            "energy_source": self.energy_source,
            "grid_carbon_intensity_gco2_kwh": None
            if intensity is None
            else canonical_text(intensity),
            "timestamp": (self.timestamp - _EPOCH) // _MICROSECOND,
            "interval_seconds": self.interval_seconds,
            "scope": self.scope,
            "revision": self.revision,
        }

    @classmethod
    def from_avro_fields(cls, fields: Mapping[str, object], now: datetime) -> IoTEnergyEvent:
        """The event a decoded record describes; `to_avro_fields` of it is what the sender encoded.

        Fields that schemas/iot_energy.avsc gives a default may be absent (older writers), others
        not: code `missing_field`. A value of another type than the schema's: code `wrong_type`. All
        other codes are those of the checks in this module.
        """
        event = cls(**{name: _typed(name, fields) for name in _AVRO_TYPES})  # type: ignore[arg-type]
        check_country(fields["country_iso2"])
        event.check(now)
        return event


_REQUIRED: Final = object()
# Field order of the schema; the type Avro decodes to, and the schema's default.
_AVRO_TYPES: Final[dict[str, tuple[tuple[type, ...], object]]] = {
    "sensor_id": ((str,), _REQUIRED),
    "facility_id": ((str,), _REQUIRED),
    "country_iso2": ((str,), _REQUIRED),
    "region": ((str, type(None)), None),
    "energy_kwh": ((str,), _REQUIRED),
    "energy_source": ((str,), _REQUIRED),
    "grid_carbon_intensity_gco2_kwh": ((str, type(None)), None),
    "timestamp": ((int, datetime), _REQUIRED),
    "interval_seconds": ((int,), 0),
    "scope": ((int,), 2),
    "revision": ((int,), 0),
}


def _typed(name: str, fields: Mapping[str, object]) -> object:
    types, default = _AVRO_TYPES[name]
    value = fields.get(name, default)
    names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
    if value is _REQUIRED:
        raise RejectedRecord(
            "missing_field", f"{name} is missing", field=name, valid=f"a value of type {names}"
        )
    if not isinstance(value, types) or isinstance(value, bool):
        raise RejectedRecord(
            "wrong_type",
            f"{name}: {_shown(value)} is a {type(value).__name__}",
            field=name,
            value=value,
            valid=f"a value of type {names}",
        )
    return value
