"""Reference data as people write it: one YAML text, or one CSV text per kind.

Belongs here: the two forms, and where in them each record stands. Does not: reading files, what is
right between records (carbon_ledger.reference.checks).

Every value is taken as the text that was written: YAML's own ideas about NO, 1e3 or 2024-01-01
never apply.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.reference.calendars import Holiday, ReportSchedule
from carbon_ledger.reference.expected import ControlTotal, ExpectedSource
from carbon_ledger.reference.fields import Record, build, checks_of
from carbon_ledger.reference.instruments import Instrument
from carbon_ledger.reference.records import (
    Budget,
    Disclosure,
    Entity,
    Meter,
    Ownership,
    Revenue,
    Site,
    SpendClass,
    Supplier,
    SupplierItem,
    Vehicle,
)

# In the order in which they name each other.
KINDS: Final[dict[str, type[Record]]] = {
    kind.KIND: kind
    for kind in (
        Entity,
        Ownership,
        Site,
        Meter,
        Vehicle,
        Supplier,
        SupplierItem,
        Instrument,
        Revenue,
        Budget,
        Disclosure,
        ReportSchedule,
        Holiday,
        SpendClass,
        ExpectedSource,
        ControlTotal,
    )
}
_NULLS: Final = frozenset({"", "~", "null"})


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A record and where it was stated: file, and line in it (None: in the database)."""

    record: Record
    file: str = "(stored)"
    row: int | None = None


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something wrong in a file: where, which field, its value, and what would be valid."""

    file: str
    row: int | None
    kind: str
    field: str | None
    value: str | None
    code: str
    message: str
    valid: str | None = None

    def __str__(self) -> str:
        where = self.file if self.row is None else f"{self.file}:{self.row}"
        valid = f"; valid: {self.valid}" if self.valid else ""
        return f"{where}: {self.kind or '-'}: {self.message} [{self.code}]{valid}"


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What a file or folder states, and every fault of its single records."""

    stated: tuple[Stated, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, kw_only=True)
class _Row:
    file: str
    row: int
    kind: str
    values: Mapping[str, object]


def fault_of(problem: RejectedRecord, file: str, row: int | None, kind: str) -> Fault:
    """A record's own refusal, with its place."""
    named = problem.field is None or problem.field in problem.message
    return Fault(
        file=file,
        row=row,
        kind=kind,
        field=problem.field,
        value=problem.value,
        code=problem.code,
        message=problem.message if named else f"{problem.field}: {problem.message}",
        valid=problem.valid,
    )


def parse(texts: Mapping[str, str]) -> Parsed:
    """Everything stated in `texts` (file name to content), with all faults, in order.

    A name ending in .yaml or .yml holds lists by kind; KIND.csv has one record a row, under a line
    of field names.
    """
    stated: list[Stated] = []
    faults: list[Fault] = []
    for file, content in texts.items():
        for row in _rows(file, content):
            if isinstance(row, Fault):
                faults.append(row)
                continue
            record, problems = build(KINDS[row.kind], row.values)
            faults += [fault_of(problem, row.file, row.row, row.kind) for problem in problems]
            if record is not None:
                stated.append(Stated(record=record, file=row.file, row=row.row))
    return Parsed(stated=tuple(stated), faults=tuple(faults))


def _rows(file: str, content: str) -> Iterator[_Row | Fault]:
    name = file.rpartition("/")[2]
    stem, _, ending = name.rpartition(".")
    if ending in ("yaml", "yml"):
        yield from _yaml_rows(file, content)
    elif ending == "csv" and stem in KINDS:
        yield from _csv_rows(file, stem, content)
    else:
        valid = f"NAME.yaml, or a folder of {', '.join(f'{kind}.csv' for kind in KINDS)}"
        message = f"{name} is no file of reference data"
        yield fault_of_file(file, None, "unknown_file", message, valid)


def fault_of_file(
    file: str, row: int | None, code: str, message: str, valid: str | None = None, kind: str = ""
) -> Fault:
    """A fault of a file's form, before any record."""
    return Fault(
        file=file,
        row=row,
        kind=kind,
        field=None,
        value=None,
        code=code,
        message=message,
        valid=valid,
    )


def _csv_rows(file: str, kind: str, content: str) -> Iterator[_Row | Fault]:
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    heads: list[str] = []
    begin = 0
    try:
        for cells in reader:
            row, begin = begin + 1, reader.line_num
            if not cells or not any(cell.strip() for cell in cells):
                continue
            if not heads:
                heads = [cell.strip() for cell in cells]
                twice = sorted({head for head in heads if heads.count(head) > 1})
                if twice:
                    message = f"column {', '.join(map(repr, twice))} is there twice"
                    yield fault_of_file(file, row, "column_twice", message, "each field once", kind)
                    return
            elif len(cells) != len(heads):
                message = f"the row has {len(cells)} cells, its head {len(heads)}"
                yield fault_of_file(
                    file, row, "cells_do_not_fit", message, "one cell per column", kind
                )
            else:
                values = {head: cell.strip() for head, cell in zip(heads, cells, strict=True)}
                yield _Row(file=file, row=row, kind=kind, values=values)
    except csv.Error as error:
        yield fault_of_file(
            file, reader.line_num, "not_csv", f"cannot be read as CSV: {error}", None, kind
        )
        return
    if not heads:
        valid = f"a first line of field names: {','.join(checks_of(KINDS[kind]))}"
        yield fault_of_file(
            file, None, "empty_file", "there is no line of field names", valid, kind
        )


def _yaml_rows(file: str, content: str) -> Iterator[_Row | Fault]:
    valid = f"lists under {', '.join(KINDS)}"
    try:
        top = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        row = None if mark is None else mark.line + 1
        message = f"cannot be read as YAML: {error.problem}"
        yield fault_of_file(file, row, "not_yaml", message)
        return
    except (yaml.YAMLError, RecursionError) as error:
        yield fault_of_file(file, None, "not_yaml", f"cannot be read as YAML: {error}")
        return
    if not isinstance(top, yaml.MappingNode):
        message = "there are no lists of records by kind"
        yield fault_of_file(file, None, "not_lists_by_kind", message, valid)
        return
    seen: set[str] = set()
    for key, node in top.value:
        kind, row = str(key.value), key.start_mark.line + 1
        if kind not in KINDS:
            message = f"{kind[:60]!r} is no kind of reference data"
            yield fault_of_file(file, row, "unknown_kind", message, valid)
        elif kind in seen:
            message = f"{kind} is there twice"
            yield fault_of_file(file, row, "kind_twice", message, "one list of each kind", kind)
        elif not isinstance(node, yaml.SequenceNode):
            message = f"{kind} is not a list"
            yield fault_of_file(file, row, "not_a_list", message, "- field: value", kind)
        else:
            for item in node.value:
                yield from _yaml_record(file, kind, item)
        seen.add(kind)


def _yaml_record(file: str, kind: str, item: yaml.Node) -> Iterator[_Row | Fault]:
    row = item.start_mark.line + 1
    if not isinstance(item, yaml.MappingNode):
        message = "the entry is not a record"
        yield fault_of_file(file, row, "not_a_record", message, "field: value, one a line", kind)
        return
    values: dict[str, object] = {}
    is_whole = True
    for key, node in item.value:
        name, line = str(key.value), key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or not isinstance(node, yaml.ScalarNode):
            message = f"{name[:60]}: is not a single value"
            yield fault_of_file(file, line, "not_a_value", message, "text or a number", kind)
            is_whole = False
        elif name in values:
            message = f"{name[:60]}: is there twice"
            yield fault_of_file(file, line, "field_twice", message, "each field once", kind)
            is_whole = False
        else:
            is_null = node.style is None and node.value in _NULLS
            values[name] = None if is_null else node.value
    if is_whole:
        yield _Row(file=file, row=row, kind=kind, values=values)
