"""Losses of electricity between power plant and meter, by grid and year.

Belongs here: which published loss rate applies. Does not: what is calculated with it (category 3,
activity c of the Scope 3 Standard), where the numbers come from (factor_seeds).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.index_rows import TD_LOSS, IndexRow
from carbon_ledger.factor_book.match import GeographyLevel, choose_year, vintage_word
from carbon_ledger.policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class LossRate:
    """Percent of the electricity put into a grid that does not arrive, and how it matched.

    `how_matched` is geography/td_loss/vintage, as for factors.
    """

    pct: Decimal
    year: int
    source: str
    how_matched: str
    geography_level: GeographyLevel
    vintage_gap_years: int
    flags: tuple[str, ...]

    @property
    def per_delivered(self) -> Fraction:
        """kWh lost per kWh delivered: p / (100 - p), because `pct` is of what is put in."""
        return Fraction(self.pct) / (100 - Fraction(self.pct))


class LossTable:
    """Loss rates by place and year; read-only."""

    def __init__(self, rows: Iterable[IndexRow]) -> None:
        self._places: dict[str, dict[int | None, IndexRow]] = {}
        for row in rows:
            if row.series == TD_LOSS and row.year is not None:
                place = self._places.setdefault(row.key, {})
                if row.year in place:
                    raise BrokenInvariant(
                        "index_tie",
                        f"{row.index_id} and {place[row.year].index_id} state one year",
                    )
                place[row.year] = row

    def rate(
        self, country_iso2: str, region: str | None, activity_date: date, policy: Policy
    ) -> LossRate:
        """The loss rate of the region, else of the country; vintages as for factors.

        Raises RejectedRecord `loss_rate_missing` if nothing is published for the place, or
        `loss_rate_vintage_gap` if it is older or newer than the policy allows.
        """
        places: list[tuple[GeographyLevel, str]] = [("country", country_iso2)]
        if region:
            places.insert(0, ("region", f"{country_iso2}/{region}"))
        nearest: int | None = None
        for level, key in places:
            years = self._places.get(key, {})
            found = choose_year(years, activity_date.year, policy.max_vintage_gap_years)
            if found is not None:
                row, gap = years[found[0]], found[1] or 0
                flags = {*row.quality_flags}
                if gap:
                    flags.add("vintage_gap")
                if region and level == "country":
                    flags.add("region_fallback")
                return LossRate(
                    pct=row.value,
                    year=row.year or 0,
                    source=row.source_id,
                    how_matched=f"{level}/td_loss/{vintage_word(gap)}",
                    geography_level=level,
                    vintage_gap_years=gap,
                    flags=tuple(sorted(flags)),
                )
            for year in years:
                if year is not None and (
                    nearest is None
                    or abs(year - activity_date.year) < abs(nearest - activity_date.year)
                ):
                    nearest = year
        where = f"{country_iso2}/{region}" if region else country_iso2
        if nearest is None:
            raise RejectedRecord(
                "loss_rate_missing",
                f"no grid loss rate for {where}",
                field="country_iso2",
                value=country_iso2,
                valid="a country or region for which one has been loaded",
            )
        raise RejectedRecord(
            "loss_rate_vintage_gap",
            f"the nearest grid loss rate of {where} is of {nearest}, "
            f"{abs(nearest - activity_date.year)} years from the activity",
            field="activity_date",
            value=activity_date.isoformat(),
            valid=f"an activity at most {policy.max_vintage_gap_years} years from {nearest}",
        )
