"""What was known when: an answer as of a moment before the horizon never changes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from carbon_ledger.entries import EntryRow, reversal_of, sealed
from carbon_ledger.factor_book.rows import make_release
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.read import entries_as_of, knowledge_horizon, totals
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_entries
from tests.support.factor_examples import grid_factor
from tests.support.postgres import Connection, LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        with found.writer(autocommit=True) as conn:
            ensure_month(conn, reading(0).activity_month)
        yield found


def recorded(conn: Connection, number: int) -> EntryRow:
    """An entry of a new writing transaction, inserted but not committed."""
    recorded_at = begin_writing(conn)
    row = reading(number, recorded_at=recorded_at)
    insert_entries(conn, [row])
    return row


def test_the_horizon_stays_below_a_writer_that_has_not_committed(database: LedgerDatabase) -> None:
    with database.writer() as writer, database.reader() as reader:
        row = recorded(writer, 1)
        time.sleep(1.1)
        horizon = knowledge_horizon(reader)
        assert horizon < row.recorded_at
        assert reader.execute("select clock_timestamp()").fetchone() > (
            row.recorded_at + timedelta(seconds=1),
        )
        writer.commit()
        assert knowledge_horizon(reader) > row.recorded_at


def test_no_moment_is_final_at_which_a_release_may_or_may_not_be_known(
    database: LedgerDatabase,
) -> None:
    """A report of a final moment has the factors that were known then: a release that was being
    stored meanwhile is of a later one, or the moment was not final.
    """
    release = make_release("horizon", [grid_factor()])
    with database.writer() as writer, database.reader() as reader:
        # In a transaction that is open already, so that it stays open.
        writer.execute("select 1")
        store_release(writer, release)
        (recorded_at,) = writer.execute(
            "select recorded_at from factors.release where release_id = %s", (release.release_id,)
        ).fetchone()  # type: ignore[misc]
        time.sleep(1.1)
        assert knowledge_horizon(reader) < recorded_at
        writer.commit()
        assert knowledge_horizon(reader) > recorded_at


def test_the_horizon_follows_the_oldest_of_several_writers(database: LedgerDatabase) -> None:
    with database.writer() as old, database.writer() as young, database.reader() as reader:
        oldest = recorded(old, 2)
        time.sleep(1.1)
        youngest = recorded(young, 3)
        young.commit()
        assert knowledge_horizon(reader) < oldest.recorded_at < youngest.recorded_at
        old.rollback()
        assert knowledge_horizon(reader) > youngest.recorded_at


def test_a_writer_in_another_database_does_not_hold_the_horizon(
    stack,  # type: ignore[no-untyped-def]
    database: LedgerDatabase,
) -> None:
    with (
        scratch_database(stack.layout.database_url) as elsewhere,
        elsewhere.writer() as writer,
        database.reader() as reader,
    ):
        stranger = begin_writing(writer)
        time.sleep(0.1)
        assert knowledge_horizon(reader) > stranger


SECOND = (
    "floor(extract(epoch from clock_timestamp() - timestamptz '2000-01-01 00:00:00Z'))::integer"
)


@pytest.mark.parametrize("role", ["reader", "sealer", "verifier", "auditor"])
@pytest.mark.parametrize("lock", ["pg_advisory_lock", "pg_advisory_lock_shared"])
def test_a_login_that_cannot_append_does_not_hold_the_horizon(
    database: LedgerDatabase, role: str, lock: str
) -> None:
    with (
        getattr(database, role)() as intruder,
        database.reader() as reader,
        database.writer() as writer,
    ):
        intruder.execute(f"select {lock}(7202, 1000)")
        clock = reader.execute("select clock_timestamp()").fetchone()
        assert clock is not None
        assert knowledge_horizon(reader) > clock[0] - timedelta(seconds=1)
        # Who can append still does, and is asked about in a transaction that has looked before.
        with reader.transaction():
            reader.execute("select count(*) from pg_stat_activity")
            stamp = begin_writing(writer)
            time.sleep(1.1)
            assert knowledge_horizon(reader) < stamp
        writer.rollback()
        assert knowledge_horizon(reader) > stamp


def test_whoever_may_become_the_owner_holds_the_horizon(database: LedgerDatabase) -> None:
    with database.admin() as owner, database.reader() as reader, owner.transaction():
        stamp = begin_writing(owner)
        time.sleep(1.1)
        assert knowledge_horizon(reader) < stamp


def test_a_writer_goes_on_past_seconds_that_another_login_holds(database: LedgerDatabase) -> None:
    with database.auditor() as intruder, database.writer() as writer, database.reader() as reader:
        intruder.execute(
            f"select pg_advisory_lock(7202, {SECOND} + n) from generate_series(-5, 20) n"
        )
        began = time.monotonic()
        stamp = begin_writing(writer)
        assert time.monotonic() - began < 5
        time.sleep(0.1)
        assert knowledge_horizon(reader) < stamp
        writer.rollback()
        assert knowledge_horizon(reader) > stamp


def test_where_the_whole_last_minute_is_held_the_writer_is_told(database: LedgerDatabase) -> None:
    with database.auditor() as intruder, database.writer() as writer:
        intruder.execute(
            f"select pg_advisory_lock(7202, {SECOND} + n) from generate_series(-70, 20) n"
        )
        began = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable, match="nothing can be written"):
            begin_writing(writer)
        assert time.monotonic() - began < 5


def test_answers_before_the_horizon_never_change_while_many_write(
    database: LedgerDatabase,
) -> None:
    """Writers commit out of order, with pauses between stamp and commit, and take entries back."""
    writers, each = 4, 12
    stop = threading.Event()

    def write(number: int) -> int:
        draw = random.Random(number)
        written = 0
        with database.writer() as conn:
            for turn in range(each):
                row = recorded(conn, 1000 + number * 100 + turn)
                time.sleep(draw.uniform(0, 0.15))
                conn.commit()
                written += 1
                if turn % 3 == 2:
                    back = reversal_of(row, recorded_at=begin_writing(conn), cause="test")
                    time.sleep(draw.uniform(0, 0.1))
                    insert_entries(conn, [back])
                    conn.commit()
        return written

    answers: list[tuple[datetime, list[EntryRow], list[object]]] = []

    def ask() -> None:
        with database.reader() as conn:
            while not stop.is_set():
                horizon = knowledge_horizon(conn)
                answers.append(
                    (
                        horizon,
                        list(entries_as_of(conn, horizon)),
                        list(totals(conn, as_of=horizon)),
                    )
                )
                time.sleep(0.01)

    with ThreadPoolExecutor(writers + 1) as pool:
        asking = pool.submit(ask)
        done = [pool.submit(write, number) for number in range(writers)]
        try:
            assert sum(task.result() for task in done) == writers * each
        finally:
            stop.set()
        asking.result()

    assert len(answers) > 20
    seen = [len(entries) for _, entries, _ in answers]
    assert max(seen) > min(seen), "nothing was written while the questions were asked"
    with database.reader() as conn:
        for horizon, entries, sums in answers:
            assert list(entries_as_of(conn, horizon)) == entries
            assert list(totals(conn, as_of=horizon)) == sums


def test_an_answer_after_the_horizon_can_change_and_so_is_not_to_be_kept(
    database: LedgerDatabase,
) -> None:
    with database.writer() as writer, database.reader() as reader:
        row = recorded(writer, 5)
        moment = row.recorded_at + timedelta(seconds=1)
        assert moment > knowledge_horizon(reader)
        before = {entry.entry_id for entry in entries_as_of(reader, moment)}
        writer.commit()
        after = {entry.entry_id for entry in entries_as_of(reader, moment)}
    assert after - before == {row.entry_id}


def test_an_entry_taken_back_later_still_stood_before(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        row = recorded(conn, 6)
        conn.commit()
        back = reversal_of(row, recorded_at=begin_writing(conn), cause="test")
        insert_entries(conn, [back])
        conn.commit()
    with database.reader() as conn:
        then = {entry.entry_id for entry in entries_as_of(conn, row.recorded_at)}
        now = {entry.entry_id for entry in entries_as_of(conn, back.recorded_at)}
    assert row.entry_id in then
    assert row.entry_id not in now
    assert back.entry_id not in now


def test_totals_as_of_are_the_sums_of_what_stood(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        moments = [
            moment
            for (moment,) in conn.execute(
                "select recorded_at from ledger.entry order by recorded_at limit 40"
            )
        ]
        for moment in moments:
            stood = list(entries_as_of(conn, moment))
            (total,) = totals(conn, as_of=moment)
            assert total.entries == len(stood)
            assert total.kgco2e == sum((row.kgco2e for row in stood), Decimal(0))
            assert total.quantity == sum((row.quantity for row in stood), Decimal(0))
        assert totals(conn, as_of=datetime(2020, 1, 1, tzinfo=UTC)) == []


def test_a_reversal_recorded_before_its_entry_is_refused(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        row = recorded(conn, 7)
        early = sealed(
            reversal_of(row, recorded_at=row.recorded_at - timedelta(seconds=1), cause="test")
        )
        with pytest.raises(psycopg.errors.CheckViolation):
            insert_entries(conn, [early])
