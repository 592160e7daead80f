"""Figures that must agree: they do, and each tie-out sees the fault it is there for."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.reporting import tie_outs
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.tables import Report, Row, Table
from carbon_ledger.reporting.tie_outs import BREAKDOWNS, Fault, cdp_faults, esrs_faults
from tests.support.cdp_examples import (
    ENERGY_YEAR,
    FUELS,
    GWP,
    YEAR,
    burnt,
    cdp_inputs,
    energy_inputs,
    stated,
)
from tests.support.report_examples import YEAR as SMALL_YEAR
from tests.support.report_examples import inputs, row


def planted(
    report: Report, table_id: str, row_id: str, column: str, value: Decimal | str | None
) -> Report:
    """The report with another value in one cell of a table, and nothing else changed."""

    def changed(table: Table, line: Row) -> Row:
        if (table.table_id, line.row_id) != (table_id, row_id):
            return line
        cell = replace(line.cells[column], value=value)
        return replace(line, cells={**line.cells, column: cell})

    return _with_rows(report, lambda table: tuple(changed(table, one) for one in table.rows))


def without(report: Report, table_id: str, row_id: str) -> Report:
    """The report without one row of a table."""

    def left(table: Table) -> tuple[Row, ...]:
        is_there = table.table_id == table_id
        return tuple(one for one in table.rows if not is_there or one.row_id != row_id)

    found = _with_rows(report, left)
    assert found != report
    return found


def _with_rows(report: Report, rows_of: Callable[[Table], tuple[Row, ...]]) -> Report:
    sections = tuple(
        replace(section, tables=tuple(replace(one, rows=rows_of(one)) for one in section.tables))
        for section in report.sections
    )
    return replace(report, sections=sections)


def both(**given: Any) -> tuple[Report, Report]:
    made = cdp_inputs(**given)
    return cdp(made), esrs_e1(made)


def questions(faults: list[Fault]) -> set[str]:
    return {one.question for one in faults}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"gwp": None},
        {"sites": {}},
        {"statements": ()},
        {"base_year": None},
        {"cubes": {2025: YEAR}},
        {"cubes": {2025: (row(3, "5", 4),), 2024: YEAR}},
        {"cubes": {2025: SMALL_YEAR}},
        {"cubes": {}},
        {"cubes": {2025: ENERGY_YEAR}, "fuels": {"AR6": FUELS}},
        {"cubes": {2025: ENERGY_YEAR}, "fuels": {}},
        {"statements": (stated("scope_2_figure", text="market"),)},
    ],
)
def test_what_is_made_of_the_same_entries_ties_out(given: dict[str, Any]) -> None:
    report, esrs = both(**given)
    assert cdp_faults(report, esrs) == []
    assert esrs_faults(esrs) == []


@pytest.mark.parametrize("question", BREAKDOWNS)
def test_a_changed_row_or_one_left_out_is_seen_in_every_breakdown(question: str) -> None:
    report, _ = both()
    table = report.table(f"CDP-{question}")
    for column in BREAKDOWNS[question]:
        line = next(one for one in table.rows if one.cells[column].value is not None)
        more = line.cells[column].number + Decimal("1E-12")
        changed = planted(report, table.table_id, line.row_id, column, more)
        (fault,) = cdp_faults(changed)
        assert (fault.question, fault.difference) == (question, Decimal("1E-12"))
        assert question in questions(cdp_faults(without(report, table.table_id, line.row_id)))


@pytest.mark.parametrize(
    ("table_id", "row_id", "column", "value", "seen"),
    [
        ("CDP-7.6", "reporting_year", "scope_1", "1", {"7.6", "7.15.1", "7.16", "7.45", "7.10.1"}),
        ("CDP-7.7", "reporting_year", "scope_2_market", "1", {"7.7", "7.16", "7.20.1", "7.45"}),
        ("CDP-7.7", "past_year_1", "scope_2_location", "1", {"7.10.1"}),
        ("CDP-7.8", "category_01", "emissions", "49", {"7.8", "7.11.1"}),
        ("CDP-7.8.1", "past_year_1", "category_03", "49", {"7.11.1"}),
        ("CDP-7.10.1", "Unidentified", "change", "1479", {"7.10.1"}),
        ("CDP-7.10.1", "Change in output", "direction", "Increased", {"7.10.1"}),
        ("CDP-7.11.1", "category_01", "change", "-10", {"7.11.1"}),
        ("CDP-7.45", "metric_1_location", "numerator", "29.81165", {"7.45"}),
        ("CDP-7.45", "metric_2_market", "scope_2_figure", "Location-based", {"7.45"}),
        ("CDP-7.5", "category_01", "emissions", None, {"7.5"}),
        ("CDP-7.12.1", "biogenic", "emissions", "0.05", {"7.12.1"}),
    ],
)
def test_a_changed_figure_of_module_7_is_seen(
    table_id: str, row_id: str, column: str, value: str | None, seen: set[str]
) -> None:
    report, esrs = both()
    is_word = isinstance(report.table(table_id).cell(row_id, column).value, str)
    figure = value if is_word or value is None else Decimal(value)
    found = questions(cdp_faults(planted(report, table_id, row_id, column, figure), esrs))
    assert seen <= found
    if table_id.removeprefix("CDP-") not in ("7.6", "7.7"):
        assert found == seen


@pytest.mark.parametrize("row_id", ["scope_1", "scope_2_location", "scope_2_market", "category_01"])
def test_a_figure_of_esrs_that_is_not_cdps_is_seen(row_id: str) -> None:
    report, esrs = both()
    wrong = planted(esrs, "E1-6", row_id, "current", Decimal("0.001"))
    assert questions(cdp_faults(report, wrong)) == {
        {"scope_1": "7.6", "category_01": "7.8"}.get(row_id, "7.7")
    }
    assert questions(esrs_faults(wrong)) == {"E1-6"}


def test_a_category_that_a_report_lacks_is_seen() -> None:
    report, esrs = both()
    found = cdp_faults(report, without(esrs, "E1-6", "category_01"))
    assert [one.what for one in found] == ["category_01 of 7.8 against E1-6"]
    assert "7.8" in questions(cdp_faults(without(report, "CDP-7.8", "category_03"), esrs))


def test_a_category_left_out_of_one_report_only_is_seen() -> None:
    report, _ = both()
    _, esrs = both(statements=())
    found = {one.what for one in cdp_faults(report, esrs)}
    assert found == {"relevant categories of 7.8 against scope 3 of E1-6"}


def test_an_entry_of_scope_3_in_no_category_is_seen() -> None:
    report, _ = both(cubes={2025: (*YEAR, row(3, "12", None))})
    (fault,) = cdp_faults(report)
    assert (fault.question, fault.difference) == ("7.8", Decimal("-0.012"))


def test_gases_that_weigh_more_than_their_figure_are_seen() -> None:
    report, _ = both(cubes={2025: (burnt("1824.999", "1000", "10", "2"),)}, gwp=GWP)
    (fault,) = cdp_faults(report)
    assert (fault.question, fault.difference) == ("7.15.1", Decimal("-0.000001"))
    rounded, _ = both(cubes={2025: (burnt("1824.999999999", "1000", "10", "2"),)}, gwp=GWP)
    assert cdp_faults(rounded) == []


@pytest.mark.parametrize(
    ("table_id", "row_id", "column", "seen"),
    [
        ("CDP-7.30.1", "fuel", "renewable", {"7.30.1"}),
        ("CDP-7.30.1", "fuel", "non_renewable", {"7.30.1"}),
        ("CDP-7.30.1", "fuel", "total", {"7.30.7", "7.30.16"}),
        ("CDP-7.30.1", "electricity", "renewable", {"7.30.1"}),
        ("CDP-7.30.1", "steam", "non_renewable", {"7.30.1"}),
        ("CDP-7.30.1", "self_generated", "total", {"7.30.1"}),
        ("CDP-7.30.1", "all", "renewable", {"7.30.1"}),
        ("CDP-7.30.1", "all", "non_renewable", {"7.30.1"}),
        ("CDP-7.30.1", "all", "total", {"7.30.1", "7.30.16"}),
        ("CDP-7.30.7", "Gas", "total", {"7.30.7"}),
        ("CDP-7.30.14", "row_2", "energy", {"7.30.14"}),
        ("CDP-7.30.16", "FR", "total", {"7.30.16"}),
        ("E1-5", "natural_gas", "current", {"7.30.1"}),
        ("E1-5", "nuclear", "current", {"7.30.1"}),
        ("E1-5", "purchased_renewable", "current", {"7.30.1"}),
        ("E1-5", "self_generated", "current", {"7.30.1"}),
        ("E1-5", "total", "current", {"7.30.1"}),
    ],
)
def test_a_changed_figure_of_energy_is_seen(
    table_id: str, row_id: str, column: str, seen: set[str]
) -> None:
    report, esrs = cdp(energy_inputs()), esrs_e1(energy_inputs())
    assert cdp_faults(report, esrs) == []
    more = Decimal(1000)
    wrong = [
        planted(one, table_id, row_id, column, more) if at == (table_id[0] == "E") else one
        for at, one in enumerate((report, esrs))
    ]
    assert questions(cdp_faults(*wrong)) == seen


@pytest.mark.parametrize("row_id", ["total_location", "total_market", "scope_3"])
@pytest.mark.parametrize("column", ["current", "comparative", "base_year"])
def test_a_total_of_esrs_that_is_not_the_sum_of_its_parts_is_seen(row_id: str, column: str) -> None:
    _, esrs = both()
    found = esrs_faults(planted(esrs, "E1-6", row_id, column, Decimal("0.5")))
    assert any(one.what.startswith(f"{row_id} of {column} against") for one in found)


def test_the_draft_profile_ties_out_by_its_own_names() -> None:
    made = inputs(base_year=2024)
    draft = esrs_e1(made, "esrs_2026")
    assert cdp_faults(cdp(made), draft) == esrs_faults(draft) == []
    wrong = planted(draft, "E1-8", "total_market", "current", Decimal(1))
    assert questions(esrs_faults(wrong)) == {"E1-8"}


# Compared only where something is wrong already; each has a test of its own above.
WHERE_WRONG = (
    "scope 1 whose gases are given against its gases",
    "low-carbon energy of 7.30.14 against purchased electricity of 7.30.1",
)


def disturbed(report: Report, table_id: str) -> Report:
    """The report with every figure of one table moved, each by an amount of its own, and a figure
    where there was none.
    """
    amounts = iter(range(1000, 100_000, 17))

    def moved(table: Table) -> tuple[Row, ...]:
        if table.table_id != table_id:
            return table.rows
        return tuple(
            replace(
                line,
                cells={
                    name: cell
                    if isinstance(cell.value, str)
                    else replace(cell, value=(cell.value or Decimal(0)) + next(amounts))
                    for name, cell in line.cells.items()
                },
            )
            for line in table.rows
        )

    return _with_rows(report, moved)


def compared(made: ReportInputs, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What is compared in the reports of some inputs, in words."""
    seen: set[str] = set()

    def noting(question: str, what: str, left: Any, right: Any) -> Iterator[Fault]:
        seen.add(what)
        return right_way(question, what, left, right)

    right_way = tie_outs._compared
    with monkeypatch.context() as patch:
        patch.setattr(tie_outs, "_compared", noting)
        assert cdp_faults(cdp(made), esrs_e1(made)) + esrs_faults(esrs_e1(made)) == []
    return seen


@pytest.mark.parametrize("made", [cdp_inputs(), energy_inputs()], ids=["emissions", "energy"])
def test_every_tie_out_sees_a_table_that_was_changed(
    made: ReportInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that compares nothing, or two figures of one table moved alike, would be seen by none."""
    report, esrs = cdp(made), esrs_e1(made)
    seen: set[str] = set()
    for table in report.tables:
        faults = cdp_faults(disturbed(report, table.table_id), esrs)
        seen |= {one.what for one in faults}
    for table in esrs.tables:
        changed = disturbed(esrs, table.table_id)
        seen |= {one.what for one in (*cdp_faults(report, changed), *esrs_faults(changed))}
    asked = compared(made, monkeypatch)
    assert asked - seen == set()
    assert len(asked) > 50
    assert not asked & set(WHERE_WRONG)


def test_every_comparison_of_the_code_is_made_in_these_examples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A comparison that is added and that no example reaches is told."""
    made: set[int] = set()
    right_way = tie_outs._compared

    def noting(*given: Any) -> Iterator[Fault]:
        made.add(inspect.stack()[1].lineno)
        return right_way(*given)

    monkeypatch.setattr(tie_outs, "_compared", noting)
    for inputs_of in (cdp_inputs(), energy_inputs()):
        cdp_faults(cdp(inputs_of), esrs_e1(inputs_of))
        esrs_faults(esrs_e1(inputs_of))
    calls = {
        node.lineno
        for node in ast.walk(ast.parse(inspect.getsource(tie_outs)))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_compared"
    }
    assert len(calls - {one for one in calls for at in made if one <= at <= one + 6}) == len(
        WHERE_WRONG
    )
