"""The intensity an event carries: when it is official, and how it compares with the factor."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.energy.location_intensity import (
    Compared,
    IntensitySource,
    conditions_of,
    reconcile,
)
from carbon_ledger.energy.meters import lines_of_meter_reading
from tests.support.factor_examples import supply_factor
from tests.support.meter_examples import assert_written, plain_grid, reading, stated

SOURCE = IntensitySource(
    provider="grid-operator",
    version=3,
    statistic="average",
    boundary="direct_combustion",
    gas_coverage="CO2e",
    country_iso2="GB",
    gwp_set="AR6",
)
INVENTORY = stated(plain_grid("GB", "0.2", 2025), location_based_source="event")
EVENT = reading(energy_kwh="1000", grid_carbon_intensity_gco2_kwh="150.5")


def test_an_intensity_that_meets_every_condition_is_official_by_policy() -> None:
    (line,) = lines_of_meter_reading(EVENT, INVENTORY, intensity=SOURCE)
    assert_written(line)
    assert line.kgco2e == Decimal("150.5")
    assert line.working.formula.formula_id == "S2-LB-EVENT"
    assert line.factor is not None
    assert (line.factor.factor.factor_id, line.factor.factor.version) == (
        "event:grid-operator:GB",
        3,
    )
    rate = line.factor.factor
    assert (rate.basis, rate.unit, rate.kgco2e_per_unit) == ("location", "kWh", Decimal("0.1505"))
    assert (rate.valid_from, rate.valid_to) == (date(2025, 1, 1), date(2026, 1, 1))
    assert "event_intensity" in line.flags
    by_factor = stated(plain_grid("GB", "0.2", 2025))
    assert lines_of_meter_reading(EVENT, by_factor, intensity=SOURCE)[0].kgco2e == 200


FAILED = [
    # changes to the source, condition
    ({"statistic": "marginal"}, "average"),
    ({"boundary": "lifecycle"}, "production_only"),
    ({"gas_coverage": "CO2"}, "co2e"),
    ({"country_iso2": "FR"}, "same_grid"),
    ({"region": "GB-NIR"}, "same_grid"),
    ({"version": None}, "version_kept"),
    ({"version": 0}, "version_kept"),
]


@pytest.mark.parametrize(("changes", "condition"), FAILED)
def test_one_condition_that_is_not_met_leaves_the_factor_official(
    changes: dict[str, Any], condition: str
) -> None:
    source = replace(SOURCE, **changes)
    found = conditions_of(Decimal(150), source, country_iso2="GB", region=None)
    assert [one.name for one in found if not one.is_met] == [condition]
    (line,) = lines_of_meter_reading(EVENT, INVENTORY, intensity=source)
    assert line.kgco2e == 200
    assert "event_intensity_not_accepted" in line.flags


def test_every_condition_is_named_whether_it_is_met_or_not() -> None:
    found = conditions_of(Decimal(150), SOURCE, country_iso2="GB", region=None)
    assert [(one.name, one.is_met) for one in found] == [
        (name, True)
        for name in ("described", "average", "production_only", "co2e", "same_grid", "version_kept")
    ]
    for intensity, source in ((Decimal(150), None), (None, SOURCE)):
        (none,) = conditions_of(intensity, source, country_iso2="GB", region=None)
        assert (none.name, none.is_met) == ("described", False)


def test_an_intensity_nobody_describes_or_none_at_all_is_not_official() -> None:
    for event, source in ((EVENT, None), (reading(energy_kwh="1000"), SOURCE)):
        (line,) = lines_of_meter_reading(event, INVENTORY, intensity=source)
        assert (line.kgco2e, "event_intensity_not_accepted" in line.flags) == (200, True)


def test_a_direct_supply_has_no_grid_intensity() -> None:
    inventory = stated(supply_factor("solar"), location_based_source="event")
    event = reading(energy_source="solar", grid_carbon_intensity_gco2_kwh="150.5")
    (line,) = lines_of_meter_reading(event, inventory, intensity=SOURCE)
    assert line.working.formula.formula_id == "S2-LB"
    assert "event_intensity" not in line.flags


def test_the_reconciliation_is_by_site_and_counts_what_carries_no_intensity_apart() -> None:
    def row(site: str, kwh: str, kg: str, intensity: str | None) -> Compared:
        return Compared(
            facility_id=site,
            energy_kwh=Decimal(kwh),
            kgco2e_factor=Decimal(kg),
            intensity_gco2_kwh=None if intensity is None else Decimal(intensity),
        )

    found = reconcile(
        [
            row("b", "100", "20", "150"),
            row("a", "10", "2", "300"),
            row("b", "50", "10", None),
            row("b", "100", "20", "350.5"),
        ]
    )
    assert [one.facility_id for one in found] == ["a", "b"]
    assert found[0].difference_kgco2e == 1
    assert (found[1].covered_kwh, found[1].uncovered_kwh) == (200, 50)
    assert (found[1].kgco2e_factor, found[1].kgco2e_event) == (40, Decimal("50.05"))
    assert found[1].difference_kgco2e == Decimal("10.05")
    assert reconcile([]) == ()
