"""What a company states for its reports, of the fiscal years it is of.

Belongs here: which statements of the register are of a year, and how much of an amount is. Does
not: what statements may be about (carbon_ledger.reporting.stated), tables.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reference.records import Disclosure
from carbon_ledger.reference.register import Register
from carbon_ledger.reporting.stated import AMOUNTS, Stated, part_of_amount

BASE: Final = "base_year"


def base_year_of(register: Register, organization_id: str, fiscal_year: int) -> int | None:
    """The base year that is stated for a fiscal year, None if none is."""
    stated = [
        one for one in _disclosed(register, organization_id, fiscal_year) if one.subject == BASE
    ]
    latest = max(stated, key=lambda one: one.valid_from, default=None)
    return None if latest is None else int(latest.item)


def statements_of(
    register: Register, organization_id: str, fiscal_years: set[int]
) -> tuple[Stated, ...]:
    """Every statement of these fiscal years.

    Words and shares are of the year whose first day their period holds. An amount is of the years
    that its period has days in, pro rata of the days; amounts of one key in a year are added up.
    """
    found: list[Stated] = []
    for year in sorted(fiscal_years):
        amounts: dict[tuple[str, str], Stated] = {}
        for one in _disclosed(register, organization_id, year):
            if one.subject not in AMOUNTS:
                found.append(_stated(one, year))
                continue
            part = _amount(one, year, register.fiscal_period(organization_id, year))
            key = (one.subject, one.item)
            amounts[key] = _together(amounts[key], part) if key in amounts else part
        found += amounts.values()
    return tuple(found)


def _disclosed(register: Register, organization_id: str, year: int) -> list[Disclosure]:
    """Amounts whose period has days of the year, and what else holds its first day."""
    begin, end = register.fiscal_period(organization_id, year)
    return [
        one
        for one in register.disclosures(organization_id, begin, end)
        if one.subject in AMOUNTS
        or (one.valid_from <= begin and (one.valid_to is None or one.valid_to > begin))
    ]


def _stated(one: Disclosure, year: int) -> Stated:
    return Stated(
        subject=one.subject,
        fiscal_year=year,
        key=one.item,
        value=one.value,
        text=one.text,
        source=one.source,
    )


def _amount(one: Disclosure, year: int, period: tuple[date, date]) -> Stated:
    """The part of an amount that is of the year; its source says so where that is not all."""
    stated = _stated(one, year)
    if one.value is None or one.valid_to is None or one.valid_to <= one.valid_from:
        return stated
    value, days, total = part_of_amount(one.value, (one.valid_from, one.valid_to), period)
    if days == total:
        return stated
    return replace(stated, value=value, source=f"{one.source}; {days} of its {total} days")


def _together(one: Stated, other: Stated) -> Stated:
    if one.value is None or other.value is None:
        return other if one.value is None else one
    return replace(
        one,
        value=PRODUCT.add(one.value, other.value),
        text="; ".join(dict.fromkeys(part for part in (one.text, other.text) if part)),
        source="; ".join(dict.fromkeys((one.source, other.source))),
    )
