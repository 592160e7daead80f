"""The commit of a part: accounts that add up, a fence against replaced attempts, no gap."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from carbon_ledger.store.checks import check_accounts, reconcile
from carbon_ledger.store.rows import ensure_month, insert_entries
from carbon_ledger.store.windows import deltas_of, insert_deltas
from tests.support.postgres import Connection, LedgerDatabase, claim, reading, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        with found.writer(autocommit=True) as conn:
            ensure_month(conn, reading(0).activity_month)
        yield found


def committed_offset(conn: Connection, partition: int = 0) -> int:
    """Where the accounts of a Kafka partition end."""
    row = conn.execute(
        "select committed_offset from manifest.progress where kafka_partition = %s", (partition,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_part_that_is_opened_accounted_for_and_closed_moves_the_offset(
    database: LedgerDatabase,
) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, 10)})
        conn.commit()
        opened = part.open(conn)
        assert (opened["start_offset"], opened["end_offset"]) == (0, 10)
        assert opened["already_committed"] is False
        part.account(conn)
        part.close(conn)
        conn.commit()
        assert committed_offset(conn) == 10


def test_a_part_that_is_committed_already_says_so(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, 10)})
        part.open(conn)
        part.account(conn)
        part.close(conn)
        conn.commit()
        assert part.open(conn)["already_committed"] is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"ledgered": 9},
        {"duplicate": 1},
        {"dead_lettered": 1},
        {"quarantined": 1},
        {"records_read": 9},
        {"ledgered": 11, "dead_lettered": 0},
    ],
)
def test_an_account_in_which_a_record_has_no_fate_or_two_is_refused(
    database: LedgerDatabase, wrong: dict[str, int]
) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, 10)})
        part.open(conn)
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            part.account(conn, **wrong)
    assert caught.value.diag.constraint_name in (
        "every_record_has_one_fate",
        "every_offset_is_accounted_for",
    )


@pytest.mark.parametrize(
    ("wrong", "constraint"),
    [
        ({"ledgered": 9}, "every_record_has_one_fate"),
        ({"records_read": 9, "ledgered": 9}, "every_offset_is_accounted_for"),
        ({"offsets_without_record": 1}, "every_offset_is_accounted_for"),
        ({"ledgered": 12, "duplicate": -2}, "batch_part_counts_are_positive"),
    ],
)
def test_each_identity_of_the_account_is_a_named_constraint(
    database: LedgerDatabase, wrong: dict[str, int], constraint: str
) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, 10)})
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            part.account(conn, **wrong)
    assert caught.value.diag.constraint_name == constraint


def test_a_replaced_attempt_cannot_open_its_part(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, 10)})
        conn.execute("update manifest.batch set attempt = 2 where batch_id = %s", (part.batch_id,))
        conn.commit()
        with pytest.raises(psycopg.Error) as caught:
            part.open(conn)
    assert caught.value.sqlstate == "CL002"


@pytest.mark.parametrize("status", ["done", "dead", "withdrawn"])
def test_a_batch_that_is_over_cannot_be_committed(database: LedgerDatabase, status: str) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, 10)})
        conn.execute(
            "update manifest.batch set status = %s where batch_id = %s", (status, part.batch_id)
        )
        conn.commit()
        with pytest.raises(psycopg.Error) as caught:
            part.open(conn)
    assert caught.value.sqlstate == "CL002"


def test_an_attempt_cannot_be_replaced_between_opening_and_commit(database: LedgerDatabase) -> None:
    """The planner waits for the open commit; whoever then comes with the old attempt is fenced."""
    with database.writer() as zombie, database.writer() as planner:
        (part,) = claim(zombie, {0: (0, 10)})
        zombie.commit()
        part.open(zombie)
        planner.execute("set lock_timeout = '300ms'")
        planner.commit()
        replace_attempt = "update manifest.batch set attempt = attempt + 1 where batch_id = %s"
        with pytest.raises(psycopg.errors.LockNotAvailable):
            planner.execute(replace_attempt, (part.batch_id,))
        planner.rollback()
        part.account(zombie)
        part.close(zombie)
        zombie.commit()
        planner.execute(replace_attempt, (part.batch_id,))
        planner.commit()
        with pytest.raises(psycopg.Error) as caught:
            part.open(zombie)
    assert caught.value.sqlstate == "CL002"


@pytest.mark.parametrize(("start", "committed"), [(10, 0), (0, 5), (10, 5)])
def test_a_part_that_does_not_start_at_the_last_commit_is_a_gap(
    database: LedgerDatabase, start: int, committed: int
) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (start, 20)})
        conn.execute("update manifest.progress set committed_offset = %s", (committed,))
        conn.commit()
        with pytest.raises(psycopg.Error) as caught:
            part.open(conn)
    assert caught.value.sqlstate == "CL001"


def test_a_part_cannot_be_closed_without_its_account(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, 10)})
        part.open(conn)
        with pytest.raises(psycopg.Error) as caught:
            part.close(conn)
    assert caught.value.sqlstate == "CL003"


def test_a_part_cannot_be_accounted_for_twice(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, 10)})
        part.account(conn)
        with pytest.raises(psycopg.errors.UniqueViolation):
            part.account(conn)


def test_two_partitions_of_a_batch_commit_without_waiting_for_each_other(
    database: LedgerDatabase,
) -> None:
    with database.writer() as one, database.writer() as two:
        first, second = claim(one, {0: (0, 10), 1: (0, 5)})
        one.commit()
        two.execute("set lock_timeout = '500ms'")
        two.commit()
        first.open(one)
        second.open(two)
        second.account(two)
        second.close(two)
        two.commit()
        first.account(one)
        first.close(one)
        one.commit()
        assert (committed_offset(one, 0), committed_offset(one, 1)) == (10, 5)


def test_of_two_runs_of_one_part_the_second_waits_and_finds_it_done(
    database: LedgerDatabase,
) -> None:
    found: list[bool] = []
    with database.writer() as one, database.writer() as two:
        (part,) = claim(one, {0: (0, 10)})
        one.commit()
        part.open(one)
        thread = threading.Thread(target=lambda: found.append(part.open(two)["already_committed"]))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "the second did not wait"
        part.account(one)
        part.close(one)
        one.commit()
        thread.join(10)
    assert found == [True]


def committed_batch(database: LedgerDatabase, count: int = 3) -> int:
    """A batch of `count` readings with entries, windows and account; its id."""
    with database.writer() as conn:
        (part,) = claim(conn, {0: (0, count)})
        recorded_at = part.open(conn)["recorded_at"]
        rows = [
            reading(number, recorded_at=recorded_at, batch_id=part.batch_id)
            for number in range(count)
        ]
        insert_entries(conn, rows)
        insert_deltas(conn, deltas_of(rows, recorded_at=recorded_at, batch_id=part.batch_id))
        part.account(conn)
        part.close(conn)
        conn.commit()
        return part.batch_id


def test_an_honest_batch_passes_every_comparison(database: LedgerDatabase) -> None:
    batch_id = committed_batch(database)
    with database.reader() as conn:
        assert check_accounts(conn) == []
        assert check_accounts(conn, [batch_id]) == []
        assert reconcile(conn) == []


def test_a_line_too_many_is_found_by_the_accounts(database: LedgerDatabase) -> None:
    batch_id = committed_batch(database)
    with database.writer() as conn:
        insert_entries(conn, [reading(99, batch_id=batch_id)])
    with database.reader() as conn:
        found = {one.what: (one.expected, one.found) for one in check_accounts(conn, [batch_id])}
        assert found == {"lines of the batch": (3, 4), "ledgered events of the batch": (3, 4)}
        assert [one.what for one in reconcile(conn)] == ["events of the stream"]


def test_a_dead_letter_nobody_counted_is_found_by_the_accounts(database: LedgerDatabase) -> None:
    batch_id = committed_batch(database)
    with database.writer() as conn:
        conn.execute(
            "insert into ledger.dead_letter (topic, kafka_partition, kafka_offset, stream, "
            "batch_id, fate, reason_code, reason) "
            "values ('raw.iot.energy', 0, 1, 'iot_energy', %s, 'quarantined', 'x', 'x')",
            (batch_id,),
        )
    with database.reader() as conn:
        (found,) = check_accounts(conn)
    assert found.what == "quarantined records of the batch"
    assert (found.expected, found.found) == (0, 1)


def test_offsets_nobody_accounted_for_are_found(database: LedgerDatabase) -> None:
    committed_batch(database)
    with database.writer() as conn:
        conn.execute("update manifest.progress set planned_offset = 9, committed_offset = 9")
    with database.reader() as conn:
        (found,) = reconcile(conn)
    assert (found.what, found.expected, found.found) == ("committed offset", 3, 9)
    assert found.subject == "raw.iot.energy/0-0"


def test_a_hole_between_two_parts_is_found_unless_a_truncation_was_accepted(
    database: LedgerDatabase,
) -> None:
    committed_batch(database)
    with database.writer() as conn:
        conn.execute("update manifest.progress set planned_offset = 5, committed_offset = 5")
        (part,) = claim(conn, {0: (5, 8)})
        part.open(conn)
        part.account(conn, ledgered=0, dead_lettered=0, duplicate=3, lines=0)
        part.close(conn)
        conn.commit()
        (found,) = reconcile(conn)
        assert (found.what, found.expected, found.found) == ("part begins", 3, 5)
        conn.execute(
            "insert into manifest.gap (stream, topic, kafka_partition, kind, expected_offset, "
            "found_offset, detail, resolved_at, resolution, resolved_by) "
            "values ('iot_energy', 'raw.iot.energy', 0, 'topic_truncated', 3, 5, 'x', now(), 'x', "
            "'test')"
        )
        assert reconcile(conn) == []
