"""kWh x factor: exact, rounded once, every gas on its own."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.calculate import LOCATION_BASED, Emission
from carbon_ledger.calculate import location_based as by_weighed
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.book import FactorBook, FactorMatch, sealed
from carbon_ledger.factor_book.use import weigh
from carbon_ledger.greenhouse import GwpTable
from tests.support.factor_examples import grid_factor, grid_query


def location_based(energy_kwh: Decimal, match: FactorMatch) -> Emission:
    """By the factor's figure as published."""
    return by_weighed(energy_kwh, match, weigh(match.factor, GwpTable({}), match.factor.gwp_set))


def matched(**figures: Decimal | None) -> FactorMatch:
    return FactorBook([grid_factor(**figures)], "test").match(grid_query())


def posted(value: Fraction) -> Fraction:
    """Half-even to 12 decimals in integers only (`round` of a Fraction is half-even)."""
    return Fraction(round(value * 10**12), 10**12)


@given(
    energy=st.decimals(min_value=0, max_value=10**15, allow_nan=False, places=9),
    factor=st.decimals(min_value=0, max_value=3, allow_nan=False, places=11),
)
def test_the_figure_is_rational_arithmetic_rounded_once(energy: Decimal, factor: Decimal) -> None:
    emission = location_based(energy, matched(kgco2e_per_unit=factor, kg_n2o_per_unit=factor))
    assert Fraction(emission.kgco2e) == posted(Fraction(energy) * Fraction(factor))
    assert emission.kgco2e.as_tuple().exponent == -12
    assert emission.kg_n2o == emission.kgco2e


def test_nothing_is_rounded_before_the_end() -> None:
    # 38 digits times 11 digits; rounding the product to 38 digits first would round up.
    energy = Decimal("1.2345678901234567890123456789012345678")
    emission = location_based(energy, matched(kgco2e_per_unit=Decimal("0.00000090718")))
    assert Fraction(emission.kgco2e) == posted(Fraction(energy) * Fraction("0.00000090718"))


def test_gases_are_masses_of_their_own_and_unpublished_ones_stay_unknown() -> None:
    emission = location_based(
        Decimal("10"),
        matched(kg_co2_per_unit=Decimal("0.39"), kg_ch4_per_unit=Decimal("0")),
    )
    assert emission.kg_co2 == Decimal("3.900000000000")
    assert emission.kg_ch4 == Decimal("0")
    assert emission.kg_n2o is None
    assert emission.gas_split == "not_available"


def test_a_zero_factor_gives_zero() -> None:
    emission = location_based(Decimal("12.5"), matched(kgco2e_per_unit=Decimal("0")))
    assert f"{emission.kgco2e:f}" == "0.000000000000"


def test_a_figure_carries_factor_and_formula() -> None:
    emission = location_based(Decimal(1), matched())
    assert (emission.factor_id, emission.factor_version) == (
        "grid:DE:2020:direct_combustion:example",
        1,
    )
    assert "Scope 2 Guidance" in LOCATION_BASED.citation


@pytest.mark.parametrize(
    ("energy", "code"),
    [("1E+27", "out_of_range"), ("1E+30", "out_of_range"), ("NaN", "not_finite")],
)
def test_a_figure_that_does_not_fit_is_refused(energy: str, code: str) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        location_based(Decimal(energy), matched())
    assert (refusal.value.code, refusal.value.field) == (code, "energy_kwh")


def test_the_largest_figure_that_fits_is_posted() -> None:
    emission = location_based(Decimal("2E+26"), matched())
    assert emission.kgco2e == Decimal("8E+25")


def test_a_factor_per_another_unit_is_never_multiplied() -> None:
    match = matched()
    per_mwh = replace(match, factor=sealed(replace(match.factor, unit="MWh")))  # type: ignore[arg-type]
    with pytest.raises(BrokenInvariant) as fault:
        location_based(Decimal(1), per_mwh)
    assert fault.value.code == "factor_unit"
