"""Module 7 of CDP's questionnaire: its shape, and that every breakdown is of the whole."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.organisation.categories import CATEGORIES, METHOD_RANKS
from carbon_ledger.reference.records import ENTITY_KINDS
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.cdp_answers import Answers
from carbon_ledger.reporting.cdp_breakdowns import activity_of, gas_row
from carbon_ledger.reporting.cdp_emissions import METHODOLOGY
from carbon_ledger.reporting.cdp_export import question_csv, question_rows
from carbon_ledger.reporting.cdp_profile import (
    CDP_PROFILE,
    cdp_profile,
    cell_id,
    not_in_lists,
    table_id,
    table_of,
)
from carbon_ledger.reporting.cdp_questions import OTHER
from carbon_ledger.reporting.cube import NOT_MEASURED, selected, total_of
from carbon_ledger.reporting.esrs_e1_6_groups import ACCOUNTING_GROUP
from carbon_ledger.reporting.report_json import report_from_json, report_to_json
from carbon_ledger.reporting.tables import Report, Row, Table
from carbon_ledger.reporting.tie_outs import cdp_faults
from tests.support.cdp_examples import BEFORE, YEAR, burnt, cdp_inputs, energy_inputs, stated
from tests.support.report_documents import with_cell
from tests.support.report_examples import EVIDENCE, inputs, row

PROFILE = cdp_profile(CDP_PROFILE)
QUESTIONS = PROFILE.questions
LISTS = PROFILE.lists
NUMBER = re.compile(r"7(?:\.[0-9]+)+")


def figures(question: str, column: str, **given: Any) -> dict[str, Any]:
    """The values of a column by row."""
    table = cdp(cdp_inputs(**given)).table(table_id(question))
    return {one.row_id: one.cells[column].value for one in table.rows if column in one.cells}


def D(text: str) -> Decimal:
    return Decimal(text)


def test_questions_are_in_order_and_tables_have_their_columns_in_order() -> None:
    made = cdp(cdp_inputs())
    asked = [one for one in QUESTIONS.values() if not one.not_asked]
    assert [one.table_id for one in made.tables] == [table_id(one.number) for one in asked]
    for question, table in zip(asked, made.tables, strict=True):
        assert [one.heading for one in table.columns] == [one.heading for one in question.columns]
        assert question.number in table.citation
        for line in table.rows:
            assert list(line.cells) == [
                one.column_id for one in question.columns if one.column_id in line.cells
            ]
    assert made.flags == ("cdp_lists_not_checked",)
    numbers = [tuple(map(int, one.split("."))) for one in QUESTIONS]
    assert numbers == sorted(numbers)
    with pytest.raises(ConfigurationError, match="valid are cdp_2025"):
        cdp_profile("cdp_1999")


def test_gross_figures_are_of_both_years_with_their_last_days() -> None:
    assert figures("7.6", "scope_1") == {"reporting_year": D("27.9614"), "past_year_1": D(30)}
    assert figures("7.7", "scope_2_market")["reporting_year"] == D("1.85025")
    assert figures("7.7", "end_date")["past_year_1"] == "2024-12-31"
    assert figures("7.6", "details")["reporting_year"] == "measured at every stack"
    assert "operational control" in figures("7.6", "details")["past_year_1"]
    assert "past_year_1" not in figures("7.6", "scope_1", cubes={2025: YEAR})


def test_base_year_is_its_own_year_and_empty_without_one() -> None:
    found = figures("7.5", "emissions")
    assert (found["scope_1"], found["category_01"], found["category_09"]) == (D(30), D(60), None)
    assert figures("7.5", "base_year_end")["scope_1"] == "2024-12-31"
    assert set(figures("7.5", "emissions", base_year=None).values()) == {None}


@pytest.mark.parametrize(
    ("number", "status", "tonnes", "methods", "share"),
    [
        (
            1,
            "Relevant, calculated",
            "50",
            "Supplier-specific method; Spend-based method; Other, please specify: measured",
            "37.200000000000",
        ),
        (3, "Relevant, calculated", "0.1", "Average data method", "0"),
        (7, "Relevant, not yet calculated", None, None, None),
        (10, "Not relevant, explanation provided", None, None, None),
        (14, "Not relevant, calculated", "0.04", "Franchise-specific method", "0"),
        (2, "Not evaluated", None, None, None),
    ],
)
def test_a_category_has_its_status_figure_methods_and_share_of_suppliers_data(
    number: int, status: str, tonnes: str | None, methods: str | None, share: str | None
) -> None:
    line = f"category_{number:02}"
    assert figures("7.8", "status")[line] == status
    assert figures("7.8", "emissions")[line] == (None if tonnes is None else D(tonnes))
    assert figures("7.8", "methodology").get(line) == methods
    found = figures("7.8", "supplier_pct").get(line)
    assert found == (None if share is None else D(share))


def test_methods_name_the_potentials_of_the_year_that_the_figure_is_of() -> None:
    """2024 was made with AR5, before the inventory went over to AR6."""
    before = (burnt("90", "80", "0.4", "0", gwp_set="AR5"), *BEFORE[1:])
    given = {"cubes": {2025: YEAR, 2024: before}, "statements": ()}
    words = "potentials over 100 years: "
    assert f"{words}AR5" in figures("7.5", "details", **given)["scope_1"]
    shown = figures("7.6", "details", **given)
    assert f"{words}AR6" in shown["reporting_year"]
    assert f"{words}AR5" in shown["past_year_1"]


def test_evidence_alone_is_no_answer() -> None:
    """An order and bills routed elsewhere were "Relevant, calculated", of 0 t by a method
    called "evidence"; scope 1 was 0 of "evidence/routed_to_fuel" in no registered country.
    """
    made = cdp(inputs(cubes={2025: EVIDENCE}))
    assert [one for one in made.cells().values() if isinstance(one.value, Decimal)] == []
    categories = [one for one in made.table("CDP-7.8").rows if one.row_id.startswith("category")]
    assert {one.cells["status"].value for one in categories} == {"Not evaluated"}
    for question in ("7.15.1", "7.16", "7.17.2", "7.17.3"):
        assert made.table(table_id(question)).rows == ()
    assert "evidence" not in report_to_json(cdp(inputs(cubes={2025: (*YEAR, *EVIDENCE)}))).replace(
        json.dumps([*NOT_MEASURED])[1:-1].replace(" ", ""), ""
    )


def test_past_years_of_scope_3_are_one_row_of_fifteen_categories() -> None:
    (line,) = cdp(cdp_inputs()).table("CDP-7.8.1").rows
    assert [line.cells[f"category_{one:02}"].value for one in CATEGORIES][:3] == [
        D(60),
        D("0.007"),
        D("0.1"),
    ]
    assert not cdp(cdp_inputs(cubes={2025: YEAR})).table("CDP-7.8.1").rows


def test_assurance_is_what_is_stated_scope_by_scope() -> None:
    in_place = "Third-party verification or assurance process in place"
    assert set(figures("7.9", "status").values()) == {in_place}
    assert set(figures("7.9", "status", statements=()).values()) == {
        "No third-party verification or assurance"
    }
    only_3 = figures("7.9", "status", cubes={2025: (row(3, "1", 1),)}, statements=())
    assert only_3["scope_1"] == "No emissions data provided"
    assert figures("7.9.1", "verified_pct") == {"scope_1": D(100)}
    assert figures("7.9.1", "cycle") == {"scope_1": None}
    assert figures("7.9.2", "approach") == {"scope_2_market": "Scope 2 market-based"}
    assert figures("7.9.2", "statement") == {"scope_2_market": "ISAE 3410, limited, statement 7"}
    assert figures("7.9.3", "cycle") == {"category_01": "Annual process"}


def test_changes_have_a_direction_and_the_rest_is_unidentified() -> None:
    assert figures("7.10", "comparison") == {"answer": "Decreased"}
    assert figures("7.10.1", "change") == {
        "Change in output": D("1500.5"),
        "new site": D(20),
        "Unidentified": D("1478.9614"),
    }
    assert list(figures("7.10.1", "direction").values()) == ["Decreased", "Increased", "Increased"]
    assert figures("7.10.1", "calculation")["Change in output"].startswith(
        "one line stood still: 1500.5 tCO2e / 32.5 tCO2e of 2024 x 100 = "
    )
    market = stated("scope_2_figure", text="market")
    assert figures("7.10.2", "figure", statements=(market,)) == {"answer": "Market-based"}
    # 27.9614 + 1.85025 - 30 - 1.5
    assert figures("7.10.1", "change", statements=(market,)) == {"Unidentified": D("1.68835")}


def test_the_share_of_a_change_is_of_the_year_before() -> None:
    # Previous 1,000 t, change of renewable energy -60 t: 6.0 % decreased.
    change = stated("emissions_change", "Change in renewable energy consumption", "-60")
    given = {
        "statements": (change,),
        "cubes": {2025: (row(1, "940000"),), 2024: (row(1, "1000000"),)},
    }
    assert figures("7.10.1", "percentage", **given) == {
        "Change in renewable energy consumption": D("6.000000000000"),
        "Unidentified": D(0),
    }
    assert figures("7.10.1", "direction", **given)["Unidentified"] == "No change"


def test_the_first_year_has_nothing_to_compare_with() -> None:
    given: dict[str, Any] = {"cubes": {2025: YEAR}}
    assert figures("7.10", "comparison", **given) == {"answer": "First year of reporting"}
    assert figures("7.11", "comparison", **given) == {"answer": "First year of reporting"}
    assert figures("7.10.1", "change", **given) == figures("7.11.1", "change", **given) == {}


def test_a_scope_that_only_one_year_has_is_said_beside_the_change() -> None:
    made = cdp(cdp_inputs(cubes={2025: YEAR, 2024: (row(1, "5"),)}))
    assert made.table("CDP-7.10.1").notes == ("2024 has no entries of scope 2 location",)


def test_categories_are_compared_where_both_years_have_a_figure() -> None:
    assert figures("7.11.1", "change") == {"category_01": D(10), "category_03": D(0)}
    assert figures("7.11.1", "direction") == {
        "category_01": "Decreased",
        "category_03": "No change",
    }
    assert figures("7.11.1", "reason")["category_01"] == "Change in output"


def test_biogenic_carbon_stands_outside_the_scopes() -> None:
    assert figures("7.12.1", "emissions") == {"biogenic": D("0.04")}
    assert figures("7.12", "relevant", cubes={2025: BEFORE}) == {"answer": "No"}


def test_gases_are_weighed_with_the_inventorys_potentials_and_the_rest_is_a_row() -> None:
    assert figures("7.15.1", "scope_1") == {
        "CO2": D("1.6"),
        "CH4": D("0.3069"),
        "N2O": D("0.546"),
        "HFCs": D("0.153"),
        "SF6": D("24.696"),
        # Diesel of another set 0.5, and CF4, which the table does not know: 0.1595.
        "not_apart": D("0.6595"),
    }
    without = figures("7.15.1", "scope_1", gwp=None)
    assert set(without) == {"CO2", "not_apart"}
    assert sum(without.values()) == D("27.9614")
    assert figures("7.15", "answer", cubes={2025: BEFORE}) == {"answer": "No"}
    assert figures("7.15.1", "scope_1", cubes={2025: (row(2, "1"),)}) == {}


@pytest.mark.parametrize(
    ("gas", "line"),
    [
        ("CO2_land_use", "CO2"),
        ("CH4_fossil", "CH4"),
        ("HFC-134a", "HFCs"),
        ("HFC227ea", "HFCs"),
        ("R-410A", "HFCs"),
        ("R507", "HFCs"),
        ("PFC-14", "PFCs"),
        ("CF4", "PFCs"),
        ("cC4F8", "PFCs"),
        ("C2F6", "PFCs"),
        ("SF6", "SF6"),
        ("HFE-125", OTHER),
    ],
)
def test_a_gas_is_in_one_row(gas: str, line: str) -> None:
    assert gas_row(gas) == line


def test_a_gas_outside_the_list_is_named() -> None:
    gases = (("HFE-125", D("0.1")),)
    cube = (row(1, "1430", gas_split="available", other_gases=gases),)
    table = cdp(cdp_inputs(cubes={2025: cube})).table("CDP-7.15.1")
    assert [(one.label, one.cells["scope_1"].value) for one in table.rows] == [
        ("Other, please specify: HFE-125", D("1.43"))
    ]


@pytest.mark.parametrize(
    ("kg", "label"),
    [
        ("1825.00000004", "rounding of the gases"),
        ("1824.99999996", "rounding of the gases"),
        ("1826", "not given apart by the factor"),
    ],
)
def test_a_remainder_of_rounding_is_called_so(kg: str, label: str) -> None:
    table = cdp(cdp_inputs(cubes={2025: (burnt(kg, "1000", "10", "2"),)})).table("CDP-7.15.1")
    assert table.rows[-1].label == f"Other, please specify: {label}"
    assert sum(one.cells["scope_1"].number for one in table.rows) == D(kg) / 1000


def test_breakdowns_show_what_is_not_registered_as_a_row_of_its_own() -> None:
    assert figures("7.16", "scope_2_location") == {"DE": D("2.3"), "FR": None, "ZZ": D("0.7")}
    assert figures("7.17.1", "scope_1") == {"Steel": D("27.4614"), "not registered": D("0.5")}
    assert figures("7.17.2", "latitude") == {"plant-1": D("51.5"), "plant-2": None}
    assert figures("7.17.3", "scope_1") == {
        "Stationary combustion": D("2.4529"),
        "Mobile combustion": D("0.5"),
        "Fugitive emissions": D("25.0085"),
    }
    assert figures("7.20.2", "scope_2_location") == {
        "plant-1": D(2),
        "venture": D("0.7"),
        "not registered": D("0.3"),
    }
    assert figures("7.22", "scope_1") == {
        "accounting_group": D("27.4614"),
        "other_entities": None,
        "not registered": D("0.5"),
    }
    assert figures("7.22", "explanation") == {
        "accounting_group": "Head plc, North Ltd",
        "other_entities": "jv",
        "not registered": "sites without a registered entity",
    }
    assert figures("7.23.1", "identifiers") == {
        "head": None,
        "jv": None,
        "north": "LEI 5299000J2N45DDNE4Y28",
    }
    labels = [one.label for one in cdp(cdp_inputs()).table("CDP-7.23.1").rows]
    assert labels == ["Head plc", "jv", "North Ltd", "Not registered"]
    assert figures("7.17", "answer", sites={}) == {"answer": "By facility; By activity"}
    assert figures("7.23", "answer", sites={}) == {"answer": "No"}


def test_a_division_called_not_registered_is_no_second_row() -> None:
    sites = {
        name: replace(site, division="not registered") for name, site in cdp_inputs().sites.items()
    }
    assert figures("7.17.1", "scope_1", sites=sites) == {"not registered": D("27.9614")}


def test_an_unknown_activity_type_is_an_activity_of_its_own() -> None:
    assert activity_of("steam") == "Purchased steam"
    assert activity_of("tidal") == "tidal"


def test_intensities_are_per_revenue_first_and_compared_in_one_unit_only() -> None:
    assert figures("7.45", "intensity") == {
        "metric_1_location": D("0.000007740350"),
        "metric_1_market": D("0.000007452912"),
        "metric_2_location": D("0.061922800000"),
        "metric_2_market": D("0.059623300000"),
    }
    assert figures("7.45", "direction") == {
        "metric_1_location": "Decreased",
        "metric_1_market": "Decreased",
    }
    table = cdp(cdp_inputs()).table("CDP-7.45")
    assert table.cell("metric_1_location", "intensity").unit == "tCO2e/EUR"
    assert table.cell("metric_2_location", "denominator").unit == "washing machines"
    revenues = cdp_inputs().revenues
    other = {2025: revenues[2025], 2024: replace(revenues[2024], currency="USD")}
    assert "metric_1_market" not in figures("7.45", "direction", revenues=other)
    assert not cdp(cdp_inputs(revenues={}, statements=())).table("CDP-7.45").rows


def test_scope_1_alone_is_no_figure_of_scopes_1_and_2() -> None:
    """Where scope 2 has a figure by the other method alone; E1-6 leaves such a total empty too."""
    cubes = {
        2025: (row(1, "100"), row(2, "50")),
        2024: (row(1, "90"), row(2, "50"), row(2, "40", basis="market")),
    }
    made = cdp(cdp_inputs(cubes=cubes))
    table = made.table("CDP-7.45")
    assert table.cell("metric_1_market", "numerator").value is None
    assert "market" in str(table.cell("metric_1_market", "numerator").note)
    assert table.cell("metric_1_market", "intensity").value is None
    assert table.cell("metric_1_location", "numerator").value == D("0.15")
    assert "metric_1_market" not in {one.row_id for one in table.rows if "direction" in one.cells}
    assert [one for one in cdp_faults(made) if one.question == "7.45"] == []
    # Nor are the years compared by it, and the first year it is not.
    market = cdp(cdp_inputs(cubes=cubes, statements=(stated("scope_2_figure", "market"),)))
    answer = market.table("CDP-7.10").cell("answer", "comparison")
    assert answer.value is None
    assert "market" in str(answer.note)
    assert not market.table("CDP-7.10.1").rows
    # What is too little is seen in a report, whoever made it.
    wrong = with_cell(made, "CDP-7.45/scopes_1_and_2_market/2025", value=D("0.1"))
    assert [one.question for one in cdp_faults(wrong)] == ["7.45", "7.45"]


def test_data_of_partners_count_whole_and_never_below_their_primary_share() -> None:
    """A registered figure of a supplier, a carrier's measured fuel; averages of the same category
    do not (Scope 3 Standard, 11.1).
    """
    rows = (
        row(3, "30000", 1, basis="stated", method="supplier-specific", primary_kgco2e=D("30000")),
        row(3, "10000", 1, basis="supplier", method="hybrid", primary_kgco2e=D("2500")),
        row(3, "60000", 1, basis="cradle_to_gate", method="spend-based"),
        row(3, "400", 4, basis="wtw", method="fuel-based", primary_kgco2e=D("400")),
        row(3, "100", 4, basis="wtw", method="distance-based"),
        row(3, "50", 4, basis="market", method="fuel-based", primary_kgco2e=D("50")),
        row(3, "70", 6, basis="wtw", method="distance-based"),
    )
    found = figures("7.8", "supplier_pct", cubes={2025: rows})
    assert {name: found[name] for name in ("category_01", "category_04", "category_06")} == {
        "category_01": D("40"),
        "category_04": D("80"),
        "category_06": D("0"),
    }


def test_every_cell_leads_to_cells_or_entries_that_are_there() -> None:
    made = cdp(cdp_inputs())
    cells = made.cells()
    for cell in cells.values():
        assert set(cell.inputs) <= cells.keys()
        if cell.operation == "entries":
            assert cell.selection is not None
            rows = selected(cdp_inputs().cubes[cell.year or 0], cell.selection)
            total = total_of(rows, cell.measure, cell.selection.other_gases)
            assert total * cell.scale == cell.value
        if cell.operation == "sum":
            assert sum(cells[one].number for one in cell.inputs) == cell.value
        if cell.operation == "difference":
            left, right = (cells[one].number for one in cell.inputs)
            assert left - right == cell.value
    assert report_from_json(report_to_json(made)) == made


def test_a_cell_of_an_answer_is_called_by_its_question_row_and_column() -> None:
    """So that a link to its lineage says where it stands; figures may stand in several places."""
    for made in (cdp(cdp_inputs()), cdp(energy_inputs())):
        numbers = {table_id(number) for number in QUESTIONS}
        assert {name.split("/")[0] for name in made.cells()} <= numbers
        for number in [one.number for one in QUESTIONS.values() if not one.not_asked]:
            for line in made.table(table_id(number)).rows:
                for column, cell in line.cells.items():
                    if cell.operation not in ("sum", "entries"):
                        assert cell.cell_id == cell_id(number, line.row_id, column)


def test_every_text_of_a_list_is_in_it_and_one_that_is_not_is_found() -> None:
    assert not_in_lists(PROFILE, cdp(cdp_inputs()).tables) == []
    wrong = stated("verification_type", "scope_1", text="Some assurance")
    (found,) = not_in_lists(PROFILE, cdp(cdp_inputs(statements=(wrong,))).tables)
    assert (found.cell_id, found.text) == ("CDP-7.9.1/scope_1/type", "Some assurance")
    assert "Limited assurance" in found.valid
    table = cdp(cdp_inputs()).table("CDP-7.15.1")
    renamed = replace(table, rows=(replace(table.rows[0], label="Soot"),))
    assert [one.text for one in not_in_lists(PROFILE, (renamed,))] == ["Soot"]


def test_words_of_the_ledger_have_words_of_the_questionnaire() -> None:
    assert set(METHOD_RANKS) <= set(METHODOLOGY)
    assert set(METHODOLOGY.values()) <= set(LISTS["methodology"])
    assert set(ACCOUNTING_GROUP) <= set(ENTITY_KINDS)
    asked = [one for one in QUESTIONS.values() if not one.not_asked]
    used = {one.choices for question in asked for one in question.columns}
    assert (used | {one.row_choices for one in asked}) - {""} == set(LISTS)


def test_a_table_takes_no_column_that_the_question_does_not_have() -> None:
    answers = Answers(inputs=cdp_inputs(), profile=PROFILE)
    cell = answers.text("7.6", "r", "remark", "x")
    with pytest.raises(BrokenInvariant, match=r"question 7\.6 has no column remark"):
        table_of(PROFILE, "7.6", [Row(row_id="r", label="r", cells={"remark": cell})])


def exported(report: Report, question: str) -> list[list[str]]:
    return question_rows(PROFILE, report.table(table_id(question)))


def test_an_answer_is_exported_in_the_shape_of_the_questionnaire() -> None:
    made = cdp(cdp_inputs())
    assert exported(made, "7.16") == [
        [
            "Country/area",
            "Scope 1 emissions (metric tons CO2e)",
            "Scope 2, location-based emissions (metric tons CO2e)",
            "Scope 2, market-based emissions (metric tons CO2e)",
        ],
        ["Germany", "2.478", "2.3", "1.85025"],
        ["France", "25.4834", "", ""],
        ["Country not registered", "", "0.7", ""],
    ]
    for table in made.tables:
        text = question_csv(PROFILE, table)
        assert list(csv.reader(io.StringIO(text))) == question_rows(PROFILE, table)
    with pytest.raises(KeyError):
        question_rows(PROFILE, Table(table_id="E1-6", title="", columns=(), rows=()))


def test_a_text_that_a_spreadsheet_would_calculate_is_exported_as_text() -> None:
    words = stated("explanation", "7.6/reporting_year", text='=HYPERLINK("//evil")')
    rows = exported(cdp(cdp_inputs(statements=(words,))), "7.6")
    assert rows[1][-1] == '\'=HYPERLINK("//evil")'


def test_the_documentation_names_every_question_once() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    table = text.partition("| question | made of |")[2].partition("\n\n")[0]
    firsts = [line.split("|")[1] for line in table.splitlines() if line.startswith("| 7")]
    named = [number for first in firsts for number in NUMBER.findall(first)]
    assert sorted(named) == sorted(QUESTIONS)
