"""Whole exports of entries: as NDJSON, CSV or Parquet, piece by piece.

Belongs here: the three forms, made while PostgreSQL sends. Does not: which entries
(carbon_ledger.store.entry_pages).

COPY streams, so an export of any length needs the memory of a few pieces. In NDJSON and Parquet
texts are as they are; in CSV, which people open in spreadsheets, a text that a spreadsheet would
take for a formula begins with an apostrophe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from psycopg import sql

from carbon_ledger.store.connect import query
from carbon_ledger.store.entry_pages import MOMENTS, NAMES, EntryFilter, parameters_of, spelled
from carbon_ledger.store.json_lines import JsonLines
from carbon_ledger.store.rows import Connection

PIECE_BYTES: Final = 256 * 1024
PARQUET_BLOCK_BYTES: Final = 4 * 1024 * 1024
# Texts that somebody else wrote, or may have.
FREE_TEXTS: Final = frozenset(
    {
        *("organization_id", "event_id", "activity_ref", "stream", "supplier_id", "facility_id"),
        *("source_ref", "country_iso2", "region", "basis", "activity_type", "unit", "gwp_set"),
        *("factor_id", "factor_release", "factor_match", "flags", "formula_id", "method"),
        *("rule_id", "cause", "code_version"),
    }
)
MASS: Final = pa.decimal128(38, 12)
MOMENT: Final = pa.timestamp("us", tz="UTC")
# All others are text; `quantity` too, which may have any number of digits.
PARQUET_TYPES: Final[dict[str, pa.DataType]] = {
    **dict.fromkeys(NAMES, pa.string()),
    **dict.fromkeys(("activity_month", "local_date"), pa.date32()),
    **dict.fromkeys(("occurred_from", "occurred_to", "recorded_at"), MOMENT),
    **dict.fromkeys(
        ("kgco2e", "kg_co2_fossil", "kg_co2_biogenic", "kg_ch4", "kg_n2o"),
        MASS,
    ),
    **dict.fromkeys(("line_no", "scope", "category", "supersession_rank"), pa.int16()),
    **dict.fromkeys(("factor_version", "vintage_gap_years"), pa.int32()),
    "is_active": pa.bool_(),
}


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
    drain = _Drain()
    schema = pa.schema([pa.field(name, PARQUET_TYPES[name]) for name in NAMES])
    with pq.ParquetWriter(pa.PythonFile(drain, mode="w"), schema, compression="zstd") as writer:
        for batch in _batches(_pieces(conn, _as_csv(columns), which)):
            writer.write_batch(batch.cast(schema))
            yield drain.take()
    yield drain.take()


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
    return sql.SQL("case when {0} ~ '^[=+@\\t\\r-]' then '''' || {0} else {0} end").format(column)


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


def _batches(pieces: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
    first = next(pieces, None)
    if first is None:
        return
    yield from pa_csv.open_csv(
        pa.PythonFile(_Source(first, pieces), mode="r"),
        read_options=pa_csv.ReadOptions(
            column_names=list(NAMES), block_size=PARQUET_BLOCK_BYTES, use_threads=False
        ),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=PARQUET_TYPES,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


class _Source:
    """Pieces as a file that pyarrow reads."""

    closed = False

    def __init__(self, first: bytes, pieces: Iterator[bytes]) -> None:
        self._held, self._pieces = bytearray(first), pieces

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._held) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._held += piece
        wanted = len(self._held) if size < 0 else size
        found = bytes(self._held[:wanted])
        del self._held[:wanted]
        return found

    def close(self) -> None:
        self.closed = True


class _Drain:
    """A file that pyarrow writes, of which what was written is taken away."""

    closed = False

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._held.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        """What was written since."""
        found = b"".join(self._held)
        self._held.clear()
        return found
