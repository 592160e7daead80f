"""When the base year is recalculated, and what the adjustment lines say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.activities.category_methods import lines_of_activity
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.organisation.base_year import (
    NO_TRIGGERS,
    TRIGGERS,
    Change,
    FigureKey,
    InventoryVersion,
    assess,
    figures_of,
    recalculate,
)
from tests.support.inventory_examples import inventory

BASE = Decimal(1000)
TEN = Decimal("0.10")
OLD = InventoryVersion(
    boundary_version="2023",
    method_version="1",
    factor_release="2024.1",
    gwp_set="AR5",
    as_of=datetime(2024, 3, 1, tzinfo=UTC),
)
NEW = replace(OLD, boundary_version="2024", gwp_set="AR6")
SCOPE_1 = FigureKey(scope=1, category=None)
LOCATION = FigureKey(scope=2, category=None, basis="location")
PURCHASES = FigureKey(scope=3, category=1)


def change(kind: str, effect: str, change_id: str = "c1", **more: Any) -> Change:
    return Change(change_id=change_id, kind=kind, year=2024, effect_kgco2e=Decimal(effect), **more)


# changes, whether a recalculation is due
ASSESSED: dict[str, tuple[list[Change], bool]] = {
    "an acquisition at the threshold": ([change("acquisition", "100")], True),
    "an acquisition just below it": ([change("acquisition", "99.999999")], False),
    "a divestment": ([change("divestment", "-250")], True),
    "organic growth of any size": ([change("organic_growth", "900")], False),
    "a real change of fuel": ([change("fuel_change", "-400")], False),
    "a new site founded since": ([change("founded_after_base_year", "500")], False),
    "three small acquisitions together": (
        [change("acquisition", "40", f"c{number}") for number in range(3)],
        True,
    ),
    "two small acquisitions": (
        [change("acquisition", "40", f"c{number}") for number in range(2)],
        False,
    ),
    "an acquisition cannot hide a divestment": (
        [change("acquisition", "100", "a"), change("divestment", "-100", "b")],
        True,
    ),
    "small ones of both signs": (
        [change("acquisition", "60", "a"), change("divestment", "-60", "b")],
        False,
    ),
    "growth does not help an acquisition over it": (
        [change("acquisition", "60", "a"), change("organic_growth", "60", "b")],
        False,
    ),
    "better data and an error together": (
        [change("better_factor_data", "-60", "a"), change("error", "-40", "b")],
        True,
    ),
    "outsourcing into a reported category": (
        [change("outsourcing", "-300", was_reported_elsewhere=True)],
        False,
    ),
    "outsourcing into a category that is not reported": (
        [change("outsourcing", "-300", was_reported_elsewhere=False)],
        True,
    ),
    "outsourcing where the scopes have bases of their own": (
        [change("outsourcing", "-300", was_reported_elsewhere=True, shares_one_base_year=False)],
        True,
    ),
    "insourcing of what was reported": (
        [change("insourcing", "300", was_reported_elsewhere=True)],
        False,
    ),
    "nothing changed": ([], False),
}


@pytest.mark.parametrize(("changes", "is_due"), ASSESSED.values(), ids=ASSESSED)
def test_only_the_threshold_makes_a_recalculation_due(changes: list[Change], is_due: bool) -> None:
    assessment = assess(changes, BASE, TEN)
    assert assessment.is_due is is_due
    assert "9.3" in assessment.reason
    assert all(one.reason for one in assessment.judgements)


def test_the_reason_tells_one_large_change_from_several_together_and_from_too_few() -> None:
    small = [change("acquisition", "40", f"c{number}") for number in range(3)]
    large = change("acquisition", "100")
    reasons = [assess(those, BASE, TEN).reason for those in ([large], small, small[:2])]
    assert reasons[0].startswith("one change reaches the threshold of 0.10")
    assert reasons[1].startswith("changes in one direction together reach the threshold")
    assert reasons[2].startswith("no change, nor several together, reaches the threshold")


def test_shares_are_exact_and_the_threshold_is_not_lost_to_rounding() -> None:
    changes = [change("acquisition", "1", f"c{number}") for number in range(3)]
    assert assess(changes, Decimal(30), TEN).increase == Fraction(1, 10)
    assert assess(changes, Decimal(30), TEN).is_due


@pytest.mark.parametrize(
    ("changes", "base", "threshold", "code"),
    [
        ([], "0", "0.1", "base_year_total"),
        ([], "1000", "0", "threshold_out_of_range"),
        ([], "1000", "1.5", "threshold_out_of_range"),
        ([change("error", "1"), change("error", "2")], "1000", "0.1", "duplicate_change"),
    ],
)
def test_an_assessment_that_cannot_be_made_is_refused(
    changes: list[Change], base: str, threshold: str, code: str
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        assess(changes, Decimal(base), Decimal(threshold))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("kind", "code"), [("takeover", "unknown_change"), ("outsourcing", "fact_missing")]
)
def test_a_change_that_does_not_say_enough_is_refused(kind: str, code: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        change(kind, "1")
    assert refused.value.code == code


def test_a_change_is_a_trigger_or_is_none() -> None:
    assert not set(TRIGGERS) & set(NO_TRIGGERS)


STATED = {
    2022: {SCOPE_1: Decimal(600), LOCATION: Decimal(400)},
    2023: {SCOPE_1: Decimal(550), LOCATION: Decimal("380.5")},
    2024: {SCOPE_1: Decimal(500), LOCATION: Decimal(300)},
}
RECOMPUTED = {
    2022: {SCOPE_1: Decimal(750), LOCATION: Decimal(400), PURCHASES: Decimal(90)},
    2023: {SCOPE_1: Decimal(700), LOCATION: Decimal("380.5"), PURCHASES: Decimal(80)},
    2024: {SCOPE_1: Decimal(500)},
}
DUE = assess([change("acquisition", "150", "bought-A")], BASE, TEN)
YEARS: dict[str, Any] = {"base_year": 2022, "current_year": 2024, "versions": (OLD, NEW)}


def test_every_year_from_the_base_year_gets_its_adjustment_lines() -> None:
    lines = recalculate(DUE, STATED, RECOMPUTED, **YEARS, backcast_years=(2022,))
    assert [(line.year, line.key, line.effect_kgco2e) for line in lines] == [
        (2022, SCOPE_1, 150),
        (2022, PURCHASES, 90),
        (2023, SCOPE_1, 150),
        (2023, PURCHASES, 80),
        (2024, LOCATION, -300),
    ]
    assert {line.reason_codes for line in lines} == {("acquisition",)}
    assert {line.change_ids for line in lines} == {("bought-A",)}
    assert [line.flags for line in lines][:3] == [("backcast",), ("backcast",), ()]
    assert lines[0].effect.written()[-1] == "  = 150 kgCO2e"


def test_stated_and_adjustments_make_the_recalculated_figures_and_nothing_is_overwritten() -> None:
    before = {year: dict(figures) for year, figures in STATED.items()}
    for line in recalculate(DUE, STATED, RECOMPUTED, **YEARS):
        assert line.recalculated_kgco2e == RECOMPUTED[line.year].get(line.key, Decimal(0))
        assert (line.from_version, line.to_version) == (OLD.version_id, NEW.version_id)
    assert before == STATED


@pytest.mark.parametrize(
    ("assessment", "recomputed", "changes", "code"),
    [
        (assess([], BASE, TEN), RECOMPUTED, {}, "recalculation_not_due"),
        (DUE, {2022: {}, 2024: {}}, {}, "year_missing"),
        (DUE, RECOMPUTED, {"versions": (OLD, OLD)}, "inventory_version_unchanged"),
        (DUE, RECOMPUTED, {"base_year": 2025}, "year_order"),
    ],
)
def test_a_recalculation_that_is_not_due_or_not_whole_is_refused(
    assessment: Any, recomputed: Any, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        recalculate(assessment, STATED, recomputed, **{**YEARS, **changes})
    assert refused.value.code == code


def test_a_version_is_told_by_everything_in_it() -> None:
    ids = {OLD.version_id, NEW.version_id}
    for field, value in (
        ("method_version", "2"),
        ("factor_release", "2025.1"),
        ("as_of", datetime(2024, 3, 2, tzinfo=UTC)),
    ):
        ids.add(replace(OLD, **{field: value}).version_id)
    assert len(ids) == 5
    assert replace(OLD).version_id == OLD.version_id


def test_figures_are_sums_of_lines_without_what_is_in_no_total() -> None:
    base = {"quantity": "1", "unit": "kWh", "factor": {"kgco2e": "0.1", "per": "kWh"}}
    activities: list[dict[str, Any]] = [
        {"scope": 1, **base},
        {"scope": 1, **base},
        {"scope": 2, "basis": "location", **base},
        {"scope": 2, "basis": "market", **base},
        {"scope": 3, "category": 1, **base},
        base,
    ]
    lines = [line for one in activities for line in lines_of_activity(one, inventory())]
    assert figures_of(lines) == {
        SCOPE_1: Decimal("0.2"),
        LOCATION: Decimal("0.1"),
        replace(LOCATION, basis="market"): Decimal("0.1"),
        PURCHASES: Decimal("0.1"),
    }


@given(effects=st.lists(st.integers(-2000, 2000), max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_set_of_changes_below_the_threshold_in_both_directions_is_due(
    effects: list[int],
) -> None:
    changes = [change("error", str(one), f"c{number}") for number, one in enumerate(effects)]
    up = sum(one for one in effects if one > 0)
    down = -sum(one for one in effects if one < 0)
    assert assess(changes, BASE, TEN).is_due is (up >= 100 or down >= 100)


def test_category_3_of_both_bases_is_not_added_up() -> None:
    book = inventory([])
    activity = {"scope": 3, "category": 3, "quantity": "10", "unit": "kgCO2e"}
    (location,) = lines_of_activity({**activity, "basis": "location"}, book)
    (market,) = lines_of_activity({**activity, "basis": "market"}, book)
    (fuel,) = lines_of_activity(activity, book)
    assert figures_of([location, market, fuel]) == {
        FigureKey(scope=3, category=3): 20,
        FigureKey(scope=3, category=3, basis="market"): 10,
    }
