"""Entries computed again from archived bytes, writer schema and factor rows, and compared.

Belongs here: finding each entry's record, and the verdict. Does not: the rules (judged again by
spark.rejudge), which entries to take (carbon_ledger.lineage.sampling), printing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any, Final, Literal
from uuid import UUID

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant, CarbonError
from carbon_ledger.lineage.compare import (
    Difference,
    differences,
    one_of,
    reversal_differences,
)
from carbon_ledger.posting import is_cancellation
from carbon_ledger.settings import Settings
from carbon_ledger.store.lineage import (
    PostedOtherwise,
    PostedPart,
    entries_by_key,
    kinds_of_no_part,
    posted_parts,
)
from spark.rejudge import Rejudged, RulesAsKnown, rejudge
from spark.reperform_period import RemadePeriod, remade_by_period
from spark.reperform_restated import remade_by_restatement

Kind = Literal["record", "reversal", "by_hand", "restatement", "supersession", "period"]
Verdict = Literal["equal", "differs", "failed", "by_hand", "not_reperformed"]
CHUNK: Final = 20_000
_Place = tuple[str, int, int]
_RecordKey = tuple[_Place, int]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one entry.

    `differs`: it came out otherwise, see `differences`. `failed`: it cannot be computed, see `code`
    and `reason`. `by_hand`: no record says it, but a person, whose `reason` the ledger has.
    `not_reperformed`: its kind is not computed from one record. `is_other_code`: the figure was
    posted by another version of the code.
    """

    entry_id: UUID
    activity_month: date
    event_id: str
    kind: Kind
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    code: str = ""
    reason: str = ""
    is_other_code: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to look at it."""
        return self.verdict in ("differs", "failed")


@dataclass(kw_only=True)
class Reperformer:
    """Computes entries again; parts, books and registers are read once.

    `connection` may be any role that reads everything; `settings` are asked for the policy of parts
    that do not say their own.
    """

    connection: Any
    archive_url: str
    settings: Settings
    _starts: dict[_Place, tuple[list[int], list[PostedPart]]] = field(default_factory=dict)
    _kinds: dict[UUID, PostedOtherwise] = field(default_factory=dict)
    _restated: dict[UUID, EntryRow | CarbonError] = field(default_factory=dict)
    _periods: dict[UUID, RemadePeriod | CarbonError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        by_place: dict[_Place, list[PostedPart]] = defaultdict(list)
        for part in posted_parts(self.connection):
            by_place[part.topic, part.topic_incarnation, part.kafka_partition].append(part)
        for place, parts in by_place.items():
            parts.sort(key=lambda part: part.start_offset)
            self._starts[place] = ([part.start_offset for part in parts], parts)
        self._kinds = kinds_of_no_part(self.connection)
        self._rules = RulesAsKnown(
            connection=self.connection, archive_url=self.archive_url, settings=self.settings
        )

    def outcomes(self, rows: Iterable[EntryRow]) -> Iterator[Outcome]:
        """One outcome per entry, in the order of the entries. Raises Unavailable only."""
        source = iter(rows)
        while chunk := list(islice(source, CHUNK)):
            yield from self._chunk(chunk)

    def _chunk(self, rows: Sequence[EntryRow]) -> Iterator[Outcome]:
        known = {row.entry_id: row for row in rows}
        missing = [
            (row.reverses_id, row.activity_month)
            for row in rows
            if row.reverses_id is not None and row.reverses_id not in known
        ]
        known |= entries_by_key(self.connection, missing)
        wanted: dict[_Place, set[int]] = defaultdict(set)
        for row in known.values():
            key = record_key(row)
            if key is not None:
                wanted[key[0]].add(key[1])
        judged = self._judged(wanted)
        restated = [row for row in known.values() if self.kind_of(row) == "restatement"]
        if restated:
            self._restated |= remade_by_restatement(
                self.connection, self.archive_url, self._rules, restated, self._part_of
            )
        periods = [row for row in known.values() if self.kind_of(row) == "period"]
        if periods:
            self._periods |= remade_by_period(self.connection, self._rules, periods)
        for row in rows:
            yield self._outcome(row, known, judged)
        self._restated.clear()
        self._periods.clear()

    def _part_of(self, row: EntryRow) -> PostedPart | None:
        key = record_key(row)
        number = None if key is None else self._part_number(*key)
        return None if key is None or number is None else self._starts[key[0]][1][number]

    def _judged(self, wanted: dict[_Place, set[int]]) -> dict[_RecordKey, Rejudged | CarbonError]:
        found: dict[_RecordKey, Rejudged | CarbonError] = {}
        for place, offsets in wanted.items():
            by_part: dict[int, list[int]] = defaultdict(list)
            for offset in sorted(offsets):
                number = self._part_number(place, offset)
                if number is None:
                    found[place, offset] = BrokenInvariant(
                        "part_missing", f"no committed part holds {_record_name(place, offset)}"
                    )
                else:
                    by_part[number].append(offset)
            for number, some in by_part.items():
                self._judge_part(self._starts[place][1][number], place, some, found)
        return found

    def _part_number(self, place: _Place, offset: int) -> int | None:
        starts, parts = self._starts.get(place, ([], []))
        number = bisect_right(starts, offset) - 1
        return number if number >= 0 and offset < parts[number].end_offset else None

    def _judge_part(
        self,
        part: PostedPart,
        place: _Place,
        offsets: list[int],
        found: dict[_RecordKey, Rejudged | CarbonError],
    ) -> None:
        left = list(offsets)
        while left:
            before = len(left)
            try:
                rules = self._rules.of(part)
                for one in rejudge(self.connection, self.archive_url, part, rules, left):
                    found[place, one.kafka_offset] = one
                left = [offset for offset in left if (place, offset) not in found]
                for offset in left:
                    found[place, offset] = BrokenInvariant(
                        "record_missing",
                        f"{part.archive_object} has no record {_record_name(place, offset)}",
                    )
                return
            except BrokenInvariant as error:
                left = [offset for offset in left if (place, offset) not in found]
                if len(left) == before:
                    # Not even the first: the next may be of another factor, the object is not.
                    is_whole = error.code.startswith(("archive_", "release_", "part_"))
                    for offset in left if is_whole else left[:1]:
                        found[place, offset] = error
                    left = [] if is_whole else left[1:]

    def _outcome(
        self,
        row: EntryRow,
        known: dict[UUID, EntryRow],
        judged: dict[_RecordKey, Rejudged | CarbonError],
    ) -> Outcome:
        if row.reverses_id is not None:
            return self._reversal(row, known, judged)
        kind = self.kind_of(row)
        if kind == "by_hand":
            return _of(row, kind, "by_hand", reason=row.cause or "")
        if kind == "restatement":
            return self._restatement(row)
        if kind == "period":
            return self._period(row)
        if kind != "record":
            return _of(row, kind, "not_reperformed", reason=row.cause or "")
        key = record_key(row)
        if key is None:
            return _of(
                row, kind, "failed", code="record_unknown", reason="it names no record to come from"
            )
        one = judged[key]
        if isinstance(one, CarbonError):
            return _of(row, kind, "failed", code=one.code, reason=one.message)
        if one.refusal is not None:
            return _of(row, kind, "failed", code=one.refusal.code, reason=str(one.refusal))
        remade = one_of(one.rows, row)
        if remade is None:
            return _of(
                row,
                kind,
                "failed",
                code="line_unknown",
                reason=f"record {_record_name(*key)} posts no line {row.line_no} of {row.event_id}",
            )
        return _of(
            row,
            kind,
            found=differences(row, remade),
            is_other_code=row.code_version != remade.code_version,
        )

    def _restatement(self, row: EntryRow) -> Outcome:
        remade = self._restated.get(row.entry_id)
        if remade is None:
            return _of(
                row,
                "restatement",
                "failed",
                code="restatement_unknown",
                reason="no restatement says by which rules it was computed",
            )
        if isinstance(remade, CarbonError):
            return _of(row, "restatement", "failed", code=remade.code, reason=remade.message)
        return _of(
            row,
            "restatement",
            found=differences(row, remade),
            is_other_code=row.code_version != remade.code_version,
        )

    def _period(self, row: EntryRow) -> Outcome:
        remade = self._periods[row.entry_id]
        if isinstance(remade, CarbonError):
            return _of(row, "period", "failed", code=remade.code, reason=remade.message)
        return _of(
            row,
            "period",
            found=remade.differences,
            is_other_code=row.code_version != remade.row.code_version,
        )

    def _reversal(
        self,
        row: EntryRow,
        known: dict[UUID, EntryRow],
        judged: dict[_RecordKey, Rejudged | CarbonError],
    ) -> Outcome:
        original = None if row.reverses_id is None else known.get(row.reverses_id)
        if original is None or original.reverses_id is not None:
            return _of(
                row,
                "reversal",
                "failed",
                code="original_missing",
                reason=f"entry {row.reverses_id}, which it takes back, is not there",
            )
        cause = None
        key = record_key(row)
        if key is not None and self.is_of_a_record(row):
            one = judged[key]
            if isinstance(one, CarbonError):
                return _of(row, "reversal", "failed", code=one.code, reason=one.message)
            is_correction = bool(one.revision) or is_cancellation(one.rows)
            if one.refusal is not None or not one.rows or not is_correction:
                return _of(
                    row,
                    "reversal",
                    "failed",
                    code="no_correction",
                    reason=f"record {_record_name(*key)} is no later revision",
                )
            cause = f"revision {one.revision} of {one.rows[0].activity_ref}"
        before = self._outcome(original, known, judged)
        if before.is_fault:
            return _of(
                row,
                "reversal",
                "failed",
                found=before.differences,
                code="original_fails",
                reason=f"entry {original.entry_id}, which it takes back, does not come out: "
                + (before.reason or "; ".join(map(str, before.differences))),
            )
        return _of(
            row,
            "reversal",
            found=reversal_differences(row, original, cause),
            is_other_code=before.is_other_code,
        )

    def is_of_a_record(self, row: EntryRow) -> bool:
        """Whether a batch posted the entry because of a record."""
        return record_key(row) is not None and row.entry_id not in self._kinds

    def parts_of(
        self, wanted: Mapping[_Place, Collection[int]]
    ) -> list[tuple[PostedPart, list[int]]]:
        """The parts that hold these offsets, each with those in it. Raises BrokenInvariant
        `part_missing`.
        """
        found: dict[tuple[_Place, int], list[int]] = defaultdict(list)
        for place, offsets in wanted.items():
            for offset in sorted(offsets):
                number = self._part_number(place, offset)
                if number is None:
                    raise BrokenInvariant(
                        "part_missing", f"no committed part holds {_record_name(place, offset)}"
                    )
                found[place, number].append(offset)
        return [
            (self._starts[place][1][number], offsets) for (place, number), offsets in found.items()
        ]

    def kind_of(self, row: EntryRow) -> Kind:
        """What kind of posting an entry is; by the list of its transaction, where there is one."""
        if row.is_reversal:
            return "reversal"
        posted = self._kinds.get(row.entry_id)
        if posted is not None:
            kinds: dict[str, Kind] = {
                "restatement": "restatement",
                "supersession": "supersession",
                "period": "period",
            }
            return kinds.get(posted.kind, "by_hand")
        return "record" if row.topic is not None else "by_hand"


def record_key(row: EntryRow) -> _RecordKey | None:
    """The record an entry says it came from: (topic, incarnation, partition), offset."""
    if (
        row.topic is None
        or row.topic_incarnation is None
        or row.kafka_partition is None
        or row.kafka_offset is None
    ):
        return None
    return (row.topic, row.topic_incarnation, row.kafka_partition), row.kafka_offset


def _record_name(place: _Place, offset: int) -> str:
    topic, incarnation, partition = place
    return f"{topic}:{partition}:{offset}" + (f" (topic {incarnation})" if incarnation else "")


def _of(
    row: EntryRow,
    kind: Kind,
    verdict: Verdict | None = None,
    *,
    found: tuple[Difference, ...] = (),
    code: str = "",
    reason: str = "",
    is_other_code: bool = False,
) -> Outcome:
    return Outcome(
        entry_id=row.entry_id,
        activity_month=row.activity_month,
        event_id=row.event_id,
        kind=kind,
        verdict=verdict or ("differs" if found else "equal"),
        differences=found,
        code=code,
        reason=reason,
        is_other_code=is_other_code,
    )
