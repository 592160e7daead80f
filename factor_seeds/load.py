"""The shipped seeds as factor rows, and as one release.

Belongs here: how a seed file's columns become a Factor. Does not: choosing a factor
(carbon_ledger.factors), writing seed files (scripts/build_factor_seeds.py), the database.

A seed row keeps the publisher's figures as text, exactly as published, with our own columns
(factor_id, version, year_kind, quality_flags, sha256) around them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final, Literal, cast

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_rows import Factor, FactorRelease, check_factor, make_release, sealed
from carbon_ledger.greenhouse import GwpSet
from carbon_ledger.quantities import decimal_from

# Raised by hand with the seeds; the hash after it follows from the rows.
RELEASE_NAME: Final = "2026.1"

FAMILIES: Final = ("grid", "energy_source")

PUBLISHED_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "grid": (
        "country_iso2",
        "region",
        "region_name",
        "year",
        "method",
        "boundary",
        "basis",
        "gas_coverage",
        "kgco2e_per_kwh",
        "kg_co2_per_kwh",
        "kg_ch4_per_kwh",
        "kg_n2o_per_kwh",
        "td_loss_pct",
        "td_kgco2e_per_kwh",
        "upstream_kgco2e_per_kwh",
        "gwp_basis",
        "co2e_origin",
        "source_id",
        "note",
    ),
    "energy_source": (
        "energy_source",
        "technology",
        "boundary",
        "stat",
        "kgco2e_per_kwh",
        "source_id",
        "note",
    ),
}
SEED_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    family: ("factor_id", "version", *columns, "year_kind", "quality_flags", "sha256")
    for family, columns in PUBLISHED_COLUMNS.items()
}
SOURCE_COLUMNS: Final = (
    "source_id",
    "title",
    "publisher",
    "version_year",
    "licence",
    "url",
    "retrieved_from",
    "note",
)

# The publishers' words for the potentials they used. `unstated` rather than a guess.
GWP_SET_OF: Final[dict[str, GwpSet]] = {
    "AR4 (25/298)": "AR4",
    "AR5 (28/265)": "AR5",
    "AR5 (as published)": "AR5",
    "100y (as published)": "unstated",
    "as published by eGRID": "unstated",
    "n/a": "not_applicable",
    "": "unstated",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where figures come from and under which licence."""

    source_id: str
    title: str
    publisher: str
    version_year: str
    licence: str
    url: str
    retrieved_from: str
    note: str


def read_sources() -> dict[str, Source]:
    """Every source of the shipped seeds, by id."""
    return sources_in(resources.files("factor_seeds"))


def sources_in(folder: Traversable) -> dict[str, Source]:
    """Every source that sources.csv in `folder` describes, by id; {} if there is no such file."""
    entry = folder / "sources.csv"
    rows = _read_csv(entry, SOURCE_COLUMNS) if entry.is_file() else []
    return {row["source_id"]: Source(**row) for row in rows}


def read_seed_rows() -> list[Factor]:
    """Every shipped factor row, its hash checked, in a stable order.

    Raises BrokenInvariant (`seed_*`, `factor_*`), naming file and row, if a seed file was altered.
    """
    sources = read_sources()
    factors = []
    for name, family, row in seed_file_rows(resources.files("factor_seeds")):
        source = sources.get(row["source_id"])
        if source is None or name != f"{row['source_id']}.csv":
            raise BrokenInvariant(
                "seed_source",
                f"{family}/{name}: row {row['factor_id']} names source {row['source_id']!r}; a "
                f"file holds one source, which sources.csv describes: {', '.join(sources)}",
            )
        factor = factor_from_row(family, row, source)
        check_factor(factor)
        factors.append(factor)
    return sorted(factors, key=lambda factor: (factor.factor_id, factor.version))


def release() -> FactorRelease:
    """The shipped rows as one release; its id follows from the rows alone."""
    return make_release(RELEASE_NAME, read_seed_rows())


def seed_file_rows(folder: Traversable) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(file name, family, row) for every row of every seed file in `folder`, in name order."""
    for family in FAMILIES:
        inside = folder / family
        files = sorted(inside.iterdir(), key=lambda entry: entry.name) if inside.is_dir() else []
        for entry in files:
            if entry.name.endswith(".csv"):
                for row in _read_csv(entry, SEED_COLUMNS[family]):
                    yield entry.name, family, row


def _read_csv(entry: Traversable, columns: tuple[str, ...]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(entry.read_text(encoding="utf-8")), strict=True)
    if tuple(reader.fieldnames or ()) != columns:
        raise BrokenInvariant(
            "seed_columns", f"{entry.name} has columns {reader.fieldnames}, expected {columns}"
        )
    rows = list(reader)
    for row in rows:
        if None in row or None in row.values():
            raise BrokenInvariant("seed_columns", f"{entry.name}: a row has missing or extra cells")
    return rows


def factor_id_of(family: str, row: Mapping[str, str]) -> str:
    """The stable, readable id of a published row, e.g. `grid:DE:2024:lifecycle:ember_owid_2026`."""
    if family == "grid":
        place = row["region"] or row["country_iso2"]
        boundary = row["method"]
        if row["boundary"] == "direct_combustion_plus_td_and_sf6":
            boundary += "-plus-td-sf6"
        return f"grid:{place}:{row['year']}:{boundary}:{row['source_id']}"
    technology = re.sub(r"[^a-z0-9]+", "-", row["technology"].lower()) or "unspecified"
    middle = f"{row['energy_source']}:{technology}:{row['boundary']}:{row['stat']}"
    return f"energy_source:{middle}:{row['source_id']}"


def factor_from_row(family: str, row: Mapping[str, str], source: Source) -> Factor:
    """The Factor of one seed row. The row's hash, if it has one, is taken over as it is."""
    factor = _grid_factor(row, source) if family == "grid" else _energy_factor(row, source)
    return factor if factor.sha256 else sealed(factor)


def _grid_factor(row: Mapping[str, str], source: Source) -> Factor:
    year = int(row["year"])
    return Factor(
        factor_id=row["factor_id"],
        version=int(row["version"]),
        family="grid",
        publisher=source.publisher,
        dataset=source.title,
        source_id=row["source_id"],
        country_iso2=row["country_iso2"],
        region=row["region"] or None,
        region_name=row["region_name"] or None,
        energy_source="grid",
        technology=None,
        statistic="published",
        year=year,
        year_kind=cast(Literal["data", "edition", "none"], row["year_kind"]),
        valid_from=date(year, 1, 1),
        valid_to=date(year + 1, 1, 1),
        basis="location",
        method=row["method"],
        boundary=row["boundary"],
        intensity_basis=cast(Literal["generation", "consumption"], row["basis"]),
        gas_coverage=cast(Literal["CO2e", "CO2"], row["gas_coverage"]),
        unit="kWh",
        kgco2e_per_unit=_required(row, "kgco2e_per_kwh"),
        kg_co2_per_unit=_number(row, "kg_co2_per_kwh"),
        kg_ch4_per_unit=_number(row, "kg_ch4_per_kwh"),
        kg_n2o_per_unit=_number(row, "kg_n2o_per_kwh"),
        gwp_set=_gwp_set(row["gwp_basis"]),
        gwp_basis=row["gwp_basis"],
        co2e_origin=row["co2e_origin"],
        td_loss_pct=_number(row, "td_loss_pct"),
        td_kgco2e_per_unit=_number(row, "td_kgco2e_per_kwh"),
        upstream_kgco2e_per_unit=_number(row, "upstream_kgco2e_per_kwh"),
        quality_flags=tuple(row["quality_flags"].split()),
        licence=source.licence,
        note=row["note"] or None,
        sha256=row["sha256"],
    )


def _energy_factor(row: Mapping[str, str], source: Source) -> Factor:
    return Factor(
        factor_id=row["factor_id"],
        version=int(row["version"]),
        family="energy_source",
        publisher=source.publisher,
        dataset=source.title,
        source_id=row["source_id"],
        country_iso2=None,
        region=None,
        region_name=None,
        energy_source=row["energy_source"],
        technology=row["technology"] or None,
        statistic=row["stat"],
        year=None,
        year_kind=cast(Literal["data", "edition", "none"], row["year_kind"]),
        valid_from=None,
        valid_to=None,
        basis="location",
        method=row["boundary"],
        boundary=row["boundary"],
        intensity_basis="generation",
        gas_coverage="CO2e",
        unit="kWh",
        kgco2e_per_unit=_required(row, "kgco2e_per_kwh"),
        kg_co2_per_unit=None,
        kg_ch4_per_unit=None,
        kg_n2o_per_unit=None,
        gwp_set=_gwp_set(""),
        gwp_basis="",
        co2e_origin="published",
        td_loss_pct=None,
        td_kgco2e_per_unit=None,
        upstream_kgco2e_per_unit=None,
        quality_flags=tuple(row["quality_flags"].split()),
        licence=source.licence,
        note=row["note"] or None,
        sha256=row["sha256"],
    )


def _number(row: Mapping[str, str], column: str) -> Decimal | None:
    return decimal_from(row[column], field=column) if row[column] else None


def _required(row: Mapping[str, str], column: str) -> Decimal:
    value = _number(row, column)
    if value is None:
        raise BrokenInvariant(
            "factor_value", f"{row['factor_id']} has no {column}; a missing figure is not a factor"
        )
    return value


def _gwp_set(published: str) -> GwpSet:
    try:
        return GWP_SET_OF[published]
    except KeyError:
        raise BrokenInvariant(
            "factor_gwp_set",
            f"GWP basis {published!r} is not known; known: {', '.join(map(repr, GWP_SET_OF))}",
        ) from None
