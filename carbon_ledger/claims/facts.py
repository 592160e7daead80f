"""What is known of a claim: estimates and suppliers' figures, as supersession sees them.

Belongs here: one dated statement of a figure with all that decides whether it counts. Does not:
the decision (carbon_ledger.claims.supersession), how a figure is calculated (the calculators), the
database.

A fact can be made from what the ledger and the archive hold: the figure by calculating the record's
payload anew with the factor that its entry names, the rest from the record itself. Every ledgered
fact has one active entry in its claim, though it be of 0 kg, so the facts of a claim are those of
its active entries. A purchase order that only commits to buy states no figure and is no fact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.claims.claims import ClaimKey
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.greenhouse import Gases
from carbon_ledger.lines import EmissionLine
from carbon_ledger.units import Quantity
from carbon_ledger.workings import Formula, Operand, Term, Working, scaled

# The order in which one kind of figure gives way to another, in the words of the Scope 3 Standard
# (chapter 7) and its Technical Guidance; the numbers are this project's.
RANKS: Final[dict[str, int]] = {
    "spend_based": 1,
    "average_data": 2,
    "hybrid": 3,
    "allocated_supplier": 4,
    "footprint": 5,
    "verified_footprint": 6,
}
VERIFIED: Final = RANKS["verified_footprint"]
FIRST_SPECIFIC: Final = RANKS["hybrid"]

Status = Literal["active", "deprecated", "retracted"]

# On the line of a credit note, whose factor is that of the day of what it takes back.
CREDIT_NOTE: Final = "credit_note"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure of kgCO2e and of each gas as its exact working, so that a share of it is exact."""

    formula: Formula
    terms: tuple[Term, ...]
    gas_terms: tuple[tuple[str, tuple[Term, ...]], ...] = ()

    @classmethod
    def of(cls, line: EmissionLine) -> Figure:
        """The figure of a calculated line.

        Raises BrokenInvariant `factor_not_of_activity` where its factor is of another time than the
        activity and the line does not say so: an estimate that stands again after a retraction is
        that of the day of the activity, never one made with today's factor. A credit note's may be
        of an earlier time: that of what it takes back.
        """
        _check_factor_time(line)
        return cls(
            formula=line.working.formula,
            terms=line.working.terms,
            gas_terms=tuple((gas, working.terms) for gas, working in line.gas_workings),
        )

    def exact(self) -> Fraction:
        """The whole figure in kgCO2e."""
        return self.working(Fraction(1), "").exact()

    def working(self, share: Fraction, why: str) -> Working:
        """The working of `share` of the figure; the whole figure's own where the share is 1."""
        return Working(formula=self.formula, terms=_shared(self.terms, share, why))

    def gases(self, share: Fraction, why: str) -> Gases:
        """Posted masses of `share` of every gas in kg, each rounded once from its own working."""
        return Gases.of(
            {
                gas: Working(formula=self.formula, terms=_shared(terms, share, why)).posted()
                for gas, terms in self.gas_terms
            }
        )


def _check_factor_time(line: EmissionLine) -> None:
    if line.factor is None or line.occurred_from is None or line.factor.vintage_gap_years:
        return
    start, end = line.factor.factor.valid_from, line.factor.factor.valid_to
    # A site's calendar may be a day from UTC, by which validity is told here.
    day = timedelta(days=1)
    occurred = line.occurred_from.date()
    if not (start and end):
        return
    last = date.max if CREDIT_NOTE in line.flags else end
    if not start - day <= occurred <= last:
        raise BrokenInvariant(
            "factor_not_of_activity",
            f"{line.factor.factor.factor_id} is valid from {start} to {end}, not on {occurred}",
        )


def _shared(terms: tuple[Term, ...], share: Fraction, why: str) -> tuple[Term, ...]:
    if share == 1:
        return terms
    operand = Operand(value=share, unit="of the figure", label="share that counts", source=why)
    return scaled(terms, (operand,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One statement of a figure for (part of) a claim. A retraction is a later revision of it.

    `kind`: an `estimate` is of one purchase (`activity_ref`); a `specific` figure comes from the
    supplier and stands for the purchases `covers` names, all of the claim if it names none.
    `amounts` is what was bought, in every unit that is known (money too); `covered` is how much of
    that the specific figure stands for. `created` is when its author made it, `known_at` when it
    became known here. `occurred_from/to` is when what it stands for happened, `reference_from/to`
    the period its data are of (None: the same). `preceding` are the facts its author replaces by
    it. `open_conflicts` names doubts stated elsewhere; `is_reviewed`: a named person found its
    unusual size right.
    """

    claim: ClaimKey
    fact_id: str
    revision: int = 0
    status: Status = "active"
    kind: Literal["estimate", "specific"]
    rank: int
    activity_ref: str
    figure: Figure
    created: datetime
    known_at: datetime
    occurred_from: datetime
    occurred_to: datetime
    amounts: tuple[Quantity, ...] = ()
    covered: Quantity | None = None
    covers: tuple[str, ...] = ()
    supplier_id: str = ""
    item_id: str = ""
    boundary: str = "cradle_to_gate"
    is_filled: bool = False
    reference_from: datetime | None = None
    reference_to: datetime | None = None
    expires: datetime | None = None
    preceding: tuple[str, ...] = ()
    open_conflicts: tuple[str, ...] = ()
    is_reviewed: bool = False
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ranks = range(1, FIRST_SPECIFIC) if self.kind == "estimate" else range(3, VERIFIED + 1)
        faults = {
            "fact_rank": self.rank not in ranks,
            "fact_period": self.occurred_from > self.occurred_to,
            "fact_reference": (self.reference_from is None) != (self.reference_to is None),
            "fact_covered": (self.covered is None) != (self.kind == "estimate"),
        }
        for code, is_broken in faults.items():
            if is_broken:
                raise BrokenInvariant(code, f"{self.key} contradicts itself: {self}"[:400])
        if self.kind == "specific" and self.figure.exact() < 0:
            raise RejectedRecord(
                "negative_gross",
                f"{self.key} states {self.figure.exact()} kgCO2e",
                field="figure",
                value=self.figure.exact(),
                valid="zero or more; removals are reported apart, never taken off",
            )
        if self.covered is not None and self.covered.value <= 0:
            raise RejectedRecord(
                "coverage_not_positive",
                f"{self.key} covers {self.covered.value} {self.covered.unit}",
                field="covered",
                value=self.covered.value,
                valid="an amount above zero",
            )

    @property
    def key(self) -> str:
        """The fact and its revision, e.g. `pcf-17#2`."""
        return f"{self.fact_id}#{self.revision}"

    def says_the_same(self, other: Fact) -> bool:
        """Whether both are the same statement, whenever each became known."""
        return replace(self, known_at=other.known_at) == other
