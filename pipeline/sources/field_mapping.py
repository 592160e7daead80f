"""How one field of an event is had from an item of a carrier's answer, or from a row of a file.

Belongs here: the small language of rules (path, column, constant, table, unit, time) and what it
refuses. Does not: which provider (pipeline/sources/providers), fetching (rest), the events.

A rule gives a value or refuses by name. It never falls back on another meaning: what is not in a
table, has no unit or no time zone is told, and whoever keeps the mapping decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.events import FRACTION_DIGITS_MAX
from carbon_ledger.quantities import decimal_from
from carbon_ledger.reference.records import check_time_zone
from carbon_ledger.units import DIMENSIONS, convert

EPOCHS: Final = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1_000}
PICKS: Final = ("only", "first", "last", "earliest", "latest")
RULE_KEYS: Final = (
    "path",
    "paths",
    "column",
    "const",
    "value",
    "subject",
    "join",
    "pick",
    "table",
    "absent",
    "optional",
    "unit",
    "unit_path",
    "units",
    "to",
    "time",
    "zone",
    "until",
)
_GIVERS: Final = ("path", "paths", "column", "const", "value", "subject", "join")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SEGMENT = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]|\[([^=\]]+)=([^\]]*)\]")
_UNITS: Final = frozenset(unit for dimension in DIMENSIONS.values() for unit in dimension)
_CONVERTED: Final = Context(prec=76, rounding=ROUND_HALF_EVEN)
_QUANTUM: Final = Decimal(1).scaleb(-FRACTION_DIGITS_MAX)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What rules may look at beside the item: the item an expansion came from, the subject that was
    asked about, the values of the source's own file, the zone of stamps without one.
    """

    root: object = None
    subject: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo | None = None


# ---- paths

Step = tuple[str, str, str]


def parse_path(text: str) -> tuple[Step, ...]:
    """The steps of a path: `a.b[0].c[type=X].d`; `^.` at its start means the item expanded from.

    A name looks into every element of a list. Raises ConfigurationError `mapping_path`.
    """
    steps: list[Step] = []
    rest = text
    if rest.startswith("^."):
        steps.append(("root", "", ""))
        rest = rest[2:]
    position = 0
    while position < len(rest):
        if rest[position] == "." and position:
            position += 1
        match = _SEGMENT.match(rest, position)
        if match is None:
            raise ConfigurationError(
                "mapping_path", f"{text!r} is no path; such as details.weight[0].value"
            )
        name, index, key, wanted = match.groups()
        if name is not None:
            steps.append(("name", name, ""))
        elif index is not None:
            steps.append(("index", index, ""))
        else:
            steps.append(("where", key, wanted))
        position = match.end()
    if not steps:
        raise ConfigurationError("mapping_path", "a path is empty")
    return tuple(steps)


def walk(node: object, steps: Sequence[Step], root: object = None) -> list[object]:
    """Every value at the path, in order; null and what is not there are nothing."""
    found: list[object] = [node]
    for kind, name, wanted in steps:
        after: list[object] = []
        for one in found:
            if kind == "root":
                after.append(root)
            elif kind == "name":
                inside = one if isinstance(one, list) else [one]
                after += [each[name] for each in inside if isinstance(each, dict) and name in each]
            elif kind == "index":
                at = int(name)
                if isinstance(one, list) and -len(one) <= at < len(one):
                    after.append(one[at])
            elif isinstance(one, list):
                after.append(
                    [
                        each
                        for each in one
                        if isinstance(each, dict) and str(each.get(name)) == wanted
                    ]
                )
        found = [one for one in after if one is not None]
    flat: list[object] = []
    for one in found:
        flat += [each for each in one if each is not None] if isinstance(one, list) else [one]
    return flat


def missing_name(node: object, steps: Sequence[Step]) -> str | None:
    """The first name of the path that is nowhere, None if all are there or end in empty lists.

    So that an answer of another shape is told apart from one that has nothing to say.
    """
    found = [node]
    for _, name, _ in steps:
        inside = [each for one in found for each in (one if isinstance(one, list) else [one])]
        having = [each for each in inside if isinstance(each, dict) and name in each]
        if inside and not having:
            return name
        found = [each[name] for each in having if each[name] is not None]
    return None


# ---- rules


@dataclass(frozen=True, kw_only=True)
class FieldRule:
    """One checked rule: see docs/sources.md for what each key means."""

    name: str
    paths: tuple[tuple[Step, ...], ...] = ()
    column: str | None = None
    const: object = None
    value: str | None = None
    subject: str | None = None
    join: tuple[tuple[Step, ...], ...] = ()
    pick: str = "only"
    table: Mapping[str, object] | None = None
    absent: frozenset[str] = frozenset()
    is_optional: bool = False
    unit: str | None = None
    unit_path: tuple[Step, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    to: str | None = None
    time: tuple[str, ...] = ()
    zone: ZoneInfo | None = None
    until: FieldRule | None = None

    def read(self, item: object, around: Surroundings) -> object:
        """The field's value, or None where an optional one is absent.

        Codes: `item_field_missing`, `item_field_ambiguous`, `item_value_unknown`,
        `item_unit_unknown`, `not_a_number`, `not_a_timestamp`, `timestamp_without_zone`.
        """
        given = self._given(item, around)
        if given is None:
            if self.is_optional:
                return None
            raise RejectedRecord(
                "item_field_missing",
                f"{self.name}: nothing is where the mapping looks for it ({self.where()})",
                field=self.name,
                valid="an item that has it, or a mapping that says where else it is",
            )
        if self.table is not None:
            given = self._tabled(given)
            if given is None:
                return None
        if self.to is not None:
            return self._converted(given, item, around)
        if self.time:
            return self._stamped(given, item, around)
        return given

    def where(self) -> str:
        """Where the rule looks, in words."""
        if self.column is not None:
            return f"column {self.column!r}"
        if self.value is not None:
            return f"[values] {self.value}"
        if self.subject is not None:
            return f"column {self.subject!r} of the subjects"
        return " or ".join(".".join(part for _, part, _ in one) for one in self.paths or self.join)

    def _given(self, item: object, around: Surroundings) -> object:
        if self.const is not None:
            return self.const
        if self.value is not None:
            return self._kept(around.values.get(self.value))
        if self.subject is not None:
            return self._kept(around.subject.get(self.subject))
        if self.column is not None:
            return self._kept(item.get(self.column) if isinstance(item, dict) else None)
        if self.join:
            parts = [self._one(walk(item, path, around.root), around) for path in self.join]
            return None if None in parts else "-".join(str(part) for part in parts)
        for path in self.paths:
            found = self._one(walk(item, path, around.root), around)
            if found is not None:
                return found
        return None

    def _kept(self, value: object) -> object:
        text = value.strip() if isinstance(value, str) else value
        return None if text is None or text == "" or str(text) in self.absent else text

    def _one(self, found: list[object], around: Surroundings) -> object:
        kept = [one for one in map(self._kept, found) if one is not None]
        if not kept:
            return None
        if self.pick in ("earliest", "latest"):
            ordered = sorted(kept, key=lambda one: self._moment(one, around))
            return ordered[0 if self.pick == "earliest" else -1]
        if self.pick != "only":
            return kept[0 if self.pick == "first" else -1]
        if any(one != kept[0] for one in kept):
            raise RejectedRecord(
                "item_field_ambiguous",
                f"{self.name}: {len(kept)} different values are at {self.where()}, and the mapping "
                "does not say which",
                field=self.name,
                value=", ".join(str(one) for one in kept),
                valid="one value, or `pick` in the mapping",
            )
        return kept[0]

    def _tabled(self, given: object) -> object:
        table = self.table or {}
        if str(given) not in table:
            raise RejectedRecord(
                "item_value_unknown",
                f"{self.name}: {str(given)[:60]!r} is not in the mapping's table",
                field=self.name,
                value=given,
                valid=", ".join(table)[:500],
            )
        found = table[str(given)]
        return None if found == "" else found

    def _converted(self, given: object, item: object, around: Surroundings) -> Decimal:
        number = decimal_from(given, field=self.name)
        unit = self.unit
        if self.unit_path:
            stated = walk(item, self.unit_path, around.root)
            named = str(stated[0]) if stated else None
            unit = self.units.get(named) if named is not None else None
            if unit is None:
                raise RejectedRecord(
                    "item_unit_unknown",
                    f"{self.name}: {named!r} is no unit the mapping knows",
                    field=self.name,
                    value=named,
                    valid=", ".join(self.units),
                )
        exact = convert(number, str(unit), str(self.to))
        exponent = exact.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -FRACTION_DIGITS_MAX:
            exact = exact.quantize(_QUANTUM, context=_CONVERTED)
        return exact

    def _stamped(self, given: object, item: object, around: Surroundings) -> object:
        moment = self._moment(given, around)
        if self.until is None:
            return moment
        end = self.until.read(item, around)
        if end is None:
            return None
        if not isinstance(end, datetime) or end < moment:
            raise RejectedRecord(
                "item_times_backwards",
                f"{self.name}: it ends at {end}, before it begins at {moment.isoformat()}",
                field=self.name,
                value=end,
                valid="an end after the beginning",
            )
        return (end - moment) // timedelta(seconds=1)

    def _moment(self, given: object, around: Surroundings) -> datetime:
        for form in self.time:
            moment = _parsed(given, form)
            if moment is None:
                continue
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
            zone = self.zone or around.zone
            if zone is None:
                raise RejectedRecord(
                    "timestamp_without_zone",
                    f"{self.name}: {str(given)[:60]!r} has no time zone",
                    field=self.name,
                    value=given,
                    valid="a stamp with an offset, or time_zone in the source's file",
                )
            return _in_zone(moment, zone, self.name, given)
        raise RejectedRecord(
            "not_a_timestamp",
            f"{self.name}: {str(given)[:60]!r} is not a point in time",
            field=self.name,
            value=given,
            valid=" or ".join(self.time),
        )


def _parsed(given: object, form: str) -> datetime | None:
    """The stamp, aware where it says so; None if it is not of the form."""
    if form in EPOCHS:
        try:
            number = int(decimal_from(given, field="timestamp"))
            return _EPOCH + timedelta(microseconds=number * EPOCHS[form])
        except (RejectedRecord, OverflowError, ValueError):
            return None
    try:
        if form == "iso":
            return datetime.fromisoformat(str(given))
        return datetime.strptime(str(given), form)  # noqa: DTZ007 - the zone comes after
    except ValueError:
        return None


def _in_zone(moment: datetime, zone: ZoneInfo, name: str, given: object) -> datetime:
    """A local stamp as UTC; one that clocks skip or pass twice is refused, not guessed."""
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise RejectedRecord(
            "ambiguous_local_time",
            f"{name}: {given!r} happened twice or never in {zone.key}",
            field=name,
            value=given,
            valid="a stamp with an offset",
        )
    return first.astimezone(UTC)


# ---- reading rules


def parse_rule(name: str, spec: object, key: str) -> FieldRule:
    """The rule of a field from its table in a mapping file.

    Raises ConfigurationError `mapping_invalid` naming the key at fault.
    """
    rule: dict[str, Any] = dict(spec) if isinstance(spec, dict) else {"const": spec}
    return _rule_of(name, rule, key)


def _rule_of(name: str, spec: Mapping[str, Any], key: str) -> FieldRule:
    for one in spec:
        if one not in RULE_KEYS:
            raise invalid(f"{key}.{one}", f"is unknown; valid are: {', '.join(RULE_KEYS)}")
    given = [one for one in _GIVERS if one in spec]
    if len(given) != 1:
        raise invalid(key, f"needs exactly one of {', '.join(_GIVERS)}; it has {given or 'none'}")
    pick = str(spec.get("pick", "only"))
    if pick not in PICKS:
        raise invalid(f"{key}.pick", f"{pick!r} is not valid; valid are: {', '.join(PICKS)}")
    time = spec.get("time", ())
    forms = (time,) if isinstance(time, str) else tuple(time)
    _check_rule(spec, key, forms, pick)
    path = spec.get("path")
    return FieldRule(
        name=name,
        paths=tuple(parse_path(one) for one in ([path] if path else spec.get("paths", ()))),
        column=spec.get("column"),
        const=spec.get("const"),
        value=spec.get("value"),
        subject=spec.get("subject"),
        join=tuple(parse_path(one) for one in spec.get("join", ())),
        pick=pick,
        table=spec.get("table"),
        absent=frozenset(spec.get("absent", ())),
        is_optional=bool(spec.get("optional", False)),
        unit=spec.get("unit"),
        unit_path=parse_path(spec["unit_path"]) if "unit_path" in spec else (),
        units=spec.get("units", {}),
        to=spec.get("to"),
        time=forms,
        zone=_zone(spec.get("zone"), f"{key}.zone"),
        until=parse_rule(name, spec["until"], f"{key}.until") if "until" in spec else None,
    )


def _check_rule(spec: Mapping[str, Any], key: str, forms: Sequence[object], pick: str) -> None:
    for form in forms:
        if not isinstance(form, str) or not (form == "iso" or form in EPOCHS or "%" in form):
            raise invalid(
                f"{key}.time", f"{form!r} is not valid: iso, {', '.join(EPOCHS)}, or %d-%b-%y"
            )
    if pick in ("earliest", "latest") and not forms:
        raise invalid(f"{key}.pick", f"{pick} needs `time`")
    if "until" in spec and not forms:
        raise invalid(f"{key}.until", "needs `time`")
    has_unit = ("unit" in spec) + ("unit_path" in spec)
    if has_unit != ("to" in spec):
        raise invalid(key, "needs `to` with one of `unit`, `unit_path`, or none of them")
    if "unit_path" in spec and not isinstance(spec.get("units"), dict):
        raise invalid(f"{key}.units", "is missing: a table of the provider's units")
    for unit in (spec.get("unit"), spec.get("to"), *spec.get("units", {}).values()):
        if unit is not None and unit not in _UNITS:
            raise invalid(key, f"{unit!r} is no unit")
    if "table" in spec and not isinstance(spec["table"], dict):
        raise invalid(f"{key}.table", "must be keys and values")


def _zone(value: object, key: str) -> ZoneInfo | None:
    if value is None:
        return None
    try:
        return ZoneInfo(check_time_zone(value))
    except RejectedRecord as problem:
        raise invalid(key, str(problem)) from None


def invalid(key: str, message: str) -> ConfigurationError:
    """A mapping's fault, with the key it is at."""
    return ConfigurationError("mapping_invalid", f"{key}: {message}")


def read_fields(
    rules: Mapping[str, FieldRule], item: object, around: Surroundings
) -> dict[str, Any]:
    """Every field that has a value. Raises RejectedRecord for the first that cannot be had."""
    read = {name: rule.read(item, around) for name, rule in rules.items()}
    return {name: value for name, value in read.items() if value is not None}
