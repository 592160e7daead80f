"""A topic that is recreated, cut, given more partitions or removed: real Kafka, real PostgreSQL.

The planner's own tick is what runs here; only Dagster's runs are named fakes, as no run takes part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from carbon_ledger import settings
from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.factor_book.book import make_release
from carbon_ledger.planning import OpenBatch, RunSight, TopicSight
from carbon_ledger.store import gaps, manifest
from carbon_ledger.store.checks import reconcile
from carbon_ledger.store.manifest import BatchPlan
from carbon_ledger.streams import Stream
from pipeline.kafka import kafka_config
from resources.kafka import KafkaTopics
from sensors.planner import Tick, plan_tick
from tests.support.factor_examples import grid_factor
from tests.support.manifest_examples import commit, own_stream, utc_now
from tests.support.postgres import Connection, LedgerDatabase, scratch_database

pytestmark = pytest.mark.stack

SECONDS = 30.0


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    from carbon_ledger.store.factors import store_release

    with scratch_database(stack.layout.database_url) as found:
        with found.writer(autocommit=True) as conn:
            store_release(conn, make_release("test", [grid_factor()]))
        yield found


@dataclass
class NoRuns:
    """Dagster, in which no run of any batch exists."""

    given_up: list[str] = field(default_factory=list)

    def find(self, batch: OpenBatch) -> RunSight:
        return RunSight()

    def give_up(self, run: RunSight, because: str) -> None:
        self.given_up.append(because)


@dataclass
class Meter:
    """A stream with a topic of its own, a producer on it, and its planner."""

    conn: Connection
    stream: Stream
    admin: AdminClient
    producer: Producer
    runs: NoRuns = field(default_factory=NoRuns)

    def create(self, partitions: int = 2, **config: str) -> None:
        topic = NewTopic(self.stream.topic, partitions, 1, config=config)
        self.admin.create_topics([topic])[self.stream.topic].result()
        self.await_sight(lambda sight: len(sight.offsets) == partitions)

    def delete(self) -> None:
        self.admin.delete_topics([self.stream.topic])[self.stream.topic].result()
        self.await_sight(lambda sight: sight.topic_id is None)

    def look(self) -> TopicSight:
        """What Kafka says, once it says anything: leaders of a topic just made are not there
        yet."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return KafkaTopics().sight(self.stream.topic)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def await_sight(self, is_so: Callable[[TopicSight], bool]) -> None:
        """Kafka's metadata follow a change of topics with a delay."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if is_so(self.look()):
                return
            time.sleep(0.1)
        raise AssertionError("the topic did not come to be as it should")

    def send(self, partition: int, count: int) -> None:
        for number in range(count):
            self.producer.produce(self.stream.topic, b"%d" % number, partition=partition)
        assert self.producer.flush(SECONDS) == 0

    def cut(self, partition: int, offset: int) -> None:
        """Deletes the records below `offset`, as retention does."""
        wanted = TopicPartition(self.stream.topic, partition, offset)
        for future in self.admin.delete_records([wanted]).values():
            future.result()

    def tick(self) -> Tick:
        return plan_tick(
            self.conn,
            self.stream,
            self.look,
            find_run=self.runs.find,
            give_up=self.runs.give_up,
            now=utc_now(),
            second_look=lambda: None,
        )

    def claim(self) -> BatchPlan:
        tick = self.tick()
        assert tick.batch_id is not None, tick.sentence
        return manifest.read_plan(self.conn, tick.batch_id)

    def work(self) -> BatchPlan:
        """A claim, committed whole."""
        batch = self.claim()
        commit(self.conn, batch)
        manifest.finish_batch(self.conn, batch.batch_id, batch.attempt)
        return batch

    def halted(self) -> list[gaps.Gap]:
        """The open gaps; the tick must name the first one, and the command, and claim nothing."""
        tick = self.tick()
        found = gaps.open_gaps(self.conn, self.stream.name)
        assert found
        assert tick.batch_id is None
        assert f"gap {found[0].gap_id}" in tick.sentence
        assert f"carbon stream resume {self.stream.name} --accept-gap" in tick.sentence
        return found

    def accept(self, gap: gaps.Gap) -> list[gaps.Gap]:
        return gaps.accept_gap(
            self.conn, self.stream.name, gap.gap_id, because="planned maintenance", by="Kim"
        )

    def ranges(self) -> list[tuple[int, int, int, int]]:
        """Incarnation, partition, start, end of every account."""
        return self.conn.execute(
            "select topic_incarnation, kafka_partition, start_offset, end_offset"
            " from ledger.batch_part where topic = %s order by 1, 2, 3",
            (self.stream.topic,),
        ).fetchall()

    def seams(self) -> list[str]:
        """Offsets that are missing or twice in the accounts."""
        return [str(d) for d in reconcile(self.conn) if self.stream.topic in d.subject]


@pytest.fixture
def meter(database: LedgerDatabase) -> Iterator[Meter]:
    config = kafka_config(settings.load())
    with database.writer(autocommit=True) as conn:
        yield Meter(
            conn=conn,
            stream=own_stream(),
            admin=AdminClient(config),
            producer=Producer(config),
        )


def test_a_topic_that_does_not_exist_yet_is_waited_for(meter: Meter) -> None:
    assert "does not exist yet" in meter.tick().sentence
    assert gaps.open_gaps(meter.conn, meter.stream.name) == []
    meter.create()
    meter.send(0, 3)
    assert meter.claim().records == 3


def test_a_recreated_topic_halts_and_goes_on_as_a_new_incarnation(meter: Meter) -> None:
    """Offsets start anew; without the incarnation, accounts of old and new would be the same
    rows."""
    meter.create()
    meter.send(0, 5)
    meter.send(1, 2)
    first = meter.work()
    meter.delete()
    (missing,) = meter.halted()
    assert missing.kind == "topic_missing"
    with pytest.raises(ConfigurationError, match="does not exist"):
        meter.accept(missing)
    meter.create()
    meter.send(0, 4)
    (gap,) = meter.halted()
    assert gap.kind == "topic_recreated"
    assert (gap.expected_topic_id, gap.found_topic_id) != (None, None)
    assert "7 records are in" in gap.detail
    assert meter.accept(gap) == []
    second = meter.work()
    assert (first.topic_incarnation, second.topic_incarnation) == (0, 1)
    assert meter.ranges() == [(0, 0, 0, 5), (0, 1, 0, 2), (1, 0, 0, 4)]
    assert meter.seams() == []


def test_a_claim_on_a_topic_that_was_recreated_in_between_is_withdrawn(meter: Meter) -> None:
    """The ranges claimed are of records that are gone; the new topic's must not be taken for
    them."""
    meter.create()
    meter.send(0, 5)
    meter.send(1, 5)
    batch = meter.claim()
    commit(meter.conn, batch, 0)
    meter.delete()
    meter.create()
    meter.send(0, 9)
    (gap,) = [gap for gap in meter.halted() if gap.kind == "topic_recreated"]
    assert "5 more were claimed" in gap.detail
    assert meter.accept(gap) == []
    with pytest.raises(Exception, match="fenced"):
        commit(meter.conn, batch, 1)
    meter.work()
    assert meter.ranges() == [(0, 0, 0, 5), (1, 0, 0, 9)]
    assert meter.seams() == []


def test_records_deleted_before_they_were_read_halt_the_stream(meter: Meter) -> None:
    meter.create()
    meter.send(0, 10)
    meter.work()
    meter.send(0, 20)
    meter.cut(0, 17)
    (gap,) = meter.halted()
    assert (gap.kind, gap.kafka_partition) == ("topic_truncated", 0)
    assert (gap.expected_offset, gap.found_offset) == (10, 17)
    assert "7 offsets" in gap.detail
    assert meter.accept(gap) == []
    meter.work()
    assert meter.ranges() == [(0, 0, 0, 10), (0, 0, 17, 30)]
    assert meter.seams() == []


def test_a_truncated_claim_goes_on_with_what_is_left_and_the_other_parts_are_claimed_anew(
    meter: Meter,
) -> None:
    meter.create()
    meter.send(0, 10)
    meter.send(1, 10)
    meter.claim()
    meter.cut(0, 4)
    (gap,) = meter.halted()
    assert meter.accept(gap) == []
    meter.work()
    assert meter.ranges() == [(0, 0, 4, 10), (0, 1, 0, 10)]
    assert meter.seams() == []


def test_a_topic_whose_first_records_are_gone_at_first_sight_halts(meter: Meter) -> None:
    """A stream that is started late says what it will never have."""
    meter.create()
    meter.send(1, 10)
    meter.cut(1, 6)
    (gap,) = meter.halted()
    assert (gap.kind, gap.expected_offset, gap.found_offset) == ("topic_truncated", 0, 6)
    assert meter.accept(gap) == []
    meter.work()
    assert meter.ranges() == [(0, 1, 6, 10)]
    assert meter.seams() == []


def test_a_gap_that_grows_before_it_is_accepted_is_accepted_as_it_then_is(meter: Meter) -> None:
    meter.create()
    meter.send(0, 10)
    meter.work()
    meter.send(0, 20)
    meter.cut(0, 15)
    meter.halted()
    meter.cut(0, 25)
    (gap,) = meter.halted()
    assert gap.found_offset == 25
    meter.accept(gap)
    meter.work()
    assert meter.ranges() == [(0, 0, 0, 10), (0, 0, 25, 30)]
    assert meter.seams() == []


def test_a_new_partition_halts_and_is_then_read_from_its_first_record(meter: Meter) -> None:
    meter.create()
    meter.send(0, 5)
    meter.work()
    wanted = NewPartitions(meter.stream.topic, 3)
    meter.admin.create_partitions([wanted])[meter.stream.topic].result()
    meter.await_sight(lambda sight: len(sight.offsets) == 3)
    meter.producer = Producer(kafka_config(settings.load()))  # one that knows the new partition
    meter.send(2, 4)
    meter.send(0, 1)
    (gap,) = meter.halted()
    assert (gap.kind, gap.kafka_partition) == ("partition_added", 2)
    assert meter.accept(gap) == []
    meter.work()
    assert meter.ranges() == [(0, 0, 0, 5), (0, 0, 5, 6), (0, 2, 0, 4)]
    assert meter.seams() == []


def test_a_batch_under_way_survives_a_new_partition(meter: Meter) -> None:
    meter.create()
    meter.send(0, 5)
    batch = meter.claim()
    wanted = NewPartitions(meter.stream.topic, 3)
    meter.admin.create_partitions([wanted])[meter.stream.topic].result()
    meter.await_sight(lambda sight: len(sight.offsets) == 3)
    (gap,) = meter.halted()
    commit(meter.conn, batch)
    manifest.finish_batch(meter.conn, batch.batch_id, batch.attempt)
    assert meter.accept(gap) == []
    assert meter.seams() == []


def test_a_broker_that_forgets_a_topic_for_a_moment_halts_nobody_for_good(meter: Meter) -> None:
    """The same topic seen again, with the same records, is no loss: the gap closes itself."""
    meter.create()
    meter.send(0, 5)
    meter.work()
    gaps.observe_topic(meter.conn, meter.stream.name, TopicSight(topic_id=None))
    state = manifest.read_state(meter.conn, meter.stream.name)
    assert state.halted_reason is not None
    meter.send(0, 5)
    assert meter.claim().records == 5
    row = meter.conn.execute(
        "select resolved_by, resolution from manifest.gap where stream = %s", (meter.stream.name,)
    ).fetchone()
    assert row is not None
    assert row[0] == "planner"
    assert "seen again" in row[1]


def test_a_log_that_lost_its_tail_does_not_take_new_records_for_the_old_ones(meter: Meter) -> None:
    """After an unclean election the same offsets are given out again, to other records."""
    meter.create()
    meter.send(0, 5)
    meter.work()
    topic_id = manifest.read_state(meter.conn, meter.stream.name).topic_id
    cut = TopicSight(topic_id=topic_id, offsets={0: (0, 3), 1: (0, 0)})
    (gap,) = gaps.observe_topic(meter.conn, meter.stream.name, cut)
    assert (gap.kind, gap.expected_offset, gap.found_offset) == ("tail_lost", 5, 3)
    meter.send(0, 2)
    assert [g.kind for g in meter.halted()] == ["tail_lost"], "it does not close itself"
    assert meter.accept(gap) == []
    meter.work()
    assert meter.ranges() == [(0, 0, 0, 5), (1, 0, 3, 7)]
    assert meter.seams() == []


def test_a_gap_is_accepted_with_a_reason_a_name_and_its_number_only(meter: Meter) -> None:
    meter.create()
    meter.send(0, 10)
    meter.cut(0, 6)
    (gap,) = meter.halted()
    name = meter.stream.name
    with pytest.raises(ConfigurationError, match="--because"):
        gaps.accept_gap(meter.conn, name, gap.gap_id, because=" ", by="Kim")
    with pytest.raises(ConfigurationError, match=f"open are: {gap.gap_id}"):
        gaps.accept_gap(meter.conn, name, gap.gap_id + 1, because="x", by="Kim")
    meter.accept(gap)
    row = meter.conn.execute(
        "select resolution, resolved_by from manifest.gap where gap_id = %s", (gap.gap_id,)
    ).fetchone()
    assert row == ("accepted: planned maintenance", "Kim")


def test_a_skipped_offset_that_no_gap_explains_is_found(meter: Meter) -> None:
    """The fault planted: progress moved by hand, past records nobody read."""
    meter.create()
    meter.send(0, 10)
    meter.conn.execute("select 1")
    meter.tick()
    batch = manifest.live_batch(meter.conn, meter.stream.name)
    assert batch is not None
    commit(meter.conn, batch)
    manifest.finish_batch(meter.conn, batch.batch_id, batch.attempt)
    assert meter.seams() == []
    meter.conn.execute(
        "update manifest.progress set planned_offset = 12, committed_offset = 12"
        " where topic = %s and kafka_partition = 0",
        (meter.stream.topic,),
    )
    assert meter.seams() != []
