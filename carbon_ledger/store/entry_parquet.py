"""Entries as Parquet, of what COPY gives as CSV.

Belongs here: the columns' types, reading CSV and writing row groups piece by piece. Does not: which
entries and columns (carbon_ledger.store.entry_export).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from carbon_ledger.store.entry_pages import NAMES

PARQUET_BLOCK_BYTES: Final = 4 * 1024 * 1024
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


def parquet_of(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A file with a row group for each few thousand lines of CSV, which have the fields NAMES;
    masses are decimal128(38, 12).
    """
    drain = _Drain()
    schema = pa.schema([pa.field(name, PARQUET_TYPES[name]) for name in NAMES])
    with pq.ParquetWriter(pa.PythonFile(drain, mode="w"), schema, compression="zstd") as writer:
        for batch in _batches(pieces):
            writer.write_batch(batch.cast(schema))
            yield drain.take()
    yield drain.take()


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
