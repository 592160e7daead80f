"""What is posted so that a claim says what its facts say: as deciding fact by fact has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.claims.facts import Fact
from carbon_ledger.claims.posting_plan import (
    Member,
    MemberLine,
    Plan,
    figure_by_hand,
    line_at,
    plan,
)
from carbon_ledger.claims.supersession import ActiveLine, Standing
from carbon_ledger.entries import EntryRow, entry_id, reversal_of, sealed
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from tests.support.claim_examples import (
    CLAIM,
    MADE,
    POLICY,
    arrive,
    estimate,
    footprint,
    retracted,
)
from tests.support.postgres import reading
from tests.unit.test_supersession import any_facts


def entry_of(fact: Fact, number: int = 0) -> EntryRow:
    """The line a record of the fact posts: all of its figure."""
    gases = fact.figure.gases(Fraction(1), "")
    return reading(
        activity_ref=fact.fact_id,
        event_id=f"{fact.fact_id}#{fact.revision}",
        stream="procurement" if fact.kind == "estimate" else "supplier",
        scope=3,
        category=1,
        quantity=Decimal("12.5"),
        kgco2e=fact.figure.working(Fraction(1), "").posted(),
        kg_co2_fossil=gases.get("CO2"),
        supersession_rank=fact.rank,
        flags="kept",
        recorded_at=fact.known_at,
    )


@dataclass
class Ledger:
    """A ledger of one claim, to which plans are applied as the store does."""

    facts: dict[str, Fact] = field(default_factory=dict)
    whole: dict[str, EntryRow] = field(default_factory=dict)
    active: dict[str, EntryRow | None] = field(default_factory=dict)
    entries: list[EntryRow] = field(default_factory=list)
    corrections: int = 0

    def record(self, fact: Fact) -> None:
        """A record is posted in full, and takes back what stands of its earlier revision.

        A retraction is no record: somebody takes the line back by hand.
        """
        known = self.facts.get(fact.fact_id)
        if known is not None and known.revision >= fact.revision:
            return
        self.facts[fact.fact_id] = fact
        self.reverse(self.active.get(fact.fact_id), fact)
        row = entry_of(fact)
        self.whole[fact.fact_id] = row
        self.entries.append(row)
        self.active[fact.fact_id] = row
        if fact.status == "retracted":
            self.reverse(row, fact)
            self.active[fact.fact_id] = None

    def reverse(self, row: EntryRow | None, fact: Fact) -> None:
        if row is not None:
            back = reversal_of(row, recorded_at=fact.known_at, cause="a later revision")
            self.entries.append(back)

    def members(self) -> list[Member]:
        return [
            Member(
                fact_id=fact.fact_id,
                revision=fact.revision,
                fact=fact,
                lines=(
                    MemberLine(
                        figure=fact.figure,
                        whole=self.whole[fact.fact_id],
                        active=self.active[fact.fact_id],
                    ),
                ),
            )
            for fact in self.facts.values()
        ]

    def settle(self, changed: Sequence[str] = ()) -> Plan:
        """What is planned, applied."""
        found = plan(CLAIM.text, self.members(), POLICY, changed=changed, code_version="now")
        for one in found.postings:
            assert one.new is not None
            moment = MADE + timedelta(days=99)
            if one.old is not None:
                self.entries.append(reversal_of(one.old, recorded_at=moment, cause=one.cause))
            self.corrections += 1
            event_id = f"{one.new.activity_ref}#c{self.corrections}"
            identity = entry_id(event_id, 1, one.new.occurred_to)
            row = sealed(replace(one.new, event_id=event_id, entry_id=identity, recorded_at=moment))
            self.entries.append(row)
            self.active[one.member.fact_id] = row
        return found

    def total(self) -> Decimal:
        return sum((row.kgco2e for row in self.entries), Decimal(0))


def ledger_of(*facts: Fact) -> tuple[Ledger, Plan]:
    """A ledger with these facts, settled once at the end."""
    found = Ledger()
    for fact in facts:
        found.record(fact)
    return found, found.settle([fact.fact_id for fact in facts])


def said(row: EntryRow | None) -> tuple[str, str | None, str]:
    """kgCO2e, kg of carbon dioxide, flags."""
    assert row is not None
    fossil = row.kg_co2_fossil
    return f"{row.kgco2e:f}", None if fossil is None else f"{fossil:f}", row.flags


def decided(lines: Iterable[ActiveLine]) -> dict[str, tuple[str, str | None, str]]:
    """The lines that deciding fact by fact leaves standing, in the ledger's words."""
    found = {}
    for line in lines:
        role = line.standing.role
        flags = {"kept", *line.standing.flags, *(() if role == "counts" else (role,))}
        gas = line.gases.get("CO2")
        found[line.fact.fact_id] = (
            f"{line.kgco2e:f}",
            None if gas is None else f"{gas:f}",
            ",".join(sorted(flags)),
        )
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_plans_lead_where_deciding_fact_by_fact_leads(data: st.DataObject) -> None:
    facts = data.draw(any_facts())
    lines, _ = arrive(facts)
    shuffled = data.draw(st.permutations(facts))
    stops = data.draw(st.sets(st.integers(0, len(shuffled))))
    ledger = Ledger()
    for number, fact in enumerate(shuffled):
        ledger.record(fact)
        if number in stops:
            ledger.settle([fact.fact_id])
    ledger.settle()
    assert {name: said(row) for name, row in ledger.active.items()} == decided(lines)
    assert ledger.total() == sum((line.kgco2e for line in lines), Decimal(0))
    assert ledger.settle().postings == ()


@settings(max_examples=40, deadline=None)
@given(any_facts())
def test_the_delta_of_a_plan_is_what_the_ledger_moves_by(facts: list[Fact]) -> None:
    ledger = Ledger()
    for fact in facts:
        ledger.record(fact)
    before = ledger.total()
    assert ledger.settle().delta_kgco2e == ledger.total() - before
    assert all(one.delta_kgco2e == 0 for one in ledger.settle().changes)


def test_a_third_that_is_left_is_rounded_once_and_the_rest_of_the_line_is_kept() -> None:
    ledger, found = ledger_of(estimate(eur="3"), footprint(kg="100", covered="1"))
    (change,) = found.postings
    new, old = change.new, change.old
    assert new is not None
    assert old is not None
    assert said(new) == ("666.666666666667", "666.666666666667", "kept,partially_superseded")
    kept = ("scope", "category", "basis", "quantity", "factor_id", "method", "supersession_rank")
    assert all(getattr(new, name) == getattr(old, name) for name in kept)
    assert (new.batch_id, new.reverses_id, new.code_version) == (None, None, "now")
    assert new.kafka_offset == old.kafka_offset
    assert new.cause == f"claim {CLAIM.text}: pcf-1#0"
    assert ledger.total() == Decimal("766.666666666667")


def test_what_is_covered_in_full_stays_as_evidence_of_nothing() -> None:
    ledger, _ = ledger_of(estimate(), footprint())
    row = ledger.active["spend_based:po-1"]
    assert said(row) == ("0.000000000000", "0.000000000000", "covered,kept")
    assert row is not None
    assert row.quantity == Decimal("12.5")


def test_a_figure_that_somebody_took_back_leaves_evidence_and_the_estimate_stands_again() -> None:
    ledger, _ = ledger_of(estimate(), footprint())
    whole = ledger.whole["spend_based:po-1"]
    ledger.record(retracted(footprint()))
    found = ledger.settle(["pcf-1"])
    back = ledger.active["spend_based:po-1"]
    assert back is not None
    assert (back.kgco2e, back.factor_id, back.flags) == (whole.kgco2e, whole.factor_id, "kept")
    assert said(ledger.active["pcf-1"])[2] == "kept,retracted"
    assert found.postings[-1].cause == f"claim {CLAIM.text}: pcf-1#1 retracted"


def test_a_statement_that_is_no_fact_counts_nothing_and_says_why() -> None:
    row = entry_of(footprint())
    line = MemberLine(figure=footprint().figure, whole=row, active=row)
    member = Member(
        fact_id="t", revision=0, fact=None, lines=(line,), refusal="coverage_not_comparable"
    )
    (change,) = plan("claim", [member], POLICY, changed=["t"]).postings
    assert said(change.new)[::2] == ("0.000000000000", "coverage_not_comparable,kept,not_admitted")
    assert change.cause == "claim claim: t#0"


def test_what_left_a_claim_is_the_cause_if_nothing_came() -> None:
    ledger, _ = ledger_of(estimate(), footprint())
    del ledger.facts["pcf-1"]
    (change,) = plan(CLAIM.text, ledger.members(), POLICY, left=["pcf-1"]).postings
    assert change.cause == f"claim {CLAIM.text}: pcf-1 left"


def test_a_figure_that_its_record_does_not_give_is_not_touched() -> None:
    fact = estimate()
    row = reading(kgco2e=Decimal("999.5"))
    line = MemberLine(figure=fact.figure, whole=row, active=row)
    member = Member(fact_id=fact.fact_id, revision=0, fact=fact, lines=(line,))
    with pytest.raises(RejectedRecord) as refused:
        plan(CLAIM.text, [member], POLICY)
    assert refused.value.code == "figure_not_reproduced"
    with pytest.raises(BrokenInvariant) as broken:
        plan(CLAIM.text, [member, member], POLICY)
    assert broken.value.code == "fact_twice"


def test_a_correction_by_hand_is_a_whole_figure_and_never_that_of_a_share() -> None:
    row = reading(kgco2e=Decimal(90), kg_co2_fossil=Decimal(80), other_gases={"SF6": "0.5"})
    figure = figure_by_hand(row)
    line = MemberLine(figure=figure, whole=row, active=row)
    half = line_at(line, Standing(role="counts", share=Fraction(1, 2)))
    assert (half.kgco2e, half.kg_co2_fossil) == (45, 40)
    assert {gas: Decimal(kg) for gas, kg in (half.other_gases or {}).items()} == {
        "SF6": Decimal("0.25")
    }
    written = [
        (operand.value, operand.unit)
        for terms in (figure.terms, *(terms for _, terms in figure.gas_terms))
        for term in terms
        for operand in term.operands
    ]
    assert written[:2] == [(90, "kgCO2e"), (80, "kg CO2")]
    assert written[-1] == (Decimal("0.5"), "kg SF6")
    for flag in ("partially_superseded", "covered"):
        with pytest.raises(RejectedRecord) as refused:
            figure_by_hand(replace(row, flags=flag))
        assert refused.value.code == "corrected_by_hand"
