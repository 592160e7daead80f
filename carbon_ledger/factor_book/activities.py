"""Which factor applies to an activity other than electricity: fuel, transport, spend, materials, …

Belongs here: the index of one family and the rules of choice. Does not: the row (factor_rows), the
query and the match (factor_match), electricity (factors), multiplying (factor_use).

The choice, most weighty rule first:

1. A row must have every selector of the query, to the letter; a row with a newer version is none.
2. Its unit must measure what the query's unit measures.
3. Geography: region, country, rows of no country, then the policy's proxies in their order, flagged
   `geography_proxy`. A place whose vintages are all beyond the policy gives way to the next.
4. Vintage: the one that covers the activity date, else the latest earlier, else the earliest later.
5. What is left must agree in every selector and in its source; if not, the query is refused
   (`factor_ambiguous`) with the column that would decide. Among rows that differ in nothing but the
   unit, the asked unit comes first, else the figure published with the most digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.match import (
    CHOSEN,
    ActivityQuery,
    Candidate,
    FactorMatch,
    GeographyLevel,
    choose_year,
    gap_of,
    vintage_word,
    years_of,
)
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.policy import Policy
from carbon_ledger.quantities import canonical_text
from carbon_ledger.units import DIMENSIONS, canonical_unit, dimension_of

# What a row can be asked for beside its own selectors.
SOURCE_COLUMNS: Final = ("source_id", "publisher")
MONEY: Final = "money"
LISTED_VALUES_MAX: Final = 12

_UNIT_ORDER: Final = {
    unit: position for units in DIMENSIONS.values() for position, unit in enumerate(units)
}

_Place = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class _Choice:
    """What was decided about a query: the match, or the refusal and the rows it is about."""

    match: FactorMatch | None = None
    refusal: RejectedRecord | None = None
    tied: Sequence[Factor] = ()


class ActivityFactors:
    """The factors of one family, indexed by selector; read-only."""

    def __init__(self, family: str, rows: Iterable[Factor], release_id: str) -> None:
        self.family = family
        self._release_id = release_id
        self._all = tuple(rows)
        newest: dict[str, int] = {}
        for row in self._all:
            newest[row.factor_id] = max(row.version, newest.get(row.factor_id, 0))
        self._newest = newest
        self.rows = tuple(row for row in self._all if row.version == newest[row.factor_id])
        self.columns: tuple[str, ...] = tuple(
            dict.fromkeys(column for row in self.rows for column, _ in row.selectors)
        )
        self._having: dict[tuple[str, str], set[int]] = {}
        for number, row in enumerate(self.rows):
            for pair in (*row.selectors, *_source_of(row)):
                self._having.setdefault(pair, set()).add(number)

    def find(self, query: ActivityQuery, policy: Policy) -> FactorMatch:
        """The one factor for `query`, or RejectedRecord; never a default, never an average.

        Codes: `unknown_selector`, `unknown_unit`, `factor_missing`, `incompatible_unit`,
        `factor_vintage_gap`, `factor_ambiguous`.
        """
        choice = self._choose(query, policy)
        if choice.match is None:
            raise choice.refusal or self._missing(query)
        return choice.match

    def explain(self, query: ActivityQuery, policy: Policy) -> list[Candidate]:
        """Rows that have all or all but one of the selectors, the chosen first, with the reason.

        Raises RejectedRecord only where the query itself is not understood.
        """
        choice = self._choose(query, policy)
        levels = {place: level for level, place in reversed(_places(query, policy))}
        candidates = []
        for row in self._all:
            unmet = [pair for pair in query.selectors if pair not in _pairs(row)]
            if len(unmet) > 1:
                continue
            gap = gap_of(row, query.activity_date.year)
            reason = self._reason(row, unmet, query, policy, levels, choice)
            candidates.append(Candidate(factor=row, reason=reason, vintage_gap_years=gap))
        return sorted(
            candidates,
            key=lambda one: (not one.is_chosen, one.reason.startswith("selector"), one.reason),
        )

    def _choose(self, query: ActivityQuery, policy: Policy) -> _Choice:
        selected = self._selected(query)
        if not selected:
            return _Choice(refusal=self._missing(query))
        fits = [row for row in selected if _unit_fits(row, query.unit)]
        if not fits:
            return _Choice(refusal=_no_unit(query, selected))
        year, policy_gap = query.activity_date.year, policy.max_vintage_gap_years
        nearest: int | None = None
        for level, place in _places(query, policy):
            there = [row for row in fits if (row.country_iso2, row.region) == place]
            if not there:
                continue
            found = choose_year({one for row in there for one in years_of(row)}, year, policy_gap)
            if found is None:
                gaps = [gap for row in there if (gap := gap_of(row, year)) is not None]
                nearest = min([*gaps, *([] if nearest is None else [nearest])], key=abs)
                continue
            left = [row for row in there if found[0] in years_of(row)]
            refusal = self._ambiguity(query, left)
            if refusal is not None:
                return _Choice(refusal=refusal, tied=left)
            factor = _by_unit(left, query.unit)
            # Falling back means something only where figures are published by region.
            is_regional = any(one.region for one in fits)
            is_fallback = is_regional and bool(query.region) and level == "country"
            return _Choice(match=self._matched(level, factor, found[1], is_fallback))
        if nearest is not None:
            return _Choice(refusal=_too_far(query, nearest, policy_gap))
        return _Choice(refusal=_elsewhere(query, fits))

    def _selected(self, query: ActivityQuery) -> list[Factor]:
        """Rows with every selector of the query."""
        for column, _ in query.selectors:
            if column not in self.columns and column not in SOURCE_COLUMNS:
                raise RejectedRecord(
                    "unknown_selector",
                    f"factors of family {self.family!r} have no column {str(column)[:60]!r}",
                    field="selectors",
                    value=column,
                    valid=", ".join((*self.columns, *SOURCE_COLUMNS)),
                )
        return self._having_all(query.selectors)

    def _having_all(self, pairs: Sequence[tuple[str, str]]) -> list[Factor]:
        """Rows with all these (column, text) pairs, in order."""
        postings = sorted((self._having.get(pair, set()) for pair in pairs), key=len)
        if not postings:
            return list(self.rows)
        return [self.rows[number] for number in sorted(set.intersection(*postings))]

    def _missing(self, query: ActivityQuery) -> RejectedRecord:
        """No row has these selectors: names the one that spoils it and what it could be."""
        for column, value in query.selectors:
            others = [pair for pair in query.selectors if pair != (column, value)]
            rest = self._having_all(others)
            read = _reader(column)
            values = {read(row) for row in rest}
            if rest and value not in values:
                return RejectedRecord(
                    "factor_missing",
                    f"no {self.family} factor has {column} {value!r} with the other selectors",
                    field=column,
                    value=value,
                    valid=_listed(values),
                )
        return RejectedRecord(
            "factor_missing",
            f"no {self.family} factor has {_written(query)}",
            field="selectors",
            value=_written(query),
            valid="selectors that a published row has, to the letter",
        )

    def _ambiguity(self, query: ActivityQuery, left: Sequence[Factor]) -> RejectedRecord | None:
        """Rows that differ in more than the unit are refused, naming the column that decides."""
        readers: list[tuple[str, Callable[[Factor], str]]] = [
            *((column, _reader(column)) for column in (*self.columns, *SOURCE_COLUMNS)),
        ]
        differing = [
            (column, values)
            for column, read in readers
            if len(values := {read(row) for row in left}) > 1
        ]
        if not differing and query.unit is None and len({row.unit for row in left}) > 1:
            differing = [("unit", {row.unit for row in left})]
        if not differing and len({row.unit for row in left}) < len(left):
            differing = [("factor_id", {row.factor_id for row in left})]
        if not differing:
            return None
        column, values = max(differing, key=lambda one: len(one[1]))
        return RejectedRecord(
            "factor_ambiguous",
            f"{len(left)} {self.family} factors have {_written(query)}; {column} would decide",
            field=column,
            value=_written(query),
            valid=_listed(values),
        )

    def _matched(
        self, level: GeographyLevel, factor: Factor, gap: int | None, is_fallback: bool
    ) -> FactorMatch:
        is_memo = factor.gas_coverage == "CO2" and factor.kg_co2_per_unit is None
        flags = {
            "geography_proxy": level == "proxy",
            "region_fallback": is_fallback,
            "vintage_gap": bool(gap),
            "co2_only": factor.gas_coverage == "CO2" and not is_memo,
            "ch4_n2o_only": factor.gas_coverage == "CH4+N2O",
            **dict.fromkeys(factor.quality_flags, True),
        }
        middle = factor.stage or factor.basis
        return FactorMatch(
            factor=factor,
            release_id=self._release_id,
            how_matched=f"{level}/{middle}/{vintage_word(gap)}",
            geography_level=level,
            boundary_level=middle,
            vintage_gap_years=gap,
            boundary_substitute=False,
            flags=tuple(sorted(flag for flag, is_set in flags.items() if is_set)),
        )

    def _reason(
        self,
        row: Factor,
        unmet: Sequence[tuple[str, str]],
        query: ActivityQuery,
        policy: Policy,
        levels: dict[_Place, GeographyLevel],
        choice: _Choice,
    ) -> str:
        """Why the row is or is not the one, in the order of the rules."""
        if row.version != self._newest[row.factor_id]:
            return f"superseded by version {self._newest[row.factor_id]}"
        if unmet:
            column, wanted = unmet[0]
            return f"selector {column} is {_reader(column)(row)!r}, not {wanted!r}"
        if not _unit_fits(row, query.unit):
            return f"unit {row.unit} does not measure what {query.unit} does"
        place = (row.country_iso2, row.region)
        if place not in levels:
            return "another country or region, and no proxy"
        gap = gap_of(row, query.activity_date.year)
        if gap is not None and abs(gap) > policy.max_vintage_gap_years:
            return "vintage gap beyond the policy"
        if any(row is one for one in choice.tied):
            return "one of several that apply: the query is ambiguous"
        if choice.match is None:
            return "less specific geography, or a vintage further away"
        chosen = choice.match.factor
        if row is chosen:
            return CHOSEN
        if place != (chosen.country_iso2, chosen.region):
            return "less specific geography"
        if gap != gap_of(chosen, query.activity_date.year):
            return "vintage further away or later"
        return "another unit comes first"


def _places(query: ActivityQuery, policy: Policy) -> list[tuple[GeographyLevel, _Place]]:
    """Where to look, most specific first; a place is looked at once."""
    places: list[tuple[GeographyLevel, _Place]] = []
    if query.country_iso2 and query.region:
        places.append(("region", (query.country_iso2, query.region)))
    if query.country_iso2:
        places.append(("country", (query.country_iso2, None)))
    places.append(("any", (None, None)))
    places += [
        ("proxy", (country, None))
        for country in policy.geography_proxies
        if country != query.country_iso2
    ]
    return places


def _source_of(row: Factor) -> tuple[tuple[str, str], ...]:
    return (("source_id", row.source_id), ("publisher", row.publisher))


def _pairs(row: Factor) -> set[tuple[str, str]]:
    return {*row.selectors, *_source_of(row)}


def _reader(column: str) -> Callable[[Factor], str]:
    """Reads a selector or source column of a row; empty where the row has no such column."""
    if column in SOURCE_COLUMNS:
        return lambda row: str(getattr(row, column))
    return lambda row: dict(row.selectors).get(column, "")


def unit_dimension(factor: Factor) -> str:
    """What the unit of a factor measures; `money` for a factor per currency."""
    return MONEY if factor.currency else dimension_of(factor.unit)


def _unit_fits(row: Factor, unit: str | None) -> bool:
    if unit is None:
        return True
    if row.currency:
        return _is_currency(unit)
    return not _is_currency(unit) and dimension_of(unit) == dimension_of(row.unit)


def _is_currency(unit: str) -> bool:
    is_code = len(unit) == 3 and unit.isascii() and unit.isalpha() and unit.isupper()
    return is_code and unit not in _UNIT_ORDER


def _digits(row: Factor) -> int:
    """Significant digits of the published figure."""
    return len(canonical_text(row.kgco2e_per_unit).replace(".", "").strip("0"))


def _by_unit(left: Sequence[Factor], unit: str | None) -> Factor:
    """Of rows that differ in their unit alone: the asked unit, else the one with most digits."""
    if unit is not None and not _is_currency(unit):
        asked = canonical_unit(unit)
        for row in left:
            if row.unit == asked:
                return row
    return max(left, key=lambda row: (_digits(row), -_UNIT_ORDER.get(row.unit, 0)))


def _written(query: ActivityQuery) -> str:
    return ", ".join(f"{column} {value!r}" for column, value in query.selectors) or "no selector"


def _listed(values: Iterable[str]) -> str:
    """Some of the values, in order, empty ones in quotes, and how many more there are."""
    ordered = sorted(values)
    shown = ", ".join(repr(value) for value in ordered[:LISTED_VALUES_MAX])
    rest = len(ordered) - LISTED_VALUES_MAX
    return f"{shown} and {rest} more" if rest > 0 else shown


def _no_unit(query: ActivityQuery, selected: Sequence[Factor]) -> RejectedRecord:
    return RejectedRecord(
        "incompatible_unit",
        f"no {query.family} factor with {_written(query)} is per anything that {query.unit!r} "
        "measures",
        field="unit",
        value=query.unit,
        valid=f"units that convert to {_listed({row.unit for row in selected})}",
    )


def _too_far(query: ActivityQuery, nearest: int, max_gap: int) -> RejectedRecord:
    return RejectedRecord(
        "factor_vintage_gap",
        f"the nearest {query.family} factor is of {query.activity_date.year + nearest}, "
        f"{abs(nearest)} years from the activity",
        field="activity_date",
        value=query.activity_date.isoformat(),
        valid=f"an activity at most {max_gap} years from a factor's year",
    )


def _elsewhere(query: ActivityQuery, fits: Sequence[Factor]) -> RejectedRecord:
    places = {row.region or row.country_iso2 or "any country" for row in fits}
    return RejectedRecord(
        "factor_missing",
        f"no {query.family} factor for {query.region or query.country_iso2 or 'no country'}, and "
        "none of a proxy",
        field="country_iso2",
        value=query.country_iso2,
        valid=_listed(places),
    )
