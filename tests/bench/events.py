"""Records for the benchmarks: seeded readings, some malformed, some sent twice, encoded beforehand.

Belongs here: making and sending them. Does not: measuring anything.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import fastavro
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from carbon_ledger.settings import Settings
from pipeline.kafka import kafka_config
from pipeline.serialization import Registry, ensure_schema, schema_text
from spark.decode import parsed_schema
from tests.support.malformed import malformed_records

PARTITIONS = 4
SENSORS = 2_000
FACILITIES = 200
COUNTRIES = ("DE", "FR", "KR", "US", "GB", "CN", "IN", "PL", "SE", "BR")
SOURCES = ("grid",) * 8 + ("solar", "wind")
BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
BAD_PER_HUNDRED, DUPLICATE_PER_HUNDRED = 5, 10


def create_topic(settings: Settings, topic: str) -> int:
    """The topic, and the id of the reading schema under it."""
    admin = AdminClient(kafka_config(settings))
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)])[topic].result(30)
    return ensure_schema(Registry(settings), topic, "iot_energy")


def records(
    count: int, schema_id: int, seed: int = 1, first: int = 0
) -> Iterator[tuple[bytes | None, bytes | None]]:
    """`count` records (key, value): readings, 5 % of them malformed, 10 % a second time.

    The readings are numbered from `first`: other numbers are other activities.
    """
    chance = Random(seed)
    schema = parsed_schema(schema_text("iot_energy"))
    frame = bytes([0]) + schema_id.to_bytes(4, "big")
    bad = malformed_records(count, schema_id, datetime.now(UTC), seed=seed)
    recent: list[tuple[bytes, bytes]] = []
    number = first
    for _ in range(count):
        draw = chance.randrange(100)
        if draw < BAD_PER_HUNDRED:
            one = next(bad)
            yield one.key, one.value
            continue
        if draw < BAD_PER_HUNDRED + DUPLICATE_PER_HUNDRED and recent:
            yield chance.choice(recent)
            continue
        sensor = number % SENSORS
        at = BEGIN + timedelta(minutes=5) * (number // SENSORS)
        fields = {
            "sensor_id": f"SENSOR-{sensor:05d}",
            "facility_id": f"PLANT-{sensor % FACILITIES:03d}",
            "country_iso2": COUNTRIES[sensor % FACILITIES % len(COUNTRIES)],
            "region": None,
            "energy_kwh": f"{chance.randrange(1, 400_000) / 100:.2f}",
            "energy_source": SOURCES[sensor % len(SOURCES)],
            "grid_carbon_intensity_gco2_kwh": "385.2" if sensor % 2 else None,
            "timestamp": int(at.timestamp()) * 1_000_000,
            "interval_seconds": 300,
            "scope": 2,
            "revision": 0,
        }
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, fields)
        item = (fields["sensor_id"].encode(), frame + body.getvalue())
        number += 1
        if len(recent) < 5_000:
            recent.append(item)
        else:
            recent[number % 5_000] = item
        yield item


def send(
    settings: Settings, topic: str, schema_id: int, count: int, seed: int = 1, first: int = 0
) -> dict[int, int]:
    """Sends `count` records; how many each partition got. Equal keys go to one partition."""
    options = {"linger.ms": 50, "compression.type": "lz4", "queue.buffering.max.messages": 500_000}
    producer = Producer({**kafka_config(settings), **options})
    ends: dict[int, int] = dict.fromkeys(range(PARTITIONS), 0)
    for number, (key, value) in enumerate(records(count, schema_id, seed, first)):
        partition = hash_of(key) % PARTITIONS
        ends[partition] += 1
        while True:
            try:
                producer.produce(topic, key=key, value=value, partition=partition)
                break
            except BufferError:
                producer.poll(0.2)
        if number % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the benchmark's records were not all delivered")
    return ends


def hash_of(key: bytes | None) -> int:
    """The same for the same key in every run, unlike hash()."""
    return sum(key or b"")
