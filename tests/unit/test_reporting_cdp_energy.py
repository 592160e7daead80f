"""Energy in CDP's module 7: the same groups of entries as in ESRS E1-5, otherwise arranged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.reference.instruments import INSTRUMENT_CARRIERS, INSTRUMENT_KINDS
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.cdp_energy import (
    BURNT,
    CARRIERS,
    FUEL_ROWS,
    LOW_CARBON,
    RENEWABLE,
    SOURCING,
    TECHNOLOGY,
)
from carbon_ledger.reporting.cdp_energy_questions import ENERGY_LISTS
from carbon_ledger.reporting.cdp_profile import CDP_PROFILE, cdp_profile, not_in_lists, table_id
from carbon_ledger.reporting.cube import CubeRow, selected, total_of
from carbon_ledger.reporting.energy_mix import ORIGIN_OF_SOURCE
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_json import report_from_json, report_to_json
from carbon_ledger.reporting.tie_outs import cdp_faults
from tests.support.cdp_examples import ENERGY_YEAR, energy_inputs, stated
from tests.support.report_examples import row


def figures(question: str, column: str, **given: Any) -> dict[str, Any]:
    """The values of a column by row, of rows that have one."""
    table = cdp(energy_inputs(**given)).table(table_id(question))
    cells = {one.row_id: one.cells[column].value for one in table.rows if column in one.cells}
    return {row_id: value for row_id, value in cells.items() if value is not None}


def D(text: str) -> Decimal:
    return Decimal(text)


@pytest.mark.parametrize(
    ("column", "mwh"),
    [
        (
            "renewable",
            {"fuel": "2.4", "electricity": "5.7", "self_generated": "0.3", "all": "8.4"},
        ),
        # Nuclear 0.5, residual mix 2.5, charged elsewhere 0.09.
        (
            "non_renewable",
            {"fuel": "11.9", "electricity": "3.09", "steam": "0.6", "all": "15.59"},
        ),
        (
            "total",
            {
                "fuel": "14.3",
                "electricity": "8.79",
                "steam": "0.6",
                "self_generated": "0.3",
                "all": "23.99",
            },
        ),
    ],
)
def test_energy_is_split_by_activity_and_origin(column: str, mwh: dict[str, str]) -> None:
    assert figures("7.30.1", column) == {name: D(text) for name, text in mwh.items()}
    rows = cdp(energy_inputs()).table("CDP-7.30.1").rows
    assert [one.row_id for one in rows if one.is_total] == ["all"]


def test_an_activity_is_undertaken_where_it_has_energy_or_a_statement() -> None:
    said = figures("7.30", "undertaken")
    assert [name for name, word in said.items() if word == "Yes"] == [
        "fuel",
        "electricity",
        "steam",
        "self_generated",
    ]
    only_fuel: dict[str, Any] = {"cubes": {2025: ENERGY_YEAR[:1]}}
    assert figures("7.30", "undertaken", **only_fuel)["self_generated"] == "Yes"
    assert figures("7.30", "undertaken", statements=(), **only_fuel)["self_generated"] == "No"


def test_fuels_are_in_their_rows_and_say_what_they_generate() -> None:
    assert figures("7.30.7", "total") == {
        "Other biomass": D("2.4"),
        "Oil": D("1.9"),
        "Gas": D(10),
        "Total fuel": D("14.3"),
    }
    assert figures("7.30.7", "cogeneration") == {"Gas": D(3), "Total fuel": D(3)}
    assert set(figures("7.30.7", "heating_value").values()) == {"LHV (lower heating value)"}


def test_what_is_not_determined_is_said_beside_every_sum_of_fuel() -> None:
    made = cdp(energy_inputs())
    for question in ("7.30", "7.30.1", "7.30.7"):
        assert made.table(table_id(question)).notes
    whole = cdp(energy_inputs(cubes={2025: ENERGY_YEAR[:3]}))
    assert not whole.table("CDP-7.30.1").notes


def test_generation_is_stated_and_own_power_consumed_is_metered() -> None:
    assert figures("7.30.9", "gross") == {"electricity": D("0.35"), "heat": D(2)}
    assert figures("7.30.9", "consumed") == {"electricity": D("0.3"), "heat": D("1.5")}
    assert figures("7.30.9", "gross_renewable") == {"electricity": D("0.35")}
    assert figures("7.30.9", "consumed_renewable") == {"electricity": D("0.3")}


def test_low_carbon_energy_is_by_instrument_and_country_if_its_rate_is_near_zero() -> None:
    table = cdp(energy_inputs()).table("CDP-7.30.14")
    columns = ("technology", "energy", "tracking", "is_able", "commissioned", "comment")
    # The biomass of 0.1 kgCO2e per kWh is not near zero.
    assert [(one.label, *(one.cells[name].value for name in columns)) for one in table.rows] == [
        ("France", "Nuclear", D("0.5"), None, "No", None, "atom"),
        ("Germany", "Wind", D(4), "GO", "Yes", "2019", "go-1"),
        ("France", "Wind", D(1), "GO", "Yes", "2019", "go-1"),
    ]


def test_countries_have_all_energy_but_fuel() -> None:
    assert figures("7.30.16", "total") == {"DE": D("8.1"), "FR": D("1.5"), "ZZ": D("0.09")}
    assert figures("7.30.16", "heat_purchased") == {"DE": D("0.6")}
    assert figures("7.30.16", "self_generated") == {"DE": D("0.3")}


def solar(kwh: str, **given: Any) -> CubeRow:
    """Own generation as it was metered."""
    return row(2, "0", activity_type="self_generated:solar", quantity=D(kwh), **given)


def market(kwh: str, formula_id: str, **given: Any) -> CubeRow:
    fields: dict[str, Any] = {"basis": "market", "activity_type": "electricity:market"}
    return row(2, "9", formula_id=formula_id, quantity=D(kwh), **{**fields, **given})


def test_own_generation_whose_certificates_were_sold_is_own_and_not_renewable() -> None:
    """200 MWh from the grid and 40 from the roof, all by the residual mix: 40 were generated, none
    consumed, 240 purchased.
    """
    sold = (
        row(2, "500", quantity=D("200000")),
        solar("40000"),
        market("240000", "S2-MB-RESIDUAL"),
    )
    produced = (stated("energy_production_renewable", "electricity", "40"),)
    given: dict[str, Any] = {"cubes": {2025: sold}, "statements": produced}
    assert figures("7.30.9", "gross", **given) == {"electricity": D(40)}
    assert figures("7.30.9", "consumed", **given) == {"electricity": D(40)}
    assert figures("7.30.9", "consumed_renewable", **given) == {}
    assert figures("7.30.16", "purchased", **given) == {"DE": D(200)}
    assert figures("7.30.16", "self_generated", **given) == {"DE": D(40)}
    assert figures("7.30.16", "total", **given) == {"DE": D(240)}
    # By origin it is neither own nor renewable, as in ESRS E1-5.
    assert figures("7.30.1", "total", **given) == {"electricity": D(240), "all": D(240)}
    assert figures("7.30", "undertaken", **{**given, "statements": ()})["self_generated"] == "Yes"
    # Another roof keeps its certificates, a third is in another country.
    kept = (
        *sold,
        solar("10000", facility_id="plant-2"),
        market("10000", "S2-OWN-GENERATION", facility_id="plant-2"),
        solar("3000", facility_id="plant-3", country_iso2="FR"),
        market("3000", "S2-OWN-GENERATION", facility_id="plant-3", country_iso2="FR"),
    )
    given = {"cubes": {2025: kept}, "statements": produced}
    assert figures("7.30.9", "consumed", **given) == {"electricity": D(53)}
    assert figures("7.30.9", "consumed_renewable", **given) == {"electricity": D(13)}
    assert figures("7.30.16", "purchased", **given) == {"DE": D(200)}
    assert figures("7.30.16", "self_generated", **given) == {"DE": D(50), "FR": D(3)}
    assert figures("7.30.16", "total", **given) == {"DE": D(250), "FR": D(3)}
    told = energy_inputs(**given)
    report = cdp(told)
    assert cdp_faults(report, esrs_e1(told)) == []
    assert report_from_json(report_to_json(report)) == report
    for cell in report.cells().values():
        if cell.operation == "entries":
            assert cell.selection is not None
            rows = selected(kept, cell.selection)
            assert total_of(rows, cell.measure) * cell.scale == cell.value
        if cell.operation == "difference":
            left, right = (report.cells()[one].number for one in cell.inputs)
            assert left - right == cell.value


def test_every_cell_leads_to_cells_or_entries_that_are_there() -> None:
    made = cdp(energy_inputs())
    cells = made.cells()
    for cell in cells.values():
        assert set(cell.inputs) <= cells.keys()
        if cell.operation == "entries":
            assert cell.selection is not None
            rows = selected(energy_inputs().cubes[cell.year or 0], cell.selection)
            assert total_of(rows, cell.measure) * cell.scale == cell.value
        if cell.operation == "sum":
            assert sum(cells[one].number for one in cell.inputs) == cell.value
    assert report_from_json(report_to_json(made)) == made
    assert not_in_lists(cdp_profile(CDP_PROFILE), made.tables) == []


def test_words_of_the_ledger_have_words_of_the_questionnaire() -> None:
    assert set(INSTRUMENT_KINDS) - {"residual_mix"} == set(SOURCING) - {""}
    assert set(CARRIERS) == set(INSTRUMENT_CARRIERS)
    assert set(SOURCING.values()) <= set(ENERGY_LISTS["sourcing_method"])
    assert set(TECHNOLOGY.values()) <= set(ENERGY_LISTS["technology"])
    assert set(TECHNOLOGY) <= set(ORIGIN_OF_SOURCE)
    assert [*FUEL_ROWS, "Total fuel"] == [*ENERGY_LISTS["fuel"]]
    assert sorted(row for rows in FUEL_ROWS.values() for row in rows) == sorted(BURNT)
    assert not set(LOW_CARBON) & set(BURNT)
    assert set(RENEWABLE) - set(BURNT) == {"purchased_renewable", "self_generated"}
