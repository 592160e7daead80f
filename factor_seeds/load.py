"""The shipped seeds as rows, and as one release.

Belongs here: reading every seed file, checked. Does not: what a row of one table becomes
(electricity, activities, indices), choosing a factor (factor_book.book), writing seed files
(scripts/build_factor_seeds.py), the database.

A seed row keeps the publisher's figures as text, exactly as published, with our own columns (id,
version, year_kind, ch4_kind, quality_flags, sha256) around them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.index_rows import IndexRow, check_index, sealed_index
from carbon_ledger.factor_book.rows import Factor, FactorRelease, check_factor, make_release, sealed
from factor_seeds.activities import activity_factor, activity_id
from factor_seeds.electricity import energy_source_factor, energy_source_id, grid_factor, grid_id
from factor_seeds.indices import index_id, index_row
from factor_seeds.tables import (
    FACTOR_TABLES,
    INDEX_TABLES,
    SEED_COLUMNS,
    SOURCE_COLUMNS,
    TABLES,
    Source,
    read_table,
)

# Raised by hand with the seeds; the hash after it follows from the rows.
RELEASE_NAME: Final = "2026.1"


def read_sources() -> dict[str, Source]:
    """Every source of the shipped seeds, by id."""
    return sources_in(resources.files("factor_seeds"))


def sources_in(folder: Traversable) -> dict[str, Source]:
    """Every source that sources.csv in `folder` describes, by id; {} if there is no such file."""
    entry = folder / "sources.csv"
    rows = read_table(entry, SOURCE_COLUMNS) if entry.is_file() else []
    return {row["source_id"]: Source(**row) for row in rows}


def read_seed_rows() -> list[Factor]:
    """Every shipped factor row, its hash checked, in a stable order.

    Raises BrokenInvariant (`seed_*`, `factor_*`), naming file and row, if a seed file was altered.
    """
    factors = []
    for table, row, source in _described_rows(FACTOR_TABLES):
        factor = factor_from_row(table, row, source)
        check_factor(factor)
        factors.append(factor)
    return sorted(factors, key=lambda factor: (factor.factor_id, factor.version))


def read_index_rows() -> list[IndexRow]:
    """Every shipped index row, its hash checked, in a stable order; raises as `read_seed_rows`."""
    rows = []
    for table, row, source in _described_rows(INDEX_TABLES):
        index = index_from_row(table, row, source)
        check_index(index)
        rows.append(index)
    return sorted(rows, key=lambda row: (row.index_id, row.version))


@cache
def release() -> FactorRelease:
    """The newest version of every shipped row as one release, read once per process; its id follows
    from the rows alone.
    """
    factors = {row.factor_id: row for row in read_seed_rows()}
    indices = {row.index_id: row for row in read_index_rows()}
    return make_release(RELEASE_NAME, factors.values(), indices.values())


@cache
def shipped_book() -> FactorBook:
    """The shipped release ready for matching, opened once per process."""
    return FactorBook.of(release())


def _described_rows(tables: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str], Source]]:
    """(table, row, source) for every row of the shipped files of these tables."""
    sources = read_sources()
    for name, table, row in seed_file_rows(resources.files("factor_seeds"), tables):
        source = sources.get(row["source_id"])
        if source is None or name != f"{row['source_id']}.csv":
            row_id = row.get("factor_id") or row.get("index_id")
            raise BrokenInvariant(
                "seed_source",
                f"{table}/{name}: row {row_id} names source {row['source_id']!r}; a "
                f"file holds one source, which sources.csv describes: {', '.join(sources)}",
            )
        yield table, row, source


def seed_file_rows(
    folder: Traversable, tables: tuple[str, ...] = TABLES
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(file name, table, row) for every row of every seed file in `folder`, in name order."""
    for table in tables:
        inside = folder / table
        files = sorted(inside.iterdir(), key=lambda entry: entry.name) if inside.is_dir() else []
        for entry in files:
            if entry.name.endswith(".csv"):
                for row in read_table(entry, SEED_COLUMNS[table]):
                    yield entry.name, table, row


def row_id_of(table: str, row: Mapping[str, str]) -> str:
    """The stable, readable id of a published row, e.g. `grid:DE:2024:lifecycle:ember_owid_2026`."""
    if table in INDEX_TABLES:
        return index_id(table, row)
    if table == "grid":
        return grid_id(row)
    return energy_source_id(row) if table == "energy_source" else activity_id(table, row)


def factor_from_row(table: str, row: Mapping[str, str], source: Source) -> Factor:
    """The Factor of one seed row. The row's hash, if it has one, is taken over as it is."""
    if table == "grid":
        factor = grid_factor(row, source)
    elif table == "energy_source":
        factor = energy_source_factor(row, source)
    else:
        factor = activity_factor(table, row, source)
    return factor if factor.sha256 else sealed(factor)


def index_from_row(table: str, row: Mapping[str, str], source: Source) -> IndexRow:
    """The IndexRow of one seed row. The row's hash, if it has one, is taken over as it is."""
    index = index_row(table, row, source)
    return index if index.sha256 else sealed_index(index)
