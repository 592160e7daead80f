"""Disclosure tables: built from entries as known at a moment, kept as snapshots.

Belongs here: ESRS E1 scope 2, location-based. Does not: other datapoints, tagging, presentation
and its rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final
from uuid import UUID

from psycopg.rows import class_row, dict_row

from carbon_ledger.failpoints import failpoint
from carbon_ledger.organisation.fiscal_year import fiscal_period
from carbon_ledger.quantities import canonical_text, exact_product
from carbon_ledger.store.connect import query
from carbon_ledger.store.read import final_moment
from carbon_ledger.store.reference import fiscal_years
from carbon_ledger.store.rows import Connection
from carbon_ledger.store.windows import exact_sum

# The delegated act's first set of standards; a later set is another profile.
ESRS_PROFILE: Final = "esrs_2023"
# ESRS E1-6 paragraph 49(a): gross location-based scope 2 emissions.
SCOPE_2_LOCATION_DATAPOINT: Final = "E1-6_09"
SCOPE_2_LOCATION_CONCEPT: Final = "GrossLocationBasedScope2GreenhouseGasEmissions"
TONNES_PER_KILOGRAM: Final = Decimal("0.001")
SHARE_QUANTUM: Final = Decimal("1E-12")
# What a report says, without who built it when.
CONTENT_COLUMNS: Final = (
    *("organization_id", "fiscal_year", "framework_profile", "datapoint", "concept"),
    *("country_iso2", "value", "unit", "entries", "substituted_share", "as_of", "factor_releases"),
)

_SHARE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, kw_only=True)
class EsrsRow:
    """One row of reports.esrs_e1; `value` in `unit` (tCO2e), not rounded.

    `country_iso2` is empty for the organization's total. `entries` is the number of entries that
    stand; `substituted_share` (0 to 1, 12 decimals, None where the value is zero or of entries of
    both signs that leave no part of a whole) is the part that rests on a life-cycle factor in place
    of a direct one.
    """

    snapshot_id: UUID
    organization_id: str
    fiscal_year: int
    framework_profile: str
    datapoint: str
    concept: str
    country_iso2: str
    value: Decimal
    unit: str
    entries: int
    substituted_share: Decimal | None
    as_of: datetime
    factor_releases: str
    code_version: str
    run_id: str


def build_esrs_e1(
    conn: Connection,
    fiscal_year: int,
    as_of: datetime | None = None,
    *,
    snapshot_id: UUID,
    run_id: str,
    code_version: str,
    organization: str | None = None,
) -> list[EsrsRow]:
    """Build and keep the snapshot: per organization its total and each country (ESRS E1 AR 41).

    The fiscal year is each organization's own, of the sites' local dates. `as_of` None is the
    knowledge horizon, the latest moment whose answer is final; a later one is refused
    (ConfigurationError `as_of_not_final`), so that a snapshot can be rebuilt to the same figures
    for ever. [] and no snapshot where the year has no entries: nothing measured is not zero.
    """
    with conn.transaction():
        moment = final_moment(conn, as_of)
        rows = computed_esrs_e1(
            conn,
            fiscal_year,
            moment,
            snapshot_id=snapshot_id,
            run_id=run_id,
            code_version=code_version,
            organization=organization,
        )
        with conn.cursor() as cursor:
            cursor.executemany(query("insert_esrs_e1"), [asdict(row) for row in rows])
        failpoint("report_built")
    return rows


def computed_esrs_e1(
    conn: Connection,
    fiscal_year: int,
    as_of: datetime,
    *,
    snapshot_id: UUID,
    run_id: str,
    code_version: str,
    organization: str | None = None,
) -> list[EsrsRow]:
    """The rows that a snapshot as of a final moment has, computed from the ledger and not kept."""
    years = fiscal_years(conn, as_of)
    sums: list[dict[str, Any]] = []
    months = years.first_months if organization is None else [years.first_month(organization)]
    with conn.cursor(row_factory=dict_row) as cursor:
        for month in months:
            start, end = fiscal_period(fiscal_year, month)
            found = cursor.execute(
                query("scope_2_location_sums"),
                {"as_of": as_of, "start": start, "end": end, "organization": organization},
            ).fetchall()
            sums += [one for one in found if years.first_month(one["organization_id"]) == month]
    constant: dict[str, Any] = {
        "snapshot_id": snapshot_id,
        "fiscal_year": fiscal_year,
        "framework_profile": ESRS_PROFILE,
        "datapoint": SCOPE_2_LOCATION_DATAPOINT,
        "concept": SCOPE_2_LOCATION_CONCEPT,
        "unit": "tCO2e",
        "as_of": as_of,
        "code_version": code_version,
        "run_id": run_id,
    }
    return [EsrsRow(**constant, **figures) for figures in _with_totals(sums)]


def snapshots_of(
    conn: Connection, organization: str, fiscal_year: int, as_of: datetime
) -> list[UUID]:
    """Snapshots of the year as of exactly that moment, the one recorded last first."""
    parameters = {"organization": organization, "fiscal_year": fiscal_year, "as_of": as_of}
    return [row[0] for row in conn.execute(query("esrs_e1_snapshots"), parameters)]


def snapshot_rows(
    conn: Connection, snapshot_ids: Sequence[UUID], organization: str
) -> list[EsrsRow]:
    """The rows of snapshots that are of one organization."""
    with conn.cursor(row_factory=class_row(EsrsRow)) as cursor:
        return cursor.execute(
            query("esrs_e1_rows"),
            {"snapshot_ids": list(snapshot_ids), "organization": organization},
        ).fetchall()


def content_of_rows(rows: Iterable[EsrsRow]) -> bytes:
    """Rows of a report as bytes that are the same for the same figures, whoever built them.

    A line for each, sorted, once: what CONTENT_COLUMNS names, separated by tabs, numbers as exact
    text, nothing for what is not there. Neither the snapshot's id nor what built it is part of it.
    """
    lines = {"\t".join(_text(getattr(row, name)) for name in CONTENT_COLUMNS) for row in rows}
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return canonical_text(value)
    return "" if value is None else str(value)


def _with_totals(sums: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Figures per organization: its total first, then its countries in order."""
    by_organization: dict[str, list[dict[str, Any]]] = {}
    for one in sums:
        by_organization.setdefault(one["organization_id"], []).append(one)
    figures: list[dict[str, Any]] = []
    for organization_id, countries in sorted(by_organization.items()):
        total = {
            "organization_id": organization_id,
            "country_iso2": "",
            "kgco2e": exact_sum(one["kgco2e"] for one in countries),
            "substituted_kgco2e": exact_sum(one["substituted_kgco2e"] for one in countries),
            "entries": sum(one["entries"] for one in countries),
            "factor_releases": sorted({r for one in countries for r in one["factor_releases"]}),
        }
        figures.extend(_figures(one) for one in [total, *countries])
    return figures


def _figures(sums: dict[str, Any]) -> dict[str, Any]:
    kgco2e, substituted = sums["kgco2e"], sums["substituted_kgco2e"]
    share = None
    # Where a correction is larger than what it corrects, there is no part of a whole to tell.
    if kgco2e and 0 <= substituted / kgco2e <= 1:
        share = _SHARE.quantize(_SHARE.divide(substituted, kgco2e), SHARE_QUANTUM)
    return {
        "organization_id": sums["organization_id"],
        "country_iso2": sums["country_iso2"],
        "value": exact_product(kgco2e, TONNES_PER_KILOGRAM),
        "entries": sums["entries"],
        "substituted_share": share,
        "factor_releases": ",".join(sums["factor_releases"]),
    }


def latest_esrs_e1(conn: Connection, fiscal_year: int | None = None) -> list[EsrsRow]:
    """The newest snapshot of each fiscal year (None: of every year), totals before countries."""
    with conn.cursor(row_factory=class_row(EsrsRow)) as cursor:
        return cursor.execute(query("latest_esrs_e1"), {"fiscal_year": fiscal_year}).fetchall()
