"""Which factor release and which potentials the period postings of a year are made with.

Belongs here: what an organization's year is held to, and what makes it another. Does not: the lines
(carbon_ledger.energy.period_postings), posting (carbon_ledger.store.period_postings).

Neither a release that is imported nor another setting of the potentials moves a figure that was
posted. A year goes to others by an approved restatement, and to another release because what stands
needs a factor that its own lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from psycopg.rows import class_row

from carbon_ledger.energy.period_postings import NotPosted, Periods
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

# Refusals that another release may answer; `factor_differs` is of heat, whose factor is not there.
LACKING: Final = frozenset({"factor_missing", "factor_vintage_gap", "factor_differs"})
ANOTHER_FIGURE: Final = "what it rests on came to another figure"


@dataclass(frozen=True, kw_only=True)
class HeldRules:
    """What an organization's year is held to: the release of its market-based figures and the set
    of potentials of all of them (None: nothing was posted that says it), and the restatements that
    moved it there (None: none did).
    """

    organization_id: str
    factor_release: str | None
    restatement_id: int | None
    gwp_set: str | None
    gwp_restatement_id: int | None

    @property
    def why_other_potentials(self) -> str:
        """What moved a line to another set of potentials than it was posted with."""
        if self.gwp_restatement_id is None:
            return ANOTHER_FIGURE
        return (
            f"restatement R-{self.gwp_restatement_id} moved its year to potentials {self.gwp_set}"
        )


@dataclass(frozen=True, kw_only=True)
class MadePeriods:
    """Lines there are to be, the release their factors are of, and why that is another one than
    what stands was posted with, if it is.
    """

    periods: Periods
    release: str
    why_moved: str = ANOTHER_FIGURE


def held_rules(
    conn: Connection, fiscal_year: int, organizations: Collection[str]
) -> dict[str, HeldRules]:
    """What the period postings of a year of each of the organizations are held to: what was posted
    last, or a restatement of its entries of the whole year that came after.
    """
    with conn.cursor(row_factory=class_row(HeldRules)) as cursor:
        found = cursor.execute(
            query("held_rules"),
            {
                "begin": date(fiscal_year, 1, 1),
                "end": date(fiscal_year + 1, 1, 1),
                "organizations": sorted(organizations),
            },
        )
        return {one.organization_id: one for one in found}


def market_by_release(
    make: Callable[[str], Periods],
    held: HeldRules,
    named: Collection[str],
    stored: Sequence[str],
) -> MadePeriods:
    """What `make` gives for the first release that has every factor needed.

    Tried first is the one that is held, or, where nothing was posted yet, the newest that entries
    name (`named`); then later ones that entries name, oldest first, and the newest of `stored` (all
    of them, oldest first). A release other than the first is disclosed. Where none will do, the
    refusal is that of the first.
    """
    order = {release: place for place, release in enumerate(stored)}
    known = sorted(named, key=order.__getitem__)
    first = held.factor_release or known[-1]
    later = [one for one in known if order[one] > order[first]]
    made = make(first)
    needed = _lacking(made)
    if not needed:
        why = ANOTHER_FIGURE
        if held.restatement_id is not None:
            why = f"restatement R-{held.restatement_id} moved its year to factor release {first}"
        return MadePeriods(periods=made, release=first, why_moved=why)
    for release in dict.fromkeys([*later, stored[-1]]):
        again = make(release) if release != first else made
        if _lacking(again):
            continue
        said = f"factor release {first} lacks a factor that is needed, so {release} is used"
        (refusal,) = needed
        told = f"{refusal.organization_id} {refusal.period}: {said} ({refusal.reason})"
        periods = replace(again, disclosures=(*again.disclosures, told))
        return MadePeriods(periods=periods, release=release, why_moved=said)
    return MadePeriods(periods=made, release=first)


def _lacking(periods: Periods) -> list[NotPosted]:
    return [one for one in periods.not_posted if one.is_fault and one.code in LACKING]
