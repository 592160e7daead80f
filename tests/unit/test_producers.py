"""What the producer's surroundings say without a broker: framing, schemas, topics, options."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from datetime import UTC, datetime
from pathlib import Path

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger import settings
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.store.dead_letters import DeadLetter
from pipeline import topics
from pipeline.dead_letters import headers_of, key_of
from pipeline.kafka import kafka_config
from pipeline.serialization import Registry, encode, schema_text, sha256_of
from pipeline.sources.pacing import Pacer
from tests.support import malformed, oracle

SCHEMAS = Path(settings.PROJECT_ROOT) / "carbon_ledger" / "schemas"
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
EVENT = IoTEnergyEvent(
    sensor_id="meter-1",
    facility_id="plant-1",
    country_iso2="DE",
    energy_kwh=1247.3,
    energy_source="grid_mix",
    grid_carbon_intensity_gco2_kwh=385.2,
    timestamp=datetime(2024, 5, 1, 10, 15, tzinfo=UTC),
    interval_seconds=900,
)


def test_a_value_is_a_zero_byte_the_schema_id_and_the_avro_body() -> None:
    value = encode(EVENT, 258)
    assert value[:5] == b"\x00\x00\x00\x01\x02"
    body = io.BytesIO(value[5:])
    schema = fastavro.parse_schema(json.loads(schema_text("iot_energy")))
    fields = fastavro.schemaless_reader(body, schema, None)
    assert body.read() == b""
    assert fields["energy_kwh"] == "1247.3"
    assert fields["timestamp"] == EVENT.timestamp


def test_the_bytes_are_those_written_by_hand() -> None:
    fields = EVENT.to_avro_fields()
    assert encode(EVENT, 7) == malformed.framed(7, malformed.body_bytes(fields))


@given(st.integers(-(2**63), 2**63 - 1))
def test_the_hand_written_avro_numbers_are_fastavros(number: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, {"type": "long"}, number)
    assert malformed.long_bytes(number) == out.getvalue()


@pytest.mark.parametrize("stream", sorted(topics.STREAM_TOPICS))
def test_a_schema_has_a_doc_for_every_field_and_decimals_as_text(stream: str) -> None:
    schema = json.loads((SCHEMAS / f"{stream}.avsc").read_text(encoding="utf-8"))
    fastavro.parse_schema(schema)
    assert schema["doc"]
    for field in schema["fields"]:
        assert field["doc"], field["name"]
        assert "double" not in json.dumps(field["type"]), field["name"]
        assert "float" not in json.dumps(field["type"]), field["name"]
        # Avro's own printers put the attributes in this order; another one would change the hash.
        assert list(field) == [
            name for name in ("name", "type", "doc", "default") if name in field
        ], field["name"]


@pytest.mark.parametrize("stream", sorted(topics.STREAM_TOPICS))
def test_the_key_of_a_topic_is_a_field_of_its_schema(stream: str) -> None:
    schema = json.loads(schema_text(stream))
    key_field = topics.STREAM_TOPICS[stream].key_field
    assert {"name": key_field, "type": "string"}.items() <= {
        **next(field for field in schema["fields"] if field["name"] == key_field)
    }.items()


def test_the_hash_of_a_schema_is_that_of_the_text_registered() -> None:
    text = schema_text("iot_energy")
    assert "\n" not in text
    assert sha256_of(text) == hashlib.sha256(text.encode("utf-8")).digest()


def test_the_schema_of_an_unknown_stream_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="iot_energy"):
        schema_text("weather")


def test_raw_topics_keep_everything_and_stamp_by_the_broker() -> None:
    names = [topic.name for topic in topics.TOPICS]
    assert names == [
        "raw.iot.energy",
        "raw.transport",
        "raw.logistics",
        "raw.procurement",
        "raw.supplier",
        "raw.activities",
        "dlq.failed_events",
        "audit.ledger.heads",
    ]
    for topic in topics.TOPICS:
        config = topic.config(1)
        assert config["retention.ms"] == "-1"
        assert config["retention.bytes"] == "-1"
        assert config["cleanup.policy"] == "delete"
        is_raw = topic.name.startswith("raw.")
        assert (config["message.timestamp.type"] == "LogAppendTime") is is_raw
        assert topic.name in (topics.__doc__ or "")
    assert topics.TOPIC_NAMED["raw.iot.energy"].partitions == 4


def test_three_replicas_acknowledge_only_what_two_have() -> None:
    topic = topics.TOPIC_NAMED["raw.iot.energy"]
    assert topic.config(3)["min.insync.replicas"] == "2"
    assert topic.config(1)["min.insync.replicas"] == "1"


def loaded(**environ: str) -> settings.Settings:
    return settings.load({"CARBON_HOME": "/nowhere", **environ})


def test_security_options_come_from_the_settings() -> None:
    config = kafka_config(
        loaded(
            CARBON_KAFKA_BOOTSTRAP_SERVERS="broker:9093",
            CARBON_KAFKA_SECURITY_PROTOCOL="SASL_SSL",
            CARBON_KAFKA_SASL_MECHANISM="SCRAM-SHA-512",
            CARBON_KAFKA_SASL_USERNAME="carbon",
            CARBON_KAFKA_SASL_PASSWORD="secret",
            CARBON_KAFKA_SSL_CA_LOCATION="/ca.pem",
        )
    )
    assert {
        "bootstrap.servers": "broker:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "carbon",
        "sasl.password": "secret",
        "ssl.ca.location": "/ca.pem",
    }.items() <= config.items()


def test_bootstrap_servers_given_by_hand_come_first() -> None:
    assert kafka_config(loaded(), "other:1")["bootstrap.servers"] == "other:1"
    assert kafka_config(loaded())["bootstrap.servers"] == "localhost:9092"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"CARBON_KAFKA_SECURITY_PROTOCOL": "TLS"}, "SASL_SSL"),
        ({"CARBON_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "CARBON_KAFKA_SASL_MECHANISM"),
    ],
)
def test_options_no_broker_could_accept_are_refused(environ: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        kafka_config(loaded(**environ))


def test_the_registry_is_asked_for_nothing_before_it_is_needed() -> None:
    assert Registry(loaded(CARBON_REGISTRY_URL="http://nowhere.invalid")).url.endswith("invalid")


LETTER = DeadLetter(
    topic="raw.iot.energy",
    topic_incarnation=0,
    kafka_partition=3,
    kafka_offset=41,
    stream="iot_energy",
    batch_id=12,
    fate="dead_lettered",
    reason_code="negative_quantity",
    reason="energy_kwh: '-1' is negative",
    field="energy_kwh",
    offending_value="-1",
    valid_values="0 or more",
    schema_id=1,
    appended_at=NOW,
    record_key=b"meter\xff",
    record_value=b"\x00\x01",
    record_headers=[("trace", "abcd"), ("empty", None)],
)


def test_a_dead_letter_tells_where_it_came_from_and_keeps_its_own_headers() -> None:
    assert key_of(LETTER) == b"raw.iot.energy:3:41"
    headers = dict(headers_of(LETTER))
    assert headers["carbon.reason_code"] == b"negative_quantity"
    assert headers["carbon.offset"] == b"41"
    assert headers["carbon.appended_at"] == b"2024-06-01T12:00:00Z"
    assert headers["carbon.record_key"] == b"meter\xff"
    assert headers["trace"] == b"\xab\xcd"
    assert headers["empty"] is None


def test_every_kind_of_malformed_record_is_named_once_and_covers_the_codes() -> None:
    table = malformed.kinds()
    assert len({kind for kind, _, _ in table}) == len(table) >= 40
    assert len({code for _, code, _ in table}) >= 20
    records = list(malformed.malformed_records(2 * len(table), 1, NOW, seed=3))
    assert {record.kind for record in records} == {kind for kind, _, _ in table}
    assert records == list(malformed.malformed_records(2 * len(table), 1, NOW, seed=3))


def test_the_oracle_knows_the_four_fates() -> None:
    log = oracle.Oracle()

    def sent(kwh: str, revision: int = 0) -> str:
        return log.sent(
            oracle.Sent(
                sensor_id="m",
                timestamp_micros=0,
                revision=revision,
                country_iso2="DE",
                kwh=kwh,
                payload=kwh,
            )
        )

    assert [sent("1.5"), sent("1.5"), sent("2"), sent("0.5", revision=1)] == [
        "ledgered",
        "duplicate",
        "quarantined",
        "ledgered",
    ]
    assert log.malformed("empty_value") == "dead_lettered"
    assert (log.records, oracle.decimal_text(log.kwh(), 1)) == (5, "0.5")


@pytest.mark.parametrize(
    ("kwh", "factor", "posted"),
    [
        ("1247.3", "0.34405", "429.133565000000"),
        ("0.0000000000005", "1", "0.000000000000"),
        ("0.0000000000015", "1", "0.000000000002"),
        ("0.00000000000250000000001", "1", "0.000000000003"),
        ("0", "0.5", "0.000000000000"),
    ],
)
def test_the_oracle_rounds_once_to_the_even_neighbour(kwh: str, factor: str, posted: str) -> None:
    assert oracle.decimal_text(oracle.kgco2e(kwh, factor)) == posted


def test_a_pacer_keeps_the_average_and_catches_up() -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pacer = Pacer(per_second=10, clock=lambda: now[0], sleep=sleep)
    for _ in range(3):
        pacer.wait()
    assert now[0] == pytest.approx(0.2)
    now[0] = 0.45
    slept.clear()
    for _ in range(2):
        pacer.wait()
    assert slept == []
    pacer.wait()
    assert now[0] == pytest.approx(0.5)


def test_a_frame_shorter_than_its_header_is_one_of_the_kinds() -> None:
    shortest = [make(malformed.good_fields("m", NOW), 1, NOW) for _, _, make in malformed.kinds()]
    assert any(value is not None and 0 < len(value) < struct.calcsize(">bI") for value in shortest)
