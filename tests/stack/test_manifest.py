"""The manifest against a real PostgreSQL: claims, attempts, leases, and what two planners do at
once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.store import gaps, manifest
from carbon_ledger.store.checks import reconcile
from carbon_ledger.store.manifest import AttemptReplaced, BatchPlan
from carbon_ledger.streams import Stream
from tests.support.manifest_examples import (
    commit,
    observe,
    own_stream,
    plan,
    sight,
    utc_now,
    work_off,
)
from tests.support.postgres import Connection, LedgerDatabase, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        yield found


@pytest.fixture
def conn(database: LedgerDatabase) -> Iterator[Connection]:
    with database.writer(autocommit=True) as connection:
        yield connection


def claimed(conn: Connection, stream: Stream) -> BatchPlan:
    """A stream that has seen 10 and 5 records, and its first claim."""
    seen = sight(10, 5)
    assert observe(conn, stream, seen) == []
    batch = plan(conn, stream, seen)
    assert batch is not None
    return batch


def ranges(batch: BatchPlan) -> dict[int, tuple[int, int]]:
    return {one.kafka_partition: (one.start_offset, one.end_offset) for one in batch.ranges}


def test_the_first_sight_of_a_topic_opens_its_accounts_at_zero(conn: Connection) -> None:
    batch = claimed(conn, own_stream())
    assert ranges(batch) == {0: (0, 10), 1: (0, 5)}
    assert (batch.attempt, batch.topic_id, batch.topic_incarnation) == (1, "A", 0)


def test_a_second_claim_begins_where_the_first_ended(conn: Connection) -> None:
    stream = own_stream()
    work_off(conn, claimed(conn, stream))
    batch = plan(conn, stream, sight(12, 5))
    assert batch is not None
    assert ranges(batch) == {0: (10, 12)}


def test_there_is_one_open_batch_per_stream(conn: Connection) -> None:
    stream = own_stream()
    first = claimed(conn, stream)
    assert plan(conn, stream, sight(100, 100)) is None
    found = manifest.live_batch(conn, stream.name)
    assert found == first
    with pytest.raises(psycopg.errors.UniqueViolation, match="batch_one_open_per_stream"):
        conn.execute(
            "insert into manifest.batch (stream, arrival_partition) values (%s, "
            "'2026-01-01-00:00')",
            (stream.name,),
        )


def test_no_offset_can_be_claimed_twice_even_by_hand(conn: Connection) -> None:
    stream = own_stream()
    batch = claimed(conn, stream)
    work_off(conn, batch)
    conn.execute(
        "insert into manifest.batch (stream, arrival_partition) values (%s, '2026-01-01-00:00')",
        (stream.name,),
    )
    with pytest.raises(psycopg.errors.UniqueViolation, match="batch_range_is_claimed_once"):
        conn.execute(
            "insert into manifest.batch_range (batch_id, topic, kafka_partition, start_offset, "
            "end_offset) select max(batch_id), %s, 0, 0, 3 from manifest.batch",
            (stream.topic,),
        )


def test_a_batch_takes_at_most_its_cap_by_share_of_volume(conn: Connection) -> None:
    stream = own_stream(records_max=6)
    assert ranges(claimed(conn, stream)) == {0: (0, 4), 1: (0, 2)}


def test_a_claim_waits_for_company_until_its_time_or_its_volume(conn: Connection) -> None:
    stream = own_stream(max_wait_seconds=60, records_early=50)
    first = claimed(conn, stream)
    work_off(conn, first)
    now = utc_now()
    assert plan(conn, stream, sight(11, 5), now) is None
    assert manifest.read_state(conn, stream.name).pending_since == now
    assert plan(conn, stream, sight(11, 54), now) is not None


def test_waiting_ends_when_the_wait_is_over(conn: Connection) -> None:
    stream = own_stream(max_wait_seconds=60)
    work_off(conn, claimed(conn, stream))
    assert plan(conn, stream, sight(11, 5), utc_now() + timedelta(seconds=61)) is not None
    assert manifest.read_state(conn, stream.name).pending_since is None


def test_a_stream_keeps_its_topic(conn: Connection) -> None:
    stream = own_stream()
    manifest.ensure_stream(conn, stream)
    with pytest.raises(BrokenInvariant, match="keeps its topic"):
        manifest.ensure_stream(conn, replace(stream, topic="another"))


def test_an_attempt_is_begun_by_one_run_and_repeated_by_the_same(conn: Connection) -> None:
    batch = claimed(conn, own_stream())
    assert manifest.begin_attempt(conn, batch.batch_id, 1, "run-a") == batch
    assert manifest.begin_attempt(conn, batch.batch_id, 1, "run-a") == batch
    with pytest.raises(AttemptReplaced, match="already being worked on by run run-a"):
        manifest.begin_attempt(conn, batch.batch_id, 1, "run-b")


def test_a_failed_attempt_is_replaced_and_cannot_commit_any_more(conn: Connection) -> None:
    """A worker that was taken for dead wakes up: what it does from then on is refused."""
    batch = claimed(conn, own_stream())
    manifest.begin_attempt(conn, batch.batch_id, 1, "run-a")
    commit(conn, batch, 0)
    after = manifest.fail_attempt(conn, batch.batch_id, 1, "worker vanished")
    assert after is not None
    assert (after.attempt, after.status, after.error) == (2, "planned", "worker vanished")
    with pytest.raises(psycopg.Error, match="fenced: attempt 1"):
        commit(conn, batch, 1)
    with pytest.raises(AttemptReplaced):
        manifest.finish_batch(conn, batch.batch_id, 1)
    with pytest.raises(AttemptReplaced):
        manifest.begin_attempt(conn, batch.batch_id, 1, "run-a")
    assert not manifest.renew_lease(conn, batch.batch_id, 1)
    assert manifest.fail_attempt(conn, batch.batch_id, 1, "again") is None
    second = manifest.begin_attempt(conn, batch.batch_id, 2, "run-b")
    commit(conn, second)
    manifest.finish_batch(conn, batch.batch_id, 2)
    assert reconcile_of(conn, batch.topic) == []


def reconcile_of(conn: Connection, topic: str) -> list[object]:
    """Seams in the offsets of one topic (its events are not in this test's ledger)."""
    return [d for d in reconcile(conn) if d.subject.startswith(f"{topic}/")]


def test_a_batch_is_not_done_before_all_its_parts_are(conn: Connection) -> None:
    batch = claimed(conn, own_stream())
    manifest.begin_attempt(conn, batch.batch_id, 1, "run-a")
    commit(conn, batch, 0)
    with pytest.raises(BrokenInvariant, match=r"-1 \[0, 5\)"):
        manifest.finish_batch(conn, batch.batch_id, 1)
    commit(conn, batch, 1)
    manifest.finish_batch(conn, batch.batch_id, 1)
    manifest.finish_batch(conn, batch.batch_id, 1)
    assert manifest.is_done(conn, batch.batch_id)
    assert manifest.open_batch(conn, batch.stream) is None


def test_a_lease_is_renewed_while_a_commit_is_under_way(
    conn: Connection, database: LedgerDatabase
) -> None:
    """A long commit holds the batch's row; a sign of life that waited for it would come too
    late."""
    batch = claimed(conn, own_stream())
    manifest.begin_attempt(conn, batch.batch_id, 1, "run-a", lease_seconds=1)
    with database.writer() as committing:
        one = batch.ranges[0]
        committing.execute(
            "select manifest.open_part(%s, 1, %s, %s)",
            (batch.batch_id, one.topic, one.kafka_partition),
        )
        conn.execute("set lock_timeout = '2s'")
        assert manifest.renew_lease(conn, batch.batch_id, 1, lease_seconds=60)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            manifest.fail_attempt(conn, batch.batch_id, 1, "taken away in mid-commit")
        committing.rollback()
    found = manifest.open_batch(conn, batch.stream)
    assert found is not None
    assert found.lease_until is not None
    assert found.lease_until - utc_now() > timedelta(seconds=30)


def test_back_off_grows_with_the_attempts(conn: Connection) -> None:
    batch = claimed(conn, own_stream())
    now = utc_now()
    waits = []
    for attempt in range(1, 8):
        after = manifest.fail_attempt(conn, batch.batch_id, attempt, "no", counts=False, now=now)
        assert after is not None
        waits.append((after.not_before - now).seconds)
    assert waits == [1, 2, 4, 8, 15, 15, 15]


def test_an_outage_is_waited_out_however_long(conn: Connection) -> None:
    """Attempts that fail because a service is down do not use up the batch's patience."""
    batch = claimed(conn, own_stream())
    for attempt in range(1, 60):
        after = manifest.fail_attempt(conn, batch.batch_id, attempt, "down", counts=False)
        assert after is not None
        assert after.status == "planned"


def test_a_batch_that_keeps_failing_halts_its_stream_until_somebody_lets_it_go_on(
    conn: Connection,
) -> None:
    stream = own_stream()
    batch = claimed(conn, stream)
    for attempt in range(1, 21):
        after = manifest.fail_attempt(conn, batch.batch_id, attempt, "worker killed")
    assert after is not None
    assert after.status == "dead"
    reason = manifest.read_state(conn, stream.name).halted_reason
    assert reason is not None
    assert "batch_failed" in reason
    assert "carbon stream resume" in reason
    assert plan(conn, stream, sight(100, 100)) is None
    (gap,) = gaps.open_gaps(conn, stream.name)
    assert gaps.accept_gap(conn, stream.name, gap.gap_id, because="fixed", by="Kim") == []
    found = manifest.open_batch(conn, stream.name)
    assert found is not None
    assert (found.status, found.attempt) == ("planned", 21)
    work_off(conn, replace(batch, attempt=21))
    assert manifest.read_state(conn, stream.name).halted_reason is None


def test_a_rebuild_finds_the_batches_of_its_hours_in_order(conn: Connection) -> None:
    stream = own_stream()
    first = claimed(conn, stream)
    work_off(conn, first)
    second = plan(conn, stream, sight(12, 7))
    assert second is not None
    hours = ["2026-11-24-10:00", "2026-11-24-11:00"]
    assert manifest.plans_of_partitions(conn, stream.name, hours) == [first]
    work_off(conn, second)
    assert manifest.plans_of_partitions(conn, stream.name, hours) == [first, second]
    assert manifest.plans_of_partitions(conn, stream.name, hours[1:]) == []


def test_a_look_that_another_planner_overtook_halts_nothing(conn: Connection) -> None:
    stream = own_stream()
    observe(conn, stream, sight(10, 5))
    before, early = manifest.read_state(conn, stream.name), sight(12, 5)
    assert plan(conn, stream, sight(20, 5)) is not None
    assert gaps.observe_topic(conn, stream.name, early, looked_from=before) == []
    after = manifest.read_state(conn, stream.name)
    assert after.halted_reason is None
    (lost,) = gaps.observe_topic(conn, stream.name, early, looked_from=after)
    assert lost.kind == "tail_lost"


def test_two_planners_at_once_make_one_claim(database: LedgerDatabase, conn: Connection) -> None:
    stream = own_stream()
    seen = sight(1000, 500)
    observe(conn, stream, seen)
    found: list[BatchPlan | None] = []
    gate = threading.Barrier(6)

    def one_planner() -> None:
        with database.writer(autocommit=True) as mine:
            gate.wait()
            found.append(plan(mine, stream, seen))

    threads = [threading.Thread(target=one_planner) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(batch is not None for batch in found) == 1


STEPS = st.one_of(
    st.tuples(st.just("grow"), st.integers(0, 2), st.integers(1, 40)),
    st.tuples(st.just("plan"), st.booleans(), st.just(0)),
    st.tuples(st.just("commit"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("fail"), st.booleans(), st.just(0)),
    st.tuples(st.just("finish"), st.just(0), st.just(0)),
    st.tuples(st.just("stale"), st.integers(0, 2), st.just(0)),
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
def test_claims_never_overlap_nor_leave_a_hole_whatever_happens_in_between(
    conn: Connection, steps: list[tuple[str, int, int]]
) -> None:
    """Growth, stale sights, failures, half-done commits and repeated planning in any order."""
    stream = own_stream(records_max=25)
    highs = [0, 0, 0]
    observe(conn, stream, sight(*highs))
    current: BatchPlan | None = None
    older: list[BatchPlan] = []
    for kind, first, second in steps:
        if kind == "grow":
            highs[first] += second
        elif kind == "plan":
            # Sometimes from a sight that is out of date.
            seen = sight(*([high // 2 for high in highs] if first else highs))
            current = plan(conn, stream, seen) or current
        elif kind == "stale" and older:
            with pytest.raises(psycopg.Error, match="fenced"):
                commit(conn, older[-1])
        elif current is not None and manifest.open_batch(conn, stream.name) is not None:
            if kind == "commit":
                commit(conn, current, first)
            elif kind == "fail":
                if manifest.fail_attempt(
                    conn, current.batch_id, current.attempt, "x", counts=False
                ):
                    older.append(current)
                    current = replace(current, attempt=current.attempt + 1)
            elif kind == "finish":
                commit(conn, current)
                manifest.finish_batch(conn, current.batch_id, current.attempt)
    check_claims(conn, stream)


def check_claims(conn: Connection, stream: Stream) -> None:
    """Per partition the claims are [0, a), [a, b), … up to the planned offset."""
    rows = conn.execute(
        "select kafka_partition, start_offset, end_offset from manifest.batch_range"
        " where topic = %s and withdrawn_at is null order by 1, 2",
        (stream.topic,),
    ).fetchall()
    ends = dict.fromkeys(range(3), 0)
    for partition, start, end in rows:
        assert start == ends[partition]
        ends[partition] = end
    progress = manifest.read_state(conn, stream.name).progress
    assert {partition: p.planned for partition, p in progress.items()} == ends
    assert reconcile_of(conn, stream.topic) == []
