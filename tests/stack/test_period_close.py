"""Periods on real PostgreSQL: two people close them, late entries are shown, figures come again.

Each gate beside the fault it exists for.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner

from carbon_assets.definitions import build_definitions
from carbon_ledger.entries import EntryRow, reversal_of
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.organisation.period_close import cells_of, period_of, totals_of
from carbon_ledger.reference.expected import ExpectedSource
from carbon_ledger.reference.files import Stated
from carbon_ledger.store import period_status, periods
from carbon_ledger.store.period_obstacles import settled_moment
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.reports import build_esrs_e1, latest_esrs_e1
from cli.period_commands import period as command
from tests.support.asset_database import resource_of
from tests.support.closing import (
    CONTROLLER,
    HEAD,
    NOW,
    POLICY,
    approve,
    close,
    decide,
    late,
    ledger_to_close,
    look,
    post,
    refused,
    seal,
    status,
)
from tests.support.postgres import Connection, LedgerDatabase, claim, reading, scratch_database

pytestmark = pytest.mark.stack

YEAR = period_of("2024")
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
LATE, AGAIN = "late_entries_follow_the_rule", "closed_periods_are_reproduced"


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with ledger_to_close(stack.layout.database_url) as found:
        yield found


@pytest.fixture
def conn(database: LedgerDatabase) -> Iterator[Connection]:
    with closing(database.writer(autocommit=True)) as connection:
        yield connection


@pytest.fixture(scope="module")
def decided(stack: Any) -> Iterator[tuple[Connection, periods.Decision]]:
    """A ledger whose 2024 is soft-closed and waits to be closed, shared by what is refused."""
    with scratch_database(stack.layout.database_url) as found:
        with closing(found.writer(autocommit=True)) as connection:
            post(connection, reading(0))
            seal(found)
            decide(connection, "soft_closed")
            yield connection, decide(connection, "closed").decision


# --- states and people


def test_a_year_goes_from_open_to_reported_by_two_people_and_comes_again(
    database: LedgerDatabase, conn: Connection
) -> None:
    assert status(conn).state == "open"
    closed = close(database, conn)
    assert (closed.decided_by, closed.approved_by) == (CONTROLLER, HEAD)
    assert totals_of(cells_of(closed.content)) == {"location": Decimal(38), "market": Decimal(0)}
    reported = approve(conn, decide(conn, "reported"))
    assert (reported.as_of, reported.digest) == (closed.as_of, closed.digest)
    (row,) = latest_esrs_e1(conn, 2024)[:1]
    assert list(reported.snapshot_ids) == [row.snapshot_id]
    assert row.as_of == closed.as_of
    found = status(conn)
    assert [change.state for change in found.changes] == ["soft_closed", "closed", "reported"]
    assert period_status.reproduction_faults(conn) == []
    assert period_status.late_faults(conn, [found]) == []
    # As of its moment the content is the same to the byte, whatever is recorded later.
    post(conn, late("1"))
    again = periods.content_of(conn, "default", YEAR, reported.as_of)
    assert again == reported.content
    assert hashlib.sha256(again.encode()).digest() == reported.digest
    assert period_status.reproduction_faults(conn) == []


def test_steps_that_do_not_follow_are_refused_with_those_that_do(
    database: LedgerDatabase, conn: Connection
) -> None:
    error = refused(lambda: decide(conn, "closed"))
    assert (error.code, error.valid) == ("period_state", "soft_closed")
    assert refused(lambda: decide(conn, "reopened")).valid == "soft_closed"
    close(database, conn, "2024-03")
    error = refused(lambda: decide(conn, "reported", "2024-03"))
    assert (error.code, error.valid) == ("period_is_no_year", "2024")


def test_nobody_agrees_to_his_own_decision_in_any_spelling(
    database: LedgerDatabase, conn: Connection
) -> None:
    seal(database)
    decide(conn, "soft_closed")
    outcome = decide(conn, "closed")
    for name in (CONTROLLER, "group  CONTROLLER "):
        assert refused(lambda name=name: approve(conn, outcome, name)).code == "same_person"
    assert status(conn).state == "soft_closed"
    assert [one.decision_id for one in status(conn).waiting] == [outcome.decision.decision_id]
    approve(conn, outcome)
    assert refused(lambda: approve(conn, outcome, "Somebody Else")).code == "unknown_decision"


def test_reopening_takes_two_people_and_keeps_what_was_stated(
    database: LedgerDatabase, conn: Connection
) -> None:
    first = close(database, conn)
    post(conn, late("19"))
    outcome = decide(conn, "reopened", reason="a meter was found")
    assert status(conn).state == "closed"
    approve(conn, outcome)
    assert status(conn).state == "reopened"
    assert status(conn).judgement is None
    second = close(database, conn)
    assert totals_of(cells_of(second.content))["location"] == Decimal(57)
    # What was stated before and what was restated can both be asked for.
    stated = [one.content for one in status(conn).changes if one.state == "closed"]
    assert stated == [first.content, second.content]
    assert status(conn).late == {}


def test_a_decision_that_was_overtaken_cannot_be_approved(
    database: LedgerDatabase, conn: Connection
) -> None:
    seal(database)
    decide(conn, "soft_closed")
    stale, other = decide(conn, "closed"), decide(conn, "reopened")
    approve(conn, other)
    error = refused(lambda: approve(conn, stale))
    assert (error.code, error.valid) == ("unknown_decision", "none: nothing waits")


def test_of_two_decisions_approved_at_once_one_is_in_force(
    database: LedgerDatabase, conn: Connection
) -> None:
    seal(database)
    decide(conn, "soft_closed")
    outcomes = [decide(conn, "closed"), decide(conn, "reopened")]
    start = threading.Barrier(2)

    def agree(outcome: periods.Outcome) -> str:
        with closing(database.writer(autocommit=True)) as own:
            start.wait(30)
            try:
                return str(approve(own, outcome).state)
            except RejectedRecord as error:
                return error.code

    with ThreadPoolExecutor(2) as pool:
        said = set(pool.map(agree, outcomes))
    assert len(said & {"closed", "reopened"}) == 1
    assert said & {"decided_already", "unknown_decision"}
    assert len(status(conn).changes) == 2


# --- the database itself


INSERT = (
    "insert into ledger.period_state (organization_id, period, state_no, previous_state, state, "
    "decision_id, decided_by, approved_by, approval_reason) values "
    "('default', '2024', %(no)s, %(previous)s, %(state)s, %(decision)s, %(by)s, %(other)s, %(why)s)"
)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"other": None, "why": None}, "period_state_is_of_two_people"),
        ({"other": CONTROLLER}, "period_state_is_of_two_people"),
        ({"other": CONTROLLER.upper()}, "period_state_is_of_two_people"),
        ({"other": f" {CONTROLLER}"}, "period_state_has_a_name"),
        ({"why": " "}, "period_state_has_a_name"),
        ({"by": "Another", "other": CONTROLLER}, "period_state_is_the_decision"),
        ({"no": 3}, "period_state_follows_the_last"),
        ({"no": 1, "previous": "open"}, "period_state_pkey"),
        ({"state": "reported"}, "period_state_is_the_decision"),
        ({"previous": "closed"}, "period_state_follows_the_last"),
    ],
)
def test_the_database_refuses_a_state_without_two_people_and_a_decision(
    decided: tuple[Connection, periods.Decision], changes: dict[str, Any], constraint: str
) -> None:
    conn, decision = decided
    values = {
        **{"no": 2, "previous": "soft_closed", "state": "closed"},
        **{"decision": decision.decision_id, "by": CONTROLLER, "other": HEAD, "why": "checked"},
    }
    with pytest.raises(psycopg.errors.IntegrityError) as caught, conn.transaction():
        conn.execute(INSERT, {**values, **changes})
    assert caught.value.diag.constraint_name == constraint
    # Without the fault it is taken.
    with conn.transaction(force_rollback=True):
        conn.execute(INSERT, values)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"content": "carbon-period/1\n"}, "period_decision_digest_is_of_the_content"),
        ({"content": "x", "digest": hashlib.sha256(b"x").digest()}, "content_is_the_ledger_s"),
        ({"as_of": NOW + timedelta(days=9999)}, "period_decision_is_of_the_past"),
        ({"period": "2025"}, "period_decision_period_is_its_dates"),
        ({"end_date": date(2024, 12, 1)}, "period_decision_period_is_its_dates"),
        ({"previous_state": "open", "state": "closed"}, "period_decision_leads_on"),
        ({"state": "reported", "previous_state": "closed"}, "period_decision_reports_a_snapshot"),
        ({"snapshot_ids": [uuid4()]}, "period_decision_reports_a_snapshot"),
        ({"decided_by": " "}, "period_decision_has_a_name"),
        ({"reason": " "}, "period_decision_has_a_name"),
    ],
)
def test_the_database_refuses_a_decision_that_is_not_of_the_ledger(
    decided: tuple[Connection, periods.Decision], changes: dict[str, Any], constraint: str
) -> None:
    conn, decision = decided
    values = {**vars(decision), "decision_id": 99, **changes}
    with pytest.raises(psycopg.errors.IntegrityError) as caught, conn.transaction():
        conn.execute(periods.query("insert_period_decision"), values)
    assert constraint in str(caught.value.diag.constraint_name)


def test_other_figures_than_those_closed_and_strange_snapshots_are_not_reported(
    database: LedgerDatabase, conn: Connection
) -> None:
    closed = close(database, conn)
    kept = vars(closed) | {"state_no": 3, "previous_state": "closed", "state": "reported"}
    kept |= {"snapshot_sha256": bytes(32), "decision_id": 99}
    kept |= {"report_ids": [uuid4(), uuid4()], "report_sha256": bytes(32)}
    post(conn, late("1"))
    later = datetime.now(UTC) - timedelta(microseconds=1)
    content = periods.content_of(conn, "default", YEAR, later)
    moved = {
        "as_of": later,
        "content": content,
        "digest": hashlib.sha256(content.encode()).digest(),
    }
    for changes, constraint in (
        (moved, "period_decision_reports_what_was_closed"),
        ({}, "period_decision_snapshots_are_of_it"),
    ):
        with pytest.raises(psycopg.errors.CheckViolation) as caught, conn.transaction():
            conn.execute(
                periods.query("insert_period_decision"),
                {**kept, "snapshot_ids": [uuid4()], **changes},
            )
        assert caught.value.diag.constraint_name == constraint
    error = refused(lambda: decide(conn, "reported", snapshot_ids=[UUID(int=7)]))
    assert error.code == "no_snapshot"
    assert refused(lambda: decide(conn, "reported", as_of=later)).code == "as_of_is_the_close"


def test_rows_of_periods_are_only_ever_added(database: LedgerDatabase, conn: Connection) -> None:
    close(database, conn)
    for change in ("update {} set decided_by = 'x'", "delete from {}", "truncate {} cascade"):
        for name in ("ledger.period_decision", "ledger.period_state"):
            for role in (database.writer, database.admin):
                with (
                    closing(role()) as other,
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                ):
                    other.execute(change.format(name))


def test_a_reader_sees_the_periods_of_its_organizations(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    for name, count in (("default", 2), ("another", 0)):
        url = f"{database.reader_url}?options=-c%20carbon.organizations%3D{name}"
        with psycopg.connect(url) as reader:
            assert len(periods.changes_of(reader)) == count


# --- late entries


@pytest.mark.parametrize(
    ("kgco2e", "treatment"),
    # 5 % of 38 kg are 1.9 kg.
    [("1.9", "restatement_due"), ("1.899999999999", "prior_period_adjustment")],
)
def test_a_late_entry_is_taken_shown_and_judged_by_the_threshold(
    database: LedgerDatabase, conn: Connection, kgco2e: str, treatment: str
) -> None:
    closed = close(database, conn)
    post(conn, late(kgco2e))
    found = status(conn)
    assert found.judgement is not None
    assert found.judgement.treatment == treatment
    assert totals_of(found.closed)["location"] == Decimal(38)
    assert totals_of(found.late)["location"] == Decimal(kgco2e)
    assert found.changes[-1] == closed
    (shown,) = found.shown_in
    assert (shown.period, dict(shown.cells)) == ("2025", dict(found.late))
    assert period_status.late_faults(conn, [found]) == []


def test_what_a_late_correction_takes_back_is_late_too(
    database: LedgerDatabase, conn: Connection
) -> None:
    old = reading(1, quantity=Decimal(10), kgco2e=Decimal("3.8"))
    post(conn, old)
    close(database, conn)
    now = datetime.now(UTC)
    post(conn, reversal_of(old, recorded_at=now, cause="double count"))
    found = status(conn)
    assert totals_of(found.late)["location"] == Decimal("-3.8")
    assert found.judgement is not None
    assert found.judgement.is_restatement_due


def test_an_adjustment_is_shown_once_in_the_year_that_was_open_when_it_came(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    post(conn, late("0.5"), next_year(1))
    close(database, conn, "2025")
    post(conn, late("0.25", 501))
    found = status(conn)
    assert {part.period: totals_of(part.cells)["location"] for part in found.shown_in} == {
        "2025": Decimal("0.5"),
        "2026": Decimal("0.25"),
    }
    (adjustment,) = status(conn, "2025").adjustments
    assert (adjustment.origin, adjustment.period) == ("2024", "2025")
    every = period_status.statuses(conn, POLICY)
    assert period_status.late_faults(conn, every) == []
    # Only asked for one year, it is the same.
    (alone,) = period_status.statuses(conn, POLICY, year=2025)
    assert alone.adjustments == (adjustment,)


def next_year(number: int) -> EntryRow:
    begin = MARCH.replace(year=2025) + timedelta(minutes=number)
    return reading(number, occurred_from=begin, kgco2e=Decimal(5))


def test_a_soft_closed_period_flags_what_comes_late_and_closes_with_it(
    database: LedgerDatabase, conn: Connection
) -> None:
    decide(conn, "soft_closed")
    post(conn, late("10"))
    judged = status(conn).judgement
    assert judged is not None
    assert (judged.treatment, judged.flags) == ("late_line", ("late_line",))
    assert status(conn).shown_in == ()
    seal(database)
    closed = approve(conn, decide(conn, "closed"))
    assert totals_of(cells_of(closed.content))["location"] == Decimal(48)


def test_a_year_whose_late_entries_need_restating_is_not_reported_unseen(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    post(conn, late("1.9"))
    error = refused(lambda: decide(conn, "reported"))
    assert error.code == "in_the_way"
    assert "late_entries_significant" in str(error)
    outcome = decide(conn, "reported", despite=["late_entries_significant"])
    assert approve(conn, outcome).accepted == ["late_entries_significant"]


# --- what stands in the way


def test_work_that_began_just_now_moves_the_close_before_it(
    database: LedgerDatabase, conn: Connection
) -> None:
    (recorded_at,) = conn.execute("select recorded_at from audit.commit").fetchone() or (None,)
    assert settled_moment(conn) == recorded_at - timedelta(microseconds=1)
    seal(database)
    assert settled_moment(conn) > recorded_at
    claim(conn, {0: (0, 5)})
    (planned,) = conn.execute("select planned_at from manifest.batch").fetchone() or (None,)
    assert settled_moment(conn) == planned - timedelta(microseconds=1)


def old_batch(conn: Connection) -> None:
    claim(conn, {0: (0, 5)})
    conn.execute("update manifest.batch set status = 'dead', planned_at = '2026-01-01'")


def halted(conn: Connection) -> None:
    claim(conn, {0: (0, 5)})
    conn.execute("update manifest.batch set status = 'done'")
    conn.execute("update manifest.stream set halted_reason = 'recreated', halted_at = now()")


def unclaimed(conn: Connection) -> None:
    """A purchase that supersession has not looked at."""
    purchase = {"stream": "procurement", "scope": 3, "category": 1, "activity_type": "goods"}
    post(conn, reading(78, **purchase))


def silent(conn: Connection) -> None:
    source = ExpectedSource(
        stream="iot_energy", source_id="meter-9", every="month", valid_from=date(2024, 3, 1)
    )
    stated = [Stated(record=source, file="x.yaml")]
    apply_statements(conn, stated, source="x.yaml", source_sha256=bytes(32))


def restatement(conn: Connection) -> None:
    conn.execute(
        "insert into ledger.restatement (restatement_id, from_releases, gwp_set, recompute, "
        "first_date, end_date, code_version, known_at, entries, delta_kgco2e, digest, summary, "
        "previewed_by, reason) values (1, 'r', 'AR5', false, '2024-01-01', '2025-01-01', 'x', "
        "now(), 1, 1, sha256('d'), '{}', 'P', 'r')"
    )
    conn.execute("insert into ledger.restatement_month values (1, '2024-03-01', 1, 1, sha256('d'))")
    conn.execute("insert into ledger.restatement_approval values (1, 'A', 'r', sha256('d'))")


def test_a_restatement_of_somebody_else_is_not_in_the_way(
    database: LedgerDatabase, conn: Connection
) -> None:
    theirs = reading(5, organization_id="other")
    post(conn, theirs)
    seal(database)
    restatement(conn)
    change = (
        "insert into ledger.restatement_line (restatement_id, activity_month, entry_id, line_no,"
        " delta_kgco2e, delta_factor_release, delta_gwp_set, delta_boundary, delta_method,"
        " delta_kg_co2_fossil, delta_kg_co2_biogenic, delta_kg_ch4, delta_kg_n2o, policy_gwp_set,"
        " policy_vintage_gap, reference_known_at)"
        " select 1, activity_month, entry_id, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 'AR5', 5, now()"
        " from ledger.entry where organization_id = %s and reverses_id is null limit 1"
    )
    conn.execute(change, ("other",))
    decide(conn, "soft_closed")
    assert decide(conn, "closed").warnings == ()
    # It is theirs.
    found = periods.decide(
        conn, "other", YEAR, "soft_closed", by="A", reason="r", policy=POLICY, now=NOW
    )
    assert [one.code for one in found.warnings] == ["restatement_open"]
    conn.execute(change, ("default",))
    assert "restatement_open" in str(refused(lambda: decide(conn, "closed")))


def test_what_is_posted_per_period_has_to_be_posted_as_of_the_close(
    database: LedgerDatabase, conn: Connection
) -> None:
    seal(database)
    decide(conn, "soft_closed")
    post(conn, reading(77))
    error = refused(lambda: decide(conn, "closed", as_of=knowledge_horizon(conn)))
    assert "postings_due: still to be made as of" in str(error)
    assert "period postings of 2024" in str(error)
    # Looked at later is too late for that moment, and in time for a later one.
    before = knowledge_horizon(conn)
    look(conn)
    assert "postings_due" in str(refused(lambda: decide(conn, "closed", as_of=before)))
    seal(database)
    assert decide(conn, "closed").warnings == ()


def test_a_decision_nobody_agreed_to_expires(database: LedgerDatabase, conn: Connection) -> None:
    seal(database)
    decide(conn, "soft_closed")
    outcome = decide(conn, "closed")
    with closing(database.admin()) as admin:
        admin.execute("alter table ledger.period_decision disable trigger user")
        admin.execute(
            "update ledger.period_decision set decided_at = now() - interval '31 days'"
            " where state = 'closed'"
        )
    number = outcome.decision.decision_id
    now = datetime.now(UTC)
    error = refused(
        lambda: periods.approve(conn, number, by=HEAD, reason="r", policy=POLICY, now=now)
    )
    assert error.code == "decision_expired"
    # Nor does the database take it from whoever does not ask.
    with pytest.raises(psycopg.errors.CheckViolation) as caught, conn.transaction():
        conn.execute(
            INSERT,
            {
                **{"no": 2, "previous": "soft_closed", "state": "closed", "decision": number},
                **{"by": CONTROLLER, "other": HEAD, "why": "checked"},
            },
        )
    assert caught.value.diag.constraint_name == "period_state_decision_is_recent"
    approve(conn, decide(conn, "closed"))
    assert status(conn).state == "closed"


@pytest.mark.parametrize(
    ("fault", "code", "may_be_accepted"),
    [
        (unclaimed, "postings_due", False),
        (old_batch, "batch_open", False),
        (halted, "stream_halted", False),
        (silent, "incomplete", True),
        (restatement, "restatement_open", True),
    ],
)
def test_what_stands_in_the_way_stops_a_close_and_only_warns_before_it(
    database: LedgerDatabase,
    conn: Connection,
    fault: Callable[[Connection], None],
    code: str,
    may_be_accepted: bool,
) -> None:
    seal(database)
    fault(conn)
    if code == "postings_due":
        seal(database)
    else:
        look(conn)
    warned = decide(conn, "soft_closed")
    assert warned.is_in_force
    assert [one.code for one in warned.warnings] == [code]
    error = refused(lambda: decide(conn, "closed"))
    assert error.code == "in_the_way"
    assert f"{code}: " in str(error)
    if may_be_accepted:
        assert approve(conn, decide(conn, "closed", despite=[code])).accepted == [code]
    else:
        error = refused(lambda: decide(conn, "closed", despite=[code]))
        assert error.code == "not_acceptable"
        assert "incomplete" in str(error.valid)


def test_old_commits_without_a_seal_and_a_year_under_way_are_not_closed(
    database: LedgerDatabase, conn: Connection
) -> None:
    decide(conn, "soft_closed")
    error = refused(lambda: decide(conn, "closed", as_of=datetime.now(UTC) - timedelta(0)))
    assert error.code in ("as_of_not_final", "in_the_way")
    with closing(database.admin()) as admin:
        admin.execute("alter table audit.commit disable trigger refuse_change")
        admin.execute("update audit.commit set recorded_at = '2026-01-01'")
    assert "commits_unsealed: 1 commits" in str(refused(lambda: decide(conn, "closed")))
    post(conn, reading(3, occurred_from=datetime.now(UTC) - timedelta(days=1)))
    text = f"{datetime.now(UTC) - timedelta(days=1):%Y}"
    decide(conn, "soft_closed", text)
    assert "not_over" in str(refused(lambda: decide(conn, "closed", text)))


def test_what_came_into_the_way_since_the_decision_stops_the_approval(
    database: LedgerDatabase, conn: Connection
) -> None:
    seal(database)
    decide(conn, "soft_closed")
    outcome = decide(conn, "closed")
    silent(conn)
    assert refused(lambda: approve(conn, outcome)).code == "in_the_way"


# --- planted faults: what was closed is not there any more


FAULTS = {
    "a changed figure": "update ledger.entry set kgco2e = kgco2e + 1",
    "a changed entry": "update ledger.entry set content_sha256 = sha256('x')",
    "a lost entry": "delete from ledger.entry",
    "an entry dated back": "update ledger.entry set recorded_at = now()",
}


def plant(database: LedgerDatabase, *statements: str) -> None:
    """As the owner, past every trigger."""
    with closing(database.admin()) as admin:
        for name in ("ledger.entry", "reports.esrs_e1"):
            admin.execute(f"alter table {name} disable trigger all")
        for statement in statements:
            admin.execute(statement.encode())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_closed_period_that_the_ledger_does_not_give_again_is_seen(
    database: LedgerDatabase, conn: Connection, fault: str
) -> None:
    close(database, conn)
    approve(conn, decide(conn, "reported"))
    assert period_status.reproduction_faults(conn) == []
    plant(database, FAULTS[fault])
    faults = period_status.reproduction_faults(conn)
    assert {one.period for one in faults} == {"2024"}
    assert len([one for one in faults if "scope 2" in one.what or "of other" in one.what]) == 3


def test_a_changed_report_and_one_that_cannot_be_built_again_are_seen(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    approve(conn, decide(conn, "reported"))
    plant(database, "update reports.esrs_e1 set value = value + 1 where country_iso2 = ''")
    assert evaluations(database) == {LATE: True, AGAIN: False}
    (fault,) = period_status.reproduction_faults(conn)
    assert "the report snapshots are not what was reported" in fault.what
    plant(
        database,
        "update reports.esrs_e1 set value = value - 1 where country_iso2 = ''",
        "update ledger.entry set country_iso2 = 'FR'",
    )
    faults = [one.what for one in period_status.reproduction_faults(conn)]
    assert any("the report built again is not what was reported" in one for one in faults)
    # So are the whole reports that the period binds.
    assert any("made again as of its moment, it is another text" in one for one in faults)


def test_a_decision_on_a_ledger_that_was_changed_meanwhile_is_not_approved(
    database: LedgerDatabase, conn: Connection
) -> None:
    seal(database)
    decide(conn, "soft_closed")
    outcome = decide(conn, "closed")
    plant(database, FAULTS["a changed figure"])
    assert refused(lambda: approve(conn, outcome)).code == "ledger_moved"


def test_closed_and_late_figures_that_do_not_add_up_are_seen(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    post(conn, late("0.5"))
    assert period_status.late_faults(conn, [status(conn)]) == []
    plant(database, "delete from ledger.entry where kgco2e = 38")
    (fault,) = period_status.late_faults(conn, [status(conn)])
    assert "closed and late entries are 38.500000000000 kgCO2e in 2 entries" in fault.what
    unseen = replace(status(conn), shown_in=())
    assert "not what later periods disclose" in period_status.late_faults(conn, [unseen])[-1].what
    assert not evaluations(database)[LATE]


# --- graph and command


def materialize(database: LedgerDatabase) -> dg.ExecuteInProcessResult:
    resources = {"database": resource_of(database)}
    return build_definitions(resources=resources).resolve_job_def("periods").execute_in_process()


def evaluations(database: LedgerDatabase) -> dict[str, bool]:
    found = materialize(database).get_asset_check_evaluations()
    return {one.check_name: one.passed for one in found}


def test_the_asset_shows_what_is_late_and_warns_where_restating_is_due(
    database: LedgerDatabase, conn: Connection
) -> None:
    close(database, conn)
    post(conn, late("0.5"))
    result = materialize(database)
    (made,) = result.asset_materializations_for_node("periods__status")
    assert "| default | 2024 | closed |" in str(made.metadata["periods"].value)
    assert "| location | 1 | 0.500000000000 |" in str(made.metadata["late_entries"].value)
    assert all(one.passed for one in result.get_asset_check_evaluations())
    post(conn, late("2", 501))
    (failed,) = [
        one for one in materialize(database).get_asset_check_evaluations() if not one.passed
    ]
    assert failed.check_name == LATE
    assert failed.severity == dg.AssetCheckSeverity.WARN
    assert failed.metadata["restatement_due"].value == ["default 2024"]


def test_the_command_closes_reports_and_says_what_came_late(
    database: LedgerDatabase, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    monkeypatch.setenv("CARBON_DATABASE_AUDITOR_URL", database.auditor_url)
    seal(database)

    def carbon(*words: str) -> str:
        result = CliRunner().invoke(command, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    who = ("--by", CONTROLLER, "--because", "reviewed")
    assert "open" in carbon("status")
    assert "2024 of default is soft-closed" in carbon(
        "close", "2024", "--state", "soft-closed", *who
    )
    for state in ("closed", "reported"):
        said = carbon("close", "2024", "--state", state, *who)
        number = re.search(r"carbon period approve (P-\d+)", said)
        assert number is not None
        assert f"is {state} as of" in carbon(
            "approve", number[1], "--by", HEAD, "--because", "recomputed"
        )
    post(conn, late("0.5"))
    said = carbon("status", "--year", "2024")
    assert "prior period adjustment" in said
    assert "shown with 2025 as a prior-period adjustment" in said
    (answer,) = json.loads(carbon("status", "--organization", "default", "--json"))
    assert answer["state"] == "reported"
    assert answer["totals_kgco2e"] == {"location": "38.000000000000", "market": "0"}
    assert answer["late"]["figures"][0]["kgco2e"] == "0.500000000000"
    assert answer["late"]["shown_in"][0]["with"] == "2025"
    assert not answer["late"]["restatement_due"]
    digest = answer["history"][-1]["digest"]
    assert hashlib.sha256(answer["history"][-1]["content"].encode()).hexdigest() == digest
    assert "is to become reopened" in carbon("reopen", "2024", *who)
    assert "waits for somebody else" in carbon("status")


@pytest.fixture(scope="module")
def asked(stack: Any) -> Iterator[LedgerDatabase]:
    """A ledger with an entry of 2024, shared by commands that are refused."""
    with scratch_database(stack.layout.database_url) as found:
        with closing(found.writer(autocommit=True)) as connection:
            post(connection, reading(0))
        yield found


@pytest.mark.parametrize(
    ("words", "value", "valid"),
    [
        (("close", "2024-13", "--state", "closed"), "'2024-13'", "2025-03"),
        (("close", "2023", "--state", "closed"), "2023", "no entry in 2023"),
        (("close", "2024", "--state", "closed", "--organization", "x"), "none of x", "default"),
        (("approve", "P-9"), "P-9", "nothing waits"),
    ],
)
def test_the_command_refuses_with_the_value_and_what_is_valid(
    asked: LedgerDatabase,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    value: str,
    valid: str,
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", asked.writer_url)
    result = CliRunner().invoke(command, [*words, "--by", "A", "--because", "b"])
    assert isinstance(result.exception, RejectedRecord)
    assert value in str(result.exception)
    assert valid in str(result.exception)


def test_the_newest_report_is_the_one_that_knows_most_and_not_the_one_built_last(
    database: LedgerDatabase, conn: Connection
) -> None:
    """A report that is built again as of an old close does not take the place of the newest."""
    before = datetime.now(UTC) - timedelta(seconds=0)
    closed = close(database, conn)
    post(conn, late("0.5"))
    newest = build_esrs_e1(conn, 2024, snapshot_id=uuid4(), run_id="test", code_version="test")
    approve(conn, decide(conn, "reported"))
    assert newest[0].as_of > closed.as_of >= before
    assert latest_esrs_e1(conn, 2024)[0].snapshot_id == newest[0].snapshot_id
