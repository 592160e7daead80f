"""Period postings made anew: from the entries that stood when they were posted, by what was known.

Belongs here: the sums, the reference data and the certificates left to others at the moment of a
run, and the entry that follows. Does not: comparing (spark.reperform), the figures
(carbon_ledger.energy.period_postings).

A run reads while others write: what was recorded a moment before it may have come in too late for
it to see, what was recorded a moment after it just in time. A line that does not come out by what
was known at the run's own moment is therefore tried at those nearest to it. No wrong one can come
out so: its payload is the hash of a text that names every sum with the hash of its entries' ids.

That text says the set of potentials. What was posted before it did is tried with the set that the
line's figure is in, then with the others: set and remarks are in the hash of the entry.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from carbon_ledger.energy.period_postings import (
    MARKET,
    MeteredSum,
    PeriodLine,
    Periods,
    category3_of_days,
    market_of_year,
    written_basis,
)
from carbon_ledger.entries import EntryRow, entry_id, sealed
from carbon_ledger.errors import BrokenInvariant, CarbonError
from carbon_ledger.inventory import Inventory
from carbon_ledger.lineage.compare import Difference, differences
from carbon_ledger.policy import Policy
from carbon_ledger.posting import row_of_period
from carbon_ledger.store.period_postings import (
    Uses,
    charged_energy,
    charging_sums,
    instrument_uses,
    metered_sums,
    moments_near,
    period_bases,
    used_by_others,
)
from carbon_ledger.version import code_version
from spark.rejudge import RulesAsKnown

# The clock of the ledger counts microseconds: what is known just before a moment.
TICK: Final = timedelta(microseconds=1)
MISSING: Final = "(nothing)"
GWP_SET: Final = "gwp_set"
# Of a basis that came out otherwise, so many differences are told.
TOLD: Final = 20


@dataclass(frozen=True, kw_only=True)
class RemadePeriod:
    """A period posting made anew, and in what it and its basis differ from what is stored."""

    row: EntryRow
    differences: tuple[Difference, ...]


def remade_by_period(
    connection: Any, rules: RulesAsKnown, rows: Sequence[EntryRow]
) -> dict[UUID, RemadePeriod | CarbonError]:
    """Each period posting made anew, or why it cannot be."""
    runs: dict[tuple[datetime, int], list[EntryRow]] = defaultdict(list)
    for row in rows:
        runs[row.recorded_at, row.local_date.year].append(row)
    bases = period_bases(connection, rows)
    found: dict[UUID, RemadePeriod | CarbonError] = {}
    for (moment, year), some in sorted(runs.items()):
        run = _Run(connection=connection, rules=rules, year=year, moment=moment)
        found |= _of_run(run, some, bases)
    return found


def _of_run(
    run: _Run, rows: Sequence[EntryRow], bases: dict[bytes, str]
) -> dict[UUID, RemadePeriod | CarbonError]:
    found = {row.entry_id: _remade(run.as_known(run.moment), row, bases) for row in rows}
    left = [row for row in rows if not _is_equal(found[row.entry_id])]
    for known_at in moments_near(run.connection, run.year, run.moment) if left else ():
        view = run.as_known(known_at)
        for row in left:
            again = _remade(view, row, bases)
            if _is_equal(again):
                found[row.entry_id] = again
        left = [row for row in left if not _is_equal(found[row.entry_id])]
        if not left:
            break
    return found


def _is_equal(one: RemadePeriod | CarbonError) -> bool:
    return isinstance(one, RemadePeriod) and not one.differences


@dataclass(kw_only=True)
class _Run:
    """A run of a year: when it was, and what instruments stood as used before and after it."""

    connection: Any
    rules: RulesAsKnown
    year: int
    moment: datetime
    _uses: tuple[Uses, Uses] | None = None

    def as_known(self, known_at: datetime) -> _View:
        return _View(
            run=self, known_at=known_at, sums=metered_sums(self.connection, self.year, known_at)
        )

    def used_before(self, organization: str, others: set[str]) -> dict[str, Decimal]:
        """What others used when it was an organization's turn: of those that came before it (by
        name, `others` being all that had entries) by this run already.
        """
        if self._uses is None:
            self._uses = (
                instrument_uses(self.connection, self.year, self.moment - TICK),
                instrument_uses(self.connection, self.year, self.moment),
            )
        before, after = self._uses
        uses = dict(before)
        for name in others:
            if name < organization:
                uses[name, True] = after.get((name, True), {})
        return used_by_others(uses, (organization, True))


@dataclass(kw_only=True)
class _View:
    """What a run saw if it saw what was known at a moment, and what it would have posted."""

    run: _Run
    known_at: datetime
    sums: Sequence[MeteredSum]
    _made: dict[tuple[str, ...], Periods] = field(default_factory=dict)

    def periods(self, row: EntryRow, gwp_set: str) -> Periods:
        """The lines that the row must be among, if its run had this set of potentials."""
        if row.activity_ref.startswith(f"{MARKET}:"):
            key = (MARKET, row.organization_id, row.factor_release, gwp_set)
            if key not in self._made:
                self._made[key] = self._market(row, gwp_set)
            return self._made[key]
        day = [
            one
            for one in self.sums
            if (one.organization_id, one.facility_id, one.local_date, one.factor_release)
            == (row.organization_id, row.facility_id, row.local_date, row.factor_release)
        ]
        return category3_of_days(day, self._inventory(row, gwp_set))

    def sets(self, row: EntryRow) -> list[str]:
        """The sets of potentials that the row's release has, that of the row's figure first; the
        setting's where it has none.
        """
        rules = self.run.rules
        known = rules.book(row.factor_release).gwp.sets or [rules.settings["CARBON_GWP_SET"]]
        return sorted(known, key=lambda name: (name != row.gwp_set, name))

    def _market(self, row: EntryRow, gwp_set: str) -> Periods:
        members: dict[str, list[MeteredSum]] = defaultdict(list)
        for one in self.sums:
            if one.activity_type.partition(":")[0] != "fuel":
                members[one.organization_id].append(one)
        charging = charging_sums(self.run.connection, self.run.year, self.known_at)
        charged, _ = charged_energy(charging, self.run.rules.book, self.run.year)
        return market_of_year(
            row.organization_id,
            members[row.organization_id],
            self.run.year,
            self._inventory(row, gwp_set),
            used_before=self.run.used_before(row.organization_id, {*members, *charged}),
            charging=charged.get(row.organization_id, []),
        )

    def _inventory(self, row: EntryRow, gwp_set: str) -> Inventory:
        rules = self.run.rules
        return Inventory(
            book=rules.book(row.factor_release),
            now=self.run.moment,
            policy=Policy(gwp_set=gwp_set),
            register=rules.register(self.known_at),
        )


def _remade(view: _View, row: EntryRow, bases: dict[bytes, str]) -> RemadePeriod | CarbonError:
    """By the set of potentials that the posting says, or the first that it comes out with."""
    said = _said_set(bases.get(row.payload_sha256))
    first, *others = view.sets(row) if said is None else [said]
    found = _remade_by(view, row, bases, first, is_said=said is not None)
    for gwp_set in others:
        if _is_equal(found):
            break
        again = _remade_by(view, row, bases, gwp_set, is_said=False)
        if _is_equal(again):
            found = again
    return found


def _said_set(basis: str | None) -> str | None:
    said = None if basis is None else json.loads(basis).get(GWP_SET)
    return None if said is None else str(said)


def _as_unsaid(one: PeriodLine) -> PeriodLine:
    """The line with its basis as it was written before it said the set of potentials."""
    content = json.loads(one.basis_text)
    del content[GWP_SET]
    return replace(one, basis_text=written_basis(content))


def _remade_by(
    view: _View, row: EntryRow, bases: dict[bytes, str], gwp_set: str, *, is_said: bool
) -> RemadePeriod | CarbonError:
    try:
        periods = view.periods(row, gwp_set)
    except CarbonError as error:
        return error
    lines = [
        one if is_said else _as_unsaid(one)
        for one in periods.lines
        if (one.activity_ref, one.line_no) == (row.activity_ref, row.line_no)
    ]
    # Days of one site and factor under two places have one name: the basis tells them apart.
    lines.sort(key=lambda one: one.basis_sha256 != row.payload_sha256)
    if not lines:
        told = [f"{one.code}: {one.reason}" for one in periods.not_posted if one.is_fault]
        return BrokenInvariant(
            "line_unknown",
            f"what stood at {view.known_at.isoformat()} gives no line {row.line_no} of "
            f"{row.activity_ref}" + "".join(f"; {one}" for one in told),
        )
    remade = _entry(lines[0], row)
    told = [*differences(row, remade), *_basis_differences(row, lines[0], bases)]
    return RemadePeriod(row=remade, differences=tuple(told))


def _entry(one: PeriodLine, row: EntryRow) -> EntryRow:
    made = row_of_period(
        one,
        event_id=row.event_id,
        recorded_at=row.recorded_at,
        release_id=row.factor_release,
        code_version=code_version(),
    )
    number = entry_id(row.event_id, one.line_no, made.occurred_to)
    return sealed(replace(made, entry_id=number))


def _basis_differences(
    row: EntryRow, line: PeriodLine, bases: dict[bytes, str]
) -> list[Difference]:
    """In what a line rests on something else than is stored, value by value."""
    stored = bases.get(row.payload_sha256)
    if stored is None:
        return [Difference(field="basis", stored=None, remade=line.basis_text)]
    if stored == line.basis_text:
        return []
    one, other = (dict(_values("basis", json.loads(text))) for text in (stored, line.basis_text))
    return [
        Difference(field=name, stored=one.get(name, MISSING), remade=other.get(name, MISSING))
        for name in sorted(one.keys() | other.keys())
        if one.get(name, MISSING) != other.get(name, MISSING)
    ][:TOLD]


def _values(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every value in a JSON document, with the way to it."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _values(f"{name}.{key}", one)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _values(f"{name}[{place}]", one)
    else:
        yield name, str(value)
