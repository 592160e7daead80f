"""Exchange rates and price indices of a release: money of one year and currency into another.

Belongs here: which published year applies, cross rates, chains of annual changes. Does not: which
spending is converted and why (the calculators), where the numbers come from (factor_seeds).

Yearly mean rates per euro; a cross rate is the quotient of two rates of the same year. A price
index is chained from annual percentages, or is one level over another. A later year never stands in
for an earlier one; the latest earlier one does, flagged, as far as the policy allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.index_rows import (
    CPI_INFLATION,
    FX_EUR,
    GDP_DEFLATOR_INFLATION,
    US_CPI_INDEX,
    IndexRow,
)
from carbon_ledger.policy import Policy

INDEX_GAP: Final = "index_gap_years"
EURO: Final = "EUR"

# A sector's own index comes first (a series of a licensed set, `price_index:SECTOR`), then the
# consumer price index, then the deflator of the gross domestic product. Levels before percentages,
# which are rounded each year.
GENERAL_SERIES: Final = (US_CPI_INDEX, CPI_INFLATION, GDP_DEFLATOR_INFLATION)
SECTOR_SERIES: Final = "price_index"
_CHAINED: Final = (CPI_INFLATION, GDP_DEFLATOR_INFLATION)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A factor to multiply money by: exact, the year it is of, and where it comes from."""

    value: Fraction
    year: int
    source: str
    flags: tuple[str, ...] = ()


class PriceTable:
    """Exchange rates and price indices by year; read-only.

    `rows` are index rows of any series, of which those of money are taken. Raises BrokenInvariant
    `index_tie` if two rows state one year.
    """

    def __init__(self, rows: Iterable[IndexRow]) -> None:
        self._rates: dict[str, dict[int, IndexRow]] = {}
        self._prices: dict[tuple[str, str], dict[int, IndexRow]] = {}
        self._levels: dict[tuple[str, str], list[dict[int, Fraction]]] = {}
        for row in rows:
            if row.year is None:
                continue
            if row.series == FX_EUR:
                table = self._rates.setdefault(row.key, {})
            elif row.series in GENERAL_SERIES or row.series.startswith(SECTOR_SERIES):
                table = self._prices.setdefault((row.series, row.key), {})
            else:
                continue
            if row.year in table:
                raise BrokenInvariant(
                    "index_tie", f"{row.index_id} and {table[row.year].index_id} state one year"
                )
            table[row.year] = row
        self.currencies = tuple(sorted({EURO, *self._rates}))

    def fx(self, from_currency: str, to_currency: str, year: int, policy: Policy) -> Rate:
        """How much of `to_currency` one of `from_currency` is, mean of `year`.

        Both legs are of one year: the asked one, else the latest earlier one that both have,
        flagged `index_gap_years`. Raises RejectedRecord `unknown_currency`, `index_missing`.
        """
        for currency in (from_currency, to_currency):
            if currency not in self.currencies:
                raise RejectedRecord(
                    "unknown_currency",
                    f"{str(currency)[:20]!r} is no currency with a rate",
                    field="currency",
                    value=currency,
                    valid=", ".join(self.currencies),
                )
        if from_currency == to_currency:
            return Rate(value=Fraction(1), year=year, source="the same currency")
        legs = [self._rates[one] for one in (from_currency, to_currency) if one != EURO]
        common = set.intersection(*(set(leg) for leg in legs))
        used = _year_used(common, year)
        what = f"exchange rate of {from_currency} to {to_currency}"
        flags = set(_gap_flags(what, year, used, policy, common))
        value = Fraction(1)
        for currency, is_divided in ((from_currency, True), (to_currency, False)):
            if currency != EURO:
                row = self._rates[currency][used or 0]
                flags.update(row.quality_flags)
                value = value / Fraction(row.value) if is_divided else value * Fraction(row.value)
        sources = sorted({leg[used or 0].source_id for leg in legs})
        return Rate(
            value=value,
            year=used or 0,
            source=f"{FX_EUR} {used}: {', '.join(sources)}",
            flags=tuple(sorted(flags)),
        )

    def deflator(
        self,
        country_iso2: str,
        from_year: int,
        to_year: int,
        policy: Policy,
        sector: str | None = None,
    ) -> Rate:
        """The price index of `to_year` over that of `from_year` in a country.

        Money of `from_year` times this is money of `to_year`. The first series that has both years
        is taken, in the order of `GENERAL_SERIES`, a sector's own before them; if none has, the one
        that lacks the fewest years, flagged `index_gap_years`. Raises RejectedRecord
        `index_missing`.
        """
        if from_year == to_year:
            return Rate(value=Fraction(1), year=to_year, source="the same price year")
        names = [*([f"{SECTOR_SERIES}:{sector}"] if sector else []), *GENERAL_SERIES]
        best: tuple[int, int, Rate] | None = None
        for order, series in enumerate(names):
            found = self._ratio(series, country_iso2, from_year, to_year)
            if found is not None and (best is None or (found[0], order) < best[:2]):
                best = (found[0], order, found[1])
        if best is not None and best[0] <= policy.max_index_gap_years:
            flags = {INDEX_GAP} if best[0] else set()
            return Rate(
                value=best[2].value,
                year=best[2].year,
                source=best[2].source,
                flags=tuple(sorted(flags)),
            )
        years = sorted(
            {
                year
                for (series, country), rows in self._prices.items()
                if country == country_iso2 and series in names
                for year in rows
            }
        )
        raise RejectedRecord(
            "index_missing",
            f"no price index of {country_iso2} from {from_year} to {to_year}",
            field="country_iso2",
            value=country_iso2,
            valid=f"years {years[0]} to {years[-1]}, or up to {policy.max_index_gap_years} later"
            if years
            else "a country with a price index",
        )

    def _ratio(
        self, series: str, country: str, from_year: int, to_year: int
    ) -> tuple[int, Rate] | None:
        """(years lacking, the ratio) in one unbroken run of one series."""
        best: tuple[int, Rate] | None = None
        for run in self._runs(series, country):
            start, end = _year_used(run, from_year), _year_used(run, to_year)
            if start is None or end is None:
                # Runs are in order of their years: what is before this one is before all others.
                break
            lacking = max(from_year - start, to_year - end)
            if best is None or lacking < best[0]:
                row = next(iter(self._prices[(series, country)].values()))
                source = f"{series} {country}, {start} to {end}: {row.source_id}"
                best = (lacking, Rate(value=run[end] / run[start], year=end, source=source))
        return best

    def _runs(self, series: str, country: str) -> list[dict[int, Fraction]]:
        """Index levels by year, one mapping per unbroken run; kept once made."""
        key = (series, country)
        if key not in self._levels:
            rows = self._prices.get(key, {})
            self._levels[key] = (
                _chained(rows)
                if series in _CHAINED
                else [{year: Fraction(row.value) for year, row in rows.items()}]
            )
        return self._levels[key]


def _chained(rows: Mapping[int, IndexRow]) -> list[dict[int, Fraction]]:
    """Levels from annual percentages: the year before the first is 1; a gap begins a new run."""
    runs: list[dict[int, Fraction]] = []
    for year in sorted(rows):
        if not runs or year - 1 not in runs[-1]:
            runs.append({year - 1: Fraction(1)})
        growth = 1 + Fraction(rows[year].value) / 100
        runs[-1][year] = runs[-1][year - 1] * growth
    return runs


def _year_used(years: Iterable[int], wanted: int) -> int | None:
    """The wanted year, else the latest earlier one."""
    return max((year for year in years if year <= wanted), default=None)


def _gap_flags(
    what: str, wanted: int, used: int | None, policy: Policy, years: Iterable[int]
) -> tuple[str, ...]:
    """Nothing, or the flag of a gap; RejectedRecord `index_missing` beyond the policy."""
    if used is not None and wanted - used <= policy.max_index_gap_years:
        return (INDEX_GAP,) if used != wanted else ()
    known = sorted(years)
    raise RejectedRecord(
        "index_missing",
        f"no {what} for {wanted}" + (f"; the latest earlier one is of {used}" if used else ""),
        field="year",
        value=wanted,
        valid=f"years {known[0]} to {known[-1]}, or up to {policy.max_index_gap_years} later"
        if known
        else "a pair of currencies with rates of one year",
    )
