"""A look at a topic within a bounded time: its id, and from where to where each partition goes.

Belongs here: asking Kafka. Does not: reading records, judging what is seen
(carbon_ledger.planning).
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from carbon_ledger.planning import TopicSight
from carbon_ledger.settings import Settings
from pipeline.kafka import brokers_unavailable, kafka_config

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

TIMEOUT_SECONDS = 2.0
# Long-lived: a client that is made anew for each look asks for all metadata each time.
_CLIENTS: dict[str, AdminClient] = {}


def look(topic: str, settings: Settings, timeout_seconds: float = TIMEOUT_SECONDS) -> TopicSight:
    """The topic's id (None: there is none) and each partition's first and end offset.

    `timeout_seconds` bounds each of the three requests. Raises Unavailable.
    """
    from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
    from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

    config = kafka_config(settings)
    admin = _admin(config)
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_seconds)
        description = _result(described[topic], timeout_seconds)
        partitions = [TopicPartition(topic, part.id) for part in description.partitions]
        lows = _offsets(admin, partitions, OffsetSpec.earliest(), timeout_seconds)  # type: ignore[no-untyped-call]
        highs = _offsets(admin, partitions, OffsetSpec.latest(), timeout_seconds)  # type: ignore[no-untyped-call]
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return TopicSight(topic_id=None)
        # Leaders move, partitions are being made: no statement about the topic.
        raise brokers_unavailable(config, error.args[0].str()) from error
    except TimeoutError as error:
        raise brokers_unavailable(config, "no answer in time") from error
    offsets = {partition: (lows[partition], highs[partition]) for partition in lows}
    return TopicSight(topic_id=str(description.topic_id), offsets=offsets)


def _offsets(
    admin: AdminClient, partitions: list[Any], spec: Any, timeout_seconds: float
) -> dict[int, int]:
    futures = admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=timeout_seconds)
    return {
        partition.partition: _result(future, timeout_seconds).offset
        for partition, future in futures.items()
    }


def _result(future: Future[Any], timeout_seconds: float) -> Any:
    # The client's own time-out comes first; this one is for a client that hangs.
    return future.result(timeout=timeout_seconds + 1)


def _admin(config: dict[str, Any]) -> AdminClient:
    from confluent_kafka.admin import AdminClient

    key = repr(sorted((name, str(value)) for name, value in config.items() if name != "logger"))
    if key not in _CLIENTS:
        _CLIENTS[key] = AdminClient(dict(config))
    return _CLIENTS[key]
