"""A reported period binds whole reports: two people agree, and whoever changes one is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import CliRunner

from carbon_ledger.organisation.period_close import period_of
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_json import report_to_json
from carbon_ledger.store import periods
from carbon_ledger.store.period_reports import bound_reports
from carbon_ledger.store.period_status import reproduction_faults
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.report_snapshots import keep_report, read_snapshot
from carbon_ledger.store.snapshot_retention import retire_snapshots
from carbon_ledger.version import code_version
from cli.period_commands import period as command
from tests.support.closing import (
    approve,
    close,
    decide,
    late,
    ledger_to_close,
    post,
    refused,
    seal,
    status,
)
from tests.support.postgres import Connection, LedgerDatabase
from verifier.connection import Connection as VerifierConnection
from verifier.findings import Report as Findings
from verifier.pairs import check_bound_reports

pytestmark = pytest.mark.stack


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with ledger_to_close(stack.layout.database_url) as found:
        yield found


@pytest.fixture
def conn(database: LedgerDatabase) -> Iterator[Connection]:
    with closing(database.writer(autocommit=True)) as connection:
        yield connection


def reported(database: LedgerDatabase, conn: Connection) -> periods.StateChange:
    close(database, conn)
    return approve(conn, decide(conn, "reported"))


def verified(database: LedgerDatabase) -> Findings:
    """What the verifier says of bound reports, over a login that only reads."""
    found = Findings()
    with closing(psycopg.connect(database.verifier_url, autocommit=True)) as connection:
        readable: VerifierConnection = connection
        check_bound_reports(readable, found)
    return found


def test_a_reported_year_binds_both_reports_and_they_stay_the_same_to_the_byte(
    database: LedgerDatabase, conn: Connection
) -> None:
    done = reported(database, conn)
    bound = bound_reports(conn, done.report_ids)
    assert [one.report for one in bound] == ["cdp", "esrs_e1"]
    texts = [read_snapshot(conn, one.snapshot_id).content for one in bound]
    # Whatever comes later, made again as of the close they are the same text.
    post(conn, late("1000"))
    (inputs,) = read_report_inputs(conn, 2024, as_of=done.as_of, code_version=code_version())
    assert [report_to_json(make(inputs)) for make in (cdp, esrs_e1)] == texts
    assert [read_snapshot(conn, one.snapshot_id).content for one in bound] == texts
    assert reproduction_faults(conn) == []
    assert verified(database).is_clean
    assert verified(database).looked_at == {"periods that bind reports": 1}
    assert [one.snapshot_id for one in status(conn).reports] == [one.snapshot_id for one in bound]


def test_a_report_that_is_kept_as_of_the_close_is_bound_and_none_is_made_beside_it(
    database: LedgerDatabase, conn: Connection
) -> None:
    closed = close(database, conn)
    (inputs,) = read_report_inputs(conn, 2024, as_of=closed.as_of, code_version=code_version())
    older, newer = uuid4(), uuid4()
    for snapshot_id in (older, newer):
        keep_report(conn, esrs_e1(inputs), snapshot_id=snapshot_id, run_id="run")
    assert newer in decide(conn, "reported").decision.report_ids
    outcome = decide(conn, "reported", snapshot_ids=[older])
    assert older in outcome.decision.report_ids
    assert len(outcome.decision.report_ids) == 2
    assert approve(conn, outcome).report_ids == outcome.decision.report_ids


def test_a_report_of_another_moment_is_refused_naming_those_of_the_close(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    post(conn, late("1"))
    (inputs,) = read_report_inputs(conn, 2024, code_version=code_version())
    stranger = uuid4()
    keep_report(conn, esrs_e1(inputs), snapshot_id=stranger, run_id="run")
    error = refused(lambda: decide(conn, "reported", snapshot_ids=[stranger]))
    assert (error.code, error.value) == ("no_snapshot", str(stranger))


def altered(database: LedgerDatabase, *statements: str) -> None:
    """As the owner, past every trigger."""
    with closing(database.admin()) as admin:
        for name in ("reports.snapshot", "reports.cell", "ledger.entry"):
            admin.execute(f"alter table {name} disable trigger user".encode())
        for statement in statements:
            admin.execute(statement.encode())


TEXT = (
    "update reports.snapshot set content = replace(content, '0.038', '0.037'),"
    " content_sha256 = sha256(convert_to(replace(content, '0.038', '0.037'), 'UTF8'))"
    " where report = 'esrs_e1'"
)
CELL = "update reports.cell set value = value + 1 where cell_id = 'E1-6/scope_2_location/current'"
GONE = (
    "delete from reports.cell where snapshot_id in"
    " (select snapshot_id from reports.snapshot where report = 'cdp')"
)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (TEXT, " tCO2e, the text has 0.037 tCO2e"),
        (CELL, "E1-6/scope_2_location/current is kept as 1.038"),
        (GONE, "is kept as nothing"),
    ],
)
def test_a_bound_report_that_was_changed_is_seen_by_the_check_and_by_the_verifier(
    database: LedgerDatabase, conn: Connection, fault: str, said: str
) -> None:
    reported(database, conn)
    altered(database, fault)
    faults = [one.what for one in reproduction_faults(conn)]
    assert any("are not what two people agreed to" in one for one in faults)
    assert any(said in one for one in faults), faults
    (finding,) = verified(database).findings
    assert (finding.code, finding.where["period"]) == ("report_altered", "2024")


def test_a_report_that_the_entries_do_not_give_again_is_seen(
    database: LedgerDatabase, conn: Connection
) -> None:
    reported(database, conn)
    altered(database, "update ledger.entry set facility_id = 'elsewhere'")
    faults = [one.what for one in reproduction_faults(conn)]
    assert [one for one in faults if "made again as of its moment, it is another text" in one]
    # What is kept is untouched.
    assert verified(database).is_clean


def test_reports_that_changed_between_decision_and_approval_stop_the_approval(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    outcome = decide(conn, "reported")
    altered(database, CELL)
    error = refused(lambda: approve(conn, outcome))
    assert error.code == "ledger_moved"
    assert "the whole reports of 2024" in error.message


INSERT = periods.query("insert_period_decision")


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"report_ids": []}, "period_decision_reports_whole_reports"),
        ({"report_sha256": None}, "period_decision_reports_whole_reports"),
        ({"report_sha256": bytes(32)}, "period_decision_reports_digest"),
        ({"report_ids": [UUID(int=7)]}, "period_decision_reports_are_of_it"),
        ({"drop": 1}, "period_decision_reports_are_of_it"),
    ],
)
def test_the_database_refuses_a_reported_period_that_does_not_bind_its_reports(
    database: LedgerDatabase, conn: Connection, changes: dict[str, Any], constraint: str
) -> None:
    close(database, conn)
    decision = decide(conn, "reported").decision
    values = {**vars(decision), "decision_id": 99, **changes}
    if "drop" in changes:
        values["report_ids"] = decision.report_ids[:1]
    with pytest.raises(psycopg.errors.CheckViolation) as caught, conn.transaction():
        conn.execute(INSERT, values)
    assert caught.value.diag.constraint_name == constraint


def test_reports_that_a_decision_binds_are_never_retired(
    database: LedgerDatabase, conn: Connection
) -> None:
    done = reported(database, conn)
    with closing(database.admin()) as admin:
        admin.execute("alter table reports.snapshot disable trigger user")
        admin.execute(
            "update reports.snapshot set kept_because = 'posted',"
            " recorded_at = recorded_at - interval '30 days'"
        )
        # Later ones of the same day, so that it is not for being the last that they stay.
        admin.execute(
            "insert into reports.snapshot (snapshot_id, report, organization_id, fiscal_year,"
            " profile, as_of, code_version, run_id, content, content_sha256, recorded_at,"
            " kept_because) select gen_random_uuid(), report, organization_id, fiscal_year,"
            " profile, as_of, code_version, run_id, content, content_sha256,"
            " recorded_at + interval '1 microsecond' * n, kept_because"
            " from reports.snapshot, generate_series(1, 2) as n"
        )
        admin.execute("alter table reports.snapshot enable trigger user")
    retired = retire_snapshots(conn, run="r", after_days=7)
    assert retired.snapshots > 0
    assert len(bound_reports(conn, done.report_ids)) == 2
    assert verified(database).is_clean


def test_a_decision_from_before_reports_were_bound_has_to_be_decided_again(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    outcome = decide(conn, "reported")
    with closing(database.admin()) as admin:
        admin.execute("alter table ledger.period_decision disable trigger user")
        admin.execute(
            "alter table ledger.period_decision"
            " drop constraint period_decision_reports_whole_reports"
        )
        admin.execute(
            "update ledger.period_decision set report_ids = '{}', report_sha256 = null"
            " where state = 'reported'"
        )
    assert refused(lambda: approve(conn, outcome)).code == "ledger_moved"


def test_the_command_shows_what_a_period_binds(
    database: LedgerDatabase, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    monkeypatch.setenv("CARBON_DATABASE_AUDITOR_URL", database.auditor_url)
    seal(database)
    close(database, conn)
    words = ["close", "2024", "--state", "reported", "--by", "Ann", "--because", "report"]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    assert done.output.count("binds report ") == 2
    (waiting,) = periods.waiting_decisions(conn)
    approve(conn, periods.Outcome(decision=waiting, is_in_force=False, warnings=()))
    shown = CliRunner().invoke(command, ["status", "--year", "2024"])
    assert "binds whole reports" in shown.output
    (one,) = json.loads(CliRunner().invoke(command, ["status", "--json"]).output)
    assert [part["report"] for part in one["reports"]] == ["cdp", "esrs_e1"]
    sha256s = {part["sha256"] for part in one["reports"]}
    assert all(sha256 in shown.output for sha256 in sha256s)
    assert one["history"][-1]["reports"] == sorted(part["snapshot"] for part in one["reports"])
    assert period_of(one["period"]).is_year
