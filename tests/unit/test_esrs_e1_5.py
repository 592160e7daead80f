"""ESRS E1-5, E1-7, and the share of instruments in E1-6: rows, sums, shares, their checks."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.energy.scope2 import S2_INSTRUMENT, S2_RESIDUAL
from carbon_ledger.organisation.categories import DISTANCE_BASED
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.cube import CubeRow, selected, total_of
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.esrs_e1_5 import PER_REVENUE, ROWS, e1_5, energy_faults
from carbon_ledger.reporting.esrs_e1_6 import e1_6
from carbon_ledger.reporting.esrs_e1_7 import e1_7, removal_faults
from carbon_ledger.reporting.esrs_profile import CONCEPTS, profile_of
from carbon_ledger.reporting.fuel_energy import FuelEnergy, fuel_energies, fuels_used
from carbon_ledger.reporting.inputs import ReportInputs, Revenue
from carbon_ledger.reporting.report_json import report_from_json, report_to_json
from carbon_ledger.reporting.report_xbrl import report_to_xbrl_json
from carbon_ledger.reporting.stated import Stated
from carbon_ledger.reporting.tables import Section
from factor_seeds.load import shipped_book
from tests.support.report_examples import inputs as examples
from tests.support.report_examples import row

PROFILE = profile_of("esrs_2023")
FUEL = FuelEnergy(
    factor_id="diesel",
    fuel="Gas oil",
    carrier="oil",
    unit="L",
    net_kwh_per_unit=Decimal(10),
    tracer="kgco2e",
    kg_per_unit=Decimal("2.5"),
    gwp_set="AR6",
    how="published",
)
FUELS = {
    "diesel": FUEL,
    "gas": replace(FUEL, factor_id="gas", carrier="natural_gas"),
    "wood": replace(FUEL, factor_id="wood", carrier="renewable"),
    "coal": replace(FUEL, factor_id="coal", carrier="coal"),
}


def burnt(factor_id: str, litres: str) -> CubeRow:
    return row(
        1,
        str(Decimal(litres) * Decimal("2.5")),
        activity_type="stationary_fuels",
        unit="L",
        factor_id=factor_id,
        quantity=Decimal(litres),
    )


def bought(kwh: str, factor_id: str, kg: str = "0") -> CubeRow:
    is_instrument = factor_id.startswith("instrument:")
    return row(
        2,
        kg,
        basis="market",
        activity_type="electricity:market",
        factor_id=factor_id,
        formula_id=(S2_INSTRUMENT if is_instrument else S2_RESIDUAL).formula_id,
        quantity=Decimal(kwh),
    )


YEAR = (
    burnt("diesel", "100"),
    burnt("gas", "200"),
    burnt("wood", "50"),
    bought("4000", "instrument:wind"),
    bought("1500", "instrument:atom"),
    bought("1000", "residual:DE", "600"),
    row(2, "2000", quantity=Decimal(6500)),
)
REVENUE = Revenue(
    fiscal_year=2025,
    amount=Decimal(500),
    currency="EUR",
    source="accounts",
    high_climate_impact=Decimal(200),
)


def given(subject: str, value: str, key: str = "", year: int = 2025) -> Stated:
    return Stated(
        subject=subject, fiscal_year=year, key=key, value=Decimal(value), source="statement"
    )


def inputs(*statements: Stated, **more: Any) -> ReportInputs:
    fields: dict[str, Any] = {
        "cubes": {2025: YEAR, 2024: (burnt("coal", "10"),)},
        "fuels": {"AR6": FUELS},
        "instrument_sources": {"instrument:wind": "wind", "instrument:atom": "nuclear"},
        "instrument_kinds": {
            "instrument:wind": "ppa",
            "instrument:atom": "certificate_unbundled",
        },
        "statements": statements,
    }
    return examples(**{**fields, **more})


def energy(*statements: Stated, **more: Any) -> Section:
    return e1_5(inputs(*statements, **more), PROFILE)


def value(made: Section, table: str, row_id: str, column: str = "current") -> Any:
    (found,) = [one for one in made.tables if one.table_id == table]
    return found.cell(row_id, column).value


@pytest.mark.parametrize(
    ("row_id", "now", "before"),
    [
        ("coal", None, "0.1"),
        ("oil", "1", None),
        ("natural_gas", "2", None),
        ("other_fossil", None, None),
        ("purchased_fossil", "1", None),
        ("fossil", "4", "0.1"),
        ("fossil_share", "40", "100"),
        ("nuclear", "1.5", None),
        ("nuclear_share", "15", None),
        ("fuel_renewable", "0.5", None),
        ("purchased_renewable", "4", None),
        ("self_generated", None, None),
        ("renewable", "4.5", None),
        ("renewable_share", "45", None),
        ("total", "10", "0.1"),
    ],
)
def test_energy_is_told_apart_by_carrier_and_origin(
    row_id: str, now: str | None, before: str | None
) -> None:
    made = energy()
    assert value(made, "E1-5", row_id) == (None if now is None else Decimal(now))
    expected = None if before is None else Decimal(before)
    assert value(made, "E1-5", row_id, "comparative") == expected


def test_the_table_has_every_row_with_its_own_concept() -> None:
    made = energy()
    (table,) = [one for one in made.tables if one.table_id == "E1-5"]
    assert tuple(one.row_id for one in table.rows) == ROWS
    assert {one.row_id for one in table.rows if one.is_total} == {"fossil", "renewable", "total"}
    tagged = {cell.concept: cell.datapoint for cell in table.cells() if cell.concept}
    assert tagged["EnergyConsumptionRelatedToOwnOperations"] == "E1-5_01"
    assert tagged["FuelConsumptionFromCrudeOilAndPetroleumProducts"] == "E1-5_11"
    assert len({one.cells["current"].cell_id for one in table.rows}) == len(ROWS)


def test_every_cell_leads_to_entries_and_adds_up() -> None:
    made = energy(given("energy_production_renewable", "7"))
    for cell in made.cells.values():
        assert set(cell.inputs) <= made.cells.keys()
        if cell.operation == "entries":
            assert cell.selection is not None
            rows = selected(inputs().cubes[cell.year or 0], cell.selection)
            assert total_of(rows, cell.measure) * cell.scale == cell.value
        if cell.operation == "sum":
            assert sum(made.cells[one].number for one in cell.inputs) == cell.value
        if cell.concept:
            assert CONCEPTS[cell.concept].datapoint == cell.datapoint
    parts = next(one for one in made.tables if one.table_id == "E1-5-parts")
    shown = sum(one.cells["energy"].number for one in parts.rows)
    assert shown == value(made, "E1-5", "total")


def test_what_is_not_determined_is_listed_with_its_emissions_and_flags_the_report() -> None:
    driven = row(1, "750", activity_type="vehicle_distance:van", unit="km", quantity=Decimal(3000))
    told = inputs(cubes={2025: (*YEAR, driven)})
    made = e1_5(told, PROFILE)
    (table,) = [one for one in made.tables if one.table_id == "E1-5-not-determined"]
    ((only,),) = [table.rows]
    assert only.cells["emissions"].value == Decimal("0.75")
    assert "a distance was driven" in str(only.cells["why"].value)
    assert value(made, "E1-5", "total") == Decimal(10)
    assert made.flags == ("energy_not_determined",)
    assert "energy_not_determined" in esrs_e1(told).flags
    assert energy().flags == ()


GAS = "fuel:GB:2025:gaseous-fuels:natural-gas:any:combustion:kwh-gross:desnz_2025"


def gas(gwp_set: str) -> CubeRow:
    """10,000 kWh (gross), weighed with a set of potentials."""
    book = shipped_book()
    per_kwh = fuel_energies(book.rows_of("fuel"), book.gwp, gwp_set)[GAS].kg_per_unit
    return row(
        1,
        str(10_000 * per_kwh),
        activity_type="fuel:natural_gas",
        unit="kWh_gross",
        quantity=Decimal(10_000),
        factor_id=GAS,
        gwp_set=gwp_set,
        gas_split="available",
        kg_ch4=Decimal("0.1"),
    )


def test_fuel_is_converted_by_the_potentials_that_its_entries_were_posted_with() -> None:
    """The year before was posted with AR5: its gas was "posted with potentials AR5, the factor has
    AR6", and 9.03 of 109.03 MWh were missing. So in a year of two sets.
    """
    power = row(2, "1", quantity=Decimal(100_000))
    cubes = {2025: (gas("AR6"), power, gas("AR5")), 2024: (gas("AR5"), power)}
    book = shipped_book()
    rows = [one for cube in cubes.values() for one in cube]
    fuels = fuels_used(rows, book, "AR6", lambda _: book)
    assert set(fuels) == {"AR5", "AR6"}
    assert fuels["AR5"][GAS].kg_per_unit != fuels["AR6"][GAS].kg_per_unit
    made = e1_5(inputs(cubes=cubes, fuels=fuels), PROFILE)
    once = Decimal("9.02614701529")
    assert value(made, "E1-5", "natural_gas", "comparative") == once
    assert value(made, "E1-5", "total", "comparative") == once + 100
    assert value(made, "E1-5", "natural_gas") == once * 2
    assert "energy_not_determined" not in made.flags
    assert cdp(inputs(cubes=cubes, fuels=fuels)).table("CDP-7.30.7").cell("Gas", "total").value == (
        once * 2
    )


def test_energy_not_known_in_the_year_before_alone_is_said_below_the_table() -> None:
    driven = row(1, "750", activity_type="vehicle_distance:van", unit="km", quantity=Decimal(3000))
    for year in (2024, 2025):
        made = e1_5(inputs(cubes={2025: YEAR, 2024: YEAR, year: (*YEAR, driven)}), PROFILE)
        (table,) = [one for one in made.tables if one.table_id == "E1-5"]
        assert table.notes[-1] == ("Energy of some entries is not known: see E1-5-not-determined.")
    assert len(energy().tables[0].notes) == 2


def test_production_is_what_is_stated() -> None:
    made = energy(
        given("energy_production_renewable", "7", "roof"),
        given("energy_production_renewable", "2", "field"),
        given("energy_production_renewable", "5", "roof", 2024),
    )
    row_id = "energy_production_renewable"
    assert value(made, "E1-5-production", row_id) == Decimal(9)
    assert value(made, "E1-5-production", row_id, "comparative") == Decimal(5)
    assert value(made, "E1-5-production", "energy_production_non_renewable") is None


def test_intensity_is_energy_of_high_climate_impact_sectors_per_their_revenue() -> None:
    stated = given("high_climate_impact_energy", "8")
    made = energy(stated, revenues={2025: REVENUE})
    table = "E1-5-intensity"
    assert value(made, table, "intensity", "value") == Decimal("0.040000000000")
    assert value(made, table, "revenue_other", "value") == Decimal(300)
    assert value(energy(revenues={2025: REVENUE}), table, "intensity", "value") is None
    assert value(energy(stated), table, "intensity", "value") is None


def test_where_all_revenue_is_of_high_climate_impact_sectors_all_energy_is() -> None:
    made = energy(revenues={2025: replace(REVENUE, high_climate_impact=REVENUE.amount)})
    assert value(made, "E1-5-intensity", "energy", "value") == Decimal(10)
    assert value(made, "E1-5-intensity", "intensity", "value") == Decimal("0.020000000000")


def test_the_draft_has_its_own_numbers_and_no_intensity() -> None:
    made = e1_5(inputs(), profile_of("esrs_2026"))
    assert [one.table_id for one in made.tables] == [
        "E1-7",
        "E1-7-parts",
        "E1-7-not-determined",
        "E1-7-production",
    ]
    assert not any(cell.concept for cell in made.cells.values())


def sound() -> tuple[Section, ReportInputs]:
    told = inputs(
        given("high_climate_impact_energy", "8"),
        given("energy_production_renewable", "7"),
        cubes={
            2025: (*YEAR, row(2, "0", facility_id="b", activity_type="self_generated:solar")),
            2024: (burnt("coal", "10"),),
        },
        revenues={2025: REVENUE},
    )
    return e1_5(told, PROFILE), told


def test_a_sound_section_has_no_fault() -> None:
    made, told = sound()
    assert energy_faults(made, told, PROFILE) == ()


@pytest.mark.parametrize(
    ("cell_id", "planted", "fault"),
    [
        ("E1-5/fossil/current", "5", "current: fossil is 5, its parts are 4 MWh"),
        ("E1-5/oil/current", "1.5", "current: fossil is 4, its parts are 4.5 MWh"),
        ("E1-5/renewable/current", "4", "current: renewable is 4, its parts are 4.5 MWh"),
        # The printed note of AR 34 leaves nuclear out of the total.
        ("E1-5/total/current", "8.5", "current: total is 8.5, its parts are 10 MWh"),
        ("E1-5/coal/comparative", "9", "comparative: fossil is 0.1, its parts are 9 MWh"),
        ("E1-5/fossil_share/current", "41", "are not 100 %"),
        ("E1-5/intensity/revenue", "501", "revenue 501 is not the sum of 200 and 300"),
        ("E1-5/intensity/energy", "11", "high climate impact sectors consume 11 MWh of 10"),
        ("E1-5/energy_production_renewable/current", "-1", "own generation consumed, -1 produced"),
    ],
)
def test_a_planted_fault_is_found(cell_id: str, planted: str, fault: str) -> None:
    made, told = sound()
    changed = replace(made.cells[cell_id], value=Decimal(planted))
    broken = replace(made, cells={**made.cells, cell_id: changed})
    assert any(fault in one for one in energy_faults(broken, told, PROFILE))


def test_revenue_of_high_climate_impact_above_all_revenue_is_a_fault() -> None:
    told = inputs(revenues={2025: replace(REVENUE, high_climate_impact=Decimal(501))})
    assert any(
        "501 is above 500" in one for one in energy_faults(e1_5(told, PROFILE), told, PROFILE)
    )


def test_market_based_kwh_that_were_not_metered_are_a_fault() -> None:
    told = inputs(cubes={2025: YEAR[:-1]})
    assert any("metered 0 kWh" in one for one in energy_faults(e1_5(told, PROFILE), told, PROFILE))


def test_kwh_are_compared_with_the_metered_ones_in_the_year_before_as_well() -> None:
    metered = row(2, "500", quantity=Decimal(10_000))
    told = inputs(cubes={2025: YEAR, 2024: (metered, bought("4000", "residual:DE"))})
    assert energy_faults(e1_5(told, PROFILE), told, PROFILE) == (
        "2024: plant-1: metered 10000 kWh, market-based lines are of 4000 kWh",
    )


def test_vehicles_whose_kwh_are_not_known_are_not_determined_beside_those_that_are() -> None:
    plug: dict[str, Any] = {"activity_type": "vehicle_electricity", "factor_id": "transport:b"}
    cube = (
        row(2, "400", quantity=Decimal(1000), activity_type="vehicle_electricity"),
        row(2, "900", quantity=Decimal(5000), unit="km", **plug),
        replace(bought("1000", "residual:DE"), activity_type="vehicle_electricity:market"),
    )
    made = e1_5(inputs(cubes={2025: cube}), PROFILE)
    assert value(made, "E1-5", "total") == Decimal(1)
    (table,) = [one for one in made.tables if one.table_id == "E1-5-not-determined"]
    assert [one.cells["emissions"].value for one in table.rows] == [Decimal("0.9")]
    report = cdp(inputs(cubes={2025: cube}))
    assert report.table("CDP-7.30.1").cell("electricity", "total").value == Decimal(1)
    assert report.table("CDP-7.30.1").notes
    # Of a factor whose kWh are known to nobody it is so beside another's of the same place.
    driven = row(2, "60", quantity=Decimal(300), unit="km", activity_type="vehicle_electricity")
    line = replace(cube[2], quantity=Decimal(60), method=DISTANCE_BASED)
    for rates, count in (({}, 0), ({("transport:b", 1, "AR6", "km"): None}, 1)):
        told = inputs(cubes={2025: (*cube, driven, line)}, charging=rates)
        table = esrs_e1(told).table("E1-5-not-determined")
        assert len(table.rows) == count
        assert len(cdp(told).table("CDP-7.30.1").notes) == count


# ---- the share of instruments in E1-6


def test_instruments_are_a_share_of_the_energy_and_bundled_ones_of_the_emissions() -> None:
    made = e1_6(inputs(), PROFILE)
    table = "E1-6-instruments"
    assert value(made, table, "instruments", "share") == Decimal("84.615384615385")
    assert value(made, table, "bundled", "share") == Decimal("61.538461538462")
    assert value(made, table, "unbundled", "share") == Decimal("23.076923076923")
    assert value(made, table, "ppa", "amount") == Decimal(4)
    assert value(made, table, "supplier_rate", "amount") == Decimal(0)
    assert value(made, table, "bundled_emissions", "share") == Decimal(0)
    tagged = {cell.datapoint for cell in made.cells.values() if "instruments/" in cell.cell_id}
    assert tagged - {""} == {"E1-6_18", "E1-6_20", "E1-6_21", "E1-6_22"}


def test_without_market_based_lines_there_is_no_share_of_instruments() -> None:
    made = e1_6(inputs(cubes={2025: (row(2, "5", quantity=Decimal(10)),)}), PROFILE)
    assert value(made, "E1-6-instruments", "instruments", "share") is None


def test_an_instrument_whose_kind_is_not_registered_is_said() -> None:
    made = e1_6(inputs(instrument_kinds={"instrument:wind": "ppa"}), PROFILE)
    (table,) = [one for one in made.tables if one.table_id == "E1-6-instruments"]
    assert table.notes[1:] == ("Of what kind instrument:atom is, is not registered.",)
    assert value(made, "E1-6-instruments", "instruments", "amount") == Decimal("5.5")


# ---- E1-7

STATEMENTS = (
    given("removal_own", "10", "forest"),
    given("removal_value_chain", "4", "biochar"),
    given("removal_own", "8", "forest", 2024),
    given("removal_emissions", "1"),
    given("removal_reversal", "2", "fire"),
    given("credits_cancelled", "30", "A"),
    given("credits_cancelled", "10", "B"),
    given("credits_removal", "10"),
    given("credits_eu", "20"),
    given("credits_planned", "5", "2030"),
    given("credits_planned", "6", "2031"),
)


@pytest.mark.parametrize(
    ("table", "row_id", "column", "expected"),
    [
        ("E1-7", "removal_own/forest", "current", "10"),
        ("E1-7", "removal_own/forest", "comparative", "8"),
        ("E1-7", "removal_value_chain/biochar", "comparative", None),
        ("E1-7", "removals", "current", "14"),
        ("E1-7", "removal_emissions", "current", "1"),
        ("E1-7", "removal_reversal", "current", "2"),
        ("E1-7-credits", "cancelled/A", "current", "30"),
        ("E1-7-credits", "cancelled", "current", "40"),
        ("E1-7-credits", "share/standard/A", "current", "75"),
        ("E1-7-credits", "share/credits_removal", "current", "25"),
        ("E1-7-credits", "share/credits_reduction", "current", "75"),
        ("E1-7-credits", "share/credits_eu", "current", "50"),
        ("E1-7-credits", "share/credits_adjusted", "current", None),
        ("E1-7-credits", "cancelled", "comparative", None),
        ("E1-7-planned", "2030", "current", "5"),
        ("E1-7-planned", "planned", "current", "11"),
    ],
)
def test_removals_and_credits_are_what_is_stated(
    table: str, row_id: str, column: str, expected: str | None
) -> None:
    made = e1_7(inputs(*STATEMENTS), PROFILE)
    assert value(made, table, row_id, column) == (None if expected is None else Decimal(expected))


def test_removals_and_credits_are_never_taken_off_the_gross_emissions() -> None:
    assert e1_6(inputs(*STATEMENTS), PROFILE) == e1_6(inputs(), PROFILE)
    assert removal_faults(e1_7(inputs(*STATEMENTS), PROFILE), PROFILE) == ()


def test_a_share_of_the_credits_above_all_of_them_is_a_fault() -> None:
    above = e1_7(inputs(*STATEMENTS, given("credits_adjusted", "41")), PROFILE)
    (fault,) = removal_faults(above, PROFILE)
    assert "102.5" in fault
    made = e1_7(inputs(*STATEMENTS), PROFILE)
    cell_id = "E1-7/share/standard/A/current"
    changed = replace(made.cells[cell_id], value=Decimal(70))
    broken = replace(made, cells={**made.cells, cell_id: changed})
    (fault,) = removal_faults(broken, PROFILE)
    assert "the standards are 95" in fault


def test_the_report_has_all_sections_and_comes_back_from_its_text() -> None:
    report = esrs_e1(inputs(*STATEMENTS, revenues={2025: REVENUE}))
    assert [section.tables[0].table_id for section in report.sections] == ["E1-5", "E1-6", "E1-7"]
    assert report_from_json(report_to_json(report)) == report
    driven = row(1, "1", activity_type="vehicle_distance:van", unit="km", quantity=Decimal(3))
    flagged = esrs_e1(inputs(cubes={2025: (*YEAR, driven)}))
    assert report_from_json(report_to_json(flagged)) == flagged
    assert flagged.sections[0].flags


def test_every_tagged_figure_is_a_fact_of_its_own_year() -> None:
    told = inputs(
        *STATEMENTS,
        given("energy_production_renewable", "7"),
        given("energy_production_renewable", "5", year=2024),
        given("high_climate_impact_energy", "8"),
        revenues={2025: REVENUE},
    )
    facts = json.loads(report_to_xbrl_json(esrs_e1(told)))["facts"].values()
    found = {
        (one["dimensions"]["concept"].removeprefix("esrs:"), one["dimensions"]["period"][:4]): one
        for one in facts
    }
    produced = {
        year: found["RenewableEnergyProduction", year]["value"] for year in ("2024", "2025")
    }
    assert produced == {"2024": "5", "2025": "7"}
    stored = {year: found["GHGRemovalsAndStorage", year]["value"] for year in ("2024", "2025")}
    assert stored == {"2024": "8", "2025": "14"}
    assert found["EnergyConsumptionFromNuclearSources", "2025"]["value"] == "1.5"
    assert Decimal(found[PER_REVENUE, "2025"]["value"]) == Decimal("0.04")
