"""Rows of a supplier's file as declarations: events, or what is wrong with the row.

Belongs here: which columns there may be, cells as the values of an event. Does not: reading the
file (pipeline.files), the rules of an event (carbon_ledger.purchasing.supplier_events).

Columns are called as the fields of SupplierDeclarationEvent, or, in a row of kind
`site_production`, of SupplierProductionEvent. An empty cell is a field that is not
said. Lists are written with `;` between their items, or as a JSON array.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import AvroField, avro_fields
from carbon_ledger.purchasing.production_events import SupplierEvent, supplier_event
from carbon_ledger.stream_events import WIDER_SCHEMAS
from pipeline.files.safe_tables import FileRefused, SafeTable, TableRow

STREAM: Final = "supplier"
FIELDS: Final[Mapping[str, AvroField]] = {
    one.name: one for one in avro_fields(WIDER_SCHEMAS[STREAM])
}
# The folder a file is left in says it already.
SAID_BY_FOLDER: Final = "supplier_id"
REQUIRED: Final = tuple(
    name for name, one in FIELDS.items() if one.is_required and name != SAID_BY_FOLDER
)


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedRow:
    """A row: the event it is, or the problem that keeps it from being one."""

    row: TableRow
    event: SupplierEvent | None = None
    problem: RejectedRecord | None = None


def check_columns(columns: tuple[str, ...]) -> None:
    """FileRefused `unknown_column` or `missing_column` where the header is not a template's."""
    for name in columns:
        if name not in FIELDS:
            raise FileRefused(
                "unknown_column",
                f"there is no column {name[:60]!r} in the template",
                field=name,
                value=name,
                valid=", ".join(FIELDS),
            )
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise FileRefused(
            "missing_column",
            f"column {missing[0]!r} is missing",
            field=missing[0],
            valid=f"a header with {', '.join(REQUIRED)}",
        )


def judged_rows(table: SafeTable, supplier_id: str, now: datetime) -> Iterator[JudgedRow]:
    """Every row of the table, in order, judged as the ledger will at `now`.

    The same declaration and revision a second time in one file is refused there: which of the two
    is meant is not for us to say.
    """
    first_line: dict[str, int] = {}
    for row in table:
        try:
            event = event_of_row(row, supplier_id, now)
            earlier = first_line.setdefault(event.event_id, row.line)
            if earlier != row.line:
                raise RejectedRecord(
                    "declared_twice",
                    f"declaration {event.declaration_id} revision {event.revision} is on line "
                    f"{earlier} already",
                    field="declaration_id",
                    value=event.declaration_id,
                    valid="each declaration and revision once; a correction has a higher revision",
                )
        except RejectedRecord as problem:
            yield JudgedRow(row=row, problem=problem)
        else:
            yield JudgedRow(row=row, event=event)


def event_of_row(row: TableRow, supplier_id: str, now: datetime) -> SupplierEvent:
    """The declaration or report of a row.

    Raises RejectedRecord with the column, its value and what is valid.
    """
    if row.problem is not None:
        raise row.problem
    values: dict[str, object] = {name: _value(name, text) for name, text in row.cells.items()}
    said = values.setdefault(SAID_BY_FOLDER, supplier_id)
    if said != supplier_id:
        raise RejectedRecord(
            "other_supplier",
            f"{SAID_BY_FOLDER}: {str(said)[:60]!r} is not who left the file",
            field=SAID_BY_FOLDER,
            value=said,
            valid=f"{supplier_id}, or an empty cell",
        )
    return supplier_event(values, now)


def _value(name: str, text: str) -> object:
    field = FIELDS.get(name)
    if field is None:
        return text
    if list in field.types:
        return _items(name, text)
    if bool in field.types:
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _items(name: str, text: str) -> object:
    if not text.startswith("["):
        return [one.strip() for one in text.split(";") if one.strip()]
    try:
        found = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise RejectedRecord(
            "not_a_list",
            f"{name}: {text[:60]!r} is no list",
            field=name,
            value=text,
            valid='items with ; between them, or a JSON array such as ["a","b"]',
        ) from error
    return [one if isinstance(one, str) else json.dumps(one, sort_keys=True) for one in found]
