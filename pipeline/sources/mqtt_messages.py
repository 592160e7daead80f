"""From one MQTT message to the events and dead letters it becomes.

Belongs here: which topic's rules it falls under, and that every part of it ends as an event, a
letter, or something known to be no reading. Does not: receiving or acknowledging (mqtt_link, mqtt).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord
from pipeline.edge_letters import EdgeLetter
from pipeline.sources import json_readings, sparkplug
from pipeline.sources.meter_mapping import Reading, ReadingMapping
from pipeline.sources.meter_registers import RegisterBook
from pipeline.sources.mqtt_config import MqttConfig, Topic

STREAM: Final = "iot_energy"
# What Kafka takes in one record, with room for headers.
LETTER_BYTES_MAX: Final = 3 * 1024 * 1024
CONTENT_TYPES: Final = {"json": "application/json", "sparkplug": "application/x-protobuf"}


@dataclass(kw_only=True)
class Judged:
    """What became of a message. `starts`: first readings of registers; `passed_over`: metrics that
    no mapping names, or without a value. `unnamed` is the node whose births were missed.
    """

    events: list[Reading] = field(default_factory=list)
    letters: list[EdgeLetter] = field(default_factory=list)
    starts: int = 0
    passed_over: int = 0
    unnamed: tuple[str, str] | None = None
    refused: list[tuple[str, RejectedRecord]] = field(default_factory=list)


class Judge:
    """Judges messages one after the other; what births said of aliases is remembered."""

    def __init__(self, config: MqttConfig, book: RegisterBook) -> None:
        self.config, self.book = config, book
        self.aliases = sparkplug.Aliases()

    def judge(self, topic: str, payload: bytes) -> Judged:
        """The whole of a message; never raises for what it says."""
        found = Judged()
        now = datetime.now(UTC)
        rules: Topic | None = None
        try:
            if len(payload) > self.config.payload_bytes_max:
                raise RejectedRecord(
                    "too_large",
                    f"the payload has {len(payload)} bytes",
                    value=len(payload),
                    valid=f"at most {self.config.payload_bytes_max} bytes",
                )
            rules, variables = self._rules(topic)
            if rules.payload == "json":
                self._judge_json(found, rules, variables, topic, payload, now)
            else:
                self._judge_sparkplug(found, rules, variables, topic, payload, now)
        except RejectedRecord as problem:
            found.refused.insert(0, (topic, problem))
        if found.refused:
            found.letters.append(self._letter(found.refused, rules, payload))
        return found

    def _rules(self, topic: str) -> tuple[Topic, Mapping[str, str]]:
        for rules in self.config.topics:
            for template in rules.templates:
                variables = template.variables(topic)
                if variables is not None:
                    return rules, variables
        raise RejectedRecord(
            "unexpected_topic",
            f"topic {topic[:200]!r} is none of this source's; an earlier configuration may have "
            "subscribed to it under the same client id",
            field="topic",
            value=topic,
            valid=", ".join(one.template.text for one in self.config.topics),
        )

    def _judge_json(
        self,
        found: Judged,
        rules: Topic,
        variables: Mapping[str, str],
        topic: str,
        payload: bytes,
        now: datetime,
    ) -> None:
        message = json_readings.parse(payload)
        mapping = rules.mapping
        for number, item in json_readings.items(message, rules.items):
            where = topic if number is None else f"{topic} item {number}"
            if mapping is not None:
                self._take(found, mapping, variables, item, message, where, now)

    def _judge_sparkplug(
        self,
        found: Judged,
        rules: Topic,
        variables: Mapping[str, str],
        topic: str,
        payload: bytes,
        now: datetime,
    ) -> None:
        levels = topic.split("/")
        edge = "/".join([levels[1], *levels[3:]])
        metrics = sparkplug.parse(payload)
        if levels[2] in sparkplug.BIRTHS.values():
            self.aliases.learn(edge, metrics)
        try:
            named = list(self.aliases.named(edge, metrics))
        except RejectedRecord:
            found.unnamed = (levels[1], levels[3])
            raise
        for metric in named:
            mapping = rules.metrics.get(metric.name or "")
            if mapping is None or metric.value is None:
                found.passed_over += 1
                continue
            item = {"timestamp": metric.timestamp, "value": metric.value}
            where = f"{topic} metric {metric.name}"
            self._take(found, mapping, variables, item, item, where, now)

    def _take(
        self,
        found: Judged,
        mapping: ReadingMapping,
        variables: Mapping[str, str],
        item: Any,
        message: Any,
        where: str,
        now: datetime,
    ) -> None:
        try:
            reading = mapping.reading(variables, item, message, self.book, now)
        except RejectedRecord as problem:
            found.refused.append((where, problem))
            return
        if reading is None:
            found.starts += 1
        else:
            found.events.append(reading)

    def _letter(
        self, refused: list[tuple[str, RejectedRecord]], rules: Topic | None, payload: bytes
    ) -> EdgeLetter:
        """One for the message, however many of its parts are refused; the first one's reason."""
        where, problem = refused[0]
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        content_type = CONTENT_TYPES[rules.payload] if rules else "application/octet-stream"
        return EdgeLetter.of(
            problem,
            source=self.config.source,
            coordinates=where + more,
            payload=payload[:LETTER_BYTES_MAX],
            stream=STREAM,
            content_type=content_type,
        )
