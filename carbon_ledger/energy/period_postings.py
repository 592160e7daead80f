"""What is posted once per period: category 3 of metered energy, and scope 2 market-based, also of
what vehicles were charged with elsewhere.

Belongs here: from the sums of standing entries to the lines of a site and day, and of a site and
year. Does not: the figures themselves (meter_category3, scope2), reading the sums and posting
(carbon_ledger.store.period_postings).

A quarter of an hour has as much upstream as the day it is in, and a certificate covers a year, so
neither is a line of a reading. Both are computed anew from what stands, and where that comes to
something else than what was posted, the posted lines are taken back and the new ones take their
place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.data_quality import of_match
from carbon_ledger.energy.category3 import Category3, Consumed, energy
from carbon_ledger.energy.certificate_matching import total
from carbon_ledger.energy.instruments import INSTRUMENT, instrument_of, residual_match
from carbon_ledger.energy.meter_amounts import apply_amount
from carbon_ledger.energy.meter_category3 import (
    HEAT_KINDS,
    category3_of_amount,
    category3_of_electricity,
)
from carbon_ledger.energy.meter_places import location_match
from carbon_ledger.energy.meters import MEASURED, PUBLISHED, PURCHASED, S2_HEAT
from carbon_ledger.energy.scope2 import as_market_line, dual_report
from carbon_ledger.energy.scope2_waterfall import IN_THE_YEAR, Market, Period, SiteLoad
from carbon_ledger.energy.sum_amounts import Summed, amount_of_sum
from carbon_ledger.energy.vehicle_charging import ChargingSum, charged_line, charging_loads
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine, line_of
from carbon_ledger.organisation.fiscal_year import parts_of_calendar_year
from carbon_ledger.places import DEFAULT_TIME_ZONE, Located, Place
from carbon_ledger.quantities import PRODUCT, canonical_text
from carbon_ledger.reference.instruments import Instrument as RegisteredInstrument
from carbon_ledger.units import convert

CATEGORY3: Final = "category3"
MARKET: Final = "market"
GRID_ELECTRICITY: Final = "electricity:grid"
EXPORTED: Final = "electricity:exported"
SOLD: Final = "certificates_sold"


@dataclass(frozen=True, kw_only=True, slots=True)
class MeteredSum:
    """Standing location-based (or, of fuel, combustion) entries of a site and local day that share
    a factor: `quantity` in `unit`, exactly, of `entries` entries whose ids, in order, hash to
    `sha256` (hexadecimal). `kgco2e` is the sum of their figures, of fuel only.
    """

    organization_id: str
    facility_id: str
    country_iso2: str
    region: str | None
    local_date: date
    activity_type: str
    unit: str
    factor_id: str
    factor_version: int
    factor_release: str
    certificates_sold: bool
    quantity: Decimal
    occurred_from: datetime
    occurred_to: datetime
    entries: int
    sha256: str
    kgco2e: Decimal | None = None

    @property
    def where(self) -> Located:
        """The place and the local day."""
        place = Place(
            organization_id=self.organization_id,
            time_zone=DEFAULT_TIME_ZONE,
            region=self.region,
            flags=(),
        )
        return Located(place=place, country_iso2=self.country_iso2, local_date=self.local_date)


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodLine:
    """A line to stand for a period, whose it is, and the text of what it was computed from.

    `activity_ref` names the period and what of it; two lines of one have different `line_no`.
    """

    organization_id: str
    facility_id: str
    country_iso2: str
    region: str | None
    local_date: date
    activity_ref: str
    line_no: int
    line: EmissionLine
    basis_text: str

    @property
    def basis_sha256(self) -> bytes:
        """SHA-256 of `basis_text` in UTF-8: the payload hash of the entry."""
        return hashlib.sha256(self.basis_text.encode()).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class NotPosted:
    """Something that has no line, and why; `is_fault` where it should have had one."""

    organization_id: str
    facility_id: str
    period: str
    code: str
    reason: str
    is_fault: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Periods:
    """The lines of some periods, what is missing beside them, and what is to be disclosed."""

    lines: tuple[PeriodLine, ...]
    not_posted: tuple[NotPosted, ...] = ()
    disclosures: tuple[str, ...] = ()


def written_basis(content: Mapping[str, Any]) -> str:
    """The one spelling of a basis: JSON, keys in order, numbers and times as text."""

    def plain(value: object) -> object:
        if isinstance(value, Decimal):
            return canonical_text(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        if isinstance(value, date):
            return value.isoformat()
        raise TypeError(f"{value!r} has no spelling")

    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=plain
    )


def _values(one: MeteredSum) -> dict[str, Any]:
    """A sum as a basis has it: without the figures where they are not looked at."""
    return {name: value for name, value in asdict(one).items() if (name, value) != ("kgco2e", None)}


# ---- category 3, per site, local day and factor


def category3_of_days(sums: Iterable[MeteredSum], inventory: Inventory) -> Periods:
    """Category 3 of each sum, location-based: activities a, b and c of the GHG Protocol's Technical
    Guidance for scope 3 (2013), chapter 3.

    All sums are of the inventory's release. A sum whose amount is not known (gas in cubic metres
    with a calorific value of the reading's own), and one whose entries have another factor than the
    book gives today, is not posted and named.
    """
    lines: list[PeriodLine] = []
    missing: list[NotPosted] = []
    for one in sums:
        try:
            found = _category3(one, inventory)
        except RejectedRecord as problem:
            missing.append(_not_posted(one, problem.code, problem.message, is_fault=True))
            continue
        basis = written_basis(
            {"kind": CATEGORY3, "gwp_set": inventory.policy.gwp_set, "sums": [_values(one)]}
        )
        ref = (
            f"{CATEGORY3}:{one.facility_id}@{one.local_date.isoformat()}/{one.activity_type}"
            f"/{one.factor_id}"
        )
        lines += [
            PeriodLine(
                **_place(one),
                local_date=one.local_date,
                activity_ref=ref,
                line_no=number,
                line=line,
                basis_text=basis,
            )
            for number, line in enumerate(found.lines, start=1)
        ]
        missing += [
            _not_posted(one, gap.code, f"activity {gap.activity}: {gap.reason}", is_fault=False)
            for gap in found.missing
        ]
    return Periods(lines=tuple(lines), not_posted=tuple(missing))


def _category3(one: MeteredSum, inventory: Inventory) -> Category3:
    kind, _, source = one.activity_type.partition(":")
    if kind == "fuel" or kind in HEAT_KINDS:
        amount, _ = amount_of_sum(_summed(one, _told(one)), one.where, inventory)
        consumed = Consumed(
            amount=amount,
            activity_type=one.activity_type,
            occurred_from=one.occurred_from,
            occurred_to=one.occurred_to,
            basis="combustion" if kind == "fuel" else "location",
        )
        return category3_of_amount(consumed, one.where, inventory)
    consumed = energy(
        convert(one.quantity, one.unit, "kWh"),
        one.activity_type,
        one.occurred_from,
        one.occurred_to,
        source=_told(one),
    )
    if kind != "electricity" or one.activity_type == EXPORTED:
        return category3_of_amount(consumed, one.where, inventory)
    match = location_match(one.where, source, inventory)
    factor = match.factor
    if (factor.factor_id, factor.version) != (one.factor_id, one.factor_version):
        raise RejectedRecord(
            "factor_differs",
            f"the entries have factor {one.factor_id}#{one.factor_version}, the book gives "
            f"{factor.factor_id}#{factor.version} today",
            field="factor_id",
            value=one.factor_id,
            valid="entries of the factor that is in force; restate them first",
        )
    return category3_of_electricity(consumed, match, one.where, inventory)


def _told(one: MeteredSum) -> str:
    return f"sum of {one.entries} entries of {one.facility_id} on {one.local_date}"


def _summed(one: MeteredSum, source: str) -> Summed:
    return Summed(
        facility_id=one.facility_id,
        activity_type=one.activity_type,
        quantity=one.quantity,
        unit=one.unit,
        factor_id=one.factor_id,
        factor_version=one.factor_version,
        entries=one.entries,
        kgco2e=one.kgco2e,
        source=source,
    )


def _place(one: MeteredSum | ChargingSum) -> dict[str, Any]:
    names = ("organization_id", "facility_id", "country_iso2", "region")
    return {name: getattr(one, name) for name in names}


def _not_posted(one: MeteredSum, code: str, reason: str, *, is_fault: bool) -> NotPosted:
    return NotPosted(
        organization_id=one.organization_id,
        facility_id=one.facility_id,
        period=one.local_date.isoformat(),
        code=code,
        reason=reason,
        is_fault=is_fault,
    )


# ---- scope 2, market-based, per site, rate and part of a calendar year in one fiscal year


def market_of_year(
    organization_id: str,
    sums: Sequence[MeteredSum],
    year: int,
    inventory: Inventory,
    *,
    used_before: Mapping[str, Decimal],
    charging: Sequence[tuple[ChargingSum, Decimal]] = (),
) -> Periods:
    """Scope 2 market-based of an organization's sites in a calendar year of their local dates: GHG
    Protocol Scope 2 Guidance (2015), chapter 6.

    Where its fiscal years do not begin in January, the parts of the year that are in two of them
    are matched apart, the earlier one first: each fiscal year has whole lines, residual mixes and
    vintages are of calendar years, and later readings move no part that is over.

    `sums` are the organization's, of scope 2, `charging` what its vehicles were charged with
    elsewhere and how many kWh that is (carbon_ledger.energy.vehicle_charging); `used_before` the
    kWh of instruments that other years and organizations used: no kWh of one is used twice.
    Instruments and residual mixes are those registered for the year. Where a rule refuses (an
    instrument used beyond its kWh, a load without a factor), nothing is posted for the year and the
    refusal named.
    """
    first_month = inventory.register.first_month(organization_id)
    used = dict(used_before)
    lines: list[PeriodLine] = []
    disclosures: list[str] = []
    try:
        for begin, end in parts_of_calendar_year(year, first_month):
            part = [one for one in sums if begin <= one.local_date < end]
            plugs = [(one, kwh) for one, kwh in charging if begin <= one.local_date < end]
            if not part and not plugs:
                continue
            made = _market_of_part(organization_id, part, (begin, end), inventory, used, plugs)
            lines += made.lines
            disclosures += made.disclosures
            for name, kwh in instruments_used(made).items():
                used[name] = PRODUCT.add(used.get(name, Decimal(0)), kwh)
        return Periods(lines=tuple(lines), disclosures=tuple(dict.fromkeys(disclosures)))
    except RejectedRecord as problem:
        held = NotPosted(
            organization_id=organization_id,
            facility_id="",
            period=str(year),
            code=problem.code,
            reason=problem.message,
            is_fault=True,
        )
        return Periods(lines=(), not_posted=(held,))


def instruments_used(periods: Periods) -> dict[str, Decimal]:
    """kWh by instrument that lines use."""
    used: dict[str, Decimal] = {}
    for one in periods.lines:
        factor = one.line.factor
        if factor is not None and factor.factor.factor_id.startswith(INSTRUMENT):
            name = factor.factor.factor_id.removeprefix(INSTRUMENT)
            used[name] = PRODUCT.add(used.get(name, Decimal(0)), one.line.quantity)
    return used


def _market_of_part(
    organization_id: str,
    sums: Sequence[MeteredSum],
    part: tuple[date, date],
    inventory: Inventory,
    used_before: Mapping[str, Decimal],
    charging: Sequence[tuple[ChargingSum, Decimal]],
) -> Periods:
    begin, end = part
    is_whole = end == begin.replace(year=begin.year + 1)
    name_of_part = f"{begin.year}" if is_whole else f"{begin:%Y-%m}"
    period = Period(
        reporter=organization_id,
        begin=datetime(begin.year, begin.month, 1, tzinfo=UTC),
        end=datetime(end.year, end.month, 1, tzinfo=UTC),
    )
    electric = [
        one for one in sums if _is_electric(one.activity_type) and one.activity_type != EXPORTED
    ]
    markets = {one.facility_id: _market_id(one, inventory, end) for one in electric}
    markets |= {one.place: one.country_iso2 for one, _ in charging}
    registered = _registered(markets, inventory, part)
    loads = [*_loads(electric, markets, period), *charging_loads(charging, period)]
    instruments = [
        found
        for one in registered
        if (found := instrument_of(one, markets.get(one.facility_id or ""))) is not None
    ]
    report = dual_report(
        loads,
        instruments,
        [_market(name, registered) for name in sorted(set(markets.values()))],
        period,
        inventory,
        used_before=used_before,
    )
    # Named only where there is some, so that a year without has the basis it always had.
    charged = [{**asdict(one), "kwh": kwh} for one, kwh in charging]
    basis = written_basis(
        {
            "kind": MARKET,
            "year": begin.year,
            **({} if is_whole else {"begin": begin, "end": end}),
            "gwp_set": inventory.policy.gwp_set,
            "sums": [_values(one) for one in _by_site(sums)],
            **({"charging": charged} if charged else {}),
            "instruments": [asdict(one) for one in instruments],
            "residual_mixes": sorted(
                one.instrument_id for one in registered if one.kind == "residual_mix"
            ),
            "used_before": {name: used_before[name] for name in sorted(used_before)},
        }
    )
    first: dict[str, MeteredSum] = {}
    for one in sorted(sums, key=lambda one: one.local_date):
        first.setdefault(one.facility_id, one)
    numbers: dict[str, int] = {}
    lines = []
    elsewhere = {one.place: one for one, _ in charging}
    for (facility_id, source), line in zip(report.market_places, report.market, strict=True):
        ref = f"{MARKET}:{facility_id}@{name_of_part}/{source}"
        numbers[ref] = numbers.get(ref, 0) + 1
        plug = elsewhere.get(facility_id)
        if plug is not None:
            line = charged_line(line, plug)
        lines.append(
            PeriodLine(
                **_place(first[facility_id] if plug is None else plug),
                local_date=begin,
                activity_ref=ref,
                line_no=numbers[ref],
                line=line,
                basis_text=basis,
            )
        )
    lines += _heat_lines(sums, period, (begin, name_of_part), inventory, basis)
    return Periods(lines=tuple(lines), disclosures=report.disclosures)


def _is_electric(activity_type: str) -> bool:
    return activity_type.startswith(("electricity:", "self_generated:"))


def _market_id(one: MeteredSum, inventory: Inventory, end: date) -> str:
    site = inventory.register.site(one.facility_id, end - timedelta(days=1))
    return (site and site.market) or one.country_iso2


def _registered(
    markets: Mapping[str, str], inventory: Inventory, part: tuple[date, date]
) -> list[RegisteredInstrument]:
    """Every instrument and residual mix for these sites and markets in the part of a year, once."""
    found: dict[str, RegisteredInstrument] = {}
    for place in sorted({*markets, *markets.values()}):
        for one in inventory.register.instruments(place, *part):
            found[one.instrument_id] = one
    return [found[name] for name in sorted(found)]


def _market(name: str, registered: Sequence[RegisteredInstrument]) -> Market:
    mixes = [one for one in registered if one.kind == "residual_mix" and one.market == name]
    if len(mixes) > 1:
        raise RejectedRecord(
            "residual_mix_twice",
            f"market {name} has residual mixes {', '.join(one.instrument_id for one in mixes)}",
            field="market",
            value=name,
            valid="one residual mix per market and year",
        )
    return Market(
        market_id=name,
        residual_mix=residual_match(mixes[0]) if mixes else None,
        discloses_absence=True,
    )


def _loads(
    electric: Sequence[MeteredSum], markets: Mapping[str, str], period: Period
) -> list[SiteLoad]:
    groups: dict[tuple[Any, ...], list[MeteredSum]] = {}
    for one in electric:
        key = (
            *(one.facility_id, one.country_iso2, one.region or "", one.activity_type),
            one.certificates_sold,
        )
        groups.setdefault(key, []).append(one)
    loads = []
    for key in sorted(groups):
        members = groups[key]
        one = members[0]
        kind, _, source = one.activity_type.partition(":")
        supply = "own_generation" if kind == "self_generated" else "direct_line"
        loads.append(
            SiteLoad(
                facility_id=one.facility_id,
                market=markets[one.facility_id],
                country_iso2=one.country_iso2,
                kwh=total(convert(part.quantity, part.unit, "kWh") for part in members),
                occurred_from=period.begin + IN_THE_YEAR,
                occurred_to=period.end,
                region=one.region,
                energy_source=source,
                supply="grid" if one.activity_type == GRID_ELECTRICITY else supply,  # type: ignore[arg-type]
                certificates_sold=one.certificates_sold,
            )
        )
    return loads


def _by_site(sums: Sequence[MeteredSum]) -> list[MeteredSum]:
    """The days of each site, activity and factor as one sum; its hash is of the days' hashes."""
    groups: dict[tuple[Any, ...], list[MeteredSum]] = {}
    for one in sums:
        key = (
            *(one.facility_id, one.country_iso2, one.region or "", one.activity_type, one.unit),
            *(one.factor_release, one.factor_id, one.factor_version, one.certificates_sold),
        )
        groups.setdefault(key, []).append(one)
    merged = []
    for key in sorted(groups):
        members = sorted(groups[key], key=lambda one: one.local_date)
        values = asdict(members[0]) | {
            "quantity": total(one.quantity for one in members),
            "occurred_from": min(one.occurred_from for one in members),
            "occurred_to": max(one.occurred_to for one in members),
            "entries": sum(one.entries for one in members),
            "sha256": hashlib.sha256("".join(one.sha256 for one in members).encode()).hexdigest(),
        }
        merged.append(MeteredSum(**values))
    return merged


def _heat_lines(
    sums: Sequence[MeteredSum],
    period: Period,
    part: tuple[date, str],
    inventory: Inventory,
    basis: str,
) -> list[PeriodLine]:
    """Heat, steam and cooling, which no instrument covers: the location-based figure again."""
    begin, name_of_part = part
    lines = []
    for one in _by_site([one for one in sums if one.activity_type in HEAT_KINDS]):
        kwh = convert(one.quantity, one.unit, "kWh")
        amount, match = amount_of_sum(
            _summed(one, "sum of the year"), one.where, inventory, as_posted=False
        )
        applied = apply_amount(amount, match, inventory)
        line = line_of(
            assignment=PURCHASED,
            formula=S2_HEAT,
            terms=applied.terms,
            gas_terms=applied.gas_terms,
            basis="location",
            method="measured",
            activity_type=one.activity_type,
            quantity=kwh,
            unit="kWh",
            gwp_set=applied.gwp_set,
            factor=match,
            activity_scores=MEASURED,
            factor_scores=of_match(PUBLISHED, match),
            primary_share=Decimal(1),
            occurred_from=period.begin,
            occurred_to=period.end,
            flags=applied.flags,
        )
        lines.append(
            PeriodLine(
                **_place(one),
                local_date=begin,
                activity_ref=f"{MARKET}:{one.facility_id}@{name_of_part}/{one.activity_type}"
                f"/{one.factor_id}",
                line_no=1,
                line=as_market_line(line),
                basis_text=basis,
            )
        )
    return lines
