"""Kafka's topics as a Dagster resource: what is there, from where to where.

Belongs here: looking at a topic within a bounded time. Does not: reading records, judging what is
seen (carbon_ledger.planning).
"""

from typing import Any

import dagster as dg

from carbon_ledger.planning import TopicSight


class KafkaTopics(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A look at topics. `timeout_seconds` bounds each of the three requests of one look."""

    timeout_seconds: float = 2.0

    def sight(self, topic: str) -> TopicSight:
        """The topic's id and the first and end offset of each partition. Raises Unavailable."""
        from carbon_ledger import settings
        from pipeline.topic_sight import look

        return look(topic, settings.load(), self.timeout_seconds)

    def relay_dead_letters(self, database: Any) -> int:
        """Sends the dead letters that dlq.failed_events has not acknowledged yet; how many it now
        has."""
        from carbon_ledger import settings
        from pipeline.dead_letters import relay

        with database.connect("dead letters") as conn:
            return relay(conn, settings.load())
