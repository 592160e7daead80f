"""Restatements as pure functions: steps, digests, sums, names, and what a change may reach."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.entries import EntryRow, reversal_of, sealed
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.rows import FactorRelease, make_release
from carbon_ledger.factor_book.rows import sealed as sealed_factor
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.records import (
    Budget,
    Revenue,
    Site,
    SpendClass,
    SupplierItem,
    Vehicle,
)
from carbon_ledger.restatement import (
    CAUSES,
    GASES,
    LineChange,
    Target,
    check_target,
    digest_line,
    digest_of_lines,
    digest_of_months,
    is_same,
    line_changes,
    person,
    restated,
    same_person,
    steps_of,
)
from carbon_ledger.restatement_effects import (
    Effects,
    base_year_effects,
    changes_since_recalculation,
    report_cells,
    summary_of,
)
from carbon_ledger.restatement_reach import boundary_reach, factor_reach
from tests.support.factor_examples import activity_factor, grid_factor, supply_factor
from tests.support.postgres import reading
from tests.support.purchase_examples import index
from tests.support.reference_examples import (
    certificate,
    entity,
    meter,
    ownership,
    residual_mix,
    supplier,
)

FIGURES = st.decimals(
    min_value=Decimal("-1e20"), max_value=Decimal("1e20"), places=12, allow_nan=False
)
THRESHOLD = Decimal("0.05")


def entry(number: int = 0, kg: str = "10", **changes: Any) -> EntryRow:
    return reading(number, kgco2e=Decimal(kg), **changes)


def change(old: EntryRow | None, new: EntryRow | None, **steps: str) -> LineChange:
    return LineChange(
        old=old, new=new, steps={cause: Decimal(steps.get(cause, "0")) for cause in CAUSES}
    )


@given(posted=FIGURES, baseline=FIGURES, figures=st.lists(FIGURES, min_size=4, max_size=4))
def test_steps_add_up_to_the_difference_exactly(
    posted: Decimal, baseline: Decimal, figures: list[Decimal]
) -> None:
    steps = steps_of(posted, baseline, list(zip(CAUSES, figures, strict=True)))
    total = Decimal(0)
    for step in steps.values():
        total = PRODUCT.add(total, step)
    assert PRODUCT.add(posted, total) == figures[-1]


@given(
    posted=FIGURES,
    effects=st.lists(FIGURES, min_size=4, max_size=4),
    order=st.permutations(range(4)),
)
def test_the_order_of_causes_moves_steps_and_never_the_total(
    posted: Decimal, effects: list[Decimal], order: list[int]
) -> None:
    """The figure after a set of causes does not depend on the order they were applied in."""

    def after(applied: frozenset[int]) -> Decimal:
        # Causes that act on each other: what one of them does depends on which others did.
        figure = posted
        for number in sorted(applied):
            share = PRODUCT.divide(Decimal(len(applied)), Decimal(4))
            figure = PRODUCT.add(figure, PRODUCT.multiply(effects[number], share))
        return figure

    def waterfall(numbers: Any) -> tuple[Decimal, dict[Any, Decimal]]:
        applied: frozenset[int] = frozenset()
        stages = []
        for number in numbers:
            applied |= {number}
            stages.append((CAUSES[number], after(applied)))
        steps = steps_of(posted, posted, stages)
        total = Decimal(0)
        for step in steps.values():
            total = PRODUCT.add(total, step)
        return total, steps

    total, _ = waterfall(range(4))
    assert waterfall(order)[0] == total == PRODUCT.subtract(after(frozenset(range(4))), posted)


def test_another_order_gives_other_steps() -> None:
    """10 kg, a factor 20 % higher and potentials 50 % higher: what comes second acts on more."""
    first = steps_of(
        Decimal(10), Decimal(10), [("factor_release", Decimal(12)), ("gwp_set", Decimal(18))]
    )
    second = steps_of(
        Decimal(10), Decimal(10), [("gwp_set", Decimal(15)), ("factor_release", Decimal(18))]
    )
    assert (first["factor_release"], first["gwp_set"]) == (2, 6)
    assert (second["factor_release"], second["gwp_set"]) == (3, 5)


def test_lines_that_come_out_the_same_are_left_alone() -> None:
    old = entry()
    other = replace(old, factor_release="next", code_version="2", flags="seen", cause="x")
    assert is_same(old, other)
    assert line_changes({1: old}, {1: old}, [("factor_release", {1: other})]) == []
    for name, value in (
        ("factor_version", 2),
        ("kgco2e", Decimal("10.000000000001")),
        ("kg_ch4", Decimal(0)),
        ("organization_id", "acme"),
        ("scope", 3),
    ):
        changed = replace(old, **{name: value})
        (found,) = line_changes({1: old}, {1: old}, [("factor_release", {1: changed})])
        assert (found.old, found.new) == (old, changed)


def test_what_todays_code_alone_changes_is_only_restated_when_asked_for() -> None:
    old, drifted = entry(), entry(kg="11")
    stages = [("factor_release", {1: drifted})]
    assert line_changes({1: old}, {1: drifted}, stages) == []  # type: ignore[arg-type]
    (found,) = line_changes({1: old}, {1: drifted}, [("method", {1: drifted})], recompute=True)
    assert found.steps["method"] == 1
    revised = entry(kg="15")
    (found,) = line_changes({1: old}, {1: drifted}, [("factor_release", {1: revised})])
    assert (found.steps["method"], found.steps["factor_release"]) == (1, 4)
    assert found.delta_kgco2e == 5


def test_lines_that_come_and_go() -> None:
    one, two, three = entry(1), entry(2, line_no=2), entry(3, kg="4", line_no=3)
    found = line_changes({1: one, 2: two}, {1: one, 2: two}, [("boundary", {1: one, 3: three})])
    assert [(item.old, item.new) for item in found] == [(two, None), (None, three)]
    assert [item.delta_kgco2e for item in found] == [-10, 4]
    # What was taken back for a reason of its own does not come again.
    assert line_changes({1: one}, {1: one}, [("boundary", {1: one, 3: three})], settled=[3]) == []


@given(
    figures=st.lists(st.tuples(FIGURES, FIGURES), min_size=1, max_size=20),
)
def test_old_plus_delta_is_new_and_sums_are_of_lines(
    figures: list[tuple[Decimal, Decimal]],
) -> None:
    effects = Effects()
    moved = Decimal(0)
    for number, (before, after) in enumerate(figures):
        old = replace(reading(number), kgco2e=before)
        new = replace(old, kgco2e=after, organization_id=f"org-{number % 3}")
        steps = steps_of(before, before, [("boundary", after)])
        one = LineChange(old=old, new=new, steps=steps)
        assert PRODUCT.add(old.kgco2e, one.delta_kgco2e) == new.kgco2e
        effects.add(one)
        moved = PRODUCT.add(moved, one.delta_kgco2e)
    assert effects.delta == moved
    for sums in (*effects.by.values(), effects.by_cause):
        total = Decimal(0)
        for kg in sums.values():
            total = PRODUCT.add(total, kg)
        assert total == moved


def test_a_restated_line_keeps_its_record_and_bears_its_cause() -> None:
    row = entry(1, topic="raw", topic_incarnation=0, kafka_partition=2, kafka_offset=9, batch_id=4)
    new = restated(row, f"{row.activity_ref}#c1", "restatement R-1: factor release x")
    assert (new.topic, new.kafka_offset, new.batch_id) == ("raw", 9, None)
    assert new.entry_id != row.entry_id
    assert new.cause == "restatement R-1: factor release x"
    assert reversal_of(sealed(new), recorded_at=row.recorded_at, cause="again").kgco2e == -10


def test_a_digest_tells_every_difference_and_no_order() -> None:
    old, new = entry(1), restated(entry(1, kg="11"), "a#c1", "restatement R-1: x")
    line = digest_line(old, new)
    assert digest_line(old, replace(new, recorded_at=datetime.now(UTC))) == line
    others = [
        digest_line(old, replace(new, kgco2e=Decimal("11.000000000001"))),
        digest_line(old, replace(new, cause="restatement R-2: x")),
        digest_line(entry(2), new),
        digest_line(old, None),
        digest_line(None, new),
    ]
    assert len({line, *others}) == 6
    orders = {digest_of_lines(order) for order in itertools.permutations([line, *others[:2]])}
    assert len(orders) == 1
    march, april = date(2024, 3, 1), date(2024, 4, 1)
    one, two = digest_of_lines([line]), digest_of_lines(others)
    assert digest_of_months({march: one, april: two}) == digest_of_months({april: two, march: one})
    assert digest_of_months({march: one, april: two}) != digest_of_months({march: two, april: one})


def test_names() -> None:
    assert person("  Group \n Controller ") == "Group Controller"
    assert same_person("GROUP controller", "Group  Controller")
    assert not same_person("Group Controller", "Group Control")
    for nobody in ("", "  ", "\u200b", "a\x00b", "x" * 201):
        with pytest.raises(RejectedRecord, match="names nobody"):
            person(nobody)


def test_a_restatement_changes_something() -> None:
    with pytest.raises(RejectedRecord, match="at least one thing"):
        check_target(Target())
    target = Target(max_vintage_gap_years=3, release_id="2026.1-0", gwp_set="AR6")
    assert target.causes == ("factor_release", "gwp_set", "method")
    assert target.text == "factor release 2026.1-0, GWP set AR6, vintage gap up to 3 years"


def test_cells_of_the_report_move_by_the_location_lines_alone() -> None:
    effects = Effects()
    effects.add(change(entry(1), entry(1, kg="12.5"), factor_release="2.5"))
    market = entry(2, basis="market")
    effects.add(change(market, replace(market, kgco2e=Decimal(99)), factor_release="89"))
    cells = report_cells(effects, {("default", 2024, ""): Decimal("0.5")})
    assert [(c["country_iso2"], c["stated"], c["delta"], c["restated"]) for c in cells] == [
        ("", "0.5", "0.0025", "0.5025"),
        ("DE", None, "0.0025", None),
    ]
    assert summary_of(effects)["by_kind"] == {
        "scope-2|-|location": "2.5",
        "scope-2|-|market": "89",
    }


@pytest.mark.parametrize(
    ("factor", "gwp", "is_due"),
    [
        ("4.9", "0", False),
        ("5", "0", True),
        ("-5", "0", True),
        ("3", "2", True),
        # A decrease does not hide an increase, nor does one add to the other.
        ("4.9", "-4.9", False),
        ("6", "-6", True),
    ],
)
def test_the_threshold_of_the_base_year(factor: str, gwp: str, is_due: bool) -> None:
    effects = Effects()
    old = entry(1, kg="100")
    new = replace(old, kgco2e=100 + Decimal(factor) + Decimal(gwp))
    effects.add(change(old, new, factor_release=factor, gwp_set=gwp))
    (found,) = base_year_effects(effects, 2024, {"default": Decimal(100)}, THRESHOLD)
    assert found["is_due"] is is_due
    assert base_year_effects(effects, 2023, {"default": Decimal(100)}, THRESHOLD) == []


def test_small_changes_count_together_until_the_base_year_is_recalculated() -> None:
    effects = Effects()
    old = entry(1, kg="100")
    effects.add(change(old, replace(old, kgco2e=Decimal(103)), factor_release="3"))
    totals = {"default": Decimal(103)}
    summaries = []
    for number in (1, 2, 3):
        earlier = changes_since_recalculation(summaries, 2024)
        (found,) = base_year_effects(effects, 2024, totals, THRESHOLD, earlier=earlier)
        summaries.append((number, {"base_year": [found]}))
    assert [one["base_year"][0]["is_due"] for _, one in summaries] == [False, True, False]
    assert [one["base_year"][0]["earlier_kgco2e"] for _, one in summaries] == ["0", "3", "0"]
    assert changes_since_recalculation(summaries, 2023) == {}


def test_a_recalculation_settles_the_changes_of_its_own_organization_alone() -> None:
    effects = Effects()
    for number, organization, more in ((1, "acme", 10), (2, "other", 1)):
        old = entry(number, kg="100", organization_id=organization)
        new = replace(old, kgco2e=Decimal(100 + more))
        effects.add(change(old, new, factor_release=str(more)))
    totals = {"acme": Decimal(110), "other": Decimal(101)}
    found = base_year_effects(effects, 2024, totals, THRESHOLD)
    assert [(one["organization_id"], one["is_due"]) for one in found] == [
        ("acme", True),
        ("other", False),
    ]
    open_changes = changes_since_recalculation([(1, {"base_year": found})], 2024)
    assert open_changes["acme"] == []
    assert [one.effect_kgco2e for one in open_changes["other"]] == [1]


def test_a_line_that_leaves_an_organization_leaves_its_base_year() -> None:
    effects = Effects()
    old = entry(1, kg="100")
    effects.add(change(old, replace(old, organization_id="acme"), boundary="0"))
    totals = {"default": Decimal(1000), "acme": Decimal(50)}
    found = base_year_effects(effects, 2024, totals, THRESHOLD, "divestment")
    assert [(one["organization_id"], one["delta_kgco2e"], one["is_due"]) for one in found] == [
        ("acme", "100", True),
        ("default", "-100", True),
    ]


def release_of(*factors: Any) -> FactorRelease:
    return make_release("test", factors)


def test_a_revised_figure_reaches_those_that_name_it() -> None:
    german, french = grid_factor(2024), grid_factor(2024, country_iso2="FR")
    new = sealed_factor(replace(german, version=2, kgco2e_per_unit=Decimal("0.3")))
    reach = factor_reach(release_of(german, french), release_of(new, french))
    assert reach.factor_ids == (german.factor_id,)
    assert factor_reach(release_of(german, french), release_of(german, french)).is_empty


def test_a_removed_or_a_new_factor_reaches_its_rivals() -> None:
    german, earlier = grid_factor(2024), grid_factor(2020)
    french = grid_factor(2024, country_iso2="FR")
    region = grid_factor(2024, region="DE-BY")
    solar = supply_factor("solar")
    old = release_of(german, earlier, french, solar)
    assert factor_reach(old, release_of(german, french, solar)).factor_ids == (earlier.factor_id,)
    added = factor_reach(old, release_of(german, earlier, french, solar, region))
    assert added.factor_ids == tuple(sorted((german.factor_id, earlier.factor_id)))
    # One that is now valid in another year may win where it did not.
    moved = sealed_factor(
        replace(earlier, version=2, valid_from=date(2023, 1, 1), valid_to=date(2024, 1, 1))
    )
    reach = factor_reach(old, release_of(german, moved, french, solar))
    assert reach.factor_ids == tuple(sorted((german.factor_id, earlier.factor_id)))


def test_reference_data_reach_by_what_they_are_of() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    site = Site(
        facility_id="P1",
        organization_id="acme",
        country_iso2="DE",
        time_zone="Europe/Berlin",
        recorded_at=moment,
    )
    vehicle = Vehicle(
        vehicle_id="V1",
        vehicle_class="artic_hgv_over_33t",
        fuel="diesel",
        ownership="own",
        recorded_at=moment + timedelta(days=1),
    )
    reach = boundary_reach([site, vehicle])
    assert reach.facilities == [("P1", moment)]
    assert reach.sources == [("V1", moment + timedelta(days=1))]
    assert (reach.streams, reach.everything) == ([], [])


YEAR: dict[str, Any] = {"valid_from": "2024-01-01", "valid_to": "2025-01-01"}
REACHED: list[tuple[Record, dict[str, list[str]]]] = [
    (meter("m1"), {"sources": ["m1"], "facilities": ["plant"]}),
    (supplier("s1"), {"sources": ["s1"]}),
    (SupplierItem(supplier_id="s1", product_id="p1", item_id="i1"), {"sources": ["s1"]}),
    (SpendClass(system="erp", code="4711", naics_code="331110"), {"streams": ["procurement"]}),
    (certificate("c1", facility_id="plant"), {"facilities": ["plant"]}),
    (residual_mix("0.7"), {"everything": ["all"]}),
    (entity("a"), {"everything": ["all"]}),
    (ownership("a"), {"everything": ["all"]}),
    (Revenue(entity_id="a", amount="1", currency="EUR", **YEAR), {}),
    (Budget(entity_id="a", budget_kgco2e="1", measure="scope_1", **YEAR), {}),
]


@pytest.mark.parametrize(
    ("record", "reached"), REACHED, ids=[type(record).__name__ for record, _ in REACHED]
)
def test_a_statement_reaches_all_that_it_may_decide_and_no_more(
    record: Record, reached: dict[str, list[str]]
) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    found = boundary_reach([replace(record, recorded_at=moment)])
    said = {
        "facilities": found.facilities,
        "sources": found.sources,
        "streams": found.streams,
        "everything": [("all", one) for one in found.everything],
    }
    assert said == {
        name: [(one, moment) for one in reached.get(name, [])]
        for name in ("facilities", "sources", "streams", "everything")
    }
    assert boundary_reach([replace(record, recorded_at=None)]) == boundary_reach([])


def test_a_supply_rivals_those_of_its_source_and_an_activity_s_factor_those_of_its_family() -> None:
    solar, wind = supply_factor("solar"), supply_factor("wind")
    peat = activity_factor()
    old = release_of(solar, wind, peat, grid_factor(2024))
    better = supply_factor("solar", technology="rooftop")
    assert factor_reach(old, release_of(*old.rows, better)).factor_ids == (solar.factor_id,)
    wood = activity_factor(selectors=(("fuel", "Wood"), ("stage", "combustion")))
    assert factor_reach(old, release_of(*old.rows, wood)).factor_ids == (peat.factor_id,)


def test_rates_prices_losses_and_potentials_reach_what_is_made_with_them() -> None:
    whole = {f"kg_{gas}_per_unit": Decimal("0.1") for gas in ("co2", "ch4", "n2o")}
    split = grid_factor(2024, country_iso2="GB", **whole)
    others = grid_factor(2024, country_iso2="FR", gas_coverage="CH4+N2O")
    rows = (grid_factor(2024), split, others)
    old = release_of(*rows)

    def reached(series: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        new = make_release("test", rows, [index(series, "DE", 2024, "1")])
        found = factor_reach(old, new)
        assert not found.is_empty
        # What is taken away is missed as what is new is seen.
        back = factor_reach(new, old)
        assert (back.factor_ids, back.streams) == (found.factor_ids, found.streams)
        assert (back.from_release, found.from_release) == (new.release_id, old.release_id)
        return found.factor_ids, found.streams

    assert reached("gwp_100")[0] == tuple(sorted((split.factor_id, others.factor_id)))
    assert reached("gwp_100")[1] == ()
    assert reached("td_loss_pct") == ((), ("iot_energy", "transport"))
    prices = ("logistics", "procurement", "supplier", "transport")
    assert reached("fx_eur_annual_avg") == ((), prices)
    assert reached("us_cpi_u_index") == ((), prices)


def test_a_line_is_of_the_month_of_what_stands_or_else_of_what_comes() -> None:
    old, new = entry(1), entry(2)
    assert [change(*sides).side for sides in ((old, new), (old, None), (None, new))] == [
        *(old, old, new),
    ]
    with pytest.raises(BrokenInvariant) as broken:
        _ = change(None, None).side
    assert broken.value.code == "restatement_line"


def test_a_summary_tells_every_sum_by_its_name() -> None:
    effects = Effects()
    old = entry(1, kg="10", kg_co2_fossil=Decimal(9), kg_ch4=Decimal("0.5"))
    new = replace(old, kgco2e=Decimal(13), kg_co2_fossil=Decimal(11), kg_ch4=None)
    effects.add(change(old, new, factor_release="4", gwp_set="-1"))
    moved = entry(2, kg="5", scope=3, category=4, facility_id="plant-2", country_iso2="FR")
    effects.add(change(moved, replace(moved, country_iso2="CH"), boundary="0"))
    effects.refused["factor_missing"] += 2
    effects.not_recomputable = 1
    assert summary_of(effects) == {
        "entries": 2,
        "delta_kgco2e": "3",
        "by_cause": {"factor_release": "4", "gwp_set": "-1", "boundary": "0", "method": "0"},
        "by_gas": {name: {"kg_co2_fossil": "2", "kg_ch4": "-0.5"}.get(name, "0") for name in GASES},
        "by_organization": {"default": "3"},
        "by_facility": {"plant-1": "3"},
        "by_country": {"CH": "5", "DE": "3", "FR": "-5"},
        "by_kind": {"scope-2|-|location": "3"},
        "by_fiscal_year": {"2024": "3"},
        "refused": {"factor_missing": 2},
        "not_recomputable": 1,
    }
    assert report_cells(effects, {})[0]["delta"] == "0.003"


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"scope": 1, "basis": "combustion"}, True),
        ({"scope": 2}, True),
        ({"scope": 3, "category": 4, "basis": "supplier"}, True),
        ({"scope": 2, "basis": "market"}, False),
        ({"scope": 0, "basis": "informational"}, False),
    ],
)
def test_the_base_year_is_moved_by_what_is_in_its_total_by_location(
    changes: dict[str, Any], counts: bool
) -> None:
    effects = Effects()
    old = entry(1, kg="100", **changes)
    effects.add(change(old, replace(old, kgco2e=Decimal(110)), factor_release="10"))
    found = base_year_effects(effects, 2024, {"default": Decimal(100)}, THRESHOLD)
    assert [one["delta_kgco2e"] for one in found] == (["10"] if counts else [])
    gone = Effects()
    gone.add(change(old, None, boundary="-100"))
    gone.add(change(None, old, boundary="100"))
    found = base_year_effects(gone, 2024, {"default": Decimal(100)}, THRESHOLD)
    assert [one["changes"] for one in found] == ([{}] if counts else [])


def test_what_a_base_year_is_told_of_a_restatement() -> None:
    effects = Effects()
    old = entry(1, kg="100")
    effects.add(
        change(old, replace(old, kgco2e=Decimal(109)), factor_release="4", gwp_set="3", method="2")
    )
    (found,) = base_year_effects(effects, 2024, {"default": Decimal(200)}, THRESHOLD)
    assert "9.3" in found.pop("reason")
    assert found == {
        "organization_id": "default",
        "base_year": 2024,
        "stated_kgco2e": "200",
        "earlier_kgco2e": "0",
        "delta_kgco2e": "9",
        "threshold": "0.05",
        "changes": {
            "factor_release": ["better_factor_data", "4"],
            "gwp_set": ["method_change", "3"],
            "method": ["method_change", "2"],
        },
        "is_due": False,
    }
    (nothing,) = base_year_effects(effects, 2024, {}, THRESHOLD)
    assert (nothing["is_due"], nothing["stated_kgco2e"]) == (False, "0")
    assert "no figure above zero" in nothing["reason"]
