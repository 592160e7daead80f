"""Emission factors: which one applies to an activity, and how it came to apply.

Belongs here: the query, the match, the rules of choice. Does not: the row itself and its hash
(carbon_ledger.factor_rows, whose names can be imported from here too), where rows are kept
(carbon_ledger.store) or come from (factor_seeds), multiplying (carbon_ledger.calculate).

The choice, most weighty rule first (docs/adr/0002-factor-matching.md gives the reasons):

1. A factor whose boundary does not belong in scope 2 (T&D losses and SF6 included), whose statistic
   is an extreme, whose technology is not the default one, or which has a newer version, is none.
2. A vintage further from the activity than the policy allows is no candidate at all.
3. Geography: region before country.
4. Boundary: direct emissions before life-cycle; life-cycle is flagged `boundary_substitute`.
5. Vintage: the one that covers the activity date, else the latest earlier, else the earliest later.
6. Source and statistic, where a precedence is written down below. What is left must be one row;
   two are a BrokenInvariant `factor_tie`, found when the book is opened, never a pick.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from carbon_ledger.countries import COUNTRY_NAMES, require_country
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_rows import (
    ENERGY_SOURCES,
    GRID,
    Factor,
    FactorRelease,
    Family,
    check_factor,
    factor_preimage,
    factor_sha256,
    make_release,
    sealed,
)

__all__ = [
    "ENERGY_SOURCES",
    "ENERGY_SOURCE_ALIASES",
    "GRID",
    "MAX_VINTAGE_GAP_YEARS",
    "Candidate",
    "Factor",
    "FactorBook",
    "FactorMatch",
    "FactorQuery",
    "FactorRelease",
    "check_factor",
    "factor_preimage",
    "factor_sha256",
    "make_release",
    "normalise_energy_source",
    "sealed",
]

GeographyLevel = Literal["region", "country", "any"]

# The only other spellings accepted. Everything else is refused rather than guessed.
ENERGY_SOURCE_ALIASES: Final[dict[str, str]] = {
    "electricity": GRID,
    "grid_mix": GRID,
    "hydropower": "hydro",
    "natural_gas": "gas",
    "solar_pv": "solar",
}

BOUNDARY_ORDER: Final[dict[str, tuple[str, ...]]] = {
    "grid": ("location", "lifecycle"),
    "energy_source": ("direct", "lifecycle"),
}
SUBSTITUTE_LEVEL: Final = "lifecycle"

# The technology meant when an event names only the source. An empty technology (a row for the
# source as a whole) is always acceptable; any other one is not what the event said.
DEFAULT_TECHNOLOGY: Final[dict[str, str]] = {
    "biomass": "dedicated",
    "coal": "pulverised coal",
    "gas": "combined cycle",
    "solar": "PV utility",
    "wind": "onshore",
}

# Best first. `min` and `max` describe a spread, never an activity. `published`: a single figure.
STATISTIC_ORDER: Final = ("published", "median", "central")

# Sources that describe the same thing, best first; a source not named here ranks before all of them
# and level with its like, so that a new overlap is a tie to be decided, not a pick.
SOURCE_ORDER: Final = ("ipcc_ar5_a3", "ipcc_ar5_a3_direct", "codecarbon_per_source")

MAX_VINTAGE_GAP_YEARS: Final = 5

_ISO_3166_2 = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}")


def normalise_energy_source(text: str) -> str:
    """The canonical energy source for `text`; raises RejectedRecord `unknown_energy_source`."""
    canonical = ENERGY_SOURCE_ALIASES.get(text, text)
    if canonical in ENERGY_SOURCES:
        return canonical
    raise RejectedRecord(
        "unknown_energy_source",
        f"{str(text)[:60]!r} is no energy source",
        field="energy_source",
        value=text,
        valid=f"{', '.join(ENERGY_SOURCES)}; also {', '.join(ENERGY_SOURCE_ALIASES)}",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorQuery:
    """What an activity says: hashable, so a batch resolves its few distinct ones once.

    `activity_date` is the local date of the site. An empty region is none.
    """

    energy_source: str
    country_iso2: str
    activity_date: date
    region: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorMatch:
    """A factor and how it matched.

    `how_matched` is geography/boundary/vintage, e.g. `region/location/exact-year`,
    `country/lifecycle/later-vintage`, `any/direct/no-vintage`. `vintage_gap_years` is factor year
    minus activity year (positive: a later factor), None where the factor has no vintage.
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
        """Whether this is the row `match` returns."""
        return self.reason == "chosen"


_Cell = dict[int | None, Factor]
_Place = tuple[str, str | None, str | None]


class FactorBook:
    """Every factor of a release, indexed for matching; read-only, pickles, cheap to ask.

    Raises BrokenInvariant on opening if a row was altered, appears twice, or ties with another.
    """

    def __init__(self, factors: Iterable[Factor], release_id: str) -> None:
        self.release_id = release_id
        self._rows = tuple(sorted(factors, key=lambda row: (row.factor_id, row.version)))
        self._newest: dict[str, int] = {}
        for row in self._rows:
            check_factor(row)
            if self._newest.get(row.factor_id) == row.version:
                raise BrokenInvariant(
                    "factor_duplicate", f"{row.factor_id} version {row.version} is there twice"
                )
            self._newest[row.factor_id] = row.version
        self._region_countries: dict[str, set[str | None]] = {}
        self._cells = self._index()

    def _index(self) -> dict[tuple[_Place, str], _Cell]:
        contenders: dict[tuple[_Place, str], dict[int | None, list[Factor]]] = {}
        for row in self._rows:
            if row.region is not None:
                self._region_countries.setdefault(row.region, set()).add(row.country_iso2)
            level = row.boundary_level
            if level is None or self._unusable(row) is not None:
                continue
            cell = contenders.setdefault((_place(row), level), {})
            for year in _years(row):
                cell.setdefault(year, []).append(row)
        return {key: _decide(key, cell) for key, cell in contenders.items()}

    def __len__(self) -> int:
        return len(self._rows)

    def match(
        self, query: FactorQuery, max_vintage_gap_years: int = MAX_VINTAGE_GAP_YEARS
    ) -> FactorMatch:
        """The one factor for `query`, or RejectedRecord; never a default, never an average.

        Codes: `unknown_energy_source`, `unknown_country`, `region_country_mismatch`,
        `factor_missing` (no usable factor of any year), `factor_vintage_gap` (only ones too far
        from the activity). Rules: module docstring; GHG Protocol Scope 2
        Guidance (2015), table 6.2.
        """
        source, places = self._places(query)
        family: Family = "grid" if source == GRID else "energy_source"
        activity_year = query.activity_date.year
        nearest: int | None = None
        for geography, place in places:
            for level in BOUNDARY_ORDER[family]:
                cell = self._cells.get((place, level))
                if cell is None:
                    continue
                found = _choose_vintage(cell, activity_year, max_vintage_gap_years)
                if found is not None:
                    return self._matched(query, geography, level, *found)
                gap = min((year - activity_year for year in cell if year is not None), key=abs)
                nearest = gap if nearest is None else min(nearest, gap, key=abs)
        raise _nothing(query, source, nearest, max_vintage_gap_years)

    def explain(
        self, query: FactorQuery, max_vintage_gap_years: int = MAX_VINTAGE_GAP_YEARS
    ) -> list[Candidate]:
        """Every row of the queried places, the chosen one first, each with the reason for it.

        Raises RejectedRecord only where the query itself is not understood; where no row is chosen
        `match` raises.
        """
        source, places = self._places(query)
        try:
            chosen = self.match(query, max_vintage_gap_years)
        except RejectedRecord:
            chosen = None
        levels = {place: geography for geography, place in places}
        candidates = []
        for row in self._rows:
            if row.energy_source == source and _place(row) in levels:
                gap = _gap(row, query.activity_date.year)
                reason = self._reason(row, levels[_place(row)], gap, chosen, max_vintage_gap_years)
                candidates.append(Candidate(factor=row, reason=reason, vintage_gap_years=gap))
        return sorted(candidates, key=lambda candidate: not candidate.is_chosen)

    def _places(self, query: FactorQuery) -> tuple[str, list[tuple[GeographyLevel, _Place]]]:
        source = normalise_energy_source(query.energy_source)
        country = require_country(query.country_iso2)
        self._check_region(query)
        if source != GRID:
            return source, [("any", (source, None, None))]
        places: list[tuple[GeographyLevel, _Place]] = [("country", (source, country, None))]
        if query.region:
            places.insert(0, ("region", (source, country, query.region)))
        return source, places

    def _check_region(self, query: FactorQuery) -> None:
        """A region of another country contradicts the record; an unknown one just has no factor."""
        region = query.region
        if not region:
            return
        countries = self._region_countries.get(region)
        if countries is None:
            code = _ISO_3166_2.fullmatch(region)
            countries = {code[1]} if code and code[1] in COUNTRY_NAMES else {query.country_iso2}
        if query.country_iso2 not in countries:
            raise RejectedRecord(
                "region_country_mismatch",
                f"region {region!r} is not in country {query.country_iso2}",
                field="region",
                value=region,
                valid=f"an ISO 3166-2 code that begins with {query.country_iso2}-, or no region",
            )

    def _unusable(self, row: Factor) -> str | None:
        """Why the row can never be chosen, whatever the activity; None if it can."""
        if row.version != self._newest[row.factor_id]:
            return f"superseded by version {self._newest[row.factor_id]}"
        if row.boundary_level is None:
            return "boundary not usable in scope 2"
        if row.statistic not in STATISTIC_ORDER:
            return f"statistic {row.statistic} describes a spread"
        if row.technology not in (None, DEFAULT_TECHNOLOGY.get(row.energy_source)):
            return "technology is not the default one"
        return None

    def _reason(
        self,
        row: Factor,
        geography: GeographyLevel,
        gap: int | None,
        chosen: FactorMatch | None,
        max_vintage_gap_years: int,
    ) -> str:
        unusable = self._unusable(row)
        if unusable is not None:
            return unusable
        if gap is not None and abs(gap) > max_vintage_gap_years:
            return "vintage gap beyond the policy"
        if chosen is None:
            raise BrokenInvariant(
                "factor_match", f"{row.factor_id} is usable but the match passed it over"
            )
        if row.factor_id == chosen.factor.factor_id:
            return "chosen"
        if geography != chosen.geography_level:
            return "less specific geography"
        if row.boundary_level != chosen.boundary_level:
            return "direct factor comes first"
        if gap != chosen.vintage_gap_years:
            return "vintage further away or later"
        return "source or statistic of lower precedence"

    def _matched(
        self,
        query: FactorQuery,
        geography: GeographyLevel,
        level: str,
        factor: Factor,
        gap: int | None,
    ) -> FactorMatch:
        is_substitute = level == SUBSTITUTE_LEVEL
        flags = {
            "boundary_substitute": is_substitute,
            "vintage_gap": bool(gap),
            "region_fallback": bool(query.region) and geography == "country",
            "co2_only": factor.gas_coverage == "CO2",
            **dict.fromkeys(factor.quality_flags, True),
        }
        return FactorMatch(
            factor=factor,
            release_id=self.release_id,
            how_matched=f"{geography}/{level}/{_vintage_word(gap)}",
            geography_level=geography,
            boundary_level=level,
            vintage_gap_years=gap,
            boundary_substitute=is_substitute,
            flags=tuple(sorted(flag for flag, is_set in flags.items() if is_set)),
        )


def _place(row: Factor) -> _Place:
    return (row.energy_source, row.country_iso2, row.region)


def _years(row: Factor) -> Iterable[int | None]:
    if row.valid_from is None or row.valid_to is None:
        return (None,)
    return range(row.valid_from.year, row.valid_to.year)


def _gap(row: Factor, activity_year: int) -> int | None:
    """Years from the activity to the nearest year the row is valid in; 0 if it covers it."""
    gaps = [year - activity_year for year in _years(row) if year is not None]
    return min(gaps, key=abs) if gaps else None


def _rank(row: Factor) -> tuple[int, int]:
    named = SOURCE_ORDER.index(row.source_id) + 1 if row.source_id in SOURCE_ORDER else 0
    return (named, STATISTIC_ORDER.index(row.statistic))


def _decide(key: tuple[_Place, str], contenders: Mapping[int | None, list[Factor]]) -> _Cell:
    """One row per year; a row without vintage covers every year, so it tolerates no dated one."""
    undated = contenders.get(None, [])
    cell: _Cell = {}
    for year, rows in contenders.items():
        covering = rows if year is None else [*rows, *undated]
        best = min(map(_rank, covering))
        winners = [row for row in covering if _rank(row) == best]
        if len(winners) > 1:
            raise BrokenInvariant(
                "factor_tie",
                f"{' and '.join(sorted(row.factor_id for row in winners))} both apply to {key} "
                f"in {year or 'any year'}; decide in SOURCE_ORDER or supersede one",
            )
        cell[year] = winners[0]
    return cell


def _choose_vintage(
    cell: _Cell, activity_year: int, max_gap: int
) -> tuple[Factor, int | None] | None:
    """Covering the activity, else the latest earlier, else the earliest later, within `max_gap`."""
    exact = cell.get(activity_year)
    if exact is not None:
        undated = exact.valid_from is None
        return exact, None if undated else 0
    if None in cell:
        return cell[None], None
    dated = [year for year in cell if year is not None]
    earlier = [year for year in dated if activity_year - max_gap <= year < activity_year]
    later = [year for year in dated if activity_year < year <= activity_year + max_gap]
    if earlier:
        return cell[max(earlier)], max(earlier) - activity_year
    if later:
        return cell[min(later)], min(later) - activity_year
    return None


def _vintage_word(gap: int | None) -> str:
    if gap is None:
        return "no-vintage"
    if gap == 0:
        return "exact-year"
    return "earlier-vintage" if gap < 0 else "later-vintage"


def _nothing(query: FactorQuery, source: str, nearest: int | None, max_gap: int) -> RejectedRecord:
    where = f"{query.country_iso2}/{query.region}" if query.region else query.country_iso2
    if nearest is None:
        return RejectedRecord(
            "factor_missing",
            f"no factor for {source} in {where}",
            field="country_iso2" if source == GRID else "energy_source",
            value=query.country_iso2 if source == GRID else query.energy_source,
            valid="a country or region for which a factor has been loaded",
        )
    return RejectedRecord(
        "factor_vintage_gap",
        f"the nearest factor for {source} in {where} is of {query.activity_date.year + nearest}, "
        f"{abs(nearest)} years from the activity",
        field="timestamp",
        value=query.activity_date.isoformat(),
        valid=f"an activity at most {max_gap} years from a factor's year",
    )
