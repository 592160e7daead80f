"""Documents of a report: what they say, that nothing in a name gets out of its place, and that one
report is one text.

`UPDATE_GOLDEN=1 pytest tests/unit/test_report_documents.py` rewrites the golden files.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.flags import sentence_of
from carbon_ledger.reporting.documents import FORMATS, document
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.reading import (
    anchor,
    decimals_shown,
    heading,
    lineage_link,
    printable,
    read_figure,
)
from carbon_ledger.reporting.report_csv import COLUMNS, report_to_csv
from carbon_ledger.reporting.report_html import report_to_html
from carbon_ledger.reporting.report_json import report_from_json, report_to_json
from tests.support.report_documents import HOSTILE, hostile_report, small_report, with_cell
from tests.support.report_examples import inputs

GOLDEN = Path(__file__).parents[1] / "golden"
LINEAGE = "https://ledger.example/lineage/cells/"
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """The elements of a page, with their attributes and text; refuses what does not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[dict[str, Any]] = []
        self.elements: list[dict[str, Any]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = {"tag": tag, "text": "", **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element["text"] += data

    def all(self, tag: str) -> Iterator[dict[str, Any]]:
        return (one for one in self.elements if one["tag"] == tag)

    def by_id(self, name: str) -> dict[str, Any]:
        (found,) = [one for one in self.elements if one.get("id") == name]
        return found


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_document_is_the_one_in_the_golden_file(name: str) -> None:
    made = document(small_report(), name, lineage_url=LINEAGE)
    golden = GOLDEN / f"report_small{FORMATS[name].suffix}"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_bytes(made)
    assert made == golden.read_bytes()


@pytest.mark.parametrize("name", list(FORMATS))
def test_one_report_is_one_document_also_when_it_was_kept_and_read_again(name: str) -> None:
    report = esrs_e1(inputs(base_year=2024))
    made = document(report, name)
    assert document(esrs_e1(inputs(base_year=2024)), name) == made
    assert document(report_from_json(report_to_json(report)), name) == made
    assert document(with_cell(report, "E1-6/scope_1/current", value=Decimal(7)), name) != made


def test_a_workbook_is_served_as_the_type_that_is_registered_for_it() -> None:
    """IANA, media types: what a browser opens in a spreadsheet."""
    registered = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert FORMATS["xlsx"].media_type == registered


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="valid are json, html, xlsx, csv, xbrl-json"):
        document(small_report(), "pdf")


# ---- HTML


def test_every_figure_has_its_anchor_its_exact_value_and_a_link_to_its_lineage() -> None:
    report = small_report()
    page = Page(report_to_html(report, lineage_url=LINEAGE))
    ids = [one["id"] for one in page.elements if "id" in one]
    assert len(ids) == len(set(ids))
    for cell_id in report.cells():
        page.by_id(anchor(cell_id))
    links = {one.get("title"): one for one in page.all("a")}
    exact = links["1234.567891234567891 tCO2e"]
    assert (exact["href"], exact["text"]) == (f"{LINEAGE}small/scope_1", "1,234.568")
    own = {f"#{one}" for one in ids}
    targets = [one["href"] for one in page.all("a")]
    assert all(one in own or one.startswith(LINEAGE) for one in targets)


def test_without_an_address_of_lineage_a_figure_leads_to_its_workings() -> None:
    page = Page(report_to_html(small_report()))
    ids = {f"#{one['id']}" for one in page.elements if "id" in one}
    assert all(one["href"] in ids for one in page.all("a"))
    total = next(one for one in page.all("a") if one["text"] == "1,237.568")
    assert total["href"] == "#workings:small/total"
    working = page.by_id("workings:small/total")
    assert "1237.568291234567892" in working["text"]
    assert "small/scope_1 + small/scope_3" in working["text"]


def test_the_page_stands_alone_and_says_how_it_rounds() -> None:
    text = report_to_html(small_report(), lineage_url=LINEAGE)
    page = Page(text)
    tags = {one["tag"] for one in page.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "form"}
    assert not any(name.startswith("on") for one in page.elements for name in one)
    assert "url(" not in text
    assert "@import" not in text
    assert "half to even" in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text


def test_tables_are_told_apart_by_headings_of_columns_and_rows() -> None:
    page = Page(report_to_html(small_report()))
    headings = list(page.all("th"))
    assert headings
    assert {one.get("scope") for one in headings} == {"col", "row"}
    assert [one["lang"] for one in page.all("html")] == ["en"]
    assert len(list(page.all("h1"))) == 1
    for table in page.all("table"):
        assert table["text"].strip()
    captions = [one["text"] for one in page.all("caption")]
    assert captions == ["ESRS E1, AR 48"]


def test_what_is_empty_is_a_dash_with_its_reason_and_not_zero() -> None:
    page = Page(report_to_html(small_report()))
    assert page.by_id("small/travel")["text"] == "– no figure: no entries"  # noqa: RUF001


def test_another_unit_than_the_column_has_stands_beside_the_figure() -> None:
    page = Page(report_to_html(small_report()))
    assert page.by_id("small/share")["text"] == "0.24 %"


def test_notes_flags_and_statements_are_on_the_page() -> None:
    page = Page(report_to_html(small_report()))
    assert [one["text"] for one in page.all("h3")] == ["Boundary", "Restatements"]
    assert [one["text"] for one in page.all("p") if one.get("class") == "flag"] == [
        sentence_of("draft_profile")
    ]
    paragraphs = [one["text"] for one in page.all("p")]
    assert {"One site.", "Operational control.", "Nothing was restated."} <= set(paragraphs)
    assert "Location-based." in [one["text"] for one in page.all("li")]


def test_hostile_names_stay_text() -> None:
    page = Page(report_to_html(hostile_report()))
    assert not {one["tag"] for one in page.elements} & {"script", "b"}
    assert not any(name.startswith("on") for one in page.elements for name in one)
    assert not any(" " in one["id"] or "<" in one["id"] for one in page.elements if "id" in one)
    texts = [one["text"] for one in page.all("h3")]
    expected = [printable(one).replace("\r", "\n") for one in HOSTILE]
    assert [one.replace("\r", "\n") for one in texts] == expected
    # A title is one attribute, whatever is in it.
    assert not [name for one in page.elements for name in one if '"' in name or "'" in name]


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)//", "//evil.example/", "data:text/html,", "lineage/", " /x"]
)
def test_an_address_of_lineage_is_a_web_address_or_a_path(address: str) -> None:
    with pytest.raises(ConfigurationError, match="no address of lineage"):
        report_to_html(small_report(), lineage_url=address)


def test_a_cell_id_is_quoted_in_an_address() -> None:
    assert lineage_link("/cells/", 'a/b c?"#') == "/cells/a/b%20c%3F%22%23"
    assert lineage_link("", "a") == ""


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        ("1234.5675", "tCO2e", "1,234.568"),
        ("1234.5665", "tCO2e", "1,234.566"),
        ("-0.0004", "tCO2e", "-0.000400"),
        ("0", "tCO2e", "0.000"),
        ("0.00000123456", "tCO2e", "0.00000123"),
        ("33.335", "%", "33.34"),
        ("2.0175e-6", "tCO2e/EUR", "0.0000020175"),
        ("3.32025", "tCO2e/EUR", "3.32025"),
        ("400000000", "EUR", "400,000,000.00"),
        ("7", "", "7"),
        ("123456789.987654321", "", "123,456,790"),
        ("0", "", "0"),
    ],
)
def test_figures_are_rounded_half_to_even_for_reading(value: str, unit: str, shown: str) -> None:
    assert read_figure(Decimal(value), unit) == shown
    assert decimals_shown(Decimal(value), unit) == len(shown.partition(".")[2])


def test_a_number_is_not_said_twice_above_a_table() -> None:
    assert heading("CDP-7.5", "7.5 Base year") == "7.5 Base year"
    assert heading("E1-6", "Gross scopes") == "E1-6 Gross scopes"
    assert heading("CDP-7.15", "5 gases") == "CDP-7.15 5 gases"


# ---- CSV


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_one_row_per_place_of_a_cell_and_every_cell() -> None:
    report = small_report()
    rows = rows_of(report_to_csv(report))
    assert list(rows[0]) == list(COLUMNS)
    assert {one["cell_id"] for one in rows} == set(report.cells())
    (share,) = [one for one in rows if one["cell_id"] == "small/share"]
    assert share["inputs"] == "small/scope_3 small/total"
    assert (share["scale"], share["unit"], share["row"]) == ("100", "%", "Share of scope 3")
    (freight,) = [one for one in rows if one["cell_id"] == "small/freight"]
    assert (freight["table"], freight["value"]) == ("", "0.0004")
    assert freight["dimensions"].endswith("; CountryAxis=DE")
    without = "evidence,informational,market"
    assert freight["selection"] == f"scopes=3; categories=4; without_bases={without}"
    for one in rows:
        cell = report.cells()[one["cell_id"]]
        if isinstance(cell.value, Decimal):
            assert Decimal(one["value"]) == cell.value


def test_csv_has_the_cells_behind_an_empty_place_of_a_row() -> None:
    report = small_report()
    table = report.tables[0]
    row = next(one for one in table.rows if len(one.cells) > 1)
    first, *others = (one.column_id for one in table.columns if one.column_id in row.cells)
    kept = {name: cell for name, cell in row.cells.items() if name != first}
    holed = replace(table, rows=(replace(row, cells=kept),))
    section = replace(report.sections[0], tables=(holed,))
    written = rows_of(report_to_csv(replace(report, sections=(section,))))
    placed = [one["cell_id"] for one in written if one["row"]]
    assert placed == [kept[name].cell_id for name in others]


def test_text_in_csv_is_no_formula_and_a_negative_figure_is_a_number() -> None:
    rows = rows_of(report_to_csv(hostile_report()))
    for one in rows:
        assert not any(text.startswith(("=", "+", "-", "@", "\t", "\r")) for text in one.values())
    assert "'=HYPERLINK(A1)" in {one["row"] for one in rows}
    (least,) = [
        one for one in rows_of(report_to_csv(small_report())) if one["cell_id"] == "small/least"
    ]
    assert least["value"].startswith("-1234.5")
