"""Which factor applies: each rule with a row that breaks just that rule, then the laws."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.book import (
    ENERGY_SOURCE_ALIASES,
    ENERGY_SOURCES,
    SOURCE_ORDER,
    Factor,
    FactorBook,
    FactorQuery,
    make_release,
    normalise_energy_source,
    sealed,
)
from tests.support.factor_examples import grid_factor, grid_query, supply_factor, supply_query

LIFECYCLE: dict[str, Any] = {"boundary": "lifecycle_generation", "method": "lifecycle"}
WITH_LOSSES: dict[str, Any] = {"boundary": "direct_combustion_plus_td_and_sf6"}
BY: dict[str, Any] = {"region": "DE-BY"}


def book(*rows: Factor) -> FactorBook:
    return FactorBook(rows, "test")


def refused(opened: FactorBook, query: FactorQuery, **policy: int) -> RejectedRecord:
    with pytest.raises(RejectedRecord) as refusal:
        opened.match(query, **policy)
    assert refusal.value.valid
    return refusal.value


def make_wide(factor: Factor, start: int, end: int) -> Factor:
    return sealed(replace(factor, valid_from=date(start, 1, 1), valid_to=date(end, 1, 1)))


# (what the rule says, the row that must win, the row that must lose, region, how it matched)
RULES = [
    (
        "a region comes before its country",
        grid_factor(2020, **BY),
        grid_factor(2020),
        "DE-BY",
        "region/location/exact-year",
    ),
    (
        "a region's older vintage comes before the country's exact one",
        grid_factor(2016, **BY),
        grid_factor(2020),
        "DE-BY",
        "region/location/earlier-vintage",
    ),
    (
        "a region's life-cycle factor comes before the country's direct one",
        grid_factor(2020, **BY, **LIFECYCLE),
        grid_factor(2020),
        "DE-BY",
        "region/lifecycle/exact-year",
    ),
    (
        "a region beyond the policy gives way to its country",
        grid_factor(2020),
        grid_factor(2014, **BY),
        "DE-BY",
        "country/location/exact-year",
    ),
    (
        "a region is not used for an activity that names none",
        grid_factor(2020),
        grid_factor(2020, **BY),
        None,
        "country/location/exact-year",
    ),
    (
        "direct comes before life-cycle",
        grid_factor(2020),
        grid_factor(2020, **LIFECYCLE),
        None,
        "country/location/exact-year",
    ),
    (
        "direct of another year comes before life-cycle of the exact year",
        grid_factor(2025),
        grid_factor(2020, **LIFECYCLE),
        None,
        "country/location/later-vintage",
    ),
    (
        "direct beyond the policy gives way to life-cycle",
        grid_factor(2020, **LIFECYCLE),
        grid_factor(2026),
        None,
        "country/lifecycle/exact-year",
    ),
    (
        "T&D losses are not scope 2",
        grid_factor(2020, **LIFECYCLE),
        grid_factor(2020, **WITH_LOSSES),
        None,
        "country/lifecycle/exact-year",
    ),
    (
        "the covering year comes before an earlier one",
        grid_factor(2020),
        grid_factor(2019),
        None,
        "country/location/exact-year",
    ),
    (
        "the latest earlier comes before an older one",
        grid_factor(2018),
        grid_factor(2017),
        None,
        "country/location/earlier-vintage",
    ),
    (
        "an earlier one comes before a nearer later one",
        grid_factor(2016),
        grid_factor(2021),
        None,
        "country/location/earlier-vintage",
    ),
    (
        "the earliest later comes before a later one",
        grid_factor(2022),
        grid_factor(2023),
        None,
        "country/location/later-vintage",
    ),
    (
        "an earlier one beyond the policy gives way to a later one within it",
        grid_factor(2025),
        grid_factor(2014),
        None,
        "country/location/later-vintage",
    ),
    (
        "the highest version counts",
        grid_factor(2020, version=2, kgco2e_per_unit=Decimal("0.5")),
        grid_factor(2020),
        None,
        "country/location/exact-year",
    ),
    (
        "another country's factor is none",
        grid_factor(2020),
        grid_factor(2020, country_iso2="FR"),
        None,
        "country/location/exact-year",
    ),
]


@pytest.mark.parametrize(
    ("winner", "loser", "region", "how_matched"),
    [rule[1:] for rule in RULES],
    ids=[rule[0] for rule in RULES],
)
def test_rule(winner: Factor, loser: Factor, region: str | None, how_matched: str) -> None:
    query = grid_query(region=region)
    for rows in ([winner, loser], [loser, winner]):
        match = book(*rows).match(query)
        assert match.factor == winner
        assert match.how_matched == how_matched


@pytest.mark.parametrize(
    ("winner", "loser", "region"), [rule[1:4] for rule in RULES], ids=[rule[0] for rule in RULES]
)
def test_without_the_winner_nothing_is_repriced_in_silence(
    winner: Factor, loser: Factor, region: str | None
) -> None:
    """Taking a factor away changes how it matched, or is refused; never the same words."""
    query = grid_query(region=region)
    before = book(winner, loser).match(query)
    try:
        after = book(loser).match(query)
    except RejectedRecord as refusal:
        assert refusal.code in ("factor_missing", "factor_vintage_gap")  # noqa: PT017
    else:
        assert after.factor == loser
        told = [
            (match.how_matched, match.vintage_gap_years, match.flags, match.factor.version)
            for match in (before, after)
        ]
        assert told[0] != told[1]


SUPPLY_RULES = [
    (
        "direct comes before life-cycle",
        supply_factor("gas"),
        supply_factor("gas", boundary="lifecycle"),
        "any/direct/no-vintage",
    ),
    (
        "an extreme is not an estimate",
        supply_factor("gas", boundary="lifecycle"),
        supply_factor("gas", statistic="min"),
        "any/lifecycle/no-vintage",
    ),
    (
        "another technology is another supply",
        supply_factor("wind", boundary="lifecycle", technology="onshore"),
        supply_factor("wind", technology="offshore"),
        "any/lifecycle/no-vintage",
    ),
    (
        "a median comes before a central value",
        supply_factor("oil"),
        supply_factor("oil", statistic="central"),
        "any/direct/no-vintage",
    ),
    (
        "a source written down as better comes first",
        supply_factor("coal", source_id="ipcc_ar5_a3"),
        supply_factor("coal", source_id="codecarbon_per_source"),
        "any/direct/no-vintage",
    ),
]


@pytest.mark.parametrize(
    ("winner", "loser", "how_matched"),
    [rule[1:] for rule in SUPPLY_RULES],
    ids=[rule[0] for rule in SUPPLY_RULES],
)
def test_supply_rule(winner: Factor, loser: Factor, how_matched: str) -> None:
    match = book(loser, winner).match(supply_query(winner.energy_source))
    assert match.factor == winner
    assert match.how_matched == how_matched
    assert match.vintage_gap_years is None


@pytest.mark.parametrize(
    ("row", "query", "flags"),
    [
        (grid_factor(2020), grid_query(), ()),
        (grid_factor(2020, **LIFECYCLE), grid_query(), ("boundary_substitute",)),
        (grid_factor(2019), grid_query(), ("vintage_gap",)),
        (grid_factor(2020), grid_query(region="DE-BY"), ("region_fallback",)),
        (grid_factor(2020, gas_coverage="CO2"), grid_query(), ("co2_only",)),
        (grid_factor(2020, quality_flags=("preliminary",)), grid_query(), ("preliminary",)),
        (
            grid_factor(2021, **LIFECYCLE),
            grid_query(region="somewhere"),
            ("boundary_substitute", "region_fallback", "vintage_gap"),
        ),
        (supply_factor("oil", boundary="lifecycle"), supply_query("oil"), ("boundary_substitute",)),
    ],
)
def test_a_match_says_what_is_not_ideal_about_it(
    row: Factor, query: FactorQuery, flags: tuple[str, ...]
) -> None:
    match = book(row).match(query)
    assert match.flags == flags
    assert match.boundary_substitute == ("boundary_substitute" in flags)
    assert match.release_id == "test"


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        (grid_query("ZZ"), "unknown_country", "country_iso2"),
        (grid_query("UK"), "unknown_country", "country_iso2"),
        (grid_query("de"), "unknown_country", "country_iso2"),
        (grid_query(""), "unknown_country", "country_iso2"),
        (grid_query("FR"), "factor_missing", "country_iso2"),
        (grid_query("DE", 2026), "factor_vintage_gap", "timestamp"),
        (grid_query("DE", 2014), "factor_vintage_gap", "timestamp"),
        (grid_query(region="US-CA"), "region_country_mismatch", "region"),
        (grid_query(region="FR-IDF"), "region_country_mismatch", "region"),
        (grid_query("FR", region="DE-BY"), "region_country_mismatch", "region"),
        (supply_query("plasma"), "unknown_energy_source", "energy_source"),
        (supply_query("Grid"), "unknown_energy_source", "energy_source"),
        (supply_query("coal", "??"), "unknown_country", "country_iso2"),
        (supply_query("coal"), "factor_missing", "energy_source"),
    ],
)
def test_what_has_no_factor_is_refused_by_name(query: FactorQuery, code: str, field: str) -> None:
    opened = book(grid_factor(2020), grid_factor(2020, **BY))
    refusal = refused(opened, query)
    assert (refusal.code, refusal.field) == (code, field)


def test_the_refusals_say_what_would_be_valid() -> None:
    opened = book(grid_factor(2020))
    assert "geothermal" in str(refused(opened, supply_query("plasma")).valid)
    assert "did you mean GB" in str(refused(opened, grid_query("UK")))
    assert "2020, 7 years" in str(refused(opened, grid_query(year=2027)))


def test_only_a_factor_with_losses_is_no_factor() -> None:
    opened = book(grid_factor(2020, **WITH_LOSSES))
    assert refused(opened, grid_query()).code == "factor_missing"


@pytest.mark.parametrize(("gap", "year"), [(-5, 2025), (5, 2015), (0, 2020)])
def test_the_gap_is_signed_and_the_policy_includes_its_limit(gap: int, year: int) -> None:
    opened = book(grid_factor(2020))
    query = grid_query(year=year)
    assert opened.match(query).vintage_gap_years == gap
    if gap:
        assert refused(opened, query, max_vintage_gap_years=4).code == "factor_vintage_gap"


def test_a_validity_of_several_years_covers_all_of_them() -> None:
    opened = book(make_wide(grid_factor(2018), 2018, 2021))
    gaps = {year: opened.match(grid_query(year=year)).vintage_gap_years for year in (2016, 2020)}
    assert gaps == {2016: 2, 2020: 0}
    assert opened.match(grid_query(year=2023)).vintage_gap_years == -3


def test_validity_is_half_open() -> None:
    opened = book(grid_factor(2020), grid_factor(2021))
    for day, year in ((date(2020, 12, 31), 2020), (date(2021, 1, 1), 2021)):
        assert opened.match(replace(grid_query(), activity_date=day)).factor.year == year


def test_a_zero_factor_is_a_factor() -> None:
    zero = grid_factor(2020, kgco2e_per_unit=Decimal(0))
    assert book(zero, grid_factor(2019)).match(grid_query()).factor == zero


@pytest.mark.parametrize(("alias", "canonical"), sorted(ENERGY_SOURCE_ALIASES.items()))
def test_an_alias_means_its_source(alias: str, canonical: str) -> None:
    assert normalise_energy_source(alias) == canonical
    assert alias not in ENERGY_SOURCES


def test_two_factors_for_one_cell_are_an_error_whatever_their_order() -> None:
    rows = [grid_factor(2020), grid_factor(2020, source_id="other")]
    for order in (rows, rows[::-1]):
        with pytest.raises(BrokenInvariant, match=r"example and .*other") as fault:
            book(*order)
        assert fault.value.code == "factor_tie"


@pytest.mark.parametrize(
    "rival",
    [
        make_wide(grid_factor(2019, factor_id="wide"), 2019, 2021),
        grid_factor(2020, factor_id="same-source"),
    ],
)
def test_a_tie_is_found_in_any_guise(rival: Factor) -> None:
    with pytest.raises(BrokenInvariant) as fault:
        book(grid_factor(2020), rival)
    assert fault.value.code == "factor_tie"


def test_supplies_tie_too() -> None:
    with pytest.raises(BrokenInvariant) as fault:
        book(supply_factor("coal"), supply_factor("coal", source_id="other"))
    assert fault.value.code == "factor_tie"


def test_a_tie_below_the_best_source_is_none() -> None:
    rows = [
        supply_factor("coal", source_id="ipcc_ar5_a3"),
        supply_factor("coal", source_id="codecarbon_per_source"),
        supply_factor("coal", source_id="codecarbon_per_source", factor_id="rival"),
    ]
    for order in (rows, rows[::-1]):
        assert book(*order).match(supply_query("coal")).factor == rows[0]


def test_a_source_without_a_named_precedence_comes_before_the_named_ones() -> None:
    named = [supply_factor("coal", source_id=source) for source in SOURCE_ORDER]
    own = supply_factor("coal", source_id="national_office")
    for order in ([own, *named], [*named, own]):
        assert book(*order).match(supply_query("coal")).factor == own


def test_the_same_version_twice_is_an_error() -> None:
    with pytest.raises(BrokenInvariant) as fault:
        book(grid_factor(2020), grid_factor(2020, kgco2e_per_unit=Decimal("0.5")))
    assert fault.value.code == "factor_duplicate"


def test_an_altered_row_does_not_open() -> None:
    with pytest.raises(BrokenInvariant) as fault:
        book(replace(grid_factor(2020), kgco2e_per_unit=Decimal("0.39")))
    assert fault.value.code == "factor_hash"


def test_explain_gives_each_row_its_reason() -> None:
    opened = book(
        grid_factor(2020, **BY),
        grid_factor(2019, **BY),
        grid_factor(2020, **BY, **LIFECYCLE),
        grid_factor(2020, **BY, **WITH_LOSSES),
        grid_factor(2001, **BY),
        grid_factor(2020),
        grid_factor(2020, version=2),
        grid_factor(2020, country_iso2="FR"),
    )
    reasons = [
        (candidate.factor.region, candidate.factor.year, candidate.factor.version, candidate.reason)
        for candidate in opened.explain(grid_query(region="DE-BY"))
    ]
    assert reasons[0] == ("DE-BY", 2020, 1, "chosen")
    assert set(reasons[1:]) == {
        (None, 2020, 1, "superseded by version 2"),
        (None, 2020, 2, "less specific geography"),
        ("DE-BY", 2001, 1, "vintage gap beyond the policy"),
        ("DE-BY", 2019, 1, "vintage further away or later"),
        ("DE-BY", 2020, 1, "boundary not usable in scope 2"),
        ("DE-BY", 2020, 1, "direct factor comes first"),
    }
    assert len(reasons) == 7


def test_explain_counts_the_gap_to_the_nearest_of_several_years() -> None:
    opened = book(make_wide(grid_factor(2018), 2016, 2021))
    gaps = [
        opened.explain(grid_query(year=year))[0].vintage_gap_years for year in (2014, 2018, 2023)
    ]
    assert gaps == [2, 0, -3]


def test_explain_speaks_where_match_refuses() -> None:
    opened = book(grid_factor(2001))
    (candidate,) = opened.explain(grid_query())
    assert (candidate.reason, candidate.vintage_gap_years) == ("vintage gap beyond the policy", -19)
    with pytest.raises(RejectedRecord):
        opened.explain(grid_query("ZZ"))


def test_explain_names_statistic_technology_and_precedence() -> None:
    opened = book(
        supply_factor("wind", technology="onshore"),
        supply_factor("wind", technology="offshore"),
        supply_factor("wind", statistic="max"),
        supply_factor("wind", source_id="codecarbon_per_source"),
    )
    assert {candidate.reason for candidate in opened.explain(supply_query("wind"))} == {
        "chosen",
        "technology is not the default one",
        "statistic max describes a spread",
        "source or statistic of lower precedence",
    }


def test_a_book_and_a_match_travel() -> None:
    opened = book(grid_factor(2020))
    copy = pickle.loads(pickle.dumps(opened))  # noqa: S301 - our own bytes
    assert copy.match(grid_query()) == opened.match(grid_query())
    match = opened.match(grid_query())
    assert pickle.loads(pickle.dumps(match)) == match  # noqa: S301 - our own bytes
    assert len(copy) == 1


ROWS = st.lists(
    st.builds(
        lambda year, region, boundary, version: grid_factor(
            year,
            region=region,
            version=version,
            boundary=boundary,
            kgco2e_per_unit=Decimal(version) / 10,
        ),
        st.integers(2012, 2026),
        st.sampled_from([None, "DE-BY", "DE-NW"]),
        st.sampled_from(
            ["direct_combustion", "lifecycle_generation", "direct_combustion_plus_td_and_sf6"]
        ),
        st.integers(1, 3),
    ),
    max_size=25,
    unique_by=lambda row: (row.factor_id, row.version),
)
QUERIES = st.builds(
    grid_query,
    country_iso2=st.just("DE"),
    year=st.integers(2008, 2030),
    region=st.sampled_from([None, "DE-BY", "DE-NW", "DE-HH"]),
)


def oracle(rows: list[Factor], query: FactorQuery, max_gap: int) -> Factor | None:
    """The same rules as one sort over all rows, sharing no code with the book."""
    year = query.activity_date.year

    def key(row: Factor) -> tuple[bool, bool, int, int, int]:
        gap = (row.year or 0) - year
        when = 0 if gap == 0 else 1 if gap < 0 else 2
        return (row.region is None, row.boundary.startswith("life"), when, abs(gap), -row.version)

    usable = [
        row
        for row in rows
        if "td" not in row.boundary
        and row.region in (None, query.region)
        and abs((row.year or 0) - year) <= max_gap
    ]
    return min(usable, key=key) if usable else None


@given(rows=ROWS, query=QUERIES, max_gap=st.integers(0, 8), shuffled=st.randoms())
def test_match_agrees_with_a_plain_sort_in_any_order_of_rows(
    rows: list[Factor], query: FactorQuery, max_gap: int, shuffled: Any
) -> None:
    expected = oracle(rows, query, max_gap)
    shuffled.shuffle(rows)
    opened = book(*rows)
    chosen = [candidate for candidate in opened.explain(query, max_gap) if candidate.is_chosen]
    if expected is None:
        assert refused(opened, query, max_vintage_gap_years=max_gap).code.startswith("factor_")
        assert chosen == []
        return
    match = opened.match(query, max_gap)
    assert match.factor == expected
    assert [candidate.factor for candidate in chosen] == [expected]
    gap = (expected.year or 0) - query.activity_date.year
    assert match.vintage_gap_years == gap
    words = {0: "exact-year", 1: "later-vintage", -1: "earlier-vintage"}
    assert match.how_matched.endswith(words[(gap > 0) - (gap < 0)])
    assert ("vintage_gap" in match.flags) == (gap != 0)


def test_a_release_opens_as_a_book() -> None:
    release = make_release("2026.1", [grid_factor(2020)])
    match = FactorBook(release.rows, release.release_id).match(grid_query())
    assert match.release_id == release.release_id
