"""Contracts and certificates of energy: what a market-based scope 2 figure may rest on.

Belongs here: the record and what makes one valid. Does not: which instrument covers which kWh (the
waterfall of scope 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.reference.fields import (
    Amount,
    FilledText,
    Identifier,
    OptionalAmount,
    OptionalDay,
    OptionalIdentifier,
    OptionalMoment,
    OptionalPositive,
    OptionalText,
    OptionalYesNo,
    Record,
    Text,
    YesNo,
    one_of,
    rejected,
)

CERTIFICATES: Final = ("certificate_bundled", "certificate_unbundled")
# In the order in which a market-based figure uses them (Scope 2 Guidance, table 6.3).
INSTRUMENT_KINDS: Final = (*CERTIFICATES, "ppa", "supplier_rate", "residual_mix")
INSTRUMENT_CARRIERS: Final = ("electricity", "heat", "steam", "cooling")
CRITERIA: Final = (
    "conveys_emission_rate",
    "is_only_claim",
    "is_tracked_and_retired",
    "has_close_vintage",
    "is_of_same_market",
    "is_net_of_sold_certificates",
    "passes_all_claims",
    "has_residual_mix_or_discloses",
)
# A local day may have 25 hours, and a year begins at another moment in each time zone.
LONGEST_VINTAGE: Final = {
    "hour": timedelta(hours=1),
    "day": timedelta(hours=25),
    "month": timedelta(days=31, hours=1),
    "year": timedelta(days=366, hours=1),
}
# The sixth criterion is asked of utility-specific factors, the seventh of direct purchases.
_ASKED_ONLY_OF: Final = {
    "is_net_of_sold_certificates": "supplier_rate",
    "passes_all_claims": "ppa",
}


_SERIAL = re.compile(r"(.*?)([0-9]*)", re.DOTALL)


def _number_of(serial: str | None) -> tuple[str, int, int] | None:
    match = None if serial is None else _SERIAL.fullmatch(serial)
    if match is None:
        return None
    return match[1], len(match[2]), int(match[2] or 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Instrument(Record):
    """A certificate, power purchase agreement, supplier rate or residual mix.

    Its validity is the time whose consumption may be claimed with it, `[vintage_from, vintage_to)`
    (UTC) when its energy was generated, `granularity` how finely that is attested. It is for one
    `facility_id`, or for every site of a `market`. `volume_kwh` None is unlimited. Several
    certificates are one instrument from `serial_no` to `serial_no_to`, both included. The eight
    quality criteria of the Scope 2 Guidance (table 7.1) are stated one by one; None is allowed
    where one does not apply.
    """

    KIND: ClassVar[str] = "instrument"
    KEY: ClassVar[tuple[str, ...]] = ("instrument_id",)

    instrument_id: Identifier
    kind: Annotated[str, one_of(*INSTRUMENT_KINDS)]
    carrier: Annotated[str, one_of(*INSTRUMENT_CARRIERS)] = "electricity"
    facility_id: OptionalIdentifier = None
    market: OptionalIdentifier = None
    zone: OptionalIdentifier = None
    generation_source: FilledText
    emission_rate_kgco2e_per_kwh: Amount
    biogenic_co2_kg_per_kwh: OptionalAmount = None
    volume_kwh: OptionalPositive = None
    vintage_from: OptionalMoment = None
    vintage_to: OptionalMoment = None
    granularity: Annotated[str, one_of("year", "month", "day", "hour")] = "year"
    serial_no: OptionalText = None
    serial_no_to: OptionalText = None
    retirement: Annotated[str, one_of("none", "retired", "cancelled")] = "none"
    retired_on: OptionalDay = None
    retirement_evidence: Text = ""
    conveys_emission_rate: YesNo
    is_only_claim: YesNo
    is_tracked_and_retired: YesNo
    has_close_vintage: YesNo
    is_of_same_market: YesNo
    is_net_of_sold_certificates: OptionalYesNo = None
    passes_all_claims: OptionalYesNo = None
    has_residual_mix_or_discloses: YesNo

    @property
    def serials(self) -> tuple[str, int, int, int] | None:
        """The serial numbers as (what is before the number, its digits, first, last)."""
        first = _number_of(self.serial_no)
        last = first if self.serial_no_to is None else _number_of(self.serial_no_to)
        if first is None or last is None or first[:2] != last[:2] or first[2] > last[2]:
            return None
        return (*first, last[2])

    @property
    def rank(self) -> int:
        """1 certificates, 2 agreements without, 3 supplier rates, 4 residual mix (table 6.3)."""
        return max(1, INSTRUMENT_KINDS.index(self.kind))

    @property
    def failed_criteria(self) -> tuple[str, ...]:
        """The criteria it does not meet; one is enough to make it void for a market-based figure.

        Where a criterion is asked of this kind, not stated is not met. A residual mix is no claim,
        so none is asked of it.
        """
        if self.kind == "residual_mix":
            return ()
        return tuple(name for name in CRITERIA if not self._meets(name))

    def _meets(self, name: str) -> bool:
        stated: bool | None = getattr(self, name)
        if stated is None:
            return _ASKED_ONLY_OF[name] != self.kind
        return stated

    def own_problems(self) -> Iterator[RejectedRecord]:
        """Place, vintage, the certificate's own facts and the evidence of its retirement."""
        if self.facility_id is None and self.market is None:
            yield rejected(
                "place_missing", "market", None, "names neither facility nor market", "one of them"
            )
        yield from self._problems_of_vintage()
        if self.kind in CERTIFICATES:
            yield from self._problems_of_a_certificate()
        yield from self._problems_of_retirement()

    def _problems_of_vintage(self) -> Iterator[RejectedRecord]:
        if (self.vintage_from is None) != (self.vintage_to is None):
            missing = "vintage_from" if self.vintage_from is None else "vintage_to"
            yield rejected(
                "vintage_incomplete", missing, None, "a vintage has two ends", "both, or neither"
            )
        elif self.vintage_from and self.vintage_to and self.vintage_to <= self.vintage_from:
            yield rejected(
                "ends_before_it_begins",
                "vintage_to",
                self.vintage_to,
                "the vintage ends before it begins",
                f"after {self.vintage_from.isoformat()}",
            )
        elif self.vintage_from and self.vintage_to:
            longest = LONGEST_VINTAGE[self.granularity]
            if self.vintage_to - self.vintage_from > longest:
                yield rejected(
                    "vintage_wider_than_granularity",
                    "vintage_to",
                    self.vintage_to,
                    f"the vintage is longer than a granularity of one {self.granularity}",
                    f"at most {longest} after vintage_from, or a coarser granularity",
                )

    def _problems_of_a_certificate(self) -> Iterator[RejectedRecord]:
        if self.serial_no_to is not None and self.serials is None:
            yield rejected(
                "serials_are_no_range",
                "serial_no_to",
                self.serial_no_to,
                f"{self.serial_no} to {self.serial_no_to} is no range",
                "two serial numbers that differ in the number at their end, in order",
            )
        for name in ("volume_kwh", "vintage_from", "serial_no"):
            if getattr(self, name) is None:
                yield rejected("missing_value", name, None, "is missing", "a certificate states it")

    def _problems_of_retirement(self) -> Iterator[RejectedRecord]:
        if self.retirement == "none":
            if self.kind in CERTIFICATES and self.is_tracked_and_retired:
                yield rejected(
                    "retired_without_evidence",
                    "retirement",
                    self.retirement,
                    "is_tracked_and_retired is yes, but nothing was retired",
                    "retired|cancelled with day and evidence, or is_tracked_and_retired no",
                )
            return
        for name in ("retired_on", "retirement_evidence"):
            if not getattr(self, name):
                yield rejected(
                    "retired_without_evidence",
                    name,
                    None,
                    f"{self.retirement}, but {name} is missing",
                    "the day, and the registry's statement",
                )
