"""Who owns and controls whom on which day, and what of an entity counts by which approach."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.activities.category_methods import lines_of_activity
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import EmissionLine
from carbon_ledger.organisation.boundary import Approach, GroupStructure, Holding, prorated
from carbon_ledger.organisation.consolidation import investee_remainder, view_of
from carbon_ledger.organisation.group_register import structure_of, value_chain_of
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.records import Entity, Ownership
from carbon_ledger.reference.register import Register
from carbon_ledger.workings import Operand
from tests.support.inventory_examples import inventory, recomputed

NOW = datetime(2025, 6, 1, tzinfo=UTC)
EARLY = datetime(2020, 1, 1, tzinfo=UTC)
LATER = datetime(2025, 3, 1, tzinfo=UTC)
DAY = date(2024, 7, 1)
APPROACHES: tuple[Approach, ...] = (
    "equity_share",
    "financial_control",
    "operational_control",
    "esrs",
)


def holding(owner: str, entity: str, share: str, control: str = "", **changes: Any) -> Holding:
    """A holding of `share`; `control` has an f for financial and an o for operational control."""
    given: dict[str, Any] = {
        "equity_share": Fraction(share) if "/" in share else Decimal(share),
        "has_financial_control": "f" in control,
        "has_operational_control": "o" in control,
        "valid_from": date(2020, 1, 1),
        "known_from": EARLY,
        **changes,
    }
    return Holding(owner_id=owner, entity_id=entity, **given)


def group(*holdings: Holding, known_at: datetime = NOW, names: str = "PABCDE") -> GroupStructure:
    return GroupStructure("P", list(names), holdings, known_at)


def test_a_chain_of_ownership_is_multiplied_and_its_shares_are_operands() -> None:
    structure = group(holding("P", "A", "0.83"), holding("A", "B", "0.75"))
    found = structure.inclusion("B", DAY, "equity_share")
    assert found.own_share == Fraction("0.6225")
    assert [str(operand.value) for operand in found.paths[0]] == ["0.83", "0.75"]
    assert "A in B" in found.paths[0][1].label


def test_two_chains_to_one_entity_add_up() -> None:
    structure = group(
        holding("P", "A", "0.5"),
        holding("P", "B", "1/3"),
        holding("A", "C", "0.4"),
        holding("B", "C", "0.6"),
    )
    assert structure.inclusion("C", DAY, "equity_share").own_share == Fraction(2, 5)


STRUCTURE = (
    holding("P", "A", "0.6", "fo"),
    holding("P", "B", "0.4", "o"),
    holding("P", "C", "0.25"),
    holding("P", "D", "0.51", "f"),
    holding("D", "E", "0.5", "o"),
)

# approach -> (share of scopes 1 and 2, share in category 15) of A, B, C, D, E
VIEWS: dict[Approach, list[tuple[str, str]]] = {
    "equity_share": [("3/5", "0"), ("2/5", "0"), ("1/4", "0"), ("51/100", "0"), ("51/200", "0")],
    "financial_control": [("1", "0"), ("0", "2/5"), ("0", "1/4"), ("1", "0"), ("0", "51/200")],
    "operational_control": [("1", "0"), ("1", "0"), ("0", "1/4"), ("0", "51/100"), ("1", "0")],
    "esrs": [("1", "0"), ("1", "0"), ("0", "1/4"), ("1", "0"), ("1", "0")],
}


@pytest.mark.parametrize("approach", APPROACHES)
def test_each_approach_counts_its_own_share_of_the_same_entities(approach: Approach) -> None:
    structure = group(*STRUCTURE)
    found = [structure.inclusion(name, DAY, approach) for name in "ABCDE"]
    expected = [(Fraction(own), Fraction(stake)) for own, stake in VIEWS[approach]]
    assert [(one.own_share, one.stake) for one in found] == expected
    assert {one.approach for one in found} == {approach}
    assert all((one.reason and "chapter 3" in one.reason) or approach == "esrs" for one in found)


def test_esrs_keeps_the_accounting_group_apart_from_what_is_only_operated() -> None:
    structure = group(*STRUCTURE)
    groups = [structure.inclusion(name, DAY, "esrs").group for name in "PABCDE"]
    assert groups == [
        "accounting_group",
        "accounting_group",
        "operational_control",
        "value_chain",
        "accounting_group",
        "operational_control",
    ]


def test_the_reporter_itself_counts_whole_by_every_approach() -> None:
    for approach in APPROACHES:
        assert group().inclusion("P", DAY, approach).own_share == 1


def test_ownership_changes_on_its_day_and_not_before() -> None:
    structure = group(
        holding("P", "A", "1", "fo", valid_to=date(2024, 7, 1)),
        holding("P", "A", "0.2", valid_from=date(2024, 7, 1)),
    )
    last = structure.inclusion("A", date(2024, 6, 30), "equity_share")
    first = structure.inclusion("A", date(2024, 7, 1), "equity_share")
    assert (last.own_share, first.own_share) == (1, Fraction(1, 5))
    sold = structure.inclusion("A", date(2024, 7, 1), "operational_control")
    assert (sold.own_share, sold.stake) == (0, Fraction(1, 5))


def test_what_became_known_later_replaces_what_was_known_only_from_then_on() -> None:
    rows = (
        holding("P", "A", "0.4"),
        holding("P", "A", "0.6", known_from=LATER, valid_from=date(2024, 1, 1)),
    )
    before = group(*rows, known_at=datetime(2025, 2, 1, tzinfo=UTC))
    after = group(*rows, known_at=NOW)
    assert before.inclusion("A", DAY, "equity_share").own_share == Fraction("0.4")
    assert after.inclusion("A", DAY, "equity_share").own_share == Fraction("0.6")
    assert after.inclusion("A", date(2023, 7, 1), "equity_share").own_share == Fraction("0.4")


def test_control_during_part_of_a_year_counts_whole_for_its_days() -> None:
    structure = group(
        holding("P", "A", "0.3", valid_to=date(2024, 3, 1)),
        holding("P", "A", "0.3", "o", valid_from=date(2024, 3, 1), valid_to=date(2024, 9, 1)),
        holding("P", "A", "0.3", valid_from=date(2024, 9, 1)),
    )
    first, end = date(2024, 1, 1), date(2025, 1, 1)
    spans = structure.spans("A", first, end, "operational_control")
    assert [(start.isoformat(), one.own_share) for start, _, one in spans] == [
        ("2024-01-01", 0),
        ("2024-03-01", 1),
        ("2024-09-01", 0),
    ]
    (path,) = prorated(spans, first, end)
    assert [str(operand.value) for operand in path] == ["184", "366"]


def test_spans_that_change_nothing_are_one() -> None:
    structure = group(
        holding("P", "A", "1", "fo", valid_to=date(2024, 3, 1)),
        holding("P", "A", "0.7", "fo", valid_from=date(2024, 3, 1)),
    )
    year = (date(2024, 1, 1), date(2025, 1, 1))
    assert len(structure.spans("A", *year, "financial_control")) == 1
    assert len(structure.spans("A", *year, "equity_share")) == 2


GAP = (
    holding("P", "A", "1", valid_to=date(2021, 1, 1)),
    holding("P", "A", "1", valid_from=date(2021, 1, 2)),
)
REFUSED: dict[str, tuple[tuple[Holding, ...], str]] = {
    "a ring of owners": ((holding("A", "B", "0.5"), holding("B", "A", "0.5")), "ownership_cycle"),
    "a longer ring, by control alone": (
        (holding("A", "B", "0.5"), holding("B", "C", "0", "o"), holding("C", "A", "0.1")),
        "ownership_cycle",
    ),
    "shares above one": (
        (holding("P", "A", "0.7"), holding("B", "A", "0.300001")),
        "shares_above_one",
    ),
    "shares above one for some months": (
        (
            holding("P", "A", "0.7"),
            holding("B", "A", "0.4", valid_from=date(2023, 1, 1), valid_to=date(2023, 4, 1)),
        ),
        "shares_above_one",
    ),
    "two rows for one day": (
        (holding("P", "A", "0.7"), holding("P", "A", "0.6", valid_from=date(2022, 1, 1))),
        "holding_overlap",
    ),
    "a day without row": (GAP, "holding_gap"),
    "an owner nobody knows": ((holding("X", "A", "0.7"),), "unknown_entity"),
    "an entity nobody knows": ((holding("P", "X", "0.7"),), "unknown_entity"),
}


@pytest.mark.parametrize(("holdings", "code"), REFUSED.values(), ids=REFUSED)
def test_a_structure_that_cannot_be_is_refused(holdings: tuple[Holding, ...], code: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        group(*holdings)
    assert refused.value.code == code
    assert refused.value.valid


def test_a_row_that_is_not_known_yet_breaks_nothing() -> None:
    late = holding("B", "A", "0.9", known_from=datetime(2026, 1, 1, tzinfo=UTC))
    group(holding("P", "A", "0.7"), late)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"equity_share": Decimal("1.0001")}, "share_out_of_range"),
        ({"equity_share": Decimal("-0.1")}, "share_out_of_range"),
        ({"valid_to": date(2020, 1, 1)}, "empty_validity"),
        ({"entity_id": "P"}, "owns_itself"),
    ],
)
def test_a_holding_that_cannot_be_is_refused(changes: dict[str, Any], code: str) -> None:
    given = {
        "owner_id": "P",
        "entity_id": "A",
        "equity_share": Decimal("0.5"),
        "has_financial_control": False,
        "has_operational_control": False,
        "valid_from": date(2020, 1, 1),
        "known_from": EARLY,
    }
    with pytest.raises(RejectedRecord) as refused:
        Holding(**{**given, **changes})
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("entity", "on", "approach", "code"),
    [
        ("X", DAY, "equity_share", "unknown_entity"),
        ("A", date(2019, 12, 31), "equity_share", "boundary_undated"),
        ("B", DAY, "equity_share", "boundary_undated"),
        ("A", DAY, "fair_share", "unknown_consolidation"),
    ],
)
def test_a_question_that_has_no_answer_is_refused(
    entity: str, on: date, approach: Any, code: str
) -> None:
    structure = group(holding("P", "A", "0.5"))
    with pytest.raises(RejectedRecord) as refused:
        structure.inclusion(entity, on, approach)
    assert refused.value.code == code


def test_a_subsidiary_of_what_was_not_held_yet_is_undated_too() -> None:
    structure = group(holding("P", "A", "1", valid_from=date(2022, 1, 1)), holding("A", "B", "1"))
    with pytest.raises(RejectedRecord) as refused:
        structure.inclusion("B", date(2021, 7, 1), "equity_share")
    assert refused.value.code == "boundary_undated"
    outsider = group(holding("P", "A", "0.5"), holding("C", "A", "0.5"))
    assert outsider.inclusion("A", DAY, "equity_share").own_share == Fraction(1, 2)


# ---- lines in a view


def fuel(quantity: str = "100", **more: Any) -> EmissionLine:
    (line,) = lines_of_activity(
        {
            "activity_type": "stationary_combustion",
            "facts": {"held_as": "own"},
            "quantity": quantity,
            "unit": "L",
            "factor": {"gases": {"CO2": "2.5", "N2O": "0.001"}, "per": "L"},
            **more,
        },
        inventory(),
    )
    return line


def power(basis: str, factor: str) -> EmissionLine:
    (line,) = lines_of_activity(
        {
            "scope": 2,
            "basis": basis,
            "quantity": "1000",
            "unit": "kWh",
            "factor": {"kgco2e": factor, "per": "kWh"},
        },
        inventory(),
    )
    return line


def travel() -> EmissionLine:
    (line,) = lines_of_activity(
        {
            "scope": 3,
            "category": 6,
            "quantity": "10",
            "unit": "pkm",
            "factor": {"kgco2e": "1", "per": "pkm"},
        },
        inventory(),
    )
    return line


def test_the_same_activities_make_three_views() -> None:
    structure = group(*STRUCTURE)
    activities = [(name, DAY, fuel()) for name in "PABC"]
    whole = Fraction("277.3") * 1
    assert fuel().kgco2e == Decimal("277.3")
    totals = {}
    for approach in APPROACHES[:3]:
        view = view_of(activities, structure, approach)
        totals[approach] = [
            sum(Fraction(line.kgco2e) for line in view.lines if line.assignment.scope == scope)
            for scope in (1, 3)
        ]
    assert totals == {
        "equity_share": [whole * Fraction("2.25"), 0],
        "financial_control": [whole * 2, whole * Fraction("0.65")],
        "operational_control": [whole * 3, whole * Fraction("0.25")],
    }


def test_a_share_scales_the_gases_and_stays_in_the_working() -> None:
    structure = group(holding("P", "A", "1/3"))
    (line,) = view_of([("A", DAY, fuel())], structure, "equity_share").lines
    assert line.kgco2e == Decimal("92.433333333333")
    assert dict(line.gases)["CO2"] == Decimal("83.333333333333")
    assert recomputed(line.working.written()) == Fraction("277.3") / 3
    assert "consolidated_equity_share" in line.flags


def test_an_uncontrolled_entity_leaves_its_scopes_1_and_2_in_category_15_and_no_scope_3() -> None:
    structure = group(holding("P", "A", "0.25"))
    activities = [("A", DAY, line) for line in (fuel(), power("location", "0.4"), travel())]
    view = view_of(activities, structure, "operational_control")
    assert [(line.assignment.category, line.kgco2e) for line in view.lines] == [
        (15, Decimal("69.325")),
        (15, Decimal(100)),
    ]
    assert [line.assignment.category for line, _ in view.left_out] == [6]


def test_category_15_takes_one_of_an_investees_two_scope_2_figures() -> None:
    structure = group(holding("P", "A", "0.5"))
    activities = [("A", DAY, power("location", "0.4")), ("A", DAY, power("market", "0.1"))]
    view = view_of(activities, structure, "operational_control")
    assert [line.kgco2e for line in view.lines] == [200]
    assert "location-based" in view.left_out[0][1]
    view = view_of(activities, structure, "operational_control", investee_scope_2="market")
    assert [line.kgco2e for line in view.lines] == [50]
    assert len(view_of(activities, structure, "equity_share").lines) == 2


def test_an_entity_without_stake_is_left_out_with_its_reason() -> None:
    structure = group(holding("P", "A", "0"))
    view = view_of([("A", DAY, fuel())], structure, "financial_control")
    assert not view.lines
    assert "no financial control" in view.left_out[0][1]


def test_a_controlled_line_is_the_line_itself() -> None:
    line = fuel()
    structure = group(holding("P", "A", "0.6", "fo"))
    assert view_of([("A", DAY, line)], structure, "financial_control").lines == (line,)


def test_by_esrs_a_supplier_one_holds_a_stake_in_is_not_in_category_15_as_well() -> None:
    structure = group(holding("P", "A", "0.25"))
    activities = [("A", DAY, fuel())]
    assert view_of(activities, structure, "esrs").lines[0].assignment.category == 15
    view = view_of(activities, structure, "esrs", value_chain=frozenset("A"))
    assert not view.lines
    assert "paragraph 46" in view.left_out[0][1]
    assert view_of(activities, structure, "equity_share", value_chain=frozenset("A")).lines


def _registered(*records: Record) -> Register:
    return Register(records=records)


def _entity(entity_id: str, **more: Any) -> Entity:
    return Entity(entity_id=entity_id, organization_id="org", kind="subsidiary", **more)


def _stake(parent: str, entity: str, share: str, **more: Any) -> Ownership:
    return Ownership(
        entity_id=entity,
        parent_id=parent,
        equity_share=Fraction(share),
        financial_control=False,
        operational_control=False,
        **more,
    )


def test_the_structure_follows_the_register_as_it_was_known() -> None:
    register = _registered(
        _entity("P"),
        _entity("A", in_value_chain=True),
        _stake("P", "A", "1/3", recorded_at=EARLY),
        _stake("P", "A", "1/2", recorded_at=LATER, valid_from=date(2024, 1, 1)),
        _stake("P", "A", "2/3", recorded_at=LATER),
    )
    before = structure_of(register, "P", datetime(2025, 2, 1, tzinfo=UTC))
    after = structure_of(register, "P", NOW)
    share = [one.inclusion("A", DAY, "equity_share").own_share for one in (before, after)]
    assert share == [Fraction(1, 3), Fraction(1, 2)]
    old = after.inclusion("A", date(2023, 1, 1), "equity_share")
    assert old.own_share == Fraction(2, 3)
    assert value_chain_of(register, DAY, NOW) == {"A"}


def test_a_stake_in_what_is_not_registered_is_refused() -> None:
    with pytest.raises(RejectedRecord) as refused:
        structure_of(_registered(_entity("P"), _stake("P", "A", "1/3")), "P", NOW)
    assert refused.value.code == "unknown_entity"


SHARE = (Operand(value=Decimal("0.3"), unit="share", label="equity share"),)


def test_purchases_from_an_associate_stay_whole_and_only_the_rest_is_shared() -> None:
    line = investee_remainder([fuel(), power("location", "0.4")], Decimal(77), SHARE)
    assert (line.assignment.category, line.kgco2e) == (15, Decimal("180.09"))
    assert recomputed(line.working.written()) == line.working.exact()
    assert "overlap_with_category_1" in line.flags


def test_without_purchases_there_is_no_overlap_to_disclose() -> None:
    line = investee_remainder([fuel(), travel()], Decimal(0), SHARE)
    assert line.kgco2e == Decimal("83.19")
    assert "overlap_with_category_1" not in line.flags
    assert (line.assignment.scope, line.method, line.rank) == (3, "investment-specific", 2)
    assert (line.quantity, line.unit, line.basis) == (Decimal("277.3"), "kgCO2e", "stated")
    assert line.gwp_set == fuel().gwp_set


def test_figures_of_an_associate_in_two_sets_of_potentials_are_mixed() -> None:
    power_in_ar5 = replace(power("location", "0.4"), gwp_set="AR5")
    line = investee_remainder([replace(fuel(), gwp_set="AR6"), power_in_ar5], Decimal(0), SHARE)
    assert (line.gwp_set, line.basis) == ("mixed", "location")


def test_all_that_an_associate_emits_may_have_been_bought() -> None:
    line = investee_remainder([fuel()], fuel().kgco2e, SHARE)
    assert (line.kgco2e, "overlap_with_category_1" in line.flags) == (0, True)


@pytest.mark.parametrize(
    ("lines", "purchased", "code"),
    [
        ([fuel()], "277.4", "overlap_above_total"),
        ([fuel()], "-1", "negative_quantity"),
        ([power("location", "0.4"), power("market", "0")], "0", "mixed_scope_2_bases"),
    ],
)
def test_an_overlap_that_cannot_be_is_refused(
    lines: list[EmissionLine], purchased: str, code: str
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        investee_remainder(lines, Decimal(purchased), SHARE)
    assert refused.value.code == code


@given(
    shares=st.lists(st.integers(0, 100), min_size=1, max_size=6),
    cut=st.integers(1, 364),
)
@settings(max_examples=40, deadline=None)
def test_own_share_and_stake_never_exceed_one_and_days_add_up(shares: list[int], cut: int) -> None:
    names = ["P", *(f"E{number}" for number in range(len(shares)))]
    day = date.fromordinal(date(2023, 1, 1).toordinal() + cut)
    rows = []
    for number, share in enumerate(shares):
        owner, entity = names[number], names[number + 1]
        rows.append(holding(owner, entity, f"{share}/100", "o", valid_to=day))
        rows.append(holding(owner, entity, f"{100 - share}/100", valid_from=day))
    structure = GroupStructure("P", names, rows, NOW)
    for approach in APPROACHES:
        spans = structure.spans(names[-1], date(2023, 1, 1), date(2024, 1, 1), approach)
        assert sum((stop - start).days for start, stop, _ in spans) == 365
        for _, _, inclusion in spans:
            assert 0 <= inclusion.own_share + inclusion.stake <= 1
