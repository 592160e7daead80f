"""What an activity emits: the lines of a calculation, before they are posted, with their working.

Belongs here: the line every calculator returns, and the way a factor is applied to an activity.
Does not: the choice of the factor (factors), the rules of one stream, identity and posting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from carbon_ledger.data_quality import Scores
from carbon_ledger.greenhouse import MEMO_GASES, Gases
from carbon_ledger.workings import Formula, Term, Working

if TYPE_CHECKING:
    from datetime import datetime

    from carbon_ledger.factor_book.book import FactorMatch


# Flag of a line that says that its activity was cancelled at its source: it is posted, and taken
# back in the same transaction, so that nothing of the activity stands and the record is accounted.
CANCELLED: Final = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """The scope (1, 2, 3) and, in scope 3, the category (1 to 15) of an activity, and why.

    `rule` is a stable id such as `S3-4-PAYER`; `reason` says it in words and cites the standard.
    """

    scope: int
    category: int | None
    rule: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EmissionLine:
    """One figure in kgCO2e (posted: 12 decimals), with everything that explains it.

    `basis`: location, market, combustion, ttw, wtt, wtw, supplier, eeio_purchaser, … `method` is
    the method's name in the Scope 3 Standard (or `measured`), `rank` its place in the order of
    supersession (1 spend .. 6 verified product footprint; 0 where nothing supersedes it).
    `gases` are posted masses in kg; memo gases are among them and never in `kgco2e`.
    `quantity` and `unit` are the activity as stated.
    """

    assignment: Assignment
    basis: str
    method: str
    rank: int = 0
    activity_type: str
    quantity: Decimal
    unit: str
    kgco2e: Decimal
    gases: Gases
    gwp_set: str
    working: Working
    gas_workings: tuple[tuple[str, Working], ...] = ()
    factor: FactorMatch | None = None
    activity_scores: Scores | None = None
    factor_scores: Scores | None = None
    primary_share: Decimal = Decimal(0)
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None
    flags: tuple[str, ...] = ()

    @property
    def gas_split(self) -> str:
        """`available` if the gases are known, so that CO2e can be recomputed with another set; not
        where the factor's total holds gases that it does not give apart.
        """
        has_others = self.factor is not None and self.factor.factor.has_other_gases
        is_known = any(gas not in MEMO_GASES for gas, _ in self.gases)
        return "available" if is_known and not has_others else "not_available"


def line_of(
    *,
    assignment: Assignment,
    formula: Formula,
    terms: Sequence[Term],
    gas_terms: Sequence[tuple[str, Sequence[Term]]] = (),
    basis: str,
    method: str,
    activity_type: str,
    quantity: Decimal,
    unit: str,
    gwp_set: str,
    rank: int = 0,
    factor: FactorMatch | None = None,
    activity_scores: Scores | None = None,
    factor_scores: Scores | None = None,
    primary_share: Decimal = Decimal(0),
    occurred_from: datetime | None = None,
    occurred_to: datetime | None = None,
    flags: Sequence[str] = (),
) -> EmissionLine:
    """The line of a working: evaluated exactly, rounded once; gases likewise, each on its own."""
    working = Working(formula=formula, terms=tuple(terms))
    gas_workings = tuple(
        (gas, Working(formula=formula, terms=tuple(parts), unit=f"kg {gas}"))
        for gas, parts in gas_terms
    )
    return EmissionLine(
        assignment=assignment,
        basis=basis,
        method=method,
        rank=rank,
        activity_type=activity_type,
        quantity=quantity,
        unit=unit,
        kgco2e=working.posted(),
        gases=Gases.of({gas: one.posted() for gas, one in gas_workings}),
        gwp_set=gwp_set,
        working=working,
        gas_workings=gas_workings,
        factor=factor,
        activity_scores=activity_scores,
        factor_scores=factor_scores,
        primary_share=primary_share,
        occurred_from=occurred_from,
        occurred_to=occurred_to,
        flags=tuple(sorted(set(flags))),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """A factor applied to an activity: terms of the CO2e figure, of each gas, and what to say."""

    terms: tuple[Term, ...]
    gas_terms: tuple[tuple[str, tuple[Term, ...]], ...]
    gwp_set: str
    flags: tuple[str, ...]
