"""Which of two documents about one activity counts: rules against counting it twice.

Belongs here: rules DC2 to DC6, DC8, DC11 and DC12 over lines that say what they rest on. Does not:
claims themselves (carbon_ledger.claims.claims), estimates and suppliers' figures (DC7,
carbon_ledger.claims.supersession), figures, the database.

A rule never makes a figure. It rules which share of a line's figure counts, from 0 to 1 and exact,
why, and which other lines are the reason. A line whose share is 0 stays as evidence with 0 kg: it
is what the figure that does count can be checked against. No ruling depends on the order in which
the lines are given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final, Literal

from carbon_ledger.claims.claims import coverage, unit_ratio
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.policy import Policy
from carbon_ledger.units import Quantity
from carbon_ledger.workings import Operand

Kind = Literal[
    "fuel_measured",
    "fuel_purchase",
    "electricity_metered",
    "electricity_invoice",
    "depot_charging",
    "public_charging",
    "shipment",
    "carrier_invoice",
    "footprint_outbound",
    "capital_good",
    "depreciation",
    "asset_energy",
    "recycling_credit",
    "other",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stake:
    """One line that would like to count, as far as the rules look at it.

    `kind` is what it rests on. `group` ties together what is about the same thing: a vehicle or
    fleet and its fuel, a meter, a carrier, a delivery, an asset. `amount` is what it accounts for
    (litres, kWh, tkm, money), None where that is not stated. `is_complete`: a measurement without
    gaps in its period. `overlaps` names lines it is known to say again.
    """

    ref: str
    kind: Kind
    entity_id: str
    group: str
    period: str
    category: int | None = None
    amount: Quantity | None = None
    is_complete: bool = True
    rank: int = 0
    overlaps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """The share of a line's figure that counts, by which rule, and because of which other lines."""

    ref: str
    rule: str
    share: Fraction
    reason: str
    flags: tuple[str, ...] = ()
    see: tuple[str, ...] = ()

    @property
    def is_evidence_only(self) -> bool:
        """Whether the line stays with 0 kg."""
        return self.share == 0

    def operand(self) -> Operand:
        """The share as an operand of the line's working."""
        return Operand(
            value=self.share,
            unit="of the figure",
            label="share not counted elsewhere",
            source=f"{self.rule}: {self.reason}" + (f"; {', '.join(self.see)}" if self.see else ""),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Precedence:
    """Of two kinds that say the same thing, `winner` counts and `loser` is evidence."""

    rule: str
    winner: Kind
    loser: Kind
    reason: str
    # What becomes of the part of the loser that the winner does not account for.
    rest: Literal["counts", "counts_if_incomplete", "never_counts"]
    rest_flag: str
    # For an excess beyond the tolerance of reconciliation; empty: what `coverage` says of it.
    excess_flag: str


PRECEDENCES: Final = (
    _Precedence(
        rule="DC2",
        winner="fuel_measured",
        loser="fuel_purchase",
        reason="the same fuel is counted where it is burnt, not where it is bought",
        rest="counts",
        rest_flag="unallocated_fuel",
        excess_flag="purchases_below_measured",
    ),
    _Precedence(
        rule="DC3",
        winner="electricity_metered",
        loser="electricity_invoice",
        reason="the meter counts, the invoice is the check of completeness",
        rest="counts_if_incomplete",
        rest_flag="metered_below_invoice",
        excess_flag="metered_above_invoice",
    ),
    _Precedence(
        rule="DC4",
        winner="electricity_metered",
        loser="depot_charging",
        reason="the charger is behind a meter that counts already",
        rest="never_counts",
        rest_flag="",
        excess_flag="",
    ),
    _Precedence(
        rule="DC5",
        winner="shipment",
        loser="carrier_invoice",
        reason="a tracked shipment is more specific than what was paid for it",
        rest="counts",
        rest_flag="partially_superseded",
        excess_flag="",
    ),
    _Precedence(
        rule="DC8",
        winner="shipment",
        loser="footprint_outbound",
        reason="the delivery is tracked as a shipment, so the footprint's own figure is not added",
        rest="counts",
        rest_flag="partially_superseded",
        excess_flag="",
    ),
)


def rule_on(stakes: Iterable[Stake], policy: Policy) -> dict[str, Ruling]:
    """The ruling on every line, by its `ref`, in the order of the refs; rule `-` if none applies.

    Metered amounts are those the meters post (energy.meter_trees), so that no kWh is among
    them twice. Call it with all lines of an entity and period, or of one group. Raises
    RejectedRecord `claimed_twice` if a ref is there twice, and what the rules raise:
    `coverage_not_comparable`, `coverage_negative`, `energy_in_category_2`, `credit_not_recycling`.
    """
    ordered = sorted(stakes, key=lambda stake: stake.ref)
    for one, other in pairwise(ordered):
        if one.ref == other.ref:
            raise RejectedRecord(
                "claimed_twice",
                f"{one.ref} is there twice",
                field="ref",
                value=one.ref,
                valid="one line per claim",
            )
    found: dict[str, Ruling] = {}
    for ruling in (
        *(ruling for one in PRECEDENCES for ruling in _precedence_rulings(ordered, one, policy)),
        *dc6_capital_goods(ordered),
        *dc11_recycling(ordered),
    ):
        found[ruling.ref] = ruling
    # Last, and only among lines that still count: a line must not give way to mere evidence.
    counting = [stake for stake in ordered if stake.ref not in found or found[stake.ref].share > 0]
    found.update((ruling.ref, ruling) for ruling in dc12_overlap(counting))
    return {
        stake.ref: found.get(
            stake.ref,
            Ruling(ref=stake.ref, rule="-", share=Fraction(1), reason="nothing else counts it"),
        )
        for stake in ordered
    }


def _precedence_rulings(
    stakes: Sequence[Stake], rule: _Precedence, policy: Policy
) -> Iterable[Ruling]:
    groups: dict[tuple[str, str, str], tuple[list[Stake], list[Stake]]] = defaultdict(
        lambda: ([], [])
    )
    for stake in stakes:
        if stake.kind in (rule.winner, rule.loser):
            winners, losers = groups[(stake.entity_id, stake.group, stake.period)]
            (winners if stake.kind == rule.winner else losers).append(stake)
    for winners, losers in groups.values():
        if winners and losers:
            share, flags = _share_left(winners, losers, rule, policy)
            for loser in losers:
                yield Ruling(
                    ref=loser.ref,
                    rule=rule.rule,
                    share=share,
                    reason=rule.reason,
                    flags=flags,
                    see=tuple(winner.ref for winner in winners),
                )


def _share_left(
    winners: Sequence[Stake], losers: Sequence[Stake], rule: _Precedence, policy: Policy
) -> tuple[Fraction, tuple[str, ...]]:
    """What of every loser still counts; in proportion, because none of them is covered first."""
    if rule.rest == "never_counts":
        return Fraction(0), ()
    amounts = _amounts([*winners, *losers], rule)
    whole = sum((amounts[loser.ref] for loser in losers), Fraction(0))
    if whole <= 0:
        # Nothing but credit notes: there is nothing left of it that could count.
        return Fraction(0), ("nothing_to_cover",)
    covered = sum((amounts[winner.ref] for winner in winners), Fraction(0))
    found = coverage(covered, whole, policy)
    tolerance = Fraction(policy.reconciliation_tolerance)
    if found.ratio > 1:
        if not rule.excess_flag:
            return Fraction(0), found.flags
        return Fraction(0), (rule.excess_flag,) if found.ratio > 1 + tolerance else ()
    if rule.rest == "counts_if_incomplete" and all(winner.is_complete for winner in winners):
        return Fraction(0), (rule.rest_flag,) if found.remainder > tolerance else ()
    flag = rule.rest_flag if rule.rest == "counts" else "gap_from_invoice"
    return found.remainder, (flag,) if found.remainder else ()


def _amounts(stakes: Sequence[Stake], rule: _Precedence) -> dict[str, Fraction]:
    """What every line accounts for, by its ref, all in the first one's unit."""
    unit = next((stake.amount.unit for stake in stakes if stake.amount is not None), "nothing")
    amounts = {}
    for stake in stakes:
        stated = "nothing" if stake.amount is None else stake.amount.unit
        ratio = None if stake.amount is None else unit_ratio(stated, unit)
        if stake.amount is None or ratio is None:
            raise RejectedRecord(
                "coverage_not_comparable",
                f"{stake.ref} states {stated}, others of {stake.group} state {unit}; "
                f"which part of it {rule.winner} lines account for cannot be told",
                field="unit",
                value=stated,
                valid=f"amounts in one dimension ({rule.rule})",
            )
        amounts[stake.ref] = Fraction(stake.amount.value) * ratio
    return amounts


def dc6_capital_goods(stakes: Sequence[Stake]) -> tuple[Ruling, ...]:
    """DC6: category 2 is what making an asset emitted, whole, in the year it was acquired.

    Its depreciation counts nothing (Scope 3 Standard, table 5.4: no depreciation). Raises
    RejectedRecord `energy_in_category_2` where energy an asset uses is put there.
    """
    rulings = []
    for stake in stakes:
        if stake.kind == "asset_energy" and stake.category == 2:
            raise RejectedRecord(
                "energy_in_category_2",
                f"{stake.ref} is energy that {stake.group} uses",
                field="category",
                value=2,
                valid="scope 1 or 2, and category 3 for its upstream part",
            )
        if stake.kind == "depreciation":
            rulings.append(
                Ruling(
                    ref=stake.ref,
                    rule="DC6",
                    share=Fraction(0),
                    reason="the asset counts whole in the year it was acquired",
                    see=tuple(
                        other.ref
                        for other in stakes
                        if other.kind == "capital_good"
                        and (other.entity_id, other.group) == (stake.entity_id, stake.group)
                    ),
                )
            )
    return tuple(rulings)


def dc11_recycling(stakes: Sequence[Stake]) -> tuple[Ruling, ...]:
    """DC11: by the recycled-content method whoever uses recycled material has the benefit.

    So a credit for recycling at the end of life counts nothing in categories 5 and 12 (Scope 3
    Technical Guidance, chapters 5 and 12). Raises RejectedRecord `credit_not_recycling` for such a
    credit in any other category.
    """
    rulings = []
    for stake in stakes:
        if stake.kind != "recycling_credit":
            continue
        if stake.category not in (5, 12):
            raise RejectedRecord(
                "credit_not_recycling",
                f"{stake.ref} takes emissions off category {stake.category}",
                field="category",
                value=stake.category,
                valid="no credit; what is avoided elsewhere enters no inventory",
            )
        rulings.append(
            Ruling(
                ref=stake.ref,
                rule="DC11",
                share=Fraction(0),
                reason="recycled-content method: the benefit is with the user of the material",
                flags=("recycling_benefit_excluded",),
            )
        )
    return tuple(rulings)


def dc12_overlap(stakes: Sequence[Stake]) -> tuple[Ruling, ...]:
    """DC12: what is known to be said twice is reported once, with a reference to the other place.

    The higher rank counts, then the lower category (scopes 1 and 2 first), then the first ref. An
    overlap binds whichever of the two lines states it. Scope 3 Standard, chapter 5, end note.
    """
    linked: dict[str, set[str]] = defaultdict(set)
    for stake in stakes:
        for other in stake.overlaps:
            linked[stake.ref].add(other)
            linked[other].add(stake.ref)
    kept: set[str] = set()
    rulings = []
    for stake in sorted(stakes, key=lambda one: (-one.rank, one.category or 0, one.ref)):
        taken = sorted(linked[stake.ref] & kept)
        if not taken:
            kept.add(stake.ref)
            continue
        rulings.append(
            Ruling(
                ref=stake.ref,
                rule="DC12",
                share=Fraction(0),
                reason="reported once, elsewhere",
                flags=("overlap_disclosed",),
                see=tuple(taken),
            )
        )
    return tuple(rulings)
