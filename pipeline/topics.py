"""The topics: names, partitions, keys, retention, and making the ones that are missing.

Belongs here: the table below and its comparison with what a cluster has. Does not: schemas,
messages.

| topic | Kafka key | why that key |
|---|---|---|
| raw.iot.energy | sensor_id | revisions of a reading stay in order |
| raw.transport | vehicle_id | segments of a trip stay in order |
| raw.logistics | shipment_id | states of a leg stay in order |
| raw.procurement | purchase_order_id | order, receipt and credit note stay in order |
| raw.supplier | supplier_id | declarations that replace one another stay in order |
| raw.activities | activity_id | revisions of a registered activity stay in order |
| dlq.failed_events | topic:partition:offset | a letter relayed twice has the same key twice |
| audit.ledger.heads | log origin | heads are read in the order they were signed |

Kafka's retention is without limit: a raw record is what an entry is proved by.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings
from pipeline.kafka import brokers_unavailable, kafka_config

log = logging.getLogger(__name__)

KIBI: Final = 1024
MEBI: Final = 1024 * KIBI
REQUEST_SECONDS: Final = 15.0
LEADER_SECONDS: Final = 30.0
# From three brokers on, a topic survives the loss of one and still acknowledges only what two have.
REPLICATED_FROM_BROKERS: Final = 3
IN_SYNC_MIN: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One topic as this project wants it. `key_field` is the event field that is the Kafka key."""

    name: str
    partitions: int
    key: str
    max_message_bytes: int
    stream: str | None = None
    key_field: str | None = None
    timestamp_type: str = "CreateTime"

    def config(self, replicas: int) -> dict[str, str]:
        """Topic-level options, as the broker spells them."""
        return {
            "cleanup.policy": "delete",
            "compression.type": "producer",
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": self.timestamp_type,
            "min.insync.replicas": str(IN_SYNC_MIN if replicas >= REPLICATED_FROM_BROKERS else 1),
            "retention.bytes": "-1",
            "retention.ms": "-1",
        }


def _raw(name: str, stream: str, partitions: int, key_field: str) -> Topic:
    # LogAppendTime: latency and lag are measured from the broker's clock, not from a sender's.
    return Topic(
        name=name,
        partitions=partitions,
        key=key_field,
        key_field=key_field,
        stream=stream,
        max_message_bytes=MEBI,
        timestamp_type="LogAppendTime",
    )


TOPICS: Final[tuple[Topic, ...]] = (
    _raw("raw.iot.energy", "iot_energy", 4, "sensor_id"),
    _raw("raw.transport", "transport", 4, "vehicle_id"),
    _raw("raw.logistics", "logistics", 2, "shipment_id"),
    _raw("raw.procurement", "procurement", 2, "purchase_order_id"),
    _raw("raw.supplier", "supplier", 1, "supplier_id"),
    _raw("raw.activities", "activities", 1, "activity_id"),
    # A dead letter is a raw record and its headers, so it must fit whatever a raw topic took.
    Topic(
        name="dlq.failed_events",
        partitions=1,
        key="topic:partition:offset",
        max_message_bytes=4 * MEBI,
    ),
    # One partition: heads of a log have one order.
    Topic(name="audit.ledger.heads", partitions=1, key="log origin", max_message_bytes=MEBI),
)
TOPIC_NAMED: Final[Mapping[str, Topic]] = {topic.name: topic for topic in TOPICS}
STREAM_TOPICS: Final[Mapping[str, Topic]] = {
    topic.stream: topic for topic in TOPICS if topic.stream is not None
}
DEAD_LETTERS: Final = "dlq.failed_events"


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicDifference:
    """One property of an existing topic that is not what the table says."""

    topic: str
    what: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, wanted {self.wanted}"


def ensure_topics(settings: Settings) -> list[str]:
    """Makes the topics that are missing and returns their names, once every one has its leaders.

    A topic that exists is left exactly as it is; where it differs from the table, a warning is
    logged (`topic_differences` gives the list). Raises Unavailable if the brokers do not answer.
    """
    config = kafka_config(settings)
    admin = AdminClient(config)
    replicas = _replicas(admin, config)
    there = set(_metadata(admin, config).topics)
    missing = [topic for topic in TOPICS if topic.name not in there]
    created = [topic.name for topic in missing if _create(admin, config, topic, replicas)]
    _await_leaders(admin, config)
    for difference in topic_differences(settings):
        log.warning("%s; left as it is", difference)
    return created


def topic_differences(settings: Settings) -> list[TopicDifference]:
    """Where the topics of the cluster differ from the table; changes nothing.

    A missing topic is one difference. Raises Unavailable if the brokers do not answer.
    """
    config = kafka_config(settings)
    admin = AdminClient(config)
    replicas = _replicas(admin, config)
    there = _metadata(admin, config).topics
    found = [_shape(topic, there.get(topic.name), replicas) for topic in TOPICS]
    differences = [difference for shape in found for difference in shape]
    present = [topic for topic in TOPICS if topic.name in there]
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in present]
    if not resources:
        return differences
    answers = admin.describe_configs(resources, request_timeout=REQUEST_SECONDS)
    for topic, resource in zip(present, resources, strict=True):
        options = _result(answers[resource], config)
        for what, wanted in topic.config(replicas).items():
            value = options[what].value if what in options else "unknown"
            if value != wanted:
                differences.append(
                    TopicDifference(topic=topic.name, what=what, wanted=wanted, found=str(value))
                )
    return differences


def _shape(topic: Topic, found: Any, replicas: int) -> list[TopicDifference]:
    if found is None:
        return [TopicDifference(topic=topic.name, what="topic", wanted="there", found="missing")]
    counts = {len(partition.replicas) for partition in found.partitions.values()}
    pairs = (
        ("partitions", str(topic.partitions), str(len(found.partitions))),
        ("replicas", str(replicas), "/".join(str(count) for count in sorted(counts))),
    )
    return [
        TopicDifference(topic=topic.name, what=what, wanted=wanted, found=value)
        for what, wanted, value in pairs
        if wanted != value
    ]


def _replicas(admin: AdminClient, config: dict[str, Any]) -> int:
    brokers = len(_metadata(admin, config).brokers)
    return 3 if brokers >= REPLICATED_FROM_BROKERS else 1


def _metadata(admin: AdminClient, config: dict[str, Any]) -> Any:
    try:
        return admin.list_topics(timeout=REQUEST_SECONDS)
    except KafkaException as error:
        raise brokers_unavailable(config, error.args[0].str()) from error


def _create(admin: AdminClient, config: dict[str, Any], topic: Topic, replicas: int) -> bool:
    """Whether it was this call that made the topic."""
    wanted = NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=replicas,
        config=topic.config(replicas),
    )
    futures = admin.create_topics([wanted], request_timeout=REQUEST_SECONDS)
    try:
        futures[topic.name].result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise brokers_unavailable(config, error.args[0].str()) from error
    return True


def _result(future: Future[Any], config: dict[str, Any]) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        raise brokers_unavailable(config, error.args[0].str()) from error


def _await_leaders(admin: AdminClient, config: dict[str, Any]) -> None:
    """Returns once every topic can be written to; a topic just made takes a moment."""
    deadline = time.monotonic() + LEADER_SECONDS
    waiting = [topic.name for topic in TOPICS]
    while time.monotonic() < deadline:
        there = _metadata(admin, config).topics
        waiting = [name for name in waiting if not _has_leaders(there.get(name))]
        if not waiting:
            return
        time.sleep(0.2)
    raise Unavailable(
        "topic_without_leader",
        f"no leader after {LEADER_SECONDS:.0f} s for {', '.join(waiting)}; see the brokers' logs",
    )


def _has_leaders(found: Any) -> bool:
    return found is not None and all(
        partition.leader >= 0 for partition in found.partitions.values()
    )
