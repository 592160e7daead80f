"""Files of shipments: what their rows mean, and from a row to a leg or to a named reason why not.

Belongs here: the keys of a mapping of kind `shipment`, rows of the file, rows that say themselves
that they are none. Does not: the rules of one field (field_mapping), sending (shipment_replay).

docs/replay.md explains every key.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.event_fields import avro_fields
from carbon_ledger.transport.shipment_events import ShipmentEvent
from pipeline.sources.csv_mapping import (
    TEXT_OF_TAB,
    CsvMapping,
    parse_mapping,
    read_as,
)
from pipeline.sources.csv_replay import BadRow, FileRows
from pipeline.sources.field_mapping import (
    FieldRule,
    Surroundings,
    invalid,
    parse_rule,
    read_fields,
)

KIND: Final = "shipment"
READINGS: Final = "meter_reading"
STREAM: Final = "logistics"
TOP_KEYS: Final = ("kind", "file", "refused", "fields", "variants")
FILE_KEYS: Final = ("delimiter", "encoding", "quote")
REFUSED_KEYS: Final = ("column", "matches", "code", "reason")
_CODE = re.compile(r"[a-z][a-z0-9_]{2,60}")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class RefusedRow:
    """Rows that are no shipment by what a column says: `{1}` in the reason is the first group."""

    column: str
    pattern: re.Pattern[str]
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The rules of rows whose column says so, and which of those rows are none."""

    column: str
    value: str
    refused: tuple[RefusedRow, ...]
    rules: Mapping[str, FieldRule]


@dataclass(frozen=True, kw_only=True)
class ShipmentMapping:
    """A checked mapping: every variant has a rule for each field that an event must have."""

    delimiter: str
    encoding: str
    quote: str
    refused: tuple[RefusedRow, ...]
    variants: tuple[Variant, ...]
    columns: frozenset[str]


def read_replay_mapping(path: Path) -> CsvMapping | ShipmentMapping:
    """The mapping in a YAML file, of the kind it says; by default of meter readings.

    Raises ConfigurationError naming the file and the key at fault.
    """
    return read_as(path, parse_replay_mapping)


def parse_replay_mapping(content: object) -> CsvMapping | ShipmentMapping:
    """The mapping in a parsed document. Raises ConfigurationError naming the key at fault."""
    if not isinstance(content, dict) or content.get("kind", READINGS) == READINGS:
        plain = (
            {key: one for key, one in content.items() if key != "kind"}
            if isinstance(content, dict)
            else content
        )
        return parse_mapping(plain)
    if content["kind"] != KIND:
        raise invalid("kind", f"{content['kind']!r} is not valid; valid are: {READINGS}, {KIND}")
    return parse_shipment_mapping(content)


def parse_shipment_mapping(content: Mapping[str, Any]) -> ShipmentMapping:
    """The mapping in a parsed document. Raises ConfigurationError naming the key at fault."""
    _known("the mapping", content, TOP_KEYS)
    file = content.get("file", {})
    _known("file", file, FILE_KEYS)
    common = content.get("fields", {})
    variants = content.get("variants") or [{"when": None, "fields": {}}]
    parsed = tuple(
        _variant(one, common, f"variants[{number}]") for number, one in enumerate(variants)
    )
    refused = _all_refused(content, "refused")
    rules = [rule for one in parsed for rule in one.rules.values()]
    named = {rule.column for rule in rules} | {one.column for one in parsed}
    named |= {one.column for one in refused}
    named |= {one.column for variant in parsed for one in variant.refused}
    delimiter = str(file.get("delimiter", ","))
    return ShipmentMapping(
        delimiter=TEXT_OF_TAB.get(delimiter, delimiter),
        encoding=_encoding(file.get("encoding", "utf-8")),
        quote=str(file.get("quote", '"')),
        refused=refused,
        variants=parsed,
        columns=frozenset(column for column in named if column),
    )


def _known(key: str, given: object, known: Sequence[str]) -> None:
    if not isinstance(given, Mapping):
        raise invalid(key, "must be keys and values")
    for name in given:
        if name not in known:
            raise invalid(f"{key}.{name}", f"is unknown; valid are: {', '.join(known)}")


def _encoding(value: object) -> str:
    try:
        name = codecs.lookup(str(value)).name
    except LookupError:
        raise invalid("file.encoding", f"{value!r} is not an encoding") from None
    return "utf-8-sig" if name == "utf-8" else name


def _variant(spec: Mapping[str, Any], common: Mapping[str, Any], key: str) -> Variant:
    _known(key, spec, ("when", "refused", "fields"))
    when = spec.get("when")
    if when is not None:
        _known(f"{key}.when", when, ("column", "equals"))
        if "column" not in when or not isinstance(when.get("equals"), str):
            raise invalid(f"{key}.when", "needs a column and the text it equals")
    fields = {**common, **spec.get("fields", {})}
    known = {one.name: one for one in avro_fields(STREAM)}
    _known(f"{key}.fields", fields, list(known))
    missing = [name for name, one in known.items() if one.is_required and name not in fields]
    if missing:
        raise invalid(f"{key}.fields", f"nothing gives {', '.join(missing)}")
    return Variant(
        column="" if when is None else str(when["column"]),
        value="" if when is None else when["equals"],
        refused=_all_refused(spec, f"{key}.refused"),
        rules={name: parse_rule(name, one, f"{key}.fields.{name}") for name, one in fields.items()},
    )


def _all_refused(spec: Mapping[str, Any], key: str) -> tuple[RefusedRow, ...]:
    given = enumerate(spec.get("refused", ()))
    return tuple(_refused(one, f"{key}[{number}]") for number, one in given)


def _refused(spec: Mapping[str, Any], key: str) -> RefusedRow:
    _known(key, spec, REFUSED_KEYS)
    missing = [name for name in REFUSED_KEYS if not isinstance(spec.get(name), str)]
    if missing:
        raise invalid(f"{key}.{missing[0]}", "is missing, or no text")
    if not _CODE.fullmatch(spec["code"]):
        raise invalid(f"{key}.code", f"{spec['code']!r} is no code; such as mass_not_stated")
    try:
        pattern = re.compile(spec["matches"])
    except re.error as error:
        raise invalid(f"{key}.matches", f"is no pattern: {error}") from None
    return RefusedRow(
        column=spec["column"], pattern=pattern, code=spec["code"], reason=spec["reason"]
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipment:
    """A row that gave an event. `line` is its first line in the file, counted from 1."""

    line: int
    event: ShipmentEvent


class ShipmentRows:
    """The shipments of one file, in its order: iterate for Shipment and BadRow, one per row.

    Raises ConfigurationError on construction if the header lacks a column of the mapping.
    """

    def __init__(self, lines: Iterable[str], mapping: ShipmentMapping, now: datetime) -> None:
        self._rows = FileRows(lines, mapping)
        self.header = self._rows.header
        self._mapping, self._now = mapping, now
        for column in sorted(mapping.columns):
            if self.header.count(column) != 1:
                raise ConfigurationError(
                    "csv_column",
                    f"column {column!r} is in the header {self.header.count(column)} times; it has "
                    f"{', '.join(map(repr, self.header))}",
                )

    def __iter__(self) -> Iterator[Shipment | BadRow]:
        for line, cells in self._rows:
            if isinstance(cells, csv.Error):
                problem = RejectedRecord("csv_row", f"not a row: {cells}", valid="a whole row")
                yield self._bad(line, (), problem)
                continue
            try:
                yield Shipment(line=line, event=self._event(cells))
            except RejectedRecord as problem:
                yield self._bad(line, cells, problem)

    def _event(self, cells: Sequence[str]) -> ShipmentEvent:
        if len(cells) != len(self.header):
            raise RejectedRecord(
                "csv_row",
                f"has {len(cells)} cells where the header has {len(self.header)}",
                valid="as many cells as the header",
            )
        row = dict(zip(self.header, cells, strict=True))
        for column in self._mapping.columns:
            if _SURROGATE.search(row[column]):
                raise RejectedRecord(
                    "bad_utf8",
                    f"{column}: not text in {self._mapping.encoding}",
                    field=column,
                    valid=self._mapping.encoding,
                )
        _refuse(row, self._mapping.refused)
        variant = self._variant_of(row)
        _refuse(row, variant.refused)
        values = read_fields(variant.rules, row, Surroundings())
        return ShipmentEvent.from_fields(values, self._now)

    def _variant_of(self, row: Mapping[str, str]) -> Variant:
        for one in self._mapping.variants:
            if not one.column or row[one.column].strip() == one.value:
                return one
        first = self._mapping.variants[0]
        raise RejectedRecord(
            "row_of_no_variant",
            f"{first.column}: {row[first.column][:60]!r} is none of the mapping's variants",
            field=first.column,
            value=row[first.column],
            valid=", ".join(one.value for one in self._mapping.variants),
        )

    def _bad(self, line: int, cells: Sequence[str], problem: RejectedRecord) -> BadRow:
        return BadRow(
            line=line,
            column=problem.field or "",
            value=problem.value or "",
            code=problem.code,
            reason=problem.message,
            cells=tuple(cells),
        )


def _refuse(row: Mapping[str, str], refused: Sequence[RefusedRow]) -> None:
    for one in refused:
        match = one.pattern.fullmatch(row[one.column].strip())
        if match is not None:
            raise RejectedRecord(
                one.code, _filled(one.reason, match), field=one.column, value=row[one.column]
            )


def _filled(reason: str, match: re.Match[str]) -> str:
    text = reason
    for number, group in enumerate(match.groups(), 1):
        text = text.replace(f"{{{number}}}", group or "")
    return text
