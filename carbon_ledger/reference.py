"""Reference data as the ledger uses it: which site an event's facility is.

Belongs here: the records and what makes one valid. Does not: where they are kept
(carbon_ledger.store) or come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import check_country, check_identifier, check_region

BEGINNING: Final = date(2000, 1, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A facility, whose it is and whose calendar it keeps, from `valid_from` until its next row.

    `time_zone` is an IANA name: a day of the ledger is a day of that calendar. Construction raises
    RejectedRecord with the codes of carbon_ledger.events, or `unknown_time_zone`.
    """

    facility_id: str
    organization_id: str
    country_iso2: str
    time_zone: str
    region: str | None = None
    name: str = ""
    valid_from: date = BEGINNING

    def __post_init__(self) -> None:
        check_identifier("facility_id", self.facility_id)
        check_identifier("organization_id", self.organization_id)
        check_country(self.country_iso2)
        check_region(self.region, self.country_iso2)
        check_time_zone(self.time_zone)


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name, read once: ZoneInfo itself remembers no more than eight.

    Raises RejectedRecord `unknown_time_zone`.
    """
    return ZoneInfo(check_time_zone(name))


def check_time_zone(value: object) -> str:
    """`value` if it is an IANA time zone; code `unknown_time_zone`."""
    try:
        if isinstance(value, str):
            ZoneInfo(value)
            return value
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise RejectedRecord(
        "unknown_time_zone",
        f"time_zone: {str(value)[:60]!r} is not a time zone",
        field="time_zone",
        value=value,
        valid="an IANA name such as Europe/Berlin, Asia/Seoul or UTC",
    )
