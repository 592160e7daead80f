"""Providers' mappings: recorded shapes become exactly these events, the rest is told why not."""

from __future__ import annotations

import json
import tomllib
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.transport.shipment_events import ShipmentEvent
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from pipeline.sources.field_mapping import (
    Surroundings,
    missing_name,
    parse_path,
    parse_rule,
    walk,
)
from pipeline.sources.rest_client import parse_json
from pipeline.sources.rest_items import Mapped, Refused, Skipped, item_bytes, items_of, read_item
from pipeline.sources.rest_mapping import Provider, filled, parse_provider, read_provider, shipped
from pipeline.sources.rest_state import StateFile, SubjectState
from tests.support.carrier_answers import (
    dhl_answer,
    dhl_shipment,
    fedex_answer,
    fedex_result,
    samsara_trip,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE = Path(__file__).parent
PAYS = Surroundings(values={"payer": "reporter"}, subject={"tracking_number": "X"})
VAN = Surroundings(
    subject={
        "samsara_id": "11",
        "vehicle_id": "van-11",
        "vehicle_class": "van_average",
        "country_iso2": "GB",
        "fuel_type": "diesel",
        "facility_id": "",
    }
)


def outcomes(name: str, answer: Any, around: Surroundings) -> list[Mapped | Refused | Skipped]:
    """What becomes of an answer that went over the wire."""
    provider = read_provider(name, HERE)
    content = parse_json(json.dumps(answer).encode())
    return [
        one
        for item in items_of(content, provider)
        for one in read_item(item, provider, around, NOW)
    ]


def only(name: str, answer: Any, around: Surroundings) -> Any:
    (one,) = outcomes(name, answer, around)
    assert isinstance(one, Mapped), one
    return one.event


def refused(name: str, answer: Any, around: Surroundings) -> Refused:
    (one,) = outcomes(name, answer, around)
    assert isinstance(one, Refused), one
    return one


def test_a_dhl_shipment_is_a_leg_of_express_by_air() -> None:
    assert only("dhl_unified_tracking", dhl_answer(dhl_shipment("00340")), PAYS) == ShipmentEvent(
        shipment_id="00340",
        leg_id="1",
        status="delivered",
        mode="air",
        operation_class="air_international",
        carrier_id="DHL",
        origin="DE",
        destination="US",
        mass_kg=Decimal("253.5"),
        payer="reporter",
        timestamp="2025-03-03T17:00:00Z",  # type: ignore[arg-type]
        interval_seconds=167_400,
        assumed=("mode", "operation_class"),
    )


STATES = [("pre-transit", "booked"), ("transit", "departed"), ("delivered", "delivered")]


@pytest.mark.parametrize(("theirs", "ours"), [*STATES, ("failure", "departed")])
def test_states_of_dhl(theirs: str, ours: str) -> None:
    event = only("dhl_unified_tracking", dhl_answer(dhl_shipment("1", theirs)), PAYS)
    assert event.status == ours
    assert bool(event.interval_seconds) == (ours == "delivered")


DHL_REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"service": "dgf"}, "item_value_unknown", "mode"),
    ({"status": {"statusCode": "lost"}}, "item_value_unknown", "status"),
    ({"status": {}}, "item_field_missing", "status"),
    ({"origin": {}}, "item_field_missing", "origin"),
    ({"origin": {"address": {"countryCode": "XX"}}}, "unknown_place", "origin"),
    ({"details": {"weight": {"value": 3, "unitText": "stone"}}}, "item_unit_unknown", "mass_kg"),
    ({"details": {"weight": {"value": 3}}}, "item_unit_unknown", "mass_kg"),
    ({"details": {"weight": {"value": "heavy", "unitText": "kg"}}}, "not_a_number", "mass_kg"),
    ({"details": {"weight": {"value": -1, "unitText": "kg"}}}, "negative_quantity", "mass_kg"),
    (
        {"events": [{"timestamp": "2025-03-03T18:00:00", "statusCode": "transit"}]},
        "timestamp_without_zone",
        "timestamp",
    ),
    (
        {"events": [{"timestamp": "yesterday", "statusCode": "transit"}]},
        "not_a_timestamp",
        "timestamp",
    ),
]


@pytest.mark.parametrize(("changes", "code", "name"), DHL_REFUSED)
def test_what_a_mapping_cannot_map_is_refused_with_its_bytes(
    changes: dict[str, Any], code: str, name: str
) -> None:
    shipment = dhl_shipment("1", **changes)
    one = refused("dhl_unified_tracking", dhl_answer(shipment), PAYS)
    assert (one.problem.code, one.problem.field) == (code, name)
    assert one.problem.valid
    kept = json.loads(one.payload)
    assert kept["id"] == "1"
    assert kept["service"] == shipment["service"]


def test_bytes_of_a_refused_item_have_its_own_digits_and_nobody_s_name() -> None:
    item = parse_json(
        b'{"weight": 253.50, "receiver": {"name": "A. Person"}, "deep": [{"name": 1}]}'
    )
    personal = read_provider("dhl_unified_tracking", HERE).personal
    text = item_bytes(item, personal).decode()
    assert '"weight":253.50' in text
    assert "Person" not in text
    assert text.count("withheld") == 2


def test_a_stamp_without_zone_is_read_in_the_zone_of_the_source() -> None:
    events = [{"timestamp": "2025-07-03T18:00:00", "statusCode": "transit"}]
    shipment = dhl_shipment("1", "transit", events=events)
    around = Surroundings(values={"payer": "reporter"}, zone=ZoneInfo("Europe/Berlin"))
    event = only("dhl_unified_tracking", dhl_answer(shipment), around)
    assert event.timestamp == datetime(2025, 7, 3, 16, tzinfo=UTC)


@pytest.mark.parametrize("stamp", ["2025-10-26T02:30:00", "2025-03-30T02:30:00"])
def test_a_local_stamp_that_clocks_pass_twice_or_never_is_refused(stamp: str) -> None:
    events = [{"timestamp": stamp, "statusCode": "transit"}]
    around = Surroundings(values={"payer": "reporter"}, zone=ZoneInfo("Europe/Berlin"))
    shipment = dhl_shipment("1", "transit", events=events)
    one = refused("dhl_unified_tracking", dhl_answer(shipment), around)
    assert one.problem.code == "ambiguous_local_time"


def test_a_fedex_package_is_a_leg_whose_pounds_are_kilograms() -> None:
    event = only("fedex_track", fedex_answer(fedex_result("7943")), PAYS)
    assert event == ShipmentEvent(
        shipment_id="7943",
        leg_id="1",
        status="delivered",
        mode="air",
        operation_class="air_international",
        carrier_id="FEDEX",
        origin="US",
        destination="CA",
        mass_kg=Decimal("9.97903214"),
        payer="reporter",
        timestamp="2025-03-03T23:00:00Z",  # type: ignore[arg-type]
        interval_seconds=147_600,
        assumed=("mode", "operation_class"),
    )
    assert only("fedex_track", fedex_answer(fedex_result("1", "CA")), PAYS).status == "cancelled"


def test_a_fedex_number_without_scans_is_skipped_and_an_unknown_status_is_not() -> None:
    unknown: dict[str, Any] = {
        "error": {"code": "TRACKING.TRACKINGNUMBER.NOTFOUND", "message": "made up"}
    }
    (one,) = outcomes("fedex_track", fedex_answer(fedex_result("1", "", **unknown)), PAYS)
    assert isinstance(one, Skipped)
    returned = refused("fedex_track", fedex_answer(fedex_result("1", "RS")), PAYS)
    assert returned.problem.code == "item_value_unknown"


def test_distance_and_site_of_a_package_come_from_the_list_of_subjects() -> None:
    around = Surroundings(
        values={"payer": "customer"},
        subject={"distance_km": "812.4", "distance_kind": "actual", "facility_id": "hall-2"},
    )
    event = only("fedex_track", fedex_answer(fedex_result("1")), around)
    assert (event.distance_km, event.distance_kind) == (Decimal("812.4"), "actual")
    assert (event.facility_id, event.payer) == ("hall-2", "customer")


def test_a_samsara_trip_is_litres_and_kilometres_of_a_vehicle() -> None:
    trip = samsara_trip(1_741_000_000_000)
    assert only("samsara_trips", {"trips": [trip]}, VAN) == VehicleTelemetryEvent(
        vehicle_id="van-11",
        trip_id="1741000000000",
        vehicle_class="van_average",
        country_iso2="GB",
        fuel_type="diesel",
        distance_km=Decimal("42.5"),
        fuel_litres=Decimal("11.25"),
        odometer_start_km=Decimal("210430.45"),
        odometer_end_km=Decimal("210472.95"),
        timestamp="2025-03-03T11:06:40Z",  # type: ignore[arg-type]
        interval_seconds=3600,
    )


def test_a_trip_that_is_not_over_is_skipped_and_unmeasured_fuel_is_left_out() -> None:
    running = samsara_trip(1, endMs=9_223_372_036_854_775_807)
    (one,) = outcomes("samsara_trips", {"trips": [running]}, VAN)
    assert isinstance(one, Skipped)
    unmeasured = samsara_trip(1_741_000_000_000, fuelConsumedMl=0)
    assert only("samsara_trips", {"trips": [unmeasured]}, VAN).fuel_litres is None


# ---- the language


PATHS: list[tuple[str, list[object]]] = [
    ("a", [1]),
    ("b.c", [2, 3]),
    ("b[0].c", [2]),
    ("b[-1].c", [3]),
    ("b[7].c", []),
    ("b[k=y].c", [3]),
    ("b[k=z].c", []),
    ("dgf:route.x", [4]),
    ("none", []),
    ("^.a", [9]),
]


@pytest.mark.parametrize(("path", "found"), PATHS)
def test_a_path_finds_every_value_there_is(path: str, found: list[object]) -> None:
    node = {"a": 1, "b": [{"k": "x", "c": 2}, {"k": "y", "c": 3}], "dgf:route": {"x": 4}}
    assert walk({**node, "none": None}, parse_path(path), {"a": 9}) == found


SHAPES: list[tuple[Any, str | None]] = [
    ({"output": {"results": [{"parts": []}]}}, None),
    ({"output": {"results": []}}, None),
    ({"output": {"results": None}}, None),
    ({"output": None}, None),
    ({"output": {}}, "results"),
    ({"output": {"results": [{}]}}, "parts"),
    ({"errors": []}, "output"),
    ([1], "output"),
]


@pytest.mark.parametrize(("answer", "name"), SHAPES)
def test_an_answer_of_another_shape_is_told_apart_from_one_with_nothing(
    answer: Any, name: str | None
) -> None:
    assert missing_name(answer, parse_path("output.results.parts")) == name


@pytest.mark.parametrize("path", ["", "a[", "a[]", "a..b", "[=x]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        parse_path(path)


def test_two_values_where_one_is_asked_for_are_refused() -> None:
    rule = parse_rule("mode", {"path": "legs.mode"}, "k")
    with pytest.raises(RejectedRecord) as caught:
        rule.read({"legs": [{"mode": "air"}, {"mode": "road"}]}, Surroundings())
    assert caught.value.code == "item_field_ambiguous"
    assert rule.read({"legs": [{"mode": "air"}, {"mode": "air"}]}, Surroundings()) == "air"


RULES_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "exactly one of"),
    ({"path": "a", "const": 1}, "exactly one of"),
    ({"pat": "a"}, "is unknown"),
    ({"path": "a", "pick": "best"}, "pick"),
    ({"path": "a", "pick": "latest"}, "needs `time`"),
    ({"path": "a", "unit": "kg"}, "needs `to`"),
    ({"path": "a", "to": "kg"}, "needs `to`"),
    ({"path": "a", "unit": "stone", "to": "kg"}, "is no unit"),
    ({"path": "a", "unit_path": "b", "to": "kg"}, "units"),
    ({"path": "a", "time": "noon"}, "time"),
    ({"path": "a", "time": "iso", "zone": "Mars/Olympus"}, "zone"),
    ({"path": "a", "until": {"path": "b"}}, "needs `time`"),
]


@pytest.mark.parametrize(("spec", "told"), RULES_REFUSED)
def test_a_rule_is_refused_by_the_key_at_fault(spec: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        parse_rule("mass_kg", spec, "events[0].fields.mass_kg")


def legs_provider() -> dict[str, Any]:
    """A provider whose shipments have legs: one event each."""
    return {
        "provider": "legs",
        "stream": "logistics",
        "items": "data",
        "request": {"path": "/x", "params": {"since": "{since}"}},
        "cursor": {"kind": "latest", "path": "changed"},
        "events": [
            {
                "each": "legs",
                "fields": {
                    "shipment_id": {"path": "^.id"},
                    "leg_id": {"path": "no"},
                    "status": "delivered",
                    "mode": {"path": "by"},
                    "origin": {"path": "from"},
                    "destination": {"path": "to"},
                    "payer": "reporter",
                    "timestamp": {"path": "at", "time": "iso"},
                },
            }
        ],
    }


def test_a_shipment_is_expanded_into_its_legs() -> None:
    provider = parse_provider(legs_provider())
    leg = {"by": "road", "from": "DEHAM", "to": "ATVIE", "at": "2025-01-01T00:00:00Z"}
    item = {"id": "S1", "legs": [{"no": "1", **leg}, {"no": "2", **leg, "by": "boat"}]}
    first, second = read_item(item, provider, Surroundings(), NOW)
    assert isinstance(first, Mapped)
    assert first.event.activity_ref == "shipment:S1/1"
    assert isinstance(second, Refused)
    assert second.problem.code == "unknown_mode"
    (empty,) = read_item({"id": "S2", "legs": []}, provider, Surroundings(), NOW)
    assert isinstance(empty, Refused)
    assert empty.problem.code == "item_has_no_parts"


PROVIDERS_REFUSED: list[tuple[str, Any, str]] = [
    ("item", "x", "the mapping.item: is unknown"),
    ("stream", "weather", "no stream"),
    ("items", "a[0].b", "more than names"),
    ("request", {"path": "x"}, "must begin with /"),
    ("request", {"path": "/x/{token}"}, "none of at first"),
    ("request", {"path": "/x", "method": "PUT"}, "GET, POST"),
    ("paging", {"kind": "scroll"}, "next_link"),
    ("paging", {"kind": "next_link"}, "paging.path"),
    ("paging", {"kind": "page", "param": "p"}, "paging.size"),
    ("paging", {"kind": "cursor", "path": "c"}, "paging.param"),
    ("cursor", {"kind": "latest"}, "cursor.path"),
    ("cursor", {"kind": "window", "window_days": 1, "overlap_hours": 24}, "never moves"),
    ("skip", [{"path": "a"}], "needs path and why"),
    ("events", [{"fields": {"shipment_id": "1"}}], "nothing gives leg_id"),
    ("events", [{"fields": {"weather": "1"}}], "weather: is unknown"),
    ("events", [{"fields": {"revision": 1}}], "revision: is unknown"),
]


@pytest.mark.parametrize(("key", "value", "told"), PROVIDERS_REFUSED)
def test_a_provider_is_refused_by_the_key_at_fault(key: str, value: Any, told: str) -> None:
    content = deepcopy(legs_provider())
    content[key] = value
    with pytest.raises(ConfigurationError, match=told):
        parse_provider(content)


def test_the_shipped_mappings_are_sound_and_unknown_names_are_refused_with_them() -> None:
    assert shipped() == ("dhl_unified_tracking", "fedex_track", "samsara_trips")
    for name in shipped():
        provider: Provider = read_provider(name, HERE)
        assert provider.name == name
    with pytest.raises(ConfigurationError, match="fedex_track"):
        read_provider("ups", HERE)
    with pytest.raises(ConfigurationError, match=r"own\.toml"):
        read_provider("own.toml", HERE)


def test_a_mapping_of_one_s_own_is_read_beside_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('provider = "own"\nstream = "logistics"\n')
    with pytest.raises(ConfigurationError, match=r"own\.toml: items: is missing"):
        read_provider("own.toml", tmp_path)
    path.write_text("provider = ")
    with pytest.raises(ConfigurationError, match="no TOML"):
        read_provider("own.toml", tmp_path)


def test_a_question_leaves_out_a_cursor_that_there_is_none_of() -> None:
    spec = tomllib.loads('a = "{n}"\nb = "x{token}"\nc = [{ d = "{n}-{n}" }]')
    assert filled(spec, {"n": "7"}) == {"a": "7", "c": [{"d": "7-7"}]}
    assert filled(spec, {"n": "7", "token": "t"})["b"] == "xt"


# ---- revisions and the file of what was sent

ORDER = ("booked", "departed", "delivered", "cancelled")
HISTORY: list[tuple[str, str, int | None]] = [
    ("booked", "a", 0),
    ("booked", "a", None),
    ("departed", "b", 100),
    ("departed", "c", 101),
    ("delivered", "d", 200),
    ("departed", "e", 201),
    ("cancelled", "f", 300),
]


def test_a_later_state_and_a_changed_figure_are_later_revisions() -> None:
    state = SubjectState()
    for status, fingerprint, expected in HISTORY:
        revision = state.next_revision("r", fingerprint, status, ORDER)
        assert revision == expected, (status, fingerprint)
        if revision is not None:
            state.note_sent("r", revision, fingerprint, NOW)


def test_the_state_survives_and_a_damaged_one_is_not_taken_for_none(tmp_path: Path) -> None:
    from carbon_ledger.errors import BrokenInvariant

    path = tmp_path / "deep" / "state.json"
    state = StateFile(path)
    one = SubjectState()
    one.since, one.token = "2025-01-01T00:00:00+00:00", "t"
    one.note_sent("r", 200, "f", NOW)
    assert one.is_new_letter("l")
    assert not one.is_new_letter("l")
    state.put("X", one)
    assert state.write()
    assert not state.write()
    again = StateFile(path)
    assert again.subjects == state.subjects
    again.keep_only([])
    assert again.write()
    assert StateFile(path).subjects == {}
    path.write_text(path.read_text()[:20])
    with pytest.raises(BrokenInvariant, match="Restore it"):
        StateFile(path)
