"""The MQTT adapter: readings of sensors and smart meters from a broker into Kafka.

Belongs here: the order of things. A message is read, judged, sent, delivered, written into the
register book, and only then acknowledged. Does not: the connection (mqtt_link), what messages say
(mqtt_messages), configuration (mqtt_config).

What is read and not acknowledged is at most `window` messages, and so is memory. While Kafka takes
nothing, nothing more is read, and the broker keeps what comes. A message that comes again gives the
same event with the same event_id, which the ledger counts once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from carbon_ledger.errors import RejectedRecord, Unavailable
from carbon_ledger.settings import Settings
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.producers import CarbonEventProducer
from pipeline.sources import sparkplug
from pipeline.sources.meter_mapping import Reading
from pipeline.sources.meter_registers import RegisterBook
from pipeline.sources.mqtt_config import MqttConfig, mqtt_config
from pipeline.sources.mqtt_link import MqttLink, Received
from pipeline.sources.mqtt_messages import STREAM, Judge
from pipeline.sources.source_config import Report, SourceConfig

log = logging.getLogger(__name__)

TOPIC: Final = "raw.iot.energy"
COUNTS: Final = (
    "received",
    "repeated",
    "retained_ignored",
    "events",
    "letters",
    "register_starts",
    "passed_over",
    "acknowledged",
    "connections",
    "waiting_max",
)
# How long one delivery may take before it is sent again.
DELIVERY_SECONDS: Final = 30.0
# A batch is complete when no message came for so long, or this much of the window is used.
QUIET_SECONDS: Final = 0.01
BATCH_SECONDS: Final = 0.25
# Beyond `window` messages: what they weigh, and how many readings are in them.
WAITING_BYTES_MAX: Final = 32 * 1024 * 1024
WAITING_EVENTS_MAX: Final = 20_000
FLUSH_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 2.0
STOP_SECONDS: Final = 20.0
REPORT_SECONDS: Final = 1.0
REBIRTH_SECONDS: Final = 30.0
REBIRTH_NODES_MAX: Final = 10_000


def check(config: SourceConfig) -> str:
    """Which broker, which session, which topics."""
    return str(mqtt_config(config))


def run(
    config: SourceConfig, settings: Settings, stop: threading.Event, once: bool
) -> Mapping[str, int]:
    """Reads the broker's messages into Kafka; with `once` until none came for `idle_seconds`.

    Raises ConfigurationError if the broker refuses this client or its subscriptions.
    """
    mqtt = mqtt_config(config)
    book = RegisterBook(register_file(settings, config.name))
    producer = CarbonEventProducer(
        settings=settings, delivery_seconds=DELIVERY_SECONDS, options={"linger.ms": 5}
    )
    try:
        adapter = MqttAdapter(mqtt, producer, book, config.report)
        try:
            adapter.work(stop, once)
        finally:
            adapter.end()
        return adapter.counts
    finally:
        try:
            producer.close(FLUSH_SECONDS)
        except Unavailable as error:
            log.warning("not delivered, and so not acknowledged: %s", error.message)
        book.close()


def register_file(settings: Settings, name: str) -> Path:
    """Where the source of that name keeps what registers said."""
    return settings.home / "sources" / f"{name}.registers.sqlite"


@dataclass(kw_only=True)
class Waiting:
    """A message that was read and is not acknowledged, and what it became."""

    message: Received
    events: list[Reading]
    letters: list[EdgeLetter]
    is_sent: bool = field(default=False)


class MqttAdapter:
    """One run over one session."""

    def __init__(
        self, config: MqttConfig, producer: CarbonEventProducer, book: RegisterBook, report: Report
    ) -> None:
        self.config, self.producer, self.book, self.report = config, producer, book, report
        self.link = MqttLink(config)
        self.judge = Judge(config, book)
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self.problem: str | None = None
        self._waiting: list[Waiting] = []
        self._waiting_bytes = self._waiting_events = 0
        self._first_at = self._last_at = time.monotonic()
        self._not_before = 0.0
        self._sends_again = False
        self._reported_at = 0.0
        self._rebirths: dict[tuple[str, str], float] = {}

    def work(self, stop: threading.Event, once: bool) -> None:
        """Until `stop`, or with `once` until the source is quiet."""
        self._last_at = time.monotonic()
        while not stop.is_set():
            self.link.turn(QUIET_SECONDS if self._waiting else 0.2, reads=self._may_read())
            self._take()
            if self._waiting and self._is_batch():
                self._deliver(FLUSH_SECONDS)
            self._tell()
            if not self.link.is_subscribed:
                self._last_at = time.monotonic()
            quiet = time.monotonic() - self._last_at
            if once and not self._waiting and quiet > self.config.idle_seconds:
                return

    def end(self) -> None:
        """Delivers and acknowledges what was read, as far as that can be done soon."""
        deadline = time.monotonic() + STOP_SECONDS
        self._not_before = 0.0
        while self._waiting and time.monotonic() < deadline:
            self._deliver(FLUSH_SECONDS)
            if self.link.is_open:
                self.link.turn(QUIET_SECONDS, reads=False)
        self.link.close()
        self.counts["connections"] = self.link.sessions

    def _has_room(self) -> bool:
        return (
            len(self._waiting) < self.config.window
            and self._waiting_bytes < WAITING_BYTES_MAX
            and self._waiting_events < WAITING_EVENTS_MAX
        )

    def _may_read(self) -> bool:
        """Where the broker counts what is not acknowledged (MQTT 5), reading on costs nothing and
        hears its answers to our pings. So does reading until it has confirmed the subscriptions.
        """
        if self._has_room():
            return True
        is_counted = self.config.version == "5" or not self.link.is_subscribed
        return is_counted and len(self._waiting) < 2 * self.config.window

    def _is_batch(self) -> bool:
        now = time.monotonic()
        if now < self._not_before:
            return False
        is_old = now - self._first_at > BATCH_SECONDS
        return is_old or now - self._last_at >= QUIET_SECONDS or not self._has_room()

    def _take(self) -> None:
        """What the link has read: judged, and waiting for Kafka."""
        while self.link.received:
            message = self.link.received.popleft()
            self._last_at = time.monotonic()
            if not self._waiting:
                self._first_at = self._last_at
            self.counts["received"] += 1
            self.counts["repeated"] += message.is_repeated
            waiting = self._judged(message)
            self._waiting.append(waiting)
            self._waiting_bytes += len(message.payload)
            self._waiting_events += len(waiting.events)
            self.counts["waiting_max"] = max(self.counts["waiting_max"], len(self._waiting))

    def _judged(self, message: Received) -> Waiting:
        if message.is_retained and not self.config.takes_retained:
            self.counts["retained_ignored"] += 1
            return Waiting(message=message, events=[], letters=[])
        found = self.judge.judge(message.topic, message.payload)
        if found.unnamed is not None:
            self._ask_for_birth(found.unnamed)
        self.counts["register_starts"] += found.starts
        self.counts["passed_over"] += found.passed_over
        return Waiting(message=message, events=found.events, letters=found.letters)

    def _ask_for_birth(self, edge: tuple[str, str]) -> None:
        now = time.monotonic()
        if now - self._rebirths.get(edge, -REBIRTH_SECONDS) < REBIRTH_SECONDS:
            return
        if len(self._rebirths) >= REBIRTH_NODES_MAX:
            self._rebirths.clear()
        self._rebirths[edge] = now
        group, node = edge
        command = sparkplug.rebirth(int(time.time() * 1000))
        self.link.publish(f"{sparkplug.NAMESPACE}/{group}/NCMD/{node}", command)

    def _deliver(self, seconds: float) -> None:
        """Sends what waits, and acknowledges it if Kafka has all of it within `seconds`."""
        if self._sends_again and not self._is_drained(seconds):
            return
        self._sends_again = False
        try:
            for one in self._waiting:
                if not one.is_sent:
                    self._send(one)
                    one.is_sent = True
            self.producer.flush(seconds)
        except Unavailable as error:
            self._failed(error)
            return
        self.book.commit()
        for one in self._waiting:
            self.counts["events"] += len(one.events)
            self.counts["letters"] += len(one.letters)
            self.counts["acknowledged"] += self.link.acknowledge(one.message)
        self._waiting, self._waiting_bytes, self._waiting_events = [], 0, 0
        self.problem = None

    def _is_drained(self, seconds: float) -> bool:
        """Whether nothing of the failed attempt is under way any more: else a Kafka that is away
        for long would get everything many times over when it comes back.
        """
        try:
            self.producer.flush(seconds)
        except Unavailable as error:
            self.problem = error.message
        return not self.producer.pending

    def _failed(self, error: Unavailable) -> None:
        """Nothing is acknowledged. What may not have arrived is sent again: the event is the same,
        and so is its event_id.
        """
        self.problem = error.message
        if error.code == "delivery_pending":
            return
        log.warning("%s; %d message(s) are sent again", error.message, len(self._waiting))
        self._sends_again = True
        for one in self._waiting:
            one.is_sent = False
        self._not_before = time.monotonic() + RETRY_SECONDS

    def _send(self, one: Waiting) -> None:
        for event in list(one.events):
            try:
                self.producer.send(TOPIC, event.sensor_id, event)
            except RejectedRecord as problem:
                one.events.remove(event)
                one.letters.append(
                    EdgeLetter.of(
                        problem,
                        source=self.config.source,
                        coordinates=one.message.topic,
                        payload=one.message.payload,
                        stream=STREAM,
                    )
                )
        for letter in one.letters:
            send_edge_letter(self.producer, letter)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self.counts["connections"] = self.link.sessions
            self.report(self.counts, self.problem or self.link.problem)
