"""Which report snapshots go with time, and which never do, on a real database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest

from carbon_assets.snapshot_retention import snapshot_retention
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_json import report_to_json
from carbon_ledger.settings import load
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.report_snapshots import keep_report, read_snapshot
from carbon_ledger.store.snapshot_retention import (
    kept_snapshots,
    retire_snapshots,
    snapshot_days,
)
from tests.support.asset_database import resource_of
from tests.support.entries_posted import line, post
from tests.support.postgres import Connection, LedgerDatabase, scratch_database

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
# The last minute of a day, so that an hour before is the same day.
EVENING = (datetime.now(UTC) - timedelta(days=60)).replace(hour=23, minute=0)


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        post(found, [line(0, "1000"), line(1, "7", scope=1)])
        yield found


def kept(conn: Connection, at: datetime, because: str = "posted") -> UUID:
    """A snapshot, cells and all, that is as old as it says: added by the owner."""
    made, old = uuid4(), uuid4()
    (inputs,) = read_report_inputs(conn, 2024, code_version="test")
    with conn.transaction():
        keep_report(
            conn,
            esrs_e1(inputs),
            snapshot_id=made,
            run_id="r",
            kept_because=because,  # type: ignore[arg-type]
        )
        conn.execute(
            "insert into reports.snapshot (snapshot_id, report, organization_id, fiscal_year,"
            " profile, as_of, code_version, run_id, content, content_sha256, recorded_at,"
            " kept_because) select %s, report, organization_id, fiscal_year, profile, as_of,"
            " code_version, run_id, content, content_sha256, %s, kept_because"
            " from reports.snapshot where snapshot_id = %s",
            (old, at, made),
        )
        conn.execute(
            "insert into reports.cell select (c).* from (select jsonb_populate_record(c,"
            " jsonb_build_object('snapshot_id', %s::uuid)) as c from reports.cell c"
            " where snapshot_id = %s) x",
            (old, made),
        )
    return old


def standing(conn: Connection, *snapshots: UUID) -> list[bool]:
    found = {
        one
        for (one,) in conn.execute(
            "select snapshot_id from reports.snapshot where snapshot_id = any(%s)",
            (list(snapshots),),
        )
    }
    return [one in found for one in snapshots]


def test_of_each_day_the_last_stays_and_what_was_asked_for_or_is_cited(
    database: LedgerDatabase,
) -> None:
    with closing(database.writer(autocommit=True)) as conn:
        last = kept(conn, EVENING)
        earlier = kept(conn, EVENING - timedelta(hours=3))
        the_day_before = kept(conn, EVENING - timedelta(days=1))
        asked = kept(conn, EVENING - timedelta(hours=4), "asked")
        scheduled = kept(conn, EVENING - timedelta(hours=5), "scheduled")
        signed = kept(conn, EVENING - timedelta(hours=6))
        made = kept(conn, EVENING - timedelta(hours=7))
        failing = kept(conn, EVENING - timedelta(hours=8))
        young = kept(conn, datetime.now(UTC) - timedelta(days=8))
        young_too = kept(conn, datetime.now(UTC) - timedelta(days=8, minutes=1))
        cite(database, conn, signed=signed, made=made, failing=failing)

        text = read_snapshot(conn, earlier).content
        gone = retire_snapshots(conn, run="night", after_days=30)
        assert gone.snapshots == 1
        assert standing(conn, last, earlier, the_day_before, asked, scheduled) == [
            *(True, False, True, True, True)
        ]
        assert standing(conn, signed, made, failing, young, young_too) == [True] * 5
        cells = conn.execute(
            "select count(*) from reports.cell where snapshot_id = %s", (earlier,)
        ).fetchone()
        assert cells == (0,)
        assert retire_snapshots(conn, run="again", after_days=30).snapshots == 0
        assert kept_snapshots(conn).retired == 1

        with pytest.raises(ConfigurationError) as refused:
            read_snapshot(conn, earlier)
        assert refused.value.code == "snapshot_retired"
        (as_of,) = conn.execute("select as_of from reports.snapshot_retired").fetchone()  # type: ignore[misc]
        (inputs,) = read_report_inputs(conn, 2024, as_of=as_of, code_version="test")
        again = report_to_json(esrs_e1(inputs))
        assert again == text
        assert hashlib.sha256(again.encode()).hexdigest() in refused.value.message


def decide(database: LedgerDatabase, snapshot_id: UUID) -> None:
    """A decision about 2024 that names the snapshot; what the ledger asks of one is set aside."""
    with closing(database.admin()) as conn:
        conn.execute("alter table ledger.period_decision disable trigger user")
        conn.execute(
            "insert into ledger.period_decision (decision_id, organization_id, period, first_date,"
            " end_date, state_no, previous_state, state, as_of, content, digest, snapshot_ids,"
            " snapshot_sha256, report_ids, report_sha256, decided_by, reason) values (1, 'default',"
            " '2024', '2024-01-01', '2025-01-01', 3, 'closed', 'reported', now(), 'x', sha256('x'),"
            " array[%s]::uuid[], sha256('y'), array[gen_random_uuid()], sha256('z'), 'A', 'b')",
            (snapshot_id,),
        )
        conn.execute("alter table ledger.period_decision enable trigger user")


def cite(
    database: LedgerDatabase, conn: Connection, *, signed: UUID, made: UUID, failing: UUID
) -> None:
    """A period's decision, a scheduled report, and an expectation that failed."""
    decide(database, signed)
    conn.execute(
        "insert into reports.scheduled (organization_id, schedule, period, report, fiscal_year,"
        " due_at, snapshot_id, run_id, code_version) values ('default', 'annual_csrd', '2024',"
        " 'esrs_e1', 2024, now(), %s, 'r', 'c')",
        (made,),
    )
    conn.execute(
        "insert into audit.validation (validation_id, suite, suite_version, suite_sha256, target,"
        " unit, as_of, is_success, worst_severity, expectations, rows_validated, failures,"
        " statistics, engine, code_version, run_id) values (gen_random_uuid(), 'esrs_e1', 1,"
        " sha256('x'), 'reports.esrs_e1', %s, now(), false, 'critical', 1, 1, '[{}]', '{}', 't',"
        " 't', 't')",
        (str(failing),),
    )


def test_after_a_year_the_last_of_each_month_stays(database: LedgerDatabase) -> None:
    old = (datetime.now(UTC) - timedelta(days=500)).replace(day=10)
    with closing(database.writer(autocommit=True)) as conn:
        first, second = kept(conn, old), kept(conn, old + timedelta(days=1))
        next_month = kept(conn, old + timedelta(days=31))
        assert retire_snapshots(conn, run="night", after_days=30).snapshots == 1
        assert standing(conn, first, second, next_month) == [False, True, True]


def test_rows_of_the_small_report_are_thinned_too(database: LedgerDatabase) -> None:
    with closing(database.writer(autocommit=True)) as conn:
        ids = [uuid4() for _ in range(3)]
        for number, one in enumerate(ids):
            at = EVENING - timedelta(hours=number)
            conn.execute(
                "insert into reports.esrs_e1 (snapshot_id, organization_id, fiscal_year,"
                " framework_profile, datapoint, concept, value, unit, entries, as_of,"
                " factor_releases, code_version, run_id, recorded_at) values (%s, 'default', 2024,"
                " 'p', 'd', 'c', 1, 'tCO2e', 1, %s, 'r', 'c', 'r', %s)",
                (one, at, at),
            )
        decide(database, ids[1])
        assert retire_snapshots(conn, run="night", after_days=30).rows == 1
        left = conn.execute("select snapshot_id from reports.esrs_e1").fetchall()
    assert {one for (one,) in left} == {ids[0], ids[1]}


FORBIDDEN = [
    "delete from reports.cell",
    "delete from reports.snapshot",
    "update reports.snapshot set content = content",
    "update reports.cell set value = 1",
    "truncate reports.snapshot cascade",
    "select reports.retire_snapshots('x', 6, 10)",
    "delete from reports.snapshot_retired",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_nobody_deletes_or_changes_a_snapshot_past_the_rule(
    database: LedgerDatabase, statement: str
) -> None:
    with closing(database.writer(autocommit=True)) as conn:
        kept(conn, EVENING)
        kept(conn, EVENING - timedelta(hours=1))
        retire_snapshots(conn, run="night", after_days=30)
    refusals = (psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)
    for role in (database.admin, database.writer):
        with closing(role()) as conn, pytest.raises(refusals):
            conn.execute(statement.encode())


def test_the_writer_cannot_call_a_snapshot_retired(database: LedgerDatabase) -> None:
    with (
        closing(database.writer(autocommit=True)) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute(
            "insert into reports.snapshot_retired select snapshot_id, 'snapshot', report,"
            " organization_id, fiscal_year, profile, as_of, code_version, content_sha256, now(),"
            " 'x' from reports.snapshot"
        )


def test_the_asset_says_what_went_and_what_is_left(database: LedgerDatabase) -> None:
    with closing(database.writer(autocommit=True)) as conn:
        for hours in range(4):
            kept(conn, EVENING - timedelta(hours=hours))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [snapshot_retention],
            instance=instance,
            resources={"database": resource_of(database)},
        )
    (made,) = done.get_asset_materialization_events()
    told = made.materialization.metadata
    assert told["snapshots_retired"].value == 3
    assert told["snapshots_kept"].value == 4 + 1, "each example has a young twin"
    assert told["dagster/row_count"].value == 3


@pytest.mark.parametrize("text", ["6", "3651", "a month", "-30", "3.5"])
def test_the_age_must_be_a_week_or_more(text: str) -> None:
    with pytest.raises(ConfigurationError, match="valid are 7 to 3650 days") as refused:
        snapshot_days(load({"CARBON_SNAPSHOT_DAYS": text}))
    assert refused.value.code == "snapshot_days"
    assert snapshot_days(load({})) == 30
