"""The factors of a release as one book: which one applies to an activity, and how it came to.

Belongs here: the book, and the rules of choice for electricity. Does not: those for the rest
(activity_factors), the row and its hash (factor_rows), query and match (factor_match; the names of
both can be imported from here too), where rows are kept (carbon_ledger.store), multiplying.

The choice for electricity, most weighty rule first (docs/adr/0002-factor-matching.md gives the
reasons):

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
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from carbon_ledger.countries import COUNTRY_NAMES, require_country
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.activities import ActivityFactors
from carbon_ledger.factor_book.index_rows import IndexRow
from carbon_ledger.factor_book.losses import LossRate, LossTable
from carbon_ledger.factor_book.match import (
    CHOSEN,
    ActivityQuery,
    Candidate,
    FactorMatch,
    FactorQuery,
    GeographyLevel,
    choose_year,
    gap_of,
    vintage_word,
    years_of,
)
from carbon_ledger.factor_book.potentials import gwp_table
from carbon_ledger.factor_book.prices import PriceTable
from carbon_ledger.factor_book.rows import (
    ELECTRICITY_FAMILIES,
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
from carbon_ledger.factor_book.shelf import FactorShelf

if TYPE_CHECKING:
    from datetime import date

    from carbon_ledger.greenhouse import GwpTable
    from carbon_ledger.policy import Policy

__all__ = [
    "ENERGY_SOURCES",
    "ENERGY_SOURCE_ALIASES",
    "GRID",
    "MAX_VINTAGE_GAP_YEARS",
    "ActivityQuery",
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

# ISO 3166-2 codes whose grid is published under another name: two Australian states share one row.
# Western Australia and the Northern Territory have several grids each, which a site must name.
GRID_OF_REGION: Final[dict[str, str]] = {"AU-ACT": "AU-NSW-ACT", "AU-NSW": "AU-NSW-ACT"}
# Countries that are one grid region of a publisher, so that the country alone names it.
ONLY_GRIDS: Final[dict[str, str]] = {"PR": "EGRID-PRMS"}

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


_Cell = dict[int | None, Factor]
_Place = tuple[str, str | None, str | None]


class FactorBook:
    """Every factor of a release, indexed for matching; read-only, pickles, cheap to ask.

    Raises BrokenInvariant on opening if a row appears twice, or a row of electricity was altered or
    ties with another. The rows of other families, and potentials and prices, are checked when they
    are first asked for (FactorShelf): opening stays cheap for who needs one family.
    """

    def __init__(
        self,
        factors: Iterable[Factor],
        release_id: str,
        index_rows: Iterable[IndexRow] = (),
        later: Mapping[str, Callable[[], Iterable[Factor]]] | None = None,
        later_indices: Callable[[], Iterable[IndexRow]] | None = None,
    ) -> None:
        self.release_id = release_id
        self._shelf = FactorShelf(factors, index_rows, later, later_indices)
        self._electricity = tuple(
            row for family in ELECTRICITY_FAMILIES for row in self._shelf.family(family)
        )
        self._region_countries: dict[str, set[str | None]] = {}
        self._cells = self._index()
        self._families: dict[str, ActivityFactors] = {}
        self._gwp: GwpTable | None = None
        self._prices: PriceTable | None = None
        self._losses: LossTable | None = None

    @property
    def rows(self) -> tuple[Factor, ...]:
        """Every factor of the release, by id and version, unchecked."""
        return self._shelf.all()

    @property
    def index_rows(self) -> tuple[IndexRow, ...]:
        """The newest version of every index row, each intact."""
        return self._shelf.indices()

    @classmethod
    def of(cls, release: FactorRelease) -> FactorBook:
        """The book of a whole release."""
        return cls(release.rows, release.release_id, release.index_rows)

    @property
    def gwp(self) -> GwpTable:
        """Global warming potentials; raises BrokenInvariant if the release contradicts itself."""
        if self._gwp is None:
            self._gwp = gwp_table(self.index_rows)
        return self._gwp

    @property
    def prices(self) -> PriceTable:
        """Exchange rates and price indices; BrokenInvariant if the release contradicts itself."""
        if self._prices is None:
            self._prices = PriceTable(self.index_rows)
        return self._prices

    def loss_rate(
        self, country_iso2: str, region: str | None, activity_date: date, policy: Policy
    ) -> LossRate:
        """Share of electricity lost in the grid there; raises what LossTable.rate raises."""
        if self._losses is None:
            self._losses = LossTable(self.index_rows)
        return self._losses.rate(country_iso2, grid_region(region), activity_date, policy)

    def find(self, query: ActivityQuery, policy: Policy) -> FactorMatch:
        """The one factor for an activity other than electricity, or RejectedRecord.

        Codes: `unknown_family`, and those of ActivityFactors.find. Rules: activity_factors.
        """
        return self._family(query).find(query, policy)

    def explain_activity(self, query: ActivityQuery, policy: Policy) -> list[Candidate]:
        """Rows that have all or all but one of the selectors, the chosen first, with the reason.

        Raises RejectedRecord only where the query itself is not understood.
        """
        return self._family(query).explain(query, policy)

    def rows_of(self, family: str) -> tuple[Factor, ...]:
        """Every row of a family, superseded versions too, in the order of ids and versions."""
        return self._shelf.family(family)

    def _family(self, query: ActivityQuery) -> ActivityFactors:
        family = self._families.get(query.family)
        if family is None:
            families = self._shelf.families - set(ELECTRICITY_FAMILIES)
            if query.family not in families:
                raise RejectedRecord(
                    "unknown_family",
                    f"{str(query.family)[:60]!r} is no family of factors of this release",
                    field="family",
                    value=query.family,
                    valid=", ".join(sorted(families)),
                )
            rows = self._shelf.family(query.family)
            family = ActivityFactors(query.family, rows, self.release_id)
            self._families[query.family] = family
        return family

    def _index(self) -> dict[tuple[_Place, str], _Cell]:
        contenders: dict[tuple[_Place, str], dict[int | None, list[Factor]]] = {}
        for row in self._electricity:
            if row.region is not None:
                self._region_countries.setdefault(row.region, set()).add(row.country_iso2)
            level = row.boundary_level
            if level is None or self._unusable(row) is not None:
                continue
            cell = contenders.setdefault((_place(row), level), {})
            for year in years_of(row):
                cell.setdefault(year, []).append(row)
        return {key: _decide(key, cell) for key, cell in contenders.items()}

    def __len__(self) -> int:
        return len(self.rows)

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
        for row in self._electricity:
            if row.energy_source == source and _place(row) in levels:
                gap = gap_of(row, query.activity_date.year)
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
        region = grid_region(query.region) or ONLY_GRIDS.get(country)
        if region:
            places.insert(0, ("region", (source, country, region)))
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
        newest = self._shelf.newest[row.factor_id]
        if row.version != newest:
            return f"superseded by version {newest}"
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
            return CHOSEN
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
            how_matched=f"{geography}/{level}/{vintage_word(gap)}",
            geography_level=geography,
            boundary_level=level,
            vintage_gap_years=gap,
            boundary_substitute=is_substitute,
            flags=tuple(sorted(flag for flag, is_set in flags.items() if is_set)),
        )


def grid_region(region: str | None) -> str | None:
    """The name under which the grid of a region is published; None for no region."""
    return GRID_OF_REGION.get(region, region) if region else None


def _place(row: Factor) -> _Place:
    return (row.energy_source, row.country_iso2, row.region)


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
    chosen = choose_year(cell, activity_year, max_gap)
    if chosen is None:
        return None
    factor = cell[chosen[0]]
    return factor, None if factor.valid_from is None else chosen[1]


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
