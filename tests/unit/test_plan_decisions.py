"""What the planner decides, on tables and laws, without any service."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger import planning
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.planning import (
    OpenBatch,
    PartitionProgress,
    RunSight,
    StreamState,
    TopicSight,
    find_gaps,
    is_due,
    is_overtaken,
    next_step,
    share_out,
)
from carbon_ledger.streams import STREAMS, find

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
STREAM = STREAMS[0]


def known(**changes: Any) -> StreamState:
    """Two partitions of topic id A, both read and committed to offset 100."""
    state = StreamState(
        stream="iot_energy",
        topic="raw.iot.energy",
        topic_id="A",
        progress={
            0: PartitionProgress(first=0, planned=100, committed=100),
            1: PartitionProgress(first=0, planned=100, committed=100),
        },
    )
    return replace(state, **changes)


def seen(*offsets: tuple[int, int], topic_id: str | None = "A") -> TopicSight:
    return TopicSight(topic_id=topic_id, offsets=dict(enumerate(offsets)))


@pytest.mark.parametrize(
    ("state", "sight", "expected"),
    [
        (known(), seen((0, 100), (0, 100)), []),
        (known(), seen((0, 5000), (0, 100)), []),
        (known(), seen((100, 100), (100, 100)), []),
        (known(), seen((0, 5), (0, 5), topic_id="B"), [("topic_recreated", None, None, None)]),
        (known(), TopicSight(topic_id=None), [("topic_missing", None, None, None)]),
        (known(), seen((0, 100), (101, 200)), [("topic_truncated", 1, 100, 101)]),
        (known(), seen((0, 99), (0, 100)), [("tail_lost", 0, 100, 99)]),
        (known(), seen((0, 100), (0, 100), (0, 7)), [("partition_added", 2, None, 7)]),
        (known(), seen((0, 100)), [("partition_lost", 1, 100, None)]),
        (
            known(),
            seen((150, 200), (0, 20)),
            [("topic_truncated", 0, 100, 150), ("tail_lost", 1, 100, 20)],
        ),
        (StreamState(stream="s", topic="t"), TopicSight(topic_id=None), []),
        (StreamState(stream="s", topic="t"), seen((0, 9), (0, 0)), []),
        (StreamState(stream="s", topic="t"), seen((4, 9)), [("topic_truncated", 0, 0, 4)]),
    ],
)
def test_every_accident_of_a_topic_is_a_gap_of_its_own_kind(
    state: StreamState, sight: TopicSight, expected: list[tuple[Any, ...]]
) -> None:
    found = find_gaps(state, sight)
    assert [
        (g.kind, g.kafka_partition, g.expected_offset, g.found_offset) for g in found
    ] == expected


def test_a_look_is_out_of_date_once_more_was_claimed() -> None:
    one = PartitionProgress(first=0, planned=100, committed=100)
    assert not is_overtaken(known(), known())
    committed = known(progress={0: one, 1: replace(one, committed=90)})
    assert not is_overtaken(committed, known())
    assert is_overtaken(known(), known(progress={0: one, 1: replace(one, planned=101)}))
    assert is_overtaken(known(), known(progress={0: one, 1: one, 2: one}))
    assert is_overtaken(known(), known(topic_incarnation=1))


def test_records_claimed_but_not_committed_that_are_deleted_are_a_gap() -> None:
    """A batch in flight does not hide that its records are gone: they were not yet in the
    accounts."""
    state = known(progress={0: PartitionProgress(first=0, planned=100, committed=40)})
    (gap,) = find_gaps(state, seen((60, 100)))
    assert (gap.kind, gap.expected_offset, gap.found_offset) == ("topic_truncated", 40, 60)
    assert "20 offsets" in gap.detail


@given(
    progress=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5),
    growth=st.lists(st.integers(0, 50), min_size=5, max_size=5),
    deleted=st.lists(st.integers(0, 50), min_size=5, max_size=5),
)
def test_a_topic_that_only_grows_and_forgets_what_is_committed_has_no_gap(
    progress: list[tuple[int, int]], growth: list[int], deleted: list[int]
) -> None:
    state = known(
        progress={
            n: PartitionProgress(first=0, planned=c + p, committed=c)
            for n, (c, p) in enumerate(progress)
        }
    )
    offsets = {
        n: (min(deleted[n], p.committed), p.planned + growth[n]) for n, p in state.progress.items()
    }
    assert find_gaps(state, TopicSight(topic_id="A", offsets=offsets)) == ()


@given(
    pending=st.dictionaries(st.integers(0, 20), st.integers(1, 10**9), max_size=12),
    cap=st.integers(1, 10**6),
)
def test_shares_add_up_to_what_there_is_or_to_the_cap_and_never_exceed_what_is_pending(
    pending: dict[int, int], cap: int
) -> None:
    shares = share_out(pending, cap)
    assert sum(shares.values()) == min(cap, sum(pending.values()))
    assert all(0 < count <= pending[partition] for partition, count in shares.items())
    if sum(pending.values()) <= cap:
        assert shares == pending


@given(
    pending=st.dictionaries(st.integers(0, 9), st.integers(1, 10**9), min_size=2, max_size=8),
    cap=st.integers(10, 10**6),
)
def test_shares_follow_volume_within_one_offset(pending: dict[int, int], cap: int) -> None:
    total = sum(pending.values())
    if total <= cap:
        return
    shares = share_out(pending, cap)
    for partition, count in pending.items():
        assert abs(shares.get(partition, 0) * total - count * cap) < total


@pytest.mark.parametrize(
    ("pending", "seconds_since_claim", "due"),
    [
        (0, None, False),
        (0, 9_999, False),
        (1, None, True),
        (1, STREAM.max_wait_seconds - 1, False),
        (1, STREAM.max_wait_seconds, True),
        (STREAM.records_early - 1, 0, False),
        (STREAM.records_early, 0, True),
    ],
)
def test_a_claim_is_due_after_the_wait_or_at_the_volume(
    pending: int, seconds_since_claim: int | None, due: bool
) -> None:
    last = None if seconds_since_claim is None else NOW - timedelta(seconds=seconds_since_claim)
    assert is_due(STREAM, pending, last, NOW) is due


def batch(**changes: Any) -> OpenBatch:
    base = OpenBatch(
        batch_id=7,
        attempt=1,
        status="planned",
        arrival_partition="2026-11-24-10:00",
        planned_at=NOW,
        not_before=NOW,
    )
    return replace(base, **changes)


ALIVE = NOW + timedelta(seconds=10)
OVER = NOW - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("open_batch", "run", "action"),
    [
        (batch(), RunSight(), "request"),
        (batch(not_before=ALIVE, attempt=3), RunSight(), "wait"),
        (batch(), RunSight(outlook="waiting"), "wait"),
        (batch(not_before=OVER), RunSight(outlook="waiting"), "wait"),
        (batch(), RunSight(outlook="started", started_at=NOW), "wait"),
        (batch(), RunSight(outlook="started", started_at=NOW - planning.START_GRACE), "retry"),
        (batch(), RunSight(outlook="failed"), "retry"),
        (batch(), RunSight(outlook="succeeded"), "retry"),
        (batch(status="running", lease_until=ALIVE), RunSight(outlook="started"), "wait"),
        (batch(status="running", lease_until=ALIVE), RunSight(outlook="failed"), "retry"),
        (batch(status="running", lease_until=ALIVE), RunSight(), "wait"),
        (batch(status="running", lease_until=OVER), RunSight(outlook="started"), "retry"),
        (batch(status="running", lease_until=OVER), RunSight(), "retry"),
        (batch(status="running", lease_until=None), RunSight(), "retry"),
        (batch(status="dead"), RunSight(), "wait"),
    ],
)
def test_an_open_batch_is_waited_for_requested_or_taken_away(
    open_batch: OpenBatch, run: RunSight, action: str
) -> None:
    assert next_step(open_batch, run, NOW).action == action


@given(st.integers(1, 10_000))
def test_back_off_never_exceeds_its_limit_and_never_shrinks(attempt: int) -> None:
    seconds = planning.back_off_seconds(attempt)
    assert 0 <= seconds <= planning.BACK_OFF_SECONDS_MAX
    assert planning.back_off_seconds(attempt + 1) >= seconds


def test_lag_counts_what_is_not_committed_and_pending_what_is_not_claimed() -> None:
    state = known(progress={0: PartitionProgress(first=0, planned=100, committed=40)})
    assert planning.lag_records(state, {0: 130}) == 90
    assert planning.pending_records(state, {0: 130}) == {0: 30}
    assert planning.pending_records(state, {0: 100}) == {}
    assert planning.pending_records(state, {}) == {}


def test_an_arrival_partition_is_the_utc_hour() -> None:
    assert planning.arrival_partition(NOW) == "2026-11-24-10:00"


def test_an_unknown_stream_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="iot_energy"):
        find("iot_energie")


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_every_stream_waits_from_five_seconds_to_five_minutes_and_less_on_volume(
    stream: Any,
) -> None:
    wait = timedelta(seconds=stream.max_wait_seconds)
    assert timedelta(seconds=5) <= wait <= timedelta(minutes=5)
    moment = timedelta(milliseconds=1)
    assert not is_due(stream, 1, NOW - wait + moment, NOW)
    assert is_due(stream, 1, NOW - wait, NOW)
    assert not is_due(stream, 0, NOW - 10 * wait, NOW)
    assert not is_due(stream, stream.records_early - 1, NOW - moment, NOW)
    assert is_due(stream, stream.records_early, NOW - moment, NOW)
    assert stream.records_early < stream.records_max


def test_meters_are_the_most_urgent_and_declarations_the_least() -> None:
    waits = {stream.name: stream.max_wait_seconds for stream in STREAMS}
    assert waits["iot_energy"] == min(waits.values())
    assert waits["supplier"] == max(waits.values())
