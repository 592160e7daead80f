"""Rows on their way to COPY are exactly the rows, however they are chunked."""

from __future__ import annotations

import pyarrow as pa

from carbon_ledger.store.append import csv_of


def test_a_chunk_without_rows_adds_nothing() -> None:
    none = pa.array([], pa.string())
    column = pa.chunked_array([none, pa.array(["x", None]), none, pa.array(["", 'a"b'])])
    assert bytes(csv_of(pa.table({"a": column, "b": column}))) == (
        b'"x","x"\n,\n"",""\n"a""b","a""b"\n'
    )


def test_a_table_without_rows_is_nothing() -> None:
    assert bytes(csv_of(pa.table({"a": pa.array([], pa.string())}))) == b""
