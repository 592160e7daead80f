"""Files of shipments: mappings and rows that are refused, and a real history row by row."""

from __future__ import annotations

import io
from collections import Counter
from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.transport.country_places import country_distance_km
from carbon_ledger.transport.shipments import lines_of_leg
from pipeline.sources.csv_mapping import CsvMapping
from pipeline.sources.csv_replay import BadRow
from pipeline.sources.shipment_replay import letter_of, replay_shipments
from pipeline.sources.shipment_rows import (
    Shipment,
    ShipmentMapping,
    ShipmentRows,
    parse_replay_mapping,
    read_replay_mapping,
)
from tests.support.transport_examples import shipped

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "scms_delivery_history.mapping.yaml"
# Real data, not part of the project (see docs/replay.md).
HISTORY = PROJECT_ROOT.parent / "shared" / "samples" / "scms_delivery_history.tsv"

MAPPING: dict[str, Any] = {
    "kind": "shipment",
    "refused": [
        {
            "column": "kg",
            "matches": r"see (\d+)",
            "code": "mass_elsewhere",
            "reason": "its weight is in row {1}",
        }
    ],
    "fields": {
        "shipment_id": {"column": "id"},
        "leg_id": {"const": "1"},
        "status": {"const": "delivered"},
        "mode": {"column": "by", "table": {"Truck": "road", "Sea": "sea"}},
        "origin": {"const": "DE"},
        "destination": {"column": "to"},
        "payer": {"const": "reporter"},
        "mass_kg": {"column": "kg"},
        "timestamp": {"column": "day", "time": "%d-%b-%y", "zone": "UTC"},
        "assumed": {"const": ["origin"]},
    },
}
HEADER = "id,by,to,kg,day\n"


def mapping(**changes: Any) -> ShipmentMapping:
    found = parse_replay_mapping({**deepcopy(MAPPING), **changes})
    assert isinstance(found, ShipmentMapping)
    return found


def read(text: str, of: ShipmentMapping | None = None) -> list[Shipment | BadRow]:
    return list(ShipmentRows(io.StringIO(text, newline=""), of or mapping(), NOW))


def test_a_row_is_a_leg_with_its_line_number_whatever_ends_the_lines() -> None:
    rows = ["S1,Truck,FR,12.50,2-Jun-06", '"S2",Sea,US,7,31-Dec-14']
    for end in ("\r", "\n", "\r\n"):
        first, second = read(HEADER.replace("\n", end) + end.join(rows) + end)
        assert isinstance(first, Shipment)
        assert isinstance(second, Shipment)
        assert (first.line, second.line) == (2, 3)
        event = first.event
        assert (event.event_id, event.mode, event.mass_kg) == (
            "shipment:S1/1#0",
            "road",
            Decimal("12.5"),
        )
        assert event.timestamp == datetime(2006, 6, 2, tzinfo=UTC)
        assert event.assumed == ("origin",)


BAD_ROWS = [
    ("S1,Truck,FR,see 17,2-Jun-06", "mass_elsewhere", "kg", "its weight is in row 17"),
    ("S1,N/A,FR,1,2-Jun-06", "item_value_unknown", "mode", "'N/A'"),
    ("S1,Truck,France,1,2-Jun-06", "unknown_place", "destination", "France"),
    ("S1,Truck,FR,heavy,2-Jun-06", "not_a_number", "mass_kg", "heavy"),
    ("S1,Truck,FR,-1,2-Jun-06", "negative_quantity", "mass_kg", "-1"),
    ("S1,Truck,FR,1,someday", "not_a_timestamp", "timestamp", "someday"),
    (",Truck,FR,1,2-Jun-06", "item_field_missing", "shipment_id", "column 'id'"),
    ("S1,Truck,FR,1", "csv_row", "", "4 cells"),
    ('S1,Truck,FR,"1"2,2-Jun-06', "csv_row", "", "not a row"),
    ("S1,Truck,FR,1\udce9,2-Jun-06", "bad_utf8", "kg", "not text"),
]


@pytest.mark.parametrize(("row", "code", "column", "told"), BAD_ROWS)
def test_a_row_that_is_no_leg_says_why(row: str, code: str, column: str, told: str) -> None:
    (bad,) = read(f"{HEADER}{row}\n")
    assert isinstance(bad, BadRow)
    assert (bad.code, bad.column, bad.line) == (code, column, 2)
    assert told in bad.reason


def test_a_dead_letter_of_a_row_has_its_cells_and_its_line() -> None:
    (bad,) = read(f'{HEADER}S1,Truck,"a, b",see 17,2-Jun-06\n')
    assert isinstance(bad, BadRow)
    letter = letter_of(bad, "history.csv", "0" * 64, mapping())
    assert letter.payload == b'S1,Truck,"a, b",see 17,2-Jun-06'
    assert letter.coordinates == f"sha256 {'0' * 64} line 2"
    assert (letter.source, letter.stream) == ("replay:history.csv", "logistics")
    assert (letter.reason_code, letter.field, letter.value) == ("mass_elsewhere", "kg", "see 17")


MAPPINGS_REFUSED: list[tuple[str, Any, str]] = [
    ("kind", "parcel", "valid are: meter_reading, shipment"),
    ("colums", {}, "colums: is unknown"),
    ("file", {"sheet": 1}, "sheet: is unknown"),
    ("file", {"encoding": "utf-9"}, "not an encoding"),
    ("fields", {"shipment_id": {"column": "id"}}, "nothing gives leg_id"),
    ("refused", [{"column": "kg"}], "matches: is missing"),
    (
        "refused",
        [{"column": "kg", "matches": "(", "code": "bad_mass", "reason": "r"}],
        "no pattern",
    ),
    ("refused", [{"column": "kg", "matches": "x", "code": "Bad!", "reason": "r"}], "is no code"),
    ("variants", [{"when": {"column": "by"}, "fields": {}}], "needs a column"),
]


@pytest.mark.parametrize(("key", "value", "told"), MAPPINGS_REFUSED)
def test_a_mapping_is_refused_by_the_key_at_fault(key: str, value: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        mapping(**{key: value})


def test_a_mapping_without_a_kind_is_of_meter_readings() -> None:
    steel = EXAMPLE.with_name("steel_industry_energy.mapping.yaml")
    assert isinstance(read_replay_mapping(steel), CsvMapping)
    content = yaml.safe_load(steel.read_text(encoding="utf-8"))
    assert isinstance(parse_replay_mapping({"kind": "meter_reading", **content}), CsvMapping)


def test_a_row_of_no_variant_is_told() -> None:
    variants = [{"when": {"column": "by", "equals": "Truck"}, "fields": {"leg_id": "2"}}]
    good, bad = read(
        f"{HEADER}S1,Truck,FR,1,2-Jun-06\nS2,Sea,FR,1,2-Jun-06\n", mapping(variants=variants)
    )
    assert isinstance(good, Shipment)
    assert good.event.leg_id == "2"
    assert isinstance(bad, BadRow)
    assert (bad.code, bad.column) == ("row_of_no_variant", "by")


def test_a_column_that_the_file_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(ConfigurationError, match=r"'kg'.*'id', 'by'"):
        read("id,by,to,day\n")


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"{HEADER}S1,Truck,FR,12.5,2-Jun-06\nS2,Truck,FR,see 1,2-Jun-06\n")
    report = replay_shipments(path, mapping(), None, rejected_path=tmp_path / "bad.csv")
    assert (report.rows, report.sent, report.bad_by_code) == (2, 0, {"mass_elsewhere": 1})
    assert (report.total_kg, report.assumed) == (Decimal("12.5"), {"origin": 1})
    assert not (tmp_path / "bad.csv").exists()


def test_the_distribution_centre_assumed_is_the_nearest_of_the_three() -> None:
    content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    destinations = content["fields"]["destination"]["table"]
    origins = content["variants"][0]["fields"]["origin"]["table"]
    assert set(origins) == set(destinations)
    for country, code in destinations.items():
        distances = {one: country_distance_km(one, code) for one in ("GH", "KE", "ZA")}
        assert distances[origins[country]] == min(distances.values()), country


LEDGERED = 6_055
REASONS = {
    "mass_in_another_row": 2_445,
    "mass_captured_separately": 1_507,
    "mode_not_stated": 213,
    "distance_not_by_sea": 39,
    "origin_not_known": 36,
    "distance_within_country": 26,
    "distance_not_by_land": 2,
    "mass_is_zero": 1,
}


@pytest.mark.skipif(not HISTORY.exists(), reason="the USAID shipment history is not beside us")
def test_every_row_of_the_real_history_is_ledgered_or_has_a_reason() -> None:
    """One of ten is calculated here; all of them in tests/stack/test_replay_shipments.py."""
    inventory = shipped(max_vintage_gap_years=20)
    found: Counter[str] = Counter()
    legs: list[Shipment] = []
    with HISTORY.open(encoding="utf-8", newline="") as lines:
        rows = ShipmentRows(lines, _example(), NOW)
        for row in rows:
            if isinstance(row, BadRow):
                found[row.code] += 1
                assert row.column
                assert row.reason
            else:
                legs.append(row)
    refused = {code for code in REASONS if code.startswith("distance_")}
    assert found == {code: one for code, one in REASONS.items() if code not in refused}
    assert len(legs) + found.total() == 10_324
    assert len(legs) == LEDGERED + sum(REASONS[code] for code in refused)
    judged: set[str] = set()
    for leg in legs[::10]:
        try:
            (line,) = lines_of_leg(leg.event, inventory)
        except RejectedRecord as problem:
            judged.add(problem.code)
            continue
        assert line.kgco2e > 0
        assert {
            "assumed_origin",
            "assumed_timestamp",
            "distance_between_countries",
            "vintage_gap",
        } <= {*line.flags}
    assert judged <= refused


@pytest.mark.skipif(not HISTORY.exists(), reason="the USAID shipment history is not beside us")
def test_by_the_default_policy_no_row_of_the_history_finds_a_factor() -> None:
    with HISTORY.open(encoding="utf-8", newline="") as lines:
        leg = next(row for row in ShipmentRows(lines, _example(), NOW) if isinstance(row, Shipment))
    with pytest.raises(RejectedRecord) as caught:
        lines_of_leg(leg.event, shipped())
    assert caught.value.code == "factor_vintage_gap"
    assert leg.event.timestamp.date() < date(2016, 1, 1)


def _example() -> ShipmentMapping:
    found = read_replay_mapping(EXAMPLE)
    assert isinstance(found, ShipmentMapping)
    return found
