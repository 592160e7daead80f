"""Potentials, exchange rates, price indices and grid losses of a release."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.index_rows import (
    CPI_INFLATION,
    FX_EUR,
    GDP_DEFLATOR_INFLATION,
    GWP_100,
    GWP_100_BLEND,
    TD_LOSS,
    IndexRow,
    check_index,
    index_id_of,
    index_sha256,
    sealed_index,
)
from carbon_ledger.factor_book.losses import LossTable
from carbon_ledger.factor_book.potentials import gwp_table
from carbon_ledger.factor_book.prices import PriceTable
from carbon_ledger.factor_book.rows import make_release
from carbon_ledger.policy import Policy
from factor_seeds.load import shipped_book
from tests.support.factor_examples import grid_factor

POLICY = Policy()


def index(series: str, key: str, year: int | None, value: str, **changes: Any) -> IndexRow:
    """A sealed row of a series."""
    source_id = changes.get("source_id", "example")
    row = IndexRow(
        index_id=index_id_of(series, key, year, source_id),
        version=1,
        series=series,
        key=key,
        year=year,
        value=Decimal(value),
        unit="%",
        publisher="Office of Examples",
        source_id=source_id,
        quality_flags=(),
        licence="CC0",
        formula="",
        note=None,
        sha256="",
    )
    return sealed_index(replace(row, **changes))


# The table of the accounting rules: gas by AR4, AR5, AR6.
POTENTIALS = [
    ("CO2", "1", "1", "1"),
    ("CH4", "25", "28", "27.9"),
    ("N2O", "298", "265", "273"),
    ("SF6", "22800", "23500", "25200"),
    ("NF3", "17200", "16100", "17400"),
    ("HFC-134a", "1430", "1300", "1530"),
    ("HFC-32", "675", "677", "771"),
    ("HFC-125", "3500", "3170", "3740"),
    ("HFC-23", "14800", "12400", "14600"),
    ("HFC-143a", "4470", "4800", "5810"),
    ("HFC-227ea", "3220", "3350", "3600"),
    ("CF4", "7390", "6630", "7380"),
    ("C2F6", "12200", "11100", "12400"),
    # By mass: 50 % HFC-32 and 50 % HFC-125; 44 % HFC-125, 52 % HFC-143a and 4 % HFC-134a.
    ("R-410A", "2087.5", "1923.5", "2255.5"),
    ("R-404A", "3921.6", "3942.8", "4728"),
]


@pytest.mark.parametrize(("gas", "ar4", "ar5", "ar6"), POTENTIALS)
def test_a_gas_weighs_what_its_assessment_report_says(
    gas: str, ar4: str, ar5: str, ar6: str
) -> None:
    found = [shipped_book().gwp.potential(gas, one) for one in ("AR4", "AR5", "AR6")]
    assert [one.value for one in found] == [Decimal(ar4), Decimal(ar5), Decimal(ar6)]
    assert {one.flag for one in found} == {None}


@pytest.mark.parametrize(
    ("spelling", "other"),
    [
        ("HFC134a", "HFC-134a"),
        ("PFC-14", "CF4"),
        ("R410A", "R-410A"),
        ("HFC4310mee", "HFC-43-10mee"),
    ],
)
def test_a_trade_name_weighs_what_the_gas_weighs(spelling: str, other: str) -> None:
    gwp = shipped_book().gwp
    assert gwp.potential(spelling, "AR6").value == gwp.potential(other, "AR6").value


def test_methane_is_told_by_origin_only_where_a_source_tells_it() -> None:
    gwp = shipped_book().gwp
    fossil = gwp.potential("CH4_fossil", "AR6")
    assert (fossil.value, fossil.flag, fossil.source_id) == (Decimal("29.8"), None, "ipcc_ar6_t715")
    other = gwp.potential("CH4_non_fossil", "AR6")
    assert (other.value, other.flag) == (Decimal("27.9"), "gwp_methane_origin_not_distinguished")
    assert gwp.potential("CH4_fossil", "AR5").flag == "gwp_methane_origin_not_distinguished"


def test_a_blend_with_other_constituents_counts_the_fluorinated_ones_and_says_so() -> None:
    """53 % HCFC-22 and 34 % HCFC-124 count zero; 13 % HFC-152a weigh 0.13 x 138."""
    found = shipped_book().gwp.potential("R-401A", "AR5")
    assert found.value == Decimal("17.94")
    assert found.flag == "blend_other_constituents_not_counted"


def test_a_blend_of_which_only_the_printed_figure_is_known_says_so() -> None:
    gwp = shipped_book().gwp
    found = gwp.potential("R407F", "AR5")
    assert (found.value, found.flag) == (Decimal(1674), "gwp_of_blend_as_printed")
    with pytest.raises(RejectedRecord) as refused:
        gwp.potential("R407F", "AR6")
    assert refused.value.code == "unknown_gas"


def test_the_printed_potential_of_a_blend_is_ours_rounded_but_for_one_that_is_wrong() -> None:
    """The EPA prints 3104 for R-424A, which does not follow from the composition beside it
    (0.505 x 3170 + 0.47 x 1300 = 2211.85); DESNZ prints 2212.
    """
    book = shipped_book()
    blends = [row for row in book.index_rows if row.series == GWP_100_BLEND]
    assert len(blends) == 30
    for row in blends:
        ours = book.gwp.potential(row.key.partition("/")[2], "AR5").value
        is_rounding = abs(ours - row.value) <= Decimal("0.5")
        assert is_rounding == ("R-424A" not in row.key), row.index_id
    assert book.gwp.potential("R-424A", "AR5").value == Decimal("2211.85")


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (
            [
                index(GWP_100, "AR5/CH4", None, "28"),
                index(GWP_100, "AR5/CH4", None, "30", source_id="x"),
            ],
            "gwp_tie",
        ),
        (
            [index(GWP_100_BLEND, "AR5/R-1", None, "1", formula="60% HFC-32, 30% HFC-125")],
            "gwp_composition",
        ),
        ([index(GWP_100_BLEND, "AR5/R-1", None, "1", formula="half HFC-32")], "gwp_composition"),
        ([index(GWP_100_BLEND, "AR5/R-1", None, "1", formula="100% HFC-32")], "gwp_unknown_gas"),
    ],
)
def test_potentials_that_contradict_themselves_are_not_used(
    rows: list[IndexRow], code: str
) -> None:
    with pytest.raises(BrokenInvariant) as fault:
        gwp_table(rows)
    assert fault.value.code == code


@pytest.mark.parametrize(
    ("from_currency", "to_currency", "year", "value", "used", "flags"),
    [
        ("EUR", "USD", 2023, "1.0812686", 2023, ()),
        ("USD", "EUR", 2023, "1/1.0812686", 2023, ()),
        ("GBP", "USD", 2022, "1.0530486/0.85276086", 2022, ()),
        ("KRW", "GBP", 2025, "0.85679231/1605.4523", 2025, ()),
        ("EUR", "EUR", 1990, "1", 1990, ()),
        ("CHF", "CHF", 2031, "1", 2031, ()),
        # Both legs of one year, the latest that both have.
        ("HRK", "USD", 2024, "1.0530486/7.5348732", 2022, ("index_gap_years",)),
        ("RUB", "EUR", 2022, "1/88.397136", 2022, ("partial_year",)),
        ("EUR", "GBP", 2027, "0.85679231", 2025, ("index_gap_years",)),
    ],
)
def test_exchange_rates_are_yearly_means_crossed_over_the_euro(
    from_currency: str, to_currency: str, year: int, value: str, used: int, flags: tuple[str, ...]
) -> None:
    above, _, below = value.partition("/")
    rate = shipped_book().prices.fx(from_currency, to_currency, year, POLICY)
    assert rate.value == Fraction(above) / Fraction(below or 1)
    assert (rate.year, rate.flags) == (used, flags)
    assert "ecb_eurofxref" in rate.source or from_currency == to_currency


@pytest.mark.parametrize(
    ("from_currency", "to_currency", "year", "code"),
    [
        ("XXX", "EUR", 2023, "unknown_currency"),
        ("EUR", "eur", 2023, "unknown_currency"),
        ("XXX", "XXX", 2023, "unknown_currency"),
        ("HRK", "USD", 2025, "index_missing"),
        ("EUR", "USD", 2028, "index_missing"),
        # A later rate never stands in for an earlier year.
        ("EUR", "USD", 2014, "index_missing"),
    ],
)
def test_a_rate_that_nobody_published_is_refused(
    from_currency: str, to_currency: str, year: int, code: str
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        shipped_book().prices.fx(from_currency, to_currency, year, POLICY)
    assert refused.value.code == code
    assert refused.value.valid


@pytest.mark.parametrize(
    ("country", "from_year", "to_year", "value", "source", "flags"),
    [
        ("US", 2022, 2025, "321.943/292.655", "us_cpi_u_index", ()),
        ("US", 2025, 2022, "292.655/321.943", "us_cpi_u_index", ()),
        ("US", 2000, 2001, "177.1/172.2", "us_cpi_u_index", ()),
        ("DE", 2022, 2024, "1.0594644*1.022565", "cpi_inflation", ()),
        ("DE", 2024, 2022, "1/1.0594644/1.022565", "cpi_inflation", ()),
        ("DE", 2023, 2022, "1/1.0594644", "cpi_inflation", ()),
        ("DE", 2019, 2019, "1", "the same price year", ()),
        ("DE", 2022, 2026, "1.0594644*1.022565", "cpi_inflation", ("index_gap_years",)),
        ("DE", 2025, 2023, "1/1.022565", "cpi_inflation", ("index_gap_years",)),
    ],
)
def test_price_indices_are_chained_from_annual_changes(
    country: str, from_year: int, to_year: int, value: str, source: str, flags: tuple[str, ...]
) -> None:
    expected = Fraction(1)
    for part in value.split("*"):
        first, *rest = part.split("/")
        expected *= Fraction(first)
        for below in rest:
            expected /= Fraction(below)
    rate = shipped_book().prices.deflator(country, from_year, to_year, POLICY)
    assert rate.value == expected
    assert rate.source.startswith(source)
    assert rate.flags == flags


@pytest.mark.parametrize(
    ("country", "from_year", "to_year"),
    [("DE", 2022, 2027), ("DE", 1990, 2020), ("XX", 2020, 2021), ("US", 2022, 2028)],
)
def test_a_price_index_that_nobody_published_is_refused(
    country: str, from_year: int, to_year: int
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        shipped_book().prices.deflator(country, from_year, to_year, POLICY)
    assert (refused.value.code, refused.value.field) == ("index_missing", "country_iso2")


def test_a_hole_in_a_chain_is_not_bridged_but_another_series_is_taken() -> None:
    rows = [index(CPI_INFLATION, "DE", year, "10") for year in (2019, 2020, 2022)]
    with pytest.raises(RejectedRecord):
        PriceTable(rows).deflator("DE", 2019, 2022, Policy(max_index_gap_years=0))
    deflators = [index(GDP_DEFLATOR_INFLATION, "DE", y, "5") for y in range(2019, 2023)]
    rate = PriceTable([*rows, *deflators]).deflator("DE", 2019, 2022, POLICY)
    assert rate.value == Fraction("1.05") ** 3
    assert rate.flags == ()


def test_a_sectors_own_index_comes_before_the_general_ones() -> None:
    rows = [index(CPI_INFLATION, "DE", 2021, "10"), index(CPI_INFLATION, "DE", 2022, "10")]
    rows += [
        index("price_index:steel", "DE", year, v) for year, v in ((2021, "100"), (2022, "150"))
    ]
    prices = PriceTable(rows)
    assert prices.deflator("DE", 2021, 2022, POLICY, "steel").value == Fraction(3, 2)
    assert prices.deflator("DE", 2021, 2022, POLICY, "glass").value == Fraction(11, 10)
    assert prices.deflator("DE", 2021, 2022, POLICY).value == Fraction(11, 10)


@pytest.mark.parametrize("series", [FX_EUR, CPI_INFLATION])
def test_two_figures_for_one_year_stop_the_table(series: str) -> None:
    rows = [index(series, "USD", 2020, "1"), index(series, "USD", 2020, "2", source_id="other")]
    with pytest.raises(BrokenInvariant) as fault:
        PriceTable(rows)
    assert fault.value.code == "index_tie"


CURRENCIES = st.sampled_from(("EUR", "USD", "GBP", "KRW", "JPY", "CHF"))


@settings(max_examples=30, deadline=None)
@given(one=CURRENCIES, two=CURRENCIES, three=CURRENCIES, year=st.integers(2015, 2025))
def test_exchange_there_and_back_and_over_a_third_currency_loses_nothing(
    one: str, two: str, three: str, year: int
) -> None:
    prices = shipped_book().prices
    there = prices.fx(one, two, year, POLICY).value
    assert there * prices.fx(two, one, year, POLICY).value == 1
    over = prices.fx(one, three, year, POLICY).value * prices.fx(three, two, year, POLICY).value
    assert over == there


@settings(max_examples=30, deadline=None)
@given(
    country=st.sampled_from(("US", "DE", "KR", "IN")),
    years=st.tuples(*[st.integers(2015, 2024)] * 3),
)
def test_price_years_chain_without_loss(country: str, years: tuple[int, int, int]) -> None:
    prices, (one, two, three) = shipped_book().prices, years
    whole = prices.deflator(country, one, three, POLICY).value
    first = prices.deflator(country, one, two, POLICY).value
    assert first * prices.deflator(country, two, three, POLICY).value == whole


@pytest.mark.parametrize(
    ("country", "region", "year", "pct", "how", "flags"),
    [
        ("US", "EGRID-CAMX", 2023, "4.1", "region/td_loss/exact-year", ()),
        ("US", None, 2023, "4.2", "country/td_loss/exact-year", ()),
        (
            "US",
            "US-CA",
            2025,
            "4.2",
            "country/td_loss/earlier-vintage",
            ("region_fallback", "vintage_gap"),
        ),
        ("DE", None, 2019, "3.8845", "country/td_loss/earlier-vintage", ("vintage_gap",)),
        ("GB", None, 2012, "8.3542", "country/td_loss/later-vintage", ("vintage_gap",)),
    ],
)
def test_grid_losses_are_found_by_place_and_year(
    country: str, region: str | None, year: int, pct: str, how: str, flags: tuple[str, ...]
) -> None:
    rate = shipped_book().loss_rate(country, region, date(year, 5, 1), POLICY)
    assert (rate.pct, rate.how_matched, rate.flags) == (Decimal(pct), how, flags)


def test_a_loss_of_what_is_put_in_is_more_of_what_arrives() -> None:
    rows = [index(TD_LOSS, "DE", 2020, "20")]
    rate = LossTable(rows).rate("DE", None, date(2020, 1, 1), POLICY)
    assert rate.per_delivered == Fraction(1, 4)


@pytest.mark.parametrize(
    ("country", "year", "code"),
    [("DE", 2025, "loss_rate_vintage_gap"), ("KR", 2025, "loss_rate_missing")],
)
def test_a_loss_rate_that_is_missing_or_too_old_is_refused(
    country: str, year: int, code: str
) -> None:
    for region, where in ((None, country), ("X", f"{country}/X")):
        with pytest.raises(RejectedRecord) as refused:
            shipped_book().loss_rate(country, region, date(year, 5, 1), POLICY)
        assert refused.value.code == code
        assert re.search(rf" {where}( |$)", refused.value.message)


CHANGED: dict[str, Any] = {
    "index_id": "other",
    "version": 2,
    "series": "ppp_gdp",
    "key": "GBP",
    "year": 2021,
    "value": Decimal("1.2"),
    "unit": "USD per 1 EUR",
    "publisher": "Other",
    "source_id": "other",
    "quality_flags": ("partial_year",),
    "licence": "none",
    "formula": "mean",
    "note": "seen",
}


def test_the_table_of_changes_names_every_field() -> None:
    assert set(CHANGED) == {field.name for field in fields(IndexRow)} - {"sha256"}


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_the_hash_of_an_index_row_covers_every_field(name: str) -> None:
    row = index(FX_EUR, "USD", 2020, "1.1")
    altered = replace(row, **{name: CHANGED[name]})
    assert index_sha256(altered) != row.sha256
    with pytest.raises(BrokenInvariant) as fault:
        check_index(altered)
    assert fault.value.code == "index_hash"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 0}, "index_version"),
        ({"value": Decimal("Infinity")}, "index_value"),
        ({"year": 2021}, "index_id"),
    ],
)
def test_a_sealed_index_row_that_could_be_misread_is_named_by_what_is_wrong(
    changes: dict[str, Any], code: str
) -> None:
    row = sealed_index(replace(index(FX_EUR, "USD", 2020, "1.1"), **changes))
    with pytest.raises(BrokenInvariant) as fault:
        check_index(row)
    assert fault.value.code == code
    check_index(replace(index(FX_EUR, "USD", 2020, "1.1")))


def test_an_altered_or_doubled_index_row_stops_the_table_that_needs_it() -> None:
    row = index(FX_EUR, "USD", 2020, "1.1")
    for rows, code in (
        ([replace(row, value=Decimal(2))], "index_hash"),
        ([row, row], "index_duplicate"),
    ):
        book = FactorBook([grid_factor(2020)], "test", rows)
        with pytest.raises(BrokenInvariant) as fault:
            _ = book.prices
        assert fault.value.code == code


def test_the_newest_version_of_an_index_row_counts() -> None:
    rows = [index(FX_EUR, "USD", 2020, "1.1"), index(FX_EUR, "USD", 2020, "1.2", version=2)]
    book = FactorBook([grid_factor(2020)], "test", rows)
    assert book.prices.fx("EUR", "USD", 2020, POLICY).value == Fraction("1.2")


def test_a_release_covers_its_index_rows_and_without_any_is_what_it_was() -> None:
    factors, row = [grid_factor(2020)], index(FX_EUR, "USD", 2020, "1.1")
    without, whole = make_release("2026.1", factors), make_release("2026.1", factors, [row])
    other = make_release("2026.1", factors, [index(FX_EUR, "USD", 2020, "1.2")])
    assert len({without.sha256, whole.sha256, other.sha256}) == 3
    assert make_release("2026.1", factors, []) == without
    assert FactorBook.of(whole).prices.fx("EUR", "USD", 2020, POLICY).value == Fraction("1.1")
