"""Which figure of a claim counts, and what to post when that changes.

Belongs here: `resolve`, the winning set of what is known, and `decide`, the reversals and new lines
by which the ledger gets there. Does not: what a fact is (facts), when a supplier's
figure is good enough (quality_gate), one writer per claim (carbon_ledger.store).

The rules. Of several estimates of one purchase the highest rank counts. Of suppliers' figures that
pass the quality gate the highest rank counts, then the newer; a deprecated one gives way to what
replaced it. A supplier's figure is taken whole and never scaled; of the estimates of the purchases
it stands for, the share it does not cover still counts. More coverage than there were purchases is
a conflict, and the figure is quarantined. A retracted figure counts nothing, so that the estimate
stands again, as it was calculated with the factor of the day of the activity.

What counts follows from the set of facts alone, never from the order in which they arrived. A fact
that does not count still has a line, of 0 kg: it is the evidence, and the memory from which the
next decision is made. (The specification of the rules: GHG Protocol Scope 3 Standard, chapter 7;
Technical Guidance, box 1.1 and figure 1.2; ranks and limits are this project's.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.claims import quality_gate
from carbon_ledger.claims.claims import ClaimKey
from carbon_ledger.claims.facts import VERIFIED, Fact
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.greenhouse import Gases
from carbon_ledger.policy import Policy
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.workings import Working

# `covered`: an estimate whose purchase suppliers' figures stand for in full; `outranked`: a better
# figure says the same; `not_admitted`: below the quality gate, for now.
Role = Literal["counts", "covered", "outranked", "not_admitted", "quarantined", "retracted"]

CAPPED: Final = "coverage_capped"
PARTIAL: Final = "partially_superseded"
NO_SUCCESSOR: Final = "deprecated_without_successor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a fact is worth among the others of its claim: the share that counts, and why."""

    role: Role
    share: Fraction
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ActiveLine:
    """One line that stands in the ledger for one fact: a share of its figure, posted once.

    `line_id` is the fact and the fact that caused the posting, each with its revision, so it occurs
    once. `kgco2e` and `gases` are posted figures; the share is exact and in the working.
    """

    line_id: str
    fact: Fact
    standing: Standing
    kgco2e: Decimal
    gases: Gases
    working: Working

    @property
    def claim(self) -> ClaimKey:
        """The claim the line stands in."""
        return self.fact.claim

    @property
    def flags(self) -> tuple[str, ...]:
        """All remarks on the line: those of its figure and those of its standing, sorted."""
        return tuple(sorted({*self.fact.flags, *self.standing.flags}))

    @property
    def content(self) -> tuple[str, Standing, Decimal, Gases]:
        """What the line says, apart from when and why it was posted."""
        return (self.fact.key, self.standing, self.kgco2e, self.gases)


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """A line that is added to the ledger; a reversal is the exact negative of the line it names.

    `recorded_at` is when it became known, `cause` the key of the fact that made it necessary. The
    activity's own time is that of `line.fact` in both, whatever period is closed by then.
    """

    line: ActiveLine
    is_reversal: bool
    cause: str
    recorded_at: datetime

    @property
    def kgco2e(self) -> Decimal:
        """The figure this posting adds."""
        return _negative(self.line.kgco2e) if self.is_reversal else self.line.kgco2e

    @property
    def gases(self) -> Gases:
        """kg of every gas this posting adds."""
        if not self.is_reversal:
            return self.line.gases
        return Gases.of({gas: _negative(kg) for gas, kg in self.line.gases})


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What to post, reversals first, and what stands afterwards.

    `outcome`: `posted`; `duplicate`, the statement is known already; `stale`, a later revision is.
    """

    outcome: Literal["posted", "duplicate", "stale"]
    postings: tuple[Posting, ...]
    active: tuple[ActiveLine, ...]

    @property
    def delta_kgco2e(self) -> Decimal:
        """By how much the decision changes the claim."""
        return total(posting.kgco2e for posting in self.postings)

    @property
    def quarantined(self) -> tuple[str, ...]:
        """Facts that contradict something and wait for a person."""
        return tuple(
            line.fact.fact_id for line in self.active if line.standing.role == "quarantined"
        )


def decide(active: Sequence[ActiveLine], new: Fact, policy: Policy) -> Decision:
    """What a new fact changes among the active lines of its claim; pure and deterministic.

    Whatever the order in which a set of facts arrives, the lines that stand in the end say the
    same. Raises RejectedRecord `fact_conflict` where the same revision says something else than is
    known, and BrokenInvariant `other_claim` or `fact_twice` where `active` is no state of a claim.
    """
    known = _by_fact(active, new)
    standing = tuple(known[fact_id] for fact_id in sorted(known))
    before = known.get(new.fact_id)
    if before is None or before.fact.revision < new.revision:
        return _post(known, new, policy)
    if before.fact.revision > new.revision:
        return Decision(outcome="stale", postings=(), active=standing)
    if not before.fact.says_the_same(new):
        raise RejectedRecord(
            "fact_conflict",
            f"{new.key} is known and says something else",
            field="revision",
            value=new.revision,
            valid="the same statement, or a higher revision",
        )
    return Decision(outcome="duplicate", postings=(), active=standing)


def _by_fact(active: Sequence[ActiveLine], new: Fact) -> dict[str, ActiveLine]:
    known: dict[str, ActiveLine] = {}
    for line in active:
        if line.claim != new.claim:
            raise BrokenInvariant(
                "other_claim", f"{line.line_id} stands in {line.claim.text}, not {new.claim.text}"
            )
        if line.fact.fact_id in known:
            raise BrokenInvariant("fact_twice", f"{line.fact.fact_id} has two active lines")
        known[line.fact.fact_id] = line
    return known


def _post(known: Mapping[str, ActiveLine], new: Fact, policy: Policy) -> Decision:
    facts = {fact_id: line.fact for fact_id, line in known.items()}
    facts[new.fact_id] = new
    standings = resolve(facts.values(), policy)
    reversals, posts, active = [], [], []
    for fact_id in sorted(facts):
        old = known.get(fact_id)
        line = _line(facts[fact_id], standings[fact_id], new)
        if old is not None and old.content == line.content:
            active.append(old)
            continue
        active.append(line)
        if old is not None:
            reversals.append(_posting(old, new, is_reversal=True))
        posts.append(_posting(line, new, is_reversal=False))
    return Decision(outcome="posted", postings=(*reversals, *posts), active=tuple(active))


def _line(fact: Fact, standing: Standing, cause: Fact) -> ActiveLine:
    why = standing.role if standing.share == 0 else "not covered by a supplier's figure"
    working = fact.figure.working(standing.share, why)
    return ActiveLine(
        line_id=f"{fact.key}|{cause.key}",
        fact=fact,
        standing=standing,
        kgco2e=working.posted(),
        gases=fact.figure.gases(standing.share, why),
        working=working,
    )


def _posting(line: ActiveLine, cause: Fact, *, is_reversal: bool) -> Posting:
    return Posting(line=line, is_reversal=is_reversal, cause=cause.key, recorded_at=cause.known_at)


def resolve(facts: Iterable[Fact], policy: Policy) -> dict[str, Standing]:
    """The winning set: how every fact of one claim stands, by its id; one revision of each."""
    ordered = sorted(facts, key=lambda fact: fact.fact_id)
    estimates = [fact for fact in ordered if fact.kind == "estimate"]
    specifics = [fact for fact in ordered if fact.kind == "specific"]
    found = {
        fact.fact_id: Standing(role="retracted", share=Fraction(0))
        for fact in ordered
        if fact.status == "retracted"
    }
    purchases = _best_estimates([fact for fact in estimates if fact.fact_id not in found])
    offered = [fact for fact in specifics if fact.fact_id not in found]
    ancestors = quality_gate.ancestors_of(specifics)
    ruled, covered = _resolve_specific(offered, purchases, ancestors, policy)
    found.update(ruled)
    chosen = {fact.fact_id for fact in purchases}
    for fact in estimates:
        if fact.fact_id in found:
            continue
        if fact.fact_id not in chosen:
            found[fact.fact_id] = Standing(role="outranked", share=Fraction(0))
        else:
            found[fact.fact_id] = _estimate_standing(covered[fact.activity_ref])
    return found


def _priority(fact: Fact) -> tuple[int, datetime, str]:
    return (fact.rank, fact.created, fact.fact_id)


def _best_estimates(estimates: Iterable[Fact]) -> list[Fact]:
    """One estimate per purchase: the highest rank, then the newest."""
    best: dict[str, Fact] = {}
    for fact in sorted(estimates, key=_priority):
        best[fact.activity_ref] = fact
    return [best[ref] for ref in sorted(best)]


def _estimate_standing(covered: Fraction) -> Standing:
    if covered >= 1:
        flags = (CAPPED,) if covered > 1 else ()
        return Standing(role="covered", share=Fraction(0), flags=flags)
    return Standing(role="counts", share=1 - covered, flags=(PARTIAL,) if covered else ())


def _purchases_of(fact: Fact, purchases: Iterable[Fact]) -> list[Fact]:
    return [one for one in purchases if not fact.covers or one.activity_ref in fact.covers]


def _resolve_specific(
    offered: Sequence[Fact],
    purchases: Sequence[Fact],
    ancestors: Mapping[str, frozenset[str]],
    policy: Policy,
) -> tuple[dict[str, Standing], dict[str, Fraction]]:
    """How the suppliers' figures stand, and what share of each purchase those that count cover."""
    failed = {
        fact.fact_id: quality_gate.failures(
            fact, _purchases_of(fact, purchases), ancestors[fact.fact_id], policy
        )
        for fact in offered
    }
    sound = [fact for fact in offered if not failed[fact.fact_id]]
    for fact in sound:
        if quality_gate.not_latest(fact, sound):
            failed[fact.fact_id] = (quality_gate.NOT_LATEST,)
    admitted = [fact for fact in sound if not failed[fact.fact_id]]
    found = {
        fact_id: Standing(
            role="quarantined" if quality_gate.CONFLICTS & set(codes) else "not_admitted",
            share=Fraction(0),
            flags=codes,
        )
        for fact_id, codes in failed.items()
        if codes
    }
    replaced = {one for fact in admitted for one in ancestors[fact.fact_id]}
    covered: dict[str, Fraction] = defaultdict(Fraction)
    counting: list[Fact] = []
    for fact in sorted(admitted, key=_priority, reverse=True):
        is_deprecated = fact.status == "deprecated"
        if (is_deprecated and fact.fact_id in replaced) or any(
            _is_rival(fact, other) for other in counting
        ):
            found[fact.fact_id] = Standing(role="outranked", share=Fraction(0))
            continue
        standing = _take(fact, _purchases_of(fact, purchases), covered, policy)
        flags = (*standing.flags, *((NO_SUCCESSOR,) if is_deprecated else ()))
        found[fact.fact_id] = Standing(role=standing.role, share=standing.share, flags=flags)
        if standing.role == "counts":
            counting.append(fact)
    return found, covered


def _is_rival(fact: Fact, other: Fact) -> bool:
    """Whether both speak of the same supplier, item, purchases and time, so that one must lose."""
    same_thing = (fact.supplier_id, fact.item_id) == (other.supplier_id, other.item_id)
    same_purchases = (
        not fact.covers or not other.covers or bool(set(fact.covers) & set(other.covers))
    )
    same_time = (fact.occurred_from, fact.occurred_to) == (
        other.occurred_from,
        other.occurred_to,
    ) or (fact.occurred_from < other.occurred_to and other.occurred_from < fact.occurred_to)
    return same_thing and same_purchases and same_time


def _take(
    fact: Fact, purchases: Sequence[Fact], covered: dict[str, Fraction], policy: Policy
) -> Standing:
    """Let a figure count, unless with those before it more would be covered than was bought."""
    found = quality_gate.coverage_of(fact, purchases, policy)
    if isinstance(found, str):
        raise BrokenInvariant("coverage_unknown", f"{fact.key} was admitted, but: {found}")
    together = [covered[one.activity_ref] + found.ratio for one in purchases]
    if max(together) > Fraction(policy.supplier_coverage_conflict):
        return Standing(
            role="quarantined", share=Fraction(0), flags=(quality_gate.COVERAGE_CONFLICT,)
        )
    for one in purchases:
        covered[one.activity_ref] += found.ratio
    flags = (CAPPED,) if max(together) > 1 else ()
    return Standing(role="counts", share=Fraction(1), flags=flags)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimState:
    """Where a claim stands, and the lowest rank among what counts.

    `estimated_share` is what of the purchases still counts as an estimate, by the estimates' kg:
    1 for `estimated`, 0 for `specific` and `verified`.
    """

    name: Literal["empty", "estimated", "partial", "specific", "verified"]
    rank: int | None
    estimated_share: Fraction


def state_of(active: Iterable[ActiveLine]) -> ClaimState:
    """The state of a claim whose active lines these are. `verified`: every counting figure is."""
    lines = list(active)
    counting = [line for line in lines if line.standing.role == "counts"]
    specific = [line.fact for line in counting if line.fact.kind == "specific"]
    estimated = [line for line in counting if line.fact.kind == "estimate"]
    if not counting:
        return ClaimState(name="empty", rank=None, estimated_share=Fraction(0))
    rank = min(line.fact.rank for line in counting)
    if not specific:
        return ClaimState(name="estimated", rank=rank, estimated_share=Fraction(1))
    if estimated:
        share = _estimated_share(lines)
        return ClaimState(name="partial", rank=rank, estimated_share=share)
    name: Literal["verified", "specific"] = "verified" if rank == VERIFIED else "specific"
    return ClaimState(name=name, rank=rank, estimated_share=Fraction(0))


def _estimated_share(lines: Iterable[ActiveLine]) -> Fraction:
    """By kg of the whole estimates of the purchases; where they are of 0 kg, by their number."""
    pairs = [
        (abs(line.fact.figure.exact()), line.standing.share)
        for line in lines
        if line.fact.kind == "estimate" and line.standing.role in ("counts", "covered")
    ]
    whole = sum((kg for kg, _ in pairs), Fraction(0))
    if not whole:
        return sum((share for _, share in pairs), Fraction(0)) / len(pairs)
    return sum((kg * share for kg, share in pairs), Fraction(0)) / whole


def total(figures: Iterable[Decimal]) -> Decimal:
    """The exact sum of posted figures."""
    summed = Decimal(0)
    for figure in figures:
        summed = PRODUCT.add(summed, figure)
    return summed


def total_gases(lines: Iterable[Gases]) -> Gases:
    """The exact sum of posted masses, gas by gas, in kg."""
    masses: dict[str, Decimal] = {}
    for gases in lines:
        for gas, kg in gases:
            masses[gas] = PRODUCT.add(masses.get(gas, Decimal(0)), kg)
    return Gases.of(masses)


def as_of(postings: Iterable[Posting], moment: datetime) -> Decimal:
    """The figure of a claim in kgCO2e as it was known at `moment`: all recorded by then."""
    return total(posting.kgco2e for posting in postings if posting.recorded_at <= moment)


def _negative(value: Decimal) -> Decimal:
    # Not unary minus, which rounds to the ambient context's digits.
    return value.copy_negate() if value else value.copy_abs()


def pro_rata(weights: Mapping[str, Decimal]) -> dict[str, Fraction]:
    """The share of each month (or other part) in a year's statement; together exactly 1.

    So a year's figure takes the place of the months' provisional ones, in proportion to what was
    spent: its part is the figure's terms times this share. Raises RejectedRecord
    `weight_negative`, or `nothing_to_allocate_by` where all weights are zero.
    """
    negative = sorted(name for name, weight in weights.items() if weight < 0)
    if negative:
        raise RejectedRecord(
            "weight_negative",
            f"{', '.join(negative)} would get a negative share",
            field="weights",
            value=weights[negative[0]],
            valid="zero or more each, and more than zero together",
        )
    whole = sum((Fraction(weight) for weight in weights.values()), Fraction(0))
    if not whole:
        raise RejectedRecord(
            "nothing_to_allocate_by",
            "all weights are zero",
            field="weights",
            value=0,
            valid="more than zero together",
        )
    return {name: Fraction(weights[name]) / whole for name in sorted(weights)}
