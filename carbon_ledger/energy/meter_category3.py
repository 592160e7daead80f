"""Category 3 of metered energy: of one reading, and of the readings of a site and day.

Belongs here: which figures of the book the upstream and the losses of a reading take. Does not: the
four activities themselves (carbon_ledger.energy.category3).

In the ledger these are period postings, per site, local day and factor, not lines of a reading: a
quarter of an hour has as much upstream as the day it is in has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from carbon_ledger.energy.category3 import (
    Category3,
    Consumed,
    Loss,
    Missing,
    energy,
    lines_of_electricity,
    lines_of_fuel,
    lines_of_heat,
)
from carbon_ledger.energy.certificate_matching import total
from carbon_ledger.energy.meter_amounts import amount_of
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.energy.meter_places import (
    Selectors,
    find,
    fuel_selectors,
    heat_selectors,
    location_match,
)
from carbon_ledger.energy.meters import activity_type_of
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.inventory import Inventory
from carbon_ledger.places import Located, located
from carbon_ledger.units import convert

HEAT_KINDS: Final = ("heat", "steam", "cooling")
WITHOUT_UPSTREAM: Final = ("self_generated", "chilled_water")
HEAT_LOSSES: Selectors = (("fuel", "5% loss"), ("use", "purchased_heat"))


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteDay:
    """Electricity of a site, local day and factor: what category 3 is posted for."""

    facility_id: str
    local_date: date
    kwh: Decimal
    readings: int
    category3: Category3


def category3_of_reading(event: MeterReadingEvent, inventory: Inventory) -> Category3:
    """Category 3 of one reading, location-based; own generation and exports have none.

    Raises RejectedRecord where the reading itself has no factor, as `lines_of_meter_reading`.
    """
    where = located(
        event.facility_id, event.country_iso2, event.region, event.occurred_from, inventory.register
    )
    if event.meter_kind in ("solar", "export", "chilled_water"):
        return Category3(lines=())
    amount = amount_of(event, where, inventory)
    consumed = Consumed(
        amount=amount,
        activity_type=activity_type_of(event),
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        basis="combustion" if event.meter_kind == "gas" else "location",
    )
    return category3_of_amount(consumed, where, inventory)


def category3_of_amount(consumed: Consumed, where: Located, inventory: Inventory) -> Category3:
    """Category 3 of metered energy of one kind, as its `activity_type` says, location-based.

    Energy that was generated on site or sold has none. Raises RejectedRecord where the energy has
    no factor, `unknown_energy` for an activity type that no meter counts.
    """
    kind, _, source = consumed.activity_type.partition(":")
    if kind == "electricity" and source != "exported":
        return category3_of_electricity(
            consumed, location_match(where, source, inventory), where, inventory
        )
    if kind == "fuel":
        return _of_fuel(consumed, source, where, inventory)
    if kind in HEAT_KINDS:
        return _of_heat(kind, consumed, where, inventory)
    if kind in WITHOUT_UPSTREAM or consumed.activity_type == "electricity:exported":
        return Category3(lines=())
    raise RejectedRecord(
        "unknown_energy",
        f"activity_type: {consumed.activity_type!r} is no energy that a meter counts",
        field="activity_type",
        value=consumed.activity_type,
        valid=f"electricity:…, fuel:…, {', '.join((*HEAT_KINDS, *WITHOUT_UPSTREAM))}",
    )


def category3_of_electricity(
    consumed: Consumed, match: FactorMatch, where: Located, inventory: Inventory
) -> Category3:
    """Category 3 of purchased electricity whose factor is known, with the book's loss rate where
    the factor has none of its own.
    """
    return lines_of_electricity(consumed, match, inventory, loss=_loss_of(match, where, inventory))


def _of_fuel(consumed: Consumed, fuel: str, where: Located, inventory: Inventory) -> Category3:
    """The upstream where the fuel was burnt, else that of a proxy (flagged), else none."""
    refusal: RejectedRecord | None = None
    for own_words in (True, False):
        selectors = fuel_selectors(fuel, where, "wtt", own_words=own_words)
        try:
            match = find("fuel", selectors, consumed.amount.unit, where, inventory)
        except RejectedRecord as none:
            refusal = refusal or none
            continue
        return lines_of_fuel(consumed, match, inventory)
    missing = (
        ()
        if refusal is None
        else (Missing(activity="a", code=refusal.code, reason=refusal.message),)
    )
    return Category3(lines=(), missing=missing)


def _loss_of(match: FactorMatch, where: Located, inventory: Inventory) -> Loss | None:
    """The loss rate of the book where the factor's row has neither rate nor figure of its own."""
    row = match.factor
    if row.td_kgco2e_per_unit is not None or row.td_loss_pct is not None:
        return None
    try:
        rate = inventory.book.loss_rate(
            where.country_iso2, where.place.region, where.local_date, inventory.policy
        )
    except RejectedRecord:
        # Then activity c is missing, and lines_of_electricity says so.
        return None
    return Loss.of_rate(rate)


def _of_heat(kind: str, consumed: Consumed, where: Located, inventory: Inventory) -> Category3:
    def found(selectors: Selectors) -> FactorMatch | None:
        try:
            return find("fuel", selectors, consumed.amount.unit, where, inventory)
        except RejectedRecord:
            # Then the part is missing, and lines_of_heat says so.
            return None

    match = find(
        "fuel",
        heat_selectors(kind, where, "combustion"),
        consumed.amount.unit,
        where,
        inventory,
    )
    is_cooling = kind == "cooling"
    upstream = heat_selectors(kind, where, "wtt")
    losses = (*HEAT_LOSSES, ("stage", "distribution_losses"))
    above = (*HEAT_LOSSES, ("stage", "wtt_distribution_losses"))
    return lines_of_heat(
        consumed,
        match,
        inventory,
        upstream=found(upstream),
        losses=None if is_cooling else found(losses),
        upstream_of_losses=None if is_cooling else found(above),
    )


def category3_by_site_and_day(
    readings: Iterable[MeterReadingEvent], inventory: Inventory
) -> tuple[SiteDay, ...]:
    """Category 3 of purchased electricity per site, local day and factor, in that order.

    The kWh of a day are the exact sum of its readings, so the day's figure does not depend on how
    the day was cut into readings, nor on their order. Other meter kinds are left out.
    """
    groups: dict[tuple[str, date, str], list[tuple[MeterReadingEvent, Located, FactorMatch]]] = {}
    for event in readings:
        if event.meter_kind != "electricity":
            continue
        where = located(
            event.facility_id,
            event.country_iso2,
            event.region,
            event.occurred_from,
            inventory.register,
        )
        match = location_match(where, event.energy_source, inventory)
        key = (event.facility_id, where.local_date, match.factor.factor_id)
        groups.setdefault(key, []).append((event, where, match))
    days = []
    for key in sorted(groups):
        members = groups[key]
        events = [event for event, _, _ in members]
        _, where, match = members[0]
        kwh = total(_kwh(event, where, inventory) for event in events)
        consumed = energy(
            kwh,
            activity_type_of(events[0]),
            min(event.occurred_from for event in events),
            max(event.occurred_to for event in events),
            source=f"sum of {len(events)} readings of {key[0]} on {key[1]}",
        )
        days.append(
            SiteDay(
                facility_id=key[0],
                local_date=key[1],
                kwh=kwh,
                readings=len(events),
                category3=category3_of_electricity(consumed, match, where, inventory),
            )
        )
    return tuple(days)


def _kwh(event: MeterReadingEvent, where: Located, inventory: Inventory) -> Decimal:
    """The kWh of a reading of electricity, exactly. Raises RejectedRecord `incompatible_unit`."""
    amount = amount_of(event, where, inventory)
    return convert(amount.quantity, amount.shown_unit, "kWh")
