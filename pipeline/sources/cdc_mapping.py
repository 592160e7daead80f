"""Which captured tables hold purchase orders, and which column is which field of an event.

Belongs here: reading and checking that statement, and an event's fields by it. Does not: decoding
(cdc_envelope), what is known of rows (cdc_rows).

A mapping is a TOML file; deploy/connect/mappings has one for each kind of ERP known so far.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.event_fields import avro_fields
from carbon_ledger.quantities import PRODUCT, canonical_text, decimal_from
from carbon_ledger.settings import PROJECT_ROOT
from pipeline.sources.cdc_envelope import UNAVAILABLE, Row, Value

STREAM: Final = "procurement"
HEADER: Final = "header"
LINE: Final = "line"
ROLES: Final = (HEADER, LINE)
FOLDER: Final = PROJECT_ROOT / "deploy" / "connect" / "mappings"
# Set here, not by a column.
OWN_FIELDS: Final = ("revision", "is_cancelled")
_PARTS: Final = {"header", "line", "event", "values", "shift", "types"}
_TYPES: Final = ("date", "timestamp_ms", "timestamp_us", "decimal")

# A row as it is kept: its mapped columns as text.
Image = dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One captured table: its name, its key, the columns that name the header, and which values
    of which columns say that a row counts as deleted.
    """

    name: str
    key: tuple[str, ...]
    header: tuple[str, ...]
    deleted: Mapping[str, tuple[str, ...]]

    def is_deleted(self, image: Image) -> bool:
        """Whether a deletion flag is set."""
        return any(image.get(column) in values for column, values in self.deleted.items())


@dataclass(frozen=True, kw_only=True)
class ErpMapping:
    """A mapping that was read and checked."""

    tables: Mapping[str, Table]
    event: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shift: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    def role_of(self, table: str) -> str | None:
        """`header` or `line`; None of a table that is neither."""
        return next((role for role in ROLES if self.tables[role].name == table), None)

    def columns(self, role: str) -> set[str]:
        """The columns that are kept of a row: no others leave this module."""
        table = self.tables[role]
        named = {
            factor.partition(".")[2]
            for source in self.event.values()
            for factor in _factors(source)
            if factor.startswith(f"{role}.")
        }
        return {*named, *table.key, *table.header, *table.deleted}

    def image(self, role: str, row: Row, before: Image | None) -> Image:
        """The columns of a row that matter, as text; one that the log does not have because it did
        not change is as it was `before`. Raises RejectedRecord `missing_column`.
        """
        found: Image = {}
        for column in sorted(self.columns(role)):
            if column not in row or (row[column] == UNAVAILABLE and before is None):
                raise RejectedRecord(
                    "missing_column",
                    f"{self.tables[role].name} has no column {column} in the message",
                    field=column,
                    valid=f"the columns {', '.join(sorted(self.columns(role)))}, all of them in "
                    "the log (REPLICA IDENTITY FULL, supplemental logging)",
                )
            value = row[column]
            found[column] = (before or {}).get(column) if value == UNAVAILABLE else text_of(value)
        return found

    def fields(self, header: Image, line: Image) -> dict[str, object]:
        """The fields of the event, as PurchaseOrderEvent.from_fields takes them, without revision.

        Raises RejectedRecord where a product is asked of what is no number.
        """
        images = {HEADER: header, LINE: line}
        found: dict[str, object] = {}
        for name, source in self.event.items():
            value = source[1:] if source.startswith("=") else _value(name, source, images)
            value = None if value is None else self.values.get(name, {}).get(value, value)
            found[name] = value
        currency = str(found.get("currency"))
        for name, digits in self.shift.items():
            if currency in digits and found.get(name) is not None:
                number = decimal_from(found[name], field=name)
                found[name] = canonical_text(PRODUCT.scaleb(number, digits[currency]))
        for column in avro_fields(STREAM):
            if column.types == (bool,) and column.name in found:
                found[column.name] = found[column.name] in ("true", "X", "Y", "1")
        return {name: value for name, value in found.items() if value is not None}


def text_of(value: Value) -> str | None:
    """A value of a column as it is kept: one spelling; blank text is nothing, as SAP has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return canonical_text(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    text = None if value is None else str(value).rstrip(" ")
    return text or None


def key_of(columns: tuple[str, ...], *rows: Mapping[str, Any] | None) -> str:
    """The key of a row as one text, from the first of `rows` that has all its columns.

    Raises RejectedRecord `missing_key`.
    """
    for row in rows:
        values = [text_of((row or {}).get(column)) for column in columns]
        if all(value not in (None, UNAVAILABLE) for value in values):
            return "/".join(str(value).replace("%", "%25").replace("/", "%2F") for value in values)
    raise RejectedRecord(
        "missing_key",
        f"the message does not say which row it is of: {', '.join(columns)}",
        field=columns[0],
        valid="every column of the key, in the message's key or in the row",
    )


def _factors(source: str) -> list[str]:
    return [] if source.startswith("=") else [one.strip() for one in source.split("*")]


def _value(name: str, source: str, images: Mapping[str, Image]) -> str | None:
    factors = []
    for one in _factors(source):
        role, _, column = one.partition(".")
        factors.append(images[role].get(column))
    if len(factors) == 1:
        return factors[0]
    product = Decimal(1)
    for factor in factors:
        if factor is None:
            return None
        product = PRODUCT.multiply(product, decimal_from(factor, field=name))
    return canonical_text(product)


def find_mapping(name: str) -> Path:
    """The file of a mapping: one that is known by its name, or a path.

    Raises ConfigurationError `mapping_unknown`.
    """
    known = {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}
    if name in known:
        return known[name]
    if Path(name).is_file():
        return Path(name)
    raise ConfigurationError(
        "mapping_unknown",
        f"there is no mapping {name!r}; known are {', '.join(known)}, or the path of a file",
    )


def read_mapping(path: Path) -> ErpMapping:
    """The mapping in a file. Raises ConfigurationError `mapping_invalid`, naming what is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError("mapping_invalid", f"{path}: {error}") from error
    unknown = sorted(content.keys() - _PARTS)
    if unknown or not content.keys() >= {HEADER, LINE, "event"}:
        raise _invalid(
            path, f"its parts are {', '.join(content) or 'none'}", f"{', '.join(sorted(_PARTS))}"
        )
    try:
        tables = {role: _table(role, content[role]) for role in ROLES}
        mapping = ErpMapping(
            tables=tables,
            event={str(name): str(source) for name, source in content["event"].items()},
            values={
                name: {str(k): str(v) for k, v in table.items()}
                for name, table in content.get("values", {}).items()
            },
            shift={
                name: {str(k): int(v) for k, v in table.items()}
                for name, table in content.get("shift", {}).items()
            },
            types={str(k): str(v) for k, v in content.get("types", {}).items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _invalid(path, f"{error!r}", "as in deploy/connect/mappings") from error
    _check(path, mapping)
    return mapping


def _table(role: str, content: Mapping[str, Any]) -> Table:
    return Table(
        name=str(content["table"]),
        key=tuple(map(str, content["key"])),
        header=tuple(map(str, content["key" if role == HEADER else "header"])),
        deleted={
            str(column): tuple(map(str, values))
            for column, values in content.get("deleted", {}).items()
        },
    )


def _check(path: Path, mapping: ErpMapping) -> None:
    known = {one.name: one for one in avro_fields(STREAM) if one.name not in OWN_FIELDS}
    for name in (*mapping.event, *mapping.values, *mapping.shift):
        if name not in known:
            raise _invalid(path, f"{name!r} is no field of an event", ", ".join(known))
    for name, one in known.items():
        if one.is_required and name not in mapping.event:
            raise _invalid(path, f"the event's {name} is from nowhere", f"{name} in [event]")
    for name, source in mapping.event.items():
        for factor in _factors(source):
            role, _, column = factor.partition(".")
            if role not in ROLES or not column:
                raise _invalid(
                    path,
                    f"{name} is from {source!r}",
                    "header.COLUMN, line.COLUMN, a product of them with *, or =TEXT",
                )
    for column, kind in mapping.types.items():
        if not kind.startswith(_TYPES):
            raise _invalid(
                path,
                f"{column} is of type {kind!r}",
                "date, timestamp_ms, timestamp_us, decimal(SCALE)",
            )
    if len(mapping.tables[HEADER].key) != len(mapping.tables[LINE].header):
        raise _invalid(
            path, "a line names its header otherwise than the header's key", "as many columns"
        )


def _invalid(path: Path, what: str, valid: str) -> ConfigurationError:
    return ConfigurationError("mapping_invalid", f"{path}: {what}; valid: {valid}")
