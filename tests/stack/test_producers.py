"""Events into a real broker, schemas into a real registry, dead letters out of a real ledger."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import fastavro
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka.admin import AdminClient, NewTopic

from carbon_ledger import settings as settings_module
from carbon_ledger.errors import ConfigurationError, RejectedRecord, Unavailable
from carbon_ledger.settings import PROJECT_ROOT, Settings
from pipeline import topics
from pipeline.dead_letters import relay
from pipeline.kafka import kafka_config
from pipeline.producers import CarbonEventProducer, DeliveryFailed, IoTEnergyEvent
from pipeline.serialization import (
    COMPATIBILITY,
    Registry,
    register_schemas,
    schema_text,
    sha256_of,
)
from tests.support.kafka_reading import Since
from tests.support.postgres import scratch_database

pytestmark = pytest.mark.stack

TOPIC = "raw.iot.energy"
SNIPPET = """
from datetime import datetime, timezone
from pipeline.producers import CarbonEventProducer, IoTEnergyEvent

producer = CarbonEventProducer(bootstrap_servers="localhost:9092")
event = IoTEnergyEvent(
    sensor_id="SENSOR",
    facility_id="plant-1",
    country_iso2="DE",
    energy_kwh=1247.3,
    energy_source="grid_mix",
    grid_carbon_intensity_gco2_kwh=385.2,
    timestamp=datetime.now(timezone.utc),
    scope=2,
)
producer.send("raw.iot.energy", key=event.sensor_id, value=event)
"""


@pytest.fixture
def settings(stack: object) -> Settings:
    return settings_module.load()


@pytest.fixture
def producer(settings: Settings) -> Iterator[CarbonEventProducer]:
    with CarbonEventProducer(settings=settings) as made:
        yield made


def reading(**changes: Any) -> IoTEnergyEvent:
    good: dict[str, Any] = {
        "sensor_id": f"test-{uuid4().hex}",
        "facility_id": "plant-1",
        "country_iso2": "DE",
        "energy_kwh": "12.5",
        "energy_source": "grid",
        "grid_carbon_intensity_gco2_kwh": None,
        "timestamp": datetime.now(UTC),
    }
    return IoTEnergyEvent(**good | changes)


def run_script(text: str, settings: Settings, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    bootstrap = settings["CARBON_KAFKA_BOOTSTRAP_SERVERS"]
    script = tmp_path / "script.py"
    script.write_text(text.replace("localhost:9092", bootstrap), encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_script_that_ends_right_after_send_loses_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    sensor_id = f"test-{uuid4().hex}"
    since = Since(settings=settings, topic=TOPIC)
    done = run_script(SNIPPET.replace("SENSOR", sensor_id), settings, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [one.key() for one in since.records()].count(sensor_id.encode()) == 1


ENDINGS = {
    "an exception": "\nraise KeyError('unhandled')\n",
    "sys.exit": "\nimport sys\nsys.exit(3)\n",
    "a producer nobody holds any more": "\ndel producer\nimport gc\ngc.collect()\n",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_lost_where_a_script_ends_by(
    ending: str, settings: Settings, tmp_path: Path
) -> None:
    sensor_id = f"test-{uuid4().hex}"
    since = Since(settings=settings, topic=TOPIC)
    done = run_script(SNIPPET.replace("SENSOR", sensor_id) + ENDINGS[ending], settings, tmp_path)
    assert done.returncode == {"an exception": 1, "sys.exit": 3}.get(ending, 0)
    assert [one.key() for one in since.records()].count(sensor_id.encode()) == 1


def test_what_could_not_be_delivered_at_exit_is_told(settings: Settings, tmp_path: Path) -> None:
    lost = SNIPPET.replace('"localhost:9092"', '"localhost:1", delivery_seconds=1.5')
    done = run_script(lost.replace("SENSOR", "lost-1"), settings, tmp_path)
    assert "1 record(s) did not reach Kafka" in done.stderr
    assert "lost-1" in done.stderr


def test_a_record_reads_back_by_its_writers_schema(
    settings: Settings, producer: CarbonEventProducer
) -> None:
    event = reading(energy_kwh=Decimal("1247.300"), interval_seconds=900, region="DE-BY")
    since = Since(settings=settings, topic=TOPIC)
    producer.send(TOPIC, value=event)
    producer.flush()
    assert (producer.sent, producer.delivered, producer.failed) == (1, 1, 0)
    (record,) = [one for one in since.records() if one.key() == event.sensor_id.encode()]
    assert record.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME
    value = record.value()
    schema_id = int.from_bytes(value[1:5], "big")
    text, sha256 = Registry(settings).writer_schema(schema_id)
    assert (text, sha256) == (schema_text("iot_energy"), sha256_of(schema_text("iot_energy")))
    fields = fastavro.schemaless_reader(io.BytesIO(value[5:]), json.loads(text), None)
    assert IoTEnergyEvent.from_avro_fields(fields, datetime.now(UTC)) == event


def test_one_sensors_readings_stay_in_order_in_one_partition(
    settings: Settings, producer: CarbonEventProducer
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    sensor_id = f"test-{uuid4().hex}"
    events = [
        reading(sensor_id=sensor_id, timestamp=start + timedelta(minutes=number))
        for number in range(200)
    ]
    since = Since(settings=settings, topic=TOPIC)
    for event in events:
        producer.send(TOPIC, key=event.sensor_id, value=event)
    producer.flush()
    mine = [one for one in since.records() if one.key() == sensor_id.encode()]
    assert len({one.partition() for one in mine}) == 1
    assert [one.value()[5:] for one in mine] == [bodies(event) for event in events]


def bodies(event: IoTEnergyEvent) -> bytes:
    out = io.BytesIO()
    schema = fastavro.parse_schema(json.loads(schema_text("iot_energy")))
    fastavro.schemaless_writer(out, schema, event.to_avro_fields())
    return out.getvalue()


def test_an_invalid_event_is_refused_at_send_and_never_arrives(
    settings: Settings, producer: CarbonEventProducer
) -> None:
    since = Since(settings=settings, topic=TOPIC)
    bad = reading(energy_source="dilithium")
    with pytest.raises(RejectedRecord) as caught:
        producer.send(TOPIC, key=bad.sensor_id, value=bad)
    for told in ("energy_source", "dilithium", "grid", "solar"):
        assert told in str(caught.value)
    future = reading(timestamp=datetime.now(UTC) + timedelta(days=2))
    with pytest.raises(RejectedRecord, match="timestamp"):
        producer.send(TOPIC, value=future)
    producer.flush()
    assert not {bad.sensor_id.encode(), future.sensor_id.encode()} & {
        one.key() for one in since.records()
    }


def test_a_wrong_topic_type_or_key_is_refused_with_the_valid_ones(
    producer: CarbonEventProducer,
) -> None:
    event = reading()
    takes = r"raw\.iot\.energy \(IoTEnergyEvent or MeterReadingEvent\)"
    for topic in ("raw.iot", "raw.weather", "dlq.failed_events"):
        with pytest.raises(ConfigurationError, match=takes):
            producer.send(topic, value=event)
    with pytest.raises(ConfigurationError, match="takes VehicleTelemetryEvent, not"):
        producer.send("raw.transport", value=event)
    for value in (None, {"sensor_id": "m"}, b"bytes"):
        with pytest.raises(ConfigurationError, match="or MeterReadingEvent, not"):
            producer.send(TOPIC, value=value)  # type: ignore[arg-type]
    with pytest.raises(RejectedRecord, match=event.sensor_id):
        producer.send(TOPIC, key="another", value=event)
    assert producer.sent == 0


def test_a_record_the_broker_refuses_surfaces_and_spares_the_others(settings: Settings) -> None:
    producer = CarbonEventProducer(settings=settings)
    good = reading()
    since = Since(settings=settings, topic=TOPIC)
    producer.send(TOPIC, value=good)
    # Random bytes do not compress: 2 MiB is more than the topic takes, less than the client does.
    producer.send_bytes(TOPIC, b"giant", os.urandom(2 * topics.MEBI))
    with pytest.raises(DeliveryFailed) as caught:
        producer.flush()
    (failure,) = caught.value.failures
    assert (failure.topic, failure.key, caught.value.count) == (TOPIC, "giant", 1)
    assert "size" in failure.reason.lower()
    after = reading()
    producer.send(TOPIC, value=after)
    producer.close()
    assert (producer.delivered, producer.failed) == (2, 1)
    keys = {one.key() for one in since.records()}
    assert {good.sensor_id.encode(), after.sensor_id.encode()} <= keys
    assert b"giant" not in keys


def test_a_failed_delivery_is_raised_by_the_next_send_which_takes_nothing(
    settings: Settings,
) -> None:
    producer = CarbonEventProducer(settings=settings)
    producer.send_bytes(TOPIC, b"giant", os.urandom(2 * topics.MEBI))
    while not producer.failed:
        producer._producer.poll(0.1)
    with pytest.raises(DeliveryFailed, match="giant"):
        producer.send(TOPIC, value=reading())
    assert producer.sent == 1
    producer.close()


def test_a_missing_topic_and_dead_brokers_surface(settings: Settings) -> None:
    absent = f"test.absent.{uuid4().hex}"
    with pytest.raises(DeliveryFailed, match=absent):
        with CarbonEventProducer(
            settings=settings,
            delivery_seconds=3,
            options={"topic.metadata.propagation.max.ms": 1000},
        ) as producer:
            producer.send_bytes(absent, b"k", b"v")
    with pytest.raises(DeliveryFailed, match="timed out"):
        with CarbonEventProducer("localhost:1", settings=settings, delivery_seconds=1.5) as unheard:
            unheard.send(TOPIC, value=reading())


def test_a_flush_that_is_not_waited_for_says_so_and_can_be_repeated(settings: Settings) -> None:
    producer = CarbonEventProducer("localhost:1", settings=settings, delivery_seconds=3)
    producer.send(TOPIC, value=reading())
    with pytest.raises(Unavailable) as caught:
        producer.flush(timeout=0.1)
    assert caught.value.code == "delivery_pending"
    assert producer.pending == 1
    with pytest.raises(DeliveryFailed):
        producer.close()


def test_a_full_buffer_makes_send_wait_and_drops_nothing(settings: Settings) -> None:
    events = [reading() for _ in range(500)]
    since = Since(settings=settings, topic=TOPIC)
    with CarbonEventProducer(
        settings=settings, buffer_records=10, options={"linger.ms": 100}
    ) as producer:
        for event in events:
            producer.send(TOPIC, value=event)
            assert producer.pending <= 10
    assert producer.delivered == 500
    arrived = {one.key() for one in since.records()}
    assert {event.sensor_id.encode() for event in events} <= arrived


def test_a_closed_producer_refuses_to_send(settings: Settings) -> None:
    producer = CarbonEventProducer(settings=settings)
    producer.close()
    producer.close()
    with pytest.raises(ConfigurationError, match="closed"):
        producer.send(TOPIC, value=reading())


# --- topics -------------------------------------------------------------------------------------


def test_all_topics_are_there_as_the_table_says(settings: Settings) -> None:
    assert topics.ensure_topics(settings) == []
    assert topics.topic_differences(settings) == []


@pytest.fixture
def scratch_topic(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[topics.Topic]:
    topic = topics.Topic(
        name=f"test.scratch.{uuid4().hex}",
        partitions=2,
        key="k",
        max_message_bytes=topics.MEBI,
        timestamp_type="LogAppendTime",
    )
    monkeypatch.setattr(topics, "TOPICS", (topic,))
    yield topic
    admin = AdminClient(kafka_config(settings))
    for future in admin.delete_topics([topic.name]).values():
        future.exception()


def test_a_missing_topic_is_made_with_all_its_properties(
    settings: Settings, scratch_topic: topics.Topic
) -> None:
    (difference,) = topics.topic_differences(settings)
    assert (difference.topic, difference.found) == (scratch_topic.name, "missing")
    assert topics.ensure_topics(settings) == [scratch_topic.name]
    assert topics.topic_differences(settings) == []
    assert topics.ensure_topics(settings) == []


def test_a_topic_that_differs_is_reported_and_left_alone(
    settings: Settings, scratch_topic: topics.Topic, caplog: pytest.LogCaptureFixture
) -> None:
    admin = AdminClient(kafka_config(settings))
    other = NewTopic(scratch_topic.name, num_partitions=3, config={"retention.ms": "1000"})
    admin.create_topics([other])[scratch_topic.name].result()
    assert topics.ensure_topics(settings) == []
    told = {one.what: (one.found, one.wanted) for one in topics.topic_differences(settings)}
    assert told["partitions"] == ("3", "2")
    assert told["retention.ms"] == ("1000", "-1")
    assert told["message.timestamp.type"] == ("CreateTime", "LogAppendTime")
    assert "retention.ms is 1000, wanted -1" in caplog.text


def test_dead_brokers_are_named(stack: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "REQUEST_SECONDS", 2.0)
    dead = settings_module.load(os.environ | {"CARBON_KAFKA_BOOTSTRAP_SERVERS": "localhost:1"})
    with pytest.raises(Unavailable, match="localhost:1"):
        topics.ensure_topics(dead)


# --- registry -----------------------------------------------------------------------------------


def record_schema(*fields: dict[str, Any]) -> str:
    key = {"name": "a", "type": "string"}
    return json.dumps({"type": "record", "name": "T", "fields": [key, *fields]})


@pytest.fixture
def subject(settings: Settings) -> str:
    name = f"test-{uuid4().hex}-value"
    Registry(settings).require_compatibility(name)
    return name


def test_the_streams_schemas_are_registered_as_they_are_here(settings: Settings) -> None:
    ids = register_schemas(settings)
    assert ids == register_schemas(settings)
    assert list(ids) == [
        "iot_energy",
        "transport",
        "logistics",
        "procurement",
        "supplier",
        "activities",
    ]
    registry = Registry(settings)
    for stream, schema_id in ids.items():
        text, sha256 = registry.writer_schema(schema_id)
        assert text == schema_text(stream)
        assert sha256 == sha256_of(schema_text(stream))
        level = registry._registry().get_compatibility(f"{topics.STREAM_TOPICS[stream].name}-value")
        assert level == COMPATIBILITY


OPTIONAL_TEXT = {"name": "b", "type": ["null", "string"], "default": None}
OPTIONAL_NUMBER = {"name": "b", "type": ["null", "int"], "default": None}
REQUIRED = {"name": "z", "type": "string"}


def test_a_field_without_default_is_refused(settings: Settings, subject: str) -> None:
    registry = Registry(settings)
    registry.register(subject, record_schema())
    with pytest.raises(ConfigurationError) as caught:
        registry.register(subject, record_schema(REQUIRED))
    assert caught.value.code == "schema_incompatible"
    assert subject in caught.value.message


def test_dropping_a_field_that_old_readers_need_is_refused(
    settings: Settings, subject: str
) -> None:
    registry = Registry(settings)
    registry.register(subject, record_schema(REQUIRED))
    with pytest.raises(ConfigurationError, match="FULL_TRANSITIVE"):
        registry.register(subject, record_schema())


def test_a_schema_at_odds_with_only_an_older_version_is_refused(
    settings: Settings, subject: str
) -> None:
    registry = Registry(settings)
    registry.register(subject, record_schema(OPTIONAL_TEXT))
    registry.register(subject, record_schema())
    with pytest.raises(ConfigurationError) as caught:
        registry.register(subject, record_schema(OPTIONAL_NUMBER))
    assert caught.value.code == "schema_incompatible"
    # The very same step is fine where the older version never was.
    other = f"test-{uuid4().hex}-value"
    registry.require_compatibility(other)
    registry.register(other, record_schema())
    assert registry.register(other, record_schema(OPTIONAL_NUMBER)) > 0


def test_an_unknown_id_is_the_records_fault_and_a_dead_registry_is_not(settings: Settings) -> None:
    with pytest.raises(RejectedRecord) as unknown:
        Registry(settings).writer_schema(2_000_000_017)
    assert unknown.value.code == "unknown_schema_id"
    with pytest.raises(Unavailable, match="localhost:1"):
        Registry(settings, "http://localhost:1/apis/ccompat/v7").writer_schema(1)


# --- dead letters -------------------------------------------------------------------------------

INSERT = """
insert into ledger.dead_letter (
    topic, kafka_partition, kafka_offset, stream, batch_id, fate, reason_code, reason, field,
    offending_value, valid_values, appended_at, record_key, record_value, record_headers
) values (
    %(topic)s, 0, %(offset)s, 'iot_energy', 1, 'dead_lettered', 'negative_quantity', 'is negative',
    'energy_kwh', '-1', '0 or more', now(), %(key)s, %(value)s,
    '[["trace", "00ff"], ["none", null]]'
)
"""


def test_dead_letters_are_relayed_once_and_again_if_kafka_did_not_take_them(
    stack: Any, settings: Settings
) -> None:
    topic = f"test.{uuid4().hex}"
    values = {offset: os.urandom(50) for offset in range(3)} | {3: None}
    since = Since(settings=settings, topic=topics.DEAD_LETTERS)
    dead = settings_module.load(os.environ | {"CARBON_KAFKA_BOOTSTRAP_SERVERS": "localhost:1"})
    # A database of its own: the stack's own dead letters are relayed by its runs.
    with (
        scratch_database(stack.layout.database_url) as database,
        database.writer(autocommit=True) as conn,
    ):
        for offset, value in values.items():
            key = None if offset == 2 else b"meter\xff"
            conn.execute(INSERT, {"topic": topic, "offset": offset, "key": key, "value": value})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.dead_letters.DELIVERY_SECONDS", 1.0)
            with pytest.raises(DeliveryFailed):
                relay(conn, dead)
        assert relay(conn, settings) == len(values)
        assert relay(conn, settings) == 0
    arrived = {
        one.key().decode(): one for one in since.records() if one.key().startswith(topic.encode())
    }
    assert sorted(arrived) == [f"{topic}:0:{offset}" for offset in values]
    for offset, value in values.items():
        record = arrived[f"{topic}:0:{offset}"]
        headers = dict(record.headers())
        assert record.value() == value
        assert headers["carbon.reason_code"] == b"negative_quantity"
        assert headers["carbon.offset"] == str(offset).encode()
        assert headers.get("carbon.record_key") == (None if offset == 2 else b"meter\xff")
        assert (headers["trace"], headers["none"]) == (b"\x00\xff", None)
