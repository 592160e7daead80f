"""Tables of a report from sums of entries: every cell says what it was made of, and adds up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.reporting.cube import SCOPE_3, Selection, category, selected, total_of
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.esrs_e1_6 import e1_6
from carbon_ledger.reporting.esrs_profile import profile_of, tag
from carbon_ledger.reporting.inputs import Revenue, SitePlace
from carbon_ledger.reporting.report_xbrl import facts_of
from carbon_ledger.reporting.stated import Stated
from carbon_ledger.reporting.tables import Maker, Section
from tests.support.report_examples import EVIDENCE, YEAR, inputs, row

ONE = Decimal(1)


def section(profile: str = "esrs_2023", **given: Any) -> Section:
    return e1_6(inputs(**given), profile_of(profile))


def value(made: Section, table: str, row_id: str, column: str = "current") -> Any:
    (found,) = [one for one in made.tables if one.table_id == table]
    return found.cell(row_id, column).value


def test_a_selection_takes_what_is_in_each_of_its_lists_and_nothing_else() -> None:
    asked = Selection(scopes=(2,), countries=("FR",), activity_prefixes=("electricity:",))
    assert [one.kgco2e for one in selected(YEAR, asked)] == [Decimal(500)]
    assert total_of(selected(YEAR, SCOPE_3)) == Decimal(3140)  # without the market-based 70
    assert total_of(selected(YEAR, category(3))) == Decimal(100)
    assert asked.as_text() == {
        "scopes": ["2"],
        "countries": ["FR"],
        "activity_prefixes": ["electricity:"],
    }


def test_a_selection_asks_for_potentials_and_gases_and_weighs_one_gas_alone() -> None:
    rows = (
        row(1, "7", gas_split="available", other_gases=(("HFC-32", Decimal(3)), ("SF6", ONE))),
        row(1, "5", gas_split="available", gwp_set="AR5"),
    )
    cold = Selection(gas_splits=("available",), gwp_sets=("AR6",), other_gases=("HFC-32",))
    assert selected(rows, cold) == [rows[0]]
    assert not selected(rows, replace(cold, other_gases=("NF3",)))
    assert total_of(rows, "other_gases", cold.other_gases) == Decimal(3)
    cell = Maker(cubes={2025: rows}).of_entries("c", 2025, cold, measure="other_gases")
    assert cell.number == Decimal("0.003")


@pytest.mark.parametrize(
    ("row_id", "tonnes"),
    [
        ("scope_1", "1.0005"),
        ("scope_2_location", "2.5"),
        ("scope_2_market", "1.20025"),
        ("category_01", "3"),
        ("category_03", "0.1"),
        ("category_15", "0.04"),
        ("scope_3", "3.14"),
        ("total_location", "6.6405"),
        ("total_market", "5.34075"),
    ],
)
def test_gross_emissions_are_exact_sums_in_tonnes(row_id: str, tonnes: str) -> None:
    assert value(section(), "E1-6", row_id) == Decimal(tonnes)


def test_what_is_not_measured_is_empty_and_not_zero() -> None:
    made = section()
    assert value(made, "E1-6", "scope_2_location", "comparative") is None
    assert value(made, "E1-6", "total_location", "comparative") == Decimal("2.011")
    (table,) = [one for one in made.tables if one.table_id == "E1-6"]
    assert [one.row_id for one in table.rows if one.row_id.startswith("category")] == [
        "category_01",
        "category_02",
        "category_03",
        "category_15",
    ]


def test_evidence_alone_is_no_figure_and_beside_one_changes_nothing() -> None:
    """One order of a machine, one bill of a journey, one of fuel and a leg that was not driven:
    scope 1 and their categories were 0.000, "calculated from the ledger".
    """
    report = esrs_e1(inputs(cubes={2025: EVIDENCE}))
    figures = [one for one in report.cells().values() if isinstance(one.value, Decimal)]
    assert figures == []
    table = report.table("E1-6")
    assert [one.row_id for one in table.rows if one.row_id.startswith("category")] == []
    for number in (2, 4, 6):
        screened = report.table("E1-6-screening").cell(f"category_{number:02}", "status")
        assert screened.value == "no entries, no reason stated"
    assert report.table("E1-6-countries").rows == ()
    assert facts_of(report, "urn:x:org") == []
    assert section(cubes={2025: (*YEAR, *EVIDENCE)}) == section(cubes={2025: YEAR})


def test_the_year_is_compared_in_percent_of_the_year_before() -> None:
    assert value(section(), "E1-6", "scope_1", "change_pct") == Decimal("50.000000000000")


def test_a_category_left_out_is_in_no_total_and_is_screened_with_its_reason() -> None:
    reason = Stated(
        subject="category_excluded",
        fiscal_year=2025,
        key="15",
        text="one stake below 1 %",
        source="materiality assessment",
    )
    made = section(statements=(reason,))
    assert value(made, "E1-6", "scope_3") == Decimal("3.1")
    assert value(made, "E1-6-screening", "category_15", "reason") == "one stake below 1 %"
    assert value(made, "E1-6-screening", "category_15", "status") == "excluded"
    assert value(made, "E1-6-screening", "category_15", "figure") == Decimal("0.04")
    assert value(made, "E1-6-screening", "category_07", "status") == "no entries, no reason stated"
    (screening,) = [one for one in made.tables if one.table_id == "E1-6-screening"]
    assert [one.heading for one in screening.columns][-2:] == ["Status", "Reason"]


def test_base_year_and_targets_are_columns_of_their_own() -> None:
    target = Stated(
        subject="target_pct", fiscal_year=2025, key="2030", value=Decimal(42), source="plan"
    )
    made = section(base_year=2020, statements=(target,), cubes={2025: YEAR, 2020: YEAR[:2]})
    assert value(made, "E1-6", "scope_1", "base_year") == Decimal("1.0005")
    assert value(made, "E1-6", "scope_1", "target_2030") == Decimal("0.58029")
    (table,) = [one for one in made.tables if one.table_id == "E1-6"]
    members = {one.member for one in table.cell("scope_1", "target_2030").dimensions}
    assert members == {"MilestonesAndTargetYearsMember"}
    assert value(made, "E1-6", "scope_2_market", "target_2030") is None


def test_the_annual_target_is_the_reduction_of_the_nearest_target_by_years() -> None:
    targets = tuple(
        Stated(subject="target_pct", fiscal_year=2025, key=key, value=Decimal(pct), source="plan")
        for key, pct in (("2050", "95"), ("2030", "42"))
    )
    cubes = {2025: YEAR, 2020: YEAR}
    made = section(base_year=2020, statements=targets, cubes=cubes)
    assert value(made, "E1-6", "scope_1", "annual_target_pct") == Decimal("4.2")
    (table,) = [one for one in made.tables if one.table_id == "E1-6"]
    assert "annual_target_pct" not in table.rows[1].cells  # the share under emission trading
    assert made.cells["E1-6/annual_target_pct/years"].value == Decimal(10)
    bare = section(base_year=2020, cubes=cubes)
    (table,) = [one for one in bare.tables if one.table_id == "E1-6"]
    assert "annual_target_pct" not in [one.column_id for one in table.columns]


def test_scopes_1_and_2_are_split_by_how_the_group_accounts_for_an_entity() -> None:
    def place(facility: str, kind: str) -> SitePlace:
        return SitePlace(facility_id=facility, entity_id=facility, entity_kind=kind)

    cube = (
        row(1, "1000", facility_id="plant"),
        row(1, "200", facility_id="venture"),
        row(2, "30", facility_id="subsidiary"),
        row(2, "4", facility_id="nobody-knows"),
        row(3, "9999", 1, facility_id="plant"),
    )
    sites = {
        "plant": place("plant", "parent"),
        "subsidiary": place("subsidiary", "subsidiary"),
        "venture": place("venture", "joint_venture"),
    }
    made = section(cubes={2025: cube}, sites=sites)
    (table,) = [one for one in made.tables if one.table_id == "E1-6-groups"]
    found = {
        one.row_id: {name: cell.value for name, cell in one.cells.items() if cell.value is not None}
        for one in table.rows
    }
    assert found == {
        "accounting_group": {"scope_1": ONE, "scope_2_location": Decimal("0.03")},
        "other_entities": {"scope_1": Decimal("0.2")},
        "not registered": {"scope_2_location": Decimal("0.004")},
    }
    # Together they are the gross figures.
    whole = value(made, "E1-6", "scope_1")
    assert sum(one.get("scope_1", 0) for one in found.values()) == whole


def test_the_revenue_of_the_intensity_is_reconciled_with_that_of_the_statements() -> None:
    revenue = Revenue(fiscal_year=2025, amount=Decimal(400), currency="EUR", source="accounts")
    made = section(revenues={2025: revenue})
    figures = [value(made, "E1-6-intensity", row_id, "value") for row_id in REVENUE]
    assert figures == [Decimal(400), Decimal(0), Decimal(400)]
    concepts = [made.cells[f"E1-6/intensity/{row_id}"].concept for row_id in REVENUE]
    assert concepts == [
        "NetRevenueUsedToCalculateGHGIntensity",
        "NetRevenueOtherThanUsedToCalculateGHGIntensity",
        "Revenue",
    ]


REVENUE = ("revenue", "revenue_other", "revenue_total")


def test_share_under_emission_trading_is_of_the_same_year() -> None:
    stated = [
        Stated(
            subject="scope_1_regulated",
            fiscal_year=2025,
            key=system,
            value=Decimal(tonnes),
            source="verified report",
        )
        for system, tonnes in (("EU", "0.2"), ("CH", "0.05"))
    ]
    made = section(statements=stated)
    assert value(made, "E1-6", "scope_1_regulated_pct") == Decimal("24.987506246877")
    assert value(made, "E1-6", "scope_1_regulated_pct", "comparative") is None


def test_beside_the_table_stand_biogenic_carbon_and_the_share_of_primary_data() -> None:
    made = section()
    assert value(made, "E1-6-beside", "biogenic_scope_1", "value") == Decimal("0.02")
    assert value(made, "E1-6-beside", "primary_share", "value") == Decimal("23.885350318471")
    assert value(made, "E1-6-countries", "FR", "scope_2_location") == Decimal("0.5")


def test_intensity_is_the_total_per_net_revenue_and_says_where_revenue_is_from() -> None:
    revenue = Revenue(fiscal_year=2025, amount=Decimal(2), currency="EUR", source="accounts")
    made = section(revenues={2025: revenue})
    assert value(made, "E1-6-intensity", "location", "value") == Decimal("3.320250000000")
    assert value(section(), "E1-6-intensity", "location", "value") is None
    assert [one.table_id for one in section("esrs_2026").tables][:2] == ["E1-8", "E1-8-screening"]
    assert "E1-8-intensity" not in [one.table_id for one in section("esrs_2026").tables]


def test_every_cell_leads_to_cells_or_entries_that_are_there() -> None:
    made = section(base_year=2024)
    for cell in made.cells.values():
        assert set(cell.inputs) <= made.cells.keys()
        if cell.operation == "entries":
            assert cell.selection is not None
            rows = selected(inputs().cubes[cell.year or 0], cell.selection)
            assert total_of(rows, cell.measure) * cell.scale == cell.value
        if cell.operation == "sum":
            assert sum(made.cells[one].number for one in cell.inputs) * cell.scale == cell.value


@pytest.mark.parametrize(
    "asked",
    [
        Selection(),
        SCOPE_3,
        category(3),
        Selection(countries=("FR", "DE", "FR"), scopes=(2,)),
        Selection(facilities=("plant-1",), bases=("market",)),
        Selection(facilities=("elsewhere",)),
        Selection(activity_types=("electricity:grid",), factor_ids=("f",)),
        Selection(activity_prefixes=("electricity:",)),
    ],
)
def test_a_maker_finds_the_rows_that_a_selection_covers_each_once(asked: Selection) -> None:
    maker = Maker(cubes={2025: YEAR})
    found = maker.rows_of(2025, asked)
    assert sorted(map(repr, found)) == sorted(map(repr, selected(YEAR, asked)))
    assert maker.rows_of(2024, asked) == []


def test_a_cell_has_one_name_and_a_concept_is_of_the_taxonomy() -> None:
    maker = Maker(cubes={})
    maker.text("a", "x")
    with pytest.raises(BrokenInvariant, match="two cells are called a"):
        maker.text("a", "y")
    with pytest.raises(KeyError):
        tag(profile_of("esrs_2023"), "TotalGHGEmissions")
    with pytest.raises(ConfigurationError, match="valid are esrs_2023, esrs_2026"):
        profile_of("esrs_2030")
    assert replace(inputs(), fiscal_year=2030).comparative == 2029


def test_a_total_without_its_scope_2_is_empty_and_says_why() -> None:
    rows = tuple(one for one in YEAR if one.basis != "market")
    made = section(cubes={2025: rows})
    assert value(made, "E1-6", "total_location") == Decimal("6.6405")
    assert value(made, "E1-6", "total_market") is None
    assert made.cells["E1-6/total_market/current"].note == (
        "scope 2 has no market-based figure of the year"
    )
    assert value(made, "E1-6-intensity", "market", "value") is None


def test_countries_add_up_to_what_is_reported_without_what_is_left_out() -> None:
    reason = Stated(
        subject="category_excluded", fiscal_year=2025, key="15", text="small", source="screening"
    )
    made = section(statements=(reason,))
    countries = value(made, "E1-6-countries", "DE", "scope_3")
    assert countries == value(made, "E1-6", "scope_3") == Decimal("3.1")
