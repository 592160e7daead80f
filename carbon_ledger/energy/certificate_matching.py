"""Certificates matched to consumption, by year, month, day or hour, within deliverability zones.

Belongs here: which certificate covers which kWh, as a pure function. Does not: whether a
certificate may be used at all (carbon_ledger.energy.instruments), what the kWh emit
(carbon_ledger.energy.scope2).

Within one interval of the granularity, as many kWh are matched as the certificates and zones allow
(a maximum flow), and which certificate goes where depends on nothing but the arguments. So a
coarser granularity never matches less, and no certificate is used beyond its volume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final, Literal

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reference.records import zone_of

Granularity = Literal["year", "month", "day", "hour"]
GRANULARITIES: Final[tuple[Granularity, ...]] = ("year", "month", "day", "hour")
COARSE: Final = "coarser_than_granularity"
NO_LOAD: Final = "no_deliverable_load_left"

Interval = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """kWh drawn in `[occurred_from, occurred_to)` at a site, in its deliverability zone."""

    facility_id: str
    zone: str
    occurred_from: datetime
    occurred_to: datetime
    kwh: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """kWh generated in `[occurred_from, occurred_to)` in a zone; `sites` it is kept for, or ()."""

    certificate_id: str
    zone: str
    occurred_from: datetime
    occurred_to: datetime
    volume_kwh: Decimal
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchedLoad:
    """A load and how much of it is matched: `matched_kwh` + `unmatched_kwh` = `load.kwh`."""

    load: Load
    matched_kwh: Decimal
    unmatched_kwh: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateUse:
    """kWh of one certificate used for one site's load in an interval of the granularity."""

    certificate_id: str
    facility_id: str
    occurred_from: datetime
    occurred_to: datetime
    kwh: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Unused:
    """kWh of a certificate that matched nothing, and why. They stay where they are."""

    certificate_id: str
    kwh: Decimal
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """Every load with what is matched of it, every use, and what was left over."""

    granularity: Granularity
    loads: tuple[MatchedLoad, ...]
    uses: tuple[CertificateUse, ...]
    unused: tuple[Unused, ...]

    @property
    def matched_kwh(self) -> Decimal:
        """All kWh matched."""
        return total(one.matched_kwh for one in self.loads)

    @property
    def matched_share(self) -> Fraction:
        """Matched kWh of all kWh, from 0 to 1; 1 where there was no load."""
        load = total(one.load.kwh for one in self.loads)
        return Fraction(self.matched_kwh) / Fraction(load) if load else Fraction(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Supply:
    """What one source can give in one interval, and to which demands (None: to any)."""

    supply_id: str
    volume_kwh: Decimal
    eligible: frozenset[str] | None = None


def total(values: Iterable[Decimal]) -> Decimal:
    """The exact sum of decimals."""
    result = Decimal(0)
    for value in values:
        result = PRODUCT.add(result, value)
    return result


def interval_of(
    moment: datetime, granularity: Granularity, time_zone: str, first_month: int = 1
) -> Interval:
    """The interval of the local calendar a moment is in, as `[begin, end)` in UTC.

    A year begins with `first_month`. An hour is one of the local clock, also where that is half an
    hour off; in the hour that is there twice, each of the two is its own.
    """
    local = moment.astimezone(zone_of(time_zone))
    if granularity == "hour":
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        begin = moment.astimezone(UTC) - past
        return begin, begin + timedelta(hours=1)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if granularity == "day":
        return _utc(midnight), _utc(midnight + timedelta(days=1))
    first = midnight.replace(day=1)
    if granularity == "month":
        return _utc(first), _utc(_months_on(first, 1))
    back = (local.month - first_month) % 12
    begin_of_year = _months_on(first, -back)
    return _utc(begin_of_year), _utc(_months_on(begin_of_year, 12))


def _months_on(first: datetime, months: int) -> datetime:
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return first.replace(year=year, month=month + 1)


def _utc(local: datetime) -> datetime:
    return local.astimezone(UTC)


def match_certificates(
    loads: Sequence[Load],
    certificates: Sequence[Certificate],
    granularity: Granularity,
    *,
    time_zone: str = "UTC",
    deliverable: Mapping[str, frozenset[str]] | None = None,
    first_month: int = 1,
    used_before: Mapping[str, Decimal] | None = None,
) -> Matching:
    """Certificates matched to loads of the same interval and of a zone they can be delivered to.

    `deliverable` names, for a certificate's zone, the zones of loads it reaches; without an entry
    only its own. `used_before` are kWh of certificates used elsewhere. In every load, matched and
    unmatched kWh are the load exactly. A certificate that is attested less finely than the
    granularity matches nothing. Raises RejectedRecord `load_coarser_than_granularity`,
    `certificate_twice`, `certificate_overused`, `site_in_two_zones`, `negative_quantity`.
    """
    _check(loads, certificates)
    calendar = _Calendar(granularity=granularity, time_zone=time_zone, first_month=first_month)
    by_interval: dict[Interval, list[int]] = {}
    for position, load in enumerate(loads):
        by_interval.setdefault(calendar.of_load(load), []).append(position)
    offered, left, unused = _offered(certificates, calendar, used_before or {})
    covered: dict[int, Decimal] = {}
    uses: list[CertificateUse] = []
    for interval in sorted(by_interval):
        here = {position: loads[position] for position in by_interval[interval]}
        certificates_here = offered.get(interval, [])
        flows = _flows(list(here.values()), certificates_here, left, deliverable or {})
        for (certificate_id, facility_id), kwh in sorted(flows.items()):
            left[certificate_id] = PRODUCT.subtract(left[certificate_id], kwh)
            uses.append(
                CertificateUse(
                    certificate_id=certificate_id,
                    facility_id=facility_id,
                    occurred_from=interval[0],
                    occurred_to=interval[1],
                    kwh=kwh,
                )
            )
        covered.update(_spread(here, flows))
    unused += [
        Unused(certificate_id=name, kwh=kwh, reason=NO_LOAD) for name, kwh in left.items() if kwh
    ]
    return Matching(
        granularity=granularity,
        loads=tuple(
            _matched(load, covered.get(position, Decimal(0))) for position, load in enumerate(loads)
        ),
        uses=tuple(uses),
        unused=tuple(sorted(unused, key=lambda one: one.certificate_id)),
    )


def _offered(
    certificates: Sequence[Certificate], calendar: _Calendar, used_before: Mapping[str, Decimal]
) -> tuple[dict[Interval, list[Certificate]], dict[str, Decimal], list[Unused]]:
    """Certificates by the interval they attest, what each has left, and those that attest none."""
    offered: dict[Interval, list[Certificate]] = {}
    left: dict[str, Decimal] = {}
    unused: list[Unused] = []
    for one in sorted(certificates, key=lambda item: (item.occurred_from, item.certificate_id)):
        kwh = _left(one, used_before)
        interval = calendar.of_certificate(one)
        if interval is not None:
            offered.setdefault(interval, []).append(one)
            left[one.certificate_id] = kwh
        elif kwh:
            unused.append(Unused(certificate_id=one.certificate_id, kwh=kwh, reason=COARSE))
    return offered, left, unused


@dataclass(frozen=True, kw_only=True, slots=True)
class _Calendar:
    granularity: Granularity
    time_zone: str
    first_month: int

    def _of(self, begin: datetime, end: datetime) -> Interval | None:
        interval = interval_of(begin, self.granularity, self.time_zone, self.first_month)
        return interval if end <= interval[1] else None

    def of_load(self, load: Load) -> Interval:
        interval = self._of(load.occurred_from, load.occurred_to)
        if interval is None:
            raise RejectedRecord(
                "load_coarser_than_granularity",
                f"a load of {load.facility_id} from {load.occurred_from.isoformat()} to "
                f"{load.occurred_to.isoformat()} is in more than one {self.granularity}",
                field="interval_seconds",
                value=load.occurred_to - load.occurred_from,
                valid=f"readings within one {self.granularity}, or a coarser granularity",
            )
        return interval

    def of_certificate(self, one: Certificate) -> Interval | None:
        return self._of(one.occurred_from, one.occurred_to)


def _check(loads: Iterable[Load], certificates: Iterable[Certificate]) -> None:
    seen: set[str] = set()
    for one in certificates:
        if one.certificate_id in seen:
            raise RejectedRecord(
                "certificate_twice",
                f"certificate {one.certificate_id} is there twice",
                field="certificate_id",
                value=one.certificate_id,
                valid="each certificate once",
            )
        seen.add(one.certificate_id)
        check_not_negative(one.volume_kwh, f"certificate {one.certificate_id}")
    zones: dict[str, str] = {}
    for load in loads:
        check_not_negative(load.kwh, f"load of {load.facility_id}")
        if zones.setdefault(load.facility_id, load.zone) != load.zone:
            raise RejectedRecord(
                "site_in_two_zones",
                f"loads of {load.facility_id} are in {zones[load.facility_id]} and {load.zone}",
                field="zone",
                value=load.zone,
                valid="one deliverability zone per site",
            )


def check_not_negative(kwh: Decimal, what: str) -> None:
    """Raises RejectedRecord `negative_quantity` for kWh that are no amount of energy."""
    if not (kwh.is_finite() and kwh >= 0):
        raise RejectedRecord(
            "negative_quantity",
            f"{what} has {kwh} kWh",
            field="kwh",
            value=kwh,
            valid="0 or more",
        )


def _left(one: Certificate, used_before: Mapping[str, Decimal]) -> Decimal:
    left = PRODUCT.subtract(one.volume_kwh, used_before.get(one.certificate_id, Decimal(0)))
    if left < 0:
        raise RejectedRecord(
            "certificate_overused",
            f"certificate {one.certificate_id} of {one.volume_kwh} kWh was used for more",
            field="certificate_id",
            value=one.certificate_id,
            valid=f"uses of at most {one.volume_kwh} kWh over all sites and periods",
        )
    return left


def _flows(
    loads: Sequence[Load],
    certificates: Sequence[Certificate],
    left: Mapping[str, Decimal],
    deliverable: Mapping[str, frozenset[str]],
) -> dict[tuple[str, str], Decimal]:
    demand: dict[str, Decimal] = {}
    zones: dict[str, str] = {}
    for load in loads:
        demand[load.facility_id] = PRODUCT.add(demand.get(load.facility_id, Decimal(0)), load.kwh)
        zones[load.facility_id] = load.zone
    supplies = []
    for one in certificates:
        reached = deliverable.get(one.zone, frozenset({one.zone}))
        eligible = frozenset(
            site
            for site, zone in zones.items()
            if zone in reached and (not one.sites or site in one.sites)
        )
        supplies.append(
            Supply(
                supply_id=one.certificate_id,
                volume_kwh=left[one.certificate_id],
                eligible=eligible,
            )
        )
    return assign(demand, supplies)


def _spread(
    loads: Mapping[int, Load], flows: Mapping[tuple[str, str], Decimal]
) -> dict[int, Decimal]:
    """What is covered of each load of a site, the earliest first."""
    remaining: dict[str, Decimal] = {}
    for (_, site), kwh in flows.items():
        remaining[site] = PRODUCT.add(remaining.get(site, Decimal(0)), kwh)
    covered = {}
    for position in sorted(loads, key=lambda one: (loads[one].occurred_from, one)):
        load = loads[position]
        kwh = min(load.kwh, remaining.get(load.facility_id, Decimal(0)))
        if kwh:
            remaining[load.facility_id] = PRODUCT.subtract(remaining[load.facility_id], kwh)
            covered[position] = kwh
    return covered


def _matched(load: Load, kwh: Decimal) -> MatchedLoad:
    unmatched = PRODUCT.subtract(load.kwh, kwh)
    if unmatched < 0:
        raise BrokenInvariant("matched_above_load", f"{kwh} kWh were matched to {load}")
    return MatchedLoad(load=load, matched_kwh=kwh, unmatched_kwh=unmatched)


def assign(
    demand: Mapping[str, Decimal], supplies: Sequence[Supply]
) -> dict[tuple[str, str], Decimal]:
    """The most kWh of supplies given to demands: kWh by (supply, demand), zeros left out.

    Supplies with the same eligible demands form a pool. Pools give in the order of their first
    supply, supplies of a pool in their own, as far as that does not lessen the sum: what an earlier
    one gives never shrinks for a later one.
    """
    pools: dict[frozenset[str], list[Supply]] = {}
    for supply in supplies:
        eligible = frozenset(demand) if supply.eligible is None else supply.eligible
        pools.setdefault(eligible & frozenset(demand), []).append(supply)
    network = _Network(
        reach=[tuple(sorted(eligible)) for eligible in pools],
        open_demand={name: kwh for name, kwh in demand.items()},
    )
    result: dict[tuple[str, str], Decimal] = {}
    volumes = [total(one.volume_kwh for one in pool) for pool in pools.values()]
    for number, volume in enumerate(volumes):
        network.push(number, volume)
    for number, pool in enumerate(pools.values()):
        given = {
            name: kwh for (pool_no, name), kwh in network.flow.items() if pool_no == number and kwh
        }
        for supply in pool:
            rest = supply.volume_kwh
            for name in sorted(given):
                kwh = min(rest, given[name])
                if kwh:
                    result[supply.supply_id, name] = kwh
                    rest = PRODUCT.subtract(rest, kwh)
                    given[name] = PRODUCT.subtract(given[name], kwh)
    return result


@dataclass(frozen=True, kw_only=True, slots=True)
class _Network:
    """A flow from pools of supplies to demands; pushing finds augmenting paths, shortest first."""

    reach: Sequence[tuple[str, ...]]
    open_demand: dict[str, Decimal]
    flow: dict[tuple[int, str], Decimal] = field(default_factory=dict)

    def push(self, pool: int, volume: Decimal) -> None:
        while volume:
            path = self._path(pool)
            if path is None:
                return
            step = min(volume, self.open_demand[path[-1][1]])
            for (_, name), (later, _) in pairwise(path):
                step = min(step, self.flow[later, name])
            for position, (giver, name) in enumerate(path):
                self.flow[giver, name] = PRODUCT.add(self.flow.get((giver, name), Decimal(0)), step)
                if position + 1 < len(path):
                    later = path[position + 1][0]
                    self.flow[later, name] = PRODUCT.subtract(self.flow[later, name], step)
            last = path[-1][1]
            self.open_demand[last] = PRODUCT.subtract(self.open_demand[last], step)
            volume = PRODUCT.subtract(volume, step)

    def _path(self, pool: int) -> list[tuple[int, str]] | None:
        """Givers and what each takes over, from `pool` to a demand that is still open."""
        came_from: dict[int, tuple[int, str] | None] = {pool: None}
        pending = deque([pool])
        while pending:
            giver = pending.popleft()
            for name in self.reach[giver]:
                if self.open_demand[name]:
                    return self._back(came_from, giver, name)
            for name in self.reach[giver]:
                for other in range(len(self.reach)):
                    if other not in came_from and self.flow.get((other, name)):
                        came_from[other] = (giver, name)
                        pending.append(other)
        return None

    @staticmethod
    def _back(
        came_from: Mapping[int, tuple[int, str] | None], giver: int, name: str
    ) -> list[tuple[int, str]]:
        path = [(giver, name)]
        step = came_from[giver]
        while step is not None:
            path.append(step)
            step = came_from[step[0]]
        return path[::-1]
