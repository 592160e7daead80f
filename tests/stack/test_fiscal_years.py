"""Fiscal years from April to March beside calendar years, in one ledger: figures, trail, close."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from carbon_ledger.entries import EntryRow
from carbon_ledger.policy import Policy
from carbon_ledger.reference.files import parse
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_json import report_to_json
from carbon_ledger.reporting.report_xbrl import report_to_xbrl_json
from carbon_ledger.reporting.tables import Report
from carbon_ledger.store.period_reports import bound_reports
from carbon_ledger.store.period_status import reproduction_faults, statuses
from carbon_ledger.store.periods import approve, changes_of, decide, which_period
from carbon_ledger.store.reference import Applied, FaultyFile, apply_statements, fiscal_years
from carbon_ledger.store.report_inputs import entries_behind, read_report_inputs
from carbon_ledger.store.report_schedules import coming_reports, due_reports
from carbon_ledger.store.report_snapshots import gross_faults, keep_report, read_snapshot
from carbon_ledger.store.report_trail import reports_reached
from carbon_ledger.store.reports import build_esrs_e1
from carbon_ledger.store.restatements import base_year_totals
from carbon_ledger.store.trace import cell_entries, cells_of_entry
from carbon_ledger.store.upkeep import report_faults, years_to_report
from cli.period_commands import period as period_command
from cli.reference_commands import reference as reference_command
from tests.support.closing import CONTROLLER, HEAD, NOW, POLICY, seal
from tests.support.entries_posted import line, post
from tests.support.postgres import Connection, LedgerDatabase, scratch_database

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

# `default` reports from April to March, `other` by calendar years.
STATED = """
entity:
  - {entity_id: acme, organization_id: default, kind: parent, fiscal_year_first_month: 4}
  - {entity_id: acme-jp, organization_id: default, kind: associate, fiscal_year_first_month: 7}
  - {entity_id: mate, organization_id: other, kind: parent}
ownership:
  - {entity_id: acme-jp, parent_id: acme, equity_share: 0.3, financial_control: no,
     operational_control: no}
revenue:
  - {entity_id: acme, amount: 1000, currency: EUR, valid_from: 2025-04-01, valid_to: 2026-04-01}
  - {entity_id: acme, amount: 7, currency: EUR, valid_from: 2024-01-01, valid_to: 2025-01-01}
disclosure:
  - {organization_id: default, subject: base_year, item: "2024", source: plan,
     valid_from: 2025-04-01, valid_to: 2026-04-01}
"""
DAYS = (
    *(date(2023, 3, 31), date(2023, 4, 1), date(2023, 12, 31), date(2024, 3, 31)),
    *(date(2024, 4, 1), date(2024, 12, 31), date(2025, 1, 1), date(2025, 3, 31)),
    *(date(2025, 4, 1), date(2025, 9, 30), date(2025, 12, 31), date(2026, 1, 1)),
    *(date(2026, 3, 31), date(2026, 4, 1), date(2026, 5, 2)),
)
KINDS: tuple[dict[str, Any], ...] = (
    {"scope": 1, "activity_type": "fuel:natural_gas"},
    {"scope": 2},
    {"scope": 3, "category": 1, "stream": "activities"},
)


def lines() -> list[EntryRow]:
    """A line of each scope, day and organization, no two of one size."""
    found: list[EntryRow] = []
    for organization in ("default", "other"):
        for day in DAYS:
            # Its local day is another than that of the moment in UTC.
            moment = datetime(day.year, day.month, day.day, 3, tzinfo=UTC) + timedelta(days=1)
            for kind in KINDS:
                number = len(found)
                kg = f"{(number + 1) ** 2}.125"
                found.append(
                    line(
                        number,
                        kg,
                        organization_id=organization,
                        occurred_from=moment,
                        local_date=day,
                        **kind,
                    )
                )
    return found


LINES = lines()


def state(conn: Connection, text: str) -> Applied:
    stated = parse({"stated.yaml": text})
    assert not stated.faults, stated.faults
    return apply_statements(conn, stated.stated, source="stated.yaml", source_sha256=bytes(32))


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        with closing(found.writer(autocommit=True)) as conn:
            state(conn, STATED)
        post(found, LINES)
        yield found


@pytest.fixture
def conn(database: LedgerDatabase) -> Iterator[Connection]:
    with closing(database.writer(autocommit=True)) as connection:
        yield connection


def made(conn: Connection, year: int, organization: str = "default", **given: Any) -> Report:
    (found,) = read_report_inputs(
        conn, year, code_version="test", organization=organization, **given
    )
    return esrs_e1(found)


def plain_sum(conn: Connection, organization: str, scope: int, begin: str, end: str) -> Decimal:
    """tCO2e of a scope over local dates, the last one included, by plain SQL."""
    row = conn.execute(
        "select sum(kgco2e) / 1000 from ledger.entry where organization_id = %s and scope = %s"
        " and local_date between %s and %s",
        (organization, scope, begin, end),
    ).fetchone()
    assert row is not None
    assert row[0]
    return Decimal(row[0])


SPANS = {
    ("default", "current"): ("2025-04-01", "2026-03-31"),
    ("default", "comparative"): ("2024-04-01", "2025-03-31"),
    ("default", "base_year"): ("2023-04-01", "2024-03-31"),
    ("other", "current"): ("2026-01-01", "2026-12-31"),
    ("other", "comparative"): ("2025-01-01", "2025-12-31"),
}


def test_every_column_is_the_sum_over_the_local_dates_of_the_organization_s_own_year(
    conn: Connection,
) -> None:
    both = {one.organization_id: one for one in read_report_inputs(conn, 2026, code_version="test")}
    assert list(both) == ["default", "other"]
    for (organization, column), span in SPANS.items():
        report = esrs_e1(both[organization])
        assert report == made(conn, 2026, organization, as_of=report.as_of)
        table = report.table("E1-6")
        for scope, row_id in ((1, "scope_1"), (2, "scope_2_location"), (3, "scope_3")):
            assert table.cell(row_id, column).value == plain_sum(conn, organization, scope, *span)
    mine = both["default"]
    assert (mine.period_begin, mine.period_end) == (date(2025, 4, 1), date(2026, 4, 1))
    assert mine.base_year == 2024
    # Revenue of the fiscal year, not of the calendar year of its name.
    assert {year: one.amount for year, one in mine.revenues.items()} == {2026: Decimal(1000)}
    assert (both["other"].period_begin, both["other"].period_end) == (
        date(2026, 1, 1),
        date(2027, 1, 1),
    )


def test_documents_have_the_days_of_the_year_and_of_the_years_beside_it(conn: Connection) -> None:
    report = made(conn, 2026)
    facts = json.loads(report_to_xbrl_json(report))["facts"]
    for column, (begin, end) in {
        column: (span[0], date.fromisoformat(span[1]) + timedelta(days=1))
        for (organization, column), span in SPANS.items()
        if organization == "default"
    }.items():
        fact = facts[f"c.E1-6.scope_1.{column}"]
        assert fact["dimensions"]["period"] == f"{begin}T00:00:00/{end}T00:00:00"
    from carbon_ledger.reporting.documents import document

    assert b"2026 (2025-04-01 to 2026-03-31)" in document(report, "html")
    assert json.loads(report_to_json(report))["report"]["period_begin"] == "2025-04-01"
    (inputs,) = read_report_inputs(conn, 2026, code_version="test", organization="default")
    answers = cdp(inputs)
    assert (answers.period_begin, answers.period_end) == (date(2025, 4, 1), date(2026, 4, 1))
    ends = {cell.value for name, cell in answers.cells().items() if name.endswith("/base_year_end")}
    assert ends == {"2024-03-31"}


def test_a_cell_leads_to_its_entries_and_an_entry_to_the_reports_it_is_in(
    conn: Connection,
) -> None:
    report = made(conn, 2026)
    snapshot_id = uuid4()
    keep_report(conn, report, snapshot_id=snapshot_id, run_id="test")
    assert gross_faults(conn, snapshot_id) == []
    for column in ("current", "comparative", "base_year"):
        cell = report.table("E1-6").cell("scope_1", column)
        assert cell.selection is not None
        found = list(entries_behind(conn, "default", cell.year or 0, cell.selection, report.as_of))
        assert sum(one.kgco2e for one in found) * cell.scale == cell.value
        begin, end = SPANS["default", column]
        assert {begin <= one.local_date.isoformat() <= end for one in found} == {True}
    for row in LINES:
        cells = [
            cell.cell_id
            for reached in reports_reached(conn, row, None, limit=10)
            for cell in reached.cells
            if cell.cell_id in {f"E1-6/scope_1/{column}" for _, column in SPANS}
        ]
        day = row.local_date.isoformat()
        expected = [
            f"E1-6/scope_1/{column}"
            for (organization, column), (begin, end) in SPANS.items()
            if (organization, row.organization_id, row.scope) == ("default", "default", 1)
            and begin <= day <= end
        ]
        assert cells == expected, row


def test_rows_of_scope_2_are_of_each_organization_s_year_and_lead_to_it(conn: Connection) -> None:
    rows = build_esrs_e1(conn, 2026, snapshot_id=uuid4(), run_id="t", code_version="t")
    totals = {one.organization_id: one.value for one in rows if one.country_iso2 == ""}
    assert totals == {
        name: plain_sum(conn, name, 2, *SPANS[name, "current"]) for name in ("default", "other")
    }
    assert report_faults(conn, rows[0].snapshot_id) == []
    for row in (one for one in LINES if one.scope == 2):
        cells = [one for one in cells_of_entry(conn, row) if one.country_iso2 == ""]
        begin, end = SPANS[row.organization_id, "current"]
        assert bool(cells) == (begin <= row.local_date.isoformat() <= end), row
        for cell in cells:
            _, _, kgco2e = cell_entries(conn, cell, limit=1)
            assert kgco2e / 1000 == cell.value


def test_the_database_and_the_register_agree_on_every_day(conn: Connection) -> None:
    register = fiscal_years(conn)
    asked = conn.execute(
        "select o.name, d::date, ledger.fiscal_year(d::date, f.first_month)"
        " from unnest(array['default', 'other', 'nobody']) o (name)"
        " cross join generate_series('2024-01-01'::date, '2026-12-31', '1 day') d"
        " left join reference.first_months('infinity') f on f.organization_id = o.name"
    ).fetchall()
    assert len(asked) > 3000
    assert [one for one in asked if register.fiscal_year_of(one[0], one[1]) != one[2]] == []


def test_the_years_to_report_are_those_of_the_organizations_that_were_posted_to(
    database: LedgerDatabase, conn: Connection
) -> None:
    assert {one.fiscal_year for one in years_to_report(conn)} == {2023, 2024, 2025, 2026, 2027}
    for year in (2023, 2024, 2025, 2026, 2027):
        build_esrs_e1(conn, year, snapshot_id=uuid4(), run_id="t", code_version="t")
        for inputs in read_report_inputs(conn, year, code_version="test"):
            keep_report(conn, esrs_e1(inputs), snapshot_id=uuid4(), run_id="test")
    assert years_to_report(conn) == []
    day = {"local_date": date(2025, 11, 1), "occurred_from": datetime(2025, 11, 1, 9, tzinfo=UTC)}
    post(database, [line(900, "1", organization_id="other", **day)])
    conn.execute("select pg_sleep(0)")
    assert {one.fiscal_year for one in years_to_report(conn)} == {2025}
    post(database, [line(901, "1", **day)])
    assert {one.fiscal_year for one in years_to_report(conn)} == {2025, 2026}


def test_a_base_year_is_the_organization_s_own(conn: Connection) -> None:
    moment = made(conn, 2026).as_of
    found = base_year_totals(conn, 2026, moment)
    for name in ("default", "other"):
        parts = [plain_sum(conn, name, scope, *SPANS[name, "current"]) for scope in (1, 2, 3)]
        assert found[name] == sum(parts) * 1000


# ---- closing


def closed(database: LedgerDatabase, conn: Connection, organization: str, text: str) -> UUID:
    """A year that two people closed and reported; the report of ESRS E1 that it binds."""
    whose, span = which_period(conn, text, organization)
    for state in ("soft_closed", "closed", "reported"):
        seal(database)
        done = decide(
            conn,
            whose,
            span,
            state,  # type: ignore[arg-type]
            by=CONTROLLER,
            reason="reviewed",
            policy=POLICY,
            now=NOW,
        )
        if not done.is_in_force:
            approve(
                conn,
                done.decision.decision_id,
                by=HEAD,
                reason="checked",
                policy=POLICY,
                now=NOW,
            )
    change = changes_of(conn, organization, text)[-1]
    assert change.state == "reported"
    (bound,) = [one for one in bound_reports(conn, change.report_ids) if one.report == "esrs_e1"]
    return bound.snapshot_id


def test_a_fiscal_year_is_closed_reported_and_built_again_with_its_own_days(
    database: LedgerDatabase, conn: Connection
) -> None:
    snapshot = closed(database, conn, "default", "2025")
    change = changes_of(conn, "default", "2025")[-1]
    assert (change.first_date, change.end_date) == (date(2024, 4, 1), date(2025, 4, 1))
    opened = read_snapshot(conn, snapshot).opened()
    assert (opened.fiscal_year, opened.period_begin) == (2025, date(2024, 4, 1))
    assert reproduction_faults(conn) == []
    found = {(one.organization_id, one.period.text): one for one in statuses(conn, Policy())}
    assert found["default", "2025"].state == "reported"
    assert found["default", "2027"].period.first_date == date(2026, 4, 1)
    assert found["other", "2025"].period.first_date == date(2025, 1, 1)
    assert ("other", "2027") not in found
    # What comes of the year afterwards is named as the cause in the comparative of the next one.
    late = line(950, "40", scope=1, local_date=date(2025, 3, 31))
    early = line(951, "60", scope=1, local_date=date(2025, 4, 1))
    post(database, [late, early])
    table = made(conn, 2026).table("Restatements")
    told = [
        str(row.cells["cause"].value) for row in table.rows if "2025 E1-6/scope_1/" in row.label
    ]
    assert told
    assert all("1 line, +0.04 tCO2e" in one for one in told), told


def run(command: Any, database: LedgerDatabase, *words: str) -> Result:
    env = {
        "CARBON_DATABASE_WRITER_URL": database.writer_url,
        "CARBON_DATABASE_READER_URL": database.reader_url,
        "CARBON_DATABASE_AUDITOR_URL": database.auditor_url,
    }
    return CliRunner().invoke(command, list(words), env=env)


def test_the_command_closes_the_year_of_the_organization_that_is_named(
    database: LedgerDatabase, conn: Connection
) -> None:
    words = ("close", "2025", "--state", "soft-closed", "--by", "A", "--because", "b")
    several = run(period_command, database, *words)
    assert getattr(several.exception, "code", "") == "unknown_organization"
    done = run(period_command, database, *words, "--organization", "default")
    assert done.exit_code == 0, done.output
    (change,) = changes_of(conn, "default", "2025")
    assert (change.first_date, change.end_date) == (date(2024, 4, 1), date(2025, 4, 1))


def test_a_month_is_not_changed_under_a_year_that_was_closed(
    database: LedgerDatabase, conn: Connection
) -> None:
    closed(database, conn, "default", "2025")
    january = STATED.replace("fiscal_year_first_month: 4", "fiscal_year_first_month: 1")
    with pytest.raises(FaultyFile) as caught:
        state(conn, january)
    (fault,) = caught.value.faults
    assert (fault.code, fault.field, fault.value, fault.valid) == (
        "fiscal_year_is_closed",
        "fiscal_year_first_month",
        "1",
        "4",
    )
    assert "2025 was closed as one that begins in month 4" in str(fault)
    assert fiscal_years(conn).first_month("default") == 4


def test_a_month_that_is_put_right_is_said_and_leaves_what_was_kept(
    database: LedgerDatabase, conn: Connection, tmp_path: Any
) -> None:
    before, snapshot_id = made(conn, 2026), uuid4()
    keep_report(conn, before, snapshot_id=snapshot_id, run_id="test")
    file = tmp_path / "stated.yaml"
    file.write_text(STATED.replace("fiscal_year_first_month: 4", "fiscal_year_first_month: 7"))
    for command in ("diff", "apply"):
        done = run(reference_command, database, command, str(file))
        assert done.exit_code == 0, done.output
        assert "note: fiscal years of default begin in month 7, not 4" in done.output
        assert "1 kept reports of 2026 stay as they are" in done.output
    assert read_snapshot(conn, snapshot_id).content == report_to_json(before)
    assert made(conn, 2026, as_of=before.as_of) == before
    assert gross_faults(conn, snapshot_id) == []
    after = made(conn, 2026)
    assert (after.period_begin, after.period_end) == (date(2025, 7, 1), date(2026, 7, 1))
    # An entry is in the kept report as that one calls its year.
    (march,) = [one for one in LINES if one.local_date == date(2025, 3, 31) and one.scope == 1][:1]
    reached = reports_reached(conn, march, None, limit=10)
    assert {cell.cell_id for one in reached for cell in one.cells} >= {"E1-6/scope_1/comparative"}


# ---- schedules


def test_an_annual_report_is_due_after_the_organization_s_year(conn: Connection) -> None:
    state(
        conn,
        "report_schedule:\n"
        + "".join(
            f"  - {{organization_id: {name}, schedule: {schedule}, time_zone: UTC, {place},"
            " valid_from: 2024-01-01}\n"
            for name in ("default", "other")
            for schedule, place in (
                ("annual_csrd", "due_day: 04-20"),
                ("quarterly_pre_close", "working_day: 3"),
            )
        ),
    )
    due = [*due_reports(conn), *coming_reports(conn)]
    years = {
        (one.organization_id, one.first_date.month, one.fiscal_year - one.first_date.year)
        for one in due
        if one.schedule == "annual_csrd"
    }
    assert years == {("default", 4, 1), ("other", 1, 0)}
    quarters = {
        (one.organization_id, one.period[-2:], one.first_date.month)
        for one in due
        if one.schedule == "quarterly_pre_close"
    }
    assert quarters >= {("default", "Q1", 4), ("default", "Q4", 1), ("other", "Q1", 1)}
    assert all(one.due_at.date() >= one.end_date for one in due)
