"""Money as an activity: from spending in a currency and year to what a spend factor is per.

Belongs here: exchange, deflation, price basis, the factor of a sector, the average for what has no
sector. Does not: which purchases are booked (carbon_ledger.purchasing.purchases), published rates
(carbon_ledger.factor_book.prices).

Spending goes into the factor's currency at the mean rate of the year it belongs to, then from that
year's prices to those of the factor's year. A factor that does not say its currency, price year or
price basis is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

from carbon_ledger.data_quality import Scores
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import ActivityQuery, FactorMatch
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.inventory import Inventory
from carbon_ledger.quantities import canonical_text
from carbon_ledger.reference.records import zone_of
from carbon_ledger.workings import Formula, Operand, formula_table

SPEND_BASED_FORMULA: Final = Formula(
    formula_id="S3-SPEND",
    text="spend x exchange rate of its year x (price index of the factor's year / price index of "
    "its year) x sector factor",
    citation="GHG Protocol Scope 3 Standard (2011), chapter 7, spend-based method; Technical "
    "Guidance for Calculating Scope 3 Emissions (2013), category 1 (inflation and exchange rates); "
    "margin of basic prices: not checked against the source's text",
)
FORMULAS: Final = formula_table(SPEND_BASED_FORMULA)


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """An amount in the prices of a year; `margin_share` is of the purchaser price, if known."""

    amount: Decimal
    currency: str
    year: int
    price_basis: str = "purchaser"
    margin_share: Decimal | None = None
    label: str = "spend"
    source: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """Operands whose product is in `unit`, and what is to be said of them."""

    operands: tuple[Operand, ...]
    unit: str
    flags: tuple[str, ...] = ()


def in_prices_of(
    money: Money, factor: Factor, inventory: Inventory, sector: str | None = None
) -> Chain:
    """Money as operands in the currency, prices and price basis of a spend factor.

    Raises RejectedRecord `factor_currency_missing`, `factor_price_year_missing`,
    `factor_price_basis_missing`, `factor_country_missing`, `margin_statement_missing`, and what the
    price table raises. Formula: Technical Guidance (2013), category 1, spend-based method.
    """
    _check_factor(factor)
    prices, policy = inventory.book.prices, inventory.policy
    operands = [
        Operand(
            value=money.amount,
            unit=f"{money.currency} of {money.year}",
            label=money.label,
            source=money.source,
        )
    ]
    flags: set[str] = set()
    if money.currency != factor.currency:
        rate = prices.fx(money.currency, factor.currency, money.year, policy)
        flags.update(rate.flags)
        operands.append(
            Operand(
                value=rate.value,
                unit=f"{factor.currency} per {money.currency}",
                label="mean exchange rate of the year",
                source=rate.source,
            )
        )
    if factor.price_year != money.year:
        rate = prices.deflator(
            _country_of(factor), money.year, factor.price_year or 0, policy, sector
        )
        flags.update(rate.flags)
        operands.append(
            Operand(
                value=rate.value,
                unit=f"{factor.currency} of {factor.price_year} per {factor.currency} of "
                f"{money.year}",
                label="price index of the factor's year over that of the spend's",
                source=rate.source,
            )
        )
    operands.extend(_margin(money, factor))
    return Chain(operands=tuple(operands), unit=factor.unit, flags=tuple(sorted(flags)))


def _check_factor(factor: Factor) -> None:
    named = f"factor {factor.factor_id} version {factor.version}"
    for name, code, valid in (
        ("currency", "factor_currency_missing", "an ISO 4217 code"),
        ("price_year", "factor_price_year_missing", "the year its prices are of"),
        ("price_basis", "factor_price_basis_missing", "purchaser or basic"),
    ):
        if not getattr(factor, name):
            raise RejectedRecord(
                code,
                f"{named} does not state its {name}, so that no money can be converted into it",
                field=f"factor.{name}",
                value=factor.factor_id,
                valid=valid,
            )
    if factor.unit != factor.currency:
        raise RejectedRecord(
            "factor_currency_missing",
            f"{named} is per {factor.unit}, not per {factor.currency}",
            field="factor.unit",
            value=factor.unit,
            valid=factor.currency,
        )


def _country_of(factor: Factor) -> str:
    if factor.country_iso2:
        return factor.country_iso2
    raise RejectedRecord(
        "factor_country_missing",
        f"factor {factor.factor_id} is of no country, so that it has no price index",
        field="factor.country_iso2",
        value=factor.factor_id,
        valid="the country whose prices the factor is in",
    )


def _margin(money: Money, factor: Factor) -> list[Operand]:
    if money.price_basis == factor.price_basis:
        return []
    if money.margin_share is None or money.margin_share >= 1:
        raise RejectedRecord(
            "margin_statement_missing",
            f"spend is in {money.price_basis} prices, factor {factor.factor_id} in "
            f"{factor.price_basis} prices",
            field="margin_share",
            value=money.margin_share,
            valid="the share of the purchaser price that is margin, from 0 to below 1",
        )
    return [
        Operand(
            value=1 - Fraction(money.margin_share),
            unit="basic price per purchaser price",
            label="without trade and transport margins",
            source=f"margin share {canonical_text(money.margin_share)}",
            divides=factor.price_basis == "purchaser",
        )
    ]


def sector_match(
    naics_code: str, on: date, country_iso2: str | None, inventory: Inventory
) -> FactorMatch:
    """The spend factor of a sector, in the edition the policy names; raises what `find` raises."""
    version = inventory.policy.spend_factor_version
    query = ActivityQuery(
        family="spend",
        selectors=(("naics_code", naics_code), ("version", version)),
        activity_date=on,
        country_iso2=country_iso2,
    )
    return inventory.book.find(query, inventory.policy)


def spend_scores(match: FactorMatch, country_iso2: str | None, year: int) -> Scores:
    """Scores of an input-output factor: another technology, averaged over a whole sector."""
    price_year = match.factor.price_year or year
    gap = abs(price_year - year)
    return Scores(
        technology=4,
        time=2 if gap < 6 else 3 if gap < 10 else 4,
        geography=1 if country_iso2 and country_iso2 == match.factor.country_iso2 else 3,
        completeness=2,
        reliability=4,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The part of a period that lies in one calendar year: its share as operands, if not all."""

    begins: datetime
    ends: datetime
    day: date
    share: tuple[Operand, ...] = ()


def parts_by_year(
    begins: datetime, ends: datetime, facility_id: str | None, inventory: Inventory
) -> tuple[Part, ...]:
    """A period cut at the ends of calendar years, pro rata of time; shares add up to the whole.

    The calendar is that of the site, or UTC where no site is registered. Cut-off by time: GHG
    Protocol Corporate Standard, chapter 1 (accuracy, completeness); a choice of this project.
    """
    site = inventory.register.site(facility_id, begins.date()) if facility_id else None
    zone = UTC if site is None else zone_of(site.time_zone)
    first, cuts = begins.astimezone(zone), [begins]
    last_year = ends.astimezone(zone).year
    for year in range(first.year + 1, last_year + 1):
        cut = datetime(year, 1, 1, tzinfo=zone).astimezone(UTC)
        if begins < cut < ends:
            cuts.append(cut)
    cuts.append(ends)
    if len(cuts) == 2:
        return (Part(begins=begins, ends=ends, day=first.date()),)
    whole = _seconds(begins, ends)
    return tuple(
        Part(
            begins=start,
            ends=end,
            day=start.astimezone(zone).date(),
            share=(
                Operand(value=_seconds(start, end), unit="s", label="time in the year"),
                Operand(value=whole, unit="s", label="time of the whole period", divides=True),
            ),
        )
        for start, end in pairwise(cuts)
    )


def _seconds(start: datetime, end: datetime) -> Fraction:
    gap = end - start
    return Fraction(gap.days * 86400 + gap.seconds) + Fraction(gap.microseconds, 10**6)
