"""Migrations: applied in order, once, whole or not at all, never altered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, Unavailable
from carbon_ledger.store.connect import connect
from carbon_ledger.store.migrate import MIGRATIONS, migrate, read_migrations
from tests.support.postgres import LedgerDatabase, scratch_database

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
