"""Kafka's topics as a Dagster resource: what is there, from where to where.

Belongs here: looking at a topic within a bounded time. Does not: reading records, judging what is
seen (carbon_ledger.planning).
"""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import dagster as dg

from carbon_ledger.planning import TopicSight

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

# Long-lived: a client that is made anew for each look asks for all metadata each time.
_CLIENTS: dict[str, "AdminClient"] = {}


class KafkaTopics(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A look at topics. `timeout_seconds` bounds each of the three requests of one look."""

    timeout_seconds: float = 2.0

    def sight(self, topic: str) -> TopicSight:
        """The topic's id and the first and end offset of each partition. Raises Unavailable."""
        from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

        from pipeline.kafka import brokers_unavailable

        config = self._config()
        admin = self._admin(config)
        try:
            described = admin.describe_topics(
                TopicCollection([topic]), request_timeout=self.timeout_seconds
            )
            description = self._result(described[topic])
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return TopicSight(topic_id=None)
            raise brokers_unavailable(config, error.args[0].str()) from error
        except TimeoutError as error:
            raise brokers_unavailable(config, "no answer in time") from error
        partitions = [TopicPartition(topic, p.id) for p in description.partitions]
        try:
            lows = self._offsets(admin, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            highs = self._offsets(admin, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        except KafkaException as error:
            # Leaders move, partitions are being made: no statement about the topic.
            raise brokers_unavailable(config, error.args[0].str()) from error
        except TimeoutError as error:
            raise brokers_unavailable(config, "no answer in time") from error
        offsets = {partition: (lows[partition], highs[partition]) for partition in lows}
        return TopicSight(topic_id=str(description.topic_id), offsets=offsets)

    def _offsets(self, admin: "AdminClient", partitions: list[Any], spec: Any) -> dict[int, int]:
        futures = admin.list_offsets(
            dict.fromkeys(partitions, spec), request_timeout=self.timeout_seconds
        )
        return {partition.partition: self._result(f).offset for partition, f in futures.items()}

    def _result(self, future: Future[Any]) -> Any:
        # The client's own time-out comes first; this one is for a client that hangs.
        return future.result(timeout=self.timeout_seconds + 1)

    def _config(self) -> dict[str, Any]:
        from carbon_ledger import settings
        from pipeline.kafka import kafka_config

        return kafka_config(settings.load())

    def _admin(self, config: Mapping[str, Any]) -> "AdminClient":
        from confluent_kafka.admin import AdminClient

        key = repr(sorted((name, str(value)) for name, value in config.items()))
        if key not in _CLIENTS:
            _CLIENTS[key] = AdminClient(dict(config))
        return _CLIENTS[key]

    def relay_dead_letters(self, database: Any) -> int:
        """Sends the dead letters that dlq.failed_events has not acknowledged yet; how many it now
        has."""
        from carbon_ledger import settings
        from pipeline.dead_letters import relay

        with database.connect("dead letters") as conn:
            return relay(conn, settings.load())
