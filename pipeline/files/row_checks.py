"""What holds for a table of any format: its header, its cells, rows that do not fit.

Belongs here: the checks that all readers share. Does not: one format's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pipeline.files.limits import FileRefused, Limits

# What a reading process says: {"columns"} first, then {"line", "cells", "problem"?}.
Said = dict[str, Any]

_FORMULA_STARTS: Final = ("=", "@", "\t", "\r")
# -2+3+cmd|'/C calc'!A0 is one; -0.5 and "- none" are not.
_SIGNED_FORMULA: Final = re.compile(r"[+\-].*[|!(]", re.DOTALL)
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def looks_like_formula(text: str) -> bool:
    """Whether a spreadsheet program would take the text of a cell for a formula."""
    return text.startswith(_FORMULA_STARTS) or _SIGNED_FORMULA.match(text) is not None


def check_cell(text: str, *, line: int, column: str, limits: Limits) -> str:
    """The text without surrounding spaces; FileRefused for what no honest cell has."""
    if len(text) > limits.cell_characters:
        raise FileRefused(
            "cell_too_long",
            f"the cell has {len(text):,} characters",
            line=line,
            field=column,
            value=text,
            valid=f"up to {limits.cell_characters:,} characters",
        )
    if looks_like_formula(text):
        raise FileRefused(
            "formula_cell",
            "the cell begins as a formula; formulas are never evaluated here",
            line=line,
            field=column,
            value=text,
            valid="the value itself (in a spreadsheet program: paste as values)",
        )
    found = _FORBIDDEN.search(text)
    if found is not None:
        is_nul = found[0] == "\x00"
        raise FileRefused(
            "nul_byte" if is_nul else "control_character",
            f"the cell has the character U+{ord(found[0]):04X}",
            line=line,
            field=column,
            value=ascii(text),
            valid="printable text",
        )
    return text.strip(" ")


def check_header(names: Sequence[str], *, line: int, limits: Limits) -> tuple[str, ...]:
    """The columns' names; empty ones at the end are left out."""
    columns = [name.strip() for name in names]
    while columns and not columns[-1]:
        columns.pop()
    if not columns:
        raise FileRefused(
            "header_missing", "there is no header", line=line, valid="column names in the first row"
        )
    check_column_count(len(columns), line=line, limits=limits)
    seen: set[str] = set()
    for position, name in enumerate(columns, start=1):
        if not name:
            raise FileRefused(
                "header_empty",
                f"column {position} has no name",
                line=line,
                field=f"column {position}",
                valid="a name for every column that has a value",
            )
        check_cell(name, line=line, column=f"column {position}", limits=limits)
        if name in seen:
            raise FileRefused(
                "column_twice",
                f"column {name[:60]!r} is there twice",
                line=line,
                field=name,
                valid="each column once",
            )
        seen.add(name)
    return tuple(columns)


def check_column_count(count: int, *, line: int, limits: Limits) -> None:
    """FileRefused `too_many_columns`."""
    if count > limits.columns:
        raise FileRefused(
            "too_many_columns",
            f"there are {count:,} columns",
            line=line,
            value=count,
            valid=f"up to {limits.columns} columns",
        )


def row_of(
    line: int, columns: Sequence[str], values: Sequence[str], *, exact: bool, limits: Limits
) -> Said | None:
    """A row as it is said; None where all cells are empty.

    `exact`: whether a row must have as many cells as the header, as in CSV.
    """
    if not any(value.strip(" ") for value in values):
        return None
    if len(values) > len(columns) and any(value.strip(" ") for value in values[len(columns) :]):
        check_column_count(len(values), line=line, limits=limits)
    cells: dict[str, str] = {}
    for position, value in enumerate(values):
        name = columns[position] if position < len(columns) else f"column {position + 1}"
        text = check_cell(value, line=line, column=name, limits=limits)
        if text:
            cells[name] = text
    said: Said = {"line": line, "cells": cells}
    surplus = [value for value in values[len(columns) :] if value.strip(" ")]
    if surplus or (exact and len(values) != len(columns)):
        said["problem"] = {
            "code": "cell_count",
            "message": f"the row has {len(values)} cells under {len(columns)} column names",
            "field": None,
            "value": surplus[0][:200] if surplus else None,
            "valid": f"{len(columns)} cells; a value with the separator in it stands in quotes",
        }
    return said
