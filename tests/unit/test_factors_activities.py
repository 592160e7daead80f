"""Factors of fuels, transport, spending, materials and waste: which row an activity gets."""

from __future__ import annotations

import pickle
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.activities import ActivityFactors, unit_dimension
from carbon_ledger.factor_book.book import ActivityQuery, Factor, FactorBook, FactorMatch
from carbon_ledger.factor_book.use import apply_factor
from carbon_ledger.greenhouse import GwpTable
from carbon_ledger.policy import Policy
from carbon_ledger.workings import Operand
from factor_seeds.load import shipped_book
from tests.support.factor_examples import (
    activity_factor,
    activity_query,
    grid_factor,
    grid_query,
    supply_query,
)

POLICY = Policy()


def find(query: ActivityQuery, policy: Policy = POLICY, *rows: Factor) -> FactorMatch:
    return (FactorBook(rows, "test") if rows else shipped_book()).find(query, policy)


def refusal(query: ActivityQuery, *rows: Factor, policy: Policy = POLICY) -> RejectedRecord:
    with pytest.raises(RejectedRecord) as caught:
        find(query, policy, *rows)
    return caught.value


# family, country, year, unit, selectors -> published figure, how matched, flags
PUBLISHED: list[tuple[Any, ...]] = [
    (
        *("fuel", "GB", 2025, "L"),
        {"fuel": "Diesel (average biofuel blend)", "stage": "combustion"},
        *("2.57082", "L", "country/combustion/exact-year", ()),
    ),
    (
        *("fuel", "GB", 2025, "L"),
        {"fuel": "Diesel (average biofuel blend)", "stage": "wtt"},
        *("0.61101", "L", "country/wtt/exact-year", ()),
    ),
    (
        *("fuel", "GB", 2025, "kWh_gross"),
        {"fuel": "Natural gas", "stage": "combustion"},
        *("0.18296", "kWh_gross", "country/combustion/exact-year", ()),
    ),
    (
        *("fuel", "US", 2025, "GJ_gross"),
        {"fuel": "Natural Gas", "use": "stationary"},
        *("53.1145", "MMBtu_gross", "country/combustion/exact-year", ()),
    ),
    (
        *("fuel", "US", 2025, "t"),
        {"fuel": "Anthracite"},
        *("2620.328", "short_ton", "country/combustion/exact-year", ()),
    ),
    (
        *("fuel", "AU", 2024, "GJ_gross"),
        {"fuel": "Natural gas (pipeline), VIC metro"},
        *("4", "GJ_gross", "country/wtt/exact-year", ()),
    ),
    (
        *("transport", "GB", 2025, "tkm"),
        {"vehicle_class": "Articulated (>33t)", "variant": "Average laden", "stage": "ttw"}
        | {"vehicle_group": "HGV (all diesel)"},
        *("0.07703", "tkm", "country/ttw/exact-year", ()),
    ),
    (
        *("transport", "GB", 2025, "tkm"),
        {"vehicle_class": "All HGVs", "variant": "Average laden", "stage": "wtt"}
        | {"vehicle_group": "HGV (all diesel)"},
        *("0.02359", "tkm", "country/wtt/exact-year", ()),
    ),
    (
        *("transport", "GB", 2025, "kgkm"),
        {"vehicle_group": "Rail", "vehicle_class": "Freight train", "stage": "ttw"},
        *("0.02779", "tkm", "country/ttw/exact-year", ()),
    ),
    (
        *("transport", "US", 2025, "tkm"),
        {"category": "freight", "mode": "air"},
        *("1.09485", "short_ton_mile", "country/ttw/exact-year", ()),
    ),
    (
        *("spend", "US", 2022, "USD"),
        {"naics_code": "541511"},
        *("0.084", "USD", "country/eeio_purchaser/exact-year", ()),
    ),
    (
        *("spend", "US", 2021, "USD"),
        {"naics_code": "484121"},
        *("1.115", "USD", "country/eeio_purchaser/exact-year", ()),
    ),
    (
        *("spend", "DE", 2025, "EUR"),
        {"naics_code": "325120", "version": "1.2"},
        *("1.45", "USD", "proxy/eeio_purchaser/earlier-vintage"),
        ("geography_proxy", "vintage_gap"),
    ),
    (
        *("material", "GB", 2025, "kg"),
        {"item": "Concrete", "treatment": "Primary material production"},
        *("118.79306", "t", "country/cradle_to_gate/exact-year", ()),
    ),
    (
        *("waste", "GB", 2025, "t"),
        {"item": "Household residual waste", "treatment": "Landfill"},
        *("497.24244", "t", "country/waste_treatment/exact-year", ()),
    ),
    (
        *("waste", "US", 2025, "short_ton"),
        {"item": "Aluminum Cans", "treatment": "Recycled"},
        *("60", "short_ton", "country/waste_treatment/exact-year"),
        ("excludes_avoided_emissions",),
    ),
    (
        *("waste", "US", 2025, "room_night"),
        {"category": "hotel_stay"},
        *("16.1", "room_night", "country/hotel_stay/exact-year", ()),
    ),
    (
        *("fuel", "FR", 2023, "L"),
        {"fuel": "Diesel (average biofuel blend)", "stage": "combustion"},
        *("2.51279", "L", "proxy/combustion/later-vintage", ("geography_proxy", "vintage_gap")),
    ),
]


@pytest.mark.parametrize(
    ("family", "country", "year", "unit", "selectors", "figure", "per", "how", "flags"), PUBLISHED
)
def test_an_activity_gets_the_published_row(
    family: str,
    country: str,
    year: int,
    unit: str,
    selectors: dict[str, str],
    figure: str,
    per: str,
    how: str,
    flags: tuple[str, ...],
) -> None:
    match = find(activity_query(family, year, country, unit, **selectors))
    assert (str(match.factor.kgco2e_per_unit), match.factor.unit) == (figure, per)
    assert match.how_matched == how
    assert match.flags == flags
    assert match.release_id == shipped_book().release_id


def test_a_mobile_fuel_of_the_epa_is_carbon_dioxide_alone_and_says_so() -> None:
    match = find(activity_query("fuel", 2025, "US", "gal", fuel="Motor Gasoline", use="mobile"))
    assert match.flags == ("co2_only",)
    assert match.factor.kgco2e_per_unit == match.factor.kg_co2_per_unit == Decimal("8.78")
    assert (match.factor.gwp_set, match.factor.co2e_origin) == (
        "not_applicable",
        "computed_from_gases",
    )


def test_a_nonroad_row_of_the_epa_is_made_of_its_two_gases_with_the_publishers_potentials() -> None:
    group = "Non-road CH4 and N2O: Agricultural Equipment"
    query = activity_query("fuel", 2025, "US", "gal", fuel_group=group, fuel="Diesel Equipment")
    match = find(query)
    assert match.flags == ("ch4_n2o_only",)
    assert match.factor.kgco2e_per_unit == 28 * Decimal("0.00126") + 265 * Decimal("0.00107")
    assert (match.factor.gas_coverage, match.factor.gwp_set) == ("CH4+N2O", "AR5")
    assert match.factor.kg_co2_per_unit is None


def test_biogenic_carbon_dioxide_is_kept_beside_and_in_no_total() -> None:
    outside = find(
        activity_query(
            *("fuel", 2025, "GB", "L"),
            fuel="Diesel (average biofuel blend)",
            stage="outside_of_scopes",
        )
    ).factor
    assert outside.kgco2e_per_unit == 0
    assert dict(outside.activity_gases) == {"CO2_biogenic": Decimal("0.14")}
    wood = find(activity_query("fuel", 2025, "US", "t", fuel="Wood and Wood Residuals")).factor
    assert wood.kg_co2_biogenic_per_unit == 1640
    assert wood.kgco2e_per_unit == Decimal("20.223")


def test_the_row_states_the_kind_of_its_methane() -> None:
    burnt = find(activity_query("fuel", 2025, "US", "t", fuel="Anthracite")).factor
    assert dict(burnt.activity_gases)["CH4_non_fossil"] == Decimal("0.276")
    supply = find(activity_query("spend", 2022, "US", "USD", naics_code="541511")).factor
    assert dict(supply.activity_gases)["CH4"] == Decimal("0.000289")


def test_spending_is_never_made_anew_from_its_gases_because_others_are_in_its_total() -> None:
    factor = find(activity_query("spend", 2022, "US", "USD", naics_code="325120")).factor
    assert factor.gas_split == "not_available"
    gases = dict(factor.activity_gases)
    named = gases["CO2"] + 28 * gases["CH4"] + 265 * gases["N2O"]
    assert factor.kgco2e_per_unit - named > Decimal("0.09")
    assert (factor.currency, factor.price_year, factor.price_basis) == ("USD", 2022, "purchaser")


REFUSED: list[tuple[Any, ...]] = [
    # code, field, a word of what would be valid, query
    ("factor_missing", "fuel", "", activity_query(fuel="Unobtainium", stage="combustion")),
    (
        *("factor_missing", "stage", "'combustion'"),
        activity_query(fuel="Natural gas", stage="burning"),
    ),
    ("unknown_selector", "selectors", "fuel_group", activity_query(colour="red")),
    ("unknown_family", "family", "transport", activity_query("grid")),
    ("unknown_family", "family", "spend", activity_query("food")),
    ("unknown_unit", "unit", "kg", activity_query(fuel="Natural gas", unit="stone")),
    (
        *("incompatible_unit", "unit", "'L'"),
        activity_query(fuel="Diesel (average biofuel blend)", unit="km"),
    ),
    (
        *("incompatible_unit", "unit", "'USD'"),
        activity_query("spend", 2022, "US", "kg", naics_code="541511"),
    ),
    # Gross and net heating values are different things.
    ("incompatible_unit", "unit", "gross", activity_query(fuel="Anthracite", unit="kWh_net")),
    ("incompatible_unit", "unit", "'L'", activity_query(fuel="Burning oil", unit="USD")),
    (
        *("factor_ambiguous", "stage", "'wtt'"),
        activity_query("fuel", 2025, "GB", "L", fuel="Burning oil"),
    ),
    (
        *("factor_ambiguous", "variant", "'50% Laden'"),
        activity_query(
            *("transport", 2025, "GB", "tkm"),
            vehicle_group="HGV (all diesel)",
            vehicle_class="All HGVs",
            stage="ttw",
        ),
    ),
    (
        *("factor_ambiguous", "unit", "'kWh_gross'"),
        activity_query("fuel", 2025, "GB", None, fuel="Burning oil", stage="wtt"),
    ),
    (
        *("factor_vintage_gap", "activity_date", "5 years"),
        activity_query("fuel", 2018, "GB", "L", fuel="Burning oil", stage="wtt"),
    ),
    (
        *("factor_missing", "country_iso2", "'AU'"),
        activity_query("fuel", 2024, "JP", "GJ_gross", fuel="Natural gas (pipeline), SA metro"),
    ),
]


@pytest.mark.parametrize(("code", "field", "valid", "query"), REFUSED)
def test_what_cannot_be_decided_is_refused_with_what_would_do(
    code: str, field: str, valid: str, query: ActivityQuery
) -> None:
    refused = refusal(query)
    assert (refused.code, refused.field) == (code, field)
    assert refused.valid is not None
    assert valid in refused.valid


def test_without_proxies_a_country_without_a_factor_is_refused() -> None:
    query = activity_query("fuel", 2025, "FR", "L", fuel="Burning oil", stage="wtt")
    assert refusal(query, policy=Policy(geography_proxies=())).code == "factor_missing"
    assert find(query, Policy(geography_proxies=("US", "GB"))).factor.country_iso2 == "GB"


def test_geography_goes_from_region_to_country_to_anywhere_to_proxies_in_their_order() -> None:
    rows = {
        "region": activity_factor(country_iso2="DE", region="DE-BY"),
        "country": activity_factor(country_iso2="DE"),
        "any": activity_factor(country_iso2=None),
        "proxy": activity_factor(country_iso2="GB"),
        "last": activity_factor(country_iso2="US"),
    }
    elsewhere = activity_factor(country_iso2="DE", region="DE-HH")
    left = [*rows.values(), elsewhere]
    for level, row in rows.items():
        match = find(activity_query(fuel="Peat", region="DE-BY"), POLICY, *left)
        assert match.factor == row
        assert match.geography_level == ("proxy" if level == "last" else level)
        assert ("geography_proxy" in match.flags) == (level in ("proxy", "last"))
        assert ("region_fallback" in match.flags) == (level == "country")
        left.remove(row)


def test_a_region_that_nobody_publishes_by_is_no_fallback() -> None:
    match = find(activity_query(fuel="Peat", region="DE-BY"), POLICY, activity_factor())
    assert (match.geography_level, match.flags) == ("country", ())


def test_a_row_of_the_country_comes_before_a_proxy_of_the_exact_year_unless_it_is_too_far() -> None:
    own = activity_factor(year=2016, country_iso2="DE")
    proxy = activity_factor(year=2020, country_iso2="GB")
    query = activity_query(fuel="Peat")
    assert find(query, POLICY, own, proxy).factor == own
    assert find(query, Policy(max_vintage_gap_years=3), own, proxy).factor == proxy


@pytest.mark.parametrize(
    ("years", "chosen", "gap", "word"),
    [
        ((2019, 2020, 2021), 2020, 0, "exact-year"),
        ((2016, 2018, 2021), 2018, -2, "earlier-vintage"),
        ((2022, 2024), 2022, 2, "later-vintage"),
        ((2015,), 2015, -5, "earlier-vintage"),
    ],
)
def test_the_vintage_covers_the_activity_else_the_latest_earlier_else_the_earliest_later(
    years: tuple[int, ...], chosen: int, gap: int, word: str
) -> None:
    match = find(activity_query(fuel="Peat"), POLICY, *(activity_factor(year=y) for y in years))
    assert (match.factor.year, match.vintage_gap_years) == (chosen, gap)
    assert match.how_matched == f"country/combustion/{word}"
    assert ("vintage_gap" in match.flags) == (gap != 0)


def test_the_highest_version_counts_and_the_one_before_is_said_to_be_superseded() -> None:
    first = activity_factor()
    second = activity_factor(factor_id=first.factor_id, version=2, kgco2e_per_unit=Decimal(9))
    query = activity_query(fuel="Peat")
    assert find(query, POLICY, first, second).factor == second
    reasons = {
        one.factor.version: one.reason
        for one in FactorBook([first, second], "test").explain_activity(query, POLICY)
    }
    assert reasons == {2: "chosen", 1: "superseded by version 2"}


def test_the_same_figure_of_two_publishers_is_ambiguous_until_the_source_is_named() -> None:
    rows = [activity_factor(source_id="one"), activity_factor(source_id="two")]
    refused = refusal(activity_query(fuel="Peat"), *rows)
    assert (refused.code, refused.field, refused.valid) == (
        "factor_ambiguous",
        "source_id",
        "'one', 'two'",
    )
    assert find(activity_query(fuel="Peat", source_id="two"), POLICY, *rows).factor == rows[1]


def test_two_rows_that_nothing_tells_apart_are_ambiguous_too() -> None:
    rows = [activity_factor(factor_id="a"), activity_factor(factor_id="b")]
    refused = refusal(activity_query(fuel="Peat"), *rows)
    assert (refused.code, refused.field) == ("factor_ambiguous", "factor_id")


def test_a_unit_never_decides_between_rows_that_say_different_things() -> None:
    rows = [
        activity_factor(selectors=(("fuel", "Peat"), ("stage", "combustion")), unit="kg"),
        activity_factor(selectors=(("fuel", "Peat"), ("stage", "wtt")), unit="t"),
    ]
    assert refusal(activity_query(fuel="Peat", unit="kg"), *rows).field == "stage"


@pytest.mark.parametrize(
    ("asked", "given"), [("m3", "m3"), ("ML", "ML"), ("L", "ML"), ("gal", "ML")]
)
def test_the_asked_unit_comes_first_else_the_figure_with_most_digits(
    asked: str, given: str
) -> None:
    """Water is published as 0.1913 per m3 and with more digits per million litres."""
    match = find(activity_query("waste", 2025, "GB", asked, category="water_supply"))
    assert match.factor.unit == given


def test_explain_names_the_chosen_row_first_and_a_reason_for_every_other() -> None:
    query = activity_query("fuel", 2025, "GB", "L", fuel="Burning oil", stage="combustion")
    candidates = shipped_book().explain_activity(query, POLICY)
    assert candidates[0].is_chosen
    assert [one.is_chosen for one in candidates].count(True) == 1
    assert candidates[0].factor == find(query).factor
    reasons = {one.reason for one in candidates}
    assert "vintage further away or later" in reasons
    assert "selector stage is 'wtt', not 'combustion'" in reasons
    assert "unit kWh_gross does not measure what L does" in reasons


def test_explain_says_why_nothing_was_chosen() -> None:
    query = activity_query("fuel", 2025, "GB", "L", fuel="Burning oil")
    reasons = {one.reason for one in shipped_book().explain_activity(query, POLICY)}
    assert "one of several that apply: the query is ambiguous" in reasons
    assert "chosen" not in reasons


def test_an_altered_row_stops_its_family_when_it_is_first_asked_for() -> None:
    altered = replace(activity_factor(), kgco2e_per_unit=Decimal("0.1"))
    book = FactorBook([grid_factor(2020), altered], "test")
    assert book.match(grid_query()).factor.year == 2020
    with pytest.raises(BrokenInvariant) as fault:
        book.find(activity_query(fuel="Peat"), POLICY)
    assert fault.value.code == "factor_hash"


def test_several_threads_that_ask_at_once_for_a_family_get_all_of_it() -> None:
    """A family is made by who asks first; the others were told that the release has none of it."""
    asked = threading.Barrier(4)

    def made() -> list[Factor]:
        time.sleep(0.05)
        return [activity_factor()]

    book = FactorBook([], "test", later={"fuel": made})

    def rows(_: int) -> tuple[Factor, ...]:
        asked.wait()
        return book.rows_of("fuel")

    with ThreadPoolExecutor(4) as pool:
        assert {*pool.map(rows, range(4))} == {(activity_factor(),)}


def test_a_book_pickles_and_answers_as_before() -> None:
    book = FactorBook([activity_factor(), grid_factor(2020)], "test")
    query = activity_query(fuel="Peat")
    before = book.find(query, POLICY)
    assert pickle.loads(pickle.dumps(book)).find(query, POLICY) == before  # noqa: S301


def outcome(ask: Callable[[Any], FactorMatch], query: Any) -> FactorMatch | str:
    """The match, or the code of the refusal."""
    try:
        return ask(query)
    except RejectedRecord as refused:
        return refused.code


def in_use(count: int) -> list[tuple[Factor, ActivityQuery]]:
    """Rows of every family, spread evenly, each with a query that gets it without any remark."""
    rows = [row for row in shipped_book().rows if row.family not in ("grid", "energy_source")]
    pairs = []
    for row in rows[:: len(rows) // (count * 2)]:
        query = ActivityQuery(
            family=row.family,
            selectors=row.selectors,
            activity_date=date(row.year or 0, 7, 1),
            country_iso2=row.country_iso2,
            unit=row.unit,
        )
        match = shipped_book().find(query, POLICY)
        assert match.factor == row
        assert set(match.flags) <= {*row.quality_flags, "co2_only", "ch4_n2o_only"}
        pairs.append((row, query))
    return pairs[:count]


def test_none_of_200_factors_that_is_taken_away_is_silently_replaced() -> None:
    """Each of them is refused or flagged; there is no third way."""
    pairs = in_use(200)
    assert len({row.factor_id for row, _ in pairs}) == 200
    outcomes = {"refused": 0, "flagged": 0}
    by_family: dict[str, list[Factor]] = {}
    for row in shipped_book().rows:
        by_family.setdefault(row.family, []).append(row)
    for row, query in pairs:
        rest = [one for one in by_family[row.family] if one.factor_id != row.factor_id]
        family = ActivityFactors(row.family, rest, "without")
        match = outcome(lambda asked, family=family: family.find(asked, POLICY), query)
        if isinstance(match, str):
            assert match in ("factor_missing", "incompatible_unit")
            outcomes["refused"] += 1
            continue
        assert {"vintage_gap", "geography_proxy"} & set(match.flags), row.factor_id
        outcomes["flagged"] += 1
    assert sum(outcomes.values()) == 200
    assert outcomes["flagged"] > 50


def test_a_grid_factor_that_is_taken_away_is_refused_or_flagged() -> None:
    rows = [row for row in shipped_book().rows if row.family in ("grid", "energy_source")]
    queries = [
        *(grid_query(c, y, r) for c, y, r in (("GB", 2024, None), ("US", 2022, "EGRID-CAMX"))),
        *(grid_query(c, y, r) for c, y, r in (("AU", 2024, "AU-NSW"), ("PR", 2022, None))),
        *(grid_query("CN", 2023, "CN-BJ"), grid_query("DE", 2024), grid_query("KR", 2019)),
        *(supply_query("coal"), supply_query("oil")),
    ]
    for query in queries:
        row = shipped_book().match(query).factor
        rest = [one for one in rows if one.factor_id != row.factor_id]
        match = outcome(FactorBook(rest, "without").match, query)
        if isinstance(match, str):
            assert match in ("factor_missing", "factor_vintage_gap")
            continue
        assert {"vintage_gap", "boundary_substitute", "region_fallback"} & set(match.flags)


def test_the_order_of_the_rows_decides_nothing() -> None:
    queries = [query for _, query in in_use(40)]
    queries += [
        activity_query(family, year, country, unit, **selectors)
        for family, country, year, unit, selectors, *_ in PUBLISHED
    ]
    families = {"fuel", "material", "waste", "transport"}
    queries = [query for query in queries if query.family in families]
    rows = [row for row in shipped_book().rows if row.family in families]
    expected = [shipped_book().find(query, POLICY).factor for query in queries]
    for seed in range(2):
        random.Random(seed).shuffle(rows)
        book = FactorBook(rows, "shuffled")
        assert [book.find(query, POLICY).factor for query in queries] == expected


def test_two_rows_in_one_unit_are_a_tie_also_beside_one_in_another_unit() -> None:
    rows = [
        activity_factor(kgco2e_per_unit=Decimal(1), factor_id="one"),
        activity_factor(kgco2e_per_unit=Decimal(2), factor_id="two"),
        activity_factor(kgco2e_per_unit=Decimal(1000), unit="t"),
    ]
    assert refusal(activity_query(), *rows).code == "factor_ambiguous"
    assert find(activity_query(), POLICY, rows[0], rows[2]).factor.factor_id == "one"


def test_only_the_rows_that_tie_are_said_to_be_several_that_apply() -> None:
    rows = [
        activity_factor(source_id="one"),
        activity_factor(source_id="two"),
        activity_factor(year=2018, source_id="three"),
    ]
    found = FactorBook(rows, "test").explain_activity(activity_query(fuel="Peat"), POLICY)
    assert {one.factor.source_id: one.reason for one in found} == {
        "one": "one of several that apply: the query is ambiguous",
        "two": "one of several that apply: the query is ambiguous",
        "three": "less specific geography, or a vintage further away",
    }


def test_a_row_is_asked_for_by_its_publisher_too() -> None:
    rows = [
        activity_factor(source_id="one", publisher="Ministry"),
        activity_factor(source_id="two", publisher="Institute"),
    ]
    query = activity_query(fuel="Peat", publisher="Institute")
    assert find(query, POLICY, *rows).factor == rows[1]
    refused = refusal(activity_query(fuel="Peat", publisher="Nobody"), *rows)
    assert refused.field == "publisher"
    assert "'Institute', 'Ministry'" in str(refused.valid)


def test_the_unit_of_a_factor_measures_money_or_what_its_dimension_is() -> None:
    assert unit_dimension(activity_factor(unit="kg")) == "mass"
    assert unit_dimension(activity_factor(unit="USD", currency="USD")) == "money"


def test_the_country_asked_for_is_no_proxy_of_itself() -> None:
    rows = [activity_factor(country_iso2="DE", year=2020), activity_factor(country_iso2="FR")]
    policy = Policy(geography_proxies=("DE", "FR"))
    assert find(activity_query(fuel="Peat"), policy, *rows).geography_level == "country"
    elsewhere = find(activity_query(fuel="Peat", country_iso2="IT"), policy, *rows)
    assert (elsewhere.geography_level, elsewhere.factor) == ("proxy", rows[0])


@pytest.mark.parametrize(("unit", "operands"), [("kg", 2), ("t", 3)])
def test_a_factor_in_the_unit_of_the_activity_needs_no_conversion(unit: str, operands: int) -> None:
    factor = activity_factor(unit="kg", gwp_set="AR6")
    match = find(activity_query(fuel="Peat"), POLICY, factor)
    activity = [Operand(value=Decimal(2), unit=unit, label="burnt")]
    applied = apply_factor(activity, unit, match, GwpTable({}), "AR6")
    assert [len(one.operands) for one in applied.terms] == [operands]


@pytest.mark.parametrize(("gases", "is_cut"), [(40, False), (41, True)])
def test_the_gases_that_a_refusal_names_are_at_most_forty(gases: int, is_cut: bool) -> None:
    table = GwpTable({("AR6", f"gas-{n:02}"): (Decimal(1), "s") for n in range(gases)})
    with pytest.raises(RejectedRecord) as caught:
        table.potential("phlogiston", "AR6")
    assert str(caught.value.valid).endswith(" …") is is_cut
    assert str(caught.value.valid).count("gas-") == 40
