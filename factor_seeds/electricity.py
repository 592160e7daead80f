"""Rows of grid electricity and of energy sources as factors.

Belongs here: how these two tables become Factor. Does not: the other tables, choosing a factor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Literal, cast

from carbon_ledger.factor_book.rows import Factor
from factor_seeds.tables import Source, gwp_set_of, number, required


def grid_id(row: Mapping[str, str]) -> str:
    """The stable, readable id of a grid row, e.g. `grid:DE:2024:lifecycle:ember_owid_2026`."""
    place = row["region"] or row["country_iso2"]
    boundary = row["method"]
    if row["boundary"] == "direct_combustion_plus_td_and_sf6":
        boundary += "-plus-td-sf6"
    return f"grid:{place}:{row['year']}:{boundary}:{row['source_id']}"


def energy_source_id(row: Mapping[str, str]) -> str:
    """The stable, readable id of a row for one source of electricity."""
    technology = re.sub(r"[^a-z0-9]+", "-", row["technology"].lower()) or "unspecified"
    middle = f"{row['energy_source']}:{technology}:{row['boundary']}:{row['stat']}"
    return f"energy_source:{middle}:{row['source_id']}"


def grid_factor(row: Mapping[str, str], source: Source) -> Factor:
    """The factor of a grid row."""
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
        kgco2e_per_unit=required(row, "kgco2e_per_kwh"),
        kg_co2_per_unit=number(row, "kg_co2_per_kwh"),
        kg_ch4_per_unit=number(row, "kg_ch4_per_kwh"),
        kg_n2o_per_unit=number(row, "kg_n2o_per_kwh"),
        gwp_set=gwp_set_of(row["gwp_basis"]),
        gwp_basis=row["gwp_basis"],
        co2e_origin=row["co2e_origin"],
        td_loss_pct=number(row, "td_loss_pct"),
        td_kgco2e_per_unit=number(row, "td_kgco2e_per_kwh"),
        upstream_kgco2e_per_unit=number(row, "upstream_kgco2e_per_kwh"),
        quality_flags=tuple(row["quality_flags"].split()),
        licence=source.licence,
        note=row["note"] or None,
        sha256=row["sha256"],
    )


def energy_source_factor(row: Mapping[str, str], source: Source) -> Factor:
    """The factor of a row for one source of electricity."""
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
        kgco2e_per_unit=required(row, "kgco2e_per_kwh"),
        kg_co2_per_unit=None,
        kg_ch4_per_unit=None,
        kg_n2o_per_unit=None,
        gwp_set=gwp_set_of(""),
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
