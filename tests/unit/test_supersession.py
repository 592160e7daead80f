"""Estimates and suppliers' figures: which counts, what is posted, and in any order the same."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.claims.facts import FIRST_SPECIFIC, RANKS, VERIFIED, Fact, Figure
from carbon_ledger.claims.quality_gate import ancestors_of
from carbon_ledger.claims.supersession import (
    ActiveLine,
    ClaimState,
    as_of,
    decide,
    pro_rata,
    resolve,
    state_of,
    total,
    total_gases,
)
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.lines import Assignment, line_of
from carbon_ledger.policy import Policy
from carbon_ledger.units import Quantity
from carbon_ledger.workings import Operand, term
from tests.support.claim_examples import (
    APRIL,
    CLAIM,
    FORMULA,
    MADE,
    MARCH,
    POLICY,
    YEAR_BEGINS,
    YEAR_ENDS,
    arrive,
    estimate,
    figure,
    footprint,
    retracted,
    standing,
)
from tests.support.factor_examples import grid_factor

VERIFIED_RANK = {"rank": RANKS["verified_footprint"]}
LATER = {"created": MADE + timedelta(days=1)}
Y2024 = {
    "reference_from": datetime(2024, 1, 1, tzinfo=UTC),
    "reference_to": datetime(2025, 1, 1, tzinfo=UTC),
}


def at(year: int, month: int, day: int = 1) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def eur(amount: str) -> Quantity:
    return Quantity(value=Decimal(amount), unit="EUR")


# name, facts, expected standing of each: role, posted kgCO2e, flags
CASES: list[tuple[str, Sequence[Fact], dict[str, tuple[str, str, tuple[str, ...]]]]] = [
    (
        "an estimate alone counts whole",
        [estimate()],
        {"spend_based:po-1": ("counts", "1000", ())},
    ),
    (
        "average data before spend, for the same purchase",
        [estimate(), estimate(method="average_data", kg="900")],
        {
            "average_data:po-1": ("counts", "900", ()),
            "spend_based:po-1": ("outranked", "0", ()),
        },
    ),
    (
        "a newer estimate of the same rank",
        [estimate(), estimate(fact_id="again", kg="950", **LATER)],
        {"again": ("counts", "950", ()), "spend_based:po-1": ("outranked", "0", ())},
    ),
    (
        "two estimates of one instant: the later name, so that it is not chance",
        [estimate(fact_id="a", kg="1"), estimate(fact_id="b", kg="2")],
        {"a": ("outranked", "0", ()), "b": ("counts", "2", ())},
    ),
    (
        "estimates of two purchases add up",
        [estimate("po-1"), estimate("po-2", kg="10")],
        {"spend_based:po-1": ("counts", "1000", ()), "spend_based:po-2": ("counts", "10", ())},
    ),
    (
        "a footprint of everything bought takes the estimate's place",
        [estimate(), footprint()],
        {"pcf-1": ("counts", "800", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "of 60 % covered, 40 % of the estimate still counts and the footprint is not scaled",
        [estimate(), footprint(kg="700", covered="300")],
        {
            "pcf-1": ("counts", "700", ()),
            "spend_based:po-1": ("counts", "400", ("partially_superseded",)),
        },
    ),
    (
        "a third covered: two thirds of the estimate, rounded once",
        [estimate(eur="3"), footprint(kg="100", covered="1")],
        {
            "pcf-1": ("counts", "100", ()),
            "spend_based:po-1": ("counts", "666.666666666667", ("partially_superseded",)),
        },
    ),
    (
        "covered tonnes against bought kilograms",
        [estimate(), footprint(kg="100", covered="0.25", unit="t")],
        {
            "pcf-1": ("counts", "100", ()),
            "spend_based:po-1": ("counts", "750", ("partially_superseded",)),
        },
    ),
    (
        "coverage is of all purchases of the claim together",
        [estimate("po-1"), estimate("po-2", kg="200"), footprint(covered="250")],
        {
            "pcf-1": ("counts", "800", ()),
            "spend_based:po-1": ("counts", "750", ("partially_superseded",)),
            "spend_based:po-2": ("counts", "150", ("partially_superseded",)),
        },
    ),
    (
        "a footprint that names its purchase leaves the others alone",
        [estimate("po-1"), estimate("po-2", kg="200"), footprint(covers=("po-1",))],
        {
            "pcf-1": ("counts", "800", ()),
            "spend_based:po-1": ("covered", "0", ()),
            "spend_based:po-2": ("counts", "200", ()),
        },
    ),
    (
        "slightly more covered than bought is capped and flagged",
        [estimate(), footprint(covered="525")],
        {
            "pcf-1": ("counts", "800", ("coverage_capped",)),
            "spend_based:po-1": ("covered", "0", ("coverage_capped",)),
        },
    ),
    (
        "more than 5 % beyond is a conflict: quarantined, the estimate stands",
        [estimate(), footprint(covered="525.000001")],
        {
            "pcf-1": ("quarantined", "0", ("coverage_conflict",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "a purchase that becomes known later ends the conflict",
        [footprint(covered="1000"), estimate("po-1"), estimate("po-2", kg="200")],
        {
            "pcf-1": ("counts", "800", ()),
            "spend_based:po-1": ("covered", "0", ()),
            "spend_based:po-2": ("covered", "0", ()),
        },
    ),
    (
        "a footprint of nothing that was bought",
        [footprint()],
        {"pcf-1": ("not_admitted", "0", ("no_purchase_to_cover",))},
    ),
    (
        "a footprint that names a purchase nobody knows",
        [estimate(), footprint(covers=("po-1", "po-9"))],
        {
            "pcf-1": ("not_admitted", "0", ("purchase_line_unknown",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "a footprint for a purchase that was cancelled",
        [
            retracted(estimate("po-1")),
            estimate("po-2", kg="10"),
            footprint(covers=("po-1",)),
        ],
        {
            "pcf-1": ("not_admitted", "0", ("no_purchase_to_cover",)),
            "spend_based:po-1": ("retracted", "0", ()),
            "spend_based:po-2": ("counts", "10", ()),
        },
    ),
    (
        "purchases that were all given back",
        [estimate(), estimate("credit-1", kg="-1000", eur="-500"), footprint()],
        {
            "pcf-1": ("not_admitted", "0", ("no_purchase_to_cover",)),
            "spend_based:credit-1": ("counts", "-1000", ()),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "a credit note is part of what was bought",
        [estimate(), estimate("credit-1", kg="-200", eur="-100"), footprint(covered="400")],
        {
            "pcf-1": ("counts", "800", ()),
            "spend_based:credit-1": ("covered", "0", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "pieces against kilograms and euro cannot be reconciled",
        [estimate(), footprint(covered="10", unit="piece")],
        {
            "pcf-1": ("not_admitted", "0", ("unit_not_reconciled",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "another currency is another unit",
        [estimate(), footprint(covered="500", unit="USD")],
        {
            "pcf-1": ("not_admitted", "0", ("unit_not_reconciled",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "one purchase of two without an amount in that unit is enough",
        [estimate("po-1"), estimate("po-2", amounts=(eur("5"),)), footprint(unit="kg")],
        {
            "pcf-1": ("not_admitted", "0", ("unit_not_reconciled",)),
            "spend_based:po-1": ("counts", "1000", ()),
            "spend_based:po-2": ("counts", "1000", ()),
        },
    ),
    (
        "gate to gate, with nothing filled in, is too narrow",
        [estimate(), footprint(boundary="gate_to_gate")],
        {
            "pcf-1": ("not_admitted", "0", ("boundary_not_cradle_to_gate",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "gate to gate with the upstream part filled in will do",
        [estimate(), footprint(boundary="gate_to_gate", is_filled=True, rank=RANKS["hybrid"])],
        {"pcf-1": ("counts", "800", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "cradle to grave has the use phase of other categories in it",
        [estimate(), footprint(boundary="cradle_to_grave", is_filled=True)],
        {
            "pcf-1": ("not_admitted", "0", ("boundary_not_cradle_to_gate",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "data of the year before, as long and the latest there is",
        [estimate(), footprint(**Y2024)],
        {"pcf-1": ("counts", "800", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "data of the year before give way to data of the year, though their rank is higher",
        [estimate(), footprint("old", **Y2024, **VERIFIED_RANK), footprint("new", kg="700")],
        {
            "old": ("not_admitted", "0", ("not_latest_period",)),
            "new": ("counts", "700", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "unless those of the year do not pass the gate themselves",
        [
            estimate(),
            footprint("old", **Y2024),
            footprint("new", kg="700", open_conflicts=("disputed mass",)),
        ],
        {
            "old": ("counts", "800", ()),
            "new": ("quarantined", "0", ("open_conflict",)),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "data of the month before, of a month's purchases",
        [estimate(), footprint(reference_from=at(2025, 2), reference_to=at(2025, 3))],
        {"pcf-1": ("counts", "800", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "data of the quarter before: neither overlap nor same length",
        [estimate(), footprint(reference_from=at(2024, 12), reference_to=at(2025, 3))],
        {
            "pcf-1": ("not_admitted", "0", ("period_not_representative",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "data of a later year say nothing of this one",
        [estimate(), footprint(reference_from=at(2026, 1), reference_to=at(2027, 1))],
        {
            "pcf-1": ("not_admitted", "0", ("period_not_representative",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "half of the month overlaps: just enough",
        [
            estimate(),
            footprint(reference_from=at(2025, 1), reference_to=MARCH + (APRIL - MARCH) / 2),
        ],
        {"pcf-1": ("counts", "800", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "a second less is not",
        [
            estimate(),
            footprint(
                reference_from=at(2025, 1),
                reference_to=MARCH + (APRIL - MARCH) / 2 - timedelta(seconds=1),
            ),
        ],
        {
            "pcf-1": ("not_admitted", "0", ("period_not_representative",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "data three years old have expired",
        [estimate(), footprint(reference_from=at(2021, 3), reference_to=at(2022, 3))],
        {
            "pcf-1": ("not_admitted", "0", ("expired",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "data a day short of three years old have not",
        [estimate(), footprint(reference_from=at(2021, 3, 2), reference_to=at(2022, 3, 2))],
        {"pcf-1": ("counts", "800", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "past its own date on the first day of the purchases",
        [estimate(), footprint(expires=MARCH)],
        {
            "pcf-1": ("not_admitted", "0", ("expired",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "a long validity of its own does not make old data young",
        [
            estimate(),
            footprint(reference_from=at(2020, 1), reference_to=at(2021, 1), expires=at(2030, 1)),
        ],
        {
            "pcf-1": ("not_admitted", "0", ("expired",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "a twentieth of the estimate is still believed",
        [estimate(), footprint(kg="50")],
        {"pcf-1": ("counts", "50", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "less is looked at by somebody first",
        [estimate(), footprint(kg="49.999999999999")],
        {
            "pcf-1": ("quarantined", "0", ("implausible_intensity",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "twenty times the estimate is still believed",
        [estimate(), footprint(kg="20000")],
        {"pcf-1": ("counts", "20000", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "more is not, in relation to the share that is covered",
        [estimate(), footprint(kg="10001", covered="250")],
        {
            "pcf-1": ("quarantined", "0", ("implausible_intensity",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "a declared zero that somebody reviewed is a true zero",
        [estimate(), footprint(kg="0", is_reviewed=True)],
        {"pcf-1": ("counts", "0", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "an estimate of 0 kg makes nothing implausible",
        [estimate(kg="0"), footprint()],
        {"pcf-1": ("counts", "800", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "a verified footprint before an unverified newer one",
        [estimate(), footprint("v", kg="700", **VERIFIED_RANK), footprint("n", **LATER)],
        {
            "v": ("counts", "700", ()),
            "n": ("outranked", "0", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "an allocated total gives way to a footprint",
        [estimate(), footprint("total", rank=RANKS["allocated_supplier"], **LATER), footprint()],
        {
            "total": ("outranked", "0", ()),
            "pcf-1": ("counts", "800", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "of one rank the newer",
        [estimate(), footprint("a", **LATER), footprint("b", kg="700")],
        {
            "a": ("counts", "800", ()),
            "b": ("outranked", "0", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "a higher rank of smaller coverage displaces a lower one whole",
        [estimate(), footprint("v", kg="300", covered="200", **VERIFIED_RANK), footprint()],
        {
            "v": ("counts", "300", ()),
            "pcf-1": ("outranked", "0", ()),
            "spend_based:po-1": ("counts", "600", ("partially_superseded",)),
        },
    ),
    (
        "a higher rank that fails the gate displaces nothing",
        [estimate(), footprint("v", expires=MARCH, **VERIFIED_RANK), footprint()],
        {
            "v": ("not_admitted", "0", ("expired",)),
            "pcf-1": ("counts", "800", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "a deprecated verified footprint gives way to its unverified successor",
        [
            estimate(),
            footprint("a", status="deprecated", **VERIFIED_RANK),
            footprint("b", kg="700", preceding=("a",)),
        ],
        {
            "a": ("outranked", "0", ()),
            "b": ("counts", "700", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "through two generations, the middle one withdrawn",
        [
            estimate(),
            footprint("a", status="deprecated", **VERIFIED_RANK),
            footprint("b", status="retracted", preceding=("a",)),
            footprint("c", kg="600", preceding=("b",)),
        ],
        {
            "a": ("outranked", "0", ()),
            "b": ("retracted", "0", ()),
            "c": ("counts", "600", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "a predecessor that is still active keeps its rank",
        [
            estimate(),
            footprint("a", **VERIFIED_RANK),
            footprint("b", kg="700", preceding=("a",), **LATER),
        ],
        {
            "a": ("counts", "800", ()),
            "b": ("outranked", "0", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "a deprecated footprint whose successor is not known stands, flagged",
        [estimate(), footprint(status="deprecated")],
        {
            "pcf-1": ("counts", "800", ("deprecated_without_successor",)),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "and so it does while its successor is not admitted",
        [
            estimate(),
            footprint("a", status="deprecated"),
            footprint("b", preceding=("a",), boundary="gate_to_gate"),
        ],
        {
            "a": ("counts", "800", ("deprecated_without_successor",)),
            "b": ("not_admitted", "0", ("boundary_not_cradle_to_gate",)),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "two footprints that replace each other are a contradiction",
        [estimate(), footprint("a", preceding=("b",)), footprint("b", preceding=("a",))],
        {
            "a": ("quarantined", "0", ("preceding_cycle",)),
            "b": ("quarantined", "0", ("preceding_cycle",)),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "several failures are all told",
        [estimate(), footprint(boundary="gate_to_gate", expires=MARCH, open_conflicts=("x",))],
        {
            "pcf-1": (
                "quarantined",
                "0",
                ("boundary_not_cradle_to_gate", "expired", "open_conflict"),
            ),
            "spend_based:po-1": ("counts", "1000", ()),
        },
    ),
    (
        "two suppliers, each of a part",
        [
            estimate(),
            footprint("a", kg="200", covered="100", supplier_id="one"),
            footprint("b", kg="300", covered="150", supplier_id="two"),
        ],
        {
            "a": ("counts", "200", ()),
            "b": ("counts", "300", ()),
            "spend_based:po-1": ("counts", "500", ("partially_superseded",)),
        },
    ),
    (
        "two suppliers who together say more than was bought: the lower rank is quarantined",
        [
            estimate(),
            footprint("a", covered="300", supplier_id="one"),
            footprint("b", covered="300", supplier_id="two", **VERIFIED_RANK),
        ],
        {
            "a": ("quarantined", "0", ("coverage_conflict",)),
            "b": ("counts", "800", ()),
            "spend_based:po-1": ("counts", "400", ("partially_superseded",)),
        },
    ),
    (
        "two halves of the month add up",
        [
            estimate(),
            footprint("first", kg="200", covered="200", occurred_to=at(2025, 3, 16)),
            footprint("second", kg="300", covered="300", occurred_from=at(2025, 3, 16)),
        ],
        {
            "first": ("counts", "200", ()),
            "second": ("counts", "300", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "two periods that overlap say the same twice: one of them loses",
        [
            estimate(),
            footprint("first", kg="200", covered="200", occurred_to=at(2025, 3, 17)),
            footprint("second", kg="300", covered="300", occurred_from=at(2025, 3, 16), **LATER),
        ],
        {
            "first": ("outranked", "0", ()),
            "second": ("counts", "300", ()),
            "spend_based:po-1": ("counts", "400", ("partially_superseded",)),
        },
    ),
    (
        "footprints of different purchases of one item do not compete",
        [
            estimate("po-1"),
            estimate("po-2", kg="200"),
            footprint("a", covers=("po-1",)),
            footprint("b", kg="150", covers=("po-2",), **VERIFIED_RANK),
        ],
        {
            "a": ("counts", "800", ()),
            "b": ("counts", "150", ()),
            "spend_based:po-1": ("covered", "0", ()),
            "spend_based:po-2": ("covered", "0", ()),
        },
    ),
    (
        "one that names a purchase competes with one for all of them",
        [
            estimate("po-1"),
            estimate("po-2", kg="1000"),
            footprint("a", covers=("po-1",)),
            footprint("b", kg="900", covered="1000", **VERIFIED_RANK),
        ],
        {
            "a": ("outranked", "0", ()),
            "b": ("counts", "900", ()),
            "spend_based:po-1": ("covered", "0", ()),
            "spend_based:po-2": ("covered", "0", ()),
        },
    ),
    (
        "other items of the supplier do not compete",
        [
            estimate(),
            footprint("a", kg="300", covered="200", item_id="rebar"),
            footprint("b", kg="100", covered="100", item_id="wire"),
        ],
        {
            "a": ("counts", "300", ()),
            "b": ("counts", "100", ()),
            "spend_based:po-1": ("counts", "400", ("partially_superseded",)),
        },
    ),
    (
        "parts that come to slightly more than the whole are capped together",
        [
            estimate(),
            footprint("a", kg="300", covered="255", supplier_id="one", **LATER),
            footprint("b", kg="310", covered="255", supplier_id="two"),
        ],
        {
            "a": ("counts", "300", ()),
            "b": ("counts", "310", ("coverage_capped",)),
            "spend_based:po-1": ("covered", "0", ("coverage_capped",)),
        },
    ),
    (
        "a retracted footprint: the estimate stands again",
        [estimate(), footprint(), retracted(footprint())],
        {"pcf-1": ("retracted", "0", ()), "spend_based:po-1": ("counts", "1000", ())},
    ),
    (
        "a retracted footprint uncovers the one it had displaced",
        [
            estimate(),
            footprint("v", kg="700", **VERIFIED_RANK),
            footprint(),
            retracted(footprint("v", kg="700", **VERIFIED_RANK)),
        ],
        {
            "v": ("retracted", "0", ()),
            "pcf-1": ("counts", "800", ()),
            "spend_based:po-1": ("covered", "0", ()),
        },
    ),
    (
        "declared again after its retraction",
        [
            estimate(),
            footprint(),
            retracted(footprint()),
            replace(footprint(kg="750"), revision=2),
        ],
        {"pcf-1": ("counts", "750", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
    (
        "a conflict that a later revision settles",
        [
            estimate(),
            footprint(open_conflicts=("mass",)),
            footprint(kg="810", revision=1),
        ],
        {"pcf-1": ("counts", "810", ()), "spend_based:po-1": ("covered", "0", ())},
    ),
]


@pytest.mark.parametrize(
    ("facts", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_counts(
    facts: Sequence[Fact], expected: dict[str, tuple[str, str, tuple[str, ...]]]
) -> None:
    lines, _ = arrive(facts)
    assert standing(lines) == expected


@pytest.mark.parametrize("facts", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_every_order_of_arrival_ends_in_the_same_lines_and_postings_add_up(
    facts: Sequence[Fact],
) -> None:
    expected = {line.content for line in arrive(facts)[0]}
    for order in itertools.permutations(facts):
        lines, postings = arrive(order)
        assert {line.content for line in lines} == expected
        assert total(one.kgco2e for one in postings) == total(line.kgco2e for line in lines)
        assert total_gases(one.gases for one in postings) == total_gases(
            line.gases for line in lines
        )


def test_the_table_refuses_or_flags_enough() -> None:
    remarked = [
        name
        for name, _, expected in CASES
        if any(
            role in ("quarantined", "not_admitted") or flags for role, _, flags in expected.values()
        )
    ]
    assert len(CASES) >= 60
    assert len(remarked) >= 25


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ([], ClaimState(name="empty", rank=None, estimated_share=Fraction(0))),
        (
            [retracted(estimate())],
            ClaimState(name="empty", rank=None, estimated_share=Fraction(0)),
        ),
        ([estimate()], ClaimState(name="estimated", rank=1, estimated_share=Fraction(1))),
        (
            [estimate(method="average_data"), footprint(expires=MARCH)],
            ClaimState(name="estimated", rank=2, estimated_share=Fraction(1)),
        ),
        (
            [estimate("po-1"), estimate("po-2"), estimate("po-3"), footprint(covers=("po-1",))],
            ClaimState(name="partial", rank=1, estimated_share=Fraction(2, 3)),
        ),
        (
            [
                estimate("po-1"),
                estimate("po-2", kg="3000"),
                footprint(covers=("po-1",), covered="250"),
            ],
            ClaimState(name="partial", rank=1, estimated_share=Fraction(7, 8)),
        ),
        (
            [estimate("po-1", kg="0"), estimate("po-2", kg="0"), footprint(covers=("po-1",))],
            ClaimState(name="partial", rank=1, estimated_share=Fraction(1, 2)),
        ),
        (
            [estimate(), estimate(method="average_data", kg="3000"), footprint(covered="250")],
            ClaimState(name="partial", rank=2, estimated_share=Fraction(1, 2)),
        ),
        (
            [estimate(), footprint()],
            ClaimState(name="specific", rank=5, estimated_share=Fraction(0)),
        ),
        (
            [estimate(), footprint(**VERIFIED_RANK)],
            ClaimState(name="verified", rank=6, estimated_share=Fraction(0)),
        ),
        (
            [
                estimate(),
                footprint("a", kg="200", covered="250", **VERIFIED_RANK),
                footprint("b", kg="200", covered="250", supplier_id="other"),
            ],
            ClaimState(name="specific", rank=5, estimated_share=Fraction(0)),
        ),
    ],
)
def test_the_state_of_a_claim(facts: Sequence[Fact], state: ClaimState) -> None:
    assert state_of(arrive(facts)[0]) == state


def test_a_claim_goes_from_estimated_to_partial_to_specific_to_verified_and_back() -> None:
    facts = [
        estimate(),
        footprint("a", kg="300", covered="200"),
        footprint("b", kg="800", **LATER),
        footprint("c", kg="790", **VERIFIED_RANK),
        retracted(footprint("c", kg="790", **VERIFIED_RANK)),
        retracted(footprint("b", kg="800", **LATER)),
        retracted(footprint("a", kg="300", covered="200")),
    ]
    names, sums = [], []
    lines: tuple[ActiveLine, ...] = ()
    for fact in facts:
        lines = decide(lines, fact, POLICY).active
        names.append(state_of(lines).name)
        sums.append(total(line.kgco2e for line in lines))
    assert names == [
        "estimated", "partial", "specific", "verified", "specific", "partial", "estimated"
    ]  # fmt: skip
    assert sums == [1000, 900, 800, 790, 800, 900, 1000]


# ---- what is posted


def test_a_partial_figure_reverses_the_estimate_and_posts_the_rest_and_itself() -> None:
    lines, first = arrive([estimate(kg="0.7")])
    decision = decide(lines, footprint(kg="0.5", covered="200"), POLICY)
    assert [(one.line.fact.fact_id, one.is_reversal, one.kgco2e) for one in decision.postings] == [
        ("spend_based:po-1", True, Decimal("-0.700000000000")),
        ("pcf-1", False, Decimal("0.500000000000")),
        ("spend_based:po-1", False, Decimal("0.420000000000")),
    ]
    assert decision.postings[0].line is lines[0]
    assert decision.delta_kgco2e == Decimal("0.22")
    assert {one.cause for one in decision.postings} == {"pcf-1#0"}
    assert [line.line_id for line in decision.active] == [
        "pcf-1#0|pcf-1#0",
        "spend_based:po-1#0|pcf-1#0",
    ]
    assert first[0].cause == "spend_based:po-1#0"


def test_the_share_that_counts_is_in_the_working() -> None:
    lines, _ = arrive([estimate(eur="3"), footprint(kg="100", covered="1")])
    written = "\n".join(lines[1].working.written())
    assert "x 2/3 of the figure (share that counts; not covered by a supplier's figure)" in written
    assert "x 0 of the figure (share that counts; outranked)" in "\n".join(
        arrive([estimate(fact_id="a"), estimate(fact_id="b")])[0][0].working.written()
    )


def test_a_line_carries_the_remarks_on_its_figure_and_on_its_standing() -> None:
    lines, _ = arrive([estimate(flags=("vintage_gap",)), footprint(covered="300")])
    assert [line.flags for line in lines] == [(), ("partially_superseded", "vintage_gap")]


def test_the_whole_figure_keeps_its_own_working() -> None:
    lines, _ = arrive([estimate()])
    assert lines[0].working.terms == lines[0].fact.figure.terms


def test_reversal_pairs_cancel_gas_by_gas() -> None:
    gases = {"CO2": "600", "CH4_fossil": "3", "CO2_biogenic": "77"}
    facts = [
        estimate(figure=figure("1000", gases)),
        footprint(kg="500", covered="170", figure=figure("500", {"CO2": "500"})),
    ]
    _, postings = arrive(facts)
    pairs = {one.line.line_id: one.gases for one in postings if not one.is_reversal}
    reversals = [one for one in postings if one.is_reversal]
    assert len(reversals) == 1
    assert total_gases([reversals[0].gases, pairs[reversals[0].line.line_id]]).kg == tuple(
        (gas, Decimal("0E-12")) for gas in ("CH4_fossil", "CO2", "CO2_biogenic")
    )
    left = total_gases(one.gases for one in postings)
    assert left.get("CO2_biogenic") == Decimal("50.820000000000")
    assert left.get("CO2") == Decimal("896.000000000000")


def test_a_reversal_of_nothing_is_a_positive_zero() -> None:
    lines, _ = arrive([estimate(), footprint()])
    decision = decide(lines, retracted(footprint()), POLICY)
    figures = [str(one.kgco2e) for one in decision.postings if one.is_reversal]
    assert figures == ["-800.000000000000", "0E-12"]


def test_what_does_not_change_is_not_posted_again() -> None:
    lines, _ = arrive([estimate("po-1"), estimate("po-2"), footprint(covers=("po-1",))])
    decision = decide(lines, footprint("other", expires=MARCH), POLICY)
    assert [one.line.fact.fact_id for one in decision.postings] == ["other"]
    assert decision.delta_kgco2e == 0


def test_the_same_statement_again_is_a_duplicate_whenever_it_comes() -> None:
    lines, _ = arrive([estimate(), footprint()])
    again = decide(lines, footprint(known_at=MADE + timedelta(days=99)), POLICY)
    assert (again.outcome, again.postings, again.active) == ("duplicate", (), lines)


def test_an_earlier_revision_that_comes_late_is_stale() -> None:
    lines, _ = arrive([estimate(), footprint(revision=2)])
    late = decide(lines, footprint(kg="1", revision=1), POLICY)
    assert (late.outcome, late.postings, late.active) == ("stale", (), lines)


def test_a_decision_is_posted_and_names_what_is_quarantined() -> None:
    lines, _ = arrive([estimate()])
    decision = decide(lines, footprint(covered="600"), POLICY)
    assert decision.outcome == "posted"
    assert decision.quarantined == ("pcf-1",)
    assert decide(lines, footprint(expires=MARCH), POLICY).quarantined == ()


def test_the_same_revision_that_says_something_else_is_refused() -> None:
    lines, _ = arrive([estimate(), footprint()])
    with pytest.raises(RejectedRecord) as refused:
        decide(lines, footprint(kg="801"), POLICY)
    assert (refused.value.code, refused.value.field) == ("fact_conflict", "revision")


def test_a_fact_of_another_claim_is_refused() -> None:
    lines, _ = arrive([estimate()])
    other = replace(footprint(), claim=replace(CLAIM, period="2025-04"))
    with pytest.raises(BrokenInvariant) as refused:
        decide(lines, other, POLICY)
    assert refused.value.code == "other_claim"


def test_two_active_lines_of_one_fact_are_refused() -> None:
    lines, _ = arrive([estimate()])
    with pytest.raises(BrokenInvariant) as refused:
        decide((*lines, *lines), footprint(), POLICY)
    assert refused.value.code == "fact_twice"


# ---- facts that contradict themselves


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: estimate(rank=RANKS["hybrid"]), "fact_rank"),
        (lambda: estimate(rank=0), "fact_rank"),
        (lambda: footprint(rank=RANKS["average_data"]), "fact_rank"),
        (lambda: footprint(rank=VERIFIED + 1), "fact_rank"),
        (lambda: estimate(occurred_from=APRIL, occurred_to=MARCH), "fact_period"),
        (lambda: footprint(reference_to=None), "fact_reference"),
        (lambda: footprint(reference_from=None), "fact_reference"),
        (lambda: estimate(covered=eur("1")), "fact_covered"),
        (lambda: footprint(covered="0"), "coverage_not_positive"),
        (lambda: footprint(covered="-1"), "coverage_not_positive"),
        (lambda: footprint(kg="-0.000000000001"), "negative_gross"),
    ],
)
def test_a_fact_that_cannot_be_is_refused(make: Any, code: str) -> None:
    with pytest.raises((BrokenInvariant, RejectedRecord)) as refused:
        make()
    assert refused.value.code == code


def test_ranks_are_those_of_the_specification() -> None:
    assert RANKS == {
        "spend_based": 1,
        "average_data": 2,
        "hybrid": 3,
        "allocated_supplier": 4,
        "footprint": 5,
        "verified_footprint": 6,
    }
    assert (FIRST_SPECIFIC, VERIFIED) == (3, 6)


# ---- figures of calculated lines


def emission_line(**more: Any) -> Any:
    return line_of(
        assignment=Assignment(scope=3, category=1, rule="X", reason="x"),
        formula=FORMULA,
        terms=(term(Operand(value=Decimal("1.5"), unit="kg", label="x")),),
        gas_terms=(("CO2", (term(Operand(value=Decimal("1.25"), unit="kg", label="x")),)),),
        basis="eeio_purchaser",
        method="spend_based",
        activity_type="x",
        quantity=Decimal(1),
        unit="EUR",
        gwp_set="AR6",
        **more,
    )


def test_the_figure_of_a_line_is_the_lines_own() -> None:
    line = emission_line()
    found = Figure.of(line)
    assert found.exact() == Fraction(3, 2)
    assert found.working(Fraction(1), "") == line.working
    assert found.gases(Fraction(1), "") == line.gases
    assert found.gases(Fraction(1, 3), "").get("CO2") == Decimal("0.416666666667")


def matched(gap: int = 0, **changes: Any) -> FactorMatch:
    return FactorMatch(
        factor=grid_factor(2024, **changes),
        release_id="example",
        how_matched="country/location/exact-year",
        geography_level="country",
        boundary_level="location",
        vintage_gap_years=gap,
        boundary_substitute=False,
        flags=(),
    )


@pytest.mark.parametrize(
    "occurred",
    [at(2024, 1), at(2024, 12, 31), at(2023, 12, 31), at(2025, 1, 1)],
)
def test_a_figure_with_the_factor_of_its_day_is_taken(occurred: datetime) -> None:
    # A day before and after, because a site's calendar may be a day from UTC.
    assert Figure.of(emission_line(factor=matched(), occurred_from=occurred)).exact() == 1.5


@pytest.mark.parametrize("occurred", [at(2023, 12, 30), at(2025, 1, 2), at(2021, 6)])
def test_a_figure_made_anew_with_todays_factor_is_refused(occurred: datetime) -> None:
    with pytest.raises(BrokenInvariant) as refused:
        Figure.of(emission_line(factor=matched(), occurred_from=occurred))
    assert refused.value.code == "factor_not_of_activity"


def test_a_factor_of_another_year_that_says_so_or_of_no_year_is_taken() -> None:
    flagged = emission_line(factor=matched(gap=3), occurred_from=at(2021, 6))
    undated = emission_line(
        factor=matched(year_kind="none", factor_id="x"), occurred_from=at(2024, 6)
    )
    assert Figure.of(flagged).exact() == Figure.of(undated).exact() == 1.5
    assert Figure.of(emission_line(factor=matched())).exact() == 1.5


# ---- as of, and closed periods


def test_the_figure_known_at_any_time_can_be_told_again() -> None:
    facts = [
        estimate(),
        footprint(kg="700", covered="300"),
        retracted(footprint(kg="700", covered="300")),
    ]
    _, postings = arrive(facts)
    instants = [MADE - timedelta(seconds=1), *(MADE + timedelta(days=day) for day in range(3))]
    assert [as_of(postings, moment) for moment in instants] == [0, 1000, 1100, 1000]


def test_what_was_known_does_not_change_by_what_becomes_known() -> None:
    lines, postings = arrive([estimate(), footprint()])
    known = as_of(postings, MADE + timedelta(days=1))
    later = decide(
        lines, replace(retracted(footprint()), known_at=MADE + timedelta(days=2)), POLICY
    )
    assert as_of([*postings, *later.postings], MADE + timedelta(days=1)) == known == 800


def test_a_posting_keeps_the_time_of_the_activity() -> None:
    _, postings = arrive([estimate(), footprint(known_at=at(2027, 6))])
    assert {one.line.fact.occurred_from for one in postings} == {MARCH}
    assert {one.line.claim.period for one in postings} == {"2025-03"}


def test_a_years_statement_takes_the_place_of_the_months_in_proportion_to_spend() -> None:
    shares = pro_rata({"2025-01": Decimal(100), "2025-02": Decimal(0), "2025-03": Decimal(200)})
    assert shares == {
        "2025-01": Fraction(1, 3),
        "2025-02": Fraction(0),
        "2025-03": Fraction(2, 3),
    }
    monthly = footprint("month", rank=RANKS["allocated_supplier"])
    yearly = footprint("year", rank=RANKS["allocated_supplier"], kg="600", **LATER)
    assert standing(arrive([estimate(), monthly, yearly])[0])["month"][0] == "outranked"


@pytest.mark.parametrize(
    ("weights", "code"),
    [
        ({}, "nothing_to_allocate_by"),
        ({"a": Decimal(0)}, "nothing_to_allocate_by"),
        ({"a": Decimal(2), "b": Decimal(-1)}, "weight_negative"),
    ],
)
def test_shares_without_weights_are_refused(weights: dict[str, Decimal], code: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        pro_rata(weights)
    assert refused.value.code == code


# ---- details of the gate


@pytest.mark.parametrize(
    ("reference", "passes"),
    [
        # An activity of one instant: inside the period of the data or not at all.
        ({"reference_from": MARCH, "reference_to": APRIL}, True),
        ({"reference_from": at(2025, 2), "reference_to": MARCH}, False),
        ({"reference_from": MARCH, "reference_to": MARCH}, True),
        ({"reference_from": None, "reference_to": None}, True),
    ],
)
def test_an_activity_of_one_instant(reference: dict[str, Any], passes: bool) -> None:
    lines, _ = arrive([estimate(), footprint(occurred_to=MARCH, **reference)])
    assert (standing(lines)["pcf-1"][0] == "counts") is passes


@pytest.mark.parametrize(
    ("begins", "ends", "passes"),
    [
        # 28 days of February for 31 of March; 366 and 364 days for a year; three days for one.
        (at(2025, 2), at(2025, 3), True),
        (at(2024, 1), at(2025, 1), True),
        (at(2024, 1, 3), at(2025, 1, 1), True),
        (at(2023, 12, 27), at(2025, 1, 1), False),
        (at(2025, 2, 1), at(2025, 2, 28), False),
        (at(2024, 12), at(2025, 2), False),
    ],
)
def test_periods_of_the_same_length(begins: datetime, ends: datetime, passes: bool) -> None:
    lines, _ = arrive([estimate(), footprint(reference_from=begins, reference_to=ends)])
    assert (standing(lines)["pcf-1"][0] == "counts") is passes


def test_a_day_and_three_days_are_not_of_the_same_length() -> None:
    day = {"occurred_from": at(2025, 3, 10), "occurred_to": at(2025, 3, 11)}
    before = {"reference_from": at(2025, 3, 5), "reference_to": at(2025, 3, 8)}
    lines, _ = arrive([estimate(**day), footprint(**day, **before)])
    assert standing(lines)["pcf-1"][2] == ("period_not_representative",)


def test_data_that_end_on_a_leap_day_are_valid_until_the_day_before_march() -> None:
    begins = {"reference_from": at(2023, 3), "reference_to": datetime(2024, 2, 29, tzinfo=UTC)}
    for day, role in ((27, "counts"), (28, "not_admitted")):
        when = {"occurred_from": at(2027, 2, day), "occurred_to": at(2027, 3, 31)}
        assert standing(arrive([estimate(), footprint(**begins, **when)])[0])["pcf-1"][0] == role


def test_the_limits_are_the_companys_choice() -> None:
    facts = [estimate(), footprint(covered="600")]
    policy = Policy(supplier_coverage_conflict=Decimal("1.2"))
    assert standing(arrive(facts, policy)[0])["pcf-1"][0] == "counts"
    narrow = Policy(implied_intensity_band=(Decimal("0.9"), Decimal("1.1")))
    assert standing(arrive([estimate(), footprint()], narrow)[0])["pcf-1"][0] == "quarantined"
    young = Policy(max_reference_age_years=1)
    old = footprint(reference_from=at(2023, 3), reference_to=at(2024, 3))
    assert standing(arrive([estimate(), old], young)[0])["pcf-1"][2] == ("expired",)


def test_what_a_fact_replaces_is_known_through_others_and_circles_end() -> None:
    facts = [
        footprint("a"),
        footprint("b", preceding=("a",)),
        footprint("c", preceding=("b", "gone")),
        footprint("d", preceding=("e",)),
        footprint("e", preceding=("d",)),
    ]
    assert ancestors_of(facts) == {
        "a": frozenset(),
        "b": {"a"},
        "c": {"a", "b", "gone"},
        "d": {"d", "e"},
        "e": {"d", "e"},
    }


# ---- laws


@st.composite
def any_facts(draw: st.DrawFn) -> list[Fact]:
    amounts = st.integers(min_value=0, max_value=12).map(lambda n: str(n * 100))
    facts = [
        estimate(
            f"po-{n}",
            kg=draw(amounts),
            eur=draw(amounts),
            method=draw(st.sampled_from(["spend_based", "average_data"])),
        )
        for n in range(draw(st.integers(1, 2)))
    ]
    for n in range(draw(st.integers(0, 4))):
        name = f"pcf-{draw(st.integers(0, 2))}"
        if any(fact.key == f"{name}#{n}" for fact in facts):
            continue
        facts.append(
            footprint(
                name,
                kg=draw(amounts),
                covered=draw(st.sampled_from(["100", "250", "500", "520", "900"])),
                rank=draw(st.sampled_from([3, 4, 5, 6])),
                status=draw(st.sampled_from(["active", "active", "deprecated", "retracted"])),
                revision=n,
                supplier_id=draw(st.sampled_from(["one", "two"])),
                covers=draw(st.sampled_from([(), ("po-0",), ("po-1",)])),
                created=MADE + timedelta(days=draw(st.integers(0, 2))),
                preceding=draw(st.sampled_from([(), ("pcf-0",), ("pcf-1",)])),
                is_reviewed=draw(st.booleans()),
                open_conflicts=draw(st.sampled_from([(), (), ("mass",)])),
            )
        )
    return facts


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_facts_in_any_order_with_repeats_end_the_same_and_add_up(data: st.DataObject) -> None:
    facts = data.draw(any_facts())
    lines, postings = arrive(facts)
    shuffled = data.draw(st.permutations(facts + facts[:2]))
    others, other_postings = arrive(shuffled)
    assert {line.content for line in lines} == {line.content for line in others}
    winning = resolve([line.fact for line in lines], POLICY)
    assert {line.fact.fact_id: line.standing for line in lines} == winning
    assert total(one.kgco2e for one in postings) == total(line.kgco2e for line in lines)
    assert total(one.kgco2e for one in other_postings) == total(line.kgco2e for line in lines)
    assert total_gases(one.gases for one in other_postings) == total_gases(
        line.gases for line in lines
    )


@settings(max_examples=80, deadline=None)
@given(any_facts())
def test_estimate_and_suppliers_figure_never_count_the_same_share(facts: list[Fact]) -> None:
    lines, _ = arrive(facts)
    purchases = [one for one in lines if one.fact.kind == "estimate"]
    for purchase in purchases:
        if purchase.standing.role not in ("counts", "covered"):
            continue
        covered = Fraction(0)
        for line in lines:
            fact = line.fact
            if fact.kind != "specific" or line.standing.role != "counts":
                continue
            assert line.standing.share == 1
            if not fact.covers or purchase.fact.activity_ref in fact.covers:
                whole = sum(
                    Fraction(one.fact.amounts[0].value)
                    for one in purchases
                    if one.standing.role in ("counts", "covered")
                    and (not fact.covers or one.fact.activity_ref in fact.covers)
                )
                assert fact.covered is not None
                covered += Fraction(fact.covered.value) / whole
        assert covered <= Fraction("1.05")
        assert purchase.standing.share == max(Fraction(0), 1 - covered)


@settings(max_examples=40, deadline=None)
@given(any_facts(), st.integers(0, 6))
def test_the_past_stays_as_it_was_known(facts: list[Fact], days: int) -> None:
    moment = MADE + timedelta(days=days)
    _, all_postings = arrive(facts)
    _, until_then = arrive(facts[: days + 1])
    assert as_of(all_postings, moment) == total(one.kgco2e for one in until_then)


@settings(max_examples=40, deadline=None)
@given(any_facts())
def test_every_reversal_is_of_a_line_that_stood_and_of_each_line_at_most_one(
    facts: list[Fact],
) -> None:
    _, postings = arrive(facts)
    standing_now: dict[str, ActiveLine] = {}
    seen: set[str] = set()
    for one in postings:
        if one.is_reversal:
            assert standing_now.pop(one.line.line_id) is one.line
        else:
            assert one.line.line_id not in seen
            seen.add(one.line.line_id)
            standing_now[one.line.line_id] = one.line
    assert len({line.fact.fact_id for line in standing_now.values()}) == len(standing_now)


def test_a_fact_is_active_and_of_the_first_revision_unless_said() -> None:
    assert (estimate().status, estimate().key) == ("active", "spend_based:po-1#0")


def test_reference_periods_are_of_the_year_unless_said() -> None:
    assert (footprint().reference_from, footprint().reference_to) == (YEAR_BEGINS, YEAR_ENDS)
