"""What is sent while things break: readings without pause, each of them noted in the oracle.

Belongs here: making and sending records. Does not: judging what came of them (tests.chaos.history),
breaking anything (tests.chaos.nemesis).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from carbon_ledger.events import IoTEnergyEvent
from pipeline.producers import CarbonEventProducer
from tests.support.malformed import Malformed, malformed_records
from tests.support.oracle import Oracle, Sent

TOPIC = "raw.iot.energy"
DAY = datetime(2025, 3, 10, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COUNTRIES = ("DE", "FR", "GB", "PL", "US", "KR")
METERS, INTERVAL_SECONDS = 24, 15
TICK_SECONDS = 0.1
BURST = 2_000
PER_SECOND_MIN = 50.0


def moment_of(record: Sent) -> datetime:
    """When the reading's interval began."""
    return EPOCH + timedelta(microseconds=record.timestamp_micros)


def event_of(record: Sent, plant: str) -> IoTEnergyEvent:
    """The reading as a user of the producer makes it."""
    return IoTEnergyEvent(
        record.sensor_id,
        plant,
        record.country_iso2,
        record.kwh,
        "grid",
        None,
        moment_of(record),
        interval_seconds=INTERVAL_SECONDS,
        revision=record.revision,
    )


@dataclass(kw_only=True)
class Readings:
    """A seeded stream of records: mostly new readings, some again, revised, changed or malformed.

    `oracle` and `refused` say what must come of those made so far.
    """

    plant: str
    seed: int
    schema_id: int
    oracle: Oracle = field(default_factory=Oracle)
    refused: Counter[tuple[bytes | None, bytes | None, str]] = field(default_factory=Counter)
    latest: list[Sent] = field(default_factory=list)
    revisions: int = 0

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.number = 0
        seed = self.chance.randrange(10**9)
        self.bad = malformed_records(10**7, self.schema_id, datetime.now(UTC), seed)

    def next(self) -> Sent | Malformed:
        """The next record; the oracle has it then."""
        kind = self.chance.random()
        if kind < 0.90 or not self.latest:
            return self.fresh()
        if kind < 0.95:
            return self.noted(self.chance.choice(self.latest))
        if kind < 0.96:
            return self.changed(1)
        if kind < 0.965:
            return self.changed(0)
        return self.malformed()

    def malformed(self) -> Malformed:
        """A record that no ledger takes."""
        record = next(self.bad)
        self.oracle.malformed(record.reason_code)
        self.refused[record.key, record.value, record.reason_code] += 1
        return record

    def fresh(self) -> Sent:
        meter = self.number % METERS
        start = DAY + timedelta(seconds=INTERVAL_SECONDS * (self.number // METERS))
        self.number += 1
        digits = self.chance.randint(0, 9)
        kwh = f"{self.chance.randrange(10_000)}.{self.chance.randrange(10**digits):0{digits}}"
        record = Sent(
            sensor_id=f"{self.plant}-m{meter}",
            timestamp_micros=(start - EPOCH) // timedelta(microseconds=1),
            revision=0,
            country_iso2=COUNTRIES[meter % len(COUNTRIES)],
            kwh=kwh.rstrip("."),
            payload=kwh,
        )
        self.latest.append(record)
        return self.noted(record)

    def changed(self, step: int) -> Sent:
        """A standing reading with another quantity: as its next revision, or wrongly as the same
        one."""
        place = self.chance.randrange(len(self.latest))
        was = self.latest[place]
        kwh = f"{was.kwh}1" if "." in was.kwh else f"{was.kwh}.1"
        record = replace(was, revision=was.revision + step, kwh=kwh, payload=kwh)
        if self.oracle.sent(record) == "ledgered":
            self.latest[place] = record
            self.revisions += 1
        return record

    def noted(self, record: Sent) -> Sent:
        self.oracle.sent(record)
        return record


@dataclass(kw_only=True)
class Load(threading.Thread):
    """Sends records at about `per_second` until told to `hurry`; then what `events` still lack.

    It never runs dry before, since a blow waits for a batch: there may be more than `events`.
    """

    readings: Readings
    producer: CarbonEventProducer
    events: int
    per_second: float
    error: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(name="load", daemon=True)
        self.stopping = threading.Event()
        self.hurry = threading.Event()
        self.bursts = threading.Semaphore(0)
        self.sent = 0

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        try:
            while not self.stopping.is_set() and not (self.hurry.is_set() and self.left <= 0):
                due = time.monotonic() + TICK_SECONDS
                extra = BURST if self.bursts.acquire(blocking=False) else 0
                is_last = self.hurry.is_set()
                pace = self.per_second if self.left > 0 else PER_SECOND_MIN
                count = min(BURST, self.left) if is_last else round(pace * TICK_SECONDS) + extra
                for _ in range(count):
                    self.one()
                if not is_last:
                    time.sleep(max(0.0, due - time.monotonic()))
            self.producer.close()
        except BaseException as error:
            self.error = error
            raise

    @property
    def left(self) -> int:
        """How many records are still to be sent."""
        return self.events - self.sent

    def one(self) -> None:
        """The next record."""
        record = self.readings.next()
        if isinstance(record, Malformed):
            self.producer.send_bytes(TOPIC, record.key, record.value)
        else:
            event = event_of(record, self.readings.plant)
            self.producer.send(TOPIC, key=event.sensor_id, value=event)
        self.sent += 1
