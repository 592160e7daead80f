"""Trees of meters: each kWh once, whatever is missing."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from carbon_ledger.energy.meter_trees import (
    Attribution,
    MeterTree,
    TreeMeter,
    attribute,
    tree_on,
)
from carbon_ledger.errors import RejectedRecord

DAY = date(2025, 5, 1)
TREES = 10_000


def main(meter_id: str = "main", **changes: object) -> TreeMeter:
    return TreeMeter(meter_id=meter_id, kind="main", **changes)  # type: ignore[arg-type]


def sub(meter_id: str, parent_id: str = "main", **changes: object) -> TreeMeter:
    return TreeMeter(
        meter_id=meter_id,
        kind="sub",
        parent_id=parent_id,
        **changes,  # type: ignore[arg-type]
    )


def virtual(meter_id: str, share: str | None, parent_id: str = "main") -> TreeMeter:
    return TreeMeter(
        meter_id=meter_id,
        kind="virtual",
        parent_id=parent_id,
        share=None if share is None else Fraction(share),
    )


PLANT = (main(), sub("hall"), sub("office"), sub("press", "hall"), sub("oven", "hall"))


def own(found: Attribution) -> dict[str, Fraction]:
    return {name: one.kwh for name, one in found.own.items()}


def read(tree: MeterTree, **kwh: str | None) -> Attribution:
    return attribute(tree, {k: None if v is None else Decimal(v) for k, v in kwh.items()})


CASES = [
    # readings, what each accounts for, flags of one meter
    (
        {"main": "100", "hall": "60", "office": "10", "press": "25", "oven": "30"},
        {"main": 30, "hall": 5, "office": 10, "press": 25, "oven": 30},
        (),
    ),
    # A gap of a sub-meter is in the residual above it.
    (
        {"main": "100", "hall": "60", "press": "25", "oven": "30"},
        {"main": 40, "hall": 5, "office": 0, "press": 25, "oven": 30},
        ("office", "gap_in_residual_above"),
    ),
    # What is read below a gap still counts where it is.
    (
        {"main": "100", "office": "10", "press": "25", "oven": "30"},
        {"main": 35, "hall": 0, "office": 10, "press": 25, "oven": 30},
        ("hall", "gap_in_residual_above"),
    ),
    # A gap of the main meter: only what was read below it is known.
    (
        {"hall": "60", "office": "10", "press": "25"},
        {"main": 0, "hall": 35, "office": 10, "press": 25, "oven": 0},
        ("main", "gap_not_covered"),
    ),
    ({}, {"main": 0, "hall": 0, "office": 0, "press": 0, "oven": 0}, ("press", "gap_not_covered")),
    # Sub-meters a little above the main one: scaled to it, all the way down.
    (
        {"main": "100", "hall": "92", "office": "10", "press": "46", "oven": "46"},
        {
            "main": 0,
            "hall": 0,
            "office": Fraction(1000, 102),
            "press": Fraction(4600, 102),
            "oven": Fraction(4600, 102),
        },
        ("press", "sub_meters_scaled_to_main"),
    ),
    ({"main": "0"}, {"main": 0, "hall": 0, "office": 0, "press": 0, "oven": 0}, ()),
]


@pytest.mark.parametrize(("readings", "expected", "flag"), CASES)
def test_each_kwh_once(
    readings: dict[str, str], expected: dict[str, Fraction | int], flag: tuple[str, str] | tuple[()]
) -> None:
    found = read(tree_on(PLANT, DAY), **readings)
    assert own(found) == expected
    assert sum(own(found).values()) == found.total_kwh
    if flag:
        assert flag[1] in found.own[flag[0]].flags


def test_a_virtual_meter_takes_its_share_of_the_residual_and_a_group_takes_nothing() -> None:
    meters = (
        main(),
        virtual("tenant", "1/3"),
        virtual("own", "1/2"),
        virtual("floor", None),
        sub("a", "floor"),
    )
    found = read(tree_on(meters, DAY), main="100", a="40")
    assert own(found) == {"main": 10, "tenant": 20, "own": 30, "floor": 0, "a": 40}
    assert "share_of_residual_of:main" in found.own["tenant"].flags


def test_an_estimate_fills_the_gap_of_a_main_meter_and_is_raised_to_what_was_read_below() -> None:
    tree = tree_on(PLANT, DAY)
    readings = {"hall": Decimal(60), "office": Decimal(10)}
    enough = attribute(tree, readings, estimates={"main": Fraction(100)})
    assert own(enough)["main"] == 30
    assert "estimated" in enough.own["main"].flags
    assert enough.not_covered == ()
    low = attribute(tree, readings, estimates={"main": Fraction(50)})
    assert (low.total_kwh, own(low)["main"]) == (70, 0)
    assert "estimate_raised_to_sub_meters" in low.own["main"].flags


def test_the_tree_of_a_day_is_the_one_that_was_in_force() -> None:
    moved = (
        main("east"),
        main("west"),
        sub("press", "east", valid_to=DAY),
        sub("press", "west", valid_from=DAY),
    )
    before, after = tree_on(moved, date(2025, 4, 30)), tree_on(moved, DAY)
    readings = {"east": "50", "west": "20", "press": "5"}
    assert own(read(before, **readings)) == {"east": 45, "west": 20, "press": 5}
    assert own(read(after, **readings)) == {"east": 50, "west": 15, "press": 5}


REFUSED_TREES = [
    ((main(), main()), "meter_twice"),
    ((sub("a", "b"), sub("b", "a")), "meter_cycle"),
    ((main(), sub("a", "gone")), "meter_parent_missing"),
    ((main(valid_to=DAY), sub("a")), "meter_parent_missing"),
    ((main(), TreeMeter(meter_id="x", kind="main", parent_id="main")), "main_below_meter"),
    ((TreeMeter(meter_id="x", kind="virtual"),), "meter_parent_missing"),
    ((main(), sub("a", share=Fraction(1, 2))), "virtual_share"),
    ((main(), virtual("v", "3/2")), "virtual_share"),
    ((main(), virtual("v", "2/3"), virtual("w", "1/2")), "virtual_share"),
]


@pytest.mark.parametrize(("meters", "code"), REFUSED_TREES)
def test_what_is_no_tree_is_refused(meters: tuple[TreeMeter, ...], code: str) -> None:
    with pytest.raises(RejectedRecord) as caught:
        tree_on(meters, DAY)
    assert caught.value.code == code


REFUSED_READINGS: list[tuple[Mapping[str, str], str]] = [
    ({"main": "100", "hall": "103"}, "submeters_exceed_main"),
    # The tolerance is of the main reading, not of what the sub-meters read.
    ({"main": "100", "hall": "102.01"}, "submeters_exceed_main"),
    ({"main": "0", "hall": "0.001"}, "submeters_exceed_main"),
    ({"hall": "60", "press": "50", "oven": "12"}, "submeters_exceed_main"),
    ({"main": "100", "cellar": "1"}, "meter_not_in_tree"),
    ({"main": "-1"}, "negative_quantity"),
    ({"main": "NaN"}, "negative_quantity"),
    ({"main": "5", "share": "1"}, "virtual_meter_read"),
]


@pytest.mark.parametrize(("readings", "code"), REFUSED_READINGS)
def test_readings_that_cannot_be_are_refused(readings: Mapping[str, str], code: str) -> None:
    tree = tree_on((*PLANT, virtual("share", "1/2")), DAY)
    with pytest.raises(RejectedRecord) as caught:
        read(tree, **readings)
    assert caught.value.code == code


def test_a_gap_below_a_main_meter_takes_no_estimate() -> None:
    with pytest.raises(RejectedRecord) as caught:
        attribute(tree_on(PLANT, DAY), {}, estimates={"hall": Fraction(5)})
    assert caught.value.code == "estimate_below_main"


# ---- random trees


def random_tree(dice: random.Random) -> tuple[list[TreeMeter], dict[str, Decimal]]:
    """A tree, and what truly flows through each of its meters: own use plus what is below."""
    meters: list[TreeMeter] = []
    used: dict[str, int] = {}
    for number in range(dice.randint(1, 9)):
        name = f"m{number}"
        if not meters or dice.random() < 0.15:
            meters.append(main(name))
        elif dice.random() < 0.15:
            share = f"1/{dice.randint(4, 9)}" if dice.random() < 0.7 else None
            meters.append(virtual(name, share, dice.choice(meters).meter_id))
        else:
            meters.append(sub(name, dice.choice(meters).meter_id))
        # A virtual meter draws nothing of its own: it is a share of what the one above draws.
        used[name] = 0 if meters[-1].kind == "virtual" else dice.randint(0, 5_000)
    flow = dict(used)
    for one in reversed(meters):
        if one.parent_id is not None:
            flow[one.parent_id] += flow[one.meter_id]
    return meters, {name: Decimal(kwh).scaleb(-1) for name, kwh in flow.items()}


def nearest_read(
    name: str, children: Mapping[str, tuple[str, ...]], readings: Mapping[str, Decimal]
) -> Fraction:
    """What is known below and of a meter, by the definition: the topmost readings, once each."""
    if name in readings:
        return Fraction(readings[name])
    return sum((nearest_read(one, children, readings) for one in children[name]), Fraction(0))


def test_ten_thousand_trees_with_gaps_count_every_kwh_once() -> None:
    dice = random.Random(20250501)
    with_gaps = 0
    for _ in range(TREES):
        meters, flow = random_tree(dice)
        tree = tree_on(meters, DAY)
        readings = {
            one.meter_id: flow[one.meter_id]
            for one in meters
            if one.kind != "virtual" and dice.random() > 0.25
        }
        with_gaps += len(readings) < sum(one.kind != "virtual" for one in meters)
        found = attribute(tree, readings)
        everything = sum(
            (nearest_read(root, tree.children, readings) for root in tree.roots), Fraction(0)
        )
        assert sum((one.kwh for one in found.own.values()), Fraction(0)) == everything
        assert found.total_kwh == everything
        assert all(one.kwh >= 0 for one in found.own.values())
        for name, reading in readings.items():
            assert subtree(name, tree, found) == Fraction(reading)
        if set(tree.roots) <= set(readings):
            assert everything == sum(Fraction(flow[root]) for root in tree.roots)
            assert found.not_covered == ()
    assert with_gaps > TREES // 2


def subtree(name: str, tree: MeterTree, found: Attribution) -> Fraction:
    """What a meter and all below it account for."""
    below = (subtree(child, tree, found) for child in tree.children[name])
    return found.own[name].kwh + sum(below, Fraction(0))


def test_a_reading_that_comes_late_moves_kwh_but_adds_none() -> None:
    dice = random.Random(7)
    for _ in range(500):
        meters, flow = random_tree(dice)
        tree = tree_on(meters, DAY)
        readings = {root: flow[root] for root in tree.roots}
        total = attribute(tree, readings).total_kwh
        for one in dice.sample(meters, len(meters)):
            if one.kind == "sub":
                readings[one.meter_id] = flow[one.meter_id]
                assert attribute(tree, readings).total_kwh == total
