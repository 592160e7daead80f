"""Reference data as the calculators see it: what was in force on a day, as known at a moment.

Belongs here: lookup among dated records. Does not: what a record is (records),
where records are kept (carbon_ledger.store) or come from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import Final, TypeVar

from carbon_ledger.organisation.fiscal_year import JANUARY, fiscal_period, fiscal_year_of
from carbon_ledger.reference.calendars import Holiday, ReportSchedule
from carbon_ledger.reference.expected import ControlTotal, ExpectedSource
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.instruments import Instrument
from carbon_ledger.reference.records import (
    Budget,
    Disclosure,
    Entity,
    Meter,
    Ownership,
    Revenue,
    Site,
    SpendClass,
    Supplier,
    SupplierItem,
    Vehicle,
)

# Whose fiscal year and revenue are those of the organization.
PARENT: Final = "parent"
Kind = TypeVar("Kind", bound=Record)
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What holds about one key, in order: begins of validity, and the records, each with its end.

    Only the last record may be without an end.
    """

    begins: tuple[date, ...]
    records: tuple[Record, ...]

    def on(self, day: date) -> Record | None:
        """The record in force on a day."""
        place = bisect_right(self.begins, day) - 1
        if place < 0:
            return None
        found = self.records[place]
        return None if found.valid_to is not None and found.valid_to <= day else found

    def within(self, begin: date, end: date) -> list[Record]:
        """The records in force on a day of `[begin, end)`, in order."""
        return [
            one
            for one in self.records
            if one.valid_from < end and (one.valid_to is None or one.valid_to > begin)
        ]


def timeline_of(statements: Iterable[Record]) -> Timeline:
    """The timeline of statements about one key.

    Of two with the same begin the one recorded last holds (of those without a moment, the last
    given). A statement ends where the next begins, or earlier by its own `valid_to`; one that ends
    where it begins never held.
    """
    latest: dict[date, Record] = {}
    for one in statements:
        earlier = latest.get(one.valid_from)
        if earlier is None or not is_older(one, earlier):
            latest[one.valid_from] = one
    held = [latest[begin] for begin in sorted(latest) if latest[begin].valid_to != begin]
    ended = [
        _ending(one, held[place + 1].valid_from if place + 1 < len(held) else None)
        for place, one in enumerate(held)
    ]
    return Timeline(tuple(one.valid_from for one in ended), tuple(ended))


def is_older(one: Record, than: Record) -> bool:
    """Whether `one` was recorded before `than`; what bears no moment was known before all else."""
    if one.recorded_at is None or than.recorded_at is None:
        return one.recorded_at is None and than.recorded_at is not None
    return one.recorded_at < than.recorded_at


def _ending(one: Record, next_begin: date | None) -> Record:
    if next_begin is None or (one.valid_to is not None and one.valid_to <= next_begin):
        return one
    return replace(one, valid_to=next_begin)


@dataclass(frozen=True, kw_only=True)
class Register:
    """Everything registered, of every kind, in no order.

    Every lookup takes a day, returns None (or nothing) where nothing is registered, and answers as
    known at `known_at`, which is the register's own moment unless given (None: all that is known).
    A record that is returned has the `valid_to` at which it really ends.
    """

    records: tuple[Record, ...] = ()
    known_at: datetime | None = None

    def as_known_at(self, moment: datetime) -> Register:
        """The register without what was recorded after `moment`; itself if that is nothing."""
        known = tuple(
            one for one in self.records if one.recorded_at is None or one.recorded_at <= moment
        )
        return self if len(known) == len(self.records) else Register(records=known)

    def site(self, facility_id: str, on: date, known_at: datetime | None = None) -> Site | None:
        """The site of a facility."""
        return self._on(Site, (facility_id,), on, known_at)

    def entity(self, entity_id: str, on: date, known_at: datetime | None = None) -> Entity | None:
        """The entity."""
        return self._on(Entity, (entity_id,), on, known_at)

    def vehicle(
        self, vehicle_id: str, on: date, known_at: datetime | None = None
    ) -> Vehicle | None:
        """The vehicle."""
        return self._on(Vehicle, (vehicle_id,), on, known_at)

    def supplier(
        self, supplier_id: str, on: date, known_at: datetime | None = None
    ) -> Supplier | None:
        """The supplier."""
        return self._on(Supplier, (supplier_id,), on, known_at)

    def supplier_item(
        self, supplier_id: str, product_id: str, on: date, known_at: datetime | None = None
    ) -> SupplierItem | None:
        """Which of our items a supplier's product is."""
        return self._on(SupplierItem, (supplier_id, product_id), on, known_at)

    def meter(self, meter_id: str, on: date, known_at: datetime | None = None) -> Meter | None:
        """The meter."""
        return self._on(Meter, (meter_id,), on, known_at)

    def children_of(
        self, meter_id: str, on: date, known_at: datetime | None = None
    ) -> tuple[Meter, ...]:
        """The meters directly below a meter, by their ids."""
        return self._related(Meter, "parent_id", meter_id, on, known_at)

    def meters_of(
        self, facility_id: str, on: date, known_at: datetime | None = None
    ) -> tuple[Meter, ...]:
        """All meters of a facility, by their ids."""
        return self._related(Meter, "facility_id", facility_id, on, known_at)

    def sites_of(
        self, entity_id: str, on: date, known_at: datetime | None = None
    ) -> tuple[Site, ...]:
        """The sites of an entity, by their ids."""
        return self._related(Site, "entity_id", entity_id, on, known_at)

    def owners_of(
        self, entity_id: str, on: date, known_at: datetime | None = None
    ) -> tuple[Ownership, ...]:
        """The stakes registered parents have in an entity, by parent."""
        return self._related(Ownership, "entity_id", entity_id, on, known_at)

    def holdings_of(
        self, parent_id: str, on: date, known_at: datetime | None = None
    ) -> tuple[Ownership, ...]:
        """The stakes an entity has in others, by entity."""
        return self._related(Ownership, "parent_id", parent_id, on, known_at)

    def entities(self, on: date, known_at: datetime | None = None) -> tuple[Entity, ...]:
        """Every entity of the day, by id."""
        keys = [key for kind, key in self._statements if kind is Entity]
        return self._those_on(Entity, keys, on, known_at)

    def sites_within(
        self, begin: date, end: date, known_at: datetime | None = None
    ) -> tuple[Site, ...]:
        """Every site of any day of `[begin, end)`, by id, each as stated last of those days."""
        return self._last_within(Site, begin, end, known_at)

    def instruments_before(
        self, end: date, known_at: datetime | None = None
    ) -> tuple[Instrument, ...]:
        """Every instrument whose validity begins before `end`, by id, each as stated last."""
        return self._last_within(Instrument, date.min, end, known_at)

    def instruments(
        self, place: str, begin: date, end: date, known_at: datetime | None = None
    ) -> tuple[Instrument, ...]:
        """The instruments for consumption in `[begin, end)` of a facility, or of a whole market.

        What names a facility is that facility's alone, and is not among its market's.
        """
        found = [
            one
            for key in self._links.get((Instrument, "facility_id", place), ())
            for one in self._within(Instrument, key, begin, end, known_at)
            if one.facility_id == place
        ]
        found += [
            one
            for key in self._links.get((Instrument, "market", place), ())
            for one in self._within(Instrument, key, begin, end, known_at)
            if one.facility_id is None and one.market == place
        ]
        return tuple(sorted(found, key=lambda one: (one.instrument_id, one.valid_from)))

    def spend_mapping(
        self, system: str, code: str, on: date, known_at: datetime | None = None
    ) -> SpendClass | None:
        """What a purchasing code means, with the stream its lines are routed to."""
        return self._on(SpendClass, (system, code), on, known_at)

    def spend_class(
        self, system: str, code: str, on: date, known_at: datetime | None = None
    ) -> str | None:
        """The NAICS code of a purchasing code."""
        found = self.spend_mapping(system, code, on, known_at)
        return None if found is None else found.naics_code

    def revenues(
        self,
        entity_id: str,
        begin: date,
        end: date,
        measure: str = "net_revenue",
        known_at: datetime | None = None,
    ) -> tuple[Revenue, ...]:
        """The stated revenues of an entity whose periods meet `[begin, end)`, in order."""
        return tuple(self._within(Revenue, (entity_id, measure), begin, end, known_at))

    def budgets(
        self,
        entity_id: str,
        measure: str,
        begin: date,
        end: date,
        facility_id: str | None = None,
        known_at: datetime | None = None,
    ) -> tuple[Budget, ...]:
        """The budgets of an entity, or of one of its sites, that meet `[begin, end)`, in order."""
        key = (entity_id, facility_id or "", measure)
        return tuple(self._within(Budget, key, begin, end, known_at))

    def disclosures(
        self, organization_id: str, begin: date, end: date, known_at: datetime | None = None
    ) -> tuple[Disclosure, ...]:
        """What an organization states for reports of `[begin, end)`, by subject and key."""
        keys = sorted(
            key
            for kind, key in self._statements
            if kind is Disclosure and key[0] == organization_id
        )
        return tuple(
            one for key in keys for one in self._within(Disclosure, key, begin, end, known_at)
        )

    def report_schedules(
        self, begin: date, end: date, known_at: datetime | None = None
    ) -> tuple[ReportSchedule, ...]:
        """The report schedules in force on any day of `[begin, end)`, by organization and name."""
        keys = sorted(key for kind, key in self._statements if kind is ReportSchedule)
        return tuple(
            one for key in keys for one in self._within(ReportSchedule, key, begin, end, known_at)
        )

    def holidays(
        self, begin: date, end: date, known_at: datetime | None = None
    ) -> tuple[Holiday, ...]:
        """The holidays that have a day in `[begin, end)`, by organization and name."""
        keys = sorted(key for kind, key in self._statements if kind is Holiday)
        return tuple(
            one for key in keys for one in self._within(Holiday, key, begin, end, known_at)
        )

    def expected_sources(
        self, begin: date, end: date, known_at: datetime | None = None
    ) -> tuple[ExpectedSource, ...]:
        """The sources that are expected on any day of `[begin, end)`, by stream and source."""
        keys = sorted(key for kind, key in self._statements if kind is ExpectedSource)
        return tuple(
            one for key in keys for one in self._within(ExpectedSource, key, begin, end, known_at)
        )

    def control_totals(
        self, begin: date, end: date, known_at: datetime | None = None
    ) -> tuple[ControlTotal, ...]:
        """The control totals whose periods begin in `[begin, end)`, by id."""
        keys = sorted(key for kind, key in self._statements if kind is ControlTotal)
        return tuple(
            one
            for key in keys
            for one in self._within(ControlTotal, key, begin, end, known_at)
            if begin <= one.valid_from < end
        )

    def first_month(self, organization_id: str) -> int:
        """The month, 1 to 12, in which the organization's fiscal years begin: as its parent entity
        states it, January where none does.

        It is one month for all years: a file that changes it for some of them is refused
        (carbon_ledger.reference.checks). Of what was stored otherwise, the latest holds.
        """
        return self._first_months.get(organization_id, JANUARY)

    def first_months_ever(self, organization_id: str) -> tuple[int, ...]:
        """Every month that its parent entities were ever stated with, and January."""
        return tuple(
            sorted(
                {JANUARY}
                | {
                    one.fiscal_year_first_month or JANUARY
                    for one in self.records
                    if isinstance(one, Entity)
                    and (one.organization_id, one.kind) == (organization_id, PARENT)
                }
            )
        )

    @property
    def first_months(self) -> tuple[int, ...]:
        """Every month in which the fiscal years of some organization may begin, in order."""
        return tuple(sorted({JANUARY, *self._first_months.values()}))

    def fiscal_period(self, organization_id: str, fiscal_year: int) -> tuple[date, date]:
        """First day of an organization's fiscal year, and of the one after."""
        return fiscal_period(fiscal_year, self.first_month(organization_id))

    def fiscal_year_of(self, organization_id: str, day: date) -> int:
        """The organization's fiscal year that has the day."""
        return fiscal_year_of(day, self.first_month(organization_id))

    @cached_property
    def _first_months(self) -> dict[str, int]:
        """By organization, where a parent entity is stated."""
        parents = sorted(
            (
                one
                for (kind, _), timeline in self._timelines.items()
                if kind is Entity
                for one in timeline.records
                if isinstance(one, Entity) and one.kind == PARENT
            ),
            key=lambda one: (one.valid_from, one.entity_id),
        )
        return {one.organization_id: one.fiscal_year_first_month or JANUARY for one in parents}

    @cached_property
    def _statements(self) -> dict[tuple[type[Record], Key], list[Record]]:
        found: dict[tuple[type[Record], Key], list[Record]] = defaultdict(list)
        for one in self.records:
            found[type(one), one.key].append(one)
        return dict(found)

    @cached_property
    def _timelines(self) -> dict[tuple[type[Record], Key], Timeline]:
        return {place: self._timeline_at(place, self.known_at) for place in self._statements}

    @cached_property
    def _links(self) -> dict[tuple[type[Record], str, str], tuple[Key, ...]]:
        """By kind, field and what it names: the keys of which any statement ever named it."""
        found: dict[tuple[type[Record], str, str], set[Key]] = defaultdict(set)
        for one in self.records:
            for name in _LINK_FIELDS.get(type(one), ()):
                target = getattr(one, name)
                if target is not None:
                    found[type(one), name, target].add(one.key)
        return {place: tuple(sorted(keys)) for place, keys in found.items()}

    def _timeline_at(self, place: tuple[type[Record], Key], known_at: datetime | None) -> Timeline:
        return timeline_of(
            one
            for one in self._statements.get(place, ())
            if known_at is None or one.recorded_at is None or one.recorded_at <= known_at
        )

    def _timeline(self, kind: type[Kind], key: Key, known_at: datetime | None) -> Timeline | None:
        if known_at is None or known_at == self.known_at:
            return self._timelines.get((kind, key))
        if self.known_at is not None:
            known_at = min(known_at, self.known_at)
        return self._timeline_at((kind, key), known_at)

    def _on(self, kind: type[Kind], key: Key, on: date, known_at: datetime | None) -> Kind | None:
        timeline = self._timeline(kind, key, known_at)
        found = None if timeline is None else timeline.on(on)
        return found if isinstance(found, kind) else None

    def _within(
        self, kind: type[Kind], key: Key, begin: date, end: date, known_at: datetime | None
    ) -> list[Kind]:
        timeline = self._timeline(kind, key, known_at)
        found: Sequence[Record] = () if timeline is None else timeline.within(begin, end)
        return [one for one in found if isinstance(one, kind)]

    def _last_within(
        self, kind: type[Kind], begin: date, end: date, known_at: datetime | None
    ) -> tuple[Kind, ...]:
        keys = sorted(key for one, key in self._statements if one is kind)
        held = (self._within(kind, key, begin, end, known_at) for key in keys)
        return tuple(found[-1] for found in held if found)

    def _those_on(
        self, kind: type[Kind], keys: Iterable[Key], on: date, known_at: datetime | None
    ) -> tuple[Kind, ...]:
        found = (self._on(kind, key, on, known_at) for key in sorted(keys))
        return tuple(one for one in found if one is not None)

    def _related(
        self, kind: type[Kind], name: str, target: str, on: date, known_at: datetime | None
    ) -> tuple[Kind, ...]:
        candidates = self._those_on(kind, self._links.get((kind, name, target), ()), on, known_at)
        return tuple(one for one in candidates if getattr(one, name) == target)


_LINK_FIELDS: dict[type[Record], tuple[str, ...]] = {
    Meter: ("parent_id", "facility_id"),
    Site: ("entity_id",),
    Ownership: ("entity_id", "parent_id"),
    Instrument: ("facility_id", "market"),
}
