"""A rate in kgCO2e per kWh that somebody gives, as a factor of its own."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.energy.given_rates import given_rate
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.rows import Factor, check_factor


def rate(**changes: Any) -> Factor:
    plain: dict[str, Any] = {
        "factor_id": "contract:p1",
        "version": 1,
        "publisher": "wind farm",
        "dataset": "contract",
        "energy_source": "wind",
        "basis": "market",
        "boundary": "direct_combustion",
        "kgco2e_per_kwh": Decimal("0.05"),
        "gwp_set": "AR6",
        "gas_coverage": "CO2e",
    }
    return given_rate(**{**plain, **changes})


@pytest.mark.parametrize(
    ("year", "kind", "begin", "end"),
    [(2024, "data", date(2024, 1, 1), date(2025, 1, 1)), (None, "none", None, None)],
)
def test_a_given_rate_is_a_sealed_row_of_its_year_or_of_no_vintage(
    year: int | None, kind: str, begin: date | None, end: date | None
) -> None:
    found = rate(year=year)
    check_factor(found)
    assert (found.year, found.year_kind) == (year, kind)
    assert (found.valid_from, found.valid_to) == (begin, end)


def test_a_given_rate_is_a_published_figure_per_kwh_generated_without_gases_or_losses() -> None:
    found = rate(kg_co2_biogenic_per_kwh=Decimal("0.3"))
    assert (found.family, found.unit, found.statistic) == ("licensed", "kWh", "published")
    assert (found.intensity_basis, found.co2e_origin) == ("generation", "published")
    assert (found.source_id, found.method) == ("contract:p1", "market")
    assert (found.kgco2e_per_unit, found.kg_co2_biogenic_per_unit) == (
        *(Decimal("0.05"), Decimal("0.3")),
    )
    assert (found.kg_co2_per_unit, found.kg_ch4_per_unit, found.kg_n2o_per_unit) == (None,) * 3
    assert (found.td_loss_pct, found.td_kgco2e_per_unit, found.upstream_kgco2e_per_unit) == (
        *(None, None, None),
    )


@pytest.mark.parametrize("name", ["kgco2e_per_kwh", "kg_co2_biogenic_per_kwh"])
@pytest.mark.parametrize("value", ["-0.1", "NaN", "Infinity"])
def test_a_rate_that_takes_emissions_away_or_is_no_number_is_refused(name: str, value: str) -> None:
    assert rate(**{name: Decimal(0)})
    with pytest.raises(RejectedRecord) as refused:
        rate(**{name: Decimal(value)})
    assert (refused.value.code, refused.value.field) == ("negative_factor", "kgco2e_per_kwh")
