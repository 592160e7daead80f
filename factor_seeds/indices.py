"""Rows of potentials, grid losses, exchange rates and price indices as index rows.

Belongs here: how these tables become IndexRow. Does not: what is computed from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.index_rows import (
    FX_EUR,
    GWP_20,
    GWP_100,
    GWP_100_BLEND,
    GWP_100_KYOTO,
    GWP_100_NAMED,
    GWP_100_OTHER,
    GWP_100_TOTAL,
    TD_LOSS,
    IndexRow,
    index_id_of,
)
from factor_seeds.tables import Source, required, version_column

# What the kinds of potentials are used for, by horizon in years.
GWP_SERIES: Final[dict[tuple[str, str], str]] = {
    ("species", "100"): GWP_100,
    ("species", "20"): GWP_20,
    ("species_epa_name", "100"): GWP_100_NAMED,
    ("blend_hfc_pfc_only", "100"): GWP_100_BLEND,
    ("desnz_kyoto_only", "100"): GWP_100_KYOTO,
    ("desnz_non_kyoto_only", "100"): GWP_100_OTHER,
    ("desnz_total", "100"): GWP_100_TOTAL,
}


def series_key_year(table: str, row: Mapping[str, str]) -> tuple[str, str, int | None]:
    """Which number the row is: series, what of, and of which year."""
    if table == "gwp":
        kind = (row["kind"], row["horizon_years"])
        if kind not in GWP_SERIES:
            raise BrokenInvariant(
                "seed_series",
                f"potentials of kind {kind} are not known; known: {sorted(GWP_SERIES)}",
            )
        return GWP_SERIES[kind], f"{row['assessment_report']}/{row['gas']}", None
    if table == "td_losses":
        key = "/".join(part for part in (row["country_iso2"], row["region"]) if part)
        return TD_LOSS, key, int(row["year"])
    key = row["currency"] if row["series"] == FX_EUR else row["country_iso2"]
    return row["series"], key, int(row["year"])


def index_id(table: str, row: Mapping[str, str]) -> str:
    """The stable, readable id of a row."""
    series, key, year = series_key_year(table, row)
    return index_id_of(series, key, year, row["source_id"])


def index_row(table: str, row: Mapping[str, str], source: Source) -> IndexRow:
    """The index row of a row of `table`."""
    series, key, year = series_key_year(table, row)
    column, unit = {
        "gwp": ("gwp", "kgCO2e per kg"),
        "td_losses": ("td_loss_pct", "% of the electricity put in"),
        "fx_deflators": ("value", row.get("unit", "")),
    }[table]
    return IndexRow(
        index_id=row["index_id"],
        version=int(row[version_column(table)]),
        series=series,
        key=key,
        year=year,
        value=required(row, column),
        unit=unit,
        publisher=source.publisher,
        source_id=row["source_id"],
        quality_flags=tuple(row["quality_flags"].split()),
        licence=source.licence,
        formula=row.get("formula_or_composition", ""),
        note=row["note"] or None,
        sha256=row["sha256"],
    )
