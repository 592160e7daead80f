"""The manifest: what has been claimed from Kafka, by which batch, and how its attempts fare.

Belongs here: every statement on the manifest's tables outside a part's commit. Does not: deciding
(carbon_ledger.planning), topic accidents (carbon_ledger.store.gaps), asking Kafka or Dagster
(sensors.planner), the commit itself (carbon_ledger.store.append and the functions of migration
0003).

Every function that writes is one transaction under the stream's advisory lock, so two planners take
turns. `now` is the database's clock unless given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from carbon_ledger import planning
from carbon_ledger.errors import BrokenInvariant, CarbonError
from carbon_ledger.failpoints import failpoint
from carbon_ledger.planning import OpenBatch, PartitionProgress, StreamState
from carbon_ledger.streams import Stream

Connection = psycopg.Connection[Any]

# What callers catch: they do not import the driver.
DatabaseError = psycopg.Error

STREAM_LOCK: Final = 7203
# A run shows itself alive every few seconds; four missed signs and the planner takes its batch
# away.
BEAT_SECONDS: Final = 5
LEASE_SECONDS: Final = 20


class AttemptReplaced(CarbonError):
    """The batch has been given to a later attempt, or is no longer open. Remedy: stop; another
    works on it."""


@dataclass(frozen=True, kw_only=True)
class PartRange:
    """Offsets [start_offset, end_offset) of one Kafka partition."""

    topic: str
    kafka_partition: int
    start_offset: int
    end_offset: int
    topic_incarnation: int = 0


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """What one run works on: exactly these ranges, with factors of this release."""

    batch_id: int
    attempt: int
    stream: str
    topic: str
    arrival_partition: str
    factor_release: str
    ranges: tuple[PartRange, ...]
    topic_id: str | None = None
    topic_incarnation: int = 0

    @property
    def run_key(self) -> str:
        """What Dagster launches at most one run for."""
        return f"{self.batch_id}:{self.attempt}"

    @property
    def records(self) -> int:
        """Offsets claimed."""
        return sum(r.end_offset - r.start_offset for r in self.ranges)


@contextmanager
def stream_lock(conn: Connection, stream: str) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
    """One transaction that holds the stream's lock; yields a cursor with rows as dicts."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", (STREAM_LOCK, stream))
        yield cursor


def ensure_stream(conn: Connection, stream: Stream) -> None:
    """The stream has its row; BrokenInvariant `stream_topic` if it is kept for another topic."""
    with stream_lock(conn, stream.name) as cursor:
        cursor.execute(
            "insert into manifest.stream (stream, topic) values (%s, %s) on conflict (stream) do "
            "nothing",
            (stream.name, stream.topic),
        )
        cursor.execute("select topic from manifest.stream where stream = %s", (stream.name,))
        kept = one(cursor)["topic"]
    if kept != stream.topic:
        raise BrokenInvariant(
            "stream_topic",
            f"the accounts of stream {stream.name} are of topic {kept}, not {stream.topic}; a "
            "stream keeps its "
            "topic: give the new topic a stream of its own",
        )


def read_state(conn: Connection, stream: str) -> StreamState:
    """What the manifest knows of the stream, in one snapshot. BrokenInvariant if it has no row."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        return state_of(cursor, stream)


def state_of(cursor: psycopg.Cursor[dict[str, Any]], stream: str) -> StreamState:
    """As read_state, inside the caller's transaction."""
    cursor.execute(
        """
        select s.topic, s.topic_id, s.topic_incarnation, s.halted_reason, s.halted_at,
        s.pending_since,
               (select max(b.planned_at) from manifest.batch b where b.stream = s.stream) as
               last_planned_at,
               coalesce(
                   (select jsonb_object_agg(p.kafka_partition,
                                            array[p.first_offset, p.planned_offset,
                                            p.committed_offset])
                    from manifest.progress p
                    where p.topic = s.topic and p.topic_incarnation = s.topic_incarnation),
                   '{}') as progress
        from manifest.stream s
        where s.stream = %s
        """,
        (stream,),
    )
    row = one(cursor)
    progress = {
        int(partition): PartitionProgress(first=first, planned=planned, committed=committed)
        for partition, (first, planned, committed) in row.pop("progress").items()
    }
    return StreamState(stream=stream, progress=progress, **row)


def plan_batch(
    conn: Connection,
    stream: Stream,
    highs: Mapping[int, int],
    *,
    factor_release: str,
    arrival_partition: str,
    now: datetime | None = None,
) -> BatchPlan | None:
    """Claims what is pending below `highs` (end offset by partition) as a new batch, at most
    records_max.

    None if the stream is halted, has an open batch, has nothing pending or is not yet due. A claim
    begins where the last one ended, so claims neither overlap nor leave a hole, whatever `highs`
    says.
    """
    with stream_lock(conn, stream.name) as cursor:
        state = state_of(cursor, stream.name)
        moment = now or clock(cursor)
        pending = planning.pending_records(state, highs)
        _note_pending(cursor, state, bool(pending), moment)
        if state.halted_reason is not None or _open_batch(cursor, stream.name) is not None:
            return None
        if not planning.is_due(stream, sum(pending.values()), state.last_planned_at, moment):
            return None
        shares = planning.share_out(pending, stream.records_max)
        cursor.execute(
            "insert into manifest.batch (stream, arrival_partition, topic_id, factor_release, "
            "planned_at, not_before)"
            " values (%s, %s, %s, %s, %s, %s) returning batch_id",
            (stream.name, arrival_partition, state.topic_id, factor_release, moment, moment),
        )
        batch_id = one(cursor)["batch_id"]
        failpoint("claim_begun")
        for partition, count in sorted(shares.items()):
            _claim(cursor, batch_id, state, partition, count)
        if shares == pending:
            cursor.execute(
                "update manifest.stream set pending_since = null where stream = %s", (stream.name,)
            )
        failpoint("claim_made")
        return _plan_of(cursor, batch_id)


def _claim(
    cursor: psycopg.Cursor[dict[str, Any]],
    batch_id: int,
    state: StreamState,
    partition: int,
    count: int,
) -> None:
    start = state.progress[partition].planned
    cursor.execute(
        "insert into manifest.batch_range"
        " (batch_id, topic, topic_incarnation, kafka_partition, start_offset, end_offset)"
        " values (%s, %s, %s, %s, %s, %s)",
        (batch_id, state.topic, state.topic_incarnation, partition, start, start + count),
    )
    cursor.execute(
        "update manifest.progress set planned_offset = %s, recorded_at = clock_timestamp()"
        " where topic = %s and topic_incarnation = %s and kafka_partition = %s",
        (start + count, state.topic, state.topic_incarnation, partition),
    )


def _note_pending(
    cursor: psycopg.Cursor[dict[str, Any]], state: StreamState, is_pending: bool, now: datetime
) -> None:
    if is_pending == (state.pending_since is not None):
        return
    cursor.execute(
        "update manifest.stream set pending_since = %s where stream = %s",
        (now if is_pending else None, state.stream),
    )


def open_batch(conn: Connection, stream: str) -> OpenBatch | None:
    """The stream's batch that is planned, running or dead, if there is one."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        return _open_batch(cursor, stream)


def _open_batch(cursor: psycopg.Cursor[dict[str, Any]], stream: str) -> OpenBatch | None:
    cursor.execute(
        """
        select b.batch_id, b.attempt, b.status, b.arrival_partition, b.planned_at, b.not_before,
        b.run_id, b.error,
               l.lease_until
        from manifest.batch b
        left join manifest.lease l on l.batch_id = b.batch_id and l.attempt = b.attempt
        where b.stream = %s and b.status in ('planned', 'running', 'dead')
        """,
        (stream,),
    )
    row = cursor.fetchone()
    return None if row is None else OpenBatch(**row)


def live_batch(conn: Connection, stream: str) -> BatchPlan | None:
    """The plan of the stream's open batch, if there is one."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        found = _open_batch(cursor, stream)
        return None if found is None else _plan_of(cursor, found.batch_id)


def begin_attempt(
    conn: Connection, batch_id: int, attempt: int, run_id: str, lease_seconds: int = LEASE_SECONDS
) -> BatchPlan:
    """The batch is `run_id`'s to work on, under a lease from now; raises AttemptReplaced if it is
    not."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        batch = _locked_batch(cursor, batch_id, attempt)
        if batch["status"] == "running" and batch["run_id"] != run_id:
            raise AttemptReplaced(
                "attempt_taken",
                f"attempt {attempt} of batch {batch_id} is already being worked on by run "
                f"{batch['run_id']}",
            )
        cursor.execute(
            "update manifest.batch set status = 'running', run_id = %s, started_at = "
            "clock_timestamp()"
            " where batch_id = %s",
            (run_id, batch_id),
        )
        cursor.execute(
            """
            insert into manifest.lease (batch_id, attempt, lease_until)
            values (%(batch)s, %(attempt)s, clock_timestamp() + %(lease)s)
            on conflict (batch_id) do update set attempt = excluded.attempt, lease_until =
            excluded.lease_until
            """,
            {"batch": batch_id, "attempt": attempt, "lease": timedelta(seconds=lease_seconds)},
        )
        failpoint("attempt_taken")
        return _plan_of(cursor, batch_id)


def renew_lease(
    conn: Connection, batch_id: int, attempt: int, lease_seconds: int = LEASE_SECONDS
) -> bool:
    """Another sign of life; False if the attempt is not the current one any more."""
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(
            """
            update manifest.lease l set lease_until = clock_timestamp() + %(lease)s
            from manifest.batch b
            where l.batch_id = %(batch)s and l.attempt = %(attempt)s
              and b.batch_id = l.batch_id and b.attempt = l.attempt and b.status = 'running'
            """,
            {"batch": batch_id, "attempt": attempt, "lease": timedelta(seconds=lease_seconds)},
        )
        failpoint("lease_renewed")
        return cursor.rowcount == 1


def finish_batch(conn: Connection, batch_id: int, attempt: int) -> None:
    """The batch is done. Raises BrokenInvariant `batch_unfinished` unless every part is in the
    accounts.

    Called again by the same attempt it does nothing; AttemptReplaced for another one.
    """
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "select status, attempt from manifest.batch where batch_id = %s", (batch_id,)
        )
        row = one(cursor)
        if row["status"] == "done" and row["attempt"] == attempt:
            return
        _locked_batch(cursor, batch_id, attempt)
        missing = _uncommitted(cursor, batch_id)
        if missing:
            raise BrokenInvariant(
                "batch_unfinished",
                f"batch {batch_id} has parts that are not in the accounts: {', '.join(missing)}",
            )
        cursor.execute(
            "update manifest.batch set status = 'done', finished_at = clock_timestamp(), error = "
            "null"
            " where batch_id = %s",
            (batch_id,),
        )
        failpoint("batch_finishing")


def _uncommitted(cursor: psycopg.Cursor[dict[str, Any]], batch_id: int) -> list[str]:
    """Parts of the batch without an account or a committed offset, as readable text."""
    cursor.execute(
        """
        select r.topic, r.kafka_partition, r.start_offset, r.end_offset
        from manifest.batch_range r
        join manifest.progress p using (topic, topic_incarnation, kafka_partition)
        where r.batch_id = %s and r.withdrawn_at is null
          and (p.committed_offset < r.end_offset
               or not exists (select from ledger.batch_part a
                              where a.topic = r.topic and a.topic_incarnation = r.topic_incarnation
                                and a.kafka_partition = r.kafka_partition and a.start_offset =
                                r.start_offset
                                and a.end_offset = r.end_offset))
        order by r.topic, r.kafka_partition
        """,
        (batch_id,),
    )
    return [
        f"{r['topic']}-{r['kafka_partition']} [{r['start_offset']}, {r['end_offset']})"
        for r in cursor.fetchall()
    ]


def fail_attempt(
    conn: Connection,
    batch_id: int,
    attempt: int,
    error: str,
    *,
    counts: bool = True,
    now: datetime | None = None,
) -> OpenBatch | None:
    """The attempt is over; the batch waits for its next one, after a back-off. None if it was over
    already.

    A failure for a reason of the batch's own counts; one of a service that is down does not. After
    failures_max counted ones the batch is dead and its stream halted, by a gap of kind
    batch_failed.
    """
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select stream from manifest.batch where batch_id = %s", (batch_id,))
        stream = one(cursor)["stream"]
    with stream_lock(conn, stream) as cursor:
        try:
            batch = _locked_batch(cursor, batch_id, attempt)
        except AttemptReplaced:
            return None
        failures = batch["failures"] + (1 if counts else 0)
        is_dead = failures >= batch["failures_max"]
        moment = now or clock(cursor)
        cursor.execute(
            """
            update manifest.batch
            set attempt = attempt + 1, failures = %(failures)s, status = %(status)s, run_id = null,
            error = %(error)s,
                not_before = %(not_before)s
            where batch_id = %(batch)s
            """,
            {
                "batch": batch_id,
                "failures": failures,
                "status": "dead" if is_dead else "planned",
                "error": error[:2000],
                "not_before": moment + timedelta(seconds=planning.back_off_seconds(attempt + 1)),
            },
        )
        if is_dead:
            _record_dead_batch(cursor, stream, batch_id, failures, error)
        failpoint("failure_noted")
        return _open_batch(cursor, stream)


def _record_dead_batch(
    cursor: psycopg.Cursor[dict[str, Any]], stream: str, batch_id: int, failures: int, error: str
) -> None:
    from carbon_ledger.store.gaps import record_gaps

    detail = f"batch {batch_id} failed {failures} times, the last time with: {error[:500]}"
    finding = planning.GapFinding(kind="batch_failed", detail=detail)
    record_gaps(cursor, state_of(cursor, stream), (finding,), clock(cursor))


def _locked_batch(
    cursor: psycopg.Cursor[dict[str, Any]], batch_id: int, attempt: int
) -> dict[str, Any]:
    """The batch's row, locked; raises AttemptReplaced unless `attempt` is its current one and it is
    open."""
    cursor.execute("select * from manifest.batch where batch_id = %s for update", (batch_id,))
    row = one(cursor)
    if row["attempt"] != attempt or row["status"] not in ("planned", "running"):
        raise AttemptReplaced(
            "attempt_replaced",
            f"attempt {attempt} of batch {batch_id} is not the current one: that is attempt "
            f"{row['attempt']}, "
            f"and the batch is {row['status']}",
        )
    return row


def is_done(conn: Connection, batch_id: int) -> bool:
    """Whether every part of the batch is in the accounts and nobody has to work on it any more."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select status from manifest.batch where batch_id = %s", (batch_id,))
        return bool(one(cursor)["status"] == "done")


def read_plan(conn: Connection, batch_id: int) -> BatchPlan:
    """The plan of any batch. BrokenInvariant `manifest_row` if there is none of this number."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        return _plan_of(cursor, batch_id)


def _plan_of(cursor: psycopg.Cursor[dict[str, Any]], batch_id: int) -> BatchPlan:
    return _plans(cursor, "b.batch_id = %s", (batch_id,))[0]


def plans_of_partitions(
    conn: Connection, stream: str, arrival_partitions: Sequence[str]
) -> list[BatchPlan]:
    """Every batch of the stream that is done and was claimed in one of these hours, in order of its
    number."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        return _plans(
            cursor,
            "b.stream = %s and b.arrival_partition = any(%s) and b.status = 'done'",
            (stream, list(arrival_partitions)),
            may_be_none=True,
        )


_PLANS = """
    select b.batch_id, b.attempt, b.stream, s.topic, b.arrival_partition, b.factor_release,
    b.topic_id,
           r.kafka_partition, r.start_offset, r.end_offset, r.topic_incarnation
    from manifest.batch b
    join manifest.stream s using (stream)
    join manifest.batch_range r using (batch_id)
    where {where} and r.withdrawn_at is null
    order by b.batch_id, r.kafka_partition
"""


def _plans(
    cursor: psycopg.Cursor[dict[str, Any]],
    where: str,
    values: tuple[Any, ...],
    may_be_none: bool = False,
) -> list[BatchPlan]:
    # `where` is one of the two texts above, never a caller's.
    cursor.execute(_PLANS.format(where=where).encode(), values)
    rows = cursor.fetchall()
    if not rows and not may_be_none:
        raise BrokenInvariant("manifest_row", f"the manifest has no batch {values[0]}")
    plans: dict[int, BatchPlan] = {}
    ranges: dict[int, list[PartRange]] = {}
    for row in rows:
        part = PartRange(
            topic=row["topic"],
            **{name: row.pop(name) for name in ("kafka_partition", "start_offset", "end_offset")},
            topic_incarnation=row["topic_incarnation"],
        )
        ranges.setdefault(row["batch_id"], []).append(part)
        plans[row["batch_id"]] = BatchPlan(**row, ranges=tuple(ranges[row["batch_id"]]))
    return list(plans.values())


def database_now(conn: Connection) -> datetime:
    """The database's time, UTC: leases and back-offs are kept by this clock alone."""
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        return clock(cursor)


def clock(cursor: psycopg.Cursor[dict[str, Any]]) -> datetime:
    """The database's time, UTC."""
    cursor.execute("select clock_timestamp() as moment")
    moment: datetime = one(cursor)["moment"]
    return moment


def one(cursor: psycopg.Cursor[dict[str, Any]]) -> dict[str, Any]:
    """The one row a statement gave; BrokenInvariant `manifest_row` if it gave none."""
    row = cursor.fetchone()
    if row is None:
        raise BrokenInvariant(
            "manifest_row",
            "the manifest lacks a row that this statement needs: was ensure_stream called?",
        )
    return row
