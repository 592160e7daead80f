"""What trips and shipments have in common: asking for a factor, joining parts of a figure, scores.

Belongs here: the question to the factor book, the sum of several applied factors as one figure, the
local day of an activity. Does not: the vocabulary (carbon_ledger.transport.vocabulary), rules of a
stream (carbon_ledger.transport.vehicles, carbon_ledger.transport.shipments).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final

from carbon_ledger.data_quality import GOOD, Area, Scores, geography_score, time_score
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import ActivityQuery, FactorMatch, FactorQuery
from carbon_ledger.factor_book.use import EMBEDDED_SET, apply_factor
from carbon_ledger.greenhouse import MEMO_GASES
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Applied
from carbon_ledger.reference.records import zone_of
from carbon_ledger.workings import Operand, Term

GASES_INCOMPLETE: Final = "gases_incomplete"
NO_SET: Final = "not_applicable"
# `incompatible_unit`: published, but not per anything the activity can be stated in.
_UNPUBLISHED: Final = frozenset(
    {"factor_missing", "factor_vintage_gap", "incompatible_unit", "unknown_family"}
)
# Of two rows that are half of a figure each, neither half is missing.
_COMPLEMENTS: Final = frozenset({"co2_only", "ch4_n2o_only"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What the factor book is asked for: family, selectors to the letter, the activity's unit."""

    family: str
    selectors: tuple[tuple[str, str], ...]
    unit: str

    def find(self, country_iso2: str | None, on: date, inventory: Inventory) -> FactorMatch:
        """The factor for an activity in a country on a day; raises what FactorBook.find raises."""
        query = ActivityQuery(
            family=self.family,
            selectors=self.selectors,
            activity_date=on,
            country_iso2=country_iso2,
            unit=self.unit,
        )
        return inventory.book.find(query, inventory.policy)

    def find_if_published(
        self, country_iso2: str | None, on: date, inventory: Inventory
    ) -> FactorMatch | None:
        """The factor, or None where none is published for the place and time.

        A question the book does not understand, or cannot decide, is refused as by `find`.
        """
        try:
            return self.find(country_iso2, on, inventory)
        except RejectedRecord as problem:
            if problem.code in _UNPUBLISHED:
                return None
            raise


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of a figure: its name, the factor, and the factor applied to the activity."""

    label: str
    match: FactorMatch
    applied: Applied

    @property
    def has_gases(self) -> bool:
        """Whether a gas other than a memo gas is known, so that CO2e could be made from gases."""
        return any(gas not in MEMO_GASES for gas, _ in self.applied.gas_terms)


def part(
    label: str, activity: Sequence[Operand], unit: str, match: FactorMatch, inventory: Inventory
) -> Part:
    """The factor of `match` applied to an activity whose product is in `unit`.

    Raises what `apply_factor` raises.
    """
    applied = apply_factor(activity, unit, match, inventory.book.gwp, inventory.policy.gwp_set)
    terms = tuple(replace(one, label=label) for one in applied.terms)
    return Part(label=label, match=match, applied=replace(applied, terms=terms))


def memo(one: Part) -> Part:
    """The part with nothing but its memo gases: it adds to no total."""
    gas_terms = tuple(pair for pair in one.applied.gas_terms if pair[0] in MEMO_GASES)
    return replace(
        one,
        applied=Applied(terms=(), gas_terms=gas_terms, gwp_set=NO_SET, flags=one.applied.flags),
    )


def joined(parts: Sequence[Part], gwp_set: str) -> Applied:
    """The sum of parts: their terms, each gas summed over the parts, every flag.

    If a part that counts has no gases, only memo gases are kept, flagged `gases_incomplete`:
    the gases of a figure are all of it or none. The set is the one in every part; where parts
    embed different ones it is `gwp_set`, flagged `gwp_set_embedded`.
    """
    terms = tuple(one for piece in parts for one in piece.applied.terms)
    flags = {flag for piece in parts for flag in piece.applied.flags}
    gas_terms: dict[str, tuple[Term, ...]] = {}
    for piece in parts:
        for gas, its_terms in piece.applied.gas_terms:
            labelled = tuple(replace(one, label=piece.label) for one in its_terms)
            gas_terms[gas] = (*gas_terms.get(gas, ()), *labelled)
    counting = [piece for piece in parts if piece.applied.terms]
    known = [piece for piece in counting if piece.has_gases]
    if known and len(known) < len(counting):
        gas_terms = {gas: its for gas, its in gas_terms.items() if gas in MEMO_GASES}
        flags.add(GASES_INCOMPLETE)
    if len(parts) > 1:
        flags -= _COMPLEMENTS if flags >= _COMPLEMENTS else set()
    sets = {piece.applied.gwp_set for piece in counting} - {NO_SET}
    if len(sets) > 1:
        flags.add(EMBEDDED_SET)
    used = sets.pop() if len(sets) == 1 else (gwp_set if sets else NO_SET)
    return Applied(
        terms=terms,
        gas_terms=tuple(sorted(gas_terms.items())),
        gwp_set=used,
        flags=tuple(sorted(flags)),
    )


def grid_factor(country_iso2: str, on: date, inventory: Inventory) -> FactorMatch:
    """The location-based factor of a country's grid; raises what FactorBook.match raises."""
    return inventory.book.match(
        FactorQuery(energy_source="grid", country_iso2=country_iso2, activity_date=on),
        inventory.policy.max_vintage_gap_years,
    )


def local_day(moment: datetime, facility_id: str | None, inventory: Inventory) -> date:
    """The day of `moment` in the calendar of the facility; in UTC if it is not registered."""
    day = moment.astimezone(UTC).date()
    site = inventory.register.site(facility_id, day) if facility_id is not None else None
    return day if site is None else moment.astimezone(zone_of(site.time_zone)).date()


def factor_scores(match: FactorMatch, *, technology: int) -> Scores:
    """Scores of a published factor: time by the gap of its vintage, geography by how it matched.

    GHG Protocol Scope 3 Standard, table 7.6; complete and reliable as a national statistic is.
    """
    area: Area = "same" if match.geography_level in ("region", "country") else "different"
    return Scores(
        technology=technology,
        time=time_score(match.vintage_gap_years),
        geography=geography_score(area),
        completeness=GOOD,
        reliability=GOOD,
    )
