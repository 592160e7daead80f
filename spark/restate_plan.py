"""The plan of a restatement: entries computed anew from the archived records, month by month.

Belongs here: from candidates through the archive to the lines of a month. Does not: which may
change (carbon_ledger.restatement_reach), previews and postings (spark.restate). No JVM, no Kafka,
no registry.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.places import Rules
from carbon_ledger.restatement import (
    Cause,
    LineChange,
    Target,
    digest_line,
    digest_of_lines,
    line_changes,
    restated,
)
from carbon_ledger.restatement_effects import (
    Effects,
)
from carbon_ledger.restatement_reach import Reach, boundary_reach, factor_reach, has_gases
from carbon_ledger.settings import Settings
from carbon_ledger.store.factors import read_release
from carbon_ledger.store.lineage import PostedPart, posted_parts
from carbon_ledger.store.reference import read_statements
from carbon_ledger.store.restatements import (
    Candidate,
    PlannedLine,
    PlannedMonth,
    RulesKept,
    candidates,
    line_numbers,
    release_months,
)
from carbon_ledger.store.rows import next_corrections
from carbon_ledger.version import code_version
from spark.rejudge import RulesAsKnown, rejudge

Lines = dict[int, EntryRow]
Place = tuple[str, int, int]
# Which event id a new line gets: of (entry taken back, line number, activity).
Naming = Mapping[tuple[UUID | None, int, str], str]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a restatement looks at: the change, local dates [first_date, end_date), entries recorded
    up to `known_at`.
    """

    target: Target
    first_date: date
    end_date: date
    known_at: datetime


@dataclass(frozen=True, kw_only=True)
class MonthPlan:
    """What a restatement does to a month: its lines in order, and what could not be recomputed.

    `refused` counts entries whose record the new rules refuse, by reason: they stay as they are.
    """

    planned: PlannedMonth
    lines: tuple[PlannedLine, ...]
    refused: Counter[str]
    not_recomputable: int


@dataclass(kw_only=True)
class _Group:
    """Records of one part that were posted with the same rules: offset to the standing lines."""

    part: PostedPart
    release_id: str
    kept: RulesKept | None
    standing: dict[int, Lines] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Judged:
    """A group's records by its rules and after each cause; None: no need, the entries say it."""

    baseline: dict[int, Lines] | None
    stages: list[tuple[Cause, dict[int, Lines]]]
    refused: dict[int, str]
    kept: RulesKept


class Restater:
    """Computes months of one restatement; reads releases, reference data and parts once.

    `connection` is the writer's, in autocommit mode.
    """

    def __init__(self, connection: Any, settings: Settings, scope: Scope) -> None:
        self._connection = connection
        self._archive_url = settings.archive_url
        self._rules = RulesAsKnown(
            connection=connection, archive_url=settings.archive_url, settings=settings
        )
        self._parts: dict[Place, list[PostedPart]] = {}
        self.scope = scope
        self.months = release_months(connection, scope.first_date, scope.end_date, scope.known_at)
        self._reach = self._reach_of(
            sorted({one for names in self.months.values() for one in names})
        )

    @property
    def from_releases(self) -> tuple[str, ...]:
        """Releases that entries of the span name."""
        return tuple(sorted({one for names in self.months.values() for one in names}))

    def _reach_of(self, releases: Sequence[str]) -> Reach:
        target = self.scope.target
        factors, weighable = [], set()
        if target.release_id is not None:
            new = read_release(self._connection, target.release_id)
            for name in releases:
                if name != target.release_id:
                    found = factor_reach(read_release(self._connection, name), new)
                    factors.append(found)
        if target.gwp_set is not None:
            for name in {*releases, target.release_id or releases[0]} if releases else ():
                rows = self._rules.book(name).rows
                weighable |= {row.factor_id for row in rows if has_gases(row)}
        boundary = boundary_reach(
            read_statements(self._connection) if target.reference_as_of is not None else ()
        )
        return Reach(
            factors=tuple(one for one in factors if not one.is_empty),
            gwp_set=target.gwp_set,
            gwp_factor_ids=tuple(sorted(weighable)),
            reference_as_of=target.reference_as_of,
            boundary=boundary,
            max_vintage_gap_years=target.max_vintage_gap_years,
            other_code_than=code_version() if target.recompute else None,
        )

    def plan(self, month: date, cause: str, naming: Naming | Numbers) -> MonthPlan:
        """What the restatement does to a month; `naming` gives the new lines their event ids.

        Raises BrokenInvariant if a part of the archive is missing or altered, KeyError if a line
        has no name in a `naming` that is a mapping.
        """
        scope = self.scope
        found = candidates(
            self._connection,
            month,
            self._reach,
            first_date=scope.first_date,
            end_date=scope.end_date,
            known_at=scope.known_at,
        )
        refused: Counter[str] = Counter()
        changes: list[tuple[LineChange, RulesKept]] = []
        judged = [(group, self._judge(group)) for group in self._groups(found)]
        already = self._settled(month, judged)
        for group, result in judged:
            for offset, standing in sorted(group.standing.items()):
                if offset in result.refused:
                    refused[result.refused[offset]] += len(standing)
                    continue
                settled = already.get((*_place(group.part), offset), set())
                base = standing if result.baseline is None else result.baseline.get(offset, {})
                stages = [(name, rows.get(offset, {})) for name, rows in result.stages]
                for change in line_changes(
                    standing,
                    base,
                    stages,
                    settled=settled - set(standing),
                    recompute=scope.target.recompute,
                ):
                    # A further line of another month is that month's, where it is known whether
                    # it stands.
                    new = change.new if change.old is None else None
                    if new is None or new.activity_month == month:
                        changes.append((change, result.kept))
        return month_plan(
            month,
            self._named(changes, cause, naming),
            refused,
            sum(1 for one in found if not one.is_recomputable),
        )

    def _groups(self, found: Iterable[Candidate]) -> list[_Group]:
        groups: dict[tuple[int, str, int, str, RulesKept | None], _Group] = {}
        for one in found:
            if not one.is_recomputable:
                continue
            row = one.row
            part = self._part_of(row)
            key = (
                part.kafka_partition,
                part.topic,
                part.start_offset,
                f"{part.topic_incarnation}/{row.factor_release}",
                one.kept,
            )
            group = groups.setdefault(
                key, _Group(part=part, release_id=row.factor_release, kept=one.kept)
            )
            group.standing.setdefault(row.kafka_offset or 0, {})[row.line_no] = row
        return list(groups.values())

    def _part_of(self, row: EntryRow) -> PostedPart:
        place = (row.topic or "", row.topic_incarnation or 0, row.kafka_partition or 0)
        parts = self._parts.get(place)
        if parts is None:
            parts = sorted(
                posted_parts(
                    self._connection,
                    topic=place[0],
                    topic_incarnation=place[1],
                    kafka_partition=place[2],
                ),
                key=lambda part: part.start_offset,
            )
            self._parts[place] = parts
        offset = row.kafka_offset or 0
        number = bisect_right(parts, offset, key=lambda part: part.start_offset) - 1
        if number < 0 or parts[number].end_offset <= offset:
            raise BrokenInvariant(
                "part_missing", f"no account holds offset {offset} of {place}, of {row.entry_id}"
            )
        return parts[number]

    def _judge(self, group: _Group) -> _Judged:
        rules = self._rules.of(group.part, factor_release=group.release_id)
        known_at = group.part.recorded_at
        if group.kept is not None:
            kept, known_at = group.kept, group.kept.reference_known_at
            rules = replace(
                rules,
                policy=replace(
                    rules.policy,
                    gwp_set=kept.gwp_set,
                    max_vintage_gap_years=kept.max_vintage_gap_years,
                ),
                register=self._rules.register(known_at),
            )
        versions = {row.code_version for rows in group.standing.values() for row in rows.values()}
        refused: dict[int, str] = {}
        baseline = None
        if versions != {code_version()}:
            baseline = self._rows(group, rules, refused)
        stages: list[tuple[Cause, dict[int, Lines]]] = []
        for cause in self.scope.target.causes:
            after, known_at = self._after(cause, rules, known_at)
            if after is rules and (stages or baseline is not None):
                rows = stages[-1][1] if stages else baseline or {}
            else:
                rows = self._rows(group, after, refused)
            stages.append((cause, rows))
            rules = after
        policy = rules.policy
        return _Judged(
            baseline=baseline,
            stages=stages,
            refused=refused,
            kept=RulesKept(
                gwp_set=policy.gwp_set,
                max_vintage_gap_years=policy.max_vintage_gap_years,
                reference_known_at=known_at,
            ),
        )

    def _after(self, cause: Cause, rules: Rules, known_at: datetime) -> tuple[Rules, datetime]:
        """The rules with one more cause applied, and the moment of their reference data."""
        target = self.scope.target
        if cause == "factor_release" and target.release_id is not None:
            return replace(rules, book=self._rules.book(target.release_id)), known_at
        if cause == "gwp_set" and target.gwp_set is not None:
            return replace(rules, policy=replace(rules.policy, gwp_set=target.gwp_set)), known_at
        if cause == "boundary" and target.reference_as_of is not None:
            moment = target.reference_as_of
            return replace(rules, register=self._rules.register(moment)), moment
        if target.max_vintage_gap_years is not None:
            policy = replace(rules.policy, max_vintage_gap_years=target.max_vintage_gap_years)
            return replace(rules, policy=policy), known_at
        return rules, known_at

    def _rows(self, group: _Group, rules: Rules, refused: dict[int, str]) -> dict[int, Lines]:
        found: dict[int, Lines] = {}
        offsets = group.standing.keys() - refused.keys()
        for one in rejudge(self._connection, self._archive_url, group.part, rules, offsets):
            if one.refusal is not None:
                refused[one.kafka_offset] = one.refusal.code
            else:
                found[one.kafka_offset] = {row.line_no: row for row in one.rows}
        missing = offsets - found.keys() - refused.keys()
        if missing:
            raise BrokenInvariant(
                "archive_incomplete",
                f"{group.part.archive_object} lacks offset {min(missing)}, which has entries",
            )
        return found

    def _settled(
        self, month: date, judged: Sequence[tuple[_Group, _Judged]]
    ) -> dict[tuple[str, int, int, int], set[int]]:
        """Of records that give more lines than are candidates: the numbers of the lines they have
        in the ledger already. They stand by rules of their own, or no longer.
        """
        wanted = set()
        for group, result in judged:
            for offset, standing in group.standing.items():
                final = result.stages[-1][1].get(offset, {})
                if final.keys() - standing.keys():
                    wanted.add((*_place(group.part), offset))
        return line_numbers(self._connection, month, wanted)

    def _named(
        self,
        changes: Sequence[tuple[LineChange, RulesKept]],
        cause: str,
        naming: Naming | Numbers,
    ) -> list[PlannedLine]:
        refs = {change.new.activity_ref for change, _ in changes if change.new is not None}
        if isinstance(naming, Numbers):
            naming.reserve(self._connection, refs)
        lines = []
        for change, kept in changes:
            new = change.new
            if new is not None:
                old_id = None if change.old is None else change.old.entry_id
                event_id = naming[old_id, new.line_no, new.activity_ref]
                new = restated(new, event_id, cause)
            lines.append(PlannedLine(change=change, new=new, kept=kept))
        return lines


class Numbers:
    """Numbers for the corrections of activities, each used once in a preview."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def reserve(self, connection: Any, refs: Iterable[str]) -> None:
        """Looks up the first free number of activities not met yet."""
        unknown = set(refs) - self._next.keys()
        if unknown:
            self._next.update(next_corrections(connection, unknown))

    def __getitem__(self, key: tuple[UUID | None, int, str]) -> str:
        ref = key[2]
        number = self._next[ref]
        self._next[ref] = number + 1
        return f"{ref}#c{number}"


def _place(part: PostedPart) -> Place:
    return part.topic, part.topic_incarnation, part.kafka_partition


def month_plan(
    month: date, lines: Sequence[PlannedLine], refused: Counter[str], not_recomputable: int
) -> MonthPlan:
    effects = Effects()
    for line in lines:
        effects.add(line.change)
    planned = PlannedMonth(
        month=month,
        entries=len(lines),
        delta_kgco2e=effects.delta,
        digest=digest_of_lines(digest_line(line.change.old, line.new) for line in lines),
    )
    return MonthPlan(
        planned=planned, lines=tuple(lines), refused=refused, not_recomputable=not_recomputable
    )
