"""A report as JSON and back: what is kept of it, and what every document of it is made from.

Belongs here: the one way between the two. Does not: documents for people, xBRL.

Figures are decimal text with every digit they have; names are in order, so one report is one text.
What is empty is left out, and comes back as what is left out means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.quantities import canonical_text
from carbon_ledger.reporting.tables import Cell, Report, Row, Section, Table

FORMAT: Final = 1
Kind = TypeVar("Kind")


def report_to_json(report: Report) -> str:
    """The report as one text: the same report gives the same text, byte for byte."""
    content = {"format": FORMAT, "report": _plain(report)}
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def report_from_json(text: str) -> Report:
    """The report that a text is of; BrokenInvariant `report_text` for any other text."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, known is {FORMAT}")
        return _made(Report, content["report"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenInvariant("report_text", f"this is no report that was kept: {error}") from error


def _plain(value: object) -> Any:
    """Cells of a row are written as their ids: each is in its section once."""
    if isinstance(value, Row):
        plain = _fields(value)
        plain["cells"] = {column: cell.cell_id for column, cell in value.cells.items()}
        plain["columns"] = list(value.cells)
        return plain
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, Decimal):
        return canonical_text(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return [_plain(one) for one in value.values()] if _is_cells(value) else dict(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value


def _is_cells(value: Mapping[str, Any]) -> bool:
    return all(isinstance(one, Cell) for one in value.values())


def _fields(value: Any) -> dict[str, Any]:
    """What differs from what a field is when it is left out; a figure says that it is one."""
    found: dict[str, Any] = {}
    for one in fields(value):
        given = getattr(value, one.name)
        if one.default is not MISSING and given == one.default:
            continue
        found[one.name] = _plain(given)
    if isinstance(value, Cell) and isinstance(value.value, Decimal):
        found["is_figure"] = True
    return found


def _made(kind: type[Kind], plain: Mapping[str, Any]) -> Kind:
    """A record of a kind, but for sections."""
    given = dict(plain)
    is_figure = given.pop("is_figure", False)
    hints = get_type_hints(kind)
    values = {name: _value(hints[name], value) for name, value in given.items()}
    if kind is Cell and is_figure:
        values["value"] = Decimal(given["value"])
    return kind(**values)


def _section(given: Mapping[str, Any]) -> Section:
    """The cells first, which rows then name."""
    cells = {one["cell_id"]: _made(Cell, one) for one in given["cells"]}
    tables = []
    for table in given["tables"]:
        rows = tuple(
            Row(
                row_id=row["row_id"],
                label=row["label"],
                cells={one: cells[row["cells"][one]] for one in row["columns"]},
                is_total=row.get("is_total", False),
            )
            for row in table["rows"]
        )
        hints = get_type_hints(Table)
        told = {name: _value(hints[name], one) for name, one in table.items() if name != "rows"}
        tables.append(Table(**told, rows=rows))
    return Section(tables=tuple(tables), cells=cells, flags=tuple(given.get("flags", ())))


def _value(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None:
            return None
        # A cell's value is text or a figure: which, its record says.
        (first, *others) = [one for one in arguments if one is not NoneType]
        return value if str in others else _value(first, value)
    if origin is tuple:
        return tuple(_value(arguments[0], one) for one in value)
    if origin is Literal:
        return value
    if hint is Decimal:
        return Decimal(value)
    if hint in (date, datetime):
        return hint.fromisoformat(value)
    if hint is Section:
        return _section(value)
    if is_dataclass(hint) and isinstance(hint, type):
        return _made(hint, value)
    return value
