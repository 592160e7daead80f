"""Whole exports of entries: as NDJSON, CSV or Parquet, piece by piece.

Belongs here: the three forms, made while PostgreSQL sends. Does not: which entries
(carbon_ledger.store.entry_pages), Parquet itself (carbon_ledger.store.entry_parquet).

COPY streams, so an export of any length needs the memory of a few pieces. In NDJSON and Parquet
texts are as they are; in CSV, which people open in spreadsheets, a text that a spreadsheet would
take for a formula begins with an apostrophe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from psycopg import sql

from carbon_ledger.store.connect import query
from carbon_ledger.store.entry_pages import MOMENTS, NAMES, EntryFilter, parameters_of, spelled
from carbon_ledger.store.json_lines import JsonLines
from carbon_ledger.store.rows import Connection

PIECE_BYTES: Final = 256 * 1024
# What a spreadsheet takes for the beginning of a formula.
FORMULA_BEGINS: Final = "=+@-\t\r"
# Texts that somebody else wrote, or may have.
FREE_TEXTS: Final = frozenset(
    {
        *("organization_id", "event_id", "activity_ref", "stream", "supplier_id", "facility_id"),
        *("source_ref", "country_iso2", "region", "basis", "activity_type", "unit", "gwp_set"),
        *("factor_id", "factor_release", "factor_match", "flags", "formula_id", "method"),
        *("rule_id", "cause", "code_version"),
    }
)


def ndjson(conn: Connection, which: EntryFilter) -> Iterator[bytes]:
    """A JSON object a line; the numbers as text. As the API's pages have them, byte for byte."""
    columns = sql.SQL(", ").join(sql.Identifier("t", name) for name in NAMES)
    statement = sql.SQL("copy (select {} from ({}) t) to stdout").format(columns, _told())
    lines = JsonLines()
    for rows in _rows(conn, statement, which):
        yield lines.of(rows)


def csv(conn: Connection, which: EntryFilter) -> Iterator[bytes]:
    """RFC 4180, with a line of names; what is unknown is empty, an empty text is `""`."""
    columns = sql.SQL(", ").join(_for_people(name) for name in NAMES)
    yield ",".join(NAMES).encode() + b"\n"
    yield from _pieces(conn, _as_csv(columns), which)


def parquet(conn: Connection, which: EntryFilter) -> Iterator[bytes]:
    """Parquet with a row group for each few thousand entries; masses are decimal128(38, 12)."""
    columns = sql.SQL(", ").join(map(_for_arrow, NAMES))
    # Costs time and memory that the other forms do not need.
    from carbon_ledger.store.entry_parquet import parquet_of

    yield from parquet_of(_pieces(conn, _as_csv(columns), which))


FORMATS: Final[dict[str, Callable[[Connection, EntryFilter], Iterator[bytes]]]] = {
    "ndjson": ndjson,
    "csv": csv,
    "parquet": parquet,
}


def _told() -> sql.SQL:
    return sql.SQL(query("told_entries").decode())


def _as_csv(columns: sql.Composable) -> sql.Composed:
    return sql.SQL("copy (select {} from ({}) t) to stdout with (format csv)").format(
        columns, _told()
    )


def _for_arrow(name: str) -> sql.Composable:
    column = sql.Identifier("t", name)
    return sql.SQL("{}::text || 'Z'").format(column) if name in MOMENTS else column


def _for_people(name: str) -> sql.Composable:
    column = spelled("t", name)
    if name not in FREE_TEXTS:
        return column
    # By its number: a regular expression for each text costs as much as the rest of the line.
    codes = sql.SQL(", ").join(sql.Literal(ord(character)) for character in FORMULA_BEGINS)
    return sql.SQL("case when ascii({0}) in ({1}) then '''' || {0} else {0} end").format(
        column, codes
    )


def _pieces(conn: Connection, statement: sql.Composed, which: EntryFilter) -> Iterator[bytes]:
    for rows in _rows(conn, statement, which):
        yield b"".join(rows)


def _rows(conn: Connection, statement: sql.Composed, which: EntryFilter) -> Iterator[list[bytes]]:
    """The lines of COPY, as many at once as make a piece."""
    held: list[bytes] = []
    size = 0
    with conn.cursor() as cursor, cursor.copy(statement, parameters_of(which)) as copy:
        for row in copy:
            held.append(bytes(row))
            size += len(row)
            if size >= PIECE_BYTES:
                yield held
                held, size = [], 0
    if held:
        yield held
