"""What a report says in words follows from what it was made of."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.policy import Policy
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.esrs_e1_7 import SHARES
from carbon_ledger.reporting.inputs import Reported, ReportInputs, SitePlace
from carbon_ledger.reporting.restatements import Restatement, restatements_of
from carbon_ledger.reporting.stated import SUBJECTS, Stated
from carbon_ledger.reporting.tables import Report
from tests.support.cdp_examples import ENERGY_YEAR, cdp_inputs, energy_inputs
from tests.support.report_examples import YEAR, inputs, reported, row

SCOPE_1_OF_2024 = reported(2024, "E1-6/scope_1/current", "1.9")


def said(heading: str, **given: Any) -> str:
    report = esrs_e1(inputs(**given))
    (found,) = [one.text for one in report.statements if one.heading == heading]
    return found


def explanation(key: str, text: str) -> Stated:
    return Stated(
        subject="explanation", fiscal_year=2025, key=key, text=text, source="policy paper"
    )


def restated(given: ReportInputs) -> tuple[Restatement, ...]:
    report = esrs_e1(given)
    cells = {name: cell for section in report.sections[:3] for name, cell in section.cells.items()}
    return restatements_of(given, cells, report.profile)


def restated_report(**given: Any) -> Report:
    return esrs_e1(inputs(previously_reported=(SCOPE_1_OF_2024,), **given))


def test_what_reports_ask_for_can_be_stated() -> None:
    asked = {one.subject for one in cdp_inputs().statements} | SHARES.keys()
    assert asked <= SUBJECTS.keys()


def test_every_report_makes_every_statement() -> None:
    assert [one.heading for one in esrs_e1(inputs(cubes={})).statements] == [
        *("Boundary", "Methods", "Factors", "Global warming potentials", "Substitutions"),
        *("Assumptions", "Exclusions", "Data quality", "Uncertainty", "Restatements"),
    ]
    assert all(one.text for one in esrs_e1(inputs(cubes={})).statements)


def test_the_boundary_names_approach_period_entities_and_what_is_not_registered() -> None:
    site = SitePlace(
        facility_id="plant-1", entity_id="DE-01", entity_name="Works", entity_kind="subsidiary"
    )
    rows = (*YEAR, row(1, "1", facility_id="plant-9"))
    text = said(
        "Boundary",
        cubes={2025: rows},
        sites={"plant-1": site},
        policy=Policy(consolidation="financial_control"),
    )
    assert "consolidated by financial control" in text
    assert "from 2025-01-01 to 2025-12-31" in text
    assert "Sites with entries: 2, in DE, FR." in text
    assert "Works (DE-01), subsidiary" in text
    assert "Not registered as sites: plant-9." in text


def test_methods_factors_and_potentials_are_told_with_their_shares() -> None:
    rows = (
        row(1, "3000", method="fuel-based", factor_releases=("2025.1",)),
        row(1, "1000", method="spend-based", gwp_set="AR5", factor_releases=("2025.2",)),
        row(1, "1000", factor_id="g", gas_split="given"),
    )
    cubes = {2025: rows}
    assert said("Methods", cubes=cubes).splitlines()[0] == (
        "Scope 1: fuel-based 3.000 tCO2e, 60.00 %; measured 1.000 tCO2e, 20.00 %; "
        "spend-based 1.000 tCO2e, 20.00 %."
    )
    assert said("Factors", cubes=cubes).startswith(
        "Versions of factors used: 2, of releases 2025.1, 2025.2."
    )
    potentials = said("Global warming potentials", cubes=cubes)
    assert "AR6 4.000 tCO2e, 80.00 %; AR5 1.000 tCO2e, 20.00 %" in potentials
    assert potentials.endswith("potentials stay: 4.000 tCO2e, 80.00 %.")


def test_substitutes_are_told_by_basis() -> None:
    rows = (row(2, "1000", substituted_kgco2e=Decimal(250)),)
    first, second = said("Substitutions", cubes={2025: rows}).splitlines()
    assert first.startswith("Scope 2, location-based: 0.250 tCO2e by a life-cycle factor")
    assert "25.00 %" in first
    assert "nothing to take a share of" in second


def test_exclusions_have_their_reasons_and_silence_is_told_as_such() -> None:
    reason = Stated(
        subject="category_excluded", fiscal_year=2025, key="15", text="one stake", source="paper"
    )
    text = said("Exclusions", statements=(reason,))
    assert "Category 15 is left out: one stake (stated: paper); its entries: 0.040 tCO2e." in text
    assert "categories 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14." in text


def test_primary_data_are_a_share_of_the_categories_that_are_reported() -> None:
    """What is left out with a reason is in neither part of the share, here as in E1-6."""
    reason = Stated(
        subject="category_excluded", fiscal_year=2025, key="15", text="one stake", source="paper"
    )
    given = inputs(
        cubes={2025: (row(3, "1000", 1, primary_kgco2e=Decimal(500)), row(3, "9000", 15))},
        statements=(reason,),
    )
    share = esrs_e1(given).table("E1-6-beside").cell("primary_share", "value").number
    assert share == 50
    for report in (esrs_e1(given), cdp(given)):
        (text,) = [one.text for one in report.statements if one.heading == "Data quality"]
        assert (
            "With primary data of partners: 50.00 % of scope 3 without what is left out "
            "(category 15)." in text
        )
    assert "10.00 % of scope 3." in said(
        "Data quality", cubes={2025: (row(3, "1000", 1, primary_kgco2e=Decimal(100)),)}
    )


def test_what_the_company_says_stands_below_with_its_source() -> None:
    stated = explanation("uncertainty", "We estimate 10 %.")
    text = said("Uncertainty", statements=(stated,))
    assert text.splitlines()[-1] == "We estimate 10 %. (stated: policy paper)"
    assert "We estimate" not in said("Methods", statements=(stated,))


def test_a_restated_figure_is_told_with_old_new_and_cause() -> None:
    causes = {SCOPE_1_OF_2024: "restatement R-1: a meter was exchanged"}
    report = restated_report(restatement_causes=causes)
    (text,) = [one.text for one in report.statements if one.heading == "Restatements"]
    assert text == (
        "E1-6/scope_1/current of 2024: reported 1.9, now 2.001 (+0.101) tCO2e; "
        "restatement R-1: a meter was exchanged."
    )
    table = report.table("Restatements")
    row_id = "E1-6/scope_1/comparative"
    assert [table.cell(row_id, one.column_id).value for one in table.columns] == [
        *(Decimal("1.9"), Decimal("2.001"), Decimal("0.101")),
        "restatement R-1: a meter was exchanged",
    ]
    cells = report.cells()
    for cell in table.cells():
        assert set(cell.inputs) <= cells.keys()


@pytest.mark.parametrize(
    ("statements", "cause"),
    [((), "cause not stated"), ((explanation("restated 2024", "late bills"),), "late bills")],
)
def test_a_cause_is_stated_or_missing_and_never_made_up(
    statements: tuple[Stated, ...], cause: str
) -> None:
    table = restated_report(statements=statements).table("Restatements")
    assert table.cell("E1-6/scope_1/comparative", "cause").value == cause


def test_an_unchanged_figure_is_no_restatement() -> None:
    previously = (reported(2024, "E1-6/scope_1/current", "2.0010"),)
    assert said("Restatements", previously_reported=previously) == (
        "No figure that was reported before has changed."
    )
    assert "there is nothing to compare with" in said("Restatements")
    assert "Restatements" not in [one.table_id for one in esrs_e1(inputs()).tables]


def test_figures_of_the_base_year_and_of_the_year_itself_are_compared_too() -> None:
    cubes = {2025: YEAR, 2020: YEAR}
    given = inputs(
        base_year=2020,
        cubes=cubes,
        previously_reported=(
            reported(2020, "E1-6/scope_1/current", "1"),
            reported(2025, "E1-6/beside/biogenic_scope_1", "1"),
            reported(2025, "E1-6/scope_1/current", "1.0005"),
            reported(2019, "E1-6/scope_1/current", "5"),
            reported(2020, "E1-6/nothing/current", "5"),
        ),
    )
    found = restated(given)
    assert [(one.year, one.cell_id, one.new) for one in found] == [
        (2020, "E1-6/scope_1/base_year", Decimal("1.0005")),
        (2025, "E1-6/beside/biogenic_scope_1", Decimal("0.02")),
    ]


def test_a_figure_that_is_gone_is_told_as_none() -> None:
    given = inputs(previously_reported=(reported(2024, "E1-6/scope_2_location/current", "3"),))
    (found,) = restated(given)
    assert found.new is None
    report = esrs_e1(given)
    assert report.table("Restatements").cell(found.cell_id, "new").value is None
    assert "reported 3, now none tCO2e; cause not stated." in report.statements[-1].text


def test_a_category_that_is_no_row_any_more_is_told_as_gone() -> None:
    """All entries of it were taken back, or it is left out with a reason since."""
    old = reported(2024, "E1-6/category_09/current", "7")
    given = inputs(
        previously_reported=(old, reported(2024, "E1-9/category_09/current", "7")),
        restatement_causes={old: "correction: not ours"},
    )
    (found,) = restated(given)
    assert (found.cell_id, found.old, found.new) == ("", Decimal(7), None)
    table = esrs_e1(given).table("Restatements")
    row_id = "2024/E1-6/category_09/current"
    assert table.cell(row_id, "old").value == Decimal(7)
    assert (table.cell(row_id, "new").value, table.cell(row_id, "difference").value) == (None, None)
    assert table.cell(row_id, "cause").value == "correction: not ours"


def test_a_percentage_or_a_column_of_a_category_that_is_gone_is_no_figure_of_its_own() -> None:
    given = inputs(
        previously_reported=(
            reported(2025, "E1-6/category_09/change_pct", "98.2", unit="%"),
            reported(2025, "E1-6/category_09/current", "7"),
            reported(2025, "E1-6/category_09/comparative", "7.1"),
            reported(2024, "E1-6/category_09/current", "7.2"),
        )
    )
    assert [(one.reported_id, one.figure_year, one.old, one.unit) for one in restated(given)] == [
        ("E1-6/category_09/comparative", 2024, Decimal("7.1"), "tCO2e"),
        ("E1-6/category_09/current", 2025, Decimal(7), "tCO2e"),
    ]


EARLY, LATE = datetime(2025, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("of_2024", "of_2025", "told"),
    [
        # The report of 2025 showed what that of 2024 had, and both were bound: one late entry.
        (("1.9", EARLY), ("1.9", LATE), [(2025, "comparative", "1.9")]),
        # It had told the change already.
        (("1.9", EARLY), ("2.001", LATE), []),
        # 2024 was reported again after 2025.
        (("1.8", LATE), ("1.9", EARLY), [(2024, "current", "1.8")]),
        (("2.001", LATE), ("1.9", EARLY), []),
    ],
)
def test_a_figure_of_two_reports_is_restated_once_and_from_the_one_that_was_bound_last(
    of_2024: tuple[str, datetime], of_2025: tuple[str, datetime], told: list[tuple[int, str, str]]
) -> None:
    given: dict[str, Any] = {
        "previously_reported": (
            reported(2025, "E1-6/scope_1/comparative", of_2025[0], bound_at=of_2025[1]),
            reported(2024, "E1-6/scope_1/current", of_2024[0], bound_at=of_2024[1]),
            reported(2025, "CDP-7.6/past_year_1/scope_1", of_2025[0], bound_at=of_2025[1]),
            reported(2024, "CDP-7.6/reporting_year/scope_1", of_2024[0], bound_at=of_2024[1]),
        )
    }
    found = restated(inputs(**given))
    assert found == restated(inputs(previously_reported=given["previously_reported"][::-1]))
    assert [(one.year, one.reported_id, str(one.old)) for one in found] == [
        (year, f"E1-6/scope_1/{column}", old) for year, column, old in told
    ]
    assert {one.cell_id for one in found} <= {"E1-6/scope_1/comparative"}
    # The same of module 7, whose scope 1 of 2024 is what it is here.
    answers = cdp(inputs(**given))
    tables = [one for one in answers.tables if one.table_id == "Restatements"]
    assert [row.row_id for table in tables for row in table.rows] == [
        "CDP-7.6/past_year_1/scope_1" for _ in told
    ]


@pytest.mark.parametrize(
    ("old", "cell_id"),
    [
        (reported(2024, "CDP-7.8/category_01/emissions", "50"), "7.8.1/past_year_1/category_01"),
        (reported(2024, "CDP-7.8/category_01/emissions", "50"), "7.5/category_01/emissions"),
        (reported(2024, "CDP-7.6/reporting_year/scope_1", "29"), "7.5/scope_1/emissions"),
        (
            reported(2024, "CDP-7.7/reporting_year/scope_2_market", "9"),
            "7.5/scope_2_market/emissions",
        ),
        (
            reported(2023, "CDP-7.5/scope_1/emissions", "29", base_year=2024),
            "7.5/scope_1/emissions",
        ),
        (reported(2025, "CDP-7.5/category_03/emissions", "9", base_year=2024), "7.8.1/past_year_1"),
    ],
)
def test_module_7_compares_what_another_question_showed_of_the_year(
    old: Reported, cell_id: str
) -> None:
    answers = cdp(cdp_inputs(previously_reported=(old,)))
    found = [row.row_id for row in answers.table("Restatements").rows]
    assert any(one.startswith(f"CDP-{cell_id}") for one in found)
    assert "No figure that was reported" not in answers.statements[-1].text


def test_a_base_year_that_was_chosen_anew_is_another_figure() -> None:
    old = reported(2025, "CDP-7.5/scope_1/emissions", "5", base_year=2019)
    ours = reported(2025, "E1-6/scope_1/base_year", "5", base_year=2019)
    assert not restated(cdp_inputs(previously_reported=(old, ours)))
    answers = cdp(cdp_inputs(previously_reported=(old, ours)))
    assert answers.statements[-1].text == "No figure that was reported before has changed."


@pytest.mark.parametrize(
    ("theirs", "ours", "old", "cell_id"),
    [
        ("esrs_2023", "esrs_2026", "E1-6/scope_1/current", "E1-8/scope_1/comparative"),
        ("esrs_2026", "esrs_2023", "E1-8/scope_1/current", "E1-6/scope_1/comparative"),
        # E1-7 is removals in the one and energy in the other.
        ("esrs_2026", "esrs_2023", "E1-7/oil/current", "E1-5/oil/comparative"),
        ("esrs_2023", "esrs_2026", "E1-7/oil/current", ""),
    ],
)
def test_disclosures_are_compared_whatever_a_profile_numbers_them(
    theirs: str, ours: str, old: str, cell_id: str
) -> None:
    report = esrs_e1(
        energy_inputs(
            cubes={2025: ENERGY_YEAR, 2024: (*ENERGY_YEAR, row(1, "2001"))},
            previously_reported=(reported(2024, old, "1.7", profile=theirs),),
        ),
        ours,
    )
    tables = [one for one in report.tables if one.table_id == "Restatements"]
    assert [one.row_id for table in tables for one in table.rows] == [cell_id] * bool(cell_id)
    assert report.statements[-1].text.startswith(
        f"{old} of 2024: reported 1.7, now " if cell_id else "No figure that was reported"
    )
