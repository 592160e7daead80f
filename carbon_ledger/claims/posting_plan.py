"""From how the facts of a claim stand to what must be posted: reversals and lines of a share.

Belongs here: `plan`, what the ledger says of a claim against what it should say, pure. Does not:
which figure counts (carbon_ledger.claims.supersession), finding the facts (spark.claim_facts), the
transaction (carbon_ledger.store.claims).

The plan is made from the set of facts alone: applied to what the ledger says, it leads to the lines
that `supersession.decide` leads to, fact by fact, in any order. A line whose share is the whole is
the line its record posted, so a claim in which nothing gives way needs no posting at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from carbon_ledger.claims.facts import Fact, Figure
from carbon_ledger.claims.supersession import PARTIAL, Standing, resolve
from carbon_ledger.entries import POSTED_COLUMNS, PREIMAGE, EntryRow
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.greenhouse import CO2, CO2_BIOGENIC, METHANES, N2O, Gases
from carbon_ledger.policy import Policy
from carbon_ledger.quantities import PRODUCT, canonical_text
from carbon_ledger.workings import Formula, Operand, Term

COUNTS: Final = "counts"
RETRACTED: Final = "retracted"
# On a line that is posted at none of its figure, beside the remarks on the figure.
ROLE_FLAGS: Final = frozenset({"covered", "outranked", "not_admitted", "quarantined", RETRACTED})
BY_HAND: Final = Formula(
    formula_id="BY-HAND",
    text="the figure as somebody corrected it",
    citation="a correction by hand, whose cause says on whose word",
)
# What two lines of a fact must have in common to say the same; the rest tells when and why.
_SAID: Final = (
    *(name for name in POSTED_COLUMNS if name != "kgco2e_granular"),
    "other_gases",
    "flags",
    "quantity",
    "unit",
    "factor_id",
    "factor_version",
    "factor_release",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberLine:
    """A line of a fact: its exact figure, the entry that has it whole, and the one that stands.

    `active` is None where the line was taken back by hand and nothing was put in its place.
    """

    figure: Figure
    whole: EntryRow
    active: EntryRow | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A fact of a claim and its lines; `refusal` instead of a fact that cannot be one.

    Such a statement counts nothing: how much of what was bought it stands for cannot be said.
    """

    fact_id: str
    revision: int
    fact: Fact | None
    lines: tuple[MemberLine, ...]
    refusal: str = ""

    @property
    def key(self) -> str:
        """The fact and its revision."""
        return f"{self.fact_id}#{self.revision}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What becomes of a line: `old` is taken back, `new` is posted; it stays if both are None.

    `new` has no event id, time or hash of its own yet: those are the transaction's.
    """

    member: Member
    standing: Standing
    line: MemberLine
    old: EntryRow | None = None
    new: EntryRow | None = None
    cause: str = ""

    @property
    def delta_kgco2e(self) -> Decimal:
        """By how much it changes the claim."""
        old = Decimal(0) if self.old is None else self.old.kgco2e
        return PRODUCT.subtract(Decimal(0) if self.new is None else self.new.kgco2e, old)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Every line of a claim with what becomes of it, in the order of the facts."""

    claim: str
    changes: tuple[Change, ...]

    @property
    def postings(self) -> tuple[Change, ...]:
        """The lines that do not stay as they are."""
        return tuple(one for one in self.changes if one.new is not None)

    @property
    def delta_kgco2e(self) -> Decimal:
        """By how much the plan changes the claim."""
        found = Decimal(0)
        for one in self.postings:
            found = PRODUCT.add(found, one.delta_kgco2e)
        return found


def plan(
    claim: str,
    members: Iterable[Member],
    policy: Policy,
    *,
    changed: Collection[str] = (),
    left: Sequence[str] = (),
    code_version: str = "",
) -> Plan:
    """What to post so that the lines of a claim say how its facts stand; pure and deterministic.

    `changed` are the ids of the facts that are new or say something else since the claim was last
    looked at, `left` what is in it no more: they are the causes. Raises BrokenInvariant
    `fact_twice` for two facts of one id, RejectedRecord `figure_not_reproduced` where the figure of
    a line is not the one its entry has.
    """
    ordered = sorted(members, key=lambda member: member.fact_id)
    for one, other in pairwise(ordered):
        if one.fact_id == other.fact_id:
            raise BrokenInvariant("fact_twice", f"{one.fact_id} has two revisions in {claim}")
    standings = resolve([one.fact for one in ordered if one.fact is not None], policy)
    causes = _Causes(ordered, changed, left)
    changes = []
    for member in ordered:
        standing = standings.get(member.fact_id) if member.fact is not None else None
        if standing is None:
            standing = Standing(role="not_admitted", share=Fraction(0), flags=(member.refusal,))
        cause = f"claim {claim}: {causes.of(member)}"
        changes += [_change(member, standing, line, cause, code_version) for line in member.lines]
    return Plan(claim=claim, changes=tuple(changes))


class _Causes:
    """Which fact made a posting necessary, of a claim of any size: looked for once."""

    def __init__(
        self, members: Sequence[Member], changed: Collection[str], left: Sequence[str]
    ) -> None:
        self._left = left
        # The newest first, here and in what is made of it.
        newest = sorted(
            (one for one in members if one.fact_id in changed), key=_newness, reverse=True
        )
        self._two_newest = newest[:2]
        self._newest_of_kind: dict[str, Member] = {}
        for one in newest:
            self._newest_of_kind.setdefault(_kind(one), one)

    def of(self, member: Member) -> str:
        """One of the other kind, else another, else its own; else what is left, or nothing new."""
        unlike = [one for kind, one in self._newest_of_kind.items() if kind != _kind(member)]
        others = [one for one in self._two_newest if one.fact_id != member.fact_id]
        for some in (unlike, others, self._two_newest):
            if some:
                newest = some[0]
                is_back = newest.fact is not None and newest.fact.status == RETRACTED
                return f"{newest.key} retracted" if is_back else newest.key
        return f"{self._left[0]} left" if self._left else "its lines said something else"


def _kind(member: Member) -> str:
    return "" if member.fact is None else member.fact.kind


def _newness(member: Member) -> tuple[bool, str, str]:
    return member.fact is not None, _known(member), member.key


def _known(member: Member) -> str:
    return "" if member.fact is None else member.fact.known_at.isoformat()


def _change(
    member: Member, standing: Standing, line: MemberLine, cause: str, code_version: str
) -> Change:
    if line.figure.working(Fraction(1), "").posted() != line.whole.kgco2e:
        raise RejectedRecord(
            "figure_not_reproduced",
            f"{member.key} comes to {line.figure.working(Fraction(1), '').posted()} kgCO2e, its "
            f"entry {line.whole.entry_id} says {line.whole.kgco2e}",
            field="kgco2e",
            value=line.whole.kgco2e,
            valid="an entry that its record and the factors it names give again",
        )
    wanted = line_at(line, standing)
    if line.active is not None and says_the_same(line.active, wanted):
        return Change(member=member, standing=standing, line=line)
    new = replace(
        wanted,
        cause=cause,
        reverses_id=None,
        batch_id=None,
        preimage=PREIMAGE,
        content_sha256=b"",
        code_version=code_version or wanted.code_version,
    )
    return Change(
        member=member, standing=standing, line=line, old=line.active, new=new, cause=cause
    )


def line_at(line: MemberLine, standing: Standing) -> EntryRow:
    """The line with the share of its figure that counts, each figure rounded once, and the flags.

    Scope, category, basis, quantity, factor, method, rank and scores are those of the whole.
    """
    role = () if standing.role == COUNTS else (standing.role,)
    whole = line.whole
    flags = ",".join(sorted({*filter(None, whole.flags.split(",")), *standing.flags, *role}))
    if standing.share == 1:
        return replace(whole, flags=flags)
    why = standing.role if standing.share == 0 else "not covered by a supplier's figure"
    figures: dict[str, Any] = {
        "kgco2e": line.figure.working(standing.share, why).posted(),
        **gas_columns(line.figure.gases(standing.share, why)),
    }
    return replace(whole, **figures, flags=flags)


def gas_columns(gases: Gases) -> dict[str, Any]:
    """Posted masses as the columns of an entry, in kg; methane of any origin is one column."""
    named = {CO2, CO2_BIOGENIC, N2O, *METHANES}
    methane = [kg for gas, kg in gases if gas in METHANES]
    others = {gas: canonical_text(kg) for gas, kg in gases if gas not in named}
    return {
        "kg_co2_fossil": gases.get(CO2),
        "kg_co2_biogenic": gases.get(CO2_BIOGENIC),
        "kg_ch4": sum(methane[1:], methane[0]) if methane else None,
        "kg_n2o": gases.get(N2O),
        "other_gases": others or None,
    }


def says_the_same(one: EntryRow, other: EntryRow) -> bool:
    """Whether two lines of a fact state the same figures, factor and flags."""
    return all(getattr(one, name) == getattr(other, name) for name in _SAID)


def figure_by_hand(row: EntryRow) -> Figure:
    """The figure of a line that somebody corrected by hand, whole.

    Raises RejectedRecord `corrected_by_hand` where the line is one of a share: what the whole is,
    the correction does not say.
    """
    if {PARTIAL, *ROLE_FLAGS} & set(row.flags.split(",")):
        raise RejectedRecord(
            "corrected_by_hand",
            f"{row.entry_id} corrects a line that had a share of a figure",
            field="kgco2e",
            value=row.kgco2e,
            valid="a correction of the whole figure, without the flags of a share",
        )
    masses = {
        CO2: row.kg_co2_fossil,
        CO2_BIOGENIC: row.kg_co2_biogenic,
        METHANES[0]: row.kg_ch4,
        N2O: row.kg_n2o,
        **{gas: Decimal(text) for gas, text in (row.other_gases or {}).items()},
    }
    return Figure(
        formula=BY_HAND,
        terms=(_stated(row.kgco2e, "kgCO2e"),),
        gas_terms=tuple(
            (gas, (_stated(kg, f"kg {gas}"),)) for gas, kg in masses.items() if kg is not None
        ),
    )


def _stated(value: Decimal, unit: str) -> Term:
    return Term(operands=(Operand(value=value, unit=unit, label="figure", source="by hand"),))
