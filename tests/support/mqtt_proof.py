"""The adapter between a real broker and a real Kafka, and what it brought over.

Belongs here: running it as the stack does, readings and their expected ids, freezing Kafka, the
proof that the issue asks for, in any size. Does not: the ledger.
"""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Message

from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.settings import Settings
from devstack.sources import SourceAdapter
from pipeline.serialization import Registry
from tests.support.extra_service import RunningService, ground_of
from tests.support.kafka_reading import Since
from tests.support.mqtt_clients import Publisher

TOPIC = "raw.iot.energy"
SENSORS = 50
START = datetime(2024, 1, 1, tzinfo=UTC)
CONFIG = """
kind = "mqtt"
name = "{name}"
url = "${{MQTT_URL}}"
version = "{version}"
window = {window}
keepalive_seconds = 10
[[topics]]
template = "{name}/{{facility_id}}/{{sensor_id}}"
payload = "json"
[topics.fields]
timestamp = {{ key = "at" }}
energy_kwh = {{ key = "kwh" }}
country_iso2 = "DE"
interval_seconds = 900
"""


def reading(run: str, number: int) -> tuple[str, bytes]:
    """Topic and payload of reading `number` of a run."""
    at = START + timedelta(seconds=900 * (number // SENSORS))
    values = {"at": at.isoformat(), "kwh": energy_kwh(number)}
    return f"{run}/{run}/{run}-{number % SENSORS}", json.dumps(values).encode()


def energy_kwh(number: int) -> str:
    """What reading `number` says was used, in kWh."""
    return f"{number % 97}.{number % 10}"


def event_id(run: str, number: int) -> str:
    """What the ledger will know it by."""
    return IoTEnergyEvent(
        sensor_id=f"{run}-{number % SENSORS}",
        facility_id=run,
        country_iso2="DE",
        energy_kwh=energy_kwh(number),
        energy_source="grid",
        grid_carbon_intensity_gco2_kwh=None,
        timestamp=START + timedelta(seconds=900 * (number // SENSORS)),
        interval_seconds=900,
    ).event_id


class Decoder:
    """Records of the raw topic back to events."""

    def __init__(self, settings: Settings) -> None:
        self._registry = Registry(settings)
        self._schemas: dict[int, Any] = {}

    def event(self, record: Message) -> IoTEnergyEvent | MeterReadingEvent:
        value = record.value()
        number = int.from_bytes(value[1:5], "big")
        if number not in self._schemas:
            text, _ = self._registry.writer_schema(number)
            self._schemas[number] = json.loads(text)
        fields = fastavro.schemaless_reader(io.BytesIO(value[5:]), self._schemas[number], None)
        kind = MeterReadingEvent if "meter_kind" in fields else IoTEnergyEvent
        return kind.from_avro_fields(fields, datetime.now(UTC))


def brought(settings: Settings, since: Since, run: str) -> Counter[str]:
    """Event id to how often it is in Kafka, of the sensors of one run."""
    decoder = Decoder(settings)
    key = f"{run}-".encode()
    return Counter(
        decoder.event(one).event_id for one in since.records() if one.key().startswith(key)
    )


@dataclass(kw_only=True)
class RunningAdapter(RunningService):
    """The adapter as a service, and what it says of itself."""

    def status(self) -> dict[str, Any]:
        try:
            said: dict[str, Any] = json.loads(self.service.status_file.read_text())  # type: ignore[attr-defined]
        except (OSError, ValueError):
            return {"counts": {}, "problem": "not started"}
        return said

    def count(self, name: str) -> int:
        return int(self.status()["counts"].get(name, 0))

    def wait_for(self, name: str, value: int, seconds: float = 60) -> None:
        """Returns once it has counted so many."""
        deadline = time.monotonic() + seconds
        while self.count(name) < value:
            assert time.monotonic() < deadline, f"{name} is not {value}: {self.status()}"
            time.sleep(0.1)

    def wait_connected(self, seconds: float = 60) -> None:
        """Returns once it is subscribed."""
        deadline = time.monotonic() + seconds
        while not (self.count("connections") and self.status()["problem"] is None):
            assert time.monotonic() < deadline, str(self.status())
            time.sleep(0.1)


@contextmanager
def adapter(stack: Any, url: str, file: Path, name: str) -> Iterator[RunningAdapter]:
    """`carbon source run FILE`, up until the end of the block."""
    ground = ground_of(stack)
    service = SourceAdapter(ground.layout, name, file, values={"MQTT_URL": url})
    one = RunningAdapter(service=service, ground=ground)
    one.start()
    try:
        yield one
    finally:
        one.stop()


def write_config(folder: Path, name: str, *, version: str = "5", window: int = 500) -> Path:
    """A configuration of one JSON topic."""
    path = folder / f"{name}.toml"
    path.write_text(CONFIG.format(name=name, version=version, window=window))
    return path


@contextmanager
def frozen_kafka(stack: Any) -> Iterator[None]:
    """Kafka answers nothing during the block, and has lost nothing after it."""
    pids = [pid for name, pid in stack.pids().items() if name.startswith("kafka")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Figures of one proof."""

    acknowledged: int
    distinct: int
    records: int
    missing: int
    foreign: int
    counts: dict[str, int]
    seconds: float


def prove(
    stack: Any,
    broker: RunningService,
    folder: Path,
    *,
    run: str,
    readings: int,
    restarts: int,
    kafka_seconds: float,
    seconds: float,
) -> Proof:
    """Publishes `readings` at QoS 1 while the broker restarts `restarts` times and Kafka stands
    still for `kafka_seconds`; returns once the adapter has acknowledged all that came.
    """
    settings = stack.stack_settings()
    url = f"mqtt://127.0.0.1:{broker.service.port}"
    since = Since(settings=settings, topic=TOPIC)
    begun = time.monotonic()
    with adapter(stack, url, write_config(folder, run), run) as one:
        one.wait_connected()
        publisher = Publisher(url, (reading(run, n) for n in range(readings)), seconds=seconds)
        publisher.start()
        freezer = threading.Thread(target=_freeze, args=(stack, publisher, readings, kafka_seconds))
        freezer.start()
        for number in range(restarts):
            _until(publisher, readings * (number + 1) // (restarts + 1), seconds)
            known = one.count("connections")
            broker.stop()
            broker.start()
            # A few readings are published in less time than a reconnection takes.
            one.wait_for("connections", known + 1, 120)
        publisher.join(seconds)
        freezer.join(seconds)
        _settle(one, seconds)
    found = brought(settings, since, run)
    wanted = {event_id(run, number) for number in range(readings)}
    return Proof(
        acknowledged=publisher.acknowledged,
        distinct=len(found),
        records=found.total(),
        missing=len(wanted - set(found)),
        foreign=len(set(found) - wanted),
        counts=one.status()["counts"],
        seconds=time.monotonic() - begun,
    )


def _freeze(stack: Any, publisher: Publisher, readings: int, seconds: float) -> None:
    _until(publisher, readings // 10, 600)
    with frozen_kafka(stack):
        time.sleep(seconds)


def _until(publisher: Publisher, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while publisher.acknowledged < count and time.monotonic() < deadline:
        time.sleep(0.05)


def _settle(one: RunningAdapter, seconds: float) -> None:
    """Until it has read nothing for four seconds."""
    deadline = time.monotonic() + seconds
    last, quiet_since = -1, time.monotonic()
    while time.monotonic() < deadline:
        received = one.count("received")
        if received != last or one.status()["problem"] is not None:
            last, quiet_since = received, time.monotonic()
        elif time.monotonic() - quiet_since > 4:
            return
        time.sleep(0.2)
    raise AssertionError(f"it did not come to rest: {one.status()}")
