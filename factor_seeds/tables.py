"""The tables of the seeds: their columns, their sources, and how a cell is read.

Belongs here: which columns a seed file has, the publishers' words. Does not: what a row becomes
(factor_seeds.electricity, factor_seeds.activities, factor_seeds.indices).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources.abc import Traversable
from typing import Final

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.greenhouse import GwpSet
from carbon_ledger.quantities import decimal_from

# Tables of emission factors, and tables of other numbers, each a folder of the seeds.
FACTOR_TABLES: Final = ("grid", "energy_source", "fuel", "transport", "spend", "material_waste")
INDEX_TABLES: Final = ("gwp", "td_losses", "fx_deflators")
TABLES: Final = (*FACTOR_TABLES, *INDEX_TABLES)

_GASES: Final = (
    "kgco2e_per_unit",
    "kg_co2_per_unit",
    "kg_ch4_per_unit",
    "kg_n2o_per_unit",
    "kgco2e_ch4_per_unit",
    "kgco2e_n2o_per_unit",
)

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
    "fuel": (
        "country_iso2",
        "year",
        "fuel_group",
        "fuel",
        "use",
        "stage",
        "unit",
        *_GASES,
        "biogenic_kg_co2_per_unit",
        "heat_content_mmbtu_hhv",
        "gwp_basis",
        "co2e_origin",
        "source_id",
        "note",
    ),
    "transport": (
        "country_iso2",
        "year",
        "category",
        "mode",
        "vehicle_group",
        "vehicle_class",
        "detail",
        "variant",
        "stage",
        "unit",
        *_GASES,
        "gwp_basis",
        "co2e_origin",
        "source_id",
        "note",
    ),
    "spend": (
        "naics_code",
        "naics_title",
        "naics_year",
        "version",
        "currency",
        "price_year",
        "price_basis",
        "kgco2e_per_usd_without_margins",
        "kgco2e_per_usd_margins",
        "kgco2e_per_usd_with_margins",
        "kg_co2_per_usd_with_margins",
        "kg_ch4_per_usd_with_margins",
        "kg_n2o_per_usd_with_margins",
        "useeio_code",
        "gwp_basis",
        "source_id",
    ),
    "material_waste": (
        "country_iso2",
        "year",
        "category",
        "item_group",
        "item",
        "treatment",
        "unit",
        "kgco2e_per_unit",
        "kgco2e_per_tonne",
        "gwp_basis",
        "source_id",
        "note",
    ),
    "gwp": (
        "gas",
        "kind",
        "assessment_report",
        "horizon_years",
        "gwp",
        "formula_or_composition",
        "source_id",
        "note",
    ),
    "td_losses": ("country_iso2", "region", "year", "td_loss_pct", "source_id", "note"),
    "fx_deflators": (
        "series",
        "country_iso2",
        "currency",
        "year",
        "value",
        "unit",
        "n_obs",
        "source_id",
        "note",
    ),
}

# Where a published column has the name of one of ours, ours is called otherwise in the file.
ROW_VERSION: Final = "row_version"


def version_column(table: str) -> str:
    """The column that holds a row's own version."""
    return ROW_VERSION if "version" in PUBLISHED_COLUMNS[table] else "version"


def _own_columns(table: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Our columns before and after the publisher's."""
    version = version_column(table)
    if table in INDEX_TABLES:
        return ("index_id", version), ("quality_flags", "sha256")
    if table in ("grid", "energy_source"):
        return ("factor_id", version), ("year_kind", "quality_flags", "sha256")
    return ("factor_id", version), ("year_kind", "ch4_kind", "quality_flags", "sha256")


SEED_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    table: (*_own_columns(table)[0], *columns, *_own_columns(table)[1])
    for table, columns in PUBLISHED_COLUMNS.items()
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
    "AR4": "AR4",
    "AR4 (25/298)": "AR4",
    "AR4 (as published)": "AR4",
    "AR5": "AR5",
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


def read_table(entry: Traversable, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a seed file as text; BrokenInvariant `seed_columns` if it has other columns."""
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


def number(row: Mapping[str, str], column: str) -> Decimal | None:
    """A cell as a number; None where nothing is published."""
    return decimal_from(row[column], field=column) if row[column] else None


def required(row: Mapping[str, str], column: str) -> Decimal:
    """A cell that must hold a number; BrokenInvariant `factor_value` if it does not."""
    value = number(row, column)
    if value is None:
        name = row.get("factor_id") or row.get("index_id")
        raise BrokenInvariant(
            "factor_value", f"{name} has no {column}; a missing figure is not a factor"
        )
    return value


def gwp_set_of(published: str) -> GwpSet:
    """The set a publisher's words mean; BrokenInvariant `factor_gwp_set` if they are unknown."""
    try:
        return GWP_SET_OF[published]
    except KeyError:
        raise BrokenInvariant(
            "factor_gwp_set",
            f"GWP basis {published!r} is not known; known: {', '.join(map(repr, GWP_SET_OF))}",
        ) from None
