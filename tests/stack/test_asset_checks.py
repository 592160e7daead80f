"""Each asset check beside the fault it exists for, planted in a real database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from carbon_assets import ledger_run
from carbon_assets.definitions import build_definitions
from carbon_ledger.store import manifest
from carbon_ledger.store.entry_sums import sum_entries
from carbon_ledger.store.reports import build_esrs_e1
from carbon_ledger.store.rows import ensure_month, insert_entries
from carbon_ledger.store.upkeep import (
    account_faults,
    account_of,
    days_to_verify,
    report_faults,
    verify_windows,
    years_to_report,
)
from carbon_ledger.store.windows import deltas_of, insert_deltas
from tests.support.asset_database import resource_of
from tests.support.manifest_examples import commit, observe, own_stream, plan, sight
from tests.support.postgres import Connection, LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack

DAY = date(2024, 3, 1)


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        yield found


@pytest.fixture
def conn(database: LedgerDatabase) -> Iterator[Connection]:
    with database.writer(autocommit=True) as connection:
        yield connection


def post(conn: Connection, *numbers: int) -> None:
    """Readings of the first of March 2024 with their windows."""
    rows = [reading(number) for number in numbers]
    ensure_month(conn, rows[0].activity_month)
    with conn.transaction():
        insert_entries(conn, rows)
        insert_deltas(conn, deltas_of(rows, recorded_at=rows[0].recorded_at))


def materialize(database: LedgerDatabase, job: str, partition: str) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(resources={"database": resource_of(database)})
    return definitions.resolve_job_def(job).execute_in_process(partition_key=partition)


def outcome(result: dg.ExecuteInProcessResult, name: str) -> bool:
    evaluations = result.get_asset_check_evaluations()
    # What reads the whole ledger says the same of every stream.
    (passed,) = {one.passed for one in evaluations if one.check_name == name}
    return passed


def deltas(conn: Connection) -> int:
    row = conn.execute("select count(*) from windows.five_minute_delta").fetchone()
    assert row is not None
    return int(row[0])


def plant_delta(conn: Connection) -> None:
    """A delta that no entry stands for."""
    conn.execute(
        "insert into windows.five_minute_delta (organization_id, facility_id, country_iso2, "
        "window_start, local_date, scope, basis, activity_type, unit, quantity, kgco2e, entries, "
        "lines)"
        " values ('default', 'plant-1', 'DE', '2024-03-01 00:00Z', '2024-03-01', 2, 'location', "
        "'electricity:grid', 'kWh', 1, 0.38, 1, 1)"
    )


def test_windows_that_equal_their_entries_pass_and_get_nothing_added(
    database: LedgerDatabase, conn: Connection
) -> None:
    post(conn, 0, 1, 7)
    before = deltas(conn)
    result = materialize(database, "windows", "2024-03-01")
    assert outcome(result, "windows_equal_entries")
    assert deltas(conn) == before


def test_a_window_that_is_not_the_sum_of_its_entries_fails_the_check_and_is_corrected(
    database: LedgerDatabase, conn: Connection
) -> None:
    post(conn, 0, 1, 7)
    plant_delta(conn)
    assert not outcome(materialize(database, "windows", "2024-03-01"), "windows_equal_entries")
    assert outcome(materialize(database, "windows", "2024-03-01"), "windows_equal_entries")
    (day,) = verify_windows(conn, [DAY], "test", correct=False)
    assert (day.series, day.lines, day.series_different) == (2, 3, 0)
    row = conn.execute(
        "select sum(quantity), sum(entries) from windows.daily where local_date = %s", (DAY,)
    ).fetchone()
    assert row == (Decimal("4.50"), 3)


def test_a_sum_that_is_not_that_of_its_entries_fails_the_check_and_all_are_made_anew(
    database: LedgerDatabase, conn: Connection
) -> None:
    post(conn, 0, 1, 7)
    assert sum_entries(conn, 30).lines == 3
    assert outcome(materialize(database, "windows", "2024-03-01"), "sums_equal_entries")
    with closing(database.admin()) as admin:
        admin.execute("update windows.day_sum set entries = 4 where rollup = 'facility'")
    assert not outcome(materialize(database, "windows", "2024-03-01"), "sums_equal_entries")
    assert sum_entries(conn, 30).lines == 3
    assert outcome(materialize(database, "windows", "2024-03-01"), "sums_equal_entries")


def test_a_look_without_correcting_writes_nothing(conn: Connection) -> None:
    post(conn, 0)
    plant_delta(conn)
    before = deltas(conn)
    (day,) = verify_windows(conn, [DAY], "test", correct=False)
    assert (day.series_different, day.corrected, deltas(conn)) == (1, 0, before)


def test_entries_whose_windows_are_missing_altogether_get_them(conn: Connection) -> None:
    row = reading(0)
    ensure_month(conn, row.activity_month)
    insert_entries(conn, [row])
    (day,) = verify_windows(conn, [DAY], "test")
    assert (day.series_different, day.corrected) == (1, 1)
    (again,) = verify_windows(conn, [DAY], "test")
    assert again.series_different == 0


def test_a_day_is_due_after_a_batch_posted_to_it_until_it_is_compared(conn: Connection) -> None:
    batch_id = finished_batch(conn)
    conn.execute("insert into manifest.batch_window values (%s, %s)", (batch_id, DAY))
    assert days_to_verify(conn) == [DAY]
    assert [due.fiscal_year for due in years_to_report(conn)] == [2024]
    verify_windows(conn, [DAY], "test")
    assert days_to_verify(conn) == []


def finished_batch(conn: Connection, **account: int) -> int:
    """A batch over ten offsets that is done."""
    stream = own_stream()
    seen = sight(10)
    observe(conn, stream, seen)
    batch = plan(conn, stream, seen)
    assert batch is not None
    commit(conn, batch, **account)
    manifest.finish_batch(conn, batch.batch_id, batch.attempt)
    return batch.batch_id


def check_of(conn: Connection, batch_id: int) -> dg.AssetCheckResult:
    return ledger_run.accounts_check(account_of(conn, [batch_id]), account_faults(conn, [batch_id]))


def test_accounts_that_balance_pass(conn: Connection) -> None:
    result = check_of(conn, finished_batch(conn))
    assert result.passed
    assert result.metadata["read"].value == result.metadata["fates"].value == 10


def test_a_dead_letter_that_the_account_has_and_nobody_kept_fails_the_check(
    conn: Connection,
) -> None:
    batch_id = finished_batch(conn, ledgered=8, dead_lettered=1, quarantined=1, lines=8)
    result = check_of(conn, batch_id)
    assert not result.passed
    assert "1 dead letters and 1 quarantined, kept are 0 and 0" in str(result.description)


def test_a_claim_without_its_account_fails_the_check(
    conn: Connection, database: LedgerDatabase
) -> None:
    batch_id = finished_batch(conn)
    with database.admin() as admin:
        admin.execute("alter table ledger.batch_part disable trigger all")
        admin.execute("delete from ledger.batch_part where batch_id = %s", (batch_id,))
    result = check_of(conn, batch_id)
    assert not result.passed
    assert "are claimed and have no account" in str(result.description)


def test_an_account_that_nobody_claimed_fails_the_check(
    conn: Connection, database: LedgerDatabase
) -> None:
    batch_id = finished_batch(conn)
    with database.admin() as admin:
        admin.execute(
            "update manifest.batch_range set end_offset = 9 where batch_id = %s", (batch_id,)
        )
    assert "which it did not claim" in str(check_of(conn, batch_id).description)


def test_the_whole_ledger_is_compared_with_its_accounts(
    database: LedgerDatabase, conn: Connection
) -> None:
    """Planted: accounts of ten ledgered records, none of which is in the ledger."""
    definitions = build_definitions(resources={"database": resource_of(database)})
    job = definitions.resolve_job_def("reconcile")
    assert outcome(job.execute_in_process(), "ledger_reconciles")
    finished_batch(conn)
    assert not outcome(job.execute_in_process(), "ledger_reconciles")


def test_a_report_that_is_the_sum_of_its_entries_passes(
    database: LedgerDatabase, conn: Connection
) -> None:
    post(conn, 0, 1, 7)
    result = materialize(database, "reports", "2024")
    assert outcome(result, "report_equals_ledger")
    (made,) = result.asset_materializations_for_node("reports__esrs_e1")
    assert "| default | total | tCO2e | 0.00171" in str(made.metadata["report"].value)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("update reports.esrs_e1 set value = value * 2 where country_iso2 = ''", "its entries"),
        ("update reports.esrs_e1 set value = value * 2 where country_iso2 = 'DE'", "the countries"),
        ("delete from reports.esrs_e1 where country_iso2 = ''", "says nothing"),
    ],
)
def test_a_report_that_is_not_the_sum_of_its_entries_fails_the_check(
    database: LedgerDatabase, conn: Connection, fault: str, sentence: str
) -> None:
    post(conn, 0, 1, 7)
    snapshot_id = uuid4()
    build_esrs_e1(conn, 2024, snapshot_id=snapshot_id, run_id="test", code_version="test")
    assert report_faults(conn, snapshot_id) == []
    with database.admin() as admin:
        admin.execute("alter table reports.esrs_e1 disable trigger all")
        admin.execute(fault)
    faults = report_faults(conn, snapshot_id)
    assert faults
    assert sentence in faults[0].what


def test_a_year_without_entries_has_no_report_and_says_so(database: LedgerDatabase) -> None:
    result = materialize(database, "reports", "2011")
    (made,) = result.asset_materializations_for_node("reports__esrs_e1")
    assert made.metadata["report"].value == "no entries in this year"
