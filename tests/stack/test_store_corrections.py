"""Corrections: the exact negative and a new entry in one commit, each entry taken back once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from carbon_ledger.entries import content_sha256, reversal_of, sealed
from carbon_ledger.errors import BrokenInvariant, CarbonError, RejectedRecord
from carbon_ledger.store.checks import check_windows
from carbon_ledger.store.correct import post_correction, read_entry
from carbon_ledger.store.read import daily, entries_as_of, totals
from carbon_ledger.store.rows import (
    begin_writing,
    ensure_month,
    entries_of_event,
    insert_entries,
    insert_identity,
    post_entries,
)
from carbon_ledger.store.windows import deltas_of, insert_deltas, window_start
from tests.support.entry_examples import examples
from tests.support.postgres import Connection, LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack

DAY = date(2024, 3, 1)


@contextmanager
def three_readings(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    """A ledger of readings 0, 1 and 2 with identities and windows."""
    with scratch_database(stack.layout.database_url) as found:
        with found.writer() as conn:
            ensure_month(conn, DAY)
            rows = [reading(number) for number in range(3)]
            begin_writing(conn)
            for row in rows:
                insert_identity(conn, row)
            insert_entries(conn, rows)
            insert_deltas(conn, deltas_of(rows, recorded_at=datetime.now(UTC)))
        yield found


@pytest.fixture
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with three_readings(stack) as found:
        yield found


@pytest.fixture(scope="module")
def untouched(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    """The same, shared by tests in which every change is refused."""
    with three_readings(stack) as found:
        yield found


def kwh(conn: Connection) -> Decimal:
    """What stands in the ledger, in kWh."""
    (total,) = totals(conn)
    return total.quantity


def test_a_correction_replaces_what_stood_and_keeps_what_was(database: LedgerDatabase) -> None:
    old = reading(1)
    with database.writer() as conn:
        reversal, new = post_correction(
            conn,
            activity_month=DAY,
            entry_id=old.entry_id,
            replacement=replace(old, quantity=Decimal("2.25"), kgco2e=Decimal("0.855")),
            cause="meter read wrong; says the plant",
        )
        assert new is not None
        assert kwh(conn) == Decimal("5.25")
        (total,) = totals(conn)
        assert (total.entries, total.lines) == (3, 5)
        assert read_entry(conn, DAY, old.entry_id) == old
        assert read_entry(conn, DAY, new.entry_id) == new
        assert entries_of_event(conn, old.event_id) == [old, reversal]
        assert new.recorded_at == reversal.recorded_at
        stood = {row.entry_id for row in entries_as_of(conn, new.recorded_at)}
        assert stood == {reading(0).entry_id, reading(2).entry_id, new.entry_id}
        before = new.recorded_at - timedelta(microseconds=1)
        assert {row.entry_id for row in entries_as_of(conn, before)} == {
            reading(number).entry_id for number in range(3)
        }
    assert (reversal.quantity, reversal.kgco2e) == (-old.quantity, -old.kgco2e)
    assert (reversal.reverses_id, reversal.cause) == (old.entry_id, new.cause)
    assert new.event_id == f"{old.activity_ref}#c1"
    for row in (reversal, new):
        assert row.content_sha256 == content_sha256(row)


def test_windows_follow_a_correction_in_the_same_commit(database: LedgerDatabase) -> None:
    old = reading(1)
    with database.writer() as conn:
        post_correction(
            conn,
            activity_month=DAY,
            entry_id=old.entry_id,
            replacement=replace(old, quantity=Decimal("2.25"), kgco2e=Decimal("0.855")),
            cause="meter read wrong",
        )
        assert check_windows(conn, [DAY]) == []
        (window,) = daily(conn, start=DAY, end=DAY + timedelta(days=1))
        assert (window.quantity, window.entries, window.lines) == (Decimal("5.25"), 3, 5)


def test_a_correction_lists_its_entries_for_the_seal(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        rows = correct(conn)
        listed = conn.execute(
            "select kind, recorded_at, entry_ids, content_sha256s, batch_id from audit.commit"
        ).fetchall()
    assert isinstance(rows, tuple)
    assert listed == [
        (
            "correction",
            rows[0].recorded_at,
            b"".join(row.entry_id.bytes for row in rows),
            b"".join(row.content_sha256 for row in rows),
            None,
        )
    ]


def test_a_posting_whose_rows_tell_another_time_is_refused(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        moment = begin_writing(conn)
        rows = [replace(reading(5), recorded_at=moment), reading(6)]
        with pytest.raises(BrokenInvariant) as caught:
            post_entries(conn, rows, recorded_at=moment, kind="period")
    assert caught.value.code == "recorded_at_differs"
    assert str(reading(6).entry_id) in caught.value.message


def test_a_retraction_leaves_nothing_standing_and_everything_readable(
    database: LedgerDatabase,
) -> None:
    old = reading(2)
    with database.writer() as conn:
        reversal, new = post_correction(
            conn, activity_month=DAY, entry_id=old.entry_id, replacement=None, cause="no such meter"
        )
        assert new is None
        assert kwh(conn) == Decimal("3.00")
        assert check_windows(conn, [DAY]) == []
        active = conn.execute("select count(*) from ledger.active_entry").fetchone()
        assert active == (2,)
        assert read_entry(conn, DAY, reversal.entry_id) == reversal


def test_a_corrected_entry_can_be_corrected_again(database: LedgerDatabase) -> None:
    row = reading(1)
    with database.writer() as conn:
        for turn in range(1, 12):
            _, new = post_correction(
                conn,
                activity_month=DAY,
                entry_id=row.entry_id,
                replacement=replace(row, quantity=Decimal(turn)),
                cause=f"turn {turn}",
            )
            assert new is not None
            assert new.event_id == f"{row.activity_ref}#c{turn}"
            row = new
        assert kwh(conn) == Decimal("14.00")
        assert check_windows(conn, [DAY]) == []


def test_a_correction_may_move_an_activity_to_another_month(database: LedgerDatabase) -> None:
    old = reading(1)
    with database.writer() as conn:
        _, new = post_correction(
            conn,
            activity_month=DAY,
            entry_id=old.entry_id,
            replacement=replace(old, local_date=date(2024, 2, 29), activity_month=date(2024, 2, 1)),
            cause="the site keeps New York time",
        )
        assert new is not None
        assert [row.key for row in totals(conn, by="month")] == ["2024-02", "2024-03"]
        assert check_windows(conn, [DAY, date(2024, 2, 29)]) == []


def correct(conn: Connection, **changes: object) -> object:
    """A correction of reading 1 that is right but for `changes`."""
    row = reading(1)
    arguments = {
        "activity_month": DAY,
        "entry_id": row.entry_id,
        "replacement": replace(row, quantity=Decimal(9)),
        "cause": "why",
    }
    return post_correction(conn, **{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cause": " "}, "empty_cause"),
        ({"cause": "two\nlines"}, "empty_cause"),
        ({"entry_id": UUID(int=5)}, "unknown_entry"),
        ({"activity_month": date(2024, 4, 1)}, "unknown_entry"),
        ({"replacement": reading(2)}, "other_claim"),
        ({"replacement": replace(reading(1), stream="transport")}, "other_claim"),
        (
            {"replacement": replace(reading(1), activity_month=date(1999, 1, 1))},
            "month_out_of_range",
        ),
    ],
)
def test_a_correction_that_cannot_be_right_is_refused_and_changes_nothing(
    untouched: LedgerDatabase, changes: dict[str, object], code: str
) -> None:
    with untouched.writer() as conn:
        with pytest.raises(RejectedRecord) as caught:
            correct(conn, **changes)
        assert caught.value.code == code
        assert conn.execute("select count(*) from ledger.entry").fetchone() == (3,)
        assert conn.execute("select count(*) from ledger.event_identity").fetchone() == (3,)


def test_an_entry_that_was_taken_back_names_its_reversal(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        reversal, _ = correct(conn)  # type: ignore[misc]
        with pytest.raises(RejectedRecord) as caught:
            correct(conn)
        assert caught.value.code == "already_reversed"
        assert str(reversal.entry_id) in caught.value.message
        with pytest.raises(RejectedRecord) as caught:
            correct(conn, entry_id=reversal.entry_id)
        assert caught.value.code == "entry_is_a_reversal"


def test_a_correction_refuses_to_be_part_of_another_transaction(untouched: LedgerDatabase) -> None:
    with untouched.writer() as conn:
        conn.execute("select 1")
        with pytest.raises(BrokenInvariant) as caught:
            correct(conn)
        assert caught.value.code == "transaction_open"


@pytest.mark.parametrize("is_retraction", [False, True])
def test_of_many_corrections_at_once_one_is_posted(
    database: LedgerDatabase, is_retraction: bool
) -> None:
    callers = 5
    ready = threading.Barrier(callers)

    def call() -> str:
        with database.writer() as conn:
            ready.wait(10)
            try:
                correct(conn, **({"replacement": None} if is_retraction else {}))
            except CarbonError as error:
                return error.code
            return "posted"

    with ThreadPoolExecutor(callers) as pool:
        ends = [task.result() for task in [pool.submit(call) for _ in range(callers)]]
    assert sorted(ends) == ["already_reversed"] * (callers - 1) + ["posted"]
    with database.reader() as conn:
        assert check_windows(conn, [DAY]) == []
        assert kwh(conn) == (Decimal("3.00") if is_retraction else Decimal("12.00"))


SPOILED = {
    "kgco2e": Decimal("-0.5"),
    "quantity": Decimal("-1"),
    "scope": 1,
    "organization_id": "other",
    "facility_id": "other",
    "country_iso2": "FR",
    "unit": "MWh",
    "activity_type": "electricity:wind",
    "local_date": date(2024, 3, 2),
    "occurred_from": datetime(2024, 3, 1, 0, 0, 30, tzinfo=UTC),
    "claim_key": "other",
    "factor_id": "other",
    "flags": "boundary_substitute",
    "kg_ch4": Decimal("-0.000000000001"),
    "kgco2e_granular": Decimal(0),
    "other_gases": {"sf6": "0.000000000001"},
    "basis": "market",
    "stream": "transport",
}


@pytest.mark.parametrize("column", list(SPOILED))
def test_a_reversal_that_is_not_the_exact_negative_is_refused_by_the_database(
    untouched: LedgerDatabase, column: str
) -> None:
    with untouched.writer() as conn:
        honest = reversal_of(reading(1), recorded_at=begin_writing(conn), cause="why")
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            insert_entries(conn, [sealed(replace(honest, **{column: SPOILED[column]}))])
    assert caught.value.diag.constraint_name == "reversal_is_the_negative"


def test_reversals_of_entries_of_every_shape_are_taken_as_exact_negatives(
    database: LedgerDatabase,
) -> None:
    rows = [row for row in examples().values() if not row.is_reversal]
    with database.writer() as conn:
        known = {reading(number).entry_id for number in range(3)}
        for row in rows:
            ensure_month(conn, row.activity_month)
        fresh = [row for row in rows if row.entry_id not in known]
        recorded_at = begin_writing(conn)
        backs = [reversal_of(row, recorded_at=recorded_at, cause="why") for row in fresh]
        insert_entries(conn, fresh + backs)
        conn.commit()
        assert {row.entry_id for row in entries_as_of(conn, recorded_at)} == known


def test_the_database_refuses_a_second_reversal_and_a_reversal_of_one(
    database: LedgerDatabase,
) -> None:
    with database.writer() as conn:
        first = reversal_of(reading(1), recorded_at=begin_writing(conn), cause="why")
        insert_entries(conn, [first])
        conn.commit()
        second = sealed(replace(first, entry_id=UUID(int=77)))
        with pytest.raises(psycopg.errors.UniqueViolation) as unique:
            insert_entries(conn, [second])
        assert unique.value.diag.constraint_name == "reversal_pkey"
        conn.rollback()
        again = replace(
            first,
            entry_id=UUID(int=78),
            reverses_id=first.entry_id,
            quantity=-first.quantity,
            kgco2e=-first.kgco2e,
        )
        with pytest.raises(psycopg.errors.CheckViolation) as check:
            insert_entries(conn, [sealed(again)])
        assert check.value.diag.constraint_name == "reversal_is_not_of_a_reversal"


def test_a_reversal_of_an_entry_that_is_not_there_or_without_cause_is_refused(
    untouched: LedgerDatabase,
) -> None:
    with untouched.writer() as conn:
        honest = reversal_of(reading(1), recorded_at=begin_writing(conn), cause="why")
        conn.commit()
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            insert_entries(conn, [sealed(replace(honest, reverses_id=UUID(int=9)))])
        conn.rollback()
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            insert_entries(conn, [sealed(replace(honest, cause=None))])
        assert caught.value.diag.constraint_name == "entry_reversal_has_cause"


@pytest.mark.parametrize(
    ("second", "start"), [(0, 0), (299, 0), (300, 300), (301, 300), (599, 300)]
)
def test_a_window_holds_its_start_and_not_its_end(second: int, start: int) -> None:
    day = datetime(2024, 3, 1, tzinfo=UTC)
    assert window_start(day + timedelta(seconds=second)) == day + timedelta(seconds=start)


def test_a_window_that_is_not_the_sum_of_its_entries_is_found(database: LedgerDatabase) -> None:
    stray = replace(reading(1), quantity=Decimal("1E-24"), kgco2e=Decimal(0))
    with database.writer() as conn:
        insert_deltas(conn, deltas_of([stray], recorded_at=datetime.now(UTC)))
        conn.commit()
        (found,) = check_windows(conn, [DAY])
    assert found.window_quantity - found.entry_quantity == Decimal("1E-24")
    assert (found.entry_count, found.window_count) == (3, 4)


@pytest.mark.parametrize("offset", [timedelta(seconds=1), timedelta(microseconds=1)])
def test_a_delta_that_is_not_on_the_five_minutes_is_refused(
    untouched: LedgerDatabase, offset: timedelta
) -> None:
    (delta,) = deltas_of([reading(1)], recorded_at=datetime.now(UTC))
    with untouched.writer() as conn:
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            insert_deltas(conn, [replace(delta, window_start=delta.window_start + offset)])
        assert caught.value.diag.constraint_name == "five_minute_delta_is_aligned"
