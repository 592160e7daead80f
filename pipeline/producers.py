"""Sending events to Kafka so that none is lost unnoticed.

Belongs here: CarbonEventProducer, and the events one sends with it under the names users import.
Does not: what an event may say (carbon_ledger.events), bytes (pipeline.serialization).
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from carbon_ledger import settings as settings_module
from carbon_ledger.activities.registered_activity import RegisteredActivityEvent
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.errors import ConfigurationError, RejectedRecord, Unavailable
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.failpoints import failpoint
from carbon_ledger.personal.fields import PersonalFields
from carbon_ledger.purchasing.production_events import SupplierProductionEvent
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent
from carbon_ledger.settings import Settings
from carbon_ledger.transport.shipment_events import ShipmentEvent
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from pipeline.kafka import kafka_config
from pipeline.serialization import Registry, encode, ensure_schema, schema_name
from pipeline.topics import MEBI, TOPIC_NAMED

__all__ = [
    "CarbonEventProducer",
    "DeliveryFailed",
    "FailedDelivery",
    "IoTEnergyEvent",
    "MeterReadingEvent",
    "PersonalFields",
    "PurchaseOrderEvent",
    "RegisteredActivityEvent",
    "ShipmentEvent",
    "SupplierDeclarationEvent",
    "SupplierProductionEvent",
    "VehicleTelemetryEvent",
]

Event = (
    IoTEnergyEvent
    | MeterReadingEvent
    | VehicleTelemetryEvent
    | ShipmentEvent
    | PurchaseOrderEvent
    | SupplierDeclarationEvent
    | SupplierProductionEvent
    | RegisteredActivityEvent
)
# A topic that is not here takes no typed event.
EVENT_CLASSES_OF_TOPIC: Final[Mapping[str, tuple[type[Event], ...]]] = {
    "raw.iot.energy": (IoTEnergyEvent, MeterReadingEvent),
    "raw.transport": (VehicleTelemetryEvent,),
    "raw.logistics": (ShipmentEvent,),
    "raw.procurement": (PurchaseOrderEvent,),
    "raw.supplier": (SupplierDeclarationEvent, SupplierProductionEvent),
    "raw.activities": (RegisteredActivityEvent,),
}

BUFFER_RECORDS: Final = 100_000
BUFFER_KIBI: Final = 64 * 1024
DELIVERY_SECONDS: Final = 120.0
# Long enough to fill a batch under load, too short for a person to notice.
LINGER_MS: Final = 20
VALUE_BYTES_MAX: Final = 4 * MEBI
FAILURES_SHOWN: Final = 100
POLL_SECONDS: Final = 0.1

# Held here until closed, so that garbage collection cannot drop a buffer that is not empty.
_open_producers: set[CarbonEventProducer] = set()

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedDelivery:
    """A record Kafka did not take, and why."""

    topic: str
    key: str
    reason: str


class DeliveryFailed(Unavailable):
    """Records handed to `send` earlier did not reach Kafka; `failures` has the first hundred.

    `count` is how many there were since the last report.
    """

    def __init__(self, failures: Sequence[FailedDelivery], count: int) -> None:
        self.failures = tuple(failures)
        self.count = count
        first = self.failures[0]
        super().__init__(
            "delivery_failed",
            f"{count} record(s) did not reach Kafka; the first: key {first.key} to {first.topic}: "
            f"{first.reason}",
        )


class Vault(Protocol):
    """What seals personal fields: carbon_ledger.store.vault.SubjectVault."""

    def sealed(
        self, event: VehicleTelemetryEvent, personal: PersonalFields
    ) -> VehicleTelemetryEvent: ...


class CarbonEventProducer:
    """Sends events to Kafka: idempotent, acknowledged by all in-sync replicas, compressed.

    `send` only takes the event into a bounded buffer; a full one makes it wait, nothing is dropped.
    A record that could not be delivered is raised as DeliveryFailed by the next `send`, `flush` or
    `close`. A program that ends without `close` still delivers what it sent: the interpreter's
    exit, by an exception too, flushes (a kill does not). Safe to use from several threads; after a
    fork, make a new one.
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        *,
        settings: Settings | None = None,
        schema_registry_url: str | None = None,
        buffer_records: int = BUFFER_RECORDS,
        delivery_seconds: float = DELIVERY_SECONDS,
        options: Mapping[str, Any] | None = None,
        vault: Vault | None = None,
    ) -> None:
        """Brokers and registry default to the settings; connects in the background.

        `buffer_records`: how many records may be under way. `delivery_seconds`: how long one may
        take before it counts as failed. `options`: further librdkafka options.
        `vault`: seals what events say of persons; without one such events are refused.
        """
        self._settings = settings or settings_module.load()
        self._registry = Registry(self._settings, schema_registry_url)
        self._schema_ids: dict[tuple[str, str], int] = {}
        self._vault = vault
        self._lock = threading.Lock()
        self._failures: list[FailedDelivery] = []
        self._failed_since_report = 0
        self._is_closed = False
        self.delivery_seconds = delivery_seconds
        self.sent = 0
        self.delivered = 0
        self.failed = 0
        self._producer = Producer(
            {
                **kafka_config(self._settings, bootstrap_servers),
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "zstd",
                "linger.ms": LINGER_MS,
                "message.max.bytes": VALUE_BYTES_MAX,
                "queue.buffering.max.messages": buffer_records,
                "queue.buffering.max.kbytes": BUFFER_KIBI,
                "delivery.timeout.ms": int(delivery_seconds * 1000),
                **(options or {}),
            }
        )
        _open_producers.add(self)

    def send(
        self,
        topic: str,
        key: str | bytes | None = None,
        value: Event | None = None,
        *,
        personal: PersonalFields | None = None,
    ) -> None:
        """Takes `value` for delivery to `topic`; waits while the buffer is full.

        `key` is the topic's key field of the event and may be left out. `personal` says who drove,
        and where from and to: the record gets a pseudonym and what the vault has encrypted, and
        nothing of it in the clear. Raises RejectedRecord for an event the ledger would refuse,
        ConfigurationError for an unknown topic, an event of another stream, or `personal` without a
        vault, DeliveryFailed for records sent before, Unavailable if the registry does not
        answer; in all these cases `value` was not taken.
        """
        self._raise_failures()
        wanted = _event_classes(topic)
        if not isinstance(value, wanted):
            raise ConfigurationError(
                "wrong_event", f"{topic} takes {_names(wanted)}, not {type(value).__name__}"
            )
        value.check(datetime.now(UTC))
        if personal is not None:
            value = self._sealed(value, personal)
        key_field = str(TOPIC_NAMED[topic].key_field)
        natural_key = str(getattr(value, key_field))
        _check_key(topic, key_field, key, natural_key)
        self._produce(
            topic,
            natural_key.encode(),
            encode(value, self.schema_id(topic, schema_name(value))),
            (),
        )

    def _sealed(self, value: Event, personal: PersonalFields) -> VehicleTelemetryEvent:
        if not isinstance(value, VehicleTelemetryEvent):
            raise ConfigurationError(
                "no_persons", f"a {type(value).__name__} says nothing of persons"
            )
        if self._vault is None:
            raise ConfigurationError(
                "vault_missing",
                "personal fields are sent encrypted or not at all: give the producer a vault, "
                "vault=SubjectVault.of(load()), from carbon_ledger.store.vault",
            )
        if value.subject_ref is not None:
            raise ConfigurationError(
                "subject_given", "the event has a pseudonym already; personal fields get their own"
            )
        sealed = self._vault.sealed(value, personal)
        sealed.check(datetime.now(UTC))
        return sealed

    def send_bytes(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        on_delivered: Callable[[Message], None] | None = None,
    ) -> None:
        """Takes a record as it is, unchecked: for relaying records that exist already.

        `on_delivered` is called, at the latest by `flush`, once Kafka has acknowledged the record;
        its message says in which partition and at which offset.
        """
        self._raise_failures()
        self._produce(topic, key, value, headers, on_delivered)

    def schema_id(self, topic: str, name: str | None = None) -> int:
        """The registry's id of our schema for `topic`, registered on first use if it is missing.

        `name` is a schema's file without its ending, by default that of the topic's stream.
        """
        key = (topic, name or str(TOPIC_NAMED[topic].stream))
        schema_id = self._schema_ids.get(key)
        if schema_id is None:
            _event_classes(topic)
            schema_id = ensure_schema(self._registry, *key)
            self._schema_ids[key] = schema_id
        return schema_id

    def flush(self, timeout: float | None = None) -> None:
        """Returns when everything sent is delivered; raises DeliveryFailed if something was not.

        Raises Unavailable `delivery_pending` if `timeout` seconds (default: the time a delivery may
        take, and a little) were not enough; what is pending stays under way.
        """
        pending = self._producer.flush(self.delivery_seconds + 5 if timeout is None else timeout)
        self._raise_failures()
        if pending:
            raise Unavailable(
                "delivery_pending",
                f"{pending} record(s) have not been acknowledged yet; flush again, or see whether "
                "the brokers are up (`carbon status`)",
            )
        failpoint("producer_flushed")

    def close(self, timeout: float | None = None) -> None:
        """Flushes and refuses further sends; raises as `flush` does. Closing twice is harmless."""
        self._is_closed = True
        self.flush(timeout)
        _open_producers.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """Records under way: sent, neither delivered nor failed."""
        return len(self._producer)

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        on_delivered: Callable[[Message], None] | None = None,
    ) -> None:
        def on_delivery(error: KafkaError | None, message: Message) -> None:
            self._on_delivery(error, message)
            if error is None and on_delivered is not None:
                on_delivered(message)

        if self._is_closed:
            raise ConfigurationError("producer_closed", "this producer has been closed; make one")
        # Twice the delivery time: until then every record in a full buffer has arrived or failed.
        deadline = time.monotonic() + 2 * self.delivery_seconds
        while True:
            try:
                self._producer.produce(
                    topic, value, key, headers=list(headers), on_delivery=on_delivery
                )
                break
            except BufferError:
                self._producer.poll(POLL_SECONDS)
                self._raise_failures()
            except KafkaException as error:
                raise self._refusal(topic, key, error.args[0]) from error
            if time.monotonic() > deadline:
                raise Unavailable("buffer_full", "the buffer stays full: Kafka takes nothing")
        with self._lock:
            self.sent += 1
        self._producer.poll(0)
        failpoint("producer_queued")

    def _refusal(self, topic: str, key: bytes | None, error: KafkaError) -> DeliveryFailed:
        failure = FailedDelivery(topic=topic, key=_text(key), reason=error.str())
        return DeliveryFailed([failure], 1)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        with self._lock:
            if error is None:
                self.delivered += 1
                return
            self.failed += 1
            self._failed_since_report += 1
            if len(self._failures) < FAILURES_SHOWN:
                self._failures.append(
                    FailedDelivery(
                        topic=str(message.topic()), key=_text(message.key()), reason=error.str()
                    )
                )

    def _raise_failures(self) -> None:
        if not self._failed_since_report:
            return
        with self._lock:
            failures, count = self._failures, self._failed_since_report
            self._failures, self._failed_since_report = [], 0
        raise DeliveryFailed(failures, count)


def _event_classes(topic: str) -> tuple[type[Event], ...]:
    wanted = EVENT_CLASSES_OF_TOPIC.get(topic)
    if wanted is None:
        takes = [f"{name} ({_names(kinds)})" for name, kinds in EVENT_CLASSES_OF_TOPIC.items()]
        raise ConfigurationError(
            "unknown_topic", f"{topic!r} takes no events; valid are: {', '.join(takes)}"
        )
    return wanted


def _names(classes: Sequence[type[Event]]) -> str:
    return " or ".join(one.__name__ for one in classes)


def _check_key(topic: str, key_field: str, key: str | bytes | None, natural_key: str) -> None:
    # Revisions of one reading under different keys would be judged in parallel, in any order.
    if key is not None and key not in (natural_key, natural_key.encode()):
        raise RejectedRecord(
            "wrong_key",
            f"key: {_text(key)!r} is not the event's {key_field}",
            field="key",
            value=_text(key),
            valid=f"{natural_key} (the {key_field}, the key of {topic}), or no key",
        )


def _text(key: Any) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else str(key)


def _flush_at_exit() -> None:
    """Delivers what open producers still hold; says on stderr what it could not deliver."""
    for producer in list(_open_producers):
        try:
            producer.close()
        except Unavailable as error:
            sys.stderr.write(f"carbon: at exit: {error.message}\n")


atexit.register(_flush_at_exit)
