"""Both reports of the demo company's 2025, every cell, beside an oracle that shares no code with
the ledger, and beside plain SQL.

The events are committed by the sink without Kafka and a JVM (tests.support.company_books);
tests/stack/test_company_ledger.py goes the whole way and compares the same cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from click.testing import CliRunner

from carbon_assets.reports import cdp_7 as cdp_7_asset
from carbon_assets.reports import esrs_e1 as esrs_e1_asset
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.cube import Selection
from carbon_ledger.reporting.documents import FORMATS, document
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_json import report_from_json
from carbon_ledger.reporting.tables import Report
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.report_snapshots import find_snapshots
from cli.report_commands import report as report_command
from pipeline.sources import company, company_reference
from resources.database import LedgerDatabase as DatabaseResource
from scripts.demo_report_truth import cells_of, truth_of_reports
from scripts.demo_sums import Cells
from tests.support.company_books import YEAR, YEARS, CompanyBooks, company_books
from tests.support.demo_ledger import SEED
from tests.support.report_documents import with_cell
from tests.support.report_trail import Trail, entries_of
from tests.support.report_truth import PART, WITHOUT_FIGURE, PlainSql, differences

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

NAMES = ("esrs_e1", "cdp_7")


@pytest.fixture(scope="module")
def books(stack: Any) -> Iterator[CompanyBooks]:
    with company_books(stack) as found:
        yield found


def reports_of(books: CompanyBooks, year: int) -> dict[str, Report]:
    with books.database.reader() as conn:
        (inputs,) = read_report_inputs(
            conn, year, code_version="test", organization=company_reference.ORGANIZATION
        )
    return {"esrs_e1": esrs_e1(inputs), "cdp_7": cdp(inputs)}


def truth_of(year: int) -> dict[str, Cells]:
    known = [(one.stream, one.fields) for one in company.history(SEED, YEARS)]
    return truth_of_reports(known, company_reference.reference_rows(), year)


@pytest.fixture(scope="module")
def reports(books: CompanyBooks) -> dict[str, Report]:
    return reports_of(books, YEAR)


@pytest.fixture(scope="module")
def truth() -> dict[str, Cells]:
    return truth_of(YEAR)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_the_oracles(
    name: str, reports: dict[str, Report], truth: dict[str, Cells]
) -> None:
    assert differences(reports[name], truth[name]) == []
    figures = sum(figure is not None for figure in truth[name].values())
    assert figures > {"esrs_e1": 140, "cdp_7": 130}[name]


def test_every_cell_of_the_first_year_is_the_oracles(books: CompanyBooks) -> None:
    """Which has no year before it, so that nothing is said of a change."""
    made, expected = reports_of(books, YEARS[0]), truth_of(YEARS[0])
    for name in NAMES:
        assert differences(made[name], expected[name]) == []
        assert sum(figure is not None for figure in expected[name].values()) > 100


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_what_plain_sql_adds_up(
    name: str, reports: dict[str, Report], books: CompanyBooks
) -> None:
    with books.database.reader() as conn:
        sums = PlainSql(conn=conn, organization=company_reference.ORGANIZATION)
        expected = cells_of(sums, company_reference.reference_rows(), YEAR)[name]
    assert differences(reports[name], expected) == []


def test_every_line_of_the_company_is_in_its_own_inventory(books: CompanyBooks) -> None:
    """Legs and trips of a carrier that named no site were nobody's, and in no report."""
    found = books.rows("select organization_id, count(*) > 4000 from ledger.entry group by 1")
    assert found == [(company_reference.ORGANIZATION, True)]


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_without_a_figure_is_named_once_and_has_none(
    name: str, reports: dict[str, Report], truth: dict[str, Cells]
) -> None:
    prefix = {"esrs_e1": "E1", "cdp_7": "CDP"}[name]
    for pattern in WITHOUT_FIGURE:
        if not pattern.startswith(prefix):
            continue
        named = [one for one in reports[name].cells() if re.fullmatch(pattern, one)]
        assert named, f"{pattern} names no cell"
        assert not set(named) & truth[name].keys()


def test_a_planted_fault_in_a_report_is_seen(
    reports: dict[str, Report], truth: dict[str, Cells]
) -> None:
    report, expected = reports["esrs_e1"], truth["esrs_e1"]
    last = Decimal("0.000000000000001")
    for cell_id in ("E1-6/scope_2_market/current", "E1-5/natural_gas/comparative"):
        value = report.cells()[cell_id].value
        assert isinstance(value, Decimal)
        (said,) = differences(with_cell(report, cell_id, value=value + last), expected)
        assert said.startswith(f"{cell_id} is ")
    empty = "E1-6/screening/category_15/figure"
    (said,) = differences(with_cell(report, empty, value=Decimal(0)), expected)
    assert said == f"{empty} is 0, expected nothing"
    (said,) = differences(report, {**expected, "E1-6/category_16/current": None})
    assert said == "E1-6/category_16/current is not there"
    fewer = {name: one for name, one in expected.items() if name != "E1-6/scope_1/current"}
    (said,) = differences(report, fewer)
    assert said.endswith("and nobody says what it must be")
    (said,) = differences(with_cell(report, "E1-7/planned", value=Decimal(7)), expected)
    assert said.startswith("E1-7/planned is 7, but: ")
    assert all(
        re.fullmatch(r".*part/.*|.*market.*|.*generated.*", one)
        for one, why in WITHOUT_FIGURE.items()
        if why == PART
    )


def test_a_planted_fault_in_the_ledger_is_seen_by_plain_sql(
    books: CompanyBooks, reports: dict[str, Report]
) -> None:
    """The sums are of the entries that the report is of, and of no fewer."""
    with books.database.reader() as conn:
        sums = PlainSql(conn=conn, organization=company_reference.ORGANIZATION)
        row = conn.execute(
            "select recorded_at from ledger.entry where organization_id = %s"
            " order by recorded_at limit 1",
            (company_reference.ORGANIZATION,),
        ).fetchone()
        assert row is not None
        early = replace(sums, recorded_by=row[0], known={})
        found = cells_of(early, company_reference.reference_rows(), YEAR)["esrs_e1"]
    said = differences(reports["esrs_e1"], found)
    assert any(one.startswith("E1-6/category_01/current is ") for one in said)


def test_every_cell_leads_to_entries_that_add_up_to_it_again(
    reports: dict[str, Report], books: CompanyBooks
) -> None:
    """And a figure that was changed, or made of another part, does not."""
    planted = {"esrs_e1": "E1-6/total_market/current", "cdp_7": "CDP-7.15.1/CO2/scope_1"}
    behind: dict[tuple[int, Selection], list[UUID]] = {}
    with books.database.reader() as conn:
        entries = entries_of(conn)
        for name, report in reports.items():
            trail = Trail(conn=conn, report=report, entries=entries, behind=behind)
            assert trail.followed() == []
            cell_id = planted[name]
            cell = report.cells()[cell_id]
            assert isinstance(cell.value, Decimal)
            for changes in ({"value": cell.value + Decimal("1e-15")}, {"inputs": cell.inputs[1:]}):
                wrong = with_cell(report, cell_id, **changes)
                again = Trail(conn=conn, report=wrong, entries=entries, behind=behind)
                assert any(one.startswith(f"{cell_id} is ") for one in again.followed())
        row = conn.execute(
            "select count(*) from ledger.active_entry where scope = 3"
            " and basis not in ('evidence', 'informational', 'market')"
            " and extract(year from local_date) = %s",
            (YEAR,),
        ).fetchone()
    whole = Selection(scopes=(3,), without_bases=("evidence", "informational", "market"))
    assert row == (len(behind[YEAR, whole]),)


def test_what_a_schedule_makes_and_what_is_made_by_hand_is_one_text(
    books: CompanyBooks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The assets keep it, `carbon report` makes it again as of the same moment."""
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", books.database.writer_url)
    monkeypatch.setenv("CARBON_DATABASE_READER_URL", books.database.reader_url)
    monkeypatch.setenv("CARBON_ORGANIZATIONS", "*")
    done = dg.materialize(
        [esrs_e1_asset, cdp_7_asset],
        partition_key=str(YEAR),
        resources={"database": DatabaseResource()},
    )
    assert done.success
    checks = {one.check_name: one.passed for one in done.get_asset_check_evaluations()}
    assert set(checks.values()) == {True}, checks
    with books.database.reader() as conn:
        for name, command in (("esrs_e1", "esrs-e1"), ("cdp", "cdp")):
            (kept,) = find_snapshots(conn, report=name, fiscal_year=YEAR)
            words = (command, "--year", str(YEAR), "--as-of", kept.as_of.isoformat())
            made = CliRunner().invoke(report_command, [*words, "--format", "json"])
            assert made.exit_code == 0, made.output
            assert made.stdout.encode().rstrip(b"\n") == kept.content.encode().rstrip(b"\n")
            by_text = report_from_json(made.stdout)
            # Pages and sheets of what is kept lead to its own trail; facts are of ESRS alone.
            leading = {"html", "xlsx"}
            for form in leading:
                assert document(by_text, form) == document(kept.opened(), form)
            without = leading if name == "esrs_e1" else {*leading, "xbrl-json"}
            for form in sorted(FORMATS.keys() - without):
                by_hand, shown = tmp_path / f"{name}.{form}", tmp_path / f"{name}.kept.{form}"
                for call, file in ((words, by_hand), (("show", str(kept.snapshot_id)), shown)):
                    written = [*call, "--format", form, "--out", str(file)]
                    assert CliRunner().invoke(report_command, written).exit_code == 0
                assert by_hand.read_bytes() == shown.read_bytes() != b"", (name, form)
