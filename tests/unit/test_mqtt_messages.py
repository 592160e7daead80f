"""What MQTT messages become: readings, dead letters, or known to be none. Every part is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.events import IoTEnergyEvent
from pipeline.sources import sparkplug
from pipeline.sources.meter_mapping import TopicTemplate
from pipeline.sources.meter_registers import KEPT, RegisterBook
from pipeline.sources.mqtt_config import MqttConfig, mqtt_config
from pipeline.sources.mqtt_messages import Judge, Judged
from pipeline.sources.source_config import read_source

TOPIC = "plants/F1/meters/M1/energy"
# Made by the encoder of Eclipse Tahu (JavaScript, sparkplug-payload 1.0.3): a birth with a Double,
# a Float, an Int64 -5, an Int16 -7, a String, a Boolean, a DataSet and a null, and data by alias.
BIRTH = bytes.fromhex(
    "0880a0a5c3ca3312290a13456e657267792f496e74657276616c206b576810071880a0a5c3ca33200a69000000000000"
    "2940121e0a0c4761732f546f74616c206d3310081880a0a5c3ca332009659aa98344121d0a05436f756e741009"
    "1880a0a5c3ca33200458fbffffffffffffffff0112180a05536d616c6c100a1880a0a5c3ca33200250f9ffffff0f"
    "12170a04536974651880a0a5c3ca33200c7a065765726b2037120f0a024f6e1880a0a5c3ca33200b700112210a055461"
    "626c651880a0a5c3ca3320108a010e0801120161180c22050a0332017812140a074e6f7468696e671880a0a5c3ca3320"
    "0a38011800"
)
DATA = bytes.fromhex(
    "08a097dcc3ca331214100718a097dcc3ca33200a699a9999999999b93f1210100818a097dcc3ca3320096566d6834418"
    "01"
)

PLAIN = """
kind = "mqtt"
url = "mqtt://127.0.0.1"
[[topics]]
template = "plants/{facility_id}/meters/{sensor_id}/energy"
payload = "json"
[topics.fields]
timestamp = { key = "at" }
energy_kwh = { key = "kwh" }
country_iso2 = { of = "facility_id", values = { F1 = "DE", F2 = "FR" } }
interval_seconds = { key = "seconds", default = 900 }
"""
LISTS = """
kind = "mqtt"
url = "mqtts://broker.example"
[[topics]]
template = "meters/{facility_id}"
payload = "json"
items = "data.rows"
time_unit = "ms"
stamp = "interval_end"
[topics.fields]
sensor_id = { key = "id" }
timestamp = { key = "t" }
quantity = { key = "value.amount" }
unit = { outer = "unit" }
country_iso2 = "DE"
interval_seconds = 900
"""
TOTALS = """
kind = "mqtt"
url = "mqtt://127.0.0.1"
[[topics]]
template = "totals/{facility_id}/{sensor_id}"
payload = "json"
[topics.fields]
timestamp = { key = "at" }
register_end = { key = "total" }
unit = "kWh"
country_iso2 = "DE"
"""
SPARKPLUG = """
kind = "mqtt"
url = "mqtt://127.0.0.1"
[[topics]]
template = "spBv1.0/{facility_id}/DDATA/{node}/{sensor_id}"
payload = "sparkplug"
[topics.fields]
country_iso2 = "DE"
[[topics.metrics]]
name = "Energy/Interval kWh"
fields = { interval_seconds = 900 }
[[topics.metrics]]
name = "Gas/Total m3"
field = "register_end"
[topics.metrics.fields]
sensor_id = { template = "{node}-{sensor_id}:gas" }
meter_kind = "gas"
unit = "m3"
scope = 1
"""


def config_of(folder: Path, text: str) -> MqttConfig:
    path = folder / "plant.toml"
    path.write_text(text)
    source = read_source(path)
    config = mqtt_config(source)
    source.table.finish()
    return config


def judge_of(folder: Path, text: str) -> Judge:
    return Judge(config_of(folder, text), RegisterBook(folder / "book.sqlite"))


def said(judge: Judge, topic: str, message: object) -> Judged:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return judge.judge(topic, payload)


def test_a_message_is_the_reading_it_says(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, PLAIN)
    payload = b'{"at": "2026-03-01T09:00:00+01:00", "kwh": 12.50, "more": [1]}'
    found = judge.judge(TOPIC, payload)
    expected = IoTEnergyEvent(
        sensor_id="M1",
        facility_id="F1",
        country_iso2="DE",
        energy_kwh="12.50",
        energy_source="grid",
        grid_carbon_intensity_gco2_kwh=None,
        timestamp=datetime(2026, 3, 1, 8, tzinfo=UTC),
        interval_seconds=900,
    )
    assert found.events == [expected]
    assert str(found.events[0].energy_kwh) == "12.50"
    assert not found.letters
    assert judge.judge(TOPIC, payload).events[0].event_id == expected.event_id
    france = said(judge, "plants/F2/meters/M1/energy", {"at": "2026-03-01", "kwh": "1e1"})
    assert france.events[0].country_iso2 == "FR"


BAD: list[tuple[str, str, bytes, str]] = [
    ("no JSON", TOPIC, b"12.5 kWh", "not_json"),
    ("no UTF-8", TOPIC, b'{"kwh": "\xff"}', "not_json"),
    ("empty", TOPIC, b"", "not_json"),
    ("NaN", TOPIC, b'{"at": "2026-03-01", "kwh": NaN}', "not_json"),
    ("deep", TOPIC, b"[" * 100_000, "not_json"),
    ("many digits", TOPIC, b'{"at": "2026-03-01", "kwh": ' + b"9" * 5000 + b"}", "not_json"),
    ("a list", TOPIC, b"[]", "not_an_object"),
    ("no amount", TOPIC, b'{"at": "2026-03-01"}', "missing_field"),
    ("null", TOPIC, b'{"at": "2026-03-01", "kwh": null}', "missing_field"),
    ("a structure", TOPIC, b'{"at": "2026-03-01", "kwh": {"v": 1}}', "wrong_type"),
    ("negative", TOPIC, b'{"at": "2026-03-01", "kwh": -1}', "negative_quantity"),
    ("NaN text", TOPIC, b'{"at": "2026-03-01", "kwh": "NaN"}', "not_finite"),
    ("huge", TOPIC, b'{"at": "2026-03-01", "kwh": 1e999999}', "out_of_range"),
    ("a word", TOPIC, b'{"at": "2026-03-01", "kwh": "much"}', "not_a_number"),
    ("half a pair", TOPIC, b'{"at": "2026-03-01", "kwh": "\\ud800"}', "not_text"),
    ("no date", TOPIC, b'{"at": "yesterday", "kwh": 1}', "not_a_timestamp"),
    ("a number as date", TOPIC, b'{"at": 5, "kwh": 1}', "not_a_timestamp"),
    ("future", TOPIC, b'{"at": "2999-01-01", "kwh": 1}', "timestamp_out_of_range"),
    ("long", TOPIC, b'{"at": "2026-03-01", "kwh": 1, "seconds": 1e9}', "interval_out_of_range"),
    ("country", "plants/F9/meters/M1/energy", b'{"at": "2026-03-01", "kwh": 1}', "unknown_value"),
    ("sensor", "plants/F1/meters/M 1/energy", b'{"at": "2026", "kwh": 1}', "invalid_identifier"),
    ("topic", "plants/F1/energy", b"{}", "unexpected_topic"),
    ("large", TOPIC, b" " * 300_000, "too_large"),
]


@pytest.mark.parametrize(
    ("topic", "payload", "code"), [o[1:] for o in BAD], ids=[o[0] for o in BAD]
)
def test_what_is_no_reading_is_a_letter_with_its_bytes_and_topic(
    tmp_path: Path, topic: str, payload: bytes, code: str
) -> None:
    payload = payload.replace(b'"2026"', b'"2026-03-01"')
    found = judge_of(tmp_path, PLAIN).judge(topic, payload)
    assert not found.events
    (letter,) = found.letters
    assert letter.reason_code == code
    assert letter.source == "mqtt:plant"
    assert letter.coordinates == topic
    assert letter.payload == payload
    assert letter.stream == "iot_energy"
    letter.headers(datetime.now(UTC))


def test_each_item_of_a_list_is_judged_by_itself(tmp_path: Path) -> None:
    rows = [
        {"id": "A", "t": 1772352900000, "value": {"amount": 1.5}},
        {"id": "B", "t": "1772352900000", "value": {"amount": "many"}},
        "nothing",
        {"id": 7, "t": 1772352900000.5, "value": {"amount": 2}},
    ]
    found = said(judge_of(tmp_path, LISTS), "meters/F1", {"unit": "MWh", "data": {"rows": rows}})
    assert [one.sensor_id for one in found.events] == ["A", "7"]
    first = found.events[0]
    assert isinstance(first, MeterReadingEvent)
    assert (first.quantity, first.unit) == (Decimal("1.5"), "MWh")
    assert first.timestamp == datetime(2026, 3, 1, 8, tzinfo=UTC)
    (letter,) = found.letters
    assert letter.coordinates == "meters/F1 item 2 and 1 more"
    assert letter.reason_code == "not_a_number"
    for message, code in (
        ({"unit": "MWh"}, "not_a_list"),
        ({"data": {"rows": [0] * 5001}}, "too_many_items"),
    ):
        assert [
            one.reason_code for one in said(judge_of(tmp_path, LISTS), "meters/F1", message).letters
        ] == [code]


def total(judge: Judge, at: str, value: object) -> Judged:
    return said(judge, "totals/F1/M1", {"at": f"2026-03-01T{at}:00Z", "total": value})


def test_a_total_becomes_the_interval_since_the_one_before(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, TOTALS)
    first = total(judge, "08:00", "100.0")
    assert (first.starts, first.events, first.letters) == (1, [], [])
    (second,) = total(judge, "08:15", 112.5).events
    assert isinstance(second, MeterReadingEvent)
    assert second.timestamp == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert second.interval_seconds == 900
    assert (second.register_start, second.register_end) == (Decimal("100.0"), Decimal("112.5"))
    (third,) = total(judge, "08:30", 120).events
    assert (third.register_start, third.interval_seconds) == (Decimal("112.5"), 900)


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_total_that_comes_again_is_the_same_event_after_a_restart_too(
    tmp_path: Path, is_committed: bool
) -> None:
    judge = judge_of(tmp_path, TOTALS)
    total(judge, "08:00", 100)
    judge.book.commit()
    (before,) = total(judge, "08:15", 110).events
    if is_committed:
        judge.book.commit()
    judge.book.close()
    again = judge_of(tmp_path, TOTALS)
    assert total(again, "08:00", 100).starts == 1
    assert total(again, "08:15", 110).events == [before]
    (after,) = total(again, "08:30", 130).events
    assert after.register_start == 110  # type: ignore[union-attr]


def test_totals_that_contradict_or_come_late_are_letters(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, TOTALS)
    for at, value in (("08:00", 100), ("09:00", 110)):
        total(judge, at, value)
    refused = [
        total(judge, "09:00", 111),
        total(judge, "08:30", 105),
        total(judge, "07:00", 90),
        total(judge, "10:00", -1),
        said(judge, "totals/F1/M 1", {"at": "2026-03-01", "total": 1}),
    ]
    assert [one.letters[0].reason_code for one in refused] == [
        "register_conflict",
        "register_out_of_order",
        "register_too_old",
        "negative_quantity",
        "invalid_identifier",
    ]
    assert total(judge, "10:00", 120).events[0].register_start == 110  # type: ignore[union-attr]


def test_the_register_book_keeps_a_bounded_number_of_readings(tmp_path: Path) -> None:
    book = RegisterBook(tmp_path / "book.sqlite")
    for second in range(KEPT + 50):
        book.step(
            "M1", datetime.fromtimestamp(1_772_352_000 + second, UTC), {"register_end": second}
        )
    assert book._one("select count(*), min(read_at) from reading") == (KEPT, 1_772_352_050)


def test_a_register_book_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "book.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(ConfigurationError, match="keeps readings of registers"):
        RegisterBook(tmp_path / "book.sqlite")


def test_sparkplug_payloads_of_tahu_are_read_exactly() -> None:
    metrics = {one.name: one for one in sparkplug.parse(BIRTH)}
    assert metrics["Energy/Interval kWh"].value == Decimal("12.5")
    assert metrics["Gas/Total m3"].value == Decimal("1053.3")
    aliases = sparkplug.Aliases()
    aliases.learn("F1/n/M1", list(metrics.values()))
    named = {one.name: one.value for one in aliases.named("F1/n/M1", list(metrics.values()))}
    assert named == {
        "Energy/Interval kWh": Decimal("12.5"),
        "Gas/Total m3": Decimal("1053.3"),
        "Count": -5,
        "Small": -7,
        "Site": "Werk 7",
        "On": True,
        "Table": None,
        "Nothing": None,
    }
    data = list(aliases.named("F1/n/M1", sparkplug.parse(DATA)))
    assert [(one.name, one.value, one.timestamp) for one in data] == [
        ("Energy/Interval kWh", Decimal("0.1"), 1772352900000),
        ("Gas/Total m3", Decimal("1054.7"), 1772352900000),
    ]


@pytest.mark.parametrize(
    "value", ["0.1", "16777217", "3.4028235e38", "1e-45", "1053.3", "0", "7.038531e-26"]
)
def test_single_precision_enters_as_the_shortest_text_that_denotes_it(value: str) -> None:
    import struct

    single = struct.unpack("<f", struct.pack("<f", float(value)))[0]
    text = sparkplug.shortest_single(single)
    assert struct.pack("<f", float(text)) == struct.pack("<f", single)
    assert len(text.as_tuple().digits) <= 9


def test_births_name_what_data_have_numbers_for(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, SPARKPLUG)
    topic = "spBv1.0/F1/DDATA/n/M1"
    unnamed = judge.judge(topic, DATA)
    assert unnamed.unnamed == ("F1", "n")
    assert [one.reason_code for one in unnamed.letters] == ["unknown_alias"]
    born = judge.judge("spBv1.0/F1/DBIRTH/n/M1", BIRTH)
    assert (len(born.events), born.starts, born.passed_over, born.letters) == (1, 1, 6, [])
    interval, gas = judge.judge(topic, DATA).events
    assert isinstance(interval, IoTEnergyEvent)
    assert (interval.sensor_id, interval.energy_kwh) == ("M1", Decimal("0.1"))
    assert isinstance(gas, MeterReadingEvent)
    assert (gas.sensor_id, gas.meter_kind, gas.scope) == ("n-M1:gas", "gas", 1)
    assert (gas.register_start, gas.register_end) == (Decimal("1053.3"), Decimal("1054.7"))
    assert gas.interval_seconds == 900
    for payload in (b"\xff\xff", b'{"at": 1}'):
        assert [one.reason_code for one in judge.judge(topic, payload).letters] == ["not_sparkplug"]


def test_the_command_for_a_birth_is_a_sparkplug_payload() -> None:
    (metric,) = sparkplug.parse(sparkplug.rebirth(1772352000000))
    assert (metric.name, metric.value) == ("Node Control/Rebirth", True)


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


WRONG: list[tuple[str, Callable[[], str], str]] = [
    ("no broker", lambda: changed(PLAIN, "mqtt://127.0.0.1", "http://a"), "url is 'http://a'"),
    ("port", lambda: changed(PLAIN, "127.0.0.1", "h:99999"), "url is"),
    ("password", lambda: changed(PLAIN, "127.0.0.1", "u:p@h"), "user or password in it"),
    ("tls", lambda: PLAIN + "[tls]\n", "not encrypted"),
    ("no topics", lambda: PLAIN[: PLAIN.index("[[")], "topics are missing"),
    ("wildcard", lambda: changed(PLAIN, "meters/{sensor_id}", "+"), "+ and # are not written"),
    ("twice", lambda: changed(PLAIN, "{sensor_id}", "{facility_id}"), "occurs twice"),
    ("two in one", lambda: changed(PLAIN, "{sensor_id}", "{sensor_id}{x}"), "more than one"),
    ("field", lambda: changed(PLAIN, "energy_kwh", "energy_mwh"), "energy_mwh is no field"),
    ("no sensor", lambda: changed(PLAIN, "{sensor_id}", "{x}"), "fields.sensor_id is missing"),
    ("no amount", lambda: changed(PLAIN, "energy_kwh", "quantity_"), "is no field"),
    ("source", lambda: changed(PLAIN, 'key = "kwh"', 'kee = "kwh"'), "fields.energy_kwh is"),
    (
        "optional amount",
        lambda: changed(PLAIN, 'key = "kwh"', 'key = "kwh", optional = true'),
        "fields.energy_kwh is optional",
    ),
    (
        "optional with a default",
        lambda: changed(PLAIN, "default = 900", "default = 900, optional = true"),
        "without default",
    ),
    ("variable", lambda: changed(PLAIN, 'of = "facility_id"', 'of = "f"'), "names 'f'"),
    ("unknown", lambda: changed(PLAIN, 'kind = "mqtt"', 'kind = "mqtt"\nwindoe = 5'), "windoe"),
    ("ends", lambda: changed(LISTS, "interval_seconds = 900", ""), "stamps are ends"),
    ("total", lambda: TOTALS + "interval_seconds = 900", "of a running total"),
    ("namespace", lambda: changed(SPARKPLUG, "DDATA", "DBIRTH"), "spBv1.0/{group}/DDATA"),
    ("metrics", lambda: SPARKPLUG[: SPARKPLUG.index("[[topics.m")], "[[topics.metrics]]"),
    ("again", lambda: changed(SPARKPLUG, "Gas/Total m3", "Energy/Interval kWh"), "again"),
]


@pytest.mark.parametrize(("text", "complaint"), [o[1:] for o in WRONG], ids=[o[0] for o in WRONG])
def test_a_configuration_that_cannot_work_is_refused(
    tmp_path: Path, text: Callable[[], str], complaint: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config_of(tmp_path, text())
    assert complaint in caught.value.message


def test_a_template_is_one_filter_and_takes_its_topics_apart() -> None:
    template = TopicTemplate.of("a/{x}/m-{y}.kwh/{z}")
    assert template.filter == "a/+/+/+"
    assert template.variables("a/1/m-2.kwh/3") == {"x": "1", "y": "2", "z": "3"}
    assert template.variables("a/1/m-2xkwh/3") is None
    assert template.variables("a/1/m-2.kwh/3/4") is None


def test_defaults_are_durable_and_bounded(tmp_path: Path) -> None:
    config = config_of(tmp_path, PLAIN)
    assert (config.client_id, config.version, config.port) == ("carbon-plant", "5", 1883)
    assert config.session_seconds == 30 * 24 * 3600
    assert not config.takes_retained
    assert config_of(tmp_path, LISTS).port == 8883
    assert replace(config, tls=None) == config


def test_the_example_is_sound() -> None:
    from carbon_ledger.settings import PROJECT_ROOT
    from pipeline.sources.adapters import check_source

    config, text = check_source(PROJECT_ROOT / "deploy" / "sources" / "mqtt.toml")
    assert config.kind == "mqtt"
    assert "plants/+/meters/+/energy" in text
    known: Any = config.table.values
    assert "password" not in known
