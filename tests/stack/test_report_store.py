"""Reports from a real ledger: their inputs, the entries behind a cell, and what is kept of them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result

from carbon_ledger.entries import EntryRow, reversal_of
from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.policy import Policy
from carbon_ledger.reference.files import parse
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.cube import SCOPE_2_LOCATION, category
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_json import report_to_json
from carbon_ledger.reporting.tables import Report
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.report_inputs import entries_behind, read_report_inputs
from carbon_ledger.store.report_snapshots import (
    find_snapshots,
    gross_faults,
    keep_report,
    read_snapshot,
)
from cli.report_commands import report as report_command
from tests.support.entries_posted import known_at, line, post
from tests.support.postgres import Connection, LedgerDatabase, scratch_database

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

STATED = """
entity:
  - {entity_id: acme, organization_id: default, kind: parent}
revenue:
  - {entity_id: acme, amount: 1000, currency: EUR, valid_from: 2024-01-01, valid_to: 2025-01-01}
disclosure:
  - {organization_id: default, subject: base_year, item: "2023", source: plan,
     valid_from: 2024-01-01, valid_to: 2025-01-01}
  - {organization_id: default, subject: category_excluded, item: "7", text: small, source: plan,
     valid_from: 2024-01-01, valid_to: 2025-01-01}
  - {organization_id: other, subject: base_year, item: "2020", source: plan,
     valid_from: 2024-01-01, valid_to: 2025-01-01}
"""


LINES = (
    line(0, "1000"),
    line(1, "250.5", country_iso2="FR"),
    line(2, "800", basis="market", stream="period_postings", activity_type="electricity:market"),
    line(3, "70.25", scope=1, activity_type="fuel:natural_gas", kg_co2_biogenic=Decimal("0.5")),
    line(4, "300", scope=3, category=1, primary_share=Decimal("0.25"), stream="procurement"),
    line(5, "40", scope=3, category=7, stream="activities"),
    line(6, "5", scope=1, other_gases={"SF6": "0.001000000000"}, gas_split="available"),
    line(7, "77", organization_id="other"),
    line(8, "900", occurred_from=datetime(2023, 6, 1, tzinfo=UTC)),
)


@pytest.fixture(scope="module")
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        post(found, list(LINES))
        with found.writer(autocommit=True) as conn:
            stated = parse({"stated.yaml": STATED})
            assert not stated.faults, stated.faults
            apply_statements(conn, stated.stated, source="stated.yaml", source_sha256=bytes(32))
        yield found


def made(conn: Connection, as_of: datetime | None = None, year: int = 2024) -> Report:
    found = read_report_inputs(conn, year, as_of=as_of, code_version="test", organization="default")
    assert len(found) == 1
    return esrs_e1(found[0])


def value(report: Report, row_id: str, column: str = "current") -> Any:
    return report.table("E1-6").cell(row_id, column).value


def test_figures_are_those_of_the_organization_and_year_and_of_what_it_states(
    database: LedgerDatabase,
) -> None:
    with database.reader() as conn:
        report = made(conn)
        both = read_report_inputs(conn, 2024, code_version="test")
    assert [one.organization_id for one in both] == ["default", "other"]
    assert value(report, "scope_1") == Decimal("0.07525")
    assert value(report, "scope_2_location") == Decimal("1.2505")
    assert value(report, "scope_2_market") == Decimal("0.8")
    assert value(report, "scope_3") == Decimal("0.3")  # category 7 is left out, with its reason
    assert value(report, "total_location") == Decimal("1.62575")
    assert value(report, "scope_2_location", "base_year") == Decimal("0.9")
    assert value(report, "scope_2_location", "comparative") == Decimal("0.9")
    beside = report.table("E1-6-beside")
    assert beside.cell("primary_share", "value").value == Decimal(25)
    assert beside.cell("biogenic_scope_1", "value").value == Decimal("0.0005")
    assert report.table("E1-6-intensity").cell("location", "value").value == Decimal("0.00162575")
    (gas,) = [row for row in both[0].cubes[2024] if row.other_gases]
    assert gas.other_gases == (("SF6", Decimal("0.001")),)
    assert both[1].base_year == 2020


def test_the_entries_behind_a_cell_add_up_to_it(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        report = made(conn)
        for cell in report.cells().values():
            if cell.operation != "entries" or cell.measure != "kgco2e":
                continue
            assert cell.selection is not None
            found = list(
                entries_behind(conn, "default", cell.year or 0, cell.selection, report.as_of)
            )
            assert len(found) == cell.entries
            assert sum(one.kgco2e for one in found) * cell.scale == cell.value
        few = entries_behind(conn, "default", 2024, SCOPE_2_LOCATION, report.as_of, limit=1)
        assert len(list(few)) == 1
        assert not list(entries_behind(conn, "default", 2024, category(9), report.as_of))


def test_a_report_of_a_past_moment_is_the_same_text_after_a_correction(
    database: LedgerDatabase,
) -> None:
    with database.reader() as conn:
        before = made(conn)
    back = reversal_of(
        known_at(LINES[0], _recorded(database, LINES[0])),
        recorded_at=datetime.now(UTC),
        cause="correction:test",
    )
    moment = post(database, [back])
    with database.reader() as conn:
        assert value(made(conn), "scope_2_location") == Decimal("0.2505")
        assert report_to_json(made(conn, before.as_of)) == report_to_json(before)
        with pytest.raises(ConfigurationError, match="not final yet"):
            made(conn, moment + timedelta(days=1))


def test_a_report_has_the_potentials_of_its_entries_whatever_the_setting_says_today(
    database: LedgerDatabase,
) -> None:
    with database.reader() as conn:
        before = made(conn)
        again = [
            read_report_inputs(
                conn,
                2024,
                as_of=before.as_of,
                code_version="test",
                policy=Policy(gwp_set=setting),
                organization="default",
            )
            for setting in ("AR4", "AR5", "AR6")
        ]
    assert {one.policy.gwp_set for (one,) in again} == {"AR5"}
    assert {report_to_json(esrs_e1(one)) for (one,) in again} == {report_to_json(before)}
    assert len({report_to_json(cdp(one)) for (one,) in again}) == 1


def _recorded(database: LedgerDatabase, row: EntryRow) -> datetime:
    with database.reader() as conn:
        found = conn.execute(
            "select recorded_at from ledger.entry where entry_id = %s", (row.entry_id,)
        ).fetchone()
    assert found is not None
    return found[0]  # type: ignore[no-any-return]


def test_what_is_kept_is_the_report_and_a_changed_text_is_seen(database: LedgerDatabase) -> None:
    snapshot_id = uuid4()
    with database.writer(autocommit=True) as conn:
        report = made(conn)
        keep_report(conn, report, snapshot_id=snapshot_id, run_id="run")
        with pytest.raises(psycopg.errors.UniqueViolation):
            keep_report(conn, report, snapshot_id=snapshot_id, run_id="run")
        with pytest.raises(ConfigurationError, match="no report"):
            read_snapshot(conn, uuid4())
    with database.reader() as conn:
        kept = read_snapshot(conn, snapshot_id)
        assert kept.opened() == report
        assert [one.snapshot_id for one in find_snapshots(conn, report="esrs_e1")] == [snapshot_id]
        assert find_snapshots(conn, report="esrs_e1", organization="other") == []
        cells = conn.execute(
            "select count(*), count(*) filter (where table_id = '') from reports.cell"
            " where snapshot_id = %s",
            (snapshot_id,),
        ).fetchone()
        assert cells == (len(report.cells()), len(report.cells()) - _shown(report))
    with pytest.raises(BrokenInvariant, match="not the text it was kept as"):
        replace(kept, content=kept.content.replace("0.8", "0.9")).opened()


def _shown(report: Report) -> int:
    return len({cell.cell_id for table in report.tables for cell in table.cells()})


def test_gross_figures_are_compared_with_plain_sums_and_a_wrong_one_is_named(
    database: LedgerDatabase, tmp_path: Path
) -> None:
    right, wrong = uuid4(), uuid4()
    with database.writer(autocommit=True) as conn:
        report = made(conn)
        keep_report(conn, report, snapshot_id=right, run_id="run")
        cell = report.cells()["E1-6/category_01/current"]
        (section,) = [one for one in report.sections if cell.cell_id in one.cells]
        cells = {**section.cells, cell.cell_id: replace(cell, value=Decimal("0.4"))}
        planted = replace(report, sections=(replace(section, cells=cells),))
        keep_report(conn, planted, snapshot_id=wrong, run_id="run")
        assert gross_faults(conn, right) == []
        assert gross_faults(conn, wrong) == [
            "E1-6/category_01/current says 0.4 tCO2e, its entries add up to 0.300000000000000"
        ]
        lost = uuid4()
        fewer = {name: one for name, one in section.cells.items() if name != cell.cell_id}
        planted = replace(report, sections=(replace(section, tables=(), cells=fewer),))
        keep_report(conn, planted, snapshot_id=lost, run_id="run")
        assert gross_faults(conn, lost) == [
            "category_01 says nothing tCO2e, its entries add up to 0.300000000000000"
        ]


def test_the_commands_make_keep_list_and_lead_to_entries(
    database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    monkeypatch.setenv("CARBON_DATABASE_READER_URL", database.reader_url)
    monkeypatch.setenv("CARBON_ORGANIZATIONS", "*")

    def carbon(*words: str) -> Result:
        return CliRunner().invoke(report_command, list(words))

    file = tmp_path / "report.json"
    wanted = ("esrs-e1", "--year", "2024", "--organization", "default", "--format", "json")
    done = carbon(*wanted, "--keep", "--out", str(file))
    assert done.exit_code == 0, done.output
    snapshot = done.stderr.splitlines()[0].rpartition(" ")[2]
    kept = json.loads(carbon("list", "--json").stdout)
    assert snapshot in {one["snapshot_id"] for one in kept}
    assert carbon("show", snapshot, "--format", "json").stdout == file.read_text()
    assert "Gross location-based scope 2" in carbon("show", snapshot).stdout

    cell = json.loads(carbon("cell", snapshot, "E1-6/scope_1/current", "--json").stdout)
    assert (cell["value"], cell["entries"]) == ("0.07525", 2)
    assert {one["event_id"] for one in cell["behind"]} == {"t:3#0", "t:6#0"}
    total = carbon("cell", snapshot, "E1-6/total_location/current").stdout
    assert "E1-6/scope_1/current: 0.07525 tCO2e" in total
    few = carbon("cell", snapshot, "E1-6/scope_1/current", "--entries", "1").stdout
    assert "1 more; --entries shows them." in few

    page = tmp_path / "report.html"
    assert carbon("show", snapshot, "--format", "html", "--out", str(page)).exit_code == 0
    assert "0.07525" in page.read_text()
    linked = f'href="http://127.0.0.1:8000/review/reports/{snapshot}/cells/E1-6/scope_1/current"'
    assert linked in page.read_text()
    monkeypatch.setenv("CARBON_REVIEW_URL", "-")
    assert carbon("show", snapshot, "--format", "html", "--out", str(page)).exit_code == 0
    assert "/review/" not in page.read_text()
    monkeypatch.delenv("CARBON_REVIEW_URL")
    assert carbon("esrs-e1", *wanted[1:-1], "html", "--out", str(page)).exit_code == 0
    assert "/review/reports/esrs_e1.2024.20" in page.read_text()
    book = tmp_path / "report.xlsx"
    assert carbon("show", snapshot, "--format", "xlsx", "--out", str(book)).exit_code == 0
    assert zipfile.is_zipfile(book)
    facts = json.loads(carbon("show", snapshot, "--format", "xbrl-json").stdout)["facts"]
    assert "0.07525" in {one["value"] for one in facts.values()}
    questions = carbon(*("cdp", *wanted[1:-1], "table")).stdout
    assert "7.6" in questions
    assert json.loads(carbon("diff", snapshot, snapshot, "--json").stdout) == {
        "cells": [],
        "texts": [],
    }

    for words, said in (
        (("show", snapshot, "--format", "xlsx"), "--out FILE.xlsx writes it"),
        (("cell", snapshot, "scope_1"), "there are E1-6/scope_1/"),
        (("esrs-e1", "--year", "2011"), "no entries of 2011"),
        (("esrs-e1", "--year", "2024", "--out", str(file)), "is one of default, other"),
        (("esrs-e1", "--year", "2024", "--profile", "x"), "valid are esrs_2023"),
        (("esrs-e1", "--year", "2024", "--as-of", "2099-01-01"), "not final yet"),
    ):
        refused = carbon(*words)
        assert refused.exit_code != 0
        assert said in str(refused.exception)
