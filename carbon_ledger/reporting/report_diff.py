"""What is different between two reports, cell by cell and word by word.

Belongs here: the comparison and how it is shown. Does not: why figures changed (restatements say
that: carbon_ledger.reporting.restatements).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Final, Literal

from carbon_ledger.quantities import PRODUCT, canonical_text
from carbon_ledger.reporting.tables import Cell, Report

# `changed`: another value or unit. `made otherwise`: the same value from other parts.
Kind = Literal["added", "removed", "changed", "made otherwise"]
HEAD: Final = ("name", "profile", "title", "organization_id", "fiscal_year", "period_begin")
MORE: Final = ("period_end", "as_of", "code_version")
NOTHING: Final = "–"  # noqa: RUF001
WIDTH: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class CellChange:
    """A cell that differs: its values (None where it is not there or empty), and `delta` = new -
    old where both are figures of one unit.
    """

    kind: Kind
    cell_id: str
    old: Decimal | str | None
    new: Decimal | str | None
    old_unit: str = ""
    new_unit: str = ""
    delta: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TextChange:
    """Words that differ: where, and what they were and are ("" where there are none)."""

    where: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportDiff:
    """All differences of two reports; none if there is no change at all."""

    cells: tuple[CellChange, ...]
    texts: tuple[TextChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.cells and not self.texts

    def as_json(self) -> str:
        """The differences as JSON, figures as decimal text."""
        content = {
            "cells": [_plain(one) for one in self.cells],
            "texts": [_plain(one) for one in self.texts],
        }
        return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"

    def as_table(self) -> str:
        """The differences as text in columns, to be read."""
        if self.is_empty:
            return "no difference\n"
        lines = []
        if self.cells:
            head = ("change", "cell", "old", "new", "delta", "unit")
            lines += _aligned(head, [_line(one) for one in self.cells])
        if self.cells and self.texts:
            lines.append("")
        for one in self.texts:
            lines.append(one.where)
            lines += [f"  - {line}" for line in one.old.splitlines()]
            lines += [f"  + {line}" for line in one.new.splitlines()]
        return "\n".join(lines) + "\n"


def diff_reports(old: Report, new: Report) -> ReportDiff:
    """What `new` has that `old` has not, and the other way round, in the order of the reports."""
    return ReportDiff(
        cells=tuple(_cell_changes(old.cells(), new.cells())),
        texts=tuple(_text_changes(_texts(old), _texts(new))),
    )


def _cell_changes(old: Mapping[str, Cell], new: Mapping[str, Cell]) -> Iterator[CellChange]:
    for cell_id, cell in new.items():
        before = old.get(cell_id)
        if before is None:
            yield CellChange(
                kind="added", cell_id=cell_id, old=None, new=cell.value, new_unit=cell.unit
            )
        elif before != cell:
            yield _change(before, cell)
    for cell_id, cell in old.items():
        if cell_id not in new:
            yield CellChange(
                kind="removed", cell_id=cell_id, old=cell.value, new=None, old_unit=cell.unit
            )


def _change(old: Cell, new: Cell) -> CellChange:
    is_same = (old.value, old.unit) == (new.value, new.unit)
    delta = None
    if isinstance(old.value, Decimal) and isinstance(new.value, Decimal) and old.unit == new.unit:
        delta = PRODUCT.subtract(new.value, old.value)
    return CellChange(
        kind="made otherwise" if is_same else "changed",
        cell_id=new.cell_id,
        old=old.value,
        new=new.value,
        old_unit=old.unit,
        new_unit=new.unit,
        delta=delta,
    )


def _texts(report: Report) -> dict[str, str]:
    """All words of a report that are in no cell, by where they are."""
    found = {name: str(getattr(report, name)) for name in (*HEAD, *MORE)}
    found["flags"] = "\n".join(report.flags)
    for statement in report.statements:
        where = f"statement {statement.heading}"
        found[where] = "\n".join(part for part in (found.get(where), statement.text) if part)
    for table in report.tables:
        where = f"table {table.table_id}"
        found[where] = table.title
        found[f"{where} citation"] = table.citation
        found[f"{where} notes"] = "\n".join(table.notes)
        found[f"{where} columns"] = "\n".join(
            f"{one.column_id}: {one.heading} {one.unit}".rstrip() for one in table.columns
        )
        found[f"{where} rows"] = "\n".join(f"{one.row_id}: {one.label}" for one in table.rows)
    return found


def _text_changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[TextChange]:
    for where in (*new, *(one for one in old if one not in new)):
        before, after = old.get(where, ""), new.get(where, "")
        if before != after:
            yield TextChange(where=where, old=before, new=after)


def _plain(change: CellChange | TextChange) -> dict[str, Any]:
    values = {one.name: getattr(change, one.name) for one in fields(change)}
    return {
        name: canonical_text(value) if isinstance(value, Decimal) else value
        for name, value in values.items()
    }


def _line(one: CellChange) -> tuple[str, ...]:
    units = [unit for unit in dict.fromkeys((one.old_unit, one.new_unit)) if unit]
    delta = NOTHING if one.delta is None else _shown(one.delta)
    if one.delta is not None and one.delta > 0:
        delta = f"+{delta}"
    return (one.kind, one.cell_id, _shown(one.old), _shown(one.new), delta, " > ".join(units))


def _shown(value: Decimal | str | None) -> str:
    if isinstance(value, Decimal):
        return canonical_text(value)
    text = NOTHING if value is None else " ".join(value.split())
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _aligned(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
