"""A workbook whose formulas, when they are computed, give the report's figures."""

from __future__ import annotations

import io
import math
import re
import zipfile
from dataclasses import replace
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from defusedxml import ElementTree

from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_xlsx import (
    CELL_COLUMNS,
    DIGITS_NOTE,
    NO_FORMULA,
    report_to_xlsx,
)
from carbon_ledger.reporting.tables import Column, Maker, Report, Row, Section, Table
from carbon_ledger.reporting.workbook import column_name, sheet_titles
from tests.support.cdp_examples import cdp_inputs
from tests.support.report_documents import HOSTILE, hostile_report, small_report
from tests.support.report_examples import inputs

TOKEN = re.compile(
    r"\s*(?:(?P<sheet>'(?:[^']|'')+'!)?(?P<from>[A-Z]+[0-9]+)(?::(?P<to>[A-Z]+[0-9]+))?"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<name>SUM|ROUND)\(|(?P<sign>[-+*/(),]))"
)
# A spreadsheet computes with 15 to 17 digits.
PRECISION = 1e-13
# A quotient that lies half-way between two of its 12 decimals may come out as the other one, and
# what is made of small quotients differs as they do.
LAST_DECIMAL = 1.1e-12
OF_QUOTIENTS = 1e-6


class Computed:
    """A workbook computed again from its formulas, with floats as a spreadsheet has them."""

    def __init__(self, made: bytes) -> None:
        self.book = openpyxl.load_workbook(io.BytesIO(made))

    def value(self, sheet: str, name: str) -> Any:
        held = self.book[sheet][name].value
        if self.book[sheet][name].data_type == "f":
            return _Formula(self, sheet, held[1:]).computed()
        return held

    def at(self, place: str) -> Any:
        sheet, _, name = place.rpartition("!")
        return self.value(sheet[1:-1].replace("''", "'"), name)

    def span(self, sheet: str, first: str, last: str) -> list[Any]:
        cells = self.book[sheet][f"{first}:{last}"]
        return [self.value(sheet, cell.coordinate) for row in cells for cell in row]


class _Formula:
    """Sums, products and ranges: what formulas of reports are made of."""

    def __init__(self, book: Computed, sheet: str, text: str) -> None:
        self.book, self.sheet, self.text, self.at = book, sheet, text, 0

    def computed(self) -> float:
        found = self.added()
        assert self.at == len(self.text), self.text[self.at :]
        return found

    def next(self) -> re.Match[str]:
        match = TOKEN.match(self.text, self.at)
        assert match, self.text[self.at :]
        self.at = match.end()
        return match

    def sign(self, signs: str) -> str:
        if self.at < len(self.text) and self.text[self.at] in signs:
            self.at += 1
            return self.text[self.at - 1]
        return ""

    def added(self) -> float:
        found = self.multiplied()
        while sign := self.sign("+-"):
            other = self.multiplied()
            found = found + other if sign == "+" else found - other
        return found

    def multiplied(self) -> float:
        (found,) = self.values()
        while sign := self.sign("*/"):
            (other,) = self.values()
            found = found * other if sign == "*" else found / other
        return found

    def argument(self) -> list[float]:
        """Values of an argument: of a range each, of anything else one."""
        began = self.at
        found = self.values()
        if self.at < len(self.text) and self.text[self.at] in ",)":
            return found
        self.at = began
        return [self.added()]

    def values(self) -> list[float]:
        token = self.next()
        if token["number"]:
            return [float(token["number"])]
        if token["name"]:
            parts: list[float] = []
            while True:
                parts += self.argument()
                if not self.sign(","):
                    break
            assert self.sign(")")
            if token["name"] == "ROUND":
                number, digits = parts
                return [round(number, int(digits))]
            return [math.fsum(parts)]
        if token["sign"] == "(":
            found = self.added()
            assert self.sign(")")
            return [found]
        sheet = (token["sheet"] or f"'{self.sheet}'!")[1:-2].replace("''", "'")
        if token["to"]:
            return [float(one) for one in self.book.span(sheet, token["from"], token["to"])]
        return [float(self.book.value(sheet, token["from"]))]


def trail(made: bytes) -> dict[str, dict[str, Any]]:
    """The rows of `Cells` by cell id."""
    book = openpyxl.load_workbook(io.BytesIO(made))
    head, *rows = book["Cells"].iter_rows(values_only=True)
    assert head == CELL_COLUMNS
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


@pytest.mark.parametrize(
    "report",
    [small_report(), esrs_e1(inputs(base_year=2024)), cdp(cdp_inputs())],
    ids=["small", "esrs_e1", "cdp"],
)
def test_formulas_computed_again_are_the_figures_of_the_report(report: Report) -> None:
    made = report_to_xlsx(report)
    computed, told = Computed(made), trail(made)
    assert set(told) == set(report.cells())
    formulas = 0
    for cell in report.cells().values():
        place = told[cell.cell_id]["Place"]
        if not isinstance(cell.value, Decimal):
            continue
        assert Decimal(told[cell.cell_id]["Exact value"]) == cell.value
        of_quotients = any(report.cells()[one].operation == "quotient" for one in cell.inputs)
        near = OF_QUOTIENTS if of_quotients else PRECISION
        assert math.isclose(
            computed.at(place), float(cell.value), rel_tol=near, abs_tol=LAST_DECIMAL
        ), cell.cell_id
        sheet, _, name = place.rpartition("!")
        is_formula = computed.book[sheet[1:-1]][name].data_type == "f"
        assert is_formula == (cell.operation in ("sum", "difference", "quotient")), cell.cell_id
        formulas += is_formula
    assert formulas >= 5


def test_a_changed_part_changes_what_is_made_of_it() -> None:
    made = report_to_xlsx(small_report())
    computed, told = Computed(made), trail(made)
    before = computed.at(told["small/share"]["Place"])
    sheet, _, name = told["small/freight"]["Place"].rpartition("!")
    assert sheet == "'Workings'"
    computed.book["Workings"][name].value = 1000
    assert computed.at(told["small/share"]["Place"]) > before
    assert computed.at(told["small/total"]["Place"]) == pytest.approx(2237.567891234568)


def test_formulas_read_as_a_person_would_write_them() -> None:
    book = openpyxl.load_workbook(io.BytesIO(report_to_xlsx(small_report())))
    told = trail(report_to_xlsx(small_report()))

    def formula(cell_id: str) -> Any:
        sheet, _, name = told[cell_id]["Place"].rpartition("!")
        return book[sheet[1:-1]][name].value

    assert formula("small/scope_3") == "=SUM('S-1'!B5,B4)"
    assert formula("small/total") == "=SUM(B4,'Workings'!B5)"
    assert formula("small/doubled") == "=SUM('S-1'!B4:B5,'S-1'!B4)*0.58"
    assert formula("small/least") == "='Workings'!B5-'S-1'!B8"
    assert formula("small/share") == "=ROUND('Workings'!B5*100/B8,12)"
    assert book["S-2"]["B4"].value == "='S-1'!B8"


def test_each_table_is_a_sheet_with_frozen_headings_formats_and_the_note_on_digits() -> None:
    book = openpyxl.load_workbook(io.BytesIO(report_to_xlsx(small_report())))
    assert book.sheetnames == ["Report", "S-1", "S-2", "Workings", "Cells"]
    sheet = book["S-1"]
    assert sheet.freeze_panes == "B4"
    assert [one.value for one in sheet[3]][1:] == ["Year 2025 [tCO2e]", "Status"]
    assert sheet["B4"].number_format == "#,##0.000"
    assert sheet["B7"].number_format == '#,##0.00 "%"'
    assert sheet["B6"].value == "–"  # noqa: RUF001
    assert sheet["B8"].font.b
    notes = [row[0].value for row in sheet.iter_rows(min_row=9)]
    assert notes == [None, "Location-based.", DIGITS_NOTE]
    assert book["Report"]["B12"].value.startswith("Figures are rounded")
    assert sheet.print_title_rows == "$3:$3"
    assert book["Cells"].freeze_panes == "B2"


def test_the_file_has_no_macros_and_the_same_bytes_for_the_same_report() -> None:
    made = report_to_xlsx(small_report())
    assert report_to_xlsx(small_report()) == made
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        for one in archive.infolist():
            assert (one.date_time, one.compress_type) == ((1980, 1, 1, 0, 0, 0), 0)
            # Read and write for the owner, as Unix says it; else unpacking makes other modes.
            assert (one.create_system, one.external_attr >> 16) == (3, 0o644)
            part = ElementTree.fromstring(archive.read(one))
            assert not [child.tag for child in part.iter() if (child.tail or "").strip()]
        core = archive.read("docProps/core.xml").decode()
    assert names[0] == "[Content_Types].xml"
    assert not [name for name in names if "vba" in name.lower() or "external" in name.lower()]
    assert core.count("2026-02-01T00:00:00Z") == 2


def test_hostile_text_is_text_and_no_formula() -> None:
    made = report_to_xlsx(hostile_report())
    book = openpyxl.load_workbook(io.BytesIO(made))
    found = set()
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type == "f":
                    # Another place of a cell: the only formulas here.
                    assert re.fullmatch(r"='(?:[^']|'')+'!B[0-9]+", cell.value)
                    continue
                if isinstance(cell.value, str):
                    found.add(cell.value)
                    if cell.value.startswith(("=", "+", "-", "@")):
                        assert cell.data_type in ("s", "inlineStr")
                        assert cell.quotePrefix, cell.coordinate
    for name in HOSTILE:
        if name.isprintable() and "_x0041_" not in name:
            assert name in found, name
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        sheet = archive.read("xl/worksheets/sheet2.xml").decode()
    assert "_x005F_x0041_" in sheet
    assert "\x00" not in sheet


def test_lineage_is_a_link_beside_every_cell() -> None:
    book = openpyxl.load_workbook(
        io.BytesIO(report_to_xlsx(small_report(), lineage_url="https://ledger.example/cells/"))
    )
    links = {one[0].value: one[0].hyperlink for one in book["Cells"].iter_rows(min_row=2)}
    assert set(links) == set(small_report().cells())
    assert links["small/total"].target == "https://ledger.example/cells/small/total"
    plain = openpyxl.load_workbook(io.BytesIO(report_to_xlsx(small_report(), lineage_url="/x/")))
    assert plain["Cells"]["A2"].hyperlink is None


def many(parts: int, gap: int) -> Report:
    """A total of parts that stand `gap` rows apart from each other."""
    maker = Maker(cubes={})
    cells = [
        maker.stated(f"m/{number}", Decimal(number), source="s", unit="tCO2e")
        for number in range(parts * gap)
    ]
    total = maker.sum("m/total", cells[::gap])
    table = Table(
        table_id="m",
        title="m",
        columns=(Column(column_id="v", heading="v"),),
        rows=(Row(row_id="t", label="t", cells={"v": total}),),
    )
    return replace(small_report(), sections=(Section(tables=(table,), cells=maker.made),))


def test_sums_of_many_parts_are_still_one_formula() -> None:
    made = report_to_xlsx(many(parts=400, gap=2))
    assert Computed(made).value("m", "B4") == sum(range(0, 800, 2))
    formula = openpyxl.load_workbook(io.BytesIO(made))["m"]["B4"].value
    assert formula.count("SUM(") == 3
    long = openpyxl.load_workbook(io.BytesIO(report_to_xlsx(many(parts=2000, gap=1))))["m"]["B4"]
    assert long.value == "=SUM('Workings'!B4:B2003)"


def test_a_formula_too_long_for_a_spreadsheet_is_a_number_that_says_so() -> None:
    made = report_to_xlsx(many(parts=900, gap=2))
    assert openpyxl.load_workbook(io.BytesIO(made))["m"]["B4"].value == sum(range(0, 1800, 2))
    assert trail(made)["m/total"]["Note"] == NO_FORMULA


def test_titles_of_sheets_are_allowed_and_different() -> None:
    assert sheet_titles(["E1-6", "e1-6", "a/b:c", "History", "x" * 40, "x" * 50, "'", ""]) == [
        *("E1-6", "e1-6 (2)", "a-b-c", "History (2)", "x" * 31, "x" * 27 + " (2)"),
        *("Table", "Table (2)"),
    ]
    assert [column_name(one) for one in (1, 26, 27, 702, 703)] == ["A", "Z", "AA", "ZZ", "AAA"]
