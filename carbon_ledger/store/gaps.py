"""Gaps: how a topic accident halts a stream, and how somebody lets it go on.

Belongs here: recording gaps, halting, and what accepting a gap of each kind does to the accounts.
Does not: finding gaps (carbon_ledger.planning), asking Kafka.

A gap is never skipped silently: the stream stands still until it is accepted by name and reason,
and both stay in manifest.gap. Offsets that were never read are those between the accounts and an
accepted gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from carbon_ledger import planning
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.planning import GapFinding, StreamState, TopicSight
from carbon_ledger.store.manifest import Connection, clock, one, state_of, stream_lock

Cursor = psycopg.Cursor[dict[str, Any]]

CONSEQUENCES: Final[dict[str, str]] = {
    "topic_recreated": "reading starts at the first offset of the new topic; its offsets are "
    "counted as a new "
    "incarnation, what was committed of the old one stays, what was not is lost to this stream",
    "topic_truncated": "reading goes on at the first offset that is left; the deleted offsets "
    "are never ledgered",
    "tail_lost": "reading goes on at the new end; offsets used for the second time are counted "
    "as a new incarnation",
    "partition_added": "reading of the new partition starts at its first offset; the others go "
    "on where they are",
    "partition_lost": "the partition is left as it is in the accounts; the others go on as a new "
    "incarnation",
    "topic_missing": "nothing can be read; create the topic, then accept that it is another one",
    "batch_failed": "the batch is tried again, as often as before",
}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One recorded gap; open while `resolved_at` is None."""

    gap_id: int
    stream: str
    topic: str
    topic_incarnation: int
    kafka_partition: int | None
    kind: planning.GapKind
    expected_offset: int | None
    found_offset: int | None
    expected_topic_id: str | None
    found_topic_id: str | None
    detail: str
    found_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None

    @property
    def consequence(self) -> str:
        """What accepting it does."""
        return CONSEQUENCES[self.kind]

    @property
    def command(self) -> str:
        """What to type to accept it."""
        return (
            f'carbon stream resume {self.stream} --accept-gap {self.gap_id} --because "…" --by "…"'
        )


def observe_topic(
    conn: Connection,
    stream: str,
    sight: TopicSight,
    now: datetime | None = None,
    *,
    looked_from: StreamState | None = None,
) -> list[Gap]:
    """Compares the topic with the accounts; the gaps that are open afterwards, oldest first.

    The first sight of a topic, or of its new incarnation, opens its accounts at offset 0. New gaps
    are recorded and halt the stream. A gap that passed by itself (records are there after all) is
    closed and says so. `looked_from` is the state before the look: if another planner has claimed
    more since, nothing is concluded from a sight that is older than the accounts.
    """
    with stream_lock(conn, stream) as cursor:
        state = state_of(cursor, stream)
        if looked_from is not None and planning.is_overtaken(looked_from, state):
            return open_gaps_of(cursor, stream)
        findings = planning.find_gaps(state, sight)
        moment = now or clock(cursor)
        _begin_accounts(cursor, state, sight)
        _close_passed(cursor, state, findings, moment)
        return record_gaps(cursor, state, findings, moment)


def _begin_accounts(cursor: Cursor, state: StreamState, sight: TopicSight) -> None:
    if sight.topic_id is None or state.topic_id not in (None, sight.topic_id):
        return
    if state.topic_id is None:
        cursor.execute(
            "update manifest.stream set topic_id = %s where stream = %s",
            (sight.topic_id, state.stream),
        )
    if not state.progress:
        for partition in sight.offsets:
            _open_partition(cursor, state.topic, state.topic_incarnation, partition, 0)


def _open_partition(cursor: Cursor, topic: str, incarnation: int, partition: int, at: int) -> None:
    cursor.execute(
        "insert into manifest.progress"
        " (topic, topic_incarnation, kafka_partition, first_offset, planned_offset, "
        "committed_offset)"
        " values (%s, %s, %s, %s, %s, %s)",
        (topic, incarnation, partition, at, at, at),
    )


def _close_passed(
    cursor: Cursor, state: StreamState, findings: Sequence[GapFinding], now: datetime
) -> None:
    """Closes what is no longer so. A topic that is back as another one is a gap of its own kind."""
    still = {(finding.kind, finding.kafka_partition) for finding in findings}
    for gap in open_gaps_of(cursor, state.stream):
        if gap.kind in planning.PASSING_KINDS and (gap.kind, gap.kafka_partition) not in still:
            _close(cursor, gap, "is over: what was missing was seen again", "planner", now)


def record_gaps(
    cursor: Cursor, state: StreamState, findings: Sequence[GapFinding], now: datetime
) -> list[Gap]:
    """Records findings (refreshing those that are open already) and halts or frees the stream
    accordingly."""
    for finding in findings:
        cursor.execute(
            """
            insert into manifest.gap (stream, topic, topic_incarnation, kafka_partition, kind,
            expected_offset,
                                      found_offset, expected_topic_id, found_topic_id, detail,
                                      found_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (stream, kind, coalesce(kafka_partition, -1)) where resolved_at is null
            do update set expected_offset = excluded.expected_offset, found_offset =
            excluded.found_offset,
                          found_topic_id = excluded.found_topic_id, detail = excluded.detail
            where (manifest.gap.expected_offset, manifest.gap.found_offset,
            manifest.gap.found_topic_id,
                   manifest.gap.detail)
                  is distinct from
                  (excluded.expected_offset, excluded.found_offset, excluded.found_topic_id,
                  excluded.detail)
            """,
            (
                state.stream,
                state.topic,
                state.topic_incarnation,
                finding.kafka_partition,
                finding.kind,
                finding.expected_offset,
                finding.found_offset,
                finding.expected_topic_id,
                finding.found_topic_id,
                finding.detail,
                now,
            ),
        )
    gaps = open_gaps_of(cursor, state.stream)
    _set_halt(cursor, state.stream, gaps, now)
    return gaps


def _set_halt(cursor: Cursor, stream: str, gaps: Sequence[Gap], now: datetime) -> None:
    reason = None
    if gaps:
        more = f" (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""
        first = gaps[0]
        reason = (
            f"gap {first.gap_id}, {first.kind}: {first.detail}{more}. To go on: {first.command}"
        )
    cursor.execute(
        """
        update manifest.stream
        set halted_reason = %(reason)s,
            halted_at = case when %(reason)s::text is null then null else coalesce(halted_at,
            %(now)s) end
        where stream = %(stream)s and halted_reason is distinct from %(reason)s
        """,
        {"stream": stream, "reason": reason, "now": now},
    )


def open_gaps(conn: Connection, stream: str) -> list[Gap]:
    """The gaps that halt the stream, oldest first."""
    with conn.transaction(), conn.cursor() as cursor:
        return open_gaps_of(cursor, stream)


def open_gaps_of(cursor: psycopg.Cursor[Any], stream: str) -> list[Gap]:
    """As open_gaps, inside the caller's transaction."""
    with cursor.connection.cursor(row_factory=class_row(Gap)) as rows:
        rows.execute(
            "select * from manifest.gap where stream = %s and resolved_at is null order by gap_id",
            (stream,),
        )
        return rows.fetchall()


def accept_gap(
    conn: Connection,
    stream: str,
    gap_id: int,
    *,
    because: str,
    by: str,
    now: datetime | None = None,
) -> list[Gap]:
    """Accepts an open gap, with the consequence of its kind; the gaps that are still open.

    Raises ConfigurationError `gap_unknown` if the stream has no such open gap, `gap_reason` without
    a reason or a name, `gap_not_acceptable` for a topic that is not there.
    """
    if not because.strip() or not by.strip():
        raise ConfigurationError(
            "gap_reason", "a gap is accepted with a reason and a name: --because and --by"
        )
    with stream_lock(conn, stream) as cursor:
        gaps = open_gaps_of(cursor, stream)
        gap = next((candidate for candidate in gaps if candidate.gap_id == gap_id), None)
        if gap is None:
            known = ", ".join(str(candidate.gap_id) for candidate in gaps) or "none"
            raise ConfigurationError(
                "gap_unknown", f"stream {stream} has no open gap {gap_id}; open are: {known}"
            )
        if gap.kind == "topic_missing":
            raise ConfigurationError(
                "gap_not_acceptable",
                f"topic {gap.topic} does not exist, so there is nothing to go on with; create "
                "it, wait for the "
                "planner to see it, and accept the gap it then names",
            )
        moment = now or clock(cursor)
        state = state_of(cursor, stream)
        _apply(cursor, state, gap)
        _close(cursor, gap, f"accepted: {because.strip()}", by.strip(), moment)
        remaining = open_gaps_of(cursor, stream)
        _set_halt(cursor, stream, remaining, moment)
        return remaining


def _apply(cursor: Cursor, state: StreamState, gap: Gap) -> None:
    if gap.kind == "batch_failed":
        _reopen_dead_batch(cursor, state.stream)
    elif gap.kind == "partition_added":
        partition = _partition_of(gap)
        if partition not in state.progress:
            _open_partition(cursor, state.topic, state.topic_incarnation, partition, 0)
    elif gap.kind == "topic_truncated":
        _withdraw_open_batch(cursor, state)
        _skip_to(cursor, state, _partition_of(gap), gap.found_offset or 0)
    elif gap.kind == "topic_recreated":
        _withdraw_open_batch(cursor, state)
        _next_incarnation(cursor, state, {}, topic_id=gap.found_topic_id)
    else:
        _withdraw_open_batch(cursor, state)
        starts = {
            p: progress.committed for p, progress in state_of(cursor, state.stream).progress.items()
        }
        partition = _partition_of(gap)
        if gap.kind == "tail_lost":
            starts[partition] = min(starts[partition], gap.found_offset or 0)
        else:
            del starts[partition]
        _next_incarnation(cursor, state, starts, topic_id=state.topic_id)


def _partition_of(gap: Gap) -> int:
    if gap.kafka_partition is None:
        raise ConfigurationError("gap_partition", f"gap {gap.gap_id} names no partition")
    return gap.kafka_partition


def _next_incarnation(
    cursor: Cursor, state: StreamState, starts: dict[int, int], *, topic_id: str | None
) -> None:
    cursor.execute(
        "update manifest.stream set topic_incarnation = topic_incarnation + 1, topic_id = %s"
        " where stream = %s returning topic_incarnation",
        (topic_id, state.stream),
    )
    incarnation = one(cursor)["topic_incarnation"]
    for partition, start in sorted(starts.items()):
        _open_partition(cursor, state.topic, incarnation, partition, start)


def _skip_to(cursor: Cursor, state: StreamState, partition: int, offset: int) -> None:
    cursor.execute(
        """
        update manifest.progress
        set planned_offset = greatest(planned_offset, %(to)s), committed_offset =
        greatest(committed_offset, %(to)s),
            recorded_at = clock_timestamp()
        where topic = %(topic)s and topic_incarnation = %(incarnation)s and kafka_partition =
        %(partition)s
        """,
        {
            "to": offset,
            "topic": state.topic,
            "incarnation": state.topic_incarnation,
            "partition": partition,
        },
    )


def _reopen_dead_batch(cursor: Cursor, stream: str) -> None:
    cursor.execute(
        "update manifest.batch set status = 'planned', failures = 0, not_before = clock_timestamp()"
        " where stream = %s and status = 'dead'",
        (stream,),
    )


def _withdraw_open_batch(cursor: Cursor, state: StreamState) -> None:
    """Gives back what the open batch has not committed. Waits for commits under way, as they hold
    these rows."""
    cursor.execute(
        "select kafka_partition from manifest.progress where topic = %s and topic_incarnation = %s"
        " order by kafka_partition for update",
        (state.topic, state.topic_incarnation),
    )
    cursor.execute(
        "select batch_id from manifest.batch where stream = %s and status in ('planned', "
        "'running', 'dead')"
        " for update",
        (state.stream,),
    )
    row = cursor.fetchone()
    if row is None:
        return
    batch_id = row["batch_id"]
    cursor.execute(
        """
        update manifest.batch_range r set withdrawn_at = clock_timestamp()
        from manifest.progress p
        where r.batch_id = %s and p.topic = r.topic and p.topic_incarnation = r.topic_incarnation
          and p.kafka_partition = r.kafka_partition and p.committed_offset < r.end_offset
        """,
        (batch_id,),
    )
    cursor.execute(
        """
        update manifest.progress set planned_offset = committed_offset, recorded_at =
        clock_timestamp()
        where topic = %s and topic_incarnation = %s and planned_offset > committed_offset
        """,
        (state.topic, state.topic_incarnation),
    )
    cursor.execute(
        """
        update manifest.batch b
        set finished_at = clock_timestamp(), attempt = attempt + 1,
            status = case when exists (select from manifest.batch_range r
                                       where r.batch_id = b.batch_id and r.withdrawn_at is null)
                          then 'done' else 'withdrawn' end
        where b.batch_id = %s
        """,
        (batch_id,),
    )


def _close(cursor: Cursor, gap: Gap, resolution: str, by: str, now: datetime) -> None:
    cursor.execute(
        "update manifest.gap set resolved_at = %s, resolution = %s, resolved_by = %s where "
        "gap_id = %s",
        (now, resolution, by, gap.gap_id),
    )
