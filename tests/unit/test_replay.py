"""CSV files of readings: mappings that are refused, rows that are refused, stamps at every edge."""

from __future__ import annotations

import csv
import io
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.settings import PROJECT_ROOT
from pipeline.sources import demo
from pipeline.sources.csv_mapping import CsvMapping, parse_mapping, read_mapping
from pipeline.sources.csv_replay import BadRow, Coverage, CsvReadings, LocalClock, Reading
from pipeline.sources.replay import replay
from tests.support.steel_lookalike import HEADER, steel_lookalike

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "steel_industry_energy.mapping.yaml"
MAPPING: dict[str, Any] = {
    "columns": {"timestamp": "when", "energy_kwh": "use", "sensor_id": "meter"},
    "constants": {"facility_id": "plant", "country_iso2": "DE", "energy_source": "grid"},
    "time": {
        "formats": ["%Y-%m-%d %H:%M"],
        "time_zone": "Europe/Berlin",
        "stamp": "interval_start",
        "interval_seconds": 900,
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The mapping with the key at `path` set, or removed where `value` is None."""
    content = deepcopy(MAPPING)
    *sections, last = path.split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {})
    if value is None:
        place.pop(last)
    else:
        place[last] = value
    return content


def mapping(**time: object) -> CsvMapping:
    content = deepcopy(MAPPING)
    content["time"].update(time)
    return parse_mapping(content)


def read(text: str, of: CsvMapping | None = None) -> list[Reading | BadRow]:
    return list(CsvReadings(io.StringIO(text, newline=""), of or mapping(), NOW))


def events_of(items: list[Reading | BadRow]) -> list[IoTEnergyEvent]:
    bad = [item for item in items if isinstance(item, BadRow)]
    assert bad == []
    return [item.event for item in items if isinstance(item, Reading)]


MAPPINGS_REFUSED = [
    ("colums", {}, "valid are: file, columns"),
    ("columns.energy", "use", "valid are: sensor_id"),
    ("columns.timestamp", None, "nothing gives timestamp"),
    ("constants.country_iso2", None, "nothing gives country_iso2"),
    ("constants.country_iso2", False, "put it in quotes"),
    ("constants.scope", "2", "not a whole number"),
    ("constants.sensor_id", "m", "is a column too"),
    ("constants.timestamp", "2024-01-01", "must come from a column"),
    ("units.energy_kwh", "kilowatt", "MWh"),
    ("file.delimiter", "::", "one character"),
    ("file.decimal", ";", "valid are: ., ,"),
    ("file.encoding", "utf-9", "not an encoding"),
    ("file.sheet", "1", "valid are: delimiter"),
    ("time.formats", [], "list"),
    ("time.formats", ["%H:%M"], "not a date format"),
    ("time.time_zone", "Mars/Olympus", "Europe/Berlin"),
    ("time.time_zone", None, "is missing"),
    ("time.stamp", None, "interval_start, interval_end"),
    ("time.stamp", "end", "interval_start, interval_end"),
    ("time.interval_seconds", None, "whole number of seconds"),
    ("time.interval_seconds", -1, "whole number of seconds"),
    ("time.midnight", "same_date", "interval_end"),
    ("time.midnight", "yes", "next_date, same_date"),
    ("time.fold", "guess", "refuse, first, second, in_order"),
    ("site", {"facility_id": "plant"}, "site.organization_id: is missing"),
    ("site", {"name": 7}, "put it in quotes"),
    (
        "site",
        {"facility_id": "other", "organization_id": "o", "country_iso2": "DE"},
        "contradicts",
    ),
    (
        "site",
        {"facility_id": "plant", "organization_id": "o", "country_iso2": "ZZ"},
        "unknown_country|no country code",
    ),
]


@pytest.mark.parametrize(("path", "value", "told"), MAPPINGS_REFUSED)
def test_a_mapping_is_refused_by_the_key_at_fault(path: str, value: object, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        parse_mapping(changed(path, value))


def test_the_mapping_of_the_tables_is_good() -> None:
    assert parse_mapping(MAPPING).energy_unit == "kWh"


def test_a_mapping_file_is_named_in_the_refusal(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(changed("time.stamp", "end")), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"m\.yaml.*time\.stamp"):
        read_mapping(path)
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no YAML"):
        read_mapping(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_mapping(tmp_path / "absent.yaml")


def test_a_column_that_the_file_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(ConfigurationError, match=r"'use'.*'when', 'meter', 'kwh'"):
        read("when,meter,kwh\n")
    with pytest.raises(ConfigurationError, match="2 times"):
        read("when,meter,use,use\n")


def test_rows_become_readings_with_their_line_numbers() -> None:
    items = read('when,meter,use\n2024-01-15 10:00,m1,1.5\n\n"2024-01-15 10:15",m1,2\n')
    assert [item.line for item in items] == [2, 4]
    first, second = events_of(items)
    assert first.timestamp == datetime(2024, 1, 15, 9, tzinfo=UTC)
    assert (first.energy_kwh, second.energy_kwh) == (Decimal("1.5"), Decimal(2))
    assert (first.interval_seconds, first.country_iso2) == (900, "DE")


BAD_ROWS = [
    ("2024-01-15 10:00,m1", "csv_row", ""),
    ("2024-01-15 10:00,m1,1.5,more", "csv_row", ""),
    ('2024-01-15 10:00,m1,"1"5', "csv_row", ""),
    ("15.01.2024 10:00,m1,1.5", "not_a_timestamp", "when"),
    ("2024-02-30 10:00,m1,1.5", "not_a_timestamp", "when"),
    ("2024-03-31 02:30,m1,1.5", "nonexistent_local_time", "when"),
    ("2023-10-29 02:30,m1,1.5", "ambiguous_local_time", "when"),
    ("1999-01-15 10:00,m1,1.5", "timestamp_out_of_range", "when"),
    ("2124-01-15 10:00,m1,1.5", "timestamp_out_of_range", "when"),
    ("2024-01-15 10:00,m 1,1.5", "invalid_identifier", "meter"),
    ("2024-01-15 10:00,m1,", "not_a_number", "use"),
    ("2024-01-15 10:00,m1,1 500", "not_a_number", "use"),
    ("2024-01-15 10:00,m1,-1.5", "negative_quantity", "use"),
    ("2024-01-15 10:00,m1,NaN", "not_finite", "use"),
]


@pytest.mark.parametrize(("row", "code", "column"), BAD_ROWS)
def test_a_bad_row_is_told_by_line_column_and_reason_and_spares_its_neighbours(
    row: str, code: str, column: str
) -> None:
    good = "2024-01-15 10:00,m1,1.5"
    before, bad, after = read(f"when,meter,use\n{good}\n{row}\n{good}\n")
    assert isinstance(before, Reading)
    assert isinstance(after, Reading)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.code, bad.column) == (3, code, column)
    assert bad.reason


def test_bytes_that_are_no_text_refuse_their_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(
        b"\xef\xbb\xbfwhen,meter,use\n2024-01-15 10:00,z\xe4hler,1\n2024-01-15 10:15,m1,1\n"
    )
    report = replay(path, mapping(), None, rejected_path=tmp_path / "r.csv")
    assert (report.rows, report.bad, report.bad_by_code) == (2, 1, {"bad_utf8": 1})
    assert report.first_bad[0].value == "z\\xe4hler"
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("unit", "text", "kwh"),
    [
        ("kWh", "12.5", "12.5"),
        ("MWh", "0.0125", "12.5"),
        ("Wh", "12500", "12.5"),
        ("MJ", "45", "12.5"),
        ("GJ", "9", "2500"),
        ("GJ", "1", "277.777777777777777777777778"),
    ],
)
def test_units_become_kwh_exactly_where_the_result_ends(unit: str, text: str, kwh: str) -> None:
    of = parse_mapping(changed("units.energy_kwh", unit))
    readings = CsvReadings(io.StringIO(f"when,meter,use\n2024-01-15 10:00,m,{text}\n"), of, NOW)
    (event,) = events_of(list(readings))
    assert event.energy_kwh == Decimal(kwh)
    assert readings.rounded == (unit == "GJ" and text == "1")


def test_a_decimal_comma_is_one_only_where_the_mapping_says_so() -> None:
    content = changed("file.decimal", ",")
    content["file"]["delimiter"] = ";"
    of = parse_mapping(content)
    (event,) = events_of(read("when;meter;use\n2024-01-15 10:00;m;1,5\n", of))
    assert event.energy_kwh == Decimal("1.5")
    (bad,) = read("when;meter;use\n2024-01-15 10:00;m;1.500,5\n", of)
    assert isinstance(bad, BadRow)
    assert bad.code == "not_a_number"


def test_optional_fields_may_come_from_columns_and_may_be_empty() -> None:
    content = changed("columns.region", "land")
    content["columns"] |= {
        "grid_carbon_intensity_gco2_kwh": "g",
        "revision": "rev",
        "scope": "scope",
    }
    text = (
        "when,meter,use,land,g,rev,scope\n"
        "2024-01-15 10:00,m,1,DE-BY,385.2,1,2\n"
        "2024-01-15 10:15,m,1,,,0,2\n"
        "2024-01-15 10:30,m,1,,,one,2\n"
    )
    full, empty, bad = read(text, parse_mapping(content))
    assert isinstance(full, Reading)
    assert isinstance(empty, Reading)
    assert isinstance(bad, BadRow)
    assert (full.event.region, full.event.revision) == ("DE-BY", 1)
    assert (empty.event.region, empty.event.grid_carbon_intensity_gco2_kwh) == (None, None)
    assert (bad.column, bad.code) == ("rev", "not_a_number")


STAMPS = [
    # stamp rules, text, start in UTC
    ({"stamp": "interval_start"}, "2024-01-15 10:00", "2024-01-15T09:00"),
    ({"stamp": "interval_end"}, "2024-01-15 10:00", "2024-01-15T08:45"),
    ({"stamp": "interval_end"}, "2024-01-15 00:00", "2024-01-14T22:45"),
    ({"stamp": "interval_end", "midnight": "same_date"}, "2024-01-15 00:00", "2024-01-15T22:45"),
    ({"stamp": "interval_end", "midnight": "same_date"}, "2024-01-15 00:15", "2024-01-14T23:00"),
    # The night clocks go forward: 01:45 to 03:00 local is one quarter of an hour.
    ({"stamp": "interval_end"}, "2024-03-31 03:00", "2024-03-31T00:45"),
    ({"stamp": "interval_start"}, "2024-03-31 03:00", "2024-03-31T01:00"),
    # The night they go back: 02:30 comes twice.
    ({"fold": "first"}, "2023-10-29 02:30", "2023-10-29T00:30"),
    ({"fold": "second"}, "2023-10-29 02:30", "2023-10-29T01:30"),
    ({"fold": "in_order"}, "2023-10-29 02:30", "2023-10-29T00:30"),
    ({"fold": "first"}, "2023-10-29 03:00", "2023-10-29T02:00"),
    # An offset in the stamp itself leaves nothing to decide.
    ({"formats": ["iso"]}, "2023-10-29T02:30:00+01:00", "2023-10-29T01:30"),
    ({"formats": ["iso"], "time_zone": "UTC"}, "2023-10-29T02:30", "2023-10-29T02:30"),
    ({"formats": ["%d/%m/%Y", "iso"], "stamp": "interval_start"}, "1/2/2024", "2024-01-31T23:00"),
]


@pytest.mark.parametrize(("rules", "text", "start"), STAMPS)
def test_a_stamp_says_where_its_interval_starts(
    rules: dict[str, object], text: str, start: str
) -> None:
    expected = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert LocalClock(mapping(**rules)).start_of(text, "m1") == expected


@pytest.mark.parametrize("text", ["", "0000-01-01 00:00", "9999-12-31 00:00x"])
def test_a_stamp_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RejectedRecord):
        LocalClock(mapping()).start_of(text, "m1")


def test_the_end_of_time_is_refused_not_a_crash() -> None:
    clock = LocalClock(mapping(stamp="interval_end", midnight="same_date"))
    with pytest.raises(RejectedRecord) as caught:
        clock.start_of("9999-12-31 00:00", "m1")
    assert caught.value.code == "not_a_timestamp"


def test_in_order_tells_the_two_passes_apart_per_sensor() -> None:
    clock = LocalClock(mapping(fold="in_order"))
    starts = [clock.start_of("2023-10-29 02:30", sensor) for sensor in ("a", "b", "a", "b")]
    assert [start.hour for start in starts] == [0, 0, 1, 1]


@settings(max_examples=30)
@given(
    st.datetimes(datetime(2001, 1, 1), datetime(2024, 1, 1)),  # noqa: DTZ001 - naive bounds
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Seoul", "Australia/Lord_Howe"]),
)
def test_every_local_day_is_tiled_whatever_its_length(day: datetime, name: str) -> None:
    """A meter that stamps interval ends in order covers each moment, clock changes included."""
    zone = ZoneInfo(name)
    begin = day.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=zone).astimezone(UTC)
    ends = [begin + timedelta(minutes=30 * (number + 1)) for number in range(60)]
    clock = LocalClock(
        mapping(time_zone=name, stamp="interval_end", fold="in_order", interval_seconds=1800)
    )
    starts = [clock.start_of(f"{end.astimezone(zone):%Y-%m-%d %H:%M}", "m") for end in ends]
    assert starts == [end - timedelta(minutes=30) for end in ends]


def test_the_steel_plants_year_is_tiled_by_its_own_calendar(tmp_path: Path) -> None:
    path = tmp_path / "steel.csv"
    expected = steel_lookalike(path)
    report = replay(path, read_mapping(EXAMPLE), None, rejected_path=tmp_path / "r.csv")
    coverage = report.coverage
    assert (report.rows, report.bad) == (35_040, 0)
    assert coverage.readings == 35_040
    assert coverage.total_kwh == expected
    assert coverage.first == datetime(2018, 1, 1, tzinfo=ZoneInfo("Asia/Seoul"))
    assert coverage.end == datetime(2019, 1, 1, tzinfo=ZoneInfo("Asia/Seoul"))
    assert coverage.is_tiled
    assert coverage.out_of_order == 0
    assert str(coverage).endswith("no gap, no overlap, in order")


def test_without_the_midnight_rule_a_days_last_quarter_goes_back_a_day(
    tmp_path: Path,
) -> None:
    path = tmp_path / "steel.csv"
    steel_lookalike(path, days=3)
    content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    content["time"]["midnight"] = "next_date"
    report = replay(path, parse_mapping(content), None, rejected_path=tmp_path / "r.csv")
    assert report.coverage.out_of_order == 3
    assert report.coverage.end == datetime(2018, 1, 3, 23, 45, tzinfo=ZoneInfo("Asia/Seoul"))


def test_the_same_file_gives_the_same_events_every_time(tmp_path: Path) -> None:
    path = tmp_path / "steel.csv"
    steel_lookalike(path, days=2)
    of = read_mapping(EXAMPLE)
    runs = []
    for _ in range(2):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            runs.append([one.event_id for one in events_of(list(CsvReadings(lines, of, NOW)))])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 192
    assert runs[0][0] == "iot:steel-plant-kr.main-meter@2017-12-31T15:00:00Z#0"


def test_a_limit_stops_after_so_many_rows(tmp_path: Path) -> None:
    path = tmp_path / "steel.csv"
    steel_lookalike(path, days=1)
    report = replay(path, read_mapping(EXAMPLE), None, rejected_path=tmp_path / "r", limit=5)
    assert report.rows == 5


def test_the_look_alike_has_the_header_and_quirks_of_the_real_file(tmp_path: Path) -> None:
    path = tmp_path / "steel.csv"
    steel_lookalike(path, days=365)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfdate,Usage_kWh,")
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert tuple(rows[0]) == HEADER
    assert [row["date"] for row in (rows[0], rows[95], rows[96], rows[-1])] == [
        "1/1/2018 0:15",
        "1/1/2018 0:00",
        "2/1/2018 0:15",
        "31/12/2018 00:00",
    ]


def test_coverage_counts_gaps_overlaps_and_repetitions() -> None:
    coverage = Coverage()
    start = datetime(2024, 1, 1, tzinfo=UTC)
    for minutes in (0, 15, 15, 60, 25):
        coverage.add(
            IoTEnergyEvent(
                "m",
                "f",
                "DE",
                "0.1",
                "grid",
                None,
                start + timedelta(minutes=minutes),
                interval_seconds=900,
            )
        )
    report = coverage.report()
    assert (report.gaps, report.missing_seconds) == (1, 1200)
    assert (report.overlaps, report.repeated, report.out_of_order) == (1, 1, 1)
    assert report.total_kwh == Decimal("0.5")
    assert str(Coverage().report()) == "no readings"


def test_demo_readings_are_good_and_seeded_and_new_in_every_run() -> None:
    until = datetime(2024, 5, 31, 11, 2, 3, tzinfo=UTC)
    first = list(demo.readings(demo.meters("run-1"), 1_000, until, seed=7))
    again = list(demo.readings(demo.meters("run-1"), 1_000, until, seed=7))
    other = list(demo.readings(demo.meters("run-2"), 1_000, until, seed=7))
    assert first == again
    assert len({event.event_id for event in (*first, *other)}) == 2_000
    assert [event.energy_kwh for event in first] == [event.energy_kwh for event in other]
    for event in first:
        event.check(until)
        assert event.occurred_to <= until
    assert first == sorted(first, key=lambda event: event.occurred_to)
    assert list(demo.readings(demo.meters("r"), 0, until, seed=7)) == []
    changed_seed = demo.readings(demo.meters("run-1"), 1_000, until, seed=8)
    assert [event.energy_kwh for event in changed_seed] != [event.energy_kwh for event in first]


def test_there_are_sixty_demo_plants_in_twenty_five_countries() -> None:
    plants = demo.plants()
    assert len(plants) == 60
    assert len({plant.site.facility_id for plant in plants}) == 60
    assert len({plant.site.country_iso2 for plant in plants}) == 25
    assert {"US-CA", "AU-SA"} <= {plant.site.region for plant in plants}
    assert {"grid", "solar", "wind", "gas"} <= {meter.source for meter in demo.meters("r")}
