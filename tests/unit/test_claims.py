"""Rules DC1 to DC13: one physical activity is counted once, and of two documents the better one."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.claims.claims import (
    RULES,
    ClaimKey,
    coverage,
    dc1_one_claim,
    dc12_eliminate_intra_group,
    unit_ratio,
)
from carbon_ledger.claims.double_counting import Kind, Ruling, Stake, dc12_overlap, rule_on
from carbon_ledger.energy.meter_trees import TreeMeter, attribute, tree_on
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.lines import Assignment, EmissionLine, line_of
from carbon_ledger.organisation.consolidation import investee_remainder
from carbon_ledger.organisation.scopes import assign
from carbon_ledger.policy import Policy
from carbon_ledger.units import Quantity
from carbon_ledger.workings import Formula, Operand, term
from tests.support.claim_examples import arrive, estimate, footprint, standing

POLICY = Policy()


def stake(ref: str, kind: Kind, amount: str | None = None, unit: str = "L", **more: Any) -> Stake:
    """A line of one entity, group and month."""
    given: dict[str, Any] = {
        "entity_id": "acme",
        "group": "truck-1/diesel",
        "period": "2025-03",
        "amount": None if amount is None else Quantity(value=Decimal(amount), unit=unit),
        **more,
    }
    return Stake(ref=ref, kind=kind, **given)


def told(rulings: dict[str, Ruling]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return {ref: (one.rule, str(one.share), one.flags) for ref, one in rulings.items()}


COUNTS = ("-", "1", ())

# name, lines, expected ruling of each: rule, share, flags
CASES: list[tuple[str, Sequence[Stake], dict[str, tuple[str, str, tuple[str, ...]]]]] = [
    (
        "DC2 the fuel that was measured is not counted again where it was bought",
        [stake("tank", "fuel_measured", "100"), stake("po", "fuel_purchase", "100")],
        {"tank": COUNTS, "po": ("DC2", "0", ())},
    ),
    (
        "DC2 what was bought beyond what was measured is an estimate",
        [stake("tank", "fuel_measured", "90"), stake("po", "fuel_purchase", "100")],
        {"tank": COUNTS, "po": ("DC2", "1/10", ("unallocated_fuel",))},
    ),
    (
        "DC2 a litre too many in a thousand counts too: litres are counted, not tolerated away",
        [stake("tank", "fuel_measured", "999"), stake("po", "fuel_purchase", "1000")],
        {"tank": COUNTS, "po": ("DC2", "1/1000", ("unallocated_fuel",))},
    ),
    (
        "DC2 several fill-ups share what is left in proportion",
        [
            stake("tank", "fuel_measured", "75"),
            stake("card-1", "fuel_purchase", "60"),
            stake("card-2", "fuel_purchase", "40"),
        ],
        {
            "tank": COUNTS,
            "card-1": ("DC2", "1/4", ("unallocated_fuel",)),
            "card-2": ("DC2", "1/4", ("unallocated_fuel",)),
        },
    ),
    (
        "DC2 within the tolerance more was burnt than bought: a tank holds some",
        [stake("tank", "fuel_measured", "102"), stake("po", "fuel_purchase", "100")],
        {"tank": COUNTS, "po": ("DC2", "0", ())},
    ),
    (
        "DC2 clearly more was burnt than bought: a purchase is missing",
        [stake("tank", "fuel_measured", "102.1"), stake("po", "fuel_purchase", "100")],
        {"tank": COUNTS, "po": ("DC2", "0", ("purchases_below_measured",))},
    ),
    (
        "DC2 gallons against litres",
        [
            stake("tank", "fuel_measured", "378.5411784"),
            stake("po", "fuel_purchase", "200", "gal"),
        ],
        {"tank": COUNTS, "po": ("DC2", "1/2", ("unallocated_fuel",))},
    ),
    (
        "DC2 a single litre bought is something, though it was all burnt",
        [stake("tank", "fuel_measured", "1"), stake("po", "fuel_purchase", "1")],
        {"tank": COUNTS, "po": ("DC2", "0", ())},
    ),
    (
        "DC2 without measurements the purchase counts",
        [stake("po", "fuel_purchase", "100")],
        {"po": COUNTS},
    ),
    (
        "DC2 another vehicle, another month, another company: nothing in common",
        [
            stake("tank", "fuel_measured", "100"),
            stake("po-1", "fuel_purchase", "100", group="truck-2/diesel"),
            stake("po-2", "fuel_purchase", "100", period="2025-04"),
            stake("po-3", "fuel_purchase", "100", entity_id="other"),
        ],
        {"tank": COUNTS, "po-1": COUNTS, "po-2": COUNTS, "po-3": COUNTS},
    ),
    (
        "DC2 a credit note alone leaves nothing that could count",
        [stake("tank", "fuel_measured", "10"), stake("credit", "fuel_purchase", "-10")],
        {"tank": COUNTS, "credit": ("DC2", "0", ("nothing_to_cover",))},
    ),
    (
        "DC3 the meter counts, the invoice agrees",
        [
            stake("meter", "electricity_metered", "1000", "kWh", group="m-1"),
            stake("bill", "electricity_invoice", "1.01", "MWh", group="m-1"),
        ],
        {"meter": COUNTS, "bill": ("DC3", "0", ())},
    ),
    (
        "DC3 the invoice says more: not added, but told",
        [
            stake("meter", "electricity_metered", "900", "kWh", group="m-1"),
            stake("bill", "electricity_invoice", "1000", "kWh", group="m-1"),
        ],
        {"meter": COUNTS, "bill": ("DC3", "0", ("metered_below_invoice",))},
    ),
    (
        "DC3 exactly at the tolerance nothing is told",
        [
            stake("meter", "electricity_metered", "980", "kWh", group="m-1"),
            stake("bill", "electricity_invoice", "1000", "kWh", group="m-1"),
        ],
        {"meter": COUNTS, "bill": ("DC3", "0", ())},
    ),
    (
        "DC3 the invoice says less",
        [
            stake("meter", "electricity_metered", "1030", "kWh", group="m-1"),
            stake("bill", "electricity_invoice", "1000", "kWh", group="m-1"),
        ],
        {"meter": COUNTS, "bill": ("DC3", "0", ("metered_above_invoice",))},
    ),
    (
        "DC3 what a meter with gaps missed is taken from the invoice",
        [
            stake("meter", "electricity_metered", "600", "kWh", group="m-1", is_complete=False),
            stake("bill", "electricity_invoice", "1000", "kWh", group="m-1"),
        ],
        {"meter": COUNTS, "bill": ("DC3", "2/5", ("gap_from_invoice",))},
    ),
    (
        "DC3 one of two meters with a gap is enough",
        [
            stake("a", "electricity_metered", "600", "kWh", group="m-1", is_complete=False),
            stake("b", "electricity_metered", "300", "kWh", group="m-1"),
            stake("bill", "electricity_invoice", "1000", "kWh", group="m-1"),
        ],
        {"a": COUNTS, "b": COUNTS, "bill": ("DC3", "1/10", ("gap_from_invoice",))},
    ),
    (
        "DC3 a meter with gaps that agrees with the invoice leaves nothing",
        [
            stake("meter", "electricity_metered", "1000", "kWh", group="m-1", is_complete=False),
            stake("bill", "electricity_invoice", "1000", "kWh", group="m-1"),
        ],
        {"meter": COUNTS, "bill": ("DC3", "0", ())},
    ),
    (
        "DC4 charging behind the depot's meter adds nothing, whatever it says",
        [
            stake("meter", "electricity_metered", "100", "kWh", group="m-1"),
            stake("charger", "depot_charging", "400", "kWh", group="m-1"),
        ],
        {"meter": COUNTS, "charger": ("DC4", "0", ())},
    ),
    (
        "DC4 and needs no amount for that",
        [
            stake("meter", "electricity_metered", "100", "kWh", group="m-1"),
            stake("charger", "depot_charging", group="m-1"),
        ],
        {"meter": COUNTS, "charger": ("DC4", "0", ())},
    ),
    (
        "DC4 a depot without a meter: the charger counts",
        [stake("charger", "depot_charging", "400", "kWh", group="m-1")],
        {"charger": COUNTS},
    ),
    (
        "DC4 public charging is bought electricity",
        [
            stake("meter", "electricity_metered", "100", "kWh", group="m-1"),
            stake("charger", "public_charging", "400", "kWh", group="m-1"),
        ],
        {"meter": COUNTS, "charger": COUNTS},
    ),
    (
        "DC5 of the carrier's invoices what tracked shipments cost is excluded",
        [
            stake("s-1", "shipment", "300", "EUR", group="hauler"),
            stake("s-2", "shipment", "450", "EUR", group="hauler"),
            stake("bill", "carrier_invoice", "1000", "EUR", group="hauler"),
        ],
        {"s-1": COUNTS, "s-2": COUNTS, "bill": ("DC5", "1/4", ("partially_superseded",))},
    ),
    (
        "DC5 by transport work, where invoices state it",
        [
            stake("s-1", "shipment", "100", "tkm", group="hauler"),
            stake("bill", "carrier_invoice", "300000", "kgkm", group="hauler"),
        ],
        {"s-1": COUNTS, "bill": ("DC5", "2/3", ("partially_superseded",))},
    ),
    (
        "DC5 all of it is tracked",
        [
            stake("s-1", "shipment", "1000", "EUR", group="hauler"),
            stake("bill", "carrier_invoice", "1000", "EUR", group="hauler"),
        ],
        {"s-1": COUNTS, "bill": ("DC5", "0", ())},
    ),
    (
        "DC5 slightly more is tracked than was invoiced",
        [
            stake("s-1", "shipment", "1050", "EUR", group="hauler"),
            stake("bill", "carrier_invoice", "1000", "EUR", group="hauler"),
        ],
        {"s-1": COUNTS, "bill": ("DC5", "0", ("coverage_capped",))},
    ),
    (
        "DC5 much more: one of them is wrong, and the more specific one counts meanwhile",
        [
            stake("s-1", "shipment", "1051", "EUR", group="hauler"),
            stake("bill", "carrier_invoice", "1000", "EUR", group="hauler"),
        ],
        {"s-1": COUNTS, "bill": ("DC5", "0", ("coverage_conflict",))},
    ),
    (
        "DC8 a footprint's way to the customer is not added to the tracked shipment",
        [
            stake("s-1", "shipment", "5", "t", group="delivery-1"),
            stake("pcf", "footprint_outbound", "5000", "kg", group="delivery-1"),
        ],
        {"s-1": COUNTS, "pcf": ("DC8", "0", ())},
    ),
    (
        "DC8 of goods shipped in part untracked that part of the footprint counts",
        [
            stake("s-1", "shipment", "4", "t", group="delivery-1"),
            stake("pcf", "footprint_outbound", "5000", "kg", group="delivery-1"),
        ],
        {"s-1": COUNTS, "pcf": ("DC8", "1/5", ("partially_superseded",))},
    ),
    (
        "DC8 nothing tracked: the footprint's figure counts",
        [stake("pcf", "footprint_outbound", "5000", "kg", group="delivery-1")],
        {"pcf": COUNTS},
    ),
    (
        "DC6 an asset counts whole when acquired, its depreciation never, its energy elsewhere",
        [
            stake("press", "capital_good", category=2, group="press"),
            stake("afa-2025", "depreciation", category=2, group="press"),
            stake("power", "asset_energy", group="press"),
        ],
        {"press": COUNTS, "afa-2025": ("DC6", "0", ()), "power": COUNTS},
    ),
    (
        "DC11 a credit for recycling counts nothing in categories 5 and 12",
        [
            stake("waste", "recycling_credit", category=5),
            stake("scrap", "other", category=5),
            stake("product", "recycling_credit", category=12),
        ],
        {
            "scrap": COUNTS,
            "waste": ("DC11", "0", ("recycling_benefit_excluded",)),
            "product": ("DC11", "0", ("recycling_benefit_excluded",)),
        },
    ),
    (
        "DC12 an overlap is reported once: the higher rank",
        [
            stake("a", "other", rank=1, category=1),
            stake("b", "other", rank=4, category=4, overlaps=("a",)),
        ],
        {"a": ("DC12", "0", ("overlap_disclosed",)), "b": COUNTS},
    ),
    (
        "DC12 a line without a rank gives way to the lowest there is",
        [stake("a", "other", overlaps=("b",)), stake("b", "other", rank=1)],
        {"a": ("DC12", "0", ("overlap_disclosed",)), "b": COUNTS},
    ),
    (
        "DC12 of one rank the lower category, scopes 1 and 2 before all",
        [
            stake("a", "other", category=8, overlaps=("b", "c")),
            stake("b", "other", category=4),
            stake("c", "other", category=None, overlaps=("b",)),
        ],
        {
            "a": ("DC12", "0", ("overlap_disclosed",)),
            "b": ("DC12", "0", ("overlap_disclosed",)),
            "c": COUNTS,
        },
    ),
    (
        "DC12 what overlaps only with something left out still counts",
        [
            stake("a", "other", rank=3, overlaps=("b",)),
            stake("b", "other", rank=2, overlaps=("c",)),
            stake("c", "other", rank=1),
        ],
        {"a": COUNTS, "b": ("DC12", "0", ("overlap_disclosed",)), "c": COUNTS},
    ),
    (
        "DC12 nothing gives way to what is only evidence itself",
        [
            stake("tank", "fuel_measured", "100"),
            stake("po", "fuel_purchase", "100", rank=5),
            stake("rental", "other", category=6, overlaps=("po",)),
        ],
        {"tank": COUNTS, "po": ("DC2", "0", ()), "rental": COUNTS},
    ),
    (
        "DC12 itself and lines that are not here are no overlap",
        [stake("a", "other", overlaps=("a", "gone"))],
        {"a": COUNTS},
    ),
]


@pytest.mark.parametrize(
    ("stakes", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_counts_and_what_is_evidence(
    stakes: Sequence[Stake], expected: dict[str, tuple[str, str, tuple[str, ...]]]
) -> None:
    for order in itertools.permutations(stakes):
        assert told(rule_on(order, POLICY)) == expected


@pytest.mark.parametrize(
    ("stakes", "code", "field"),
    [
        # Litres against euro: which part of the purchase is measured cannot be told.
        (
            [stake("tank", "fuel_measured", "100"), stake("po", "fuel_purchase", "150", "EUR")],
            "coverage_not_comparable",
            "unit",
        ),
        (
            [stake("tank", "fuel_measured", "100"), stake("po", "fuel_purchase")],
            "coverage_not_comparable",
            "unit",
        ),
        (
            [stake("tank", "fuel_measured"), stake("po", "fuel_purchase")],
            "coverage_not_comparable",
            "unit",
        ),
        (
            [
                stake("s-1", "shipment", "10", "tkm", group="hauler"),
                stake("bill", "carrier_invoice", "900", "EUR", group="hauler"),
            ],
            "coverage_not_comparable",
            "unit",
        ),
        (
            [stake("tank", "fuel_measured", "-1"), stake("po", "fuel_purchase", "10")],
            "coverage_negative",
            "covered",
        ),
        ([stake("power", "asset_energy", category=2)], "energy_in_category_2", "category"),
        ([stake("x", "recycling_credit", category=1)], "credit_not_recycling", "category"),
        ([stake("x", "recycling_credit")], "credit_not_recycling", "category"),
        ([stake("x", "other"), stake("x", "fuel_purchase")], "claimed_twice", "ref"),
    ],
)
def test_what_cannot_be_ruled_on_is_refused(stakes: Sequence[Stake], code: str, field: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        rule_on(stakes, POLICY)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_what_is_refused_names_the_lines_that_disagree() -> None:
    with pytest.raises(RejectedRecord) as refused:
        rule_on(
            [stake("tank", "fuel_measured", "100"), stake("po", "fuel_purchase", "9", "EUR")],
            POLICY,
        )
    assert "po states EUR, others of truck-1/diesel state L" in refused.value.message
    assert refused.value.value == "EUR"
    assert refused.value.valid == "amounts in one dimension (DC2)"


def test_dc6_energy_in_category_2_is_refused_with_the_category_it_was_put_in() -> None:
    with pytest.raises(RejectedRecord) as refused:
        rule_on([stake("power", "asset_energy", category=2)], POLICY)
    assert refused.value.value == "2"
    assert rule_on([stake("power", "asset_energy", category=3)], POLICY)


def test_a_ruling_names_the_lines_it_rests_on_and_is_an_operand_of_the_working() -> None:
    ruled = rule_on(
        [
            stake("tank-2", "fuel_measured", "40"),
            stake("tank-1", "fuel_measured", "50"),
            stake("po", "fuel_purchase", "100"),
        ],
        POLICY,
    )
    assert ruled["po"].see == ("tank-1", "tank-2")
    operand = ruled["po"].operand()
    assert (operand.value, operand.unit, operand.divides) == (
        Fraction(1, 10),
        "of the figure",
        False,
    )
    assert operand.source == (
        "DC2: the same fuel is counted where it is burnt, not where it is bought; tank-1, tank-2"
    )
    assert ruled["tank-1"].operand().source == "-: nothing else counts it"
    assert [ruled[ref].is_evidence_only for ref in ("po", "tank-1")] == [False, False]


def test_depreciation_names_the_asset_of_the_same_company() -> None:
    ruled = rule_on(
        [
            stake("press", "capital_good", group="press"),
            stake("lathe", "capital_good", group="lathe"),
            stake("other", "capital_good", group="press", entity_id="other"),
            stake("afa", "depreciation", group="press"),
        ],
        POLICY,
    )
    assert ruled["afa"].see == ("press",)
    assert ruled["afa"].is_evidence_only


def test_an_overlap_names_where_it_is_reported() -> None:
    lines = [stake("a", "other", rank=2), stake("b", "other", rank=1, overlaps=("a",))]
    assert [(one.ref, one.see) for one in dc12_overlap(lines)] == [("b", ("a",))]


def test_the_tolerance_of_a_check_is_the_companys_choice() -> None:
    lines = [
        stake("meter", "electricity_metered", "900", "kWh", group="m-1"),
        stake("bill", "electricity_invoice", "1000", "kWh", group="m-1"),
    ]
    wide = Policy(reconciliation_tolerance=Decimal("0.1"))
    assert rule_on(lines, wide)["bill"].flags == ()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=4),
    st.lists(st.integers(0, 1000), min_size=1, max_size=4),
)
def test_measured_and_bought_fuel_together_are_the_larger_of_the_two(
    measured: list[int], bought: list[int]
) -> None:
    lines = [
        *(stake(f"tank-{n}", "fuel_measured", str(one)) for n, one in enumerate(measured)),
        *(stake(f"po-{n}", "fuel_purchase", str(one)) for n, one in enumerate(bought)),
    ]
    ruled = rule_on(lines, POLICY)
    counted = sum(Fraction(one.amount.value) * ruled[one.ref].share for one in lines if one.amount)
    assert counted == max(sum(measured), sum(bought) if sum(bought) else sum(measured))


# ---- DC1


def key(**changes: Any) -> ClaimKey:
    given = {"entity_id": "acme", "activity_ref": "trip-1", "category": None, "period": "2025-03"}
    return ClaimKey(**{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "claims",
    [
        [],
        [key()],
        [key(), key(category=3)],
        [key(category=3)],
        [key(), key(activity_ref="trip-2", category=4)],
        [key(), key(entity_id="other", category=4)],
        [key(), key(period="2025-04", category=4)],
        [key(view="location"), key(view="market")],
        [key(view="location"), key(view="market", category=3)],
    ],
)
def test_dc1_claims_that_can_stand_beside_each_other(claims: list[ClaimKey]) -> None:
    dc1_one_claim((one, f"line-{n}") for n, one in enumerate(claims))


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ([key(), key()], "claim_taken"),
        ([key(category=3), key(category=3)], "claim_taken"),
        ([key(), key(category=4)], "activity_in_two_categories"),
        ([key(category=4), key(category=9)], "activity_in_two_categories"),
        ([key(category=6), key(category=7)], "activity_in_two_categories"),
        ([key(category=1), key(category=2)], "activity_in_two_categories"),
        ([key(category=11), key(category=13)], "activity_in_two_categories"),
        ([key(category=1), key(category=15)], "activity_in_two_categories"),
        # Well-to-tank of a carrier's fuel is in its well-to-wheel figure, category 4, already.
        ([key(category=4), key(category=3)], "activity_in_two_categories"),
        ([key(), key(category=3), key(category=4)], "activity_in_two_categories"),
    ],
)
def test_dc1_an_activity_that_is_claimed_twice_is_refused(
    claims: list[ClaimKey], code: str
) -> None:
    for order in itertools.permutations(enumerate(claims)):
        with pytest.raises(RejectedRecord) as refused:
            dc1_one_claim((one, f"line-{n}") for n, one in order)
        assert refused.value.code == code


def test_dc1_says_who_holds_the_claim() -> None:
    with pytest.raises(RejectedRecord) as refused:
        dc1_one_claim([(key(), "b"), (key(), "a")])
    assert refused.value.message == "acme|trip-1|-|2025-03 is claimed by a already"
    assert refused.value.value == "b"
    with pytest.raises(RejectedRecord) as refused:
        dc1_one_claim([(key(category=9), "b"), (key(), "a")])
    assert refused.value.message == "trip-1 stands in category 9 and scope 1 or 2"


def test_a_key_in_one_line() -> None:
    assert key().text == "acme|trip-1|-|2025-03"
    assert key(category=3, period="2025").text == "acme|trip-1|3|2025"
    assert key(view="market").text == "acme|trip-1|-|2025-03|market"


@pytest.mark.parametrize(
    "wrong",
    [
        {"entity_id": ""},
        {"activity_ref": ""},
        {"category": 0},
        {"category": 16},
        {"period": "2025-13"},
        {"period": "2025-3"},
        {"period": "2025-00"},
        {"period": "March"},
        {"period": ""},
    ],
)
def test_a_key_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BrokenInvariant) as refused:
        key(**wrong)
    assert refused.value.code == "claim_key"


# ---- coverage


@pytest.mark.parametrize(
    ("covered", "whole", "expected"),
    [
        ("0", "10", ("0", "0", "1", False, ())),
        ("4", "10", ("2/5", "2/5", "3/5", False, ())),
        ("10", "10", ("1", "1", "0", False, ())),
        ("10.5", "10", ("21/20", "1", "0", False, ("coverage_capped",))),
        ("10.51", "10", ("1051/1000", "1", "0", True, ("coverage_conflict",))),
    ],
)
def test_coverage(covered: str, whole: str, expected: tuple[Any, ...]) -> None:
    found = coverage(Fraction(covered), Fraction(whole), POLICY)
    shown = (str(found.ratio), str(found.share), str(found.remainder))
    assert (*shown, found.is_conflict, found.flags) == expected


@pytest.mark.parametrize(
    ("covered", "whole", "code"),
    [
        ("-1", "10", "coverage_negative"),
        ("1", "0", "nothing_to_cover"),
        ("1", "-1", "nothing_to_cover"),
    ],
)
def test_coverage_of_nothing_is_refused(covered: str, whole: str, code: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        coverage(Fraction(covered), Fraction(whole), POLICY)
    assert refused.value.code == code


def test_units_and_currencies_compare_or_do_not() -> None:
    assert unit_ratio("t", "kg") == 1000
    assert unit_ratio("EUR", "EUR") == 1
    assert unit_ratio("EUR", "USD") is None
    assert unit_ratio("kg", "L") is None


# ---- rules whose place is another module, by what they must give


def test_every_rule_is_a_function_that_is_there() -> None:
    assert list(RULES) == [f"DC{n}" for n in range(1, 14)]
    for _, place in RULES.values():
        module, _, name = place.rpartition(".")
        assert callable(getattr(importlib.import_module(f"carbon_ledger.{module}"), name))


def test_dc7_a_suppliers_figure_replaces_the_covered_share_only() -> None:
    lines, _ = arrive([estimate(kg="1000"), footprint(kg="550", covered="300")])
    assert standing(lines) == {
        "pcf-1": ("counts", "550", ()),
        "spend_based:po-1": ("counts", "400", ("partially_superseded",)),
    }


def investee(kg: str) -> EmissionLine:
    return line_of(
        assignment=Assignment(scope=1, category=None, rule="X", reason="x"),
        formula=Formula(formula_id="X", text="x", citation="x"),
        terms=(term(Operand(value=Decimal(kg), unit="kgCO2e", label="x")),),
        basis="combustion",
        method="measured",
        activity_type="x",
        quantity=Decimal(1),
        unit="kg",
        gwp_set="AR6",
    )


def test_dc9_what_is_bought_from_an_associate_stays_in_category_1() -> None:
    share = [Operand(value=Decimal("0.3"), unit="1", label="equity share")]
    line = investee_remainder([investee("1000")], Decimal(400), share)
    assert (line.kgco2e, line.assignment.category) == (180, 15)
    assert line.flags == ("overlap_with_category_1",)
    assert investee_remainder([investee("1000")], Decimal(0), share).flags == ()
    with pytest.raises(RejectedRecord):
        investee_remainder([investee("1000")], Decimal(1001), share)


@pytest.mark.parametrize(
    ("activity_type", "facts", "scope", "category"),
    [
        ("transport", {"operator": "third_party", "leg": "inbound", "paid_by": "reporter"}, 3, 4),
        ("transport", {"operator": "third_party", "leg": "outbound", "paid_by": "reporter"}, 3, 4),
        ("transport", {"operator": "third_party", "leg": "outbound", "paid_by": "customer"}, 3, 9),
        (
            "transport",
            {"operator": "third_party", "leg": "between_suppliers", "paid_by": "supplier"},
            3,
            1,
        ),
        ("transport", {"operator": "own", "energy": "fuel"}, 1, None),
        ("purchase", {"capitalised": "yes"}, 3, 2),
        ("purchase", {"capitalised": "no"}, 3, 1),
        ("use_of_sold_products", {"transfer": "sold", "phase": "direct"}, 3, 11),
        ("use_of_sold_products", {"transfer": "leased", "lease": "finance"}, 3, 13),
    ],
)
def test_dc10_categories_exclude_each_other(
    activity_type: str, facts: dict[str, str], scope: int, category: int | None
) -> None:
    found = assign(activity_type, facts, POLICY)
    assert (found.scope, found.category) == (scope, category)


def test_dc12_purchases_within_the_group_are_left_out_of_its_sum() -> None:
    lines = [
        ("a", "acme", "steelco", Decimal("10.5")),
        ("b", "acme", "sister", Decimal("99")),
        ("c", "sister", "acme", Decimal("7")),
        ("d", "sister", None, Decimal("0.25")),
        ("e", "stranger", "acme", Decimal("1000")),
    ]
    total, left_out = dc12_eliminate_intra_group(lines, frozenset({"acme", "sister"}))
    assert (total, left_out) == (Decimal("10.75"), ("b", "c"))


def test_dc13_each_kilowatt_hour_once() -> None:
    meters = [
        TreeMeter(meter_id="main", kind="main"),
        TreeMeter(meter_id="hall", kind="sub", parent_id="main"),
        TreeMeter(meter_id="office", kind="sub", parent_id="main"),
    ]
    readings = {"main": Decimal(100), "hall": Decimal(60), "office": None}
    found = attribute(tree_on(meters, date(2025, 3, 1)), readings)
    assert {name: str(one.kwh) for name, one in found.own.items()} == {
        "main": "40",
        "hall": "60",
        "office": "0",
    }
    assert found.total_kwh == 100


def test_the_tables_refuse_or_flag_enough() -> None:
    assert len(CASES) >= 30
    assert sum(1 for _, _, told_ in CASES if any(flags for _, _, flags in told_.values())) >= 12


@pytest.mark.parametrize("view", ["location", "market"])
def test_dc1_a_view_of_scope_2_does_not_hide_a_category(view: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        dc1_one_claim([(key(category=None, view=view), "a"), (key(category=4), "b")])
    assert refused.value.code == "activity_in_two_categories"
    dc1_one_claim([(key(category=None, view=view), "a"), (key(category=3), "b")])
