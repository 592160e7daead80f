"""Reading what a test sent from a real topic.

Belongs here: reading from the offsets noted before to the end. Does not: groups, commits, judging.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

from confluent_kafka import Consumer, Message, TopicPartition

from carbon_ledger.settings import Settings
from pipeline.kafka import kafka_config

SECONDS_MAX = 30.0


def consumer(settings: Settings) -> Consumer:
    """A consumer that belongs to no lasting group."""
    return Consumer(
        {
            **kafka_config(settings),
            "group.id": f"test-{uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
        }
    )


def end_offsets(settings: Settings, topic: str) -> dict[int, int]:
    """The offset after the last record, by partition."""
    reader = consumer(settings)
    try:
        partitions = reader.list_topics(topic, timeout=15).topics[topic].partitions
        return {
            partition: reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=15)[1]
            for partition in partitions
        }
    finally:
        reader.close()


@dataclass(kw_only=True)
class Since:
    """What arrived in a topic since this was made: make it, then send, then ask for `records`."""

    settings: Settings
    topic: str
    ends: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.ends = end_offsets(self.settings, self.topic)

    def records(self) -> list[Message]:
        """Every record from the noted ends to the present ones, by partition and offset."""
        found = sorted(self._read(), key=lambda one: (one.partition(), one.offset()))
        return list(found)

    def _read(self) -> Iterator[Message]:
        until = end_offsets(self.settings, self.topic)
        missing = {p: until[p] - self.ends[p] for p in until if until[p] > self.ends[p]}
        if not missing:
            return
        reader = consumer(self.settings)
        try:
            reader.assign([TopicPartition(self.topic, p, self.ends[p]) for p in missing])
            deadline = time.monotonic() + SECONDS_MAX
            left = sum(missing.values())
            while left:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{left} records of {self.topic} did not come")
                for message in reader.consume(min(left, 500), timeout=1.0):
                    if message.error() is not None:
                        raise RuntimeError(str(message.error()))
                    if message.offset() < until[message.partition()]:
                        left -= 1
                        yield message
        finally:
            reader.close()
