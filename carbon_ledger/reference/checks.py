"""What must hold between reference records: references, trees, validity, shares, serial numbers.

Belongs here: pure functions from records to everything that is wrong with them. Does not: a
record's own fields (carbon_ledger.reference.records), what a file would change
(carbon_ledger.reference.changes).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Final

from carbon_ledger.organisation.fiscal_year import JANUARY
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.files import Fault, Stated
from carbon_ledger.reference.instruments import CERTIFICATES, Instrument
from carbon_ledger.reference.records import Disclosure, Entity, Meter, Ownership, Site
from carbon_ledger.reference.register import (
    PARENT,
    Key,
    Register,
    Timeline,
    is_older,
    timeline_of,
)

# (kind, field): the kind of what the field names, by the whole of its key.
REFERENCES: Final[dict[tuple[str, str], str]] = {
    ("ownership", "entity_id"): "entity",
    ("ownership", "parent_id"): "entity",
    ("site", "entity_id"): "entity",
    ("meter", "facility_id"): "site",
    ("meter", "parent_id"): "meter",
    ("vehicle", "entity_id"): "entity",
    ("vehicle", "facility_id"): "site",
    ("supplier", "entity_id"): "entity",
    ("supplier_item", "supplier_id"): "supplier",
    ("instrument", "facility_id"): "site",
    ("revenue", "entity_id"): "entity",
    ("budget", "entity_id"): "entity",
    ("budget", "facility_id"): "site",
    ("expected_source", "facility_id"): "site",
    ("control_total", "facility_id"): "site",
}
# Entities that are in an inventory only through somebody's stake in them.
OWNED_KINDS: Final = ("subsidiary", "associate", "joint_venture", "joint_operation")
FIRST_MONTH: Final = "fiscal_year_first_month"
# What a generator behind the meter makes is part of the electricity's tree.
_TREE_OF: Final = {"solar": "electricity"}

Place = tuple[str, Key, date]


def place_of(record: Record) -> Place:
    """What makes two statements versions of one: kind, key and begin of validity."""
    return record.KIND, record.key, record.valid_from


def latest(statements: Iterable[Record]) -> dict[Place, Record]:
    """Of each place the statement recorded last (of those without a moment, the last given)."""
    found: dict[Place, Record] = {}
    for one in statements:
        earlier = found.get(place_of(one))
        if earlier is None or not is_older(one, earlier):
            found[place_of(one)] = one
    return found


@dataclass(frozen=True, kw_only=True)
class _World:
    """The statements that hold together, with lookup among them; none is there twice."""

    held: tuple[Stated, ...]
    timelines: dict[tuple[str, Key], Timeline]
    register: Register

    @classmethod
    def of(cls, stated: Iterable[Stated]) -> _World:
        places = {place_of(one.record): one for one in stated}
        held = tuple(one for one in places.values() if one.record.valid_to != one.record.valid_from)
        by_key: dict[tuple[str, Key], list[Record]] = defaultdict(list)
        for one in held:
            # What is stored is older than what is stated now, and here it is all the same.
            by_key[one.record.KIND, one.record.key].append(replace(one.record, recorded_at=None))
        return cls(
            held=held,
            timelines={place: timeline_of(records) for place, records in by_key.items()},
            register=Register(records=tuple(one for some in by_key.values() for one in some)),
        )

    def of_kind(self, kind: type[Record]) -> Iterator[Stated]:
        return (one for one in self.held if isinstance(one.record, kind))

    def span(self, record: Record) -> tuple[date, date]:
        """The days a statement holds, `[begin, end)`: to the next about its key, or for good."""
        found = self.timelines[record.KIND, record.key].on(record.valid_from)
        end = None if found is None else found.valid_to
        return record.valid_from, end or date.max

    def turns(self, record: Record, *others: tuple[str, Key]) -> list[date]:
        """The days of a statement on which it, or something about the others, begins or ends."""
        begin, end = self.span(record)
        days = {begin}
        for place in others:
            if place in self.timelines:
                for one in self.timelines[place].records:
                    days |= {one.valid_from, one.valid_to or end}
        return sorted(day for day in days if begin <= day < end)


def faults_of(stated: Sequence[Stated], stored: Iterable[Record] = ()) -> tuple[Fault, ...]:
    """Everything wrong between the records of a file, taken together with those that are stored.

    What was wrong among the stored ones already is not repeated. Codes: `stated_twice`,
    `overlapping_validity`, `unknown_reference`, `reference_not_in_force`, `entity_cycle`,
    `meter_cycle`, `owner_missing`, `shares_over_one`, `controlled_twice`,
    `meter_of_another_entity`, `carrier_differs_from_parent`, `serial_used_twice`,
    `unknown_market`, `fiscal_year_changes`, `not_a_year`.
    """
    old = [Stated(record=one) for one in latest(stored).values()]
    known = {_identity(one) for one in _faults_between(old)} if old else set()
    found = [
        *_stated_twice(stated),
        *(one for one in _faults_between([*old, *stated]) if _identity(one) not in known),
    ]
    order = {file: place for place, file in enumerate(dict.fromkeys(one.file for one in stated))}
    return tuple(sorted(found, key=lambda one: (order.get(one.file, -1), one.row or 0)))


def _identity(fault: Fault) -> tuple[object, ...]:
    return fault.kind, fault.code, fault.field, fault.value, fault.message


def _faults_between(stated: Iterable[Stated]) -> Iterator[Fault]:
    world = _World.of(stated)
    for check in _CHECKS:
        yield from check(world)


def _fault(one: Stated, code: str, field: str, message: str, valid: str) -> Fault:
    value = getattr(one.record, field)
    about = " ".join(part for part in one.record.key if part)
    return Fault(
        file=one.file,
        row=one.row,
        kind=one.record.KIND,
        field=field,
        value=None if value is None else str(value),
        code=code,
        message=f"{field}: {about} {message}",
        valid=valid,
    )


def _stated_twice(stated: Iterable[Stated]) -> Iterator[Fault]:
    first: dict[Place, Stated] = {}
    for one in stated:
        earlier = first.setdefault(place_of(one.record), one)
        if earlier is not one:
            message = f"is stated from {one.record.valid_from} in {earlier.file}:{earlier.row} too"
            yield _fault(one, "stated_twice", "valid_from", message, "one statement of each begin")


def _overlaps(world: _World) -> Iterator[Fault]:
    """An end that is stated does not lie beyond the next begin."""
    by_key: dict[tuple[str, Key], list[Stated]] = defaultdict(list)
    for one in world.held:
        by_key[one.record.KIND, one.record.key].append(one)
    for versions in by_key.values():
        versions.sort(key=lambda one: one.record.valid_from)
        for one, following in pairwise(versions):
            end, begin = one.record.valid_to, following.record.valid_from
            if end is not None and end > begin:
                message = f"from {one.record.valid_from} to {end} overlaps what begins on {begin}"
                valid = f"an end of {begin} or earlier, or none"
                yield _fault(one, "overlapping_validity", "valid_to", message, valid)


def _references(world: _World) -> Iterator[Fault]:
    """What a record names holds for as long as the record does."""
    for (kind, field), target in REFERENCES.items():
        for one in world.held:
            name = getattr(one.record, field) if one.record.KIND == kind else None
            if name is None:
                continue
            timeline = world.timelines.get((target, (name,)))
            if timeline is None:
                message = f"names {target} {name}, of which nothing is stated"
                valid = f"a {target} that is stated, here or in the database"
                yield _fault(one, "unknown_reference", field, message, valid)
                continue
            gap = _first_gap(timeline, *world.span(one.record))
            if gap is not None:
                message = f"from {one.record.valid_from} names {target} {name}, not held on {gap}"
                valid = f"validity within that of {target} {name}"
                yield _fault(one, "reference_not_in_force", field, message, valid)


def _first_gap(timeline: Timeline, begin: date, end: date) -> date | None:
    """The first day of `[begin, end)` on which nothing holds."""
    day = begin
    while day < end:
        held = timeline.on(day)
        if held is None:
            return day
        day = held.valid_to or date.max
    return None


def _cycles(world: _World) -> Iterator[Fault]:
    """Nobody is above himself: a circle is closed on the day one of its parts begins."""
    register = world.register

    def meters_above(meter_id: str, day: date) -> list[str]:
        meter = register.meter(meter_id, day)
        return [] if meter is None or meter.parent_id is None else [meter.parent_id]

    def owners_above(entity_id: str, day: date) -> list[str]:
        return [one.parent_id for one in register.owners_of(entity_id, day)]

    seen: set[tuple[str, frozenset[str]]] = set()
    for one in world.held:
        record = one.record
        above: Callable[[str, date], list[str]]
        if isinstance(record, Meter):
            kind, name, above = "meter", record.meter_id, meters_above
        elif isinstance(record, Ownership):
            kind, name, above = "entity", record.entity_id, owners_above
        else:
            continue
        circle = _circle(name, record.valid_from, above)
        if circle and (kind, frozenset(circle)) not in seen:
            seen.add((kind, frozenset(circle)))
            path = " below ".join([*circle, circle[0]])
            message = f"closes a circle on {record.valid_from}: {path}"
            yield _fault(one, f"{kind}_cycle", "parent_id", message, "a parent outside the circle")


def _circle(start: str, day: date, above: Callable[[str, date], list[str]]) -> list[str]:
    """The way from `start` upwards back to itself, or nothing."""
    came_from: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        for parent in above(name, day):
            if parent == start:
                path = [name]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if parent not in came_from:
                came_from[parent] = name
                waiting.append(parent)
    return []


def _owners(world: _World) -> Iterator[Fault]:
    """What is owned has an owner on its first day."""
    for one in world.of_kind(Entity):
        record = one.record
        if isinstance(record, Entity) and record.kind in OWNED_KINDS:
            if not world.register.owners_of(record.entity_id, record.valid_from):
                message = f"is a {record.kind} from {record.valid_from}, but nobody's"
                valid = "a statement of ownership from that day on, with its equity share"
                yield _fault(one, "owner_missing", "kind", message, valid)


def _shares(world: _World) -> Iterator[Fault]:
    """Stakes in an entity add up to no more than all of it, and one parent controls it."""
    for one in world.of_kind(Ownership):
        record = one.record
        if not isinstance(record, Ownership):
            continue
        # Every excess begins with the stake that makes it one.
        day = record.valid_from
        stakes = world.register.owners_of(record.entity_id, day)
        total = sum((stake.equity_share for stake in stakes), Fraction(0))
        if total > 1:
            message = f"brings the shares on {day} to {total}"
            valid = f"at most {1 - total + record.equity_share} beside the others"
            yield _fault(one, "shares_over_one", "equity_share", message, valid)
        for control in ("financial_control", "operational_control"):
            holders = [stake.parent_id for stake in stakes if getattr(stake, control)]
            if getattr(record, control) and len(holders) > 1:
                message = f"is controlled on {day} by {' and by '.join(holders)}"
                valid = "one parent with control; joint control is none for each"
                yield _fault(one, "controlled_twice", control, message, valid)


def _meter_trees(world: _World) -> Iterator[Fault]:
    """A meter and the one above count the same carrier for the same entity."""
    for one in world.of_kind(Meter):
        record = one.record
        if not isinstance(record, Meter) or record.parent_id is None:
            continue
        above = ("meter", (record.parent_id,))
        facilities = (
            {
                (meter.facility_id,)
                for meter in world.timelines[above].records
                if isinstance(meter, Meter)
            }
            if above in world.timelines
            else set()
        )
        sites = [("site", key) for key in ((record.facility_id,), *sorted(facilities))]
        for day in world.turns(record, above, *sites):
            parent = world.register.meter(record.parent_id, day)
            if parent is None:
                continue
            fault = _other_carrier(one, record, parent) or _other_entity(
                one, record, parent, world.register, day
            )
            if fault is not None:
                yield fault
                break


def _other_carrier(one: Stated, meter: Meter, parent: Meter) -> Fault | None:
    trees = [_TREE_OF.get(each.carrier, each.carrier) for each in (meter, parent)]
    if trees[0] == trees[1]:
        return None
    message = f"counts {meter.carrier}, the meter above ({parent.meter_id}) {parent.carrier}"
    return _fault(one, "carrier_differs_from_parent", "carrier", message, f"{parent.carrier}")


def _other_entity(
    one: Stated, meter: Meter, parent: Meter, register: Register, day: date
) -> Fault | None:
    site, above = register.site(meter.facility_id, day), register.site(parent.facility_id, day)
    if site is None or above is None or _owner(site) == _owner(above):
        return None
    message = (
        f"belongs to {_owner(site)} (site {site.facility_id}), the meter above "
        f"({parent.meter_id}) to {_owner(above)} (site {above.facility_id}) on {day}"
    )
    valid = "a parent at a site of the same entity; a tenant's meter is a main meter of its own"
    return _fault(one, "meter_of_another_entity", "parent_id", message, valid)


def _owner(site: Site) -> str:
    return site.entity_id or f"organization {site.organization_id}"


def _serials(world: _World) -> Iterator[Fault]:
    """A certificate is claimed once: its serial number stands in one instrument."""
    series: dict[tuple[str, int], list[tuple[int, int, Stated]]] = defaultdict(list)
    for one in world.of_kind(Instrument):
        record = one.record
        if isinstance(record, Instrument) and record.kind in CERTIFICATES and record.serials:
            prefix, digits, first, last = record.serials
            series[prefix, digits].append((first, last, one))
    for numbers in series.values():
        # Of the ones before, the furthest reaching, and the furthest of any other instrument.
        reaching: list[tuple[int, Stated]] = []
        for first, last, one in sorted(numbers, key=lambda each: each[:2]):
            for end, other in reaching:
                if end >= first and other.record.key != one.record.key:
                    message = f"has serial numbers of {other.record.key[0]}"
                    yield _fault(
                        one, "serial_used_twice", "serial_no", message, "numbers of its own"
                    )
                    break
            reaching = _furthest_two([(last, one), *reaching])


def _furthest_two(reaching: list[tuple[int, Stated]]) -> list[tuple[int, Stated]]:
    """The furthest end, and the furthest of another instrument than that one's."""
    reaching.sort(key=lambda each: each[0], reverse=True)
    others = [each for each in reaching[1:] if each[1].record.key != reaching[0][1].record.key]
    return [reaching[0], *others[:1]]


def _markets(world: _World) -> Iterator[Fault]:
    """A market is one that a site is in."""
    sites = [one.record for one in world.of_kind(Site)]
    markets = {one.market or one.country_iso2 for one in sites if isinstance(one, Site)}
    for one in world.of_kind(Instrument):
        record = one.record
        if isinstance(record, Instrument) and record.facility_id is None:
            if record.market not in markets:
                message = f"is for market {record.market}, in which there is no site"
                valid = ", ".join(sorted(markets)) or "the market, or else country, of a site"
                yield _fault(one, "unknown_market", "market", message, valid)


def _fiscal_years(world: _World) -> Iterator[Fault]:
    """An organization's fiscal years begin in one month, for all its parents and all days: a year
    that is longer or shorter than twelve months is not known here.
    """
    parents: dict[str, list[tuple[Stated, Entity]]] = defaultdict(list)
    for one in world.of_kind(Entity):
        if isinstance(one.record, Entity) and one.record.kind == PARENT:
            parents[one.record.organization_id].append((one, one.record))
    for organization, stated in sorted(parents.items()):
        # What is stored comes first, and is what a file has to agree with.
        stated.sort(key=lambda each: (each[0].row is not None, each[1].valid_from))
        first = stated[0][1]
        month = first.fiscal_year_first_month or JANUARY
        for one, record in stated[1:]:
            if (record.fiscal_year_first_month or JANUARY) != month:
                message = (
                    f"from {record.valid_from} has fiscal years of {organization} begin in month "
                    f"{record.fiscal_year_first_month or JANUARY}, {first.entity_id} from "
                    f"{first.valid_from} in month {month}"
                )
                valid = (
                    f"{month}, or the new month in every statement about a parent of {organization}"
                )
                yield _fault(one, "fiscal_year_changes", FIRST_MONTH, message, valid)


def _changes_of_a_year(world: _World) -> Iterator[Fault]:
    """A change against the year before is of a fiscal year of its organization."""
    for one in world.of_kind(Disclosure):
        record = one.record
        if not isinstance(record, Disclosure) or record.subject != "emissions_change":
            continue
        month = world.register.first_month(record.organization_id)
        if record.valid_from.month != month:
            message = f"begins on {record.valid_from}, and fiscal years in month {month}"
            valid = f"the first of month {month} to that of the next year"
            yield _fault(one, "not_a_year", "valid_from", message, valid)


_CHECKS: Final[tuple[Callable[[_World], Iterator[Fault]], ...]] = (
    _overlaps,
    _references,
    _cycles,
    _owners,
    _shares,
    _meter_trees,
    _serials,
    _markets,
    _fiscal_years,
    _changes_of_a_year,
)
