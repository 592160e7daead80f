"""From named values of a message to a meter reading, by a mapping that is data.

Belongs here: topic templates, where each field of the event comes from, time stamps, registers that
say a total only. Does not: payload formats (json_readings, sparkplug), brokers (mqtt).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import IoTEnergyEvent, normalise_timestamp
from pipeline.sources.meter_registers import RegisterBook
from pipeline.sources.source_config import Table

PLAIN_FIELDS: Final = (
    "sensor_id",
    "facility_id",
    "country_iso2",
    "region",
    "energy_kwh",
    "energy_source",
    "grid_carbon_intensity_gco2_kwh",
    "timestamp",
    "interval_seconds",
    "scope",
    "revision",
)
EVENT_FIELDS: Final = tuple(
    one.name for one in dataclass_fields(MeterReadingEvent) if one.name != "problem"
)
IDENTIFIERS: Final = ("sensor_id", "facility_id")
AMOUNTS: Final = ("energy_kwh", "quantity", "register_end")
NEVER_OPTIONAL: Final = (
    *("sensor_id", "facility_id", "country_iso2", "timestamp", "interval_seconds"),
    *(*AMOUNTS, "unit"),
)
# Ticks of a second.
TIME_UNITS: Final = {"s": 1, "ms": 1000, "us": 1_000_000}
STAMPS: Final = ("interval_start", "interval_end")
# Every reading is later, and subtracting any interval from it still is a date.
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VARIABLE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_MISSING: Final = object()

Reading = IoTEnergyEvent | MeterReadingEvent


@dataclass(frozen=True, kw_only=True)
class TopicTemplate:
    """Topics as `plants/{facility_id}/meters/{sensor_id}`: each variable is (part of) one level."""

    text: str
    filter: str
    pattern: re.Pattern[str]
    names: frozenset[str]

    @classmethod
    def of(cls, text: str) -> TopicTemplate:
        """The template; ValueError for one that is no topic or names a variable twice."""
        names = _VARIABLE.findall(text)
        if len(names) != len(set(names)):
            raise ValueError("a variable occurs twice")
        rest = _VARIABLE.sub("", text)
        if not text or set(rest) & set("{}+#\0") or text.startswith("$share/"):
            raise ValueError("levels are text and {variables}; + and # are not written")
        if any(len(_VARIABLE.findall(level)) > 1 for level in text.split("/")):
            raise ValueError("a level has more than one variable")
        levels = ["+" if "{" in level else level for level in text.split("/")]
        pieces = _VARIABLE.split(text)  # text, name, text, name, …, text
        pattern = "".join(
            f"(?P<{piece}>[^/]+)" if odd % 2 else re.escape(piece)
            for odd, piece in enumerate(pieces)
        )
        return cls(
            text=text,
            filter="/".join(levels),
            pattern=re.compile(pattern),
            names=frozenset(names),
        )

    def variables(self, topic: str) -> dict[str, str] | None:
        """The variables of a topic, or None where it is none of this template's."""
        match = self.pattern.fullmatch(topic)
        return match.groupdict() if match else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldSource:
    """Where one field comes from: a constant, a path in the item or in the whole message, a text of
    topic variables, or a table by one of them.
    """

    constant: Any = None
    key: tuple[str, ...] = ()
    outer: tuple[str, ...] = ()
    template: str | None = None
    of: str | None = None
    values: Mapping[str, Any] | None = None
    default: Any = _MISSING
    is_optional: bool = False

    def value(self, name: str, variables: Mapping[str, str], item: Any, message: Any) -> object:
        """The value, None where there need not be one; raises RejectedRecord `missing_field` or
        `unknown_value`.
        """
        if self.template is not None:
            return _VARIABLE.sub(lambda match: variables[match[1]], self.template)
        if self.of is not None and self.values is not None:
            return self._looked_up(name, variables[self.of])
        path = self.key or self.outer
        if not path:
            return self.constant
        found = dig(item if self.key else message, path)
        if found is _MISSING or found is None:
            if self.is_optional:
                return None
            if self.default is _MISSING:
                raise RejectedRecord(
                    "missing_field",
                    f"{name}: the message has no {'.'.join(path)!r}",
                    field=name,
                    valid=f"a value at {'.'.join(path)}",
                )
            return self.default
        if isinstance(found, dict | list):
            raise RejectedRecord(
                "wrong_type",
                f"{name}: {'.'.join(path)!r} is a structure",
                field=name,
                value=found,
                valid="a text, a number, true or false",
            )
        return _as_field(name, found)

    def _looked_up(self, name: str, given: str) -> object:
        known = self.values or {}
        if given in known:
            return known[given]
        if self.default is not _MISSING:
            return self.default
        raise RejectedRecord(
            "unknown_value",
            f"{name}: the mapping has none for {self.of} {given[:60]!r}",
            field=name,
            value=given,
            valid=", ".join(known),
        )


def _as_field(name: str, found: object) -> object:
    """The value as fields have it: names of things may be numbers in JSON, and half a surrogate
    pair, which JSON can spell, is no text.
    """
    if isinstance(found, int) and not isinstance(found, bool) and name in IDENTIFIERS:
        return str(found)
    if isinstance(found, str):
        try:
            found.encode()
        except UnicodeEncodeError:
            raise RejectedRecord(
                "not_text",
                f"{name}: {found[:60]!r} is no text",
                field=name,
                value=found,
                valid="characters of Unicode",
            ) from None
    return found


def dig(value: Any, path: tuple[str, ...]) -> Any:
    """What is at `path` in nested objects, or a mark that compares to nothing else."""
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingMapping:
    """What a message of one template means."""

    template: TopicTemplate
    fields: Mapping[str, FieldSource]
    time_unit: str
    stamp: str

    @property
    def is_plain(self) -> bool:
        """Whether the hot path's event says it all."""
        return set(self.fields) <= set(PLAIN_FIELDS)

    @property
    def is_running_total(self) -> bool:
        """Whether a message says a register's reading, and not what it was before."""
        return "register_end" in self.fields and "register_start" not in self.fields

    def reading(
        self,
        variables: Mapping[str, str],
        item: Any,
        message: Any,
        book: RegisterBook,
        now: datetime,
    ) -> Reading | None:
        """The reading; None for the first of a running total, which is what later ones start from.

        Raises RejectedRecord for what is missing, contradictory or refused by the event.
        """
        values: dict[str, Any] = {
            name: value
            for name, source in self.fields.items()
            if (value := source.value(name, variables, item, message)) is not None
        }
        values["timestamp"] = moment(values["timestamp"], self.time_unit)
        if self.is_running_total:
            earlier = book.step(str(values["sensor_id"]), values["timestamp"], values)
            if earlier is None:
                return None
            values |= earlier
        elif self.stamp == "interval_end":
            interval = timedelta(seconds=_whole_seconds(values["interval_seconds"]))
            values["timestamp"] = max(values["timestamp"], EARLIEST) - interval
        return self._event(values, now)

    def _event(self, values: dict[str, Any], now: datetime) -> Reading:
        if not self.is_plain:
            return MeterReadingEvent.from_fields({"energy_source": "grid", **values}, now)
        for name in ("interval_seconds", "scope", "revision"):
            if isinstance(values.get(name), str) and values[name].isascii():
                values[name] = int(values[name]) if values[name].isdecimal() else values[name]
        event = IoTEnergyEvent(
            **{"energy_source": "grid", "grid_carbon_intensity_gco2_kwh": None, **values}
        )
        event.check(now)
        return event


def _whole_seconds(value: object) -> int:
    text = str(value)
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        return int(text)
    raise RejectedRecord(
        "interval_out_of_range",
        f"interval_seconds: {text[:60]!r} is no whole number of seconds",
        field="interval_seconds",
        value=text,
        valid="a whole number",
    )


def moment(value: object, unit: str) -> datetime:
    """A time stamp as aware UTC, from ISO 8601 text or from a number of ticks since 1970.

    Raises RejectedRecord `not_a_timestamp`, `timestamp_out_of_range`; whether it lies in the
    ledger's range is the event's to judge.
    """
    if unit == "iso":
        if not isinstance(value, str):
            raise _not_a_timestamp(value, "ISO 8601 text")
        return normalise_timestamp(value)
    try:
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise InvalidOperation
        ticks = Decimal(value)
        if not ticks.is_finite() or abs(ticks) > Decimal(10) ** 18:
            raise InvalidOperation
    except InvalidOperation:
        raise _not_a_timestamp(value, f"a number, in {unit} since 1970") from None
    return normalise_timestamp(int(ticks * (1_000_000 // TIME_UNITS[unit])))


def _not_a_timestamp(value: object, valid: str) -> RejectedRecord:
    return RejectedRecord(
        "not_a_timestamp",
        f"timestamp: {str(value)[:60]!r} is no time stamp",
        field="timestamp",
        value=value,
        valid=valid,
    )


def read_template(table: Table) -> TopicTemplate:
    """The table's `template`."""
    text = table.text("template", valid="a topic such as plants/{facility_id}/{sensor_id}/energy")
    try:
        return TopicTemplate.of(text)
    except ValueError as error:
        raise table.wrong(
            "template",
            f"is {text!r}: {error}",
            "levels of text and {variables}, such as plants/{facility_id}/{sensor_id}/energy",
        ) from None


def read_mapping(
    table: Table,
    template: TopicTemplate,
    given: Mapping[str, Any],
    *,
    implied: frozenset[str] = frozenset(),
) -> ReadingMapping:
    """The mapping of one template; `implied` fields come from the payload's own format.

    Raises ConfigurationError for an unknown field, a field without which no reading is whole, or a
    source that cannot be.
    """
    fields = {
        name: FieldSource(template=f"{{{name}}}") for name in template.names & set(EVENT_FIELDS)
    }
    fields |= {name: FieldSource(key=(name,)) for name in implied}
    for name, source in given.items():
        if name not in EVENT_FIELDS:
            raise table.wrong(f"fields.{name}", "is no field", ", ".join(EVENT_FIELDS))
        fields[name] = _source(table, template, name, source)
    mapping = ReadingMapping(
        template=template,
        fields=fields,
        time_unit="ms" if implied else table.choice("time_unit", ("iso", *TIME_UNITS), "iso"),
        stamp=table.choice("stamp", STAMPS, "interval_start"),
    )
    _judge(table, mapping)
    return mapping


def _judge(table: Table, mapping: ReadingMapping) -> None:
    for name in ("sensor_id", "facility_id", "country_iso2", "timestamp"):
        if name not in mapping.fields:
            raise table.wrong(
                f"fields.{name}", "is missing", f"a source, or {{{name}}} in template"
            )
    for name in NEVER_OPTIONAL:
        if name in mapping.fields and mapping.fields[name].is_optional:
            raise table.wrong(
                f"fields.{name}", "is optional", "a field without which none is whole"
            )
    if not any(name in mapping.fields for name in AMOUNTS):
        raise table.wrong("fields", "name no amount", " or ".join(AMOUNTS))
    total = mapping.is_running_total
    if total and "interval_seconds" in mapping.fields:
        raise table.wrong(
            "fields.interval_seconds",
            "is stated of a running total",
            "nothing: the interval is the time since the reading before",
        )
    if not total and mapping.stamp == "interval_end" and "interval_seconds" not in mapping.fields:
        raise table.wrong("fields.interval_seconds", "is missing", "needed: stamps are ends")


def _source(table: Table, template: TopicTemplate, name: str, given: Any) -> FieldSource:
    where = f"fields.{name}"
    if not isinstance(given, Mapping):
        if not isinstance(given, str | int | Decimal):
            raise table.wrong(where, f"is {given!r}", "a text, a number, true, false, or a table")
        return FieldSource(constant=given)
    known = {"key", "outer", "template", "of", "values", "default", "optional"}
    ways = [way for way in ("key", "outer", "template", "of") if way in given]
    is_optional = given.get("optional", False)
    if is_optional not in (True, False) or (
        is_optional and (ways not in (["key"], ["outer"]) or "default" in given)
    ):
        raise table.wrong(
            f"{where}.optional", f"is {is_optional!r}", "true beside key or outer, without default"
        )
    if len(ways) != 1 or set(given) - known or ("of" in given) != ("values" in given):
        raise table.wrong(
            where,
            f"is {dict(given)!r}"[:200],
            'a value, { key = "path.in.item" }, { outer = "path.in.message" }, '
            '{ template = "{variable}" } or { of = "variable", values = { … } }',
        )
    text = given[ways[0]]
    if not isinstance(text, str) or not text:
        raise table.wrong(f"{where}.{ways[0]}", f"is {text!r}", "a text")
    used = _VARIABLE.findall(text) if ways[0] == "template" else [text] * (ways[0] == "of")
    if unknown := set(used) - template.names:
        raise table.wrong(where, f"names {sorted(unknown)[0]!r}", ", ".join(sorted(template.names)))
    default = given.get("default", _MISSING)
    return FieldSource(
        key=tuple(text.split(".")) if ways[0] == "key" else (),
        outer=tuple(text.split(".")) if ways[0] == "outer" else (),
        template=text if ways[0] == "template" else None,
        of=text if ways[0] == "of" else None,
        values=given.get("values"),
        default=default,
        is_optional=bool(is_optional),
    )
