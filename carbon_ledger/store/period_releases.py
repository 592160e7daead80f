"""Which factor release the market-based postings of a year are made with.

Belongs here: the release an organization's year is held to, and what makes it another. Does not:
the lines (carbon_ledger.energy.period_postings), posting (carbon_ledger.store.period_postings).

A release that is imported moves no figure that was posted. A year goes to another one by an
approved restatement, or because what stands needs a factor that its own lacks.
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
class HeldRelease:
    """The release of an organization's year, and the restatement that moved it there since its
    lines were posted (None: they were posted with it).
    """

    organization_id: str
    factor_release: str
    restatement_id: int | None


@dataclass(frozen=True, kw_only=True)
class MadePeriods:
    """Lines there are to be, the release their factors are of, and why that is another one than
    what stands was posted with, if it is.
    """

    periods: Periods
    release: str
    why_moved: str = ANOTHER_FIGURE


def held_releases(conn: Connection, fiscal_year: int) -> dict[str, HeldRelease]:
    """By organization the release that its market-based figures of a year are held to: that of the
    lines posted last, or of a restatement of its entries of the whole year that came after.
    """
    with conn.cursor(row_factory=class_row(HeldRelease)) as cursor:
        found = cursor.execute(
            query("held_releases"),
            {"begin": date(fiscal_year, 1, 1), "end": date(fiscal_year + 1, 1, 1)},
        )
        return {one.organization_id: one for one in found}


def market_by_release(
    make: Callable[[str], Periods],
    held: HeldRelease | None,
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
    first = known[-1] if held is None else held.factor_release
    later = [one for one in known if order[one] > order[first]]
    made = make(first)
    needed = _lacking(made)
    if not needed:
        why = ANOTHER_FIGURE
        if held is not None and held.restatement_id is not None:
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
