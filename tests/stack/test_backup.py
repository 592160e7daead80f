"""Backup and restore of PostgreSQL: every commit up to the chosen moment, and none after it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.store.connect import connect
from carbon_ledger.store.migrate import migrate
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_identity, post_entries
from cli.backup_commands import backup as backup_command
from cli.backup_commands import restore as restore_command
from devstack import backup
from devstack.layout import Layout
from devstack.postgres import DATABASE_OWNERS, Postgres
from devstack.processes import wait_until
from tests.support.own_postgres import free_offset, running
from tests.support.postgres import reading

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
MARCH = date(2024, 3, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose stopped cluster has roles, schema and month, which take long to make."""
    home = tmp_path_factory.mktemp("made")
    server = Postgres(Layout(home=home, cache=home, offset=free_offset()))
    with running(server):
        migrate(server.layout.database_url("carbon_migrator", "carbon"))
        with connect(server.layout.database_url("carbon_writer", "carbon"), "tests", True) as conn:
            ensure_month(conn, MARCH)
    return home


@pytest.fixture
def server(made: Path, tmp_path: Path) -> Postgres:
    """A copy of it under a name that is not easy, without a backup or a segment of its WAL."""
    home = tmp_path / "home with 'quotes' and 100%"
    home.mkdir()
    for name in ("postgres", "secrets.json"):
        subprocess.run(["cp", "-a", str(made / name), str(home)], check=True)
    return Postgres(Layout(home=home, cache=tmp_path, offset=free_offset()))


def post(server: Postgres, number: int) -> datetime:
    """One entry in one commit; when PostgreSQL's clock showed after it."""
    with connect(server.layout.database_url("carbon_writer", "carbon"), "tests") as conn:
        with conn.transaction():
            moment = begin_writing(conn)
            row = reading(number, recorded_at=moment)
            insert_identity(conn, row)
            post_entries(conn, [row], recorded_at=moment, kind="period")
        found = conn.execute("select clock_timestamp()").fetchone()
    assert found is not None
    return found[0]  # type: ignore[no-any-return]


def entries(server: Postgres) -> set[str]:
    """Ids of the events that are in the ledger."""
    with server.connect("carbon") as conn:
        return {row[0] for row in conn.execute("select event_id from ledger.entry")}


def ids(*numbers: int) -> set[str]:
    """Event ids of readings."""
    return {reading(number).event_id for number in numbers}


def test_a_restore_reaches_any_moment_after_the_backup_and_the_very_end(server: Postgres) -> None:
    folder = server.layout.backups
    with running(server) as process:
        post(server, 0)
        taken = backup.take(server.layout, folder)
        post(server, 1)
        between = post(server, 2)
        time.sleep(0.05)
        post(server, 3)
        process.kill()
        process.wait()
    done = backup.restore(server.layout, folder, between)
    assert done.backup == taken.name
    assert done.replaced is not None
    with running(server):
        assert entries(server) == ids(0, 1, 2)
        post(server, 4)
    # What no segment in the folder holds yet is taken from the cluster that is moved aside.
    done = backup.restore(server.layout, folder, None)
    with running(server):
        assert entries(server) == ids(0, 1, 2, 4)
        with server.connect("carbon") as conn:
            assert conn.execute("show restore_command").fetchone() == ("",)
    first = Postgres(server.layout)
    first.data = Path(str(done.replaced))
    assert (first.data / "PG_VERSION").exists()


def test_a_lost_cluster_comes_back_from_the_folder_alone_with_its_passwords(
    server: Postgres, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    layout = Layout(
        home=server.layout.home,
        cache=tmp_path,
        offset=server.layout.offset,
        backup_dir=folder,
    )
    server = Postgres(layout)
    with running(server):
        post(server, 0)
        backup.take(layout, folder)
        post(server, 1)
        with server.connect() as conn:
            conn.execute("select pg_switch_wal()")
        segments = len(list((folder / "wal").glob("*.gz")))
        assert wait_until(lambda: len(list((folder / "wal").glob("*.gz"))) > segments, 30)
    shutil.rmtree(layout.home)
    layout.home.mkdir()
    backup.restore(layout, folder, None)
    with running(server):
        assert entries(server) == ids(0, 1)
        with server.connect() as conn:
            names = {row[0] for row in conn.execute("select datname from pg_database")}
        assert set(DATABASE_OWNERS) <= names
    assert oct((layout.home / "secrets.json").stat().st_mode)[-3:] == "600"


def test_what_cannot_be_restored_is_said_and_the_cluster_is_as_it_was(server: Postgres) -> None:
    folder = server.layout.backups
    with pytest.raises(ConfigurationError) as none:
        backup.restore(server.layout, folder, None)
    assert none.value.code == "no_backup"
    with running(server):
        taken = backup.take(server.layout, folder)
        post(server, 0)
    with pytest.raises(ConfigurationError) as early:
        backup.restore(server.layout, folder, taken.finished_at - timedelta(seconds=1))
    assert early.value.code == "backup_too_late"
    with pytest.raises(Unavailable) as late:
        backup.restore(server.layout, folder, datetime.now(UTC) + timedelta(days=1))
    assert late.value.code == "recovery_failed"
    assert "recovery ended before configured recovery target was reached" in late.value.message
    with running(server):
        assert entries(server) == ids(0)
    altered = taken.folder / "cluster" / "PG_VERSION"
    altered.write_text("19\n", encoding="utf-8")
    with pytest.raises(Unavailable) as unsound:
        backup.restore(server.layout, folder, None)
    assert unsound.value.code == "base_backup_unsound"
    with running(server):
        assert entries(server) == ids(0)


def test_a_backup_without_a_server_leaves_nothing_behind(server: Postgres) -> None:
    with running(server):
        pass
    with pytest.raises(Unavailable):
        backup.take(server.layout, server.layout.backups)
    assert backup.backups(server.layout.backups) == []
    assert list((server.layout.backups / "base").iterdir()) == []


def test_old_backups_go_with_the_wal_that_only_they_needed(server: Postgres) -> None:
    folder = server.layout.backups
    with running(server):
        names = []
        for number in range(3):
            names.append(backup.take(server.layout, folder).name)
            post(server, number)
            time.sleep(1.1)
    before = sorted((folder / "wal").glob("*.gz"))
    removed = backup.prune(folder, keep=1)
    assert set(names[:2]) <= set(removed)
    assert 0 < len(list((folder / "wal").glob("*.gz"))) < len(before)
    with pytest.raises(ConfigurationError):
        backup.prune(folder, keep=0)
    backup.restore(server.layout, folder, None)
    with running(server):
        assert entries(server) == ids(0, 1, 2)


def test_the_commands_say_what_they_did(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBON_HOME", str(server.layout.home))
    monkeypatch.setenv("CARBON_PORT_OFFSET", str(server.layout.offset))
    with running(server):
        taken = CliRunner().invoke(backup_command, ["take", "--json"], catch_exceptions=False)
        moment = post(server, 0)
        time.sleep(0.05)
        post(server, 1)
    name = json.loads(taken.output)["name"]
    listed = CliRunner().invoke(backup_command, ["list"], catch_exceptions=False)
    assert name in listed.output
    done = CliRunner().invoke(
        restore_command, ["--to", moment.isoformat(), "--json"], catch_exceptions=False
    )
    assert json.loads(done.output)["backup"] == name
    with running(server):
        assert entries(server) == ids(0)


def test_wal_with_a_hole_or_a_broken_segment_is_not_taken_for_its_end(server: Postgres) -> None:
    folder = server.layout.backups
    with running(server):
        backup.take(server.layout, folder)
        for number in range(3):
            post(server, number)
            with server.connect() as conn:
                conn.execute("select pg_switch_wal()")
        count = len(list((folder / "wal").glob("*.gz")))
        assert wait_until(lambda: len(list((folder / "wal").glob("*.gz"))) >= count, 30)
        post(server, 3)
    shutil.rmtree(server.data)
    segments = sorted((folder / "wal").glob("0*.gz"))
    broken = segments[-2]
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unavailable) as unreadable:
        backup.restore(server.layout, folder, None)
    broken.unlink()
    with pytest.raises(Unavailable) as hole:
        backup.restore(server.layout, folder, None)
    for caught in (unreadable, hole):
        assert caught.value.code == "recovery_failed"
        assert not server.data.exists()
    broken.write_bytes(whole)
    backup.restore(server.layout, folder, None)
    with running(server):
        assert ids(0, 1, 2) <= entries(server)


def test_a_folder_that_is_gone_makes_postgresql_keep_its_wal(server: Postgres) -> None:
    folder = server.layout.backups
    with running(server):
        backup.take(server.layout, folder)
        away = folder.with_name("unmounted")
        folder.rename(away)
        post(server, 0)
        with server.connect() as conn:
            conn.execute("select pg_switch_wal()")
            failed = "select failed_count > 0 from pg_stat_archiver"
            assert wait_until(lambda: conn.execute(failed).fetchone() == (True,), 30)
        away.rename(folder)
        backup.take(server.layout, folder)
    shutil.rmtree(server.data)
    first = backup.backups(folder)[0]
    shutil.rmtree(backup.backups(folder)[1].folder)
    assert backup.restore(server.layout, folder, None).backup == first.name
    with running(server):
        assert entries(server) == ids(0)
