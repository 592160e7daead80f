"""Two reports side by side: what was added, removed and changed."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_diff import diff_reports
from carbon_ledger.reporting.tables import Report, Section, Statement
from tests.support.report_documents import small_report, with_cell
from tests.support.report_examples import YEAR, inputs, row


def without(report: Report, cell_id: str) -> Report:
    (section,) = report.sections
    kept = {name: cell for name, cell in section.cells.items() if name != cell_id}
    return replace(report, sections=(Section(tables=section.tables, cells=kept),))


def test_a_report_does_not_differ_from_itself() -> None:
    same = diff_reports(small_report(), small_report())
    assert same.is_empty
    assert same.as_table() == "no difference\n"
    assert json.loads(same.as_json()) == {"cells": [], "texts": []}


def test_a_changed_figure_has_old_new_and_delta() -> None:
    new = with_cell(small_report(), "small/goods", value=Decimal("3.5"))
    found = diff_reports(small_report(), new)
    (change,) = found.cells
    assert (change.kind, change.cell_id) == ("changed", "small/goods")
    assert change.delta == Decimal("0.499999999999999")
    lines = found.as_table().splitlines()
    assert lines[0].split() == ["change", "cell", "old", "new", "delta", "unit"]
    assert lines[1].split() == [
        *("changed", "small/goods", "3.000000000000001", "3.5", "+0.499999999999999", "tCO2e")
    ]
    assert json.loads(found.as_json())["cells"] == [
        {
            "kind": "changed",
            "cell_id": "small/goods",
            "old": "3.000000000000001",
            "new": "3.5",
            "old_unit": "tCO2e",
            "new_unit": "tCO2e",
            "delta": "0.499999999999999",
        }
    ]


def test_cells_that_are_only_in_one_are_added_or_removed() -> None:
    less = without(small_report(), "small/freight")
    assert [(one.kind, one.cell_id) for one in diff_reports(small_report(), less).cells] == [
        ("removed", "small/freight")
    ]
    (added,) = diff_reports(less, small_report()).cells
    assert (added.kind, added.old, added.new) == ("added", None, Decimal("0.0004"))
    assert diff_reports(less, small_report()).as_table().splitlines()[1].startswith("added")


def test_another_unit_or_no_figure_has_no_delta() -> None:
    for changes in ({"unit": "tCO2"}, {"value": None}, {"value": "some"}):
        (change,) = diff_reports(
            small_report(), with_cell(small_report(), "small/goods", **changes)
        ).cells
        assert (change.kind, change.delta) == ("changed", None)


def test_the_same_figure_of_other_parts_is_told_apart() -> None:
    (change,) = diff_reports(
        small_report(), with_cell(small_report(), "small/goods", entries=9)
    ).cells
    assert (change.kind, change.delta) == ("made otherwise", Decimal(0))


def test_changed_words_are_told_with_what_they_were() -> None:
    old = small_report()
    new = replace(
        old,
        title="Another title",
        statements=(Statement(heading="Boundary", text="Two sites."), *old.statements[1:]),
        flags=(),
    )
    found = {one.where: (one.old, one.new) for one in diff_reports(old, new).texts}
    assert found == {
        "title": ("A small report", "Another title"),
        "flags": ("draft_profile", ""),
        "statement Boundary": ("One site.\nOperational control.", "Two sites."),
    }
    assert "  - Operational control.\n  + Two sites.\n" in diff_reports(old, new).as_table()


def test_late_data_changes_the_cells_they_reach_and_no_others() -> None:
    late = (*YEAR, row(1, "0.5"))
    found = diff_reports(esrs_e1(inputs()), esrs_e1(inputs(cubes={**inputs().cubes, 2025: late})))
    changed = {one.cell_id: one.delta for one in found.cells if one.kind == "changed"}
    assert changed["E1-6/scope_1/current"] == Decimal("0.0005")
    assert changed["E1-6/total_market/current"] == Decimal("0.0005")
    assert not [name for name in changed if "scope_3" in name or "scope_2" in name]
