"""What the planner decides, as pure functions over what it knows and what it sees.

Belongs here: finding gaps, sharing out a batch, when to claim, when to try again. Does not: Kafka,
PostgreSQL or Dagster (carbon_ledger.store.manifest and sensors.planner do the talking), clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from carbon_ledger.streams import Stream

GapKind = Literal[
    "topic_recreated",
    "topic_truncated",
    "tail_lost",
    "partition_added",
    "partition_lost",
    "topic_missing",
    "batch_failed",
]
# These are over when what was missing is seen again; nothing was written in the meantime.
PASSING_KINDS: frozenset[GapKind] = frozenset(
    {"topic_truncated", "topic_missing", "partition_lost"}
)

# A run that Dagster has started must have reported to the manifest within this time.
START_GRACE = timedelta(seconds=60)
BACK_OFF_SECONDS_MAX = 15
# Between two looks at a topic that is not as expected.
SECOND_LOOK_SECONDS = 1


@dataclass(frozen=True, kw_only=True)
class PartitionProgress:
    """How far one Kafka partition is in the accounts: offsets [first, committed) are, [.., planned)
    are claimed."""

    first: int
    planned: int
    committed: int


@dataclass(frozen=True, kw_only=True)
class StreamState:
    """What the manifest knows of a stream. `topic_id` None: its topic has never been seen."""

    stream: str
    topic: str
    topic_id: str | None = None
    topic_incarnation: int = 0
    halted_reason: str | None = None
    halted_at: datetime | None = None
    pending_since: datetime | None = None
    last_planned_at: datetime | None = None
    progress: Mapping[int, PartitionProgress] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TopicSight:
    """What Kafka says of a topic: its id (None: there is no such topic), [low, high) of each
    partition."""

    topic_id: str | None
    offsets: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def highs(self) -> dict[int, int]:
        """End offset of each partition."""
        return {partition: high for partition, (_, high) in self.offsets.items()}


@dataclass(frozen=True, kw_only=True)
class GapFinding:
    """One thing about a topic that is not as the accounts expect it; `detail` is a sentence."""

    kind: GapKind
    detail: str
    kafka_partition: int | None = None
    expected_offset: int | None = None
    found_offset: int | None = None
    expected_topic_id: str | None = None
    found_topic_id: str | None = None


def find_gaps(state: StreamState, sight: TopicSight) -> tuple[GapFinding, ...]:
    """Every way in which the topic is not the one the accounts were kept of; () if it is.

    A topic never seen before has no gap by being absent; one whose first records are already gone
    has.
    """
    if sight.topic_id is None:
        return () if state.topic_id is None else (_missing(state),)
    if state.topic_id not in (None, sight.topic_id):
        return (_recreated(state, sight),)
    findings = []
    for partition, (low, high) in sorted(sight.offsets.items()):
        known = state.progress.get(partition)
        if known is None and state.progress:
            findings.append(_partition_added(state, partition, high))
            continue
        committed, planned = (known.committed, known.planned) if known else (0, 0)
        if low > committed:
            findings.append(_truncated(state, partition, committed, low))
        elif high < planned:
            findings.append(_tail_lost(state, partition, planned, high))
    for partition in sorted(set(state.progress) - set(sight.offsets)):
        findings.append(_partition_lost(state, partition))
    return tuple(findings)


def steady_sight(
    state: StreamState,
    look: Callable[[], TopicSight],
    second_look: Callable[[], None],
) -> TopicSight:
    """What `look` sees; something odd is looked at twice, with `second_look` in between, before a
    stream is halted: a broker that has just come up may know less.
    """
    sight = look()
    if state.halted_reason is None and find_gaps(state, sight):
        second_look()
        sight = look()
    return sight


def is_overtaken(before: StreamState, state: StreamState) -> bool:
    """Whether more was claimed since `before`: a look at the topic from then is out of date.

    What it lacks may have been appended after it, so it is no evidence of a gap.
    """

    def claimed(one: StreamState) -> tuple[int, dict[int, int]]:
        return one.topic_incarnation, {p: made.planned for p, made in one.progress.items()}

    return claimed(before) != claimed(state)


def _missing(state: StreamState) -> GapFinding:
    return GapFinding(
        kind="topic_missing",
        expected_topic_id=state.topic_id,
        detail=f"topic {state.topic} (id {state.topic_id}) is no longer there; "
        f"{_committed(state)} of its records are in the accounts, {_claimed(state)} more are "
        "claimed",
    )


def _recreated(state: StreamState, sight: TopicSight) -> GapFinding:
    return GapFinding(
        kind="topic_recreated",
        expected_topic_id=state.topic_id,
        found_topic_id=sight.topic_id,
        detail=f"topic {state.topic} was deleted and created again: its id is {sight.topic_id}, "
        "the accounts "
        f"are of {state.topic_id}, of which {_committed(state)} records are in and "
        f"{_claimed(state)} more "
        "were claimed; what the old topic held beyond them is lost to this stream",
    )


def _truncated(state: StreamState, partition: int, expected: int, low: int) -> GapFinding:
    return GapFinding(
        kind="topic_truncated",
        kafka_partition=partition,
        expected_offset=expected,
        found_offset=low,
        detail=f"{state.topic}-{partition} now begins at offset {low}, the next one due is "
        f"{expected}: "
        f"{low - expected} offsets were deleted before they were read",
    )


def _tail_lost(state: StreamState, partition: int, planned: int, high: int) -> GapFinding:
    return GapFinding(
        kind="tail_lost",
        kafka_partition=partition,
        expected_offset=planned,
        found_offset=high,
        detail=f"{state.topic}-{partition} now ends at offset {high}, but records up to "
        f"{planned} had been "
        "seen: its log was cut, and other records will get the same offsets",
    )


def _partition_added(state: StreamState, partition: int, high: int) -> GapFinding:
    return GapFinding(
        kind="partition_added",
        kafka_partition=partition,
        expected_offset=None,
        found_offset=high,
        detail=f"{state.topic} has a new partition {partition} with {high} offsets: keys are "
        "spread anew, so "
        "records of one meter are no longer in one partition, in order",
    )


def _partition_lost(state: StreamState, partition: int) -> GapFinding:
    progress = state.progress[partition]
    return GapFinding(
        kind="partition_lost",
        kafka_partition=partition,
        expected_offset=progress.committed,
        detail=f"{state.topic} has no partition {partition} any more; it is in the accounts up "
        "to offset "
        f"{progress.committed}",
    )


def _committed(state: StreamState) -> int:
    return sum(p.committed - p.first for p in state.progress.values())


def _claimed(state: StreamState) -> int:
    return sum(p.planned - p.committed for p in state.progress.values())


def pending_records(state: StreamState, highs: Mapping[int, int]) -> dict[int, int]:
    """Offsets that no batch has claimed, by partition; only partitions that have some."""
    return {
        partition: highs[partition] - progress.planned
        for partition, progress in sorted(state.progress.items())
        if highs.get(partition, 0) > progress.planned
    }


def lag_records(state: StreamState, highs: Mapping[int, int]) -> int:
    """Offsets that are in Kafka and not yet in the accounts."""
    return sum(
        max(0, highs.get(partition, 0) - progress.committed)
        for partition, progress in state.progress.items()
    )


def share_out(pending: Mapping[int, int], cap: int) -> dict[int, int]:
    """Offsets to take from each partition: all of them up to `cap`, else `cap` by share of volume.

    Each partition gets its share rounded down, what is left goes one by one to the largest
    remainders (lower partition first), so the parts add up to min(cap, total) exactly.
    """
    total = sum(pending.values())
    if total <= cap:
        return {partition: count for partition, count in pending.items() if count > 0}
    shares = {partition: count * cap // total for partition, count in pending.items()}
    by_remainder = sorted(
        pending, key=lambda partition: (-(pending[partition] * cap % total), partition)
    )
    for partition in by_remainder[: cap - sum(shares.values())]:
        shares[partition] += 1
    return {partition: count for partition, count in shares.items() if count > 0}


def is_due(stream: Stream, pending: int, last_planned_at: datetime | None, now: datetime) -> bool:
    """Whether to claim now: something is pending, and the wait is over or the volume is enough."""
    if pending <= 0:
        return False
    if last_planned_at is None or pending >= stream.records_early:
        return True
    return now - last_planned_at >= timedelta(seconds=stream.max_wait_seconds)


def arrival_partition(now: datetime) -> str:
    """Partition key of the UTC hour that holds `now`, e.g. 2026-11-24-10:00."""
    return now.strftime("%Y-%m-%d-%H:00")


def back_off_seconds(attempt: int) -> int:
    """Seconds to wait before attempt number `attempt`: 0 for the first, then 1, 2, 4, 8, at most
    15."""
    if attempt <= 1:
        return 0
    return int(min(2 ** min(attempt - 2, 10), BACK_OFF_SECONDS_MAX))


RunOutlook = Literal["none", "waiting", "started", "failed", "succeeded"]


@dataclass(frozen=True, kw_only=True)
class RunSight:
    """What Dagster says of the run of an attempt. `waiting`: queued or being launched."""

    outlook: RunOutlook = "none"
    run_id: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class OpenBatch:
    """A batch that is not done, as the manifest has it."""

    batch_id: int
    attempt: int
    status: Literal["planned", "running", "dead"]
    arrival_partition: str
    planned_at: datetime
    not_before: datetime
    lease_until: datetime | None = None
    run_id: str | None = None
    error: str | None = None

    @property
    def run_key(self) -> str:
        """What Dagster launches at most one run for."""
        return f"{self.batch_id}:{self.attempt}"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do about an open batch: `wait`, `request` its run, or `retry` (replace the
    attempt)."""

    action: Literal["wait", "request", "retry"]
    because: str


def next_step(batch: OpenBatch, run: RunSight, now: datetime) -> Step:
    """What an open batch needs. A queued run is never taken over; a started one only when its lease
    is up."""
    name = f"batch {batch.batch_id}, attempt {batch.attempt}"
    if batch.status == "dead":
        return Step(action="wait", because=f"{name}: failed too often")
    if run.outlook == "failed":
        return Step(action="retry", because=f"{name}: run {run.run_id} failed")
    if run.outlook == "succeeded":
        return Step(action="retry", because=f"{name}: run {run.run_id} ended without finishing it")
    if batch.status == "running":
        if batch.lease_until is not None and batch.lease_until > now:
            return Step(action="wait", because=f"{name} is being worked on by run {batch.run_id}")
        return Step(
            action="retry", because=f"{name}: run {batch.run_id} gave no sign of life in its lease"
        )
    if run.outlook == "waiting":
        return Step(action="wait", because=f"{name}: run {run.run_id} is queued")
    if run.outlook == "started":
        if run.started_at is None or now - run.started_at < START_GRACE:
            return Step(action="wait", because=f"{name}: run {run.run_id} is starting")
        return Step(action="retry", because=f"{name}: run {run.run_id} started and never reported")
    if batch.not_before > now:
        seconds = (batch.not_before - now).seconds
        return Step(action="wait", because=f"{name} is tried again in {seconds} s: {batch.error}")
    return Step(action="request", because=f"{name} has no run yet")
