"""Factor rows for tests: valid ones, of which a test changes just what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from carbon_ledger.factor_book.book import ActivityQuery, Factor, FactorQuery, sealed

_GRID = Factor(
    factor_id="",
    version=1,
    family="grid",
    publisher="Office of Examples",
    dataset="Example intensities",
    source_id="example",
    country_iso2="DE",
    region=None,
    region_name=None,
    energy_source="grid",
    technology=None,
    statistic="published",
    year=2020,
    year_kind="data",
    valid_from=date(2020, 1, 1),
    valid_to=date(2021, 1, 1),
    basis="location",
    method="location",
    boundary="direct_combustion",
    intensity_basis="generation",
    gas_coverage="CO2e",
    unit="kWh",
    kgco2e_per_unit=Decimal("0.4"),
    kg_co2_per_unit=None,
    kg_ch4_per_unit=None,
    kg_n2o_per_unit=None,
    gwp_set="AR5",
    gwp_basis="AR5",
    co2e_origin="published",
    td_loss_pct=None,
    td_kgco2e_per_unit=None,
    upstream_kgco2e_per_unit=None,
    quality_flags=(),
    licence="CC0",
    note=None,
    sha256="",
)


def grid_factor(year: int = 2020, **changes: Any) -> Factor:
    """A sealed grid factor of one year; its id follows from what it says unless it is given."""
    factor = replace(
        _GRID,
        year=year,
        valid_from=date(year, 1, 1),
        valid_to=date(year + 1, 1, 1),
        **changes,
    )
    place = factor.region or factor.country_iso2
    named = f"grid:{place}:{year}:{factor.boundary}:{factor.source_id}"
    return sealed(replace(factor, factor_id=changes.get("factor_id", named)))


def supply_factor(energy_source: str, **changes: Any) -> Factor:
    """A sealed factor of a direct supply, valid in any country and year."""
    given: dict[str, Any] = {
        "family": "energy_source",
        "country_iso2": None,
        "energy_source": energy_source,
        "statistic": "median",
        "year": None,
        "year_kind": "none",
        "valid_from": None,
        "valid_to": None,
        "method": "direct",
        "boundary": "direct",
        **changes,
    }
    factor = replace(_GRID, **given)
    named = ":".join(
        ["energy_source", energy_source, str(factor.technology), factor.boundary, factor.statistic]
    )
    named = f"{named}:{factor.source_id}"
    return sealed(replace(factor, factor_id=given.get("factor_id", named)))


def grid_query(
    country_iso2: str = "DE", year: int = 2020, region: str | None = None
) -> FactorQuery:
    """A query for purchased grid electricity in the middle of `year`."""
    return FactorQuery(
        energy_source="grid",
        country_iso2=country_iso2,
        region=region,
        activity_date=date(year, 6, 15),
    )


def supply_query(energy_source: str, country_iso2: str = "DE") -> FactorQuery:
    """A query for a direct supply."""
    return FactorQuery(
        energy_source=energy_source, country_iso2=country_iso2, activity_date=date(2024, 6, 15)
    )


def activity_factor(
    family: str = "fuel",
    selectors: tuple[tuple[str, str], ...] = (("fuel", "Peat"), ("stage", "combustion")),
    year: int = 2020,
    **changes: Any,
) -> Factor:
    """A sealed factor of a family other than electricity, per kg unless `changes` say else."""
    given: dict[str, Any] = {
        "family": family,
        "energy_source": "",
        "unit": "kg",
        "basis": "combustion",
        "boundary": "combustion",
        "stage": dict(selectors).get("stage", ""),
        "intensity_basis": "",
        "selectors": selectors,
        "year": year,
        "valid_from": date(year, 1, 1),
        "valid_to": date(year + 1, 1, 1),
        **changes,
    }
    factor = replace(_GRID, **given)
    words = "/".join(text for _, text in selectors)
    named = f"{family}:{factor.region or factor.country_iso2}:{year}:{words}:{factor.unit}"
    return sealed(replace(factor, factor_id=given.get("factor_id", f"{named}:{factor.source_id}")))


def activity_query(
    family: str = "fuel",
    year: int = 2020,
    country_iso2: str | None = "DE",
    unit: str | None = "kg",
    region: str | None = None,
    **selectors: str,
) -> ActivityQuery:
    """A query in the middle of `year`, by these selectors."""
    return ActivityQuery(
        family=family,
        selectors=tuple(selectors.items()),
        activity_date=date(year, 6, 15),
        country_iso2=country_iso2,
        region=region,
        unit=unit,
    )
