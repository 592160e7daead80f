"""What the classes of activity events have in common: construction, checks and Avro fields.

Belongs here: the base of an event, the checks its table of fields is made of, and the types and
defaults of its .avsc. Does not: the fields of one stream (the module of that stream), meter
readings (carbon_ledger.events, whose checks are used here), Avro bytes (pipeline.serialization).

An event is a frozen dataclass of `ActivityEvent` with one `EventType`. Its construction never
raises: a value that cannot be understood is kept as given and `check` refuses it, so that whoever
holds an event from outside can show it, count it or set it aside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, ClassVar, Final, Self

from carbon_ledger import events
from carbon_ledger.countries import COUNTRY_NAMES
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.quantities import canonical_text, decimal_from

# A check takes the field's name and the value given, and returns the value in its one form or
# raises RejectedRecord.
Check = Callable[[str, object], object]

TEXT_LENGTH_MAX: Final = 256
YEAR_SECONDS: Final = 366 * 24 * 3600

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_REQUIRED: Final = object()
_NULL: Final = type(None)
_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "null": (_NULL,),
    "string": (str,),
    "int": (int,),
    "long": (int,),
    "boolean": (bool,),
    "timestamp-micros": (int, datetime),
    "array": (list, tuple),
}
# Whole numbers of more digits stay text, and are refused.
_WHOLE_DIGITS_MAX: Final = 39


# ---- checks of one value


def identifier(field: str, value: object) -> str:
    """A part of a natural key, as `events.check_identifier`; code `invalid_identifier`."""
    return events.check_identifier(field, value)


def country(field: str, value: object) -> str:
    """An ISO 3166-1 alpha-2 code; two letters are put in upper case. Code `unknown_country`."""
    code = value.upper() if isinstance(value, str) and len(value) == 2 else value
    if isinstance(code, str) and code in COUNTRY_NAMES:
        return code
    raise RejectedRecord(
        "unknown_country",
        f"{field}: {shown(value)} is no country",
        field=field,
        value=value,
        valid="an ISO 3166-1 alpha-2 code such as DE, or XK",
    )


def amount(field: str, value: object) -> Decimal:
    """A quantity of 0 or more, exactly as written; codes as for `events.check_energy_kwh`."""
    return events.check_amount(field, value)


def signed_amount(field: str, value: object) -> Decimal:
    """A quantity of either sign, exactly as written; codes as for `amount`, without a sign."""
    number = decimal_from(value, field=field)
    magnitude = events.check_amount(field, number.copy_abs())
    return magnitude.copy_negate() if number < 0 else magnitude


def share(field: str, value: object) -> Decimal:
    """A share from 0 to 1; code `out_of_range` above, else as for `amount`."""
    number = events.check_amount(field, value)
    if number > 1:
        raise RejectedRecord(
            "out_of_range",
            f"{field}: {shown(value)} is more than the whole",
            field=field,
            value=value,
            valid="a share from 0 to 1",
        )
    return number


def flag(field: str, value: object) -> bool:
    """True or False; code `not_a_boolean`."""
    if isinstance(value, bool):
        return value
    raise RejectedRecord(
        "not_a_boolean",
        f"{field}: {shown(value)} is neither true nor false",
        field=field,
        value=value,
        valid="true or false",
    )


def text(field: str, value: object) -> str:
    """Any text of 1 to 256 characters without control characters; code `invalid_text`."""
    if isinstance(value, str) and 0 < len(value) <= TEXT_LENGTH_MAX and value.isprintable():
        return value
    raise RejectedRecord(
        "invalid_text",
        f"{field}: {shown(value)} is no text that can be kept",
        field=field,
        value=value,
        valid=f"1 to {TEXT_LENGTH_MAX} printable characters",
    )


def choice(*values: str, code: str = "unknown_value") -> Check:
    """One of these words; RejectedRecord `code` with the words there are."""

    def check(field: str, value: object) -> str:
        if isinstance(value, str) and value in values:
            return value
        raise RejectedRecord(
            code,
            f"{field}: {shown(value)} is not one of the values known here",
            field=field,
            value=value,
            valid=", ".join(values),
        )

    return check


def whole(maximum: int, code: str = "out_of_range") -> Check:
    """A whole number from 0 to `maximum`; RejectedRecord `code`."""

    def check(field: str, value: object) -> int:
        return events.check_integer(field, value, maximum, code)

    return check


def optional(check: Check) -> Check:
    """None, or what `check` accepts."""

    def check_if_given(field: str, value: object) -> object:
        return None if value is None else check(field, value)

    return check_if_given


def several(check: Check) -> Check:
    """A tuple of what `check` accepts, each once; codes `not_a_list`, `given_twice`."""

    def check_each(field: str, value: object) -> tuple[object, ...]:
        if not isinstance(value, list | tuple):
            raise RejectedRecord(
                "not_a_list",
                f"{field}: {shown(value)} is not a list",
                field=field,
                value=value,
                valid="a list",
            )
        found = tuple(check(field, one) for one in value)
        for position, one in enumerate(found):
            if one in found[:position]:
                raise RejectedRecord(
                    "given_twice",
                    f"{field}: {shown(one)} is there twice",
                    field=field,
                    value=one,
                    valid="each value once",
                )
        return found

    return check_each


def moment(field: str, value: object) -> datetime:
    """A point in time as aware UTC; codes of `events.normalise_timestamp`, naming `field`."""
    try:
        return events.normalise_timestamp(value)
    except RejectedRecord as problem:
        raise RejectedRecord(
            problem.code,
            f"{field}: {problem.message.removeprefix('timestamp: ')}",
            field=field,
            value=value,
            valid=problem.valid,
        ) from None


def revision_number(field: str, value: object) -> int:
    """Revision of an activity, 0 for the first; code `revision_out_of_range`."""
    return events.check_integer(field, value, events.REVISION_MAX, "revision_out_of_range")


def seconds(maximum: int = events.INTERVAL_SECONDS_MAX) -> Check:
    """Length of an activity in seconds, up to `maximum`; code `interval_out_of_range`."""
    return whole(maximum, "interval_out_of_range")


def shown(value: object) -> str:
    """A value as messages show it: short, quoted."""
    return repr(value if isinstance(value, int | datetime | Decimal) else str(value)[:60])


# ---- the fields of an Avro record


@dataclass(frozen=True, kw_only=True, slots=True)
class AvroField:
    """A field of a writer's record: the types it decodes to, and the default if it has one."""

    name: str
    types: tuple[type, ...]
    default: object = _REQUIRED

    @property
    def is_required(self) -> bool:
        """Whether a record without the field is refused."""
        return self.default is _REQUIRED

    def of_text(self, value: object) -> object:
        """The value, and where the field is a whole number, digits as the number they write."""
        if not isinstance(value, str) or int not in self.types or datetime in self.types:
            return value
        is_whole = value.isascii() and value.isdigit() and len(value) <= _WHOLE_DIGITS_MAX
        return int(value) if is_whole else value

    def read(self, fields: Mapping[str, object]) -> object:
        """The field's value in a decoded record, or its default.

        Raises RejectedRecord `missing_field`, or `wrong_type` for a value of another type than the
        schema's (a boolean is no integer).
        """
        value = fields.get(self.name, self.default)
        names = " or ".join("null" if kind is _NULL else kind.__name__ for kind in self.types)
        if value is _REQUIRED:
            raise RejectedRecord(
                "missing_field",
                f"{self.name} is missing",
                field=self.name,
                valid=f"a value of type {names}",
            )
        is_boolean = isinstance(value, bool)
        if not isinstance(value, self.types) or (is_boolean and bool not in self.types):
            raise RejectedRecord(
                "wrong_type",
                f"{self.name}: {shown(value)} is a {type(value).__name__}",
                field=self.name,
                value=value,
                valid=f"a value of type {names}",
            )
        return tuple(value) if isinstance(value, list) else value


@cache
def avro_fields(stream: str) -> tuple[AvroField, ...]:
    """The fields of schemas/<stream>.avsc, in its order, with their types and defaults.

    Raises BrokenInvariant `schema_type` for a type no event has.
    """
    file = resources.files("carbon_ledger").joinpath("schemas", f"{stream}.avsc")
    schema = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    return tuple(_avro_field(stream, field) for field in schema["fields"])


def _avro_field(stream: str, field: Mapping[str, Any]) -> AvroField:
    branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
    types: list[type] = []
    for branch in branches:
        name = branch
        if isinstance(branch, dict):
            name = branch.get("logicalType", branch["type"])
        if name not in _PYTHON_TYPES:
            raise BrokenInvariant(
                "schema_type", f"{stream}.avsc: {field['name']} is of type {name!r}"
            )
        types.extend(_PYTHON_TYPES[name])
    default = field.get("default", _REQUIRED)
    return AvroField(
        name=field["name"],
        types=tuple(types),
        default=tuple(default) if isinstance(default, list) else default,
    )


# ---- the base of an event


@dataclass(frozen=True)
class EventType:
    """The stream an event belongs to, and the check of each of its fields by name."""

    stream: str
    checks: Mapping[str, Check]


class ActivityEvent:
    """Base of the event classes. A class of it is a frozen, keyword-only, slotted dataclass that

    - names its `EventType` in the class variable `TYPE`,
    - has the fields of its schema, and `timestamp`, `interval_seconds` and `revision` among them,
    - has last of all `problem: RejectedRecord | None = field(init=False, repr=False,
      compare=False, default=None)`,
    - gives `activity_ref`, and `judge` where fields must agree with each other.

    Numbers may be given as text, int, Decimal or binary floating point (which enters as the
    shortest text that denotes it), times as datetime or ISO text (naive is UTC).
    """

    __slots__ = ()
    TYPE: ClassVar[EventType]
    timestamp: datetime
    interval_seconds: int
    revision: int
    problem: RejectedRecord | None

    def __post_init__(self) -> None:
        """Puts every field in its one form, as far as it is understood; never raises."""
        problems: list[RejectedRecord] = []
        for name, check in self.TYPE.checks.items():
            try:
                object.__setattr__(self, name, check(name, getattr(self, name)))
            except RejectedRecord as problem:
                problems.append(problem)
        if not problems:
            try:
                self.judge()
            except RejectedRecord as problem:
                problems.append(problem)
        object.__setattr__(self, "problem", problems[0] if problems else None)

    def judge(self) -> None:
        """Raises RejectedRecord if fields that are right by themselves contradict each other."""

    def check(self, now: datetime) -> None:
        """Returns if the ledger would take this event at `now`; raises RejectedRecord else."""
        if self.problem is not None:
            raise self.problem
        events.check_timestamp(self.timestamp, now)

    @property
    def activity_ref(self) -> str:
        """Natural key of the activity: a new revision of it has the same."""
        raise NotImplementedError

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
        """End of the activity, UTC, exclusive; equal to its start if it is momentary."""
        return self.timestamp + timedelta(seconds=self.interval_seconds)

    def to_avro_fields(self) -> dict[str, object]:
        """The record of the stream's schema; equal events give equal fields.

        Decimals in their one canonical spelling, times in whole microseconds since 1970. Fields of
        the record that are those of another class have their defaults.
        """
        return {
            field.name: _plain(getattr(self, field.name, field.default))
            for field in avro_fields(self.TYPE.stream)
        }

    @classmethod
    def from_avro_fields(cls, fields: Mapping[str, object], now: datetime) -> Self:
        """The event a decoded record describes; `to_avro_fields` of it is what the sender encoded.

        Fields the schema gives a default may be absent (older writers), others not. Raises
        RejectedRecord `missing_field`, `wrong_type`, and what `check` raises.
        """
        values = {field.name: field.read(fields) for field in own_fields(cls)}
        event = cls(**values)
        event.check(now)
        for name, value in values.items():
            found = getattr(event, name)
            if isinstance(value, str) and isinstance(found, str) and value != found:
                raise RejectedRecord(
                    "not_canonical",
                    f"{name}: {shown(value)} is not how it is written on the wire",
                    field=name,
                    value=value,
                    valid=found,
                )
        return event

    @classmethod
    def from_fields(cls, fields: Mapping[str, object], now: datetime) -> Self:
        """The event that named values describe, as a JSON object or a row of a file has them.

        Unlike on the wire, numbers may be numbers, or text in a row of a file, and times text.
        Raises RejectedRecord `unknown_field`, `missing_field`, and what `check` raises.
        """
        known = {field.name: field for field in own_fields(cls)}
        for name in fields:
            if name not in known:
                raise RejectedRecord(
                    "unknown_field",
                    f"{str(name)[:60]!r} is no field of {cls.__name__}",
                    field=str(name),
                    valid=", ".join(known),
                )
        values = {}
        for name, field in known.items():
            if name not in fields and field.is_required:
                raise RejectedRecord("missing_field", f"{name} is missing", field=name)
            values[name] = field.of_text(fields.get(name, field.default))
        event = cls(**values)
        event.check(now)
        return event


def own_fields(kind: type[ActivityEvent]) -> tuple[AvroField, ...]:
    """The fields of the schema that events of this class have, in its order; where one record
    serves several classes, each has some of them.
    """
    return tuple(one for one in avro_fields(kind.TYPE.stream) if hasattr(kind, one.name))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return canonical_text(value)
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
