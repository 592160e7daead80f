"""What an event becomes in the ledger: every column of every line, beside a golden file.

`UPDATE_GOLDEN=1 pytest tests/unit/test_posting.py` rewrites the file, for whoever means to.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.activities.registered_activity import lines_of_registered_activity
from carbon_ledger.calculation import EVENT_KINDS, line_values, lines_of_supplier
from carbon_ledger.energy.meters import lines_of_meter_reading
from carbon_ledger.entries import CANONICAL, SPELLING, EntryRow, content_sha256, entry_id
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import avro_fields
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.greenhouse import Gases
from carbon_ledger.places import Rules
from carbon_ledger.posting import (
    _SOURCE_FIELDS,
    NO_COUNTRY,
    Origin,
    _methane,
    _other_gases,
    lines_of_reading,
    rows_of_event,
)
from carbon_ledger.purchasing.purchases import lines_of_purchase
from carbon_ledger.reference.register import Register
from carbon_ledger.transport.shipments import lines_of_leg
from carbon_ledger.transport.vehicles import lines_of_trip
from tests.support.event_cases import CASES, INVENTORY, NOW, RECORDS, REGISTER
from tests.support.reference_examples import supplier

GOLDEN = Path(__file__).parents[1] / "golden" / "posted_lines.json"
CALCULATORS = {
    "iot_energy": lines_of_meter_reading,
    "transport": lines_of_trip,
    "logistics": lines_of_leg,
    "procurement": lines_of_purchase,
    "supplier": lines_of_supplier,
    "activities": lines_of_registered_activity,
}
RULES = Rules(book=INVENTORY.book, register=REGISTER, code_version="t")
ORIGIN = Origin(
    topic="raw.test",
    topic_incarnation=0,
    kafka_partition=1,
    kafka_offset=2,
    batch_id=3,
    recorded_at=NOW,
    payload_sha256=b"\x01" * 32,
    schema_sha256=b"\x02" * 32,
)
# Of the origin, or of a release that grows; not of the rules of posting.
ASIDE = {*vars(ORIGIN), "code_version", "factor_release"}
PLAIN = CASES[0][1]


def event_of(stream: str, fields: dict[str, Any]) -> Any:
    return EVENT_KINDS[stream].class_of(fields).from_fields(fields, NOW)


def rows_of(stream: str, fields: dict[str, Any]) -> tuple[EntryRow, ...]:
    return rows_of_event(stream, event_of(stream, fields), ORIGIN, RULES)


def said(row: EntryRow) -> dict[str, str]:
    """Every column of the line that is not null, as it is hashed."""
    return {
        name: SPELLING[kind](value)
        for name, kind in CANONICAL
        if name not in ASIDE and (value := getattr(row, name)) is not None
    }


def posted() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for stream, fields in CASES:
        case: dict[str, Any] = {"stream": stream, "event": fields}
        try:
            case["rows"] = [said(row) for row in rows_of(stream, fields)]
            lines = CALCULATORS[stream](event_of(stream, fields), INVENTORY)  # type: ignore[operator]
            case["lines"] = [_without_release(line_values(line)) for line in lines]
        except RejectedRecord as refusal:
            case["refused"] = [refusal.code, refusal.field, refusal.message]
        found.append(case)
    return found


def _without_release(values: dict[str, Any]) -> dict[str, Any]:
    if values["factor"] is not None:
        values["factor"].pop("release")
    return values


def test_every_column_of_every_line_is_the_one_in_the_golden_file() -> None:
    found = json.loads(json.dumps(posted(), default=list))
    if os.environ.get("UPDATE_GOLDEN") == "1":
        text = json.dumps(found, indent=1, ensure_ascii=False)
        GOLDEN.write_text(text + "\n", encoding="utf-8")
    for case, golden in zip(found, json.loads(GOLDEN.read_text(encoding="utf-8")), strict=True):
        assert case == golden


def test_each_stream_has_its_calculator() -> None:
    assert {stream: kind.lines for stream, kind in EVENT_KINDS.items()} == CALCULATORS


def plain(**changes: Any) -> IoTEnergyEvent:
    values = event_of("iot_energy", {**PLAIN, **changes}).to_avro_fields()
    names = {field.name for field in avro_fields("iot_energy")}
    return IoTEnergyEvent.from_avro_fields(
        {name: value for name, value in values.items() if name in names}, NOW
    )


def test_a_plain_reading_posts_what_the_calculator_of_all_meters_says_of_it() -> None:
    (short,) = lines_of_reading(plain(), ORIGIN, RULES)
    (wide,) = rows_of("iot_energy", PLAIN)
    assert short == wide
    assert short.content_sha256 == content_sha256(short)
    assert (short.line_no, short.scope, short.basis) == (1, 2, "location")
    assert short.claim_key == f"{short.activity_ref}|scope-2|-|location"
    assert short.entry_id == entry_id(short.event_id, 1, short.occurred_to)


def test_the_intensity_of_the_event_itself_gives_the_granular_figure_of_electricity_alone() -> None:
    given = {"grid_carbon_intensity_gco2_kwh": "250", "energy_kwh": "3"}
    (short,) = lines_of_reading(plain(**given), ORIGIN, RULES)
    (wide,) = rows_of("iot_energy", {**PLAIN, **given})
    assert short.kgco2e_granular == wide.kgco2e_granular == Decimal("0.75")
    solar = {**PLAIN, **given, "meter_kind": "solar", "energy_source": "solar"}
    assert [row.kgco2e_granular for row in rows_of("iot_energy", solar)] == [None]
    register = {
        **PLAIN,
        **given,
        **{"register_start": "1", "register_end": "4", "unit": "kWh", "energy_kwh": "0"},
    }
    assert [row.kgco2e_granular for row in rows_of("iot_energy", register)] == [None]


def test_a_line_of_no_facility_says_so_and_who_it_is_from() -> None:
    trips = [fields for stream, fields in CASES if stream == "transport"]
    (first, *_) = rows_of("transport", {**trips[0], "facility_id": None})
    assert (first.facility_id, first.source_ref) == ("unassigned", trips[0]["vehicle_id"])
    assert "facility_unregistered" not in first.flags


def test_a_declaration_is_of_the_country_its_supplier_is_registered_in_at_that_date() -> None:
    fields = next(fields for stream, fields in CASES if stream == "supplier")
    assert (fields["supplier_id"], fields["timestamp"][:10]) == ("SUP-1", "2025-04-01")
    moved = (
        supplier("SUP-1", country_iso2="AT"),
        supplier("SUP-1", country_iso2="KR", valid_from=date(2025, 5, 1)),
    )
    rules = replace(RULES, register=Register(records=(*RECORDS, *moved)))

    def countries(**changes: Any) -> set[str]:
        event = event_of("supplier", {**fields, **changes})
        return {row.country_iso2 for row in rows_of_event("supplier", event, ORIGIN, rules)}

    assert countries() == {"AT"}
    assert countries(timestamp="2025-05-01T00:00:00Z") == {"KR"}
    # What it says of itself comes first; of a supplier that nobody registered nothing is known.
    assert countries(geography_country_iso2="FR") == {"FR"}
    assert countries(supplier_id="SUP-2") == {NO_COUNTRY}
    bought = next(fields for stream, fields in CASES if stream == "procurement")
    (row,) = rows_of_event(
        "procurement",
        event_of("procurement", {**bought, "supplier_country_iso2": None}),
        ORIGIN,
        rules,
    )
    assert row.country_iso2 == "AT"


def test_gases_without_a_column_are_kept_by_name_and_methane_is_one_column() -> None:
    gases = Gases.of(
        {
            "CO2": Decimal(1),
            "CH4_fossil": Decimal("0.5"),
            "CH4_non_fossil": Decimal("0.25"),
            "SF6": Decimal("0.000000000001"),
        }
    )
    assert _other_gases(gases) == {"SF6": "0.000000000001"}
    assert _methane(gases) == Decimal("0.75")
    assert _other_gases(Gases.of({"CO2": Decimal(1)})) is None
    assert _methane(Gases.of({"CO2": Decimal(1)})) is None


@pytest.mark.parametrize("stream", CALCULATORS)
def test_a_figure_that_the_event_states_names_the_event_and_its_revision(stream: str) -> None:
    stated = [
        (row, fields)
        for kind, fields in CASES
        if kind == stream and not isinstance(outcome_of(stream, fields), str)
        for row in rows_of(stream, fields)
        if row.factor_match == "stated"
    ]
    for row, fields in stated:
        assert row.factor_id == f"stated:{row.activity_ref}"
        assert row.factor_version == fields.get("revision", 0) + 1
        assert row.vintage_gap_years is None


def outcome_of(stream: str, fields: dict[str, Any]) -> object:
    try:
        return rows_of(stream, fields)
    except RejectedRecord as refusal:
        return refusal.code


def test_an_entry_of_an_event_that_names_a_supplier_has_it_as_its_source() -> None:
    named = {
        stream
        for stream, kind in EVENT_KINDS.items()
        for one in (kind.event_class, *kind.by_kind.values())
        if "supplier_id" in one.__slots__
    }
    # As ledger.supplier_of has it.
    assert named == {"procurement", "supplier"}
    for stream in named:
        for one in (EVENT_KINDS[stream].event_class, *EVENT_KINDS[stream].by_kind.values()):
            first = next(name for name in _SOURCE_FIELDS if name in one.__slots__)
            assert first == "supplier_id"
