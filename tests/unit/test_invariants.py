"""What must hold of every figure, whatever the activities: the fifteen invariants of acceptance.

Here at the level of the rules, without services; the tests of the stack hold the ledger to the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.claims.supersession import (
    ActiveLine,
    Posting,
    as_of,
    decide,
    total,
    total_gases,
)
from carbon_ledger.energy.instruments import Instrument, Statements
from carbon_ledger.energy.scope2 import DualReport, Market, Period, SiteLoad, dual_report
from carbon_ledger.entries import EntryRow, reversal_of
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.factor_book.book import FactorBook, FactorMatch
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.factor_book.use import apply_factor
from carbon_ledger.greenhouse import CO2, CO2_BIOGENIC, MEMO_GASES
from carbon_ledger.lines import EmissionLine
from carbon_ledger.organisation.base_year import Change, assess, figures_of
from carbon_ledger.places import Rules
from carbon_ledger.posting import Origin, lines_of_reading
from carbon_ledger.purchasing.purchases import lines_of_purchase
from carbon_ledger.store.windows import deltas_of
from carbon_ledger.units import convert
from carbon_ledger.workings import Operand, Working
from tests.support.claim_examples import (
    CLAIM,
    FORMULA,
    MADE,
    POLICY,
    arrive,
    estimate,
    figure,
    footprint,
    retracted,
)
from tests.support.factor_examples import grid_factor, grid_query
from tests.support.inventory_examples import inventory as stated_inventory
from tests.support.inventory_examples import recomputed
from tests.support.purchase_examples import index, inventory_of, purchase, spend_factor

EXAMPLES = settings(max_examples=40, deadline=None)
BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
ALL_STATED = Statements(**{field.name: True for field in fields(Statements)})
amounts = st.integers(0, 10**6).map(lambda n: Decimal(n) / 1000)


# ---- 1, 4, 5: both methods of scope 2


def mix(kgco2e: str) -> FactorMatch:
    factor = grid_factor(
        2024, kgco2e_per_unit=Decimal(kgco2e), basis="residual", factor_id="residual:DE:2024"
    )
    return matched(factor)


def matched(factor: Factor) -> FactorMatch:
    return FactorMatch(
        factor=factor,
        release_id="example",
        how_matched="country/location/exact-year",
        geography_level="country",
        boundary_level="location",
        vintage_gap_years=0,
        boundary_substitute=False,
        flags=(),
    )


GRIDS = {"DE": "0.5", "FR": "0.1"}
INVENTORY = stated_inventory(
    grid_factor(2024, country_iso2=country, kgco2e_per_unit=Decimal(kg), gwp_set="AR6")
    for country, kg in GRIDS.items()
)
MARKETS = (Market(market_id="DE", residual_mix=mix("0.7")), Market(market_id="FR"))

loads = st.lists(
    st.builds(
        lambda n, country, kwh: SiteLoad(
            facility_id=f"{country}-{n}",
            market=country,
            country_iso2=country,
            kwh=kwh,
            occurred_from=BEGIN,
            occurred_to=END,
        ),
        st.integers(0, 2),
        st.sampled_from(["DE", "FR"]),
        amounts,
    ),
    min_size=1,
    max_size=4,
)
certificates = st.lists(
    st.builds(
        lambda kind, market, rate, kwh, vintage, retired: {
            "kind": kind,
            "market": market,
            "kgco2e_per_kwh": Decimal(rate) / 10,
            "volume_kwh": None if kind == "supplier_rate" else kwh,
            "vintage_from": BEGIN - timedelta(days=vintage),
            "retired_on": date(2025, 2, 1) if retired else None,
        },
        st.sampled_from(["certificate_bundled", "certificate_unbundled", "ppa", "supplier_rate"]),
        st.sampled_from(["DE", "FR", "KR"]),
        st.integers(0, 9),
        amounts,
        st.sampled_from([0, 30, 4000]),
        st.booleans(),
    ),
    max_size=4,
)


def report(sites: Sequence[SiteLoad], held: Sequence[dict[str, Any]]) -> DualReport:
    instruments = [
        Instrument(
            instrument_id=f"i{n}",
            generation_source="wind",
            vintage_to=END,
            serials=(f"i{n}",),
            stated=ALL_STATED,
            **one,
        )
        for n, one in enumerate(held)
    ]
    period = Period(reporter="acme", begin=BEGIN, end=END)
    return dual_report(sites, instruments, MARKETS, period, INVENTORY)


def summed(lines: Iterable[EmissionLine]) -> Fraction:
    return sum((Fraction(line.kgco2e) for line in lines), Fraction(0))


@EXAMPLES
@given(loads, certificates, amounts)
def test_1_totals_are_the_sums_of_their_lines_under_both_methods(
    sites: list[SiteLoad], held: list[dict[str, Any]], spent: Decimal
) -> None:
    found = report(sites, held)
    other = lines_of_purchase(purchase(amount_net=spent), PURCHASES)
    figures = figures_of([*found.location, *found.market, *other])
    for basis, lines in (("location", found.location), ("market", found.market)):
        whole = sum(Fraction(kg) for key, kg in figures.items() if key.basis in ("", basis))
        assert whole == summed(lines) + summed(other)


@EXAMPLES
@given(loads, certificates)
def test_4_no_certificate_changes_a_location_based_figure(
    sites: list[SiteLoad], held: list[dict[str, Any]]
) -> None:
    assert report(sites, held).location == report(sites, []).location


@EXAMPLES
@given(loads, certificates)
def test_5_market_based_is_not_negative_and_at_most_all_at_the_highest_rate(
    sites: list[SiteLoad], held: list[dict[str, Any]]
) -> None:
    found = report(sites, held)
    rates = [Decimal("0.7"), *(one["kgco2e_per_kwh"] for one in held)]
    kwh = sum((Fraction(site.kwh) for site in sites), Fraction(0))
    assert all(line.kgco2e >= 0 for line in found.market)
    assert summed(found.market) <= kwh * Fraction(max(rates))
    assert sum((Fraction(line.quantity) for line in found.market), Fraction(0)) == kwh


# ---- 2: replay, in any order, with repeats


@EXAMPLES
@given(st.data())
def test_2_a_replay_in_any_order_and_batching_with_repeats_ends_in_the_same_sum(
    data: st.DataObject,
) -> None:
    facts = []
    for month in ("2025-01", "2025-02"):
        claim = replace(CLAIM, period=month)
        facts += [
            estimate("po-1", kg="1000", claim=claim),
            estimate("po-2", kg="300", claim=claim, method="average_data"),
            footprint("pcf", kg="700", covered="400", claim=claim),
            retracted(footprint("pcf", kg="700", covered="400", claim=claim)),
            footprint("pcf-2", kg="650", covered="450", claim=claim, rank=6),
        ]

    def replay(order: Sequence[Any]) -> tuple[dict[Any, tuple[ActiveLine, ...]], list[Posting]]:
        active: dict[Any, tuple[ActiveLine, ...]] = {}
        postings: list[Posting] = []
        for fact in order:
            decision = decide(active.get(fact.claim, ()), fact, POLICY)
            active[fact.claim] = decision.active
            postings.extend(decision.postings)
        return active, postings

    expected, _ = replay(facts)
    shuffled = data.draw(st.permutations(facts + facts[::2]))
    found, postings = replay(shuffled)
    assert {claim: [line.content for line in lines] for claim, lines in found.items()} == {
        claim: [line.content for line in lines] for claim, lines in expected.items()
    }
    whole = total(line.kgco2e for lines in found.values() for line in lines)
    cut = data.draw(st.integers(0, len(postings)))
    assert (
        total(one.kgco2e for one in postings[:cut]) + total(one.kgco2e for one in postings[cut:])
        == whole
    )


# ---- 3: windows and cut-off


BOOK = FactorBook(
    [
        grid_factor(
            2020,
            kgco2e_per_unit=Decimal("0.4"),
            kg_co2_per_unit=Decimal("0.39"),
            kg_ch4_per_unit=Decimal("0.0001"),
            kg_n2o_per_unit=Decimal("0.00002"),
            gwp_set="AR6",
        )
    ],
    "example",
)
RULES = Rules(book=BOOK, code_version="test")


def entries(readings: Sequence[tuple[int, Decimal]]) -> list[EntryRow]:
    """Posted readings: (seconds after the start of 2020-03-01, kWh)."""
    rows = []
    for n, (seconds, kwh) in enumerate(readings):
        event = IoTEnergyEvent(
            f"meter-{n}",
            "plant",
            "DE",
            kwh,
            "grid",
            None,
            datetime(2020, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds),
        )
        origin = Origin(
            topic="raw.iot.energy",
            topic_incarnation=0,
            kafka_partition=0,
            kafka_offset=n,
            batch_id=1,
            recorded_at=MADE,
            payload_sha256=bytes(32),
            schema_sha256=bytes(32),
        )
        rows.extend(lines_of_reading(event, origin, RULES))
    return rows


readings = st.lists(st.tuples(st.integers(0, 86_399), amounts), min_size=1, max_size=6)


@EXAMPLES
@given(readings, st.integers(0, 6))
def test_3_windows_add_up_to_the_period_late_and_corrected_lines_included(
    given_readings: list[tuple[int, Decimal]], late_from: int
) -> None:
    rows = entries(given_readings)
    taken_back = [reversal_of(rows[0], recorded_at=MADE, cause="wrong meter")]
    batches = [rows[:late_from], taken_back, rows[late_from:]]
    deltas = [delta for batch in batches for delta in deltas_of(batch, recorded_at=MADE)]
    posted = [row for batch in batches for row in batch]
    assert total(delta.kgco2e for delta in deltas) == total(row.kgco2e for row in posted)
    assert total(delta.quantity for delta in deltas) == total(row.quantity for row in posted)
    assert sum(delta.entries for delta in deltas) == len(rows) - 1


@EXAMPLES
@given(st.integers(0, 15), st.integers(0, 15), amounts)
def test_3_a_period_cut_at_the_end_of_the_year_is_the_whole(
    days_before: int, days_after: int, spent: Decimal
) -> None:
    begins = END - timedelta(days=days_before)
    length = (days_before + days_after) * 86_400
    event = purchase(amount_net=spent, timestamp=begins, interval_seconds=length)
    factor = spend_factor("331110", "0.8", currency="EUR", price_year=2024)
    parts = lines_of_purchase(event, inventory_of([factor], rows=FLAT_PRICES))
    assert sum((line.working.exact() for line in parts), Fraction(0)) == Fraction(spent) * Fraction(
        "0.8"
    )
    assert parts[0].occurred_from == event.occurred_from
    assert parts[-1].occurred_to == event.occurred_to


# ---- 6, 7: gases


gas_masses = st.integers(0, 1000).map(lambda n: Decimal(n) / 1000)


def fuel(co2: Decimal, ch4: Decimal, n2o: Decimal, biogenic: Decimal | None, gwp: str) -> Factor:
    weights = {"AR5": ("28", "265"), "AR6": ("29.8", "273")}[gwp]
    whole = co2 + ch4 * Decimal(weights[0]) + n2o * Decimal(weights[1])
    return grid_factor(
        2024,
        kgco2e_per_unit=whole,
        kg_co2_per_unit=co2,
        kg_ch4_per_unit=ch4,
        kg_n2o_per_unit=n2o,
        kg_co2_biogenic_per_unit=biogenic,
        ch4_kind="fossil",
        gwp_set=gwp,
    )


def burnt(factor: Factor, kwh: Decimal, gwp_set: str) -> tuple[Fraction, dict[str, Fraction]]:
    operand = Operand(value=kwh, unit="kWh", label="burnt")
    applied = apply_factor((operand,), "kWh", matched(factor), INVENTORY.book.gwp, gwp_set)
    gases = {gas: Working(formula=FORMULA, terms=terms).exact() for gas, terms in applied.gas_terms}
    return Working(formula=FORMULA, terms=applied.terms).exact(), gases


@EXAMPLES
@given(gas_masses, gas_masses, gas_masses, gas_masses, amounts)
def test_6_biogenic_carbon_dioxide_never_changes_a_total(
    co2: Decimal, ch4: Decimal, n2o: Decimal, biogenic: Decimal, kwh: Decimal
) -> None:
    plain, _ = burnt(fuel(co2, ch4, n2o, None, "AR5"), kwh, "AR6")
    found, gases = burnt(fuel(co2, ch4, n2o, biogenic, "AR5"), kwh, "AR6")
    assert found == plain
    assert gases[CO2_BIOGENIC] == Fraction(biogenic) * Fraction(kwh)
    assert CO2_BIOGENIC in MEMO_GASES


@EXAMPLES
@given(gas_masses, gas_masses, gas_masses, amounts)
def test_7_another_set_of_potentials_changes_only_other_gases_than_carbon_dioxide(
    co2: Decimal, ch4: Decimal, n2o: Decimal, kwh: Decimal
) -> None:
    factor = fuel(co2, ch4, n2o, None, "AR6")
    old, old_gases = burnt(factor, kwh, "AR5")
    new, new_gases = burnt(factor, kwh, "AR6")
    assert old_gases == new_gases
    # The table has no fossil methane of AR5: 28 is its figure for methane.
    difference = Fraction(ch4) * (Fraction("29.8") - 28) + Fraction(n2o) * (273 - 265)
    assert new - old == difference * Fraction(kwh)
    only_co2 = fuel(co2, Decimal(0), Decimal(0), None, "AR6")
    assert burnt(only_co2, kwh, "AR5")[0] == burnt(only_co2, kwh, "AR6")[0]
    assert new_gases[CO2] == Fraction(co2) * Fraction(kwh)


@pytest.mark.parametrize(("gwp_set", "is_flagged"), [("AR5", True), ("AR6", False)])
def test_7_a_set_that_does_not_tell_methane_by_origin_is_remarked_on(
    gwp_set: str, is_flagged: bool
) -> None:
    one = Decimal(1)
    published = fuel(one, one, one, None, "AR6" if gwp_set == "AR5" else "AR5")
    operand = Operand(value=one, unit="kWh", label="burnt")
    applied = apply_factor((operand,), "kWh", matched(published), INVENTORY.book.gwp, gwp_set)
    assert applied.gwp_set == gwp_set
    assert ("gwp_methane_origin_not_distinguished" in applied.flags) is is_flagged


# ---- 8, 9: reversals, and one figure per share


@EXAMPLES
@given(readings)
def test_8_a_line_and_its_reversal_are_nothing_in_every_gas(
    given_readings: list[tuple[int, Decimal]],
) -> None:
    for row in entries(given_readings):
        back = reversal_of(row, recorded_at=MADE, cause="wrong meter")
        for name in ("quantity", "kgco2e", "kg_co2_fossil", "kg_ch4", "kg_n2o"):
            assert getattr(row, name) + getattr(back, name) == 0


masses = st.fixed_dictionaries(
    {}, optional={gas: amounts.map(str) for gas in ("CO2", "CH4_fossil", "N2O", "CO2_biogenic")}
)


@EXAMPLES
@given(masses, masses, st.integers(1, 525))
def test_8_a_superseded_line_and_its_reversal_are_nothing_in_every_gas(
    estimated: dict[str, str], declared: dict[str, str], covered: int
) -> None:
    _, postings = arrive(
        [
            estimate(figure=figure("1000", estimated)),
            footprint(covered=str(covered), figure=figure("500", declared), is_reviewed=True),
        ]
    )
    posted = {one.line.line_id: one for one in postings if not one.is_reversal}
    for one in postings:
        if one.is_reversal:
            pair = [one, posted[one.line.line_id]]
            assert total(each.kgco2e for each in pair) == 0
            assert all(kg == 0 for _, kg in total_gases(each.gases for each in pair))


@EXAMPLES
@given(st.integers(1, 525), amounts, amounts)
def test_9_an_estimate_counts_for_just_what_no_supplier_covers(
    covered: int, estimated: Decimal, declared: Decimal
) -> None:
    lines, _ = arrive(
        [
            estimate(kg=str(estimated)),
            footprint(kg=str(declared), covered=str(covered), is_reviewed=True),
        ]
    )
    specific, spend = lines
    left = max(Fraction(0), 1 - Fraction(covered, 500))
    assert specific.kgco2e == declared
    assert spend.standing.share == left
    assert spend.kgco2e == Decimal(round(Fraction(estimated) * left * 10**12)).scaleb(-12)


# ---- 10: the base year


@EXAMPLES
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["acquisition", "error", "organic_growth", "technology_change"]),
            st.integers(-200, 200),
        ),
        max_size=4,
    )
)
def test_10_the_base_year_is_recalculated_only_where_triggers_reach_the_threshold(
    given_changes: list[tuple[str, int]],
) -> None:
    changes = [
        Change(change_id=str(n), kind=kind, year=2025, effect_kgco2e=Decimal(effect))
        for n, (kind, effect) in enumerate(given_changes)
    ]
    counted = [one.effect_kgco2e for one in changes if one.kind in ("acquisition", "error")]
    up = sum(effect for effect in counted if effect > 0)
    down = -sum(effect for effect in counted if effect < 0)
    assert assess(changes, Decimal(1000), Decimal("0.05")).is_due is (max(up, down) >= 50)


# ---- 11, 12, 13: what every line says of itself

PURCHASES = inventory_of([spend_factor("331110", "0.8")])
# Prices that do not move, so that years differ in nothing but the calendar.
FLAT_PRICES = tuple(index("us_cpi_u_index", "US", year, "300") for year in (2023, 2024, 2025))


@EXAMPLES
@given(amounts)
def test_11_every_figure_can_be_recomputed_from_its_text_and_names_its_factor(
    spent: Decimal,
) -> None:
    for line in lines_of_purchase(purchase(amount_net=spent), PURCHASES):
        exact = recomputed(line.working.written())
        assert Fraction(line.kgco2e) == Fraction(round(exact * 10**12), 10**12)
        assert line.factor is not None
        assert f"{line.factor.factor.factor_id} version 1" in "\n".join(line.working.written())


@EXAMPLES
@given(readings)
def test_11_every_entry_leads_to_its_factor_formula_and_raw_payload(
    given_readings: list[tuple[int, Decimal]],
) -> None:
    for row in entries(given_readings):
        assert len(row.payload_sha256) == len(row.schema_sha256) == len(row.content_sha256) == 32
        assert row.factor_id
        assert (row.factor_version, row.factor_release, row.topic) == (
            1,
            "example",
            "raw.iot.energy",
        )
        assert row.formula_id
        assert row.kafka_offset is not None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"currency": ""}, "factor_currency_missing"),
        ({"price_year": None}, "factor_price_year_missing"),
        ({"price_basis": ""}, "factor_price_basis_missing"),
    ],
)
def test_12_a_factor_without_currency_or_price_year_is_refused(
    changes: dict[str, Any], code: str
) -> None:
    inventory = inventory_of([spend_factor("331110", "0.8", **{"unit": "USD", **changes})])
    with pytest.raises(RejectedRecord) as refused:
        lines_of_purchase(purchase(), inventory)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("year", "is_flagged"), [(2024, False), (2025, True), (2026, True), (2027, None)]
)
def test_12_a_rate_of_an_earlier_year_is_flagged_and_refused_beyond_two(
    year: int, is_flagged: bool | None
) -> None:
    inventory = replace(PURCHASES, now=datetime(2028, 1, 1, tzinfo=UTC))
    bought = purchase(timestamp=datetime(year, 5, 6, tzinfo=UTC))
    if is_flagged is None:
        with pytest.raises(RejectedRecord) as refused:
            lines_of_purchase(bought, inventory)
        assert refused.value.code == "index_missing"
        return
    (line,) = lines_of_purchase(bought, inventory)
    assert ("index_gap_years" in line.flags) is is_flagged


@EXAMPLES
@given(st.sets(st.integers(2005, 2030), min_size=1, max_size=4), st.integers(2005, 2030))
def test_13_a_factor_is_of_the_activitys_year_or_says_that_it_is_not(
    years: set[int], activity_year: int
) -> None:
    book = FactorBook([grid_factor(year) for year in sorted(years)], "example")
    if min(abs(year - activity_year) for year in years) > 5:
        with pytest.raises(RejectedRecord) as refused:
            book.match(grid_query(year=activity_year))
        assert refused.value.code == "factor_vintage_gap"
        return
    match = book.match(grid_query(year=activity_year))
    covers = match.factor.year == activity_year
    assert (match.vintage_gap_years == 0) is covers
    assert ("vintage_gap" in match.flags) is not covers
    assert match.vintage_gap_years is not None
    assert abs(match.vintage_gap_years) <= 5


# ---- 14: units


ROUND_TRIPS = [
    # One of the first unit is so many of the second, as published.
    ("lb", "kg", "0.45359237"),
    ("gal", "L", "3.785411784"),
    ("mi", "km", "1.609344"),
    ("short_ton", "t", "0.90718474"),
    ("MMBtu", "kWh", "293.07107"),
    ("GJ", "kWh", "277.7778"),
    ("therm", "kWh", "29.307107"),
    ("MWh", "kWh", "1000"),
    ("MWh", "GJ", "3.6"),
    ("gal_imperial", "L", "4.54609"),
    ("bbl", "L", "158.987294928"),
    ("ft3", "L", "28.316846592"),
    ("ft2", "m2", "0.09290304"),
    ("nmi", "km", "1.852"),
    ("mile", "km", "1.609344"),
    ("oz", "g", "28.349523125"),
    ("long_ton", "kg", "1016.0469088"),
]


@pytest.mark.parametrize(("one", "other", "published"), ROUND_TRIPS)
def test_14_units_are_as_published(one: str, other: str, published: str) -> None:
    # To the digits that are printed: half a unit of the last one.
    step = Decimal(1).scaleb(int(Decimal(published).as_tuple().exponent))
    assert abs(convert(Decimal(1), one, other) - Decimal(published)) <= step / 2


@EXAMPLES
@given(st.sampled_from(ROUND_TRIPS), st.decimals(0, 10**9, places=6))
def test_14_there_and_back_is_where_it_began(trip: tuple[str, str, str], value: Decimal) -> None:
    one, other, _ = trip
    back = convert(convert(value, one, other), other, one)
    assert abs(back - value) <= value * Decimal("1E-9")
    assert abs(back - value) <= value * Decimal("1E-60")


# ---- 15: as of


def table(postings: Iterable[Posting], moment: datetime) -> str:
    """What a report would print of the claim as of a moment."""
    known = [one for one in postings if one.recorded_at <= moment]
    gases = total_gases(one.gases for one in known)
    rows = [f"{gas} {kg}" for gas, kg in gases]
    return "\n".join([f"kgCO2e {as_of(postings, moment)}", *rows])


@EXAMPLES
@given(st.permutations(range(5)), st.integers(0, 4))
def test_15_an_earlier_table_is_reproduced_byte_for_byte(order: list[int], days: int) -> None:
    facts = [
        estimate("po-1", figure=figure("1000", {"CO2": "900", "CH4": "3"})),
        estimate("po-2", kg="77.7"),
        footprint("a", kg="300", covered="200"),
        retracted(footprint("a", kg="300", covered="200")),
        footprint("b", kg="640", covered="990", rank=6),
    ]
    arriving = [facts[n] for n in order]
    moment = MADE + timedelta(days=days)
    _, then = arrive(arriving[: days + 1])
    _, later = arrive(arriving)
    assert table(later, moment) == table(then, moment)
