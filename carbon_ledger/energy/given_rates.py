"""Rates per kWh that come with an activity, not from the book, as factors that can be applied.

Belongs here: the row of such a rate, sealed as any other, so that a line names factor and version.
Does not: who may give one (instruments, location_intensity).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.rows import Factor, sealed
from carbon_ledger.greenhouse import GwpSet


def given_rate(
    *,
    factor_id: str,
    version: int,
    publisher: str,
    dataset: str,
    energy_source: str,
    basis: str,
    boundary: str,
    kgco2e_per_kwh: Decimal,
    gwp_set: GwpSet,
    gas_coverage: Literal["CO2e", "CO2"] = "CO2e",
    kg_co2_biogenic_per_kwh: Decimal | None = None,
    country_iso2: str | None = None,
    region: str | None = None,
    year: int | None = None,
    licence: str = "",
) -> Factor:
    """The sealed factor of a rate in kgCO2e per kWh; without `year` it is of no vintage.

    Raises RejectedRecord `negative_factor` for a rate below zero, which would be a removal.
    """
    for rate in (kgco2e_per_kwh, kg_co2_biogenic_per_kwh):
        if rate is not None and not (rate.is_finite() and rate >= 0):
            raise RejectedRecord(
                "negative_factor",
                f"{factor_id} is {rate} per kWh: removals and avoided emissions enter no scope",
                field="kgco2e_per_kwh",
                value=rate,
                valid="zero or more",
            )
    return sealed(
        Factor(
            factor_id=factor_id,
            version=version,
            family="licensed",
            publisher=publisher,
            dataset=dataset,
            source_id=factor_id,
            country_iso2=country_iso2,
            region=region,
            region_name=None,
            energy_source=energy_source,
            technology=None,
            statistic="published",
            year=year,
            year_kind="none" if year is None else "data",
            valid_from=None if year is None else date(year, 1, 1),
            valid_to=None if year is None else date(year + 1, 1, 1),
            basis=basis,
            method=basis,
            boundary=boundary,
            intensity_basis="generation",
            gas_coverage=gas_coverage,
            unit="kWh",
            kgco2e_per_unit=kgco2e_per_kwh,
            kg_co2_per_unit=None,
            kg_ch4_per_unit=None,
            kg_n2o_per_unit=None,
            gwp_set=gwp_set,
            gwp_basis=gwp_set,
            co2e_origin="published",
            td_loss_pct=None,
            td_kgco2e_per_unit=None,
            upstream_kgco2e_per_unit=None,
            quality_flags=(),
            licence=licence,
            note=None,
            sha256="",
            kg_co2_biogenic_per_unit=kg_co2_biogenic_per_kwh,
        )
    )
