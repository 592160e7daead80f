"""Figures that were reported and are others now: old, new, and the lines that made the change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.entries import EntryRow, reversal_of
from carbon_ledger.reference.files import parse
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.documents import document
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.report_json import report_to_json
from carbon_ledger.store.period_status import reproduction_faults
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.report_inputs import read_report_inputs
from tests.support.closing import approve, close, decide, late, post
from tests.support.postgres import Connection, LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack

STATED = """
disclosure:
  - {organization_id: default, subject: base_year, item: "2024", source: plan,
     valid_from: 2025-01-01, valid_to: 2026-01-01}
  - {organization_id: default, subject: explanation, item: "restated 2024", source: note 7,
     text: "a meter was read twice", valid_from: 2025-01-01, valid_to: 2026-01-01}
"""
TWICE = reading(1, quantity=Decimal(10), kgco2e=Decimal("3.8"))


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    """A ledger with 41.8 kgCO2e by location in 2024, of two readings, and 5 kg in 2025."""
    with scratch_database(stack.layout.database_url) as found:
        with closing(found.writer(autocommit=True)) as conn:
            post(conn, reading(0, quantity=Decimal(100), kgco2e=Decimal(38)), TWICE)
            post(conn, next_year(2))
        yield found


@pytest.fixture
def conn(database: LedgerDatabase) -> Iterator[Connection]:
    with closing(database.writer(autocommit=True)) as connection:
        yield connection


def next_year(number: int) -> EntryRow:
    return reading(number, occurred_from=datetime(2025, 3, 1, tzinfo=UTC), kgco2e=Decimal(5))


def inputs(conn: Connection, year: int = 2025, as_of: datetime | None = None) -> ReportInputs:
    (found,) = read_report_inputs(conn, year, as_of=as_of, code_version="test")
    return found


def words(given: ReportInputs) -> str:
    (said,) = [one.text for one in esrs_e1(given).statements if one.heading == "Restatements"]
    return said


def test_the_next_report_shows_old_and_new_and_the_lines_that_made_the_change(
    database: LedgerDatabase, conn: Connection
) -> None:
    assert "there is nothing to compare with" in words(inputs(conn))
    close(database, conn)
    before = knowledge_horizon(conn)
    assert "there is nothing to compare with" in words(inputs(conn))
    approve(conn, decide(conn, "reported"))
    assert words(inputs(conn)) == "No figure that was reported before has changed."
    with closing(database.writer(autocommit=True)) as writer:
        apply_statements(
            writer,
            parse({"s.yaml": STATED}).stated,
            source="s.yaml",
            source_sha256=bytes(32),
        )
    post(conn, late("1.25"))
    post(conn, reversal_of(TWICE, recorded_at=datetime.now(UTC), cause="double count"))

    given = inputs(conn)
    report = esrs_e1(given)
    table = report.table("Restatements")
    for cell_id in ("E1-6/scope_2_location/comparative", "E1-6/scope_2_location/base_year"):
        assert table.cell(cell_id, "old").value == Decimal("0.0418")
        assert table.cell(cell_id, "new").value == Decimal("0.03925")
        assert table.cell(cell_id, "difference").value == Decimal("-0.00255")
        cause = str(table.cell(cell_id, "cause").value)
        assert "correction: double count: 1 line, -0.0038 tCO2e (entries " in cause
        assert "late entries: 1 line, +0.00125 tCO2e (entries " in cause
        assert cause.endswith("; a meter was read twice")
    # A total is of what its parts are of; what did not move is no row.
    assert "double count" in str(table.cell("E1-6/total_location/comparative", "cause").value)
    assert not [row for row in table.rows if "scope_1" in row.row_id]
    assert "reported 0.0418, now 0.03925 (-0.00255) tCO2e" in words(given)
    # The entries that are named are the lines.
    ids = {str(row[0]) for row in conn.execute(
        "select entry_id from ledger.entry where kgco2e in (1.25, -3.8)"
    )}  # fmt: skip
    assert len(ids) == 2
    assert all(one in cause for one in ids)

    facts = json.loads(document(report, "xbrl-json"))["facts"].values()
    previously = [
        one["value"]
        for one in facts
        if one["dimensions"].get("esrs:ReportingScopeAxis") == "esrs:PreviouslyStatedMember"
        and one["dimensions"]["concept"] == "esrs:GrossLocationBasedScope2GreenhouseGasEmissions"
    ]
    assert set(previously) == {"0.0418"}

    past = cdp(given).table("Restatements")
    assert past.cell("CDP-7.7/past_year_1/scope_2_location", "old").value == Decimal("0.0418")
    # As known before it was reported, the report is what it was.
    assert "there is nothing to compare with" in words(inputs(conn, as_of=before))


def test_a_year_that_is_reported_again_says_what_it_was_reported_with(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    approve(conn, decide(conn, "reported"))
    post(conn, late("10"))
    approve(conn, decide(conn, "reopened"))
    close(database, conn)
    again = approve(conn, decide(conn, "reported"))
    report = esrs_e1(inputs(conn, 2024, again.as_of))
    row = report.table("Restatements")
    assert row.cell("E1-6/scope_2_location/current", "old").value == Decimal("0.0418")
    assert row.cell("E1-6/scope_2_location/current", "new").value == Decimal("0.0518")
    # Both are bound, each is made again to the byte, and a later one compares with the newest.
    assert reproduction_faults(conn) == []
    post(conn, late("1", 501))
    table = esrs_e1(inputs(conn)).table("Restatements")
    assert table.cell("E1-6/scope_2_location/comparative", "old").value == Decimal("0.0518")
    assert report_to_json(esrs_e1(inputs(conn, 2024, again.as_of))) == report_to_json(report)


def test_a_late_entry_of_a_year_that_two_reports_show_is_told_once(
    database: LedgerDatabase, conn: Connection
) -> None:
    """Two years in a row were reported: both bound reports show scope 2 of the first."""
    for year in ("2024", "2025"):
        close(database, conn, year)
        approve(conn, decide(conn, "reported", year))
    assert words(inputs(conn)) == "No figure that was reported before has changed."
    post(conn, late("1.25"))
    row_id = "E1-6/scope_2_location/comparative"
    table = esrs_e1(inputs(conn)).table("Restatements")
    assert [row.label for row in table.rows if row.row_id == row_id] == [f"2025 {row_id}"]
    assert table.cell(row_id, "old").value == Decimal("0.0418")
    assert "late entries: 1 line, +0.00125 tCO2e" in str(table.cell(row_id, "cause").value)
    answers = cdp(inputs(conn)).table("Restatements")
    past = "CDP-7.7/past_year_1/scope_2_location"
    assert [row.label for row in answers.rows if row.row_id == past] == [f"2025 {past}"]
    facts = json.loads(document(esrs_e1(inputs(conn)), "xbrl-json"))["facts"]
    old = facts["c.restated.E1-6.scope_2_location.comparative.old"]["dimensions"]
    assert old["period"] == "2024-01-01T00:00:00/2025-01-01T00:00:00"


def test_a_figure_that_moved_without_an_entry_says_so(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    approve(conn, decide(conn, "reported"))
    with closing(database.admin()) as admin:
        admin.execute("alter table ledger.entry disable trigger all")
        admin.execute("update ledger.entry set kgco2e = kgco2e + 1 where kgco2e = 38")
    table = esrs_e1(inputs(conn)).table("Restatements")
    cause = str(table.cell("E1-6/scope_2_location/comparative", "cause").value)
    assert cause.startswith("no entry it was made of moved")


OTHER_BASE_YEAR = """
disclosure:
  - {organization_id: other, subject: base_year, item: "2024", source: plan,
     valid_from: 2026-01-01, valid_to: 2027-01-01}
"""


def test_an_organization_s_report_does_not_depend_on_the_base_years_of_others(
    database: LedgerDatabase, conn: Connection
) -> None:
    """2024 was reported, and is the base year of somebody else alone."""
    close(database, conn)
    approve(conn, decide(conn, "reported"))
    with closing(database.writer(autocommit=True)) as writer:
        apply_statements(
            writer,
            parse({"s.yaml": OTHER_BASE_YEAR}).stated,
            source="s.yaml",
            source_sha256=bytes(32),
        )
    ours = reading(3, occurred_from=datetime(2026, 3, 1, tzinfo=UTC), kgco2e=Decimal(7))
    theirs = reading(4, occurred_from=datetime(2026, 4, 1, tzinfo=UTC))
    post(conn, ours, replace(theirs, organization_id="other"))
    as_of = knowledge_horizon(conn)
    every = read_report_inputs(conn, 2026, as_of=as_of, code_version="test")
    alone = [
        *read_report_inputs(conn, 2026, as_of=as_of, code_version="test", organization="default"),
        *read_report_inputs(conn, 2026, as_of=as_of, code_version="test", organization="other"),
    ]
    assert [one.base_year for one in every] == [None, 2024]
    assert "there is nothing to compare with" in words(every[0])
    assert sorted(every[0].cubes) == [2025, 2026]
    for make in (esrs_e1, cdp):
        assert [report_to_json(make(one)) for one in every] == [
            report_to_json(make(one)) for one in alone
        ]
