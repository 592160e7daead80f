"""Sums of the ledger's lines: every answer is the same with them and without, as of any moment.

On a PostgreSQL of its own; no Kafka, no Spark.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import psycopg
import pytest

from carbon_ledger.entries import EntryRow, reversal_of, sealed
from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.store import entry_sums
from carbon_ledger.store.entry_sums import (
    forget_sums,
    sum_differences,
    sum_entries,
    sums_until,
)
from carbon_ledger.store.inventory import Inventory, InventoryQuestion, inventory
from carbon_ledger.store.read import final_moment, knowledge_horizon
from carbon_ledger.store.report_inputs import read_cubes
from carbon_ledger.store.rows import begin_writing, post_entries
from devstack.postgres import Postgres
from tests.support.postgres import Connection, LedgerDatabase, reading, rows_read, scratch_database
from tests.support.reading_ledger import bought, post

pytestmark = pytest.mark.stack

FACILITIES = ("plant-1", "plant-2", "Werk Süd")
SUPPLIERS = ("SUP_042_DE", "SUP-7")
FIRST = date(2024, 2, 27)
YEAR = date(2024, 1, 1), date(2025, 1, 1)
DAYS = 9
QUESTIONS = [
    InventoryQuestion(granularity=granularity, start=start, end=end, **of)  # type: ignore[arg-type]
    for granularity in ("total", "monthly", "daily", "hourly", "five_minute")
    for start, end in (
        (None, None),
        (date(2024, 2, 28), date(2024, 3, 2)),
        (date(2023, 1, 1), date(2023, 2, 1)),
    )
    for of in (
        {},
        {"facility": "plant-1"},
        {"supplier": "SUP-7"},
        {"supplier": "SUP-7", "facility": "plant-2"},
        {"scope": 2, "basis": "market"},
        {"scope": 3, "category": 1},
        {"facility": "nowhere"},
    )
]


@dataclass
class History:
    """A ledger that something is posted to at random, and taken back of, again and again."""

    conn: Connection
    chance: random.Random
    posted: list[EntryRow] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)
    number: int = 0

    def goes_on(self) -> None:
        """A commit of some lines, then perhaps one that takes some back."""
        rows = [self._line() for _ in range(self.chance.randint(1, 12))]
        recorded_at = post(self.conn, rows)
        self.posted += [sealed(replace(row, recorded_at=recorded_at)) for row in rows]
        if self.posted and self.chance.random() < 0.6:
            taken = self.chance.sample(self.posted, min(len(self.posted), 3))
            with self.conn.transaction():
                now = begin_writing(self.conn)
                back = [
                    reversal_of(row, recorded_at=now, cause="test", code_version="t")
                    for row in taken
                ]
                post_entries(self.conn, back, recorded_at=now, kind="period")
            self.posted = [row for row in self.posted if row not in taken]
        self.moments.append(knowledge_horizon(self.conn))

    def _line(self) -> EntryRow:
        self.number += 1
        chance, number = self.chance, self.number
        day = FIRST + timedelta(days=chance.randrange(DAYS))
        figure = Decimal(chance.randrange(-500, 5_000)) / 7
        changes = {
            "kgco2e": figure.quantize(Decimal("1E-12")),
            "factor_release": chance.choice(("test-000000000000", "test-111111111111")),
            "flags": chance.choice(("", "boundary_substitute", "a,boundary_substitute,b")),
            "primary_share": chance.choice((None, Decimal(0), Decimal("0.25"), Decimal(1))),
            "facility_id": chance.choice(FACILITIES),
        }
        if chance.random() < 0.4:
            return bought(
                number,
                day,
                str(changes.pop("kgco2e")),
                supplier=chance.choice(SUPPLIERS),
                stream=chance.choice(("procurement", "supplier")),
                **changes,
            )
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(
            minutes=chance.randrange(-1439, 600)
        )
        scope, basis = chance.choice(((1, "direct"), (2, "location"), (2, "market"), (0, "none")))
        return reading(
            number,
            source_ref=f"meter-{number}",
            occurred_from=begin,
            local_date=day,
            scope=scope,
            basis=basis,
            **changes,
        )


@pytest.fixture
def database(ledger_server: Postgres) -> Iterator[LedgerDatabase]:
    with scratch_database(ledger_server.layout.database_url) as found:
        yield found


@pytest.fixture
def history(database: LedgerDatabase) -> Iterator[History]:
    with closing(database.writer(autocommit=True)) as conn:
        yield History(conn=conn, chance=random.Random(7))


def by_lines(conn: Connection, question: InventoryQuestion, as_of: datetime) -> Inventory:
    """The answer that is read line by line: of no sums."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("carbon_ledger.store.inventory._rollup", lambda _: None)
        return inventory(conn, question, as_of)


def cubes_by_lines(conn: Connection, as_of: datetime) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("carbon_ledger.store.report_inputs.TRIES", 0)
        return read_cubes(conn, *YEAR, as_of)


def test_every_answer_is_the_same_with_sums_and_without(
    history: History, database: LedgerDatabase
) -> None:
    with closing(database.reader()) as reader:
        for number in range(14):
            history.goes_on()
            if number % 3 == 0:
                done = sum_entries(history.conn, 30)
                assert done.lines > 0
        summed_to = sums_until(reader, knowledge_horizon(reader))
        assert summed_to is not None
        assert history.moments[0] < summed_to < history.moments[-1], "sums and lines are both asked"
        compared = 0
        for as_of in (*history.moments[::3], history.moments[-1], summed_to):
            for question in QUESTIONS:
                expected = by_lines(reader, question, as_of)
                assert inventory(reader, question, as_of) == expected, (question, as_of)
                compared += expected.entries > 0
            assert read_cubes(reader, *YEAR, as_of) == cubes_by_lines(reader, as_of)
        assert compared > 200
        assert read_cubes(reader, *YEAR, history.moments[-1])["default"]


def test_nothing_is_asked_of_lines_that_are_summed(
    history: History, database: LedgerDatabase
) -> None:
    for _ in range(4):
        history.goes_on()
    sum_entries(history.conn, 30)
    with closing(database.admin()) as admin, closing(database.reader()) as reader:
        as_of = knowledge_horizon(reader)
        before = inventory(reader, QUESTIONS[0], as_of)
        cube = read_cubes(reader, *YEAR, as_of)
        # The sums alone say it: with other sums it is another answer.
        admin.execute("update windows.day_sum set kgco2e = kgco2e + 1")
        admin.execute("update windows.month_sum set kgco2e = kgco2e + 1")
        assert inventory(reader, QUESTIONS[0], as_of).total_kgco2e > before.total_kgco2e
        assert read_cubes(reader, *YEAR, as_of) != cube


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_a_question_reads_the_sums_and_lines_that_it_is_of_and_hardly_another(
    database: LedgerDatabase, role: str
) -> None:
    """Whatever the planner thinks of dates it does not know, and under row security (the reader's)
    as without (the writer's); of a stretch of pages all lines are read.
    """
    months, each = 4, 3_000
    with closing(database.writer(autocommit=True)) as writer, closing(database.admin()) as admin:
        for month in range(1, months + 1):
            begin = datetime(2024, month, 1, tzinfo=UTC)
            rows = [
                reading(
                    number,
                    source_ref=f"meter-{number}",
                    occurred_from=begin + timedelta(minutes=10 * (number % each)),
                )
                for number in range(month * each, (month + 1) * each)
            ]
            post(writer, rows)
        sum_entries(writer, 30)
        new = reading(1, source_ref="meter-1", occurred_from=datetime(2024, 2, 1, tzinfo=UTC))
        post(writer, [new])
        admin.execute("vacuum analyze ledger.entry, windows.day_sum")
    year = InventoryQuestion(granularity="daily", start=YEAR[0], end=YEAR[1])
    whole = each * months
    with closing(getattr(database, role)()) as conn:
        as_of = knowledge_horizon(conn)
        for of in ({}, {"supplier": "SUP-7"}, {"facility": "plant-1"}):
            before = rows_read(conn, "ledger", "^entry_2024")
            inventory(conn, replace(year, **of), as_of)
            assert rows_read(conn, "ledger", "^entry_2024") - before < whole / 4, of
        before = rows_read(conn, "windows", "^day_sum")
        day = replace(year, granularity="hourly", start=date(2024, 2, 3), end=date(2024, 2, 4))
        assert len(inventory(conn, day, as_of).series) == 24
        assert rows_read(conn, "windows", "^day_sum") - before < 24 * 10
        before = rows_read(conn, "ledger", "^entry_2024")
        by_lines(conn, year, as_of)
        assert rows_read(conn, "ledger", "^entry_2024") - before > whole, "what is read is counted"


def test_hours_and_days_that_are_over_become_one_segment_each(
    history: History, database: LedgerDatabase
) -> None:
    for _ in range(12):
        history.goes_on()
        assert sum_entries(history.conn, 30).segments == 1
    with closing(database.admin()) as admin, closing(database.reader()) as reader:
        as_of = history.moments[-1]
        before = [inventory(reader, question, as_of) for question in QUESTIONS]
        cube = read_cubes(reader, *YEAR, as_of)
        segments = [
            one
            for (one,) in admin.execute(
                "select segment_id from windows.sum_segment order by recorded_until"
            ).fetchall()
        ]
        # As if they had been recorded on two days, hour after hour; the last is of the running one.
        begin = datetime(2026, 3, 1, 20, 10, tzinfo=UTC)
        ends = [begin + timedelta(minutes=40) * number for number in range(len(segments))]
        starts = [datetime(2000, 1, 1, tzinfo=UTC), *ends]
        for one, start, end in zip(segments, starts, ends, strict=False):
            admin.execute(
                "update windows.sum_segment set recorded_after = %s, recorded_until = %s"
                " where segment_id = %s",
                (start, end, one),
            )
        (merged,) = history.conn.execute("select windows.merge_sums()").fetchone() or (None,)
        left = admin.execute(
            "select recorded_after, recorded_until from windows.sum_segment order by 1"
        ).fetchall()
        # 20:10 to 03:30 every 40 minutes: the first day is one, hours of the running one are one.
        assert [end for _, end in left] == [
            datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
            *(datetime(2026, 3, 2, *at, tzinfo=UTC) for at in ((0, 50), (1, 30), (2, 50), (3, 30))),
        ]
        assert merged == len(segments) - len(left)
        assert all(a[1] == b[0] for a, b in pairwise(left))
        # Every line is summed, so the same sums: none is lost, none is there twice.
        admin.execute(
            "update windows.sum_segment set recorded_until = %s"
            " where recorded_until = (select max(recorded_until) from windows.sum_segment)",
            (as_of,),
        )
        assert [inventory(reader, question, as_of) for question in QUESTIONS] == before
        assert read_cubes(reader, *YEAR, as_of) == cube
        for table in ("day_sum", "month_sum"):
            rows = admin.execute(
                f"select distinct segment_id from windows.{table}"
                " except select segment_id from windows.sum_segment"
            ).fetchall()
            assert rows == [], "no sum is of a segment that is gone"


def test_what_is_not_final_is_not_summed(database: LedgerDatabase) -> None:
    with (
        closing(database.writer(autocommit=True)) as conn,
        closing(database.writer(autocommit=True)) as slow,
    ):
        post(conn, [reading(1, source_ref="m-1")])
        with slow.transaction():
            late = begin_writing(slow)
            post(conn, [reading(2, source_ref="m-2")])
            assert sum_entries(conn, 30).lines in (0, 1)
            until = sums_until(conn, datetime(2199, 1, 1, tzinfo=UTC))
            assert until is None or until < late, "a writer under way may add to what is later"
        assert sum_entries(conn, 30).lines >= 1
        assert sum_entries(conn, 30).lines == 0
        (lines,) = conn.execute(
            "select sum(entries) from windows.day_sum where rollup = 'organization'"
        ).fetchone() or (None,)
        assert lines == 2


def test_a_moment_that_was_final_is_so_though_a_writer_began_in_its_second(
    database: LedgerDatabase,
) -> None:
    with (
        closing(database.writer(autocommit=True)) as slow,
        closing(database.reader()) as reader,
    ):
        for _ in range(20):
            # Until the moment is of the second that the writer begins in.
            moment = knowledge_horizon(reader)
            slow.execute("begin")
            began = begin_writing(slow)
            if began.replace(microsecond=0) < moment:
                break
            slow.execute("rollback")
        assert knowledge_horizon(reader) < moment < began
        threading.Timer(0.5, lambda: slow.execute("rollback")).start()
        assert final_moment(reader, moment) == moment, "waited for"
        with pytest.raises(ConfigurationError) as caught:
            final_moment(reader, moment + timedelta(hours=1))
        assert caught.value.code == "as_of_not_final"


def test_a_question_waits_for_no_merge_and_loses_nothing_by_one(
    history: History, database: LedgerDatabase
) -> None:
    for _ in range(6):
        history.goes_on()
        sum_entries(history.conn, 30)
    as_of = history.moments[-1]
    over = threading.Event()

    def churn() -> None:
        with closing(database.writer(autocommit=True)) as conn:
            while not over.is_set():
                forget_sums(conn)
                sum_entries(conn, 5)

    with closing(database.reader()) as reader:
        expected = by_lines(reader, QUESTIONS[0], as_of)
        cube = cubes_by_lines(reader, as_of)
        other = threading.Thread(target=churn)
        other.start()
        try:
            for _ in range(200):
                assert inventory(reader, QUESTIONS[0], as_of) == expected
                assert read_cubes(reader, *YEAR, as_of) == cube
        finally:
            over.set()
            other.join()


def test_an_organization_sees_its_own_sums_alone(
    history: History, database: LedgerDatabase
) -> None:
    post(history.conn, [reading(1, source_ref="m-1", organization_id="other", scope=2)])
    for _ in range(3):
        history.goes_on()
    sum_entries(history.conn, 30)
    with closing(psycopg.connect(database.reader_url, autocommit=True)) as reader:
        reader.execute("select set_config('carbon.organizations', 'other', false)")
        as_of = knowledge_horizon(reader)
        assert inventory(reader, InventoryQuestion(), as_of).entries == 1
        for table in ("day_sum", "month_sum"):
            rows = reader.execute(f"select distinct organization_id from windows.{table}")
            assert rows.fetchall() == [("other",)]


@pytest.mark.parametrize(
    "change",
    [
        "update windows.day_sum set kgco2e = kgco2e + 1e-12 where rollup = 'facility'",
        "update windows.day_sum set entries = entries + 1 where rollup = 'supplier'",
        "update windows.day_sum set last_event = last_event + interval '1 second'"
        " where rollup = 'organization_hour'",
        "update windows.day_sum set primary_kgco2e = primary_kgco2e + 1",
        "delete from windows.day_sum where rollup = 'organization'",
    ],
)
def test_a_changed_sum_is_seen(history: History, database: LedgerDatabase, change: str) -> None:
    for _ in range(5):
        history.goes_on()
    sum_entries(history.conn, 30)
    days = [FIRST + timedelta(days=number) for number in range(DAYS)]
    with closing(database.admin()) as admin:
        assert sum_differences(history.conn, days) == []
        assert admin.execute(change).rowcount > 0
        found = sum_differences(history.conn, days)
        assert found
        assert {one.local_date for one in found} <= set(days)
        forget_sums(history.conn)
        assert sum_differences(history.conn, days) == []
        sum_entries(history.conn, 30)
        assert sum_differences(history.conn, days) == []


def test_stretches_may_be_short_and_one_that_takes_too_long_is_told(
    history: History, database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        history.goes_on()
    with closing(database.reader()) as reader:
        as_of = knowledge_horizon(reader)
        expected = [by_lines(reader, question, as_of) for question in QUESTIONS[:7]]
        history.conn.execute("set statement_timeout = '1ms'")
        with pytest.raises(Unavailable) as caught:
            sum_entries(history.conn, 30)
        assert caught.value.code == "sum_too_slow"
        history.conn.execute("set statement_timeout = '60s'")
        assert sums_until(reader, as_of) is None
        monkeypatch.setattr(entry_sums, "WIDTHS", (timedelta(milliseconds=1),))
        assert sum_entries(history.conn, 60).segments > 2
        assert [inventory(reader, question, as_of) for question in QUESTIONS[:7]] == expected


def test_the_sensor_sums_what_was_recorded(
    history: History, database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from resources.database import LedgerDatabase as Resource
    from sensors.entry_sums import make_sums_sensor

    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    history.goes_on()
    sensor = make_sums_sensor(Resource())
    for expected in ("summed ", "nothing was recorded"):
        with dg.build_sensor_context() as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        assert str(result.skip_reason).count(expected) == 1, result.skip_reason
