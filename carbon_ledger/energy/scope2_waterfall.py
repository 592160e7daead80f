"""The waterfall of instruments over the kWh of a period, market by market.

Belongs here: consumption, tranches, and which instrument covers what. Does not: whether an
instrument may be used (instruments), figures and disclosures (scope2).

GHG Protocol Scope 2 Guidance (2015), table 6.3: certificates, contracts, supplier rates, residual
mix, grid average. Cover ends at the consumption of the market and period.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.energy.certificate_matching import (
    Certificate,
    Load,
    Supply,
    assign,
    check_not_negative,
    interval_of,
    match_certificates,
    total,
)
from carbon_ledger.energy.instruments import (
    CERTIFICATES,
    WATERFALL,
    Instrument,
    instrument_match,
)
from carbon_ledger.energy.meter_places import check_substitute, location_match
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.inventory import Inventory
from carbon_ledger.places import located
from carbon_ledger.quantities import PRODUCT

# Noon UTC on the first of January is in the same year in every calendar of the world.
IN_THE_YEAR: Final = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """A market of instruments: its residual mix if it publishes one, and whether there is any.

    `discloses_absence`: the report says that there is no residual mix.
    """

    market_id: str
    residual_mix: FactorMatch | None = None
    has_instruments: bool = True
    discloses_absence: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteLoad:
    """kWh a site consumed in `[occurred_from, occurred_to)`.

    `supply`: from the grid, by a direct line from another's plant, of own generation, or from the
    grid at somebody else's plug (`charging`), whose contracts are not the reporter's: only
    certificates that were bought without power cover that. A direct line and own generation take
    the residual mix where their certificates are sold.
    """

    facility_id: str
    market: str
    country_iso2: str
    kwh: Decimal
    occurred_from: datetime
    occurred_to: datetime
    region: str | None = None
    zone: str | None = None
    energy_source: str = "grid"
    supply: Literal["grid", "direct_line", "own_generation", "charging"] = "grid"
    certificates_sold: bool = False

    @property
    def is_of_grid(self) -> bool:
        """Whether it is drawn from the grid, at a meter of the reporter or elsewhere."""
        return self.supply in ("grid", "charging")


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """The period both figures are of, `[begin, end)` in UTC, on whose calendar, and for whom."""

    reporter: str
    begin: datetime
    end: datetime
    time_zone: str = "UTC"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tranche:
    """kWh of a site at one market-based rate. `source` is an instrument's id, or what took its
    place: `residual_mix`, `grid_average`, `location`, `direct_line`, `own_generation`.
    """

    facility_id: str
    market: str
    source: str
    kwh: Decimal
    match: FactorMatch | None


@dataclass(frozen=True, kw_only=True, slots=True)
class InstrumentUse:
    """kWh of an instrument used for a site in the period: what must not be used again."""

    instrument_id: str
    facility_id: str
    kwh: Decimal


def volumes_left(
    instruments: Sequence[Instrument], used_before: Mapping[str, Decimal]
) -> dict[str, Decimal | None]:
    """kWh still unused by instrument, None: unlimited (contracts and supplier rates alone).

    Raises RejectedRecord `certificate_overused`, `certificate_without_volume`.
    """
    volumes: dict[str, Decimal | None] = {}
    for one in instruments:
        if one.volume_kwh is None:
            if one.kind in CERTIFICATES:
                raise RejectedRecord(
                    "certificate_without_volume",
                    f"certificate {one.instrument_id} does not say of how many kWh it is",
                    field="volume_kwh",
                    valid="the kWh it attests",
                )
            volumes[one.instrument_id] = None
            continue
        check_not_negative(one.volume_kwh, f"instrument {one.instrument_id}")
        used = used_before.get(one.instrument_id, Decimal(0))
        left = PRODUCT.subtract(one.volume_kwh, used)
        if left < 0:
            raise RejectedRecord(
                "certificate_overused",
                f"instrument {one.instrument_id} of {one.volume_kwh} kWh was used for {used}",
                field="instrument_id",
                value=one.instrument_id,
                valid=f"uses of at most {one.volume_kwh} kWh over all sites and periods",
            )
        volumes[one.instrument_id] = left
    return volumes


def location_of(load: SiteLoad, inventory: Inventory) -> FactorMatch | None:
    """The location-based factor of a load; None for own generation."""
    if load.supply == "own_generation":
        return None
    where = located(
        load.facility_id, load.country_iso2, load.region, load.occurred_from, inventory.register
    )
    return location_match(where, load.energy_source, inventory)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waterfall:
    """The state of the waterfall: kWh still uncovered by load, and still unused by instrument."""

    loads: Sequence[SiteLoad]
    matches: Sequence[FactorMatch | None]
    markets: Mapping[str, Market]
    period: Period
    inventory: Inventory
    deliverable: Mapping[str, frozenset[str]]
    remaining: list[Decimal]
    volume: dict[str, Decimal | None]
    tranches: list[Tranche] = field(default_factory=list)
    uses: list[InstrumentUse] = field(default_factory=list)

    def cover(self, market: str, usable: Sequence[Instrument]) -> None:
        """Steps 1 to 3 for one market: certificates, contracts, supplier rates."""
        for kinds in WATERFALL:
            step = sorted(
                (one for one in usable if one.kind in kinds),
                key=lambda one: (one.vintage_from or self.period.begin, one.instrument_id),
            )
            positions = [
                number
                for number, load in enumerate(self.loads)
                if load.market == market and self.remaining[number]
            ]
            if not step or not positions:
                continue
            is_fine = self.inventory.policy.matching_granularity != "year"
            if is_fine and kinds != ("supplier_rate",):
                self._by_interval(step, positions)
            else:
                self._by_period(step, positions)

    def _by_period(self, step: Sequence[Instrument], positions: Sequence[int]) -> None:
        demand: dict[str, Decimal] = {}
        for number in positions:
            site = self.loads[number].facility_id
            demand[site] = PRODUCT.add(demand.get(site, Decimal(0)), self.remaining[number])
        whole = total(demand.values())
        supplies = []
        for one in step:
            volume = self.volume[one.instrument_id]
            supplies.append(
                Supply(
                    supply_id=one.instrument_id,
                    volume_kwh=whole if volume is None else volume,
                    eligible=self._eligible(one, positions),
                )
            )
        flows = assign(demand, supplies)
        for one in step:
            for site in sorted(demand):
                kwh = flows.get((one.instrument_id, site))
                if kwh:
                    self._use(one, site, positions, kwh)

    def _eligible(self, one: Instrument, positions: Sequence[int]) -> frozenset[str] | None:
        """Sites of these loads that an instrument may cover; None: all."""
        if one.facility_id is not None:
            return frozenset({one.facility_id})
        if one.kind == "certificate_unbundled":
            return None
        own = [number for number in positions if self.loads[number].supply != "charging"]
        if len(own) == len(positions):
            return None
        return frozenset(self.loads[number].facility_id for number in own)

    def _by_interval(self, step: Sequence[Instrument], positions: Sequence[int]) -> None:
        policy = self.inventory.policy
        loads = [
            Load(
                facility_id=self.loads[number].facility_id,
                zone=self.loads[number].zone or self.loads[number].market,
                occurred_from=self.loads[number].occurred_from,
                occurred_to=self.loads[number].occurred_to,
                kwh=self.remaining[number],
            )
            for number in positions
        ]
        certificates = [
            Certificate(
                certificate_id=one.instrument_id,
                zone=one.zone or one.market,
                occurred_from=one.vintage_from or self.period.begin,
                occurred_to=one.vintage_to or self.period.end,
                volume_kwh=self._left(one, loads),
                sites=tuple(sorted(eligible or ())),
            )
            for one in step
            if (eligible := self._eligible(one, positions)) is None or eligible
        ]
        matching = match_certificates(
            loads,
            certificates,
            policy.matching_granularity,
            time_zone=self.period.time_zone,
            deliverable=self.deliverable,
            first_month=policy.fiscal_year_first_month,
        )
        by_id = {one.instrument_id: one for one in step}
        for use in matching.uses:
            within = [
                number
                for number in positions
                if interval_of(
                    self.loads[number].occurred_from,
                    policy.matching_granularity,
                    self.period.time_zone,
                    policy.fiscal_year_first_month,
                )[0]
                == use.occurred_from
            ]
            self._use(by_id[use.certificate_id], use.facility_id, within, use.kwh)

    def _left(self, one: Instrument, loads: Sequence[Load]) -> Decimal:
        volume = self.volume[one.instrument_id]
        return total(load.kwh for load in loads) if volume is None else volume

    def _use(self, one: Instrument, site: str, positions: Iterable[int], kwh: Decimal) -> None:
        """Books kWh of an instrument on a site's loads, the earliest first."""
        volume = self.volume[one.instrument_id]
        if volume is not None:
            self.volume[one.instrument_id] = PRODUCT.subtract(volume, kwh)
        self.uses.append(InstrumentUse(instrument_id=one.instrument_id, facility_id=site, kwh=kwh))
        self.tranches.append(
            Tranche(
                facility_id=site,
                market=one.market,
                source=one.instrument_id,
                kwh=kwh,
                match=instrument_match(one),
            )
        )
        left = kwh
        own = [number for number in positions if self.loads[number].facility_id == site]
        for number in sorted(own, key=lambda place: (self.loads[place].occurred_from, place)):
            step = min(left, self.remaining[number])
            self.remaining[number] = PRODUCT.subtract(self.remaining[number], step)
            left = PRODUCT.subtract(left, step)
        if left:
            raise BrokenInvariant(
                "covered_above_load", f"{left} kWh of {one.instrument_id} cover nothing at {site}"
            )

    def take_the_rest(self, market: str, is_claimed: bool) -> None:
        """Steps 4 and 5: residual mix, else grid average; own generation and direct lines."""
        setting = self.markets[market]
        for number, load in enumerate(self.loads):
            if load.market != market:
                continue
            if load.is_of_grid:
                kwh, location = self.remaining[number], self.matches[number]
                if not setting.has_instruments and not is_claimed:
                    self._take(load, "location", kwh, location)
                    continue
            elif not load.certificates_sold:
                self._take(load, load.supply, load.kwh, self.matches[number])
                continue
            else:
                kwh, location = load.kwh, self._grid_average(load)
            if setting.residual_mix is not None:
                check_substitute(setting.residual_mix, self.inventory.policy)
                self._take(load, "residual_mix", kwh, setting.residual_mix)
            else:
                self._take(load, "grid_average", kwh, location)

    def _grid_average(self, load: SiteLoad) -> FactorMatch:
        where = located(
            load.facility_id,
            load.country_iso2,
            load.region,
            load.occurred_from,
            self.inventory.register,
        )
        return location_match(where, "grid", self.inventory)

    def _take(self, load: SiteLoad, source: str, kwh: Decimal, match: FactorMatch | None) -> None:
        if kwh:
            self.tranches.append(
                Tranche(
                    facility_id=load.facility_id,
                    market=load.market,
                    source=source,
                    kwh=kwh,
                    match=match,
                )
            )

    def check(self) -> None:
        """Raises BrokenInvariant unless the tranches of every site are its consumption."""
        for site in {load.facility_id for load in self.loads}:
            drawn = total(load.kwh for load in self.loads if load.facility_id == site)
            covered = total(one.kwh for one in self.tranches if one.facility_id == site)
            if drawn != covered:
                raise BrokenInvariant(
                    "market_based_coverage",
                    f"{site} drew {drawn} kWh, but its tranches are {covered}",
                )
