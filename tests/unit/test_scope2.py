"""Scope 2 under both methods: the waterfall, the criteria, caps, surplus, disclosure."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.energy.instruments import Instrument, Statements, instrument_of, residual_match
from carbon_ledger.energy.meters import lines_of_meter_reading
from carbon_ledger.energy.scope2 import (
    DualReport,
    Market,
    Period,
    SiteLoad,
    as_market_line,
    dual_report,
    substituted_share,
)
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.inventory import Inventory
from tests.support.meter_examples import assert_written, plain_grid, reading, shipped, stated
from tests.support.reference_examples import certificate as registered_certificate

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2025, 1, 1, tzinfo=UTC)
PERIOD = Period(reporter="acme", begin=BEGIN, end=END)
ALL_STATED = Statements(**{field.name: True for field in fields(Statements)})
GRID = "0.5"


def residual_mix(kgco2e: str) -> FactorMatch:
    factor = plain_grid("DE", kgco2e, basis="residual", factor_id="residual:DE:2024")
    return FactorMatch(
        factor=factor,
        release_id="example",
        how_matched="country/residual/exact-year",
        geography_level="country",
        boundary_level="residual",
        vintage_gap_years=0,
        boundary_substitute=False,
        flags=(),
    )


DE = Market(market_id="DE", residual_mix=residual_mix("0.7"))
FR = Market(market_id="FR", discloses_absence=True)
KR = Market(market_id="KR", has_instruments=False)
MARKETS = (DE, FR, KR)


def inventory(**policy: Any) -> Inventory:
    return stated(
        plain_grid("DE", GRID),
        plain_grid("FR", "0.1"),
        plain_grid("KR", "0.4"),
        plain_grid("DE", "0.6", 2023),
        **policy,
    )


def load(site: str = "a", kwh: str | int = 1000, country: str = "DE", **changes: Any) -> SiteLoad:
    plain: dict[str, Any] = {
        "facility_id": site,
        "market": country,
        "country_iso2": country,
        "kwh": Decimal(kwh),
        "occurred_from": BEGIN,
        "occurred_to": END,
    }
    return SiteLoad(**{**plain, **changes})


def certificate(name: str = "c1", kwh: str | int | None = 400, **changes: Any) -> Instrument:
    plain: dict[str, Any] = {
        "instrument_id": name,
        "kind": "certificate_unbundled",
        "market": "DE",
        "generation_source": "wind",
        "kgco2e_per_kwh": Decimal(0),
        "volume_kwh": None if kwh is None else Decimal(kwh),
        "vintage_from": BEGIN,
        "vintage_to": END,
        "serials": (name,),
        "retired_on": date(2025, 2, 1),
        "stated": ALL_STATED,
    }
    return Instrument(**{**plain, **changes})


def ppa(name: str = "p1", kwh: str | int = 300, rate: str = "0.05", **changes: Any) -> Instrument:
    return certificate(name, kwh, kind="ppa", kgco2e_per_kwh=Decimal(rate), **changes)


def rate(name: str = "r1", value: str = "0.3", **changes: Any) -> Instrument:
    return certificate(name, None, kind="supplier_rate", kgco2e_per_kwh=Decimal(value), **changes)


def report(loads: list[SiteLoad], *instruments: Instrument, **policy: Any) -> DualReport:
    found = dual_report(loads, instruments, MARKETS, PERIOD, inventory(**policy))
    for line in (*found.location, *found.market):
        assert_written(line)
    return found


def kg(lines: tuple[Any, ...]) -> Decimal:
    return sum((line.kgco2e for line in lines), Decimal(0))


WATERFALL = [
    # instruments, market-based kg of 1000 kWh in DE (grid 0.5, residual mix 0.7), surplus
    ([], "700", {}),
    ([certificate()], "420", {}),
    ([certificate(), ppa()], "225", {}),
    # 400 x 0 + 300 x 0.05 + 300 x 0.3: a supplier rate takes all that is left.
    ([rate(), ppa(), certificate()], "105", {}),
    ([rate()], "300", {}),
    ([certificate(kwh=1000)], "0", {}),
    ([certificate(kwh=1500)], "0", {"c1": 500}),
    # Certificates come first, whatever is better for the figure.
    ([certificate(kwh=900, kgco2e_per_kwh=Decimal("0.9")), ppa(kwh=300)], "815", {"p1": 200}),
    ([certificate("b", 700), certificate("a", 700)], "0", {"b": 400}),
    # Of bundled and unbundled certificates, the earlier vintage goes first.
    (
        [
            certificate("a", 1000),
            certificate("b", 1000, vintage_from=BEGIN - timedelta(days=60)),
        ],
        "0",
        {"a": 1000},
    ),
]


@pytest.mark.parametrize(("instruments", "expected", "surplus"), WATERFALL)
def test_the_waterfall(
    instruments: list[Instrument], expected: str, surplus: dict[str, int]
) -> None:
    found = report([load()], *instruments)
    assert kg(found.market) == Decimal(expected)
    assert kg(found.location) == Decimal(500)
    assert {one.instrument_id: one.kwh for one in found.surplus} == surplus
    assert sum(one.kwh for one in found.tranches) == 1000


def test_surplus_stays_in_its_market() -> None:
    found = report([load(), load("b", 1000, "FR")], certificate(kwh=5000))
    assert kg(found.market) == Decimal(100)  # FR at its grid average
    assert [(one.market, one.kwh) for one in found.surplus] == [("DE", 4000)]


def test_a_market_without_a_residual_mix_takes_the_grid_average_and_says_so() -> None:
    found = report([load("b", 1000, "FR")], certificate(kwh=400, market="FR"))
    assert kg(found.market) == Decimal(60)
    (average,) = [line for line in found.market if line.kgco2e]
    assert "grid_average_in_market_based" in average.flags
    assert average.working.formula.formula_id == "S2-MB-GRID"
    assert "grid_average_in_market_based:FR" in found.disclosures


def test_a_market_without_instruments_has_the_location_based_figure_under_both() -> None:
    found = report([load("b", 1000, "KR")])
    assert kg(found.market) == kg(found.location) == Decimal(400)
    assert found.market[0].flags == ("market_equals_location",)
    assert "no_instruments_in_any_market" in found.disclosures
    # An instrument that may be used shows that there is a market: the rest is its grid average.
    claimed = report([load("b", 1000, "KR")], certificate(market="KR", kwh=400))
    assert claimed.judged[0].failed[0].name == "has_residual_mix_or_discloses"
    open_market = replace(KR, discloses_absence=True)
    used = dual_report(
        [load("b", 1000, "KR")],
        [certificate(market="KR", kwh=400)],
        [open_market],
        PERIOD,
        inventory(),
    )
    assert kg(used.market) == Decimal(240)
    assert "grid_average_in_market_based:KR" in used.disclosures
    both = report([load("b", 1000, "KR"), load()])
    assert "no_instruments_in_any_market" not in both.disclosures


def test_the_location_based_line_has_no_residual_mix_and_the_market_based_no_grid_average() -> None:
    found = report([load()], certificate())
    assert {line.factor.factor.basis for line in found.location if line.factor} == {"location"}
    assert {line.factor.factor.basis for line in found.market if line.factor} == {
        "market",
        "residual",
    }


def test_an_average_of_the_grid_is_no_residual_mix() -> None:
    average = replace(DE, residual_mix=replace(residual_mix("0.7"), factor=plain_grid("DE", "0.7")))
    with pytest.raises(RejectedRecord) as caught:
        dual_report([load()], [], [average], PERIOD, inventory())
    assert caught.value.code == "not_a_residual_mix"


# ---- the eight criteria

VOID = [
    # changes to a certificate that is otherwise right, criterion
    ({"stated": replace(ALL_STATED, conveys_emission_rate=False)}, "conveys_emission_rate"),
    ({"stated": replace(ALL_STATED, is_only_claim=None)}, "is_only_claim"),
    ({"retired_on": None}, "is_tracked_and_retired"),
    ({"retired_on": date(2027, 1, 1)}, "is_tracked_and_retired"),
    ({"retired_for": "somebody-else"}, "is_tracked_and_retired"),
    ({"vintage_from": None}, "has_close_vintage"),
    (
        {"vintage_from": BEGIN - timedelta(days=900), "vintage_to": BEGIN - timedelta(days=366)},
        "has_close_vintage",
    ),
    (
        {"vintage_from": END + timedelta(days=366), "vintage_to": END + timedelta(days=400)},
        "has_close_vintage",
    ),
    ({"market": "NO"}, "is_of_same_market"),
    ({"facility_id": "b"}, "is_of_same_market"),
    ({"stated": replace(ALL_STATED, is_of_same_market=False)}, "is_of_same_market"),
    (
        {"kind": "supplier_rate", "stated": replace(ALL_STATED, is_net_of_sold_certificates=None)},
        "is_net_of_sold_certificates",
    ),
    ({"kind": "ppa", "stated": replace(ALL_STATED, passes_all_claims=False)}, "passes_all_claims"),
    (
        {"stated": replace(ALL_STATED, has_residual_mix_or_discloses=False)},
        "has_residual_mix_or_discloses",
    ),
]


def test_a_vintage_a_year_away_is_still_close() -> None:
    edge = certificate(
        vintage_from=BEGIN - timedelta(days=900), vintage_to=BEGIN - timedelta(days=365)
    )
    assert not report([load()], edge).judged[0].is_void


@pytest.mark.parametrize(("changes", "criterion"), VOID)
def test_one_failed_criterion_voids_the_tranche_and_is_named(
    changes: dict[str, Any], criterion: str
) -> None:
    found = report([load(), load("b", 10, "FR")], certificate(**changes))
    (judged,) = found.judged
    assert [one.name for one in judged.failed] == [criterion]
    assert all(one.reason for one in judged.verdicts)
    assert [one.number for one in judged.verdicts] == list(range(1, 9))
    assert f"instrument_void:c1:{criterion}" in found.disclosures
    assert (found.uses, found.surplus) == ((), ())
    assert kg(found.market) == Decimal(701)


def test_the_sixth_and_seventh_criterion_are_asked_of_their_kind_alone() -> None:
    unasked = replace(ALL_STATED, is_net_of_sold_certificates=None, passes_all_claims=None)
    (judged,) = report([load()], certificate(stated=unasked)).judged
    assert not judged.is_void
    assert [one.status for one in judged.verdicts][5:7] == ["not_applicable", "not_applicable"]


def test_an_undisclosed_lack_of_a_residual_mix_voids_the_instruments_of_that_market() -> None:
    silent = Market(market_id="FR")
    found = dual_report(
        [load("b", 10, "FR")], [certificate(market="FR")], [silent], PERIOD, inventory()
    )
    assert [one.name for one in found.judged[0].failed] == ["has_residual_mix_or_discloses"]


def test_a_serial_number_in_two_instruments_voids_both() -> None:
    found = report([load()], certificate("a", serials=("x", "y")), certificate("b", serials=("y",)))
    assert all(one.is_void for one in found.judged)
    assert "serial y is also in a" in found.judged[1].failed[0].reason


def test_where_nobody_consumes_no_certificate_is_of_the_market() -> None:
    (judged,) = report([], certificate()).judged
    assert [(one.name, one.reason) for one in judged.failed] == [
        ("is_of_same_market", "of market DE, consumed in -"),
        ("has_residual_mix_or_discloses", "- has no residual mix, and that is not disclosed"),
    ]


def test_a_registered_certificate_is_judged_by_what_it_states() -> None:
    record = registered_certificate(valid_from="2024-01-01", valid_to="2025-01-01")
    found = instrument_of(record)
    assert found is not None
    assert kg(report([load()], found).market) == 0
    assert instrument_of(replace(record, kind="residual_mix")) is None


def test_a_registered_residual_mix_is_the_factor_of_its_market() -> None:
    record = registered_certificate(valid_from="2024-01-01", valid_to="2025-01-01")
    mix = replace(
        record,
        instrument_id="mix",
        kind="residual_mix",
        emission_rate_kgco2e_per_kwh=Decimal("0.8"),
    )
    market = Market(market_id="DE", residual_mix=residual_match(mix))
    found = dual_report([load()], [], [market], PERIOD, inventory())
    assert (kg(found.location), kg(found.market)) == (500, 800)
    with pytest.raises(RejectedRecord) as caught:
        residual_match(record)
    assert caught.value.code == "not_a_residual_mix"


def test_purchased_heat_has_the_same_figure_under_both_methods() -> None:
    heat = reading(energy_kwh="0", meter_kind="heat", quantity="1", unit="MWh")
    (line,) = lines_of_meter_reading(heat, shipped())
    twin = as_market_line(line)
    assert (twin.kgco2e, twin.basis) == (line.kgco2e, "market")
    assert "market_equals_location" in twin.flags
    with pytest.raises(RejectedRecord) as caught:
        as_market_line(twin)
    assert caught.value.code == "not_location_based"


# ---- never twice


def test_a_certificate_is_not_used_twice_over_sites_and_periods() -> None:
    loads = [load("a", 300), load("b", 300)]
    found = report(loads, certificate(kwh=400))
    used = {(one.instrument_id, one.facility_id): one.kwh for one in found.uses}
    assert used == {("c1", "a"): 300, ("c1", "b"): 100}
    later = Period(reporter="acme", begin=END, end=END + timedelta(days=31))
    moved = replace(load("a", 300), occurred_from=END, occurred_to=END + timedelta(days=31))
    spent = sum(one.kwh for one in found.uses)
    again = dual_report(
        [moved],
        [certificate(kwh=400)],
        MARKETS,
        later,
        stated(plain_grid("DE", GRID, 2025)),
        used_before={"c1": spent},
    )
    assert (again.uses, kg(again.market)) == ((), Decimal(210))
    with pytest.raises(RejectedRecord) as caught:
        dual_report(
            loads,
            [certificate(kwh=400)],
            MARKETS,
            PERIOD,
            inventory(),
            used_before={"c1": Decimal("400.001")},
        )
    assert caught.value.code == "certificate_overused"


def test_a_certificate_kept_for_one_site_is_not_lost_to_one_that_can_go_anywhere() -> None:
    found = report(
        [load("a", 100), load("b", 100)],
        certificate("1", 100),
        certificate("2", 100, facility_id="a"),
    )
    assert kg(found.market) == 0


REFUSED = [
    ([load(kwh=-1)], [], "negative_quantity"),
    ([load(market="XX")], [], "unknown_market"),
    ([load(occurred_to=END + timedelta(days=1))], [], "load_outside_period"),
    ([load()], [certificate(), certificate()], "instrument_twice"),
    ([load()], [certificate(kwh=-5)], "negative_quantity"),
    ([load(country_iso2="BR")], [], "factor_missing"),
]


@pytest.mark.parametrize(("loads", "instruments", "code"), REFUSED)
def test_what_cannot_be_reported_is_refused(
    loads: list[SiteLoad], instruments: list[Instrument], code: str
) -> None:
    with pytest.raises(RejectedRecord) as caught:
        report(loads, *instruments)
    assert caught.value.code == code


# ---- own generation, direct lines, biomass, substitutes


def test_own_generation_is_nothing_until_its_certificates_are_sold() -> None:
    own = load("a", 100, supply="own_generation", energy_source="solar")
    kept = report([own])
    assert (kg(kept.location), kg(kept.market)) == (0, 0)
    sold = report([replace(own, certificates_sold=True)], certificate(kwh=500))
    assert (kg(sold.location), kg(sold.market)) == (0, 70)
    assert sold.uses == ()
    in_france = replace(load("b", 100, "FR", supply="own_generation"), certificates_sold=True)
    assert kg(report([in_france]).market) == 10


def test_biogenic_carbon_dioxide_of_biomass_power_is_a_memo() -> None:
    wood = ppa(rate="0.02", generation_source="biomass", kg_co2_biogenic_per_kwh=Decimal("0.35"))
    with_memo = report([load()], wood)
    without = report([load()], replace(wood, kg_co2_biogenic_per_kwh=None))
    (line,) = [one for one in with_memo.market if one.gases.get("CO2_biogenic") is not None]
    assert line.gases.get("CO2_biogenic") == 105
    assert kg(with_memo.market) == kg(without.market)


def test_a_life_cycle_rate_is_a_substitute_that_the_policy_can_refuse() -> None:
    cradle = certificate(kgco2e_per_kwh=Decimal("0.01"), boundary="lifecycle")
    found = report([load(kwh=400)], cradle)
    assert found.market[0].flags[0] == "boundary_substitute"
    assert "boundary_substitute:DE" in found.disclosures
    assert substituted_share(found.market) == 1
    assert substituted_share(found.location) == 0
    with pytest.raises(RejectedRecord) as caught:
        report([load()], cradle, refuse_boundary_substitutes=True)
    assert caught.value.code == "boundary_substitute_refused"


def test_a_fiscal_year_over_two_calendar_years_keeps_each_year_s_factor() -> None:
    period = Period(
        reporter="acme",
        begin=datetime(2023, 7, 1, tzinfo=UTC),
        end=datetime(2024, 7, 1, tzinfo=UTC),
    )
    halves = [
        load(kwh=100, occurred_from=period.begin, occurred_to=BEGIN),
        load(kwh=100, occurred_from=BEGIN, occurred_to=period.end),
    ]
    found = dual_report(halves, [], MARKETS, period, inventory())
    assert [(line.kgco2e, line.quantity) for line in found.location] == [(60, 100), (50, 100)]
    assert kg(found.market) == 140


# ---- granularity

HOURLY = [
    load(
        kwh=10,
        occurred_from=BEGIN + timedelta(hours=hour),
        occurred_to=BEGIN + timedelta(hours=hour + 1),
    )
    for hour in (2, 12)
]
NOON = {
    "vintage_from": BEGIN + timedelta(hours=12),
    "vintage_to": BEGIN + timedelta(hours=13),
}


@pytest.mark.parametrize(
    ("granularity", "expected", "surplus"),
    [("year", "0", 0), ("day", "0", 0), ("hour", "7", 10)],
)
def test_the_same_certificate_by_the_hour_leaves_the_night_uncovered(
    granularity: str, expected: str, surplus: int
) -> None:
    found = report(HOURLY, certificate(kwh=20, **NOON), matching_granularity=granularity)
    assert kg(found.market) == Decimal(expected)
    assert sum(one.kwh for one in found.surplus) == surplus
    assert kg(found.location) == 10


def test_a_supplier_s_rate_is_of_all_hours() -> None:
    found = report(HOURLY, rate(), certificate(kwh=20, **NOON), matching_granularity="hour")
    assert kg(found.market) == 3


def test_annual_consumption_cannot_be_matched_by_the_hour() -> None:
    with pytest.raises(RejectedRecord) as caught:
        report([load()], certificate(), matching_granularity="hour")
    assert caught.value.code == "load_coarser_than_granularity"


# ---- laws

INSTRUMENTS = st.lists(
    st.builds(
        lambda kind, market, kwh, tenths, site, is_right: certificate(
            "?",
            None if kind == "supplier_rate" else kwh,
            kind=kind,
            market=market,
            kgco2e_per_kwh=Decimal(tenths).scaleb(-1),
            facility_id=site,
            serials=(),
            stated=ALL_STATED if is_right else replace(ALL_STATED, is_only_claim=False),
        ),
        st.sampled_from(["certificate_bundled", "certificate_unbundled", "ppa", "supplier_rate"]),
        st.sampled_from(["DE", "FR", "KR"]),
        st.integers(0, 2000),
        st.integers(0, 9),
        st.sampled_from([None, None, "DE-a", "FR-b"]),
        st.booleans(),
    ),
    max_size=6,
)
LOADS = st.lists(
    st.builds(
        lambda country, site, kwh: load(f"{country}-{site}", kwh, country),
        st.sampled_from(["DE", "FR", "KR"]),
        st.sampled_from("ab"),
        st.integers(0, 1500),
    ),
    min_size=1,
    max_size=6,
)


@given(LOADS, INSTRUMENTS)
@settings(max_examples=60, deadline=None)
def test_laws_of_both_methods(loads: list[SiteLoad], drawn: list[Instrument]) -> None:
    instruments = [replace(one, instrument_id=f"i{n}") for n, one in enumerate(drawn)]
    store = inventory()
    bare = dual_report(loads, [], MARKETS, PERIOD, store)
    found = dual_report(loads, instruments, MARKETS, PERIOD, store)
    assert found.location == bare.location
    assert dual_report(loads, instruments[::-1], MARKETS, PERIOD, store) == found
    highest = max(Decimal("0.7"), *(one.kgco2e_per_kwh for one in instruments), Decimal(0))
    consumed = sum(one.kwh for one in loads)
    assert 0 <= kg(found.market) <= consumed * highest
    assert all(line.kgco2e >= 0 for line in found.market)
    for market in ("DE", "FR", "KR"):
        drawn_there = sum(one.kwh for one in loads if one.market == market)
        assert sum(one.kwh for one in found.tranches if one.market == market) == drawn_there
    used = {one.instrument_id: Decimal(0) for one in instruments}
    for use in found.uses:
        used[use.instrument_id] += use.kwh
    surplus = {one.instrument_id: one.kwh for one in found.surplus}
    void = {one.instrument.instrument_id for one in found.judged if one.is_void}
    for one in instruments:
        if one.volume_kwh is not None:
            left = surplus.get(one.instrument_id, Decimal(0))
            whole = Decimal(0) if one.instrument_id in void else one.volume_kwh
            assert used[one.instrument_id] + left == whole
        if one.instrument_id in void:
            assert used[one.instrument_id] == 0
    exact = sum(
        (
            Fraction(one.kwh) * Fraction(one.match.factor.kgco2e_per_unit)
            for one in found.tranches
            if one.match is not None
        ),
        Fraction(0),
    )
    assert abs(Fraction(kg(found.market)) - exact) < Fraction(len(found.market) + 1, 10**12)


def test_power_of_the_grid_is_of_no_source_that_a_contract_names() -> None:
    for source in ("solar", "wind"):
        with pytest.raises(RejectedRecord) as caught:
            report([load(energy_source=source)])
        assert caught.value.code == "source_of_grid_power"


def test_a_certificate_says_of_how_many_kwh_it_is() -> None:
    with pytest.raises(RejectedRecord) as caught:
        report([load()], certificate(kwh=None))
    assert caught.value.code == "certificate_without_volume"


@pytest.mark.parametrize(
    "changes",
    [{"kgco2e_per_kwh": Decimal("-0.1")}, {"kg_co2_biogenic_per_kwh": Decimal("-0.1")}],
)
def test_no_instrument_takes_emissions_off(changes: dict[str, Decimal]) -> None:
    with pytest.raises(RejectedRecord) as caught:
        report([load()], certificate(**changes))
    assert caught.value.code == "negative_factor"


def test_certificates_whose_serial_numbers_overlap_are_claimed_twice() -> None:
    def numbered(name: str, first: str, last: str) -> Instrument:
        found = instrument_of(
            replace(
                registered_certificate(), instrument_id=name, serial_no=first, serial_no_to=last
            )
        )
        assert found is not None
        return replace(found, market="DE", vintage_from=BEGIN, vintage_to=END)

    apart = report([load()], numbered("a", "X-100", "X-199"), numbered("b", "X-200", "X-299"))
    overlapping = report([load()], numbered("a", "X-100", "X-200"), numbered("b", "X-150", "X-299"))
    for found, is_failed in ((apart, False), (overlapping, True)):
        for one in found.judged:
            failed = {verdict.name for verdict in one.failed}
            assert ("is_only_claim" in failed) is is_failed


def test_kwh_of_two_years_with_one_factor_keep_the_flag_of_the_older_vintage() -> None:
    middle = datetime(2025, 1, 1, tzinfo=UTC)
    period = replace(
        PERIOD, begin=datetime(2024, 7, 1, tzinfo=UTC), end=datetime(2025, 7, 1, tzinfo=UTC)
    )
    loads = [
        load(country="KR", occurred_from=middle, occurred_to=period.end),
        load(country="KR", occurred_from=period.begin, occurred_to=middle),
    ]
    found = dual_report(loads, (), MARKETS, period, inventory())
    for lines in (found.location, found.market):
        assert sorted("vintage_gap" in line.flags for line in lines) == [False, True]
        assert [line.kgco2e for line in lines] == [400, 400]


def test_factors_of_both_methods_are_scored() -> None:
    found = report([load()], certificate())
    (line,) = found.location
    assert line.factor_scores is not None
    assert line.factor_scores.as_tuple() == (1, 1, 1, 2, 2)
    assert all(one.factor_scores is not None for one in found.market)


def test_every_load_of_a_market_is_covered_whatever_stands_between_them() -> None:
    """Own use, a direct line, sold power, other markets and a market without instruments."""
    own = {"supply": "own_generation", "energy_source": "solar"}
    loads = [
        load("fr", 10, "FR"),
        load("a", 100, **own),
        load("kr", 1000, "KR"),
        load("b", 200, **own, certificates_sold=True),
        load("kr2", 2000, "KR"),
        load("c", 300),
        load("kr3", 50, "KR", **own),
        load("kr4", 40, "KR"),
    ]
    found = report(loads)
    assert kg(found.market) == 1 + 0 + 140 + 210 + Decimal("0.4") * 3040
    assert kg(found.location) == 1 + 150 + Decimal("0.4") * 3040
    assert {line.basis for line in found.location} == {"location"}
    assert {line.primary_share for line in (*found.location, *found.market)} == {1}
    assert {line.gwp_set for line in found.market} == {"AR6", "not_applicable"}
