"""The question for a factor, the answer, and the rule of vintages that all families share.

Belongs here: queries, matches, candidates, the choice of a year. Does not: the choice of a row
(carbon_ledger.factor_book.book for electricity, carbon_ledger.factor_book.activities for the rest).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from carbon_ledger.factor_book.rows import Factor

GeographyLevel = Literal["region", "country", "any", "proxy"]

CHOSEN: Final = "chosen"


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorQuery:
    """What a reading of electricity says: hashable, so a batch resolves its few distinct ones once.

    `activity_date` is the local date of the site. An empty region is none.
    """

    energy_source: str
    country_iso2: str
    activity_date: date
    region: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivityQuery:
    """What an activity other than electricity asks for: hashable, exact, nothing implied.

    `selectors` are (column, published text) pairs that the row must have, e.g. for family `fuel`
    (("fuel", "Diesel (100% mineral diesel)"), ("stage", "combustion")); columns left out must not
    matter, or the query is ambiguous and refused. `unit` is a unit the activity can be stated in.
    """

    family: str
    selectors: tuple[tuple[str, str], ...]
    activity_date: date
    country_iso2: str | None = None
    region: str | None = None
    unit: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorMatch:
    """A factor and how it matched.

    `how_matched` is geography/boundary/vintage, e.g. `region/location/exact-year`,
    `country/combustion/later-vintage`, `any/direct/no-vintage`; the middle is the stage or basis of
    a family other than electricity. `vintage_gap_years` is factor year minus activity year
    (positive: a later factor), None where the factor has no vintage.
    """

    factor: Factor
    release_id: str
    how_matched: str
    geography_level: GeographyLevel
    boundary_level: str
    vintage_gap_years: int | None
    boundary_substitute: bool
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One row `explain` looked at; `reason` is `chosen`, or why it was passed over."""

    factor: Factor
    reason: str
    vintage_gap_years: int | None

    @property
    def is_chosen(self) -> bool:
        """Whether this is the row the query gets."""
        return self.reason == CHOSEN


def years_of(row: Factor) -> Iterable[int | None]:
    """The calendar years a row is valid in; (None,) for a row without vintage."""
    if row.valid_from is None or row.valid_to is None:
        return (None,)
    return range(row.valid_from.year, row.valid_to.year)


def gap_of(row: Factor, activity_year: int) -> int | None:
    """Years from the activity to the nearest year the row is valid in; 0 if it covers it."""
    gaps = [year - activity_year for year in years_of(row) if year is not None]
    return min(gaps, key=abs) if gaps else None


def choose_year(
    years: Collection[int | None], activity_year: int, max_gap: int
) -> tuple[int | None, int | None] | None:
    """(the year whose rows apply, its signed gap): covering the activity, else without vintage,
    else the latest earlier, else the earliest later, within `max_gap`; None if there is no such.
    """
    if activity_year in years:
        return activity_year, 0
    if None in years:
        return None, None
    dated = [year for year in years if year is not None]
    earlier = [year for year in dated if activity_year - max_gap <= year < activity_year]
    if earlier:
        return max(earlier), max(earlier) - activity_year
    later = [year for year in dated if activity_year < year <= activity_year + max_gap]
    if later:
        return min(later), min(later) - activity_year
    return None


def vintage_word(gap: int | None) -> str:
    """How the year matched, as it is written in `how_matched`."""
    if gap is None:
        return "no-vintage"
    if gap == 0:
        return "exact-year"
    return "earlier-vintage" if gap < 0 else "later-vintage"
