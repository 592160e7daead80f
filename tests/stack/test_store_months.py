"""Months of the ledger: made on demand, within bounds, by many at once, in nobody's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import psycopg
import pytest

from carbon_ledger.entries import EntryRow
from carbon_ledger.store.rows import (
    begin_writing,
    ensure_month,
    insert_entries,
    insert_identity,
    make_months_aside,
)
from tests.support.postgres import LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        yield found


def months_from_now(count: int) -> date:
    """First day of the month `count` months after this one."""
    today = datetime.now(UTC).date()
    number = today.year * 12 + today.month - 1 + count
    return date(number // 12, number % 12 + 1, 1)


@pytest.mark.parametrize(
    ("month", "is_valid"),
    [
        (date(1999, 12, 31), False),
        (date(2000, 1, 1), True),
        (date(2000, 1, 31), False),
        (months_from_now(0), True),
        (months_from_now(1), True),
        (months_from_now(3), False),
    ],
)
def test_a_month_is_made_from_2000_to_the_next_one(
    database: LedgerDatabase, month: date, is_valid: bool
) -> None:
    with database.writer(autocommit=True) as conn:
        if month == date(2000, 1, 31):
            assert ensure_month(conn, month) is False, "January 2000 is there already"
        elif is_valid:
            assert ensure_month(conn, month) is True
            assert ensure_month(conn, month) is False
        else:
            with pytest.raises(psycopg.errors.CheckViolation) as caught:
                ensure_month(conn, month)
            assert caught.value.diag.constraint_name == "month_is_in_the_ledger"


def test_an_entry_of_a_month_that_was_not_made_is_refused(database: LedgerDatabase) -> None:
    row = reading(0, local_date=date(2001, 7, 1), occurred_from=datetime(2001, 7, 1, tzinfo=UTC))
    with database.writer() as conn, pytest.raises(psycopg.errors.CheckViolation):
        insert_entries(conn, [row])


def test_many_callers_at_once_make_a_month_once(database: LedgerDatabase) -> None:
    callers = 6
    # Unsynchronised callers rarely meet: twelve rounds, each let go at one moment.
    for month in (date(2010, number, 1) for number in range(1, 13)):
        ready = threading.Barrier(callers)

        def call(month: date = month, ready: threading.Barrier = ready) -> bool:
            with database.writer(autocommit=True) as conn:
                conn.execute("select 1")
                ready.wait(10)
                return ensure_month(conn, month)

        with ThreadPoolExecutor(callers) as pool:
            made = [task.result() for task in [pool.submit(call) for _ in range(callers)]]
        assert sorted(made) == [False] * (callers - 1) + [True]


def test_a_writer_in_mid_transaction_does_not_hold_up_a_new_month(database: LedgerDatabase) -> None:
    row = reading(0)
    with database.writer() as writer, database.writer(autocommit=True) as other:
        ensure_month(writer, row.activity_month)
        begin_writing(writer)
        insert_identity(writer, row)
        insert_entries(writer, [row])
        other.execute("set lock_timeout = '2s'")
        assert ensure_month(other, date(2011, 1, 1)) is True
        late = reading(
            1, local_date=date(2011, 1, 1), occurred_from=datetime(2011, 1, 1, tzinfo=UTC)
        )
        insert_entries(writer, [late])
        writer.commit()
    with database.reader() as conn:
        assert conn.execute("select count(*) from ledger.entry").fetchone() == (2,)


def in_month(number: int, year: int, month: int) -> EntryRow:
    """Reading `number`, moved to the first of a month."""
    first = datetime(year, month, 1, tzinfo=UTC)
    return reading(
        number, local_date=first.date(), occurred_from=first, source_ref=f"meter-{number}"
    )


def test_writers_that_need_new_months_do_not_wait_for_each_other(database: LedgerDatabase) -> None:
    """Both are in mid-transaction; the first one commits last."""
    one_row, two_row = in_month(1, 2013, 1), in_month(2, 2013, 2)
    with database.writer() as one, database.writer() as two:
        for writer in (one, two):
            begin_writing(writer)
            writer.execute("set local lock_timeout = '2s'")
        assert make_months_aside(one, [one_row.activity_month]) == [date(2013, 1, 1)]
        insert_entries(one, [one_row])
        both = [date(2013, 1, 31), date(2013, 2, 1)]
        assert make_months_aside(two, both) == [date(2013, 2, 1)]
        insert_entries(two, [two_row, in_month(3, 2013, 1)])
        two.commit()
        one.commit()


def test_a_month_made_inside_a_long_transaction_would_hold_up_the_others(
    database: LedgerDatabase,
) -> None:
    """The fault that make_months_aside is for."""
    with database.writer() as one, database.writer(autocommit=True) as two:
        begin_writing(one)
        ensure_month(one, date(2014, 1, 1))
        two.execute("set lock_timeout = '300ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            ensure_month(two, date(2014, 2, 1))


def test_a_month_outside_the_ledger_is_refused_aside_as_well(database: LedgerDatabase) -> None:
    with database.writer() as conn, pytest.raises(psycopg.errors.CheckViolation):
        make_months_aside(conn, [date(1999, 12, 1)])


def test_each_month_s_partition_has_key_guards_and_bounds(database: LedgerDatabase) -> None:
    with database.writer(autocommit=True) as conn:
        ensure_month(conn, date(2012, 2, 29))
        triggers = conn.execute(
            "select tgname from pg_trigger where tgrelid = 'ledger.entry_2012_02'::regclass "
            "and not tgisinternal order by tgname"
        ).fetchall()
        bounds = conn.execute(
            "select pg_get_expr(relpartbound, oid) from pg_class where relname = 'entry_2012_02'"
        ).fetchone()
        keys = conn.execute(
            "select count(*) from pg_constraint "
            "where conrelid = 'ledger.entry_2012_02'::regclass and contype = 'p'"
        ).fetchone()
    assert [name for (name,) in triggers] == ["check_reversal", "refuse_change", "refuse_truncate"]
    assert bounds == ("FOR VALUES FROM ('2012-02-01') TO ('2012-03-01')",)
    assert keys == (1,)
