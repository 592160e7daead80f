"""`carbon calc --explain` says everything: each figure is computed again from its text alone."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from click.testing import CliRunner

from cli.calc_command import calc
from tests.support.written_workings import WrittenLine, read

READING: dict[str, Any] = {
    "event": "iot_energy",
    "sensor_id": "M1",
    "facility_id": "plant",
    "country_iso2": "GB",
    "energy_kwh": "1247.331",
    "energy_source": "grid",
    "timestamp": "2025-03-30T00:30:00Z",
    "interval_seconds": 900,
}
TRIP: dict[str, Any] = {
    "event": "transport",
    "vehicle_id": "V1",
    "trip_id": "T1",
    "country_iso2": "GB",
    "vehicle_class": "artic_hgv_over_33t",
    "timestamp": "2025-05-02T06:00:00Z",
    "interval_seconds": 7200,
}
LEG: dict[str, Any] = {
    "event": "logistics",
    "shipment_id": "S1",
    "leg_id": "1",
    "status": "delivered",
    "mode": "road",
    "origin": "DEHAM",
    "destination": "ATVIE",
    "mass_kg": "12400.7",
    "distance_km": "1093.7",
    "distance_kind": "shortest_feasible",
    "payer": "reporter",
    "timestamp": "2025-05-02T06:00:00Z",
    "interval_seconds": 86400,
}
ORDER: dict[str, Any] = {
    "event": "procurement",
    "purchase_order_id": "PO-1",
    "document_id": "INV-1",
    "document_kind": "invoice",
    "line_no": 1,
    "entity_id": "acme",
    "supplier_id": "SUP-1",
    "supplier_country_iso2": "DE",
    "classification": "naics:331110",
    "amount_net": "12345.67",
    "currency": "EUR",
    "timestamp": "2024-05-01T00:00:00Z",
}
DECLARATION: dict[str, Any] = {
    "event": "supplier",
    "declaration_id": "PCF-1",
    "supplier_id": "SUP-1",
    "entity_id": "acme",
    "kind": "product_footprint",
    "product_id": "steel-coil",
    "quantity": "20400.5",
    "unit": "kg",
    "kgco2e_per_unit": "1.874321",
    "boundary": "cradle_to_gate",
    "gwp_set": "AR6",
    "timestamp": "2025-04-01T00:00:00Z",
    "interval_seconds": 2592000,
}
TOTAL = {
    **DECLARATION,
    "declaration_id": "T-1",
    "product_id": None,
    "kgco2e_per_unit": None,
    "scope1_kgco2e": "41200.4",
    "scope2_location_kgco2e": "300.5",
    "upstream_kgco2e": "9000.123456",
}

# name, activity, how many lines it gives, whether its gases are known
CASES: list[tuple[str, dict[str, Any], int, bool]] = [
    ("a meter, gases weighed anew", READING, 1, True),
    (
        "a gas meter by its calorific value",
        {
            **READING,
            "meter_kind": "gas",
            "energy_kwh": "0",
            "quantity": "310.5",
            "unit": "m3",
            "scope": 1,
            "calorific_value": "39.5",
            "calorific_unit": "MJ/m3",
            "heating_value": "gross",
        },
        1,
        True,
    ),
    (
        "a register that rolled over, life-cycle factor",
        {
            **READING,
            "country_iso2": "DE",
            "energy_kwh": "0",
            "register_start": "99990.5",
            "register_end": "12.25",
            "register_size": "100000",
            "unit": "kWh",
        },
        1,
        False,
    ),
    (
        "own lorry, blended fuel",
        {**TRIP, "fuel_type": "diesel", "fuel_litres": "52.3", "distance_km": "160"},
        2,
        True,
    ),
    (
        "a carrier's lorry, well to wheel",
        {**TRIP, "operator": "carrier", "fuel_type": "diesel", "fuel_litres": "33.33"},
        1,
        True,
    ),
    (
        "own electric van, with its losses",
        {
            **TRIP,
            "vehicle_class": "van_average",
            "fuel_type": "electricity",
            "energy_kwh": "18.4",
        },
        4,
        True,
    ),
    ("a leg by road, distance adjusted", LEG, 1, False),
    (
        "a leg by air between coordinates",
        {
            **LEG,
            "mode": "air",
            "operation_class": "air_long_haul",
            "distance_km": None,
            "distance_kind": None,
            "origin_latitude": "50.0379",
            "origin_longitude": "8.5622",
            "destination_latitude": "40.6413",
            "destination_longitude": "-73.7781",
        },
        1,
        True,
    ),
    (
        "a carrier's figure without its upstream",
        {**LEG, "co2e_ttw_kg": "655.1", "data_level": "primary"},
        1,
        False,
    ),
    ("spend, exchanged and deflated", ORDER, 1, True),
    (
        "spend in basic prices, capital, other currency",
        {
            **ORDER,
            "currency": "USD",
            "is_capital": True,
            "price_basis": "basic",
            "margin_share": "0.17",
        },
        1,
        True,
    ),
    (
        "a commitment, which is evidence",
        {**ORDER, "document_kind": "purchase_order", "document_id": "O-1"},
        1,
        False,
    ),
    ("a footprint of a product", DECLARATION, 1, False),
    (
        "an allocated total",
        {**TOTAL, "kind": "allocated_total", "allocation_method": "mass"},
        1,
        False,
    ),
    (
        "a corporate total by a key of thirds",
        {
            **TOTAL,
            "kind": "corporate_total",
            "allocation_method": "economic",
            "allocation_part": "100000",
            "allocation_whole": "300000",
            "allocation_unit": "EUR",
        },
        1,
        False,
    ),
    (
        "a stated factor",
        {"quantity": "1247.3", "unit": "kWh", "factor": {"kgco2e": "0.3852", "per": "kWh"}},
        1,
        False,
    ),
    (
        "stated gases, a third of them",
        {
            "activity_type": "fugitive_emission",
            "facts": {"held_as": "own"},
            "quantity": "2.5",
            "unit": "lb",
            "share": "1/3",
            "factor": {"gases": {"R-410A": "0.9", "CH4_fossil": "0.1"}, "per": "kg"},
        },
        1,
        True,
    ),
    (
        "a reference to the book, in another unit",
        {
            "quantity": "3.7",
            "unit": "GJ",
            "scope": 2,
            "basis": "location",
            "factor": {"family": "grid", "country": "DE", "year": 2024},
        },
        1,
        False,
    ),
    (
        "items of a formula, each with a factor of its own",
        {
            "formula": "S3-DISTANCE-BASED",
            "category": 4,
            "items": [
                {
                    "kind": "transport",
                    "mass": {"value": "230", "unit": "kg"},
                    "distance": {"value": "700", "unit": "mi"},
                    "factor": {"gco2e": "101.63", "per": "tkm"},
                },
                {
                    "kind": "containers",
                    "containers": {"value": "2", "unit": "TEU"},
                    "distance": {"value": "8450.5", "unit": "km"},
                    "factor": {"kgco2e": "0.0804", "per": "TEU_km"},
                },
            ],
            "share": {"part": "1", "of": ["1", "2", "4"], "key": "pieces"},
        },
        1,
        False,
    ),
]


def run(*activities: dict[str, Any], explain: bool) -> str:
    text = "".join(json.dumps(one) + "\n" for one in activities)
    result = CliRunner().invoke(calc, ["--explain"] if explain else [], input=text)
    assert result.exit_code == 0, result.output
    return result.output


def assert_recomputed(line: WrittenLine, said: dict[str, Any]) -> None:
    """The text of a line gives what the JSON of the same line says, to the last digit."""
    assert line.figure.recomputed() == Fraction(said["kgco2e"])
    assert line.figure.printed == said["kgco2e"]
    assert line.figure.unit == "kgCO2e"
    assert line.formula_id == said["formula"]["id"]
    assert {gas: one.printed for gas, one in line.gases.items()} == said["gases_kg"]
    for gas, one in line.gases.items():
        assert one.recomputed() == Fraction(said["gases_kg"][gas])
        assert one.unit == f"kg {gas}"


@pytest.fixture(scope="module")
def outputs() -> tuple[list[WrittenLine], list[dict[str, Any]]]:
    """What is printed of all cases in one run: the lines of the text, and the answers in JSON."""
    activities = [{**activity, "id": name} for name, activity, _, _ in CASES]
    answers = run(*activities, explain=False).splitlines()
    return read(run(*activities, explain=True)), [json.loads(one) for one in answers]


@pytest.mark.parametrize(
    ("name", "activity", "count", "has_gases"), CASES, ids=[case[0] for case in CASES]
)
def test_the_text_alone_gives_the_figure_and_every_gas_to_the_last_digit(
    name: str,
    activity: dict[str, Any],
    count: int,
    has_gases: bool,
    outputs: tuple[list[WrittenLine], list[dict[str, Any]]],
) -> None:
    texts, answers = outputs
    written = [line for line in texts if line.name == name]
    said = next(one for one in answers if one["id"] == name)["lines"]
    assert len(written) == len(said) == count
    assert [(line.number, line.of) for line in written] == [(n, count) for n in range(1, count + 1)]
    assert any(line.gases for line in written) is has_gases
    for line, values in zip(written, said, strict=True):
        assert_recomputed(line, values)


def test_there_are_three_cases_of_every_stream_and_of_stated_activities() -> None:
    kinds = [activity.get("event", "activity") for _, activity, _, _ in CASES]
    assert min(kinds.count(kind) for kind in set(kinds)) >= 3
    assert set(kinds) == {
        "activity",
        "iot_energy",
        "logistics",
        "procurement",
        "supplier",
        "transport",
    }


def test_a_digit_changed_anywhere_in_a_working_is_noticed() -> None:
    text = run(READING, explain=True)
    rows = text.splitlines()
    places = [n for n, row in enumerate(rows) if row.startswith("    ")]
    assert len(places) > 10
    for place in places:
        digit = next(c for c in rows[place][6:] if c in "123456789")
        changed = rows[place][:6] + rows[place][6:].replace(digit, str(int(digit) - 1), 1)
        (line,) = read("\n".join([*rows[:place], changed, *rows[place + 1 :]]))
        workings = [line.figure, *line.gases.values()]
        assert any(one.recomputed() != Fraction(one.printed) for one in workings)


def test_a_label_cannot_write_a_line_of_the_working() -> None:
    activity = {
        "quantity": "10",
        "unit": "kWh",
        "id": "x\n    = 1 kgCO2e",
        "multiply": [{"value": "2", "unit": "1", "label": "twice\r\n    x 0 (none)"}],
        "factor": {"kgco2e": "1", "per": "kWh", "source": "me\u2028    x 3\n    x 5"},
        "basis": "b\n  of which SF6:\n    = 9",
    }
    (line,) = read(run(activity, explain=True))
    assert line.figure.recomputed() == 20
    assert not line.gases
    # A text that cannot be read as this one is refused by the reader, not passed over.
    with pytest.raises(ValueError, match="no number"):
        read("activity 1, line 1 of 1\n  formula F: f [c]\n      ten kWh (activity)")
