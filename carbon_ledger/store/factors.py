"""Factor releases in PostgreSQL: stored once, never changed, read back as a book.

Belongs here: rows of factors.* and their Factor. Does not: the seeds (factor_seeds), the choice of
a factor (carbon_ledger.factors).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.factor_rows import Factor, FactorRelease, check_factor, make_release
from carbon_ledger.factors import FactorBook
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

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
DECIMAL_ATTRIBUTES: Final = ("td_loss_pct", "td_kgco2e_per_unit", "upstream_kgco2e_per_unit")
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


@dataclass(frozen=True, kw_only=True)
class StoredRelease:
    """A release as the database knows it; `recorded_at` is when it was first stored."""

    release_id: str
    sha256: bytes
    factor_count: int
    recorded_at: datetime


def store_release(conn: Connection, release: FactorRelease) -> int:
    """Store the release and those of its rows that are new; the number of rows inserted.

    All or nothing, and nothing the second time. Raises BrokenInvariant if a row's hash is wrong
    (`factor_hash`), if a stored row of the same id and version differs (`factor_changed`), or if
    the release is not what its id says (`release_changed`).
    """
    for factor in release.rows:
        check_factor(factor)
    if make_release(release.name, release.rows) != release:
        raise BrokenInvariant(
            "release_changed",
            f"release {release.release_id} does not follow from its {len(release.rows)} rows; "
            "make it with carbon_ledger.factor_rows.make_release",
        )
    with conn.transaction(), conn.cursor() as cursor:
        cursor.executemany(query("insert_factor"), [_to_row(factor) for factor in release.rows])
        inserted = cursor.rowcount if release.rows else 0
        _check_stored_rows(conn, release)
        cursor.execute(
            query("insert_release"),
            {
                "release_id": release.release_id,
                "sha256": bytes.fromhex(release.sha256),
                "factor_count": len(release.rows),
            },
        )
        if cursor.rowcount:
            cursor.executemany(
                query("insert_release_factor"),
                [(release.release_id, one.factor_id, one.version) for one in release.rows],
            )
    return inserted


def _check_stored_rows(conn: Connection, release: FactorRelease) -> None:
    stored = {
        (factor_id, version): sha256.hex()
        for factor_id, version, sha256 in conn.execute(
            query("factor_hashes"), {"factor_ids": [row.factor_id for row in release.rows]}
        )
    }
    for row in release.rows:
        if stored[(row.factor_id, row.version)] != row.sha256:
            raise BrokenInvariant(
                "factor_changed",
                f"factor {row.factor_id} version {row.version} is stored with other content; "
                "a published factor is never edited: give the changed row the next version",
            )


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


def read_factors(conn: Connection, release_id: str) -> list[Factor]:
    """The rows of a release, each checked against its hash, and all against the release's.

    Raises Unavailable `unknown_release`, and BrokenInvariant if anything was altered.
    """
    stored = {release.release_id: release for release in list_releases(conn)}
    if release_id not in stored:
        raise Unavailable(
            "unknown_release",
            f"factor release {release_id!r} is not stored; stored are: "
            f"{', '.join(stored) or 'none, load the shipped one with `carbon factors load`'}",
        )
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query("read_factors"), {"release_id": release_id}).fetchall()
    rows = [_from_row(row) for row in found]
    for row in rows:
        check_factor(row)
    name = release_id.rpartition("-")[0]
    if bytes.fromhex(make_release(name, rows).sha256) != stored[release_id].sha256:
        raise BrokenInvariant(
            "release_changed",
            f"the {len(rows)} stored rows of release {release_id} are not the "
            f"{stored[release_id].factor_count} it was made of",
        )
    return rows


def read_book(conn: Connection, release_id: str) -> FactorBook:
    """The release, ready for matching; raises what `read_factors` raises."""
    return FactorBook(read_factors(conn, release_id), release_id)


def _to_row(factor: Factor) -> dict[str, object]:
    attributes = {name: _json_value(getattr(factor, name)) for name in ATTRIBUTES}
    return {
        **{name: getattr(factor, name) for name in COLUMNS},
        "gas_split": factor.gas_split,
        "note": factor.note or "",
        "attributes": Jsonb(attributes),
        "sha256": bytes.fromhex(factor.sha256),
    }


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _from_row(row: Mapping[str, Any]) -> Factor:
    attributes = dict(row["attributes"])
    for name in DECIMAL_ATTRIBUTES:
        if attributes[name] is not None:
            attributes[name] = Decimal(attributes[name])
    attributes["quality_flags"] = tuple(attributes["quality_flags"])
    columns = {name: row[name] for name in COLUMNS}
    return Factor(**columns, **attributes, sha256=row["sha256"].hex())
