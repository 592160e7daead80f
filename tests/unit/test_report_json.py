"""A report is one text, and comes back from it as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.reporting.esrs_e1 import esrs_e1, section_faults
from carbon_ledger.reporting.report_json import report_from_json, report_to_json
from carbon_ledger.reporting.stated import Stated
from tests.support.report_examples import inputs

REASON = Stated(
    subject="category_excluded", fiscal_year=2025, key="15", text='a "small" stake', source="ß"
)


def test_a_report_is_what_its_text_says_and_one_report_is_one_text() -> None:
    report = esrs_e1(inputs(base_year=2024, statements=(REASON,)))
    text = report_to_json(report)
    again = report_from_json(text)
    assert again == report
    assert report_to_json(again) == text
    assert list(again.cells()) == list(report.cells())
    figures = [one for one in again.cells().values() if one.operation == "entries"]
    assert figures
    assert all(one.number == report.cells()[one.cell_id].number for one in figures)


def test_rows_name_cells_of_their_section() -> None:
    again = report_from_json(report_to_json(esrs_e1(inputs())))
    for section in again.sections:
        for table in section.tables:
            for cell in table.cells():
                assert section.cells[cell.cell_id] is cell


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format":2,"report":{}}', '{"format":1,"report":{"name":"x"}}']
)
def test_another_text_is_no_report(text: str) -> None:
    with pytest.raises(BrokenInvariant, match="no report that was kept"):
        report_from_json(text)


def test_the_text_is_json_with_figures_as_text() -> None:
    content = json.loads(report_to_json(esrs_e1(inputs())))
    sections = content["report"]["sections"]
    cells = {one["cell_id"]: one for section in sections for one in section["cells"]}
    assert cells["E1-6/scope_1/current"]["value"] == "1.0005"
    assert cells["E1-6/scope_1/current"]["selection"] == {
        "scopes": [1],
        "without_bases": ["evidence", "informational"],
    }


def test_sections_are_looked_at_with_what_they_were_made_of() -> None:
    given = inputs()
    report = esrs_e1(given)
    assert section_faults(report, given) == []
    energy = report.sections[0]
    total = next(one for one in energy.cells if one.endswith("total/current"))
    cells = {**energy.cells, total: replace(energy.cells[total], value=Decimal(1))}
    planted = replace(report, sections=(replace(energy, cells=cells), *report.sections[1:]))
    assert len(section_faults(planted, given)) > 0
