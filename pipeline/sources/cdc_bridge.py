"""From a topic of captured changes to purchase order events, each change once.

Belongs here: reading the topic, and the order of writing down, sending and committing. Does not:
what a change means (cdc_envelope, cdc_mapping, cdc_rows), configuration (cdc).

The order is: apply the changes and write down what they lead to and up to where they were read, in
one transaction; send what is written down; forget it once Kafka has acknowledged it; commit the
offsets. Killed anywhere, the next run sends what was written down with the revisions it has. The
offsets to go on from are those in the database, which a restore puts back with the rest; those of
the consumer group say how far events have arrived.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, RejectedRecord, Unavailable
from carbon_ledger.failpoints import failpoint
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.settings import Settings
from carbon_ledger.store.captured import CapturedRows, Pending
from carbon_ledger.store.rows import Connection
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.kafka import brokers_unavailable, kafka_config
from pipeline.producers import CarbonEventProducer
from pipeline.sources.cdc_envelope import read_change
from pipeline.sources.cdc_mapping import STREAM, ErpMapping
from pipeline.sources.cdc_rows import CONTENT_TYPE, EVENT, Applied, ChangeApplier, Told
from pipeline.topics import STREAM_TOPICS

log = logging.getLogger(__name__)

BATCH_RECORDS: Final = 200
# What librdkafka may hold in memory of a topic that is read slower than it can be fetched.
QUEUED_KIBI: Final = 16 * 1024
REQUEST_SECONDS: Final = 15.0
RELAY_BATCH: Final = 1000
POLL_SECONDS: Final = 0.5
# A topic that was just made has no leader for a moment: it is asked again.
LEADER_CHANGES: Final = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
)

Report = Callable[[Mapping[str, int], str | None], None]


@dataclass(frozen=True, kw_only=True)
class BridgeConfig:
    """What is read, by whom, and what its tables are."""

    source: str
    topic: str
    group: str
    mapping: ErpMapping


class Bridge:
    """One run over a topic of changes; `counts` of what it did.

    The connection must not be in autocommit; it and the producer are the caller's to close.
    """

    def __init__(
        self,
        config: BridgeConfig,
        settings: Settings,
        connection: Connection,
        producer: CarbonEventProducer,
    ) -> None:
        self.config, self.settings, self.connection = config, settings, connection
        self.producer = producer
        self.rows = CapturedRows(connection, config.source)
        self.counts = Applied()

    def run(self, stop: threading.Event, once: bool, report: Report) -> dict[str, int]:
        """Works until `stop` is set, or with `once` until the end of the topic.

        Raises ConfigurationError `source_in_use`, `change_topic_partitions`; BrokenInvariant
        `change_gap`; Unavailable (`topic_missing` among them) or DeliveryFailed with everything
        that was not acknowledged left to the next run.
        """
        self.rows.lock()
        self.connection.commit()
        self._relay()
        consumer = self._consumer()
        try:
            self._check_topic(consumer)
            low, high = self._ends(consumer)
            following = self._start(low, high)
            # Not as a member of the group, whose next one would wait until a killed one is given
            # up: the lock says that there is no other.
            consumer.assign([TopicPartition(self.config.topic, 0, following)])
            while not stop.is_set() and not (once and following >= high):
                messages = self._consume(consumer)
                if messages:
                    self._work(consumer, messages)
                    following = _following(messages)
                    report(asdict(self.counts), None)
        finally:
            consumer.close()
        return asdict(self.counts)

    def _work(self, consumer: Consumer, messages: Sequence[Message]) -> None:
        with self.connection.transaction():
            applier = ChangeApplier(self.rows, self.config.mapping, datetime.now(UTC))
            for message in messages:
                self._apply(applier, message)
            self.rows.put_progress(self.config.topic, _following(messages))
        for name, value in asdict(applier.counts).items():
            setattr(self.counts, name, getattr(self.counts, name) + value)
        failpoint("changes_applied")
        self._relay()
        failpoint("changes_relayed")
        try:
            consumer.commit(message=messages[-1], asynchronous=False)
        except KafkaException as error:
            # The database knows how far it is; the group only tells others.
            log.warning("offsets were not committed: %s", error.args[0].str())

    def _apply(self, applier: ChangeApplier, message: Message) -> None:
        key, value = message.key(), message.value()
        applier.counts.read += 1
        told = Told(
            coordinates=f"{message.topic()}:{message.partition()}:{message.offset()}",
            payload=_bytes(value) or b"",
        )
        try:
            change = read_change(_bytes(key), _bytes(value), self.config.mapping.types)
            if change is None:
                applier.counts.tombstones += 1
                return
            with self.connection.transaction():  # a savepoint: all of a change, or nothing
                applier.apply(change, told)
        except RejectedRecord as problem:
            applier.refuse(problem, told)

    def _relay(self) -> None:
        """Sends what is written down and forgets it once Kafka has acknowledged all of it."""
        while True:
            with self.connection.transaction():
                waiting = self.rows.pending(RELAY_BATCH)
            if not waiting:
                return
            for one in waiting:
                if one.kind == EVENT:
                    self._send_event(one)
                else:
                    letter = EdgeLetter(**one.body, payload=one.payload or b"")
                    send_edge_letter(self.producer, letter)
            self.producer.flush()
            failpoint("captured_events_sent")
            with self.connection.transaction():
                self.rows.remove_pending(waiting[-1].pending_no)

    def _send_event(self, one: Pending) -> None:
        try:
            event = PurchaseOrderEvent.from_avro_fields(one.body, datetime.now(UTC))
            self.producer.send(STREAM_TOPICS[STREAM].name, value=event)
        except RejectedRecord as problem:
            # It was acceptable when it was written down: the rules have changed in between.
            letter = EdgeLetter.of(
                problem,
                source=self.config.source,
                coordinates=f"pending:{one.pending_no}",
                payload=json.dumps(one.body).encode(),
                stream=STREAM,
                content_type=CONTENT_TYPE,
            )
            send_edge_letter(self.producer, letter)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                **kafka_config(self.settings),
                "group.id": self.config.group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": QUEUED_KIBI,
            }
        )

    def _check_topic(self, consumer: Consumer) -> None:
        try:
            found = consumer.list_topics(self.config.topic, timeout=REQUEST_SECONDS)
        except KafkaException as error:
            raise brokers_unavailable(kafka_config(self.settings), error.args[0].str()) from error
        topic = found.topics.get(self.config.topic)
        if topic is None or topic.error is not None:
            raise Unavailable(
                "topic_missing",
                f"there is no topic {self.config.topic} yet: apply the connector that writes it "
                "(`carbon connect apply FILE`) and see `carbon connect status`",
            )
        if len(topic.partitions) != 1:
            raise ConfigurationError(
                "change_topic_partitions",
                f"{self.config.topic} has {len(topic.partitions)} partitions; valid is one: header "
                "and lines must come in the order of the database's log "
                "(topic.creation.default.partitions=1)",
            )

    def _consume(self, consumer: Consumer) -> list[Message]:
        messages = []
        for message in consumer.consume(BATCH_RECORDS, POLL_SECONDS):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                log.warning("reading %s: %s", self.config.topic, error.str())
        return messages

    def _ends(self, consumer: Consumer) -> tuple[int, int]:
        deadline = time.monotonic() + REQUEST_SECONDS
        while True:
            try:
                low, high = consumer.get_watermark_offsets(self._partition, timeout=REQUEST_SECONDS)
            except KafkaException as error:
                if error.args[0].code() in LEADER_CHANGES and time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
                    continue
                reason = error.args[0].str()
                raise brokers_unavailable(kafka_config(self.settings), reason) from error
            return int(low), int(high)

    def _start(self, low: int, high: int) -> int:
        """Where to go on. A topic that was made anew is read from its start: what it tells again is
        known by its place in the database's log.
        """
        with self.connection.transaction():
            known = self.rows.progress(self.config.topic)
        if known is not None and known < low:
            raise BrokenInvariant(
                "change_gap",
                f"{self.config.topic} begins at offset {low}, and {known} was to come next: "
                "changes were deleted before they were read. Have the connector take a new "
                "snapshot into a topic of another name, and name that one here: it finds what is "
                "missing",
            )
        return low if known is None or known > high else known

    @property
    def _partition(self) -> TopicPartition:
        return TopicPartition(self.config.topic, 0)


def _following(messages: Sequence[Message]) -> int:
    return int(messages[-1].offset() or 0) + 1


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
