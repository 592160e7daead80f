"""What a meter reading may say: each row of these tables breaks one rule and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger import events
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.events import IoTEnergyEvent, written_moment

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
START = datetime(2024, 5, 1, 10, 15, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "sensor_id": "meter-1",
    "facility_id": "plant/1",
    "country_iso2": "DE",
    "energy_kwh": "1247.3",
    "energy_source": "grid",
    "grid_carbon_intensity_gco2_kwh": "385.2",
    "timestamp": START,
    "scope": 2,
    "region": None,
    "interval_seconds": 900,
    "revision": 0,
}


def event(**changes: Any) -> IoTEnergyEvent:
    return IoTEnergyEvent(**GOOD | changes)


def refusal(**changes: Any) -> RejectedRecord:
    with pytest.raises(RejectedRecord) as caught:
        event(**changes).check(NOW)
    return caught.value


def test_the_reading_of_the_tables_is_good() -> None:
    event().check(NOW)


REJECTED = [
    # field, value, code
    ("sensor_id", "", "invalid_identifier"),
    ("sensor_id", "m" * 129, "invalid_identifier"),
    ("sensor_id", "a b", "invalid_identifier"),
    ("sensor_id", "a#1", "invalid_identifier"),
    ("sensor_id", "a@1", "invalid_identifier"),
    ("sensor_id", "a\n", "invalid_identifier"),
    ("sensor_id", "zähler", "invalid_identifier"),
    ("sensor_id", 17, "invalid_identifier"),
    ("sensor_id", None, "invalid_identifier"),
    ("facility_id", "plant 1", "invalid_identifier"),
    ("country_iso2", "UK", "unknown_country"),
    ("country_iso2", "DEU", "unknown_country"),
    ("country_iso2", "", "unknown_country"),
    ("country_iso2", " DE", "unknown_country"),
    ("country_iso2", None, "unknown_country"),
    ("region", "US-CA", "region_country_mismatch"),
    ("region", "EGRID-CAMX", "region_country_mismatch"),
    ("region", "Bavaria", "invalid_region"),
    ("region", "DE-", "invalid_region"),
    ("region", "", "invalid_region"),
    ("region", 9, "invalid_region"),
    ("energy_kwh", "twelve", "not_a_number"),
    ("energy_kwh", "", "not_a_number"),
    ("energy_kwh", "1,5", "not_a_number"),
    ("energy_kwh", True, "not_a_number"),
    ("energy_kwh", None, "not_a_number"),
    ("energy_kwh", "NaN", "not_finite"),
    ("energy_kwh", float("nan"), "not_finite"),
    ("energy_kwh", float("-inf"), "not_finite"),
    ("energy_kwh", Decimal("sNaN"), "not_finite"),
    ("energy_kwh", "-0.000001", "negative_quantity"),
    ("energy_kwh", -1, "negative_quantity"),
    ("energy_kwh", "1000000000000000000", "out_of_range"),
    ("energy_kwh", "1e18", "out_of_range"),
    ("energy_kwh", "0.0000000000000000000000001", "too_precise"),
    ("energy_kwh", "1e-25", "too_precise"),
    ("energy_source", "diesel", "unknown_energy_source"),
    ("energy_source", "Grid", "unknown_energy_source"),
    ("energy_source", None, "unknown_energy_source"),
    ("grid_carbon_intensity_gco2_kwh", "-1", "negative_quantity"),
    ("grid_carbon_intensity_gco2_kwh", "nan", "not_finite"),
    ("grid_carbon_intensity_gco2_kwh", "n/a", "not_a_number"),
    ("timestamp", "yesterday", "not_a_timestamp"),
    ("timestamp", None, "not_a_timestamp"),
    ("timestamp", True, "not_a_timestamp"),
    ("timestamp", events.TIMESTAMP_MIN - timedelta(microseconds=1), "timestamp_out_of_range"),
    ("timestamp", NOW + timedelta(hours=24, microseconds=1), "timestamp_out_of_range"),
    ("timestamp", 2**63 - 1, "timestamp_out_of_range"),
    (
        "timestamp",
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
        "timestamp_out_of_range",
    ),
    ("scope", 3, "scope_not_applicable"),
    ("scope", 0, "scope_not_applicable"),
    ("scope", "2", "scope_not_applicable"),
    ("scope", True, "scope_not_applicable"),
    ("scope", 1, "scope_not_applicable"),
    ("interval_seconds", -1, "interval_out_of_range"),
    ("interval_seconds", 31 * 86_400 + 1, "interval_out_of_range"),
    ("interval_seconds", 900.0, "interval_out_of_range"),
    ("revision", -1, "revision_out_of_range"),
    ("revision", 1000, "revision_out_of_range"),
]


@pytest.mark.parametrize(("field", "value", "code"), REJECTED)
def test_one_bad_field_is_refused_by_name_with_what_would_be_valid(
    field: str, value: object, code: str
) -> None:
    error = refusal(**{field: value})
    assert (error.code, error.field) == (code, field)
    assert error.valid
    assert field in str(error)
    assert error.valid in str(error)


ACCEPTED = [
    ("sensor_id", "A.b_c:d/e+f-9", "A.b_c:d/e+f-9"),
    ("sensor_id", "m" * 128, "m" * 128),
    ("country_iso2", "de", "DE"),
    ("country_iso2", "XK", "XK"),
    ("region", "DE-BY", "DE-BY"),
    ("energy_kwh", "0", Decimal(0)),
    ("energy_kwh", "-0", Decimal(0)),
    (
        "energy_kwh",
        "999999999999999999.999999999999999999",
        Decimal("999999999999999999.999999999999999999"),
    ),
    ("energy_kwh", "1e-24", Decimal("1e-24")),
    ("energy_kwh", "1.25e3", Decimal(1250)),
    ("energy_kwh", 1247.3, Decimal("1247.3")),
    ("energy_kwh", 0.1 + 0.2, Decimal("0.30000000000000004")),
    ("energy_kwh", 7, Decimal(7)),
    ("energy_source", "grid_mix", "grid"),
    ("energy_source", "natural_gas", "gas"),
    ("grid_carbon_intensity_gco2_kwh", None, None),
    ("timestamp", datetime(2024, 5, 1, 10, 15), START),  # noqa: DTZ001 - naive is UTC
    ("timestamp", "2024-05-01T12:15:00+02:00", START),
    ("timestamp", "2024-05-01T10:15:00Z", START),
    ("timestamp", events.TIMESTAMP_MIN, events.TIMESTAMP_MIN),
    ("timestamp", NOW + timedelta(hours=24), NOW + timedelta(hours=24)),
    ("interval_seconds", 31 * 86_400, 31 * 86_400),
    ("revision", 999, 999),
]


@pytest.mark.parametrize(("field", "value", "normalised"), ACCEPTED)
def test_one_good_field_is_kept_in_its_normal_form(
    field: str, value: object, normalised: object
) -> None:
    made = event(**{field: value})
    made.check(NOW)
    assert getattr(made, field) == normalised
    assert type(getattr(made, field)) is type(normalised)


def test_a_grid_area_of_the_united_states_is_a_region() -> None:
    event(country_iso2="US", region="EGRID-CAMX").check(NOW)
    event(country_iso2="AU", region="AU-NSW-ACT").check(NOW)


def test_construction_never_fails_so_that_a_bad_event_can_be_shown() -> None:
    bad = event(energy_kwh="twelve", timestamp="noon", country_iso2=None)
    assert bad.energy_kwh == "twelve"
    assert "noon" in repr(bad)


def test_the_first_eight_fields_may_be_given_by_position() -> None:
    made = IoTEnergyEvent("m", "f", "DE", 1, "grid", None, START)
    assert (made.scope, made.region, made.interval_seconds, made.revision) == (2, None, 0, 0)


def test_events_are_equal_by_what_they_say() -> None:
    assert event() == event(energy_kwh=Decimal("1247.30"), timestamp="2024-05-01T12:15:00+02:00")
    assert hash(event()) == hash(event(energy_kwh="1247.30"))
    assert event() != event(revision=1)
    assert replace(event(), revision=1) == event(revision=1)


def test_the_natural_key_counts_seconds_or_six_digits() -> None:
    assert event().activity_ref == "iot:meter-1@2024-05-01T10:15:00Z"
    assert event(revision=3).event_id == "iot:meter-1@2024-05-01T10:15:00Z#3"
    quarter = event(timestamp=START + timedelta(milliseconds=250))
    assert quarter.activity_ref == "iot:meter-1@2024-05-01T10:15:00.250000Z"


def test_an_interval_ends_where_the_next_begins() -> None:
    made = event()
    assert (made.occurred_from, made.occurred_to) == (START, START + timedelta(minutes=15))
    assert event(interval_seconds=0).occurred_to == START


FIELDS = event().to_avro_fields()


def test_avro_fields_are_in_the_order_of_the_contract_and_canonical() -> None:
    assert FIELDS == {
        "sensor_id": "meter-1",
        "facility_id": "plant/1",
        "country_iso2": "DE",
        "region": None,
        "energy_kwh": "1247.3",
        "energy_source": "grid",
        "grid_carbon_intensity_gco2_kwh": "385.2",
        "timestamp": 1714558500000000,
        "interval_seconds": 900,
        "scope": 2,
        "revision": 0,
    }
    assert list(FIELDS) == [
        "sensor_id",
        "facility_id",
        "country_iso2",
        "region",
        "energy_kwh",
        "energy_source",
        "grid_carbon_intensity_gco2_kwh",
        "timestamp",
        "interval_seconds",
        "scope",
        "revision",
    ]


@pytest.mark.parametrize(
    "field",
    [
        "sensor_id",
        "facility_id",
        "country_iso2",
        "energy_kwh",
        "energy_source",
        "timestamp",
    ],
)
def test_a_record_without_a_field_that_has_no_default_is_refused(field: str) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != field}
    with pytest.raises(RejectedRecord) as caught:
        IoTEnergyEvent.from_avro_fields(fields, NOW)
    assert (caught.value.code, caught.value.field) == ("missing_field", field)


def test_a_record_of_an_older_writer_gets_the_defaults() -> None:
    old = {
        name: FIELDS[name]
        for name in (
            "sensor_id",
            "facility_id",
            "country_iso2",
            "energy_kwh",
            "energy_source",
            "timestamp",
        )
    }
    made = IoTEnergyEvent.from_avro_fields(old, NOW)
    assert (made.region, made.scope, made.interval_seconds, made.revision) == (None, 2, 0, 0)


WIRE_REJECTED = [
    ("energy_kwh", 12.5, "wrong_type"),
    ("energy_kwh", None, "wrong_type"),
    ("sensor_id", b"meter-1", "wrong_type"),
    ("scope", "2", "wrong_type"),
    ("scope", True, "wrong_type"),
    ("timestamp", "2024-05-01T10:15:00Z", "wrong_type"),
    ("revision", None, "wrong_type"),
    # A producer of ours would have put it in upper case; this one is not ours.
    ("country_iso2", "de", "unknown_country"),
    ("timestamp", 0, "timestamp_out_of_range"),
]


@pytest.mark.parametrize(("field", "value", "code"), WIRE_REJECTED)
def test_on_the_wire_a_field_has_the_type_of_the_schema(
    field: str, value: object, code: str
) -> None:
    with pytest.raises(RejectedRecord) as caught:
        IoTEnergyEvent.from_avro_fields(FIELDS | {field: value}, NOW)
    assert (caught.value.code, caught.value.field) == (code, field)


identifiers = st.text("ABCxyz019._:/+-", min_size=1, max_size=128)
quantities = st.decimals(
    min_value=0,
    max_value=Decimal("999999999999999999"),
    allow_nan=False,
    allow_infinity=False,
    places=9,
)
valid_events = st.builds(
    IoTEnergyEvent,
    sensor_id=identifiers,
    facility_id=identifiers,
    country_iso2=st.sampled_from(["DE", "US", "KR", "XK"]),
    energy_kwh=quantities,
    energy_source=st.sampled_from(["grid", "grid_mix", "solar", "natural_gas"]),
    grid_carbon_intensity_gco2_kwh=st.none() | quantities,
    timestamp=st.datetimes(
        datetime(2000, 1, 2),  # noqa: DTZ001 - hypothesis wants naive bounds
        datetime(2024, 6, 2, 12),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, UTC]),
    ),
    interval_seconds=st.integers(0, 31 * 86_400),
    revision=st.integers(0, 999),
)


@given(valid_events)
def test_an_event_survives_the_wire_unchanged(made: IoTEnergyEvent) -> None:
    made.check(NOW)
    again = IoTEnergyEvent.from_avro_fields(made.to_avro_fields(), NOW)
    assert again == made
    assert again.event_id == made.event_id
    assert again.to_avro_fields() == made.to_avro_fields()


@given(valid_events, st.integers(-60, 60))
def test_the_spelling_of_a_number_or_a_time_zone_does_not_make_another_event(
    made: IoTEnergyEvent, hours_off: int
) -> None:
    zone = timezone(timedelta(hours=hours_off % 14))
    other = replace(
        made,
        energy_kwh=f"{made.energy_kwh:f}00" if "." in f"{made.energy_kwh:f}" else made.energy_kwh,
        timestamp=made.timestamp.astimezone(zone),
    )
    assert other == made
    assert other.to_avro_fields() == made.to_avro_fields()


@given(st.floats(min_value=0, max_value=1e15, allow_subnormal=False))
def test_a_binary_number_enters_as_the_shortest_text_that_denotes_it(number: float) -> None:
    made = event(energy_kwh=number)
    assert Decimal(str(made.energy_kwh)) == Decimal(str(number))


@given(
    st.dictionaries(
        st.sampled_from(list(FIELDS)),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
        | st.binary(max_size=4)
        | st.decimals(allow_nan=True)
        | st.datetimes()
        | st.lists(st.integers(), max_size=2),
    )
)
def test_whatever_a_record_holds_it_is_taken_or_refused_never_a_crash(
    strange: dict[str, object],
) -> None:
    fields = {**FIELDS, **strange}
    try:
        made = IoTEnergyEvent.from_avro_fields(fields, NOW)
    except RejectedRecord:
        return
    assert IoTEnergyEvent.from_avro_fields(made.to_avro_fields(), NOW) == made
    try:
        event(**strange).check(NOW)
    except RejectedRecord:
        return


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, None),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+01:00", datetime(2026, 3, 1, 11, tzinfo=UTC)),
    ],
)
def test_a_written_moment_without_a_zone_is_utc(text: str | None, found: datetime | None) -> None:
    assert written_moment(text, "since") == found


def test_what_is_no_moment_is_refused_with_the_code_of_whoever_asked() -> None:
    with pytest.raises(ConfigurationError, match="'soon' is no moment") as refused:
        written_moment("soon", "since")
    assert refused.value.code == "since"
