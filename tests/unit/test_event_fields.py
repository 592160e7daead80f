"""What every class of activity events does alike, shown on trips and legs."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger import event_fields
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.transport.shipment_events import ShipmentEvent
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from tests.support.transport_examples import NOW, leg, refusal, trip

EVENTS = [
    trip(fuel_type="diesel", fuel_litres="12.50", segment=3, revision=2, model_year=2015),
    leg(origin_latitude="-33.90", origin_longitude="18.4", is_refrigerated=True),
]


@pytest.mark.parametrize("event", EVENTS, ids=["trip", "leg"])
def test_an_event_survives_the_wire_unchanged(event: event_fields.ActivityEvent) -> None:
    fields = event.to_avro_fields()
    assert type(event).from_avro_fields(fields, NOW) == event
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - our own bytes


@pytest.mark.parametrize("event", EVENTS, ids=["trip", "leg"])
def test_an_older_writer_may_leave_out_what_has_a_default(
    event: event_fields.ActivityEvent,
) -> None:
    stream = event.TYPE.stream
    required = {one.name for one in event_fields.avro_fields(stream) if one.is_required}
    fields = {name: value for name, value in event.to_avro_fields().items() if name in required}
    read = type(event).from_avro_fields(fields, NOW)
    assert read.revision == 0
    for name in required:
        rest = {key: value for key, value in fields.items() if key != name}
        problem = refusal(lambda rest=rest: type(event).from_avro_fields(rest, NOW))
        assert (problem.code, problem.field) == ("missing_field", name)


@pytest.mark.parametrize("kind", [VehicleTelemetryEvent, ShipmentEvent])
def test_the_class_has_exactly_the_fields_of_its_schema(
    kind: type[event_fields.ActivityEvent],
) -> None:
    stream = kind.TYPE.stream
    file = resources.files("carbon_ledger").joinpath("schemas", f"{stream}.avsc")
    schema = json.loads(file.read_text("utf-8"))
    assert schema["name"] == kind.__name__
    names = [field["name"] for field in schema["fields"]]
    assert set(names) == set(kind.TYPE.checks)
    assert [field.name for field in event_fields.avro_fields(stream)] == names
    defaults = {
        # A list of the schema is a tuple of the event.
        field["name"]: tuple(default) if isinstance(default := field["default"], list) else default
        for field in schema["fields"]
        if "default" in field
    }
    known = event_fields.avro_fields(stream)
    assert {one.name: one.default for one in known if not one.is_required} == defaults


WRONG_ON_THE_WIRE = [
    ("segment", True, "wrong_type"),
    ("segment", "1", "wrong_type"),
    ("fuel_litres", 12, "wrong_type"),
    ("vehicle_id", None, "wrong_type"),
    ("country_iso2", "gb", "not_canonical"),
    ("country_iso2", "ZZ", "unknown_country"),
    ("fuel_litres", "NaN", "not_finite"),
    ("fuel_litres", "-1", "negative_quantity"),
    ("fuel_litres", "1,5", "not_a_number"),
    ("operator", "neighbour", "unknown_operator"),
    ("charging", "somewhere", "unknown_charging"),
    ("biofuel_share", "1.01", "out_of_range"),
    ("vehicle_id", "a#b", "invalid_identifier"),
    ("segment", -1, "segment_out_of_range"),
    ("revision", 1000, "revision_out_of_range"),
    ("interval_seconds", 31 * 24 * 3600 + 1, "interval_out_of_range"),
    ("timestamp", 0, "timestamp_out_of_range"),
]


@pytest.mark.parametrize(("name", "value", "code"), WRONG_ON_THE_WIRE)
def test_what_is_wrong_on_the_wire_is_refused_by_its_field(
    name: str, value: object, code: str
) -> None:
    fields = {**EVENTS[0].to_avro_fields(), name: value}
    problem = refusal(lambda: VehicleTelemetryEvent.from_avro_fields(fields, NOW))
    assert (problem.code, problem.field) == (code, name)
    assert problem.valid


def test_construction_keeps_what_it_does_not_understand_and_check_refuses_it() -> None:
    event = trip(fuel_litres="a lot", country_iso2="gb")
    assert event.fuel_litres == "a lot"
    assert event.country_iso2 == "GB"
    assert event.to_avro_fields()["fuel_litres"] == "a lot"
    with pytest.raises(RejectedRecord, match="a lot"):
        event.check(NOW)


def test_fields_that_contradict_each_other_are_judged_when_each_is_right() -> None:
    event = trip(odometer_start_km="10", odometer_end_km="9")
    assert refusal(lambda: event.check(NOW)).code == "odometer_backwards"


def test_a_json_object_may_have_numbers_and_text_but_no_other_names() -> None:
    fields = {
        "vehicle_id": "v1",
        "trip_id": "t",
        "country_iso2": "de",
        "vehicle_class": "car_small",
        "distance_km": 1.5,
        "timestamp": "2025-01-01T00:00:00+01:00",
    }
    event = VehicleTelemetryEvent.from_fields(fields, NOW)
    assert event.distance_km == Decimal("1.5")
    assert event.timestamp == datetime(2024, 12, 31, 23, tzinfo=UTC)
    assert event.operator == "own"
    wrong = {**fields, "litres": 1}
    assert refusal(lambda: VehicleTelemetryEvent.from_fields(wrong, NOW)).code == "unknown_field"
    less = {key: value for key, value in fields.items() if key != "trip_id"}
    assert refusal(lambda: VehicleTelemetryEvent.from_fields(less, NOW)).code == "missing_field"


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4)
)


@given(values=st.fixed_dictionaries({name: ANYTHING for name in VehicleTelemetryEvent.TYPE.checks}))
@settings(max_examples=60, deadline=None)
def test_no_value_makes_construction_raise_and_what_passes_is_typed(
    values: dict[str, object],
) -> None:
    event = VehicleTelemetryEvent(**values)  # type: ignore[arg-type]
    if event.problem is None:
        fields = event.to_avro_fields()
        assert VehicleTelemetryEvent.from_avro_fields(fields, NOW) == event
    else:
        assert event.problem.code


SIGNED = [("-0.50", "-0.5"), ("0", "0"), ("-0", "0"), (-3, "-3"), (Decimal("-1E-3"), "-0.001")]


@pytest.mark.parametrize(("value", "expected"), SIGNED)
def test_a_signed_amount_keeps_its_sign(value: object, expected: str) -> None:
    found = event_fields.signed_amount("amount_net", value)
    assert found == Decimal(expected)
    assert str(found) != "-0"


@pytest.mark.parametrize("value", ["--1", "-", "-NaN", "+-1", True])
def test_what_is_no_signed_number_is_refused(value: object) -> None:
    problem = refusal(lambda: event_fields.signed_amount("amount_net", value))
    assert problem.code in ("not_a_number", "not_finite")


def test_lists_have_each_value_once() -> None:
    check = event_fields.several(event_fields.identifier)
    assert check("lines", ["a", "b"]) == ("a", "b")
    assert refusal(lambda: check("lines", ["a", "a"])).code == "given_twice"
    assert refusal(lambda: check("lines", "a")).code == "not_a_list"


@pytest.mark.parametrize("value", ["", "a\nb", "x" * 257, 3])
def test_text_is_printable_and_short(value: object) -> None:
    assert refusal(lambda: event_fields.text("name", value)).code == "invalid_text"


def test_a_schema_with_a_type_no_event_has_is_a_broken_invariant() -> None:
    with pytest.raises(BrokenInvariant, match="of type 'double'"):
        event_fields._avro_field("planted", {"name": "x", "type": "double"})
