"""Facts about one claim for tests: valid ones, of which a test changes just what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from carbon_ledger.claims.claims import ClaimKey
from carbon_ledger.claims.facts import RANKS, Fact, Figure
from carbon_ledger.claims.supersession import ActiveLine, Decision, Posting, decide
from carbon_ledger.policy import Policy
from carbon_ledger.units import Quantity
from carbon_ledger.workings import Formula, Operand, term

FORMULA = Formula(
    formula_id="EXAMPLE", text="amount x factor", citation="an example for tests, no standard"
)
CLAIM = ClaimKey(
    entity_id="acme", activity_ref="steelco/rebar", category=1, period="2025-03", view=""
)
MARCH = datetime(2025, 3, 1, tzinfo=UTC)
APRIL = datetime(2025, 4, 1, tzinfo=UTC)
YEAR_BEGINS = datetime(2025, 1, 1, tzinfo=UTC)
YEAR_ENDS = datetime(2026, 1, 1, tzinfo=UTC)
MADE = datetime(2025, 5, 1, tzinfo=UTC)
POLICY = Policy()


def figure(kg: str, gases: Mapping[str, str] | None = None) -> Figure:
    """So many kgCO2e, and kg of each gas, each as one operand."""
    operand = Operand(value=Decimal(kg), unit="kgCO2e", label="figure")
    return Figure(
        formula=FORMULA,
        terms=(term(operand),),
        gas_terms=tuple(
            (gas, (term(Operand(value=Decimal(mass), unit=f"kg {gas}", label="mass")),))
            for gas, mass in sorted((gases or {}).items())
        ),
    )


def estimate(
    ref: str = "po-1", kg: str = "1000", eur: str = "500", method: str = "spend_based", **more: Any
) -> Fact:
    """An estimate of one purchase of `eur` euro and twice as many kg of goods."""
    given: dict[str, Any] = {
        "claim": CLAIM,
        "fact_id": f"{method}:{ref}",
        "kind": "estimate",
        "rank": RANKS[method],
        "activity_ref": ref,
        "figure": figure(kg, {"CO2": kg}),
        "created": MADE,
        "known_at": MADE,
        "occurred_from": MARCH,
        "occurred_to": APRIL,
        "amounts": (
            Quantity(value=Decimal(eur), unit="EUR"),
            Quantity(value=2 * Decimal(eur), unit="kg"),
        ),
        "supplier_id": "steelco",
        "item_id": "rebar",
        **more,
    }
    return Fact(**given)


def footprint(
    name: str = "pcf-1", kg: str = "800", covered: str = "500", unit: str = "EUR", **more: Any
) -> Fact:
    """A supplier's product footprint for purchases of `covered` `unit`, of the data of the year."""
    given: dict[str, Any] = {
        "claim": CLAIM,
        "fact_id": name,
        "kind": "specific",
        "rank": RANKS["footprint"],
        "activity_ref": name,
        "figure": figure(kg, {"CO2": kg}),
        "created": MADE,
        "known_at": MADE,
        "occurred_from": MARCH,
        "occurred_to": APRIL,
        "covered": Quantity(value=Decimal(covered), unit=unit),
        "supplier_id": "steelco",
        "item_id": "rebar",
        "reference_from": YEAR_BEGINS,
        "reference_to": YEAR_ENDS,
        **more,
    }
    return Fact(**given)


def retracted(fact: Fact) -> Fact:
    """The fact's retraction: its next revision."""
    return replace(fact, revision=fact.revision + 1, status="retracted")


def arrive(
    facts: Iterable[Fact], policy: Policy = POLICY, active: Sequence[ActiveLine] = ()
) -> tuple[tuple[ActiveLine, ...], list[Posting]]:
    """What stands and all that was posted after the facts arrived one by one, a day apart."""
    lines = tuple(active)
    postings: list[Posting] = []
    for day, fact in enumerate(facts):
        decision: Decision = decide(
            lines, replace(fact, known_at=MADE + timedelta(days=day)), policy
        )
        postings.extend(decision.postings)
        lines = decision.active
    return lines, postings


def standing(lines: Iterable[ActiveLine]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """By fact: role, posted kgCO2e without trailing zeros, flags."""
    return {
        line.fact.fact_id: (line.standing.role, f"{line.kgco2e.normalize():f}", line.standing.flags)
        for line in lines
    }
