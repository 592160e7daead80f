"""Whose facility an event is of, in which calendar and grid, and what is remarkable about that.

Belongs here: from a facility's name and a moment to a place, and the rules a batch is computed
with. Does not: what is registered (carbon_ledger.reference.register), factors, lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.inventory import Inventory
from carbon_ledger.policy import Policy
from carbon_ledger.reference.records import Site, zone_of
from carbon_ledger.reference.register import Register

UNREGISTERED: Final = "unregistered_facility"
OTHER_COUNTRY: Final = "country_differs_from_site"
DEFAULT_TIME_ZONE: Final = "UTC"
DEFAULT_ORGANIZATION: Final = "default"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the lines of a batch are computed with; the same for every record of the batch."""

    book: FactorBook
    code_version: str
    register: Register = field(default_factory=Register)
    policy: Policy = field(default_factory=Policy)
    default_organization: str = DEFAULT_ORGANIZATION

    def inventory(self, now: datetime) -> Inventory:
        """The same for a calculator, at the moment the batch is judged."""
        return Inventory(book=self.book, now=now, policy=self.policy, register=self.register)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Whose facility it is, in which calendar and grid, and what is remarkable about that."""

    organization_id: str
    time_zone: str
    region: str | None
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """The place of an activity, its country, and the place's local date at its start."""

    place: Place
    country_iso2: str
    local_date: date


def place_of(
    site: Site | None, country_iso2: str, region: str | None, default_organization: str
) -> Place:
    """The place a registered site is; without one the default organization's, flagged, on the UTC
    calendar.
    """
    if site is None:
        return Place(
            organization_id=default_organization,
            time_zone=DEFAULT_TIME_ZONE,
            region=region,
            flags=(UNREGISTERED,),
        )
    is_elsewhere = site.country_iso2 != country_iso2
    return Place(
        organization_id=site.organization_id,
        time_zone=site.time_zone,
        region=region if is_elsewhere else region or site.region,
        flags=(OTHER_COUNTRY,) if is_elsewhere else (),
    )


def site_at(facility_id: str, moment: datetime, register: Register) -> Site | None:
    """The site in force on its own local date at a moment (aware UTC), None if none is.

    That date may be the day before or after the one in UTC, also where the site begins or ends.
    """
    for days in (0, 1, -1):
        site = register.site(facility_id, moment.date() + timedelta(days=days))
        if site is None:
            continue
        local = moment.astimezone(zone_of(site.time_zone)).date()
        found = register.site(facility_id, local)
        if found is not None:
            return found
    return None


def site_all_day(facility_id: str, utc_day: date, register: Register) -> tuple[Site | None, bool]:
    """The site at every moment of a UTC day, and whether it is the same at every one of them."""
    around = [register.site(facility_id, utc_day + timedelta(days=n)) for n in (-1, 0, 1)]
    return around[1], around[0] == around[1] == around[2]


def located(
    facility_id: str,
    country_iso2: str,
    region: str | None,
    moment: datetime,
    register: Register,
    default_organization: str = DEFAULT_ORGANIZATION,
) -> Located:
    """Where an activity belongs that began at `moment` (aware UTC)."""
    site = site_at(facility_id, moment, register)
    place = place_of(site, country_iso2, region, default_organization)
    return Located(
        place=place,
        country_iso2=country_iso2,
        local_date=moment.astimezone(zone_of(place.time_zone)).date(),
    )
