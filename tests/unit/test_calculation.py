"""Any activity to its lines: which calculator takes it, what is refused, what is written down."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.calculation import EVENT_KINDS, calculate, explained, line_values, total
from carbon_ledger.errors import RejectedRecord
from tests.support.meter_examples import shipped

GRID: dict[str, Any] = {
    "event": "iot_energy",
    "sensor_id": "m-1",
    "facility_id": "works",
    "country_iso2": "GB",
    "energy_kwh": "1000",
    "energy_source": "grid",
    "timestamp": "2025-05-01T00:00:00Z",
    "interval_seconds": 3600,
}


def test_an_event_goes_to_the_calculator_of_its_stream() -> None:
    (line,) = calculate(GRID, shipped(gwp_set="AR5"))
    # UK conversion factors 2025: 0.177 kgCO2e per kWh of electricity.
    assert (line.assignment.scope, line.kgco2e) == (2, Decimal("177"))
    named = calculate({**GRID, "id": "my row 7"}, shipped(gwp_set="AR5"))
    assert named == (line,)


def test_an_activity_without_an_event_is_a_generic_one() -> None:
    activity = {
        "quantity": "1247.3",
        "unit": "kWh",
        "factor": {"kgco2e": "0.3852", "per": "kWh"},
    }
    (line,) = calculate(activity, shipped())
    assert line.kgco2e == Decimal("480.45996")  # 1247.3 x 0.3852
    # Nobody has said of which scope it is, so it enters no total.
    assert total((line,)) == 0


@pytest.mark.parametrize("kind", ["iot", "", 7, ["iot_energy"], None])
def test_what_is_no_kind_of_event_is_refused_with_those_that_are(kind: object) -> None:
    with pytest.raises(RejectedRecord) as refused:
        calculate({**GRID, "event": kind}, shipped())
    assert (refused.value.code, refused.value.field) == ("unknown_event", "event")
    assert all(name in str(refused.value.valid) for name in EVENT_KINDS)


def test_the_explanation_has_one_line_for_each_thing_it_says() -> None:
    (line,) = calculate(GRID, shipped(gwp_set="AR5"))
    text = explained(line)
    assert all(each and "\n" not in each for each in text)
    assert text[0].startswith("scope 2, location, method ")
    assert "global warming potentials: AR5" in text
    assert [each for each in text if each.startswith("factor grid:GB:2025:")]


def test_a_line_s_values_are_plain_decimal_text() -> None:
    (line,) = calculate(GRID, shipped(gwp_set="AR5"))
    values = line_values(line)
    assert (values["quantity"], values["unit"], values["kgco2e"]) == ("1000", "kWh", "177")
    assert values["interval_95"]["low"] < values["kgco2e"] < values["interval_95"]["high"]
