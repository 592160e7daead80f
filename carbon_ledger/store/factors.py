"""Factor releases in PostgreSQL: stored once, never changed, read back as a book.

Belongs here: rows of factors.* and their Factor or IndexRow. Does not: the seeds (factor_seeds),
the choice of a factor (carbon_ledger.factor_book.book).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.index_rows import IndexRow, check_index
from carbon_ledger.factor_book.rows import (
    ELECTRICITY_FAMILIES,
    LATER_FIELDS,
    Factor,
    FactorRelease,
    check_factor,
    make_release,
    release_sha256,
)
from carbon_ledger.failpoints import failpoint
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection, begin_writing

# Fields without a column of their own live in `attributes`, decimals as text, so that no number
# passes through JSON's floating point.
ATTRIBUTES: Final = (
    "region_name",
    "statistic",
    "year_kind",
    "intensity_basis",
    "gas_coverage",
    "gwp_basis",
    "co2e_origin",
    "td_loss_pct",
    "td_kgco2e_per_unit",
    "upstream_kgco2e_per_unit",
    "quality_flags",
    "note",
)
DECIMAL_ATTRIBUTES: Final = (
    "td_loss_pct",
    "td_kgco2e_per_unit",
    "upstream_kgco2e_per_unit",
    "kg_co2_biogenic_per_unit",
)
# A field that entered later is only there where it is not at its default.
_DEFAULTS: Final = {field.name: field.default for field in fields(Factor)}
COLUMNS: Final = (
    "factor_id",
    "version",
    "family",
    "publisher",
    "dataset",
    "source_id",
    "country_iso2",
    "region",
    "energy_source",
    "technology",
    "year",
    "valid_from",
    "valid_to",
    "boundary",
    "basis",
    "method",
    "unit",
    "kgco2e_per_unit",
    "kg_co2_per_unit",
    "kg_ch4_per_unit",
    "kg_n2o_per_unit",
    "gwp_set",
    "licence",
)
# Places in a row of read_factors.
FAMILY: Final = COLUMNS.index("family")
SHA256: Final = len(COLUMNS)
INDEX_COLUMNS: Final = tuple(field.name for field in fields(IndexRow))


@dataclass(frozen=True, kw_only=True)
class StoredRelease:
    """A release as the database knows it; `recorded_at` is when it was first stored."""

    release_id: str
    sha256: bytes
    factor_count: int
    index_count: int
    recorded_at: datetime


def store_release(conn: Connection, release: FactorRelease) -> int:
    """Store the release and those of its rows that are new; the number of factors inserted.

    All or nothing, and nothing the second time. Raises BrokenInvariant if a row's hash is wrong
    (`factor_hash`, `index_hash`), if a stored row of the same id and version differs
    (`factor_changed`, `index_changed`), or if the release is not what its id says
    (`release_changed`).
    """
    for factor in release.rows:
        check_factor(factor)
    for index in release.index_rows:
        check_index(index)
    if make_release(release.name, release.rows, release.index_rows) != release:
        raise BrokenInvariant(
            "release_changed",
            f"release {release.release_id} does not follow from its {len(release.rows)} factors "
            f"and {len(release.index_rows)} index rows; make it with "
            "carbon_ledger.factor_book.rows.make_release",
        )
    factors = {(row.factor_id, row.version): row for row in release.rows}
    indices = {(row.index_id, row.version): row for row in release.index_rows}
    with conn.transaction():
        inserted = _store_rows(conn, FACTOR_TABLE, factors)
        _store_rows(conn, INDEX_TABLE, indices)
        # No moment is final at which somebody may or may not know of the release.
        moment = begin_writing(conn)
        cursor = conn.execute(
            query("insert_release"),
            {
                "release_id": release.release_id,
                "sha256": bytes.fromhex(release.sha256),
                "factor_count": len(release.rows),
                "index_count": len(release.index_rows),
                "recorded_at": moment,
            },
        )
        if cursor.rowcount:
            for table, rows in ((FACTOR_TABLE, factors), (INDEX_TABLE, indices)):
                keys = list(rows)
                conn.execute(
                    query(table.insert_membership),
                    {
                        "release_id": release.release_id,
                        "ids": [row_id for row_id, _ in keys],
                        "versions": [version for _, version in keys],
                    },
                )
        failpoint("release_stored")
    return inserted


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The queries of one kind of row."""

    what: str
    hashes: str
    ids: str
    insert_row: str
    insert_membership: str


FACTOR_TABLE: Final = _Table(
    what="factor",
    hashes="factor_hashes",
    ids="factor_ids",
    insert_row="insert_factor",
    insert_membership="insert_release_factor",
)
INDEX_TABLE: Final = _Table(
    what="index",
    hashes="index_hashes",
    ids="index_ids",
    insert_row="insert_index_row",
    insert_membership="insert_release_index",
)
_Key = tuple[str, int]


def _store_rows(
    conn: Connection, table: _Table, rows: Mapping[_Key, Factor] | Mapping[_Key, IndexRow]
) -> int:
    """Insert the rows that are not stored; the number inserted. What is stored must be the same."""
    missing = _missing_rows(conn, table, rows)
    if not missing:
        return 0
    with conn.cursor() as cursor:
        cursor.executemany(query(table.insert_row), [_columns_of(rows[key]) for key in missing])
        inserted = cursor.rowcount
    if inserted < len(missing) and _missing_rows(conn, table, rows):
        raise BrokenInvariant(
            f"{table.what}_missing", f"{len(missing) - inserted} rows were not stored"
        )
    return inserted


def _missing_rows(
    conn: Connection, table: _Table, rows: Mapping[_Key, Factor] | Mapping[_Key, IndexRow]
) -> list[_Key]:
    """Keys that are not stored; BrokenInvariant if one is stored with other content."""
    ids = sorted({row_id for row_id, _ in rows})
    stored = {
        (row_id, version): sha256.hex()
        for row_id, version, sha256 in conn.execute(query(table.hashes), {table.ids: ids})
    }
    for key, row in rows.items():
        if stored.get(key, row.sha256) != row.sha256:
            raise BrokenInvariant(
                f"{table.what}_changed",
                f"{table.what} {key[0]} version {key[1]} is stored with other content; a "
                "published row is never edited: give the changed row the next version",
            )
    return [key for key in rows if key not in stored]


def list_releases(conn: Connection) -> list[StoredRelease]:
    """Every stored release, newest first."""
    with conn.cursor(row_factory=class_row(StoredRelease)) as cursor:
        return cursor.execute(query("list_releases")).fetchall()


def latest_release_id(conn: Connection) -> str:
    """The release stored last; Unavailable `no_factor_release` if there is none."""
    releases = list_releases(conn)
    if not releases:
        raise Unavailable(
            "no_factor_release",
            "no emission factors are loaded; load the shipped ones with `carbon factors load`",
        )
    return releases[0].release_id


def read_release(conn: Connection, release_id: str) -> FactorRelease:
    """A stored release, every row checked against its hash, and all against the release's.

    Raises Unavailable `unknown_release`, and BrokenInvariant if anything was altered.
    """
    factors, indices = _read_rows(conn, release_id)
    release = make_release(_name_of(release_id), factors_of(factors), indices_of(indices))
    for factor in release.rows:
        check_factor(factor)
    for index in release.index_rows:
        check_index(index)
    return release


def read_factors(conn: Connection, release_id: str) -> list[Factor]:
    """The factors of a release; raises what `read_release` raises."""
    return list(read_release(conn, release_id).rows)


def read_book(conn: Connection, release_id: str) -> FactorBook:
    """The release, ready for matching; raises what `read_release` raises.

    Rows of electricity are made and checked here, the others by the book when they are first asked
    for: a worker that prices meter readings opens the book once and never asks.
    """
    factors, indices = _read_rows(conn, release_id)
    families: dict[str, list[Sequence[Any]]] = {}
    for row in factors:
        families.setdefault(row[FAMILY], []).append(row)
    now = [row for family in ELECTRICITY_FAMILIES for row in families.pop(family, [])]
    return FactorBook(
        factors_of(now),
        release_id,
        later={family: partial(factors_of, rows) for family, rows in families.items()},
        later_indices=partial(indices_of, indices),
    )


def check_factors(conn: Connection, release_id: str, factor_ids: Iterable[str]) -> None:
    """Those of a release's factors that have one of these ids are still what they were published
    as; raises BrokenInvariant. For whoever kept the release's book from an earlier question.
    """
    given = {"release_id": release_id, "factor_ids": sorted(set(factor_ids))}
    for factor in factors_of(conn.execute(query("read_factors"), given)):
        check_factor(factor)


def _name_of(release_id: str) -> str:
    return release_id.rpartition("-")[0]


def _read_rows(
    conn: Connection, release_id: str
) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
    """Factors and index rows as they are stored, belonging together as the release's hash says."""
    stored = {release.release_id: release for release in list_releases(conn)}
    if release_id not in stored:
        raise Unavailable(
            "unknown_release",
            f"factor release {release_id!r} is not stored; stored are: "
            f"{', '.join(stored) or 'none, load the shipped one with `carbon factors load`'}",
        )
    which = {"release_id": release_id, "factor_ids": None}
    found = conn.execute(query("read_factors"), which).fetchall()
    indexed = conn.execute(query("read_index_rows"), {"release_id": release_id}).fetchall()
    digest = release_sha256(
        _name_of(release_id),
        [(row[0], row[1], row[SHA256].hex()) for row in found],
        [(row[0], row[1], row[-1].hex()) for row in indexed],
    )
    if bytes.fromhex(digest) != stored[release_id].sha256:
        raise BrokenInvariant(
            "release_changed",
            f"the {len(found)} factors and {len(indexed)} index rows stored for release "
            f"{release_id} are not the {stored[release_id].factor_count} and "
            f"{stored[release_id].index_count} it was made of",
        )
    return list(found), list(indexed)


def _columns_of(row: Factor | IndexRow) -> dict[str, object]:
    if isinstance(row, IndexRow):
        columns = {name: getattr(row, name) for name in INDEX_COLUMNS}
        return {
            **columns,
            "quality_flags": list(row.quality_flags),
            "sha256": bytes.fromhex(row.sha256),
        }
    later = [name for name in LATER_FIELDS if getattr(row, name) != _DEFAULTS[name]]
    attributes = {name: _json_value(getattr(row, name)) for name in (*ATTRIBUTES, *later)}
    return {
        **{name: getattr(row, name) for name in COLUMNS},
        "gas_split": row.gas_split,
        "note": row.note or "",
        "attributes": Jsonb(attributes),
        "sha256": bytes.fromhex(row.sha256),
    }


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def factors_of(rows: Iterable[Sequence[Any]]) -> list[Factor]:
    """Rows of read_factors as factors, unchecked."""
    return [_factor_of(row) for row in rows]


def indices_of(rows: Iterable[Sequence[Any]]) -> list[IndexRow]:
    """Rows of read_index_rows as index rows, unchecked."""
    return [_index_of(row) for row in rows]


def _factor_of(row: Sequence[Any]) -> Factor:
    """The factor of a row of read_factors: COLUMNS in their order, the hash, the attributes.

    The attributes come as text, so that those of rows nobody asks for are never parsed.
    """
    *columns, sha256, kept = row
    attributes = json.loads(kept)
    for name in DECIMAL_ATTRIBUTES:
        if attributes.get(name) is not None:
            attributes[name] = Decimal(attributes[name])
    attributes["quality_flags"] = tuple(attributes["quality_flags"])
    if "selectors" in attributes:
        attributes["selectors"] = tuple((name, text) for name, text in attributes["selectors"])
    return Factor(**dict(zip(COLUMNS, columns, strict=True)), **attributes, sha256=sha256.hex())


def _index_of(row: Sequence[Any]) -> IndexRow:
    """The index row of a row of read_index_rows: the fields of IndexRow in their order."""
    named = dict(zip(INDEX_COLUMNS, row, strict=True))
    named["quality_flags"] = tuple(named["quality_flags"])
    named["sha256"] = named["sha256"].hex()
    return IndexRow(**named)
