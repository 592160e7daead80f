"""Migrations: applied in order, once, whole or not at all, never altered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import kwargs_row

from carbon_ledger.entries import CANONICAL_OF, COLUMNS, EntryRow, content_sha256, sealed
from carbon_ledger.errors import BrokenInvariant, ConfigurationError, Unavailable
from carbon_ledger.store.connect import connect
from carbon_ledger.store.migrate import MIGRATIONS, migrate, read_migrations
from tests.support.postgres import LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture
def empty(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url, migrated=False) as found:
        yield found


def copied(folder: Path) -> Path:
    """A copy of the real migrations that a test may spoil."""
    target = folder / "migrations"
    shutil.copytree(MIGRATIONS, target)
    return target


def test_every_migration_is_applied_in_order_and_the_second_time_nothing(
    empty: LedgerDatabase,
) -> None:
    names = [migration.name for migration in read_migrations()]
    assert migrate(empty.admin_url) == names
    assert migrate(empty.admin_url) == []


def test_several_migrators_at_once_apply_each_migration_once(empty: LedgerDatabase) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(migrate, [empty.admin_url] * 3))
    assert sorted(name for names in done for name in names) == [
        migration.name for migration in read_migrations()
    ]


def test_an_applied_migration_that_was_edited_is_refused(
    empty: LedgerDatabase, tmp_path: Path
) -> None:
    folder = copied(tmp_path)
    migrate(empty.admin_url, folder)
    first = sorted(folder.glob("*.sql"))[0]
    first.write_text(first.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(BrokenInvariant) as caught:
        migrate(empty.admin_url, folder)
    assert caught.value.code == "migration_altered"
    assert first.stem in caught.value.message


def test_a_database_of_a_newer_version_is_refused(empty: LedgerDatabase, tmp_path: Path) -> None:
    folder = copied(tmp_path)
    migrate(empty.admin_url, folder)
    sorted(folder.glob("*.sql"))[-1].unlink()
    with pytest.raises(BrokenInvariant) as caught:
        migrate(empty.admin_url, folder)
    assert caught.value.code == "migration_unknown"


def test_a_migration_that_fails_half_way_leaves_nothing_behind(
    empty: LedgerDatabase, tmp_path: Path
) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_good.sql").write_text("create table good (a integer);", encoding="utf-8")
    (folder / "0002_bad.sql").write_text(
        "create table half (a integer); select no_such_function();", encoding="utf-8"
    )
    with pytest.raises(psycopg.errors.UndefinedFunction):
        migrate(empty.admin_url, folder)
    with empty.admin() as conn:
        found = conn.execute("select to_regclass('good'), to_regclass('half')").fetchone()
    assert found == ("good", None)
    (folder / "0002_bad.sql").write_text("create table half (a integer);", encoding="utf-8")
    assert migrate(empty.admin_url, folder) == ["0002_bad"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("{after_next:04d}_after_a_gap.sql", "migration_gap"),
        ("0001_twice.sql", "migration_gap"),
        ("no_number.sql", "migration_name"),
        ("0005_Capital.sql", "migration_name"),
    ],
)
def test_an_odd_file_among_the_migrations_is_refused(tmp_path: Path, name: str, code: str) -> None:
    folder = copied(tmp_path)
    after_next = len(list(folder.glob("*.sql"))) + 2
    (folder / name.format(after_next=after_next)).write_text("select 1;", encoding="utf-8")
    with pytest.raises(BrokenInvariant) as caught:
        read_migrations(folder)
    assert caught.value.code == code


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(Unavailable) as caught:
        connect("postgresql://carbon_writer:sesame@127.0.0.1:9/carbon", "tests")
    assert "127.0.0.1:9" in caught.value.message
    assert "sesame" not in caught.value.message


def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect("postgresql://carbon_writer:sesame@[::1/carbon?x=%zz", "tests")
    assert "sesame" not in caught.value.message


def test_a_connection_is_in_utc_and_has_time_limits(empty: LedgerDatabase) -> None:
    with empty.admin() as conn:
        found = {
            name: conn.execute(f"show {name}").fetchone()
            for name in (
                "timezone",
                "lock_timeout",
                "statement_timeout",
                "idle_in_transaction_session_timeout",
            )
        }
    assert found == {
        "timezone": ("UTC",),
        "lock_timeout": ("30s",),
        "statement_timeout": ("5min",),
        "idle_in_transaction_session_timeout": ("5min",),
    }


def test_a_ledger_from_before_seals_is_listed_and_keeps_its_hashes(
    empty: LedgerDatabase, tmp_path: Path
) -> None:
    folder = copied(tmp_path)
    later = [path for path in sorted(folder.glob("*.sql")) if path.name >= "0008"]
    for path in later:
        path.unlink()
    migrate(empty.admin_url, folder)
    none_yet = {name: None for name, _ in set(CANONICAL_OF[2]) - set(CANONICAL_OF[1])}
    part = {"topic": "raw.iot.energy", "topic_incarnation": 0, "kafka_partition": 0, "batch_id": 7}
    first = replace(reading(1, kafka_offset=5, **part), preimage=1, **none_yet)
    second = replace(reading(2, kafka_offset=4, **part), preimage=1, **none_yet)
    by_hand = replace(reading(3), preimage=1, **none_yet)
    rows = [sealed(replace(row, recorded_at=first.recorded_at)) for row in (first, second, by_hand)]
    with psycopg.connect(empty.admin_url, autocommit=True) as conn:
        conn.execute("set role carbon_owner")
        conn.execute("select ledger.ensure_month('2024-03-01')")
        known = {
            row[0]
            for row in conn.execute(
                "select attname from pg_attribute where attrelid = 'ledger.entry'::regclass"
                " and attnum > 0 and not attisdropped"
            )
        }
        columns = [name for name in COLUMNS if name in known]
        for row in rows:
            conn.execute(
                sql.SQL("insert into ledger.entry ({}) values ({})").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.SQL(", ").join(sql.Placeholder() for _ in columns),
                ),
                [getattr(row, name) for name in columns],
            )
        conn.execute(
            "insert into ledger.batch_part (batch_id, attempt, stream, topic, topic_incarnation,"
            " kafka_partition, start_offset, end_offset, records_read, ledgered, duplicate,"
            " dead_lettered, quarantined, offsets_without_record, lines, archive_object,"
            " archive_sha256, archive_bytes, factor_release, code_version, recorded_at)"
            " values (7, 1, 'iot_energy', %s, %s, %s, 4, 6, 2, 2, 0, 0, 0, 0, 2, 'x', %s, 1, 'r',"
            " 'c', %s)",
            (first.topic, first.topic_incarnation, first.kafka_partition, bytes(32),
             first.recorded_at),
        )  # fmt: skip
    migrate(empty.admin_url)
    with psycopg.connect(empty.admin_url, autocommit=True) as conn:
        conn.execute("set role carbon_owner")
        commits = conn.execute(
            "select kind, batch_id, start_offset, entry_ids, content_sha256s from audit.commit"
            " order by commit_id"
        ).fetchall()
        with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
            kept = cursor.execute("select * from ledger.entry").fetchall()
    listed = [rows[1], rows[0]]
    assert [tuple(map(_plain, commit)) for commit in commits] == [
        (
            "part",
            7,
            4,
            b"".join(row.entry_id.bytes for row in listed),
            b"".join(row.content_sha256 for row in listed),
        ),
        ("correction", None, None, by_hand.entry_id.bytes, rows[2].content_sha256),
    ]
    assert sorted(kept, key=lambda row: row.entry_id) == sorted(rows, key=lambda row: row.entry_id)
    assert all(content_sha256(row) == row.content_sha256 for row in kept)


def _plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value
