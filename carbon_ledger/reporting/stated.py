"""What a company states for a report that no event carries, and which report asks for it.

Belongs here: the statements and what they may be about. Does not: where they are kept (reference
data, kind `disclosure`), what is made of them (the tables).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from carbon_ledger.quantities import PRODUCT, ROUNDING, quantize_posted

# Subject: unit of its value ("" for none), and what it says.
SUBJECTS: Final[dict[str, tuple[str, str]]] = {
    "base_year": ("", "the base year of targets: `key` is the year"),
    "target_pct": ("%", "reduction by the target year `key`, in percent of the base year"),
    "scope_1_regulated": ("tCO2e", "scope 1 under regulated emission trading, `key` its system"),
    "category_excluded": ("", "category `key` is not significant or not evaluated: `text` is why"),
    "category_screening": ("%", "share of scope 3 below which a category is not significant"),
    "high_climate_impact_energy": ("MWh", "energy of activities in high climate impact sectors"),
    "energy_production_renewable": ("MWh", "renewable energy produced"),
    "energy_production_non_renewable": ("MWh", "non-renewable energy produced"),
    "removal_own": ("tCO2e", "removed and stored in own operations, by activity `key`"),
    "removal_value_chain": ("tCO2e", "removed and stored in the value chain, by activity `key`"),
    "removal_emissions": ("tCO2e", "emissions of removal activities"),
    "removal_reversal": ("tCO2e", "reversals of removals"),
    "credits_cancelled": ("tCO2e", "credits cancelled, `key` is the quality standard"),
    "credits_planned": ("tCO2e", "credits planned to be cancelled, `key` is the year"),
    "credits_removal": ("tCO2e", "of the credits cancelled, those from removals"),
    "credits_eu": ("tCO2e", "of the credits cancelled, those from projects in the EU"),
    "credits_adjusted": (
        "tCO2e",
        "of the credits cancelled, those with a corresponding adjustment",
    ),
    "verification": ("", "assurance of scope `key`: `text` says standard, level and statement"),
    "verification_cycle": ("", "how often scope `key` (such as scope_1, category_04) is assured"),
    "verification_status": ("", "how far the assurance of scope `key` is this year"),
    "verification_type": ("", "level of assurance of scope `key`"),
    "verification_statement": ("", "name of the assurance statement of scope `key`"),
    "verification_page": ("", "pages of that statement that are about scope `key`"),
    "verification_standard": ("", "standard by which scope `key` is assured"),
    "verified_pct": ("%", "share of the reported emissions of scope `key` that is assured"),
    "category_to_calculate": ("", "category `key` is relevant and not calculated yet: `text`"),
    "emissions_change": ("tCO2e", "scope 1 and 2 against the year before for reason `key`, signed"),
    "category_change_reason": ("", "main reason for the change of category `key`"),
    "scope_2_figure": ("", "which scope 2 figure changes and intensities rest on: location|market"),
    "intensity_denominator": ("units of the metric", "total of metric `key`, such as units sold"),
    "intensity_change_reason": ("", "reason for the change of the intensity by metric `key`"),
    "subsidiary_activity": ("", "primary activity of entity `key`"),
    "subsidiary_identifier": ("", "identifiers of entity `key`, such as its LEI"),
    "site_division": ("", "business division of site `key`"),
    "site_coordinates": ("", "latitude and longitude of site `key` in degrees: 52.52, 13.405"),
    "fuel_for_generation": ("MWh", "fuel used to generate: `key` such as Coal/electricity"),
    "generation_consumed": ("MWh", "energy generated from fuel and consumed, `key` its carrier"),
    "instrument_tracking": ("", "tracking instrument of instrument `key`, such as GO"),
    "instrument_origin": ("", "country where the energy of instrument `key` was generated"),
    "instrument_commissioned": ("", "year the generator of instrument `key` was commissioned"),
    "explanation": ("", "words for question or datapoint `key`"),
}


_COORDINATES = re.compile(r"(-?[0-9]{1,2}(?:\.[0-9]{1,9})?), *(-?[0-9]{1,3}(?:\.[0-9]{1,9})?)")
# What is said of an amount that came to be within the period it is stated for: it belongs to fiscal
# years by days. A plan, and a change against the year before, is of the year it is stated for.
AMOUNTS: Final = frozenset(
    subject
    for subject, (unit, _) in SUBJECTS.items()
    if unit in ("tCO2e", "MWh", "units of the metric")
    and subject not in ("credits_planned", "emissions_change")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """One statement of an organization for a fiscal year; `source` is the document it rests on."""

    subject: str
    fiscal_year: int
    key: str = ""
    value: Decimal | None = None
    text: str = ""
    source: str


def coordinates_of(text: str) -> tuple[Decimal, Decimal] | None:
    """Latitude (-90 to 90) and longitude (-180 to 180) in degrees of `52.52, 13.405`; None for any
    other text.
    """
    match = _COORDINATES.fullmatch(text.strip())
    if match is None:
        return None
    latitude, longitude = Decimal(match[1]), Decimal(match[2])
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def part_of_amount(
    value: Decimal, period: tuple[date, date], year: tuple[date, date]
) -> tuple[Decimal, int, int]:
    """What of an amount of the days `[begin, end)` is of the days of a year, pro rata of the days,
    12 decimals; with how many days that is, of how many. The parts of all years are the whole, to
    the last digit (activities that span a boundary are prorated by time).
    """
    begin, end = period
    total = (end - begin).days

    def until(day: date) -> Decimal:
        days = (min(max(day, begin), end) - begin).days
        if days == total:
            return value
        return quantize_posted(
            ROUNDING.divide(PRODUCT.multiply(value, Decimal(days)), Decimal(total))
        )

    days = (min(year[1], end) - max(year[0], begin)).days
    return PRODUCT.subtract(until(year[1]), until(year[0])), days, total


def stated_of(statements: Iterable[Stated], subject: str, fiscal_year: int) -> list[Stated]:
    """The year's statements of one subject, by key."""
    found = [one for one in statements if (one.subject, one.fiscal_year) == (subject, fiscal_year)]
    return sorted(found, key=lambda one: one.key)
