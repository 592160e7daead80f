"""Base backups and WAL of the embedded PostgreSQL, and the way back to any second they cover.

Belongs here: taking and checking a backup, choosing one, recovery to a moment. Does not: the raw
archive and Kafka's own data (folders of their own), what is posted anew after a restore (the
planner sees by itself how far the restored accounts are).

A backup folder holds `base/<UTC time>/` (cluster, its passwords and a note of what it is) and
`wal/` (every segment since the first backup, compressed). WAL is kept from the first backup on: as
long as there is no `wal/`, PostgreSQL recycles it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.version import code_version
from devstack.layout import Layout, write_private
from devstack.postgres import Postgres, programs, wal_command
from devstack.processes import LAUNCH, tail
from devstack.wal_segment import MARK

NAME_FORMAT: Final = "%Y%m%dT%H%M%SZ"
NOTE, CLUSTER, SECRETS = "backup.json", "cluster", "secrets.json"
ARCHIVE_SECONDS: Final = 60.0
RECOVERY_SECONDS: Final = 1800.0
FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class Backup:
    """One base backup. Times are UTC; a restore can reach any moment from `finished_at` on."""

    name: str
    folder: Path
    started_at: datetime
    finished_at: datetime
    size_bytes: int
    code_version: str

    def as_json(self) -> dict[str, Any]:
        """For programs: times in ISO 8601, sizes in bytes."""
        return {key: _plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a restore did: from which backup, to which moment (None: to the end of the WAL), until
    which transaction, where the replaced cluster is, and how long it took.
    """

    backup: str
    to: datetime | None
    last_transaction_at: datetime | None
    replaced: Path | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For programs: times in ISO 8601."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def take(layout: Layout, folder: Path) -> Backup:
    """A verified base backup of the running cluster, and WAL from here on.

    Raises Unavailable if PostgreSQL does not run, cannot archive, or the copy does not verify;
    nothing that looks like a backup is left then.
    """
    server = Postgres(layout)
    mark = server.data / MARK
    mark.touch()
    server.give_away(mark)
    wal, base = folder / "wal", folder / "base"
    for path in (folder, wal, base):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    server.give_away(wal)
    started = datetime.now(UTC)
    _archive_now(server)
    name = started.strftime(NAME_FORMAT)
    part = base / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        _run(
            [
                str(programs() / "pg_basebackup"),
                *("-D", str(part / CLUSTER), "-U", "postgres"),
                *("-h", "127.0.0.1", "-p", str(server.port)),
                *("-X", "stream", "-c", "fast", "--manifest-checksums=SHA256", "--no-password"),
            ],
            "base_backup_failed",
            # Not on the command line, where everybody on the machine could read it.
            {"PGPASSWORD": layout.passwords()["postgres"]},
        )
        _run([str(programs() / "pg_verifybackup"), str(part / CLUSTER)], "base_backup_unsound")
        passwords = (layout.home / SECRETS).read_text(encoding="utf-8")
        write_private(part / SECRETS, passwords)
        finished = datetime.now(UTC)
        note = {
            "format": FORMAT,
            "started_at": started.isoformat(),
            "finished_at": finished.isoformat(),
            "code_version": code_version(),
            "size_bytes": sum(file.stat().st_size for file in part.rglob("*") if file.is_file()),
        }
        write_private(part / NOTE, json.dumps(note, indent=1))
        part.rename(base / name)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    _archive_now(server)
    return _read(base / name)


def _archive_now(server: Postgres) -> None:
    """Closes the current WAL segment and waits until it is in the folder."""
    try:
        with server.connect() as connection:
            # A segment that nothing was written to is not closed.
            connection.execute("select pg_create_restore_point('carbon backup')")
            row = connection.execute("select pg_walfile_name(pg_switch_wal())").fetchone()
            wanted = row[0] if row else ""
            deadline = time.monotonic() + ARCHIVE_SECONDS
            while time.monotonic() < deadline:
                found = connection.execute(
                    "select coalesce(last_archived_wal >= %s, false), last_failed_wal"
                    " from pg_stat_archiver",
                    (wanted,),
                ).fetchone()
                if found and found[0]:
                    return
                time.sleep(0.1)
    except psycopg.Error as error:
        raise Unavailable("database_unavailable", f"no backup: {error}") from error
    raise Unavailable(
        "wal_not_archived",
        f"WAL segment {wanted} did not reach the backup folder in {ARCHIVE_SECONDS:.0f} s;"
        f" PostgreSQL's log says why ({server.layout.logs / 'postgres.log'})",
    )


def _run(command: list[str], code: str, variables: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, **(variables or {})}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        said = (result.stderr or result.stdout).strip()[-600:]
        raise Unavailable(code, f"{Path(command[0]).name}: {said}")


def backups(folder: Path) -> list[Backup]:
    """The backups of a folder, oldest first; half-written ones are none."""
    base = folder / "base"
    found = [path for path in base.glob("*") if not path.name.startswith(".")]
    return [_read(path) for path in sorted(found) if (path / NOTE).exists()]


def _read(folder: Path) -> Backup:
    note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    return Backup(
        name=folder.name,
        folder=folder,
        started_at=datetime.fromisoformat(note["started_at"]),
        finished_at=datetime.fromisoformat(note["finished_at"]),
        size_bytes=int(note["size_bytes"]),
        code_version=note["code_version"],
    )


def prune(folder: Path, keep: int) -> list[str]:
    """Removes all but the newest `keep` backups and the WAL that only they needed; what was
    removed, by name.
    """
    if keep < 1:
        raise ConfigurationError(
            "keep_backups", f"{keep} backups cannot be kept; valid is 1 or more"
        )
    found = backups(folder)
    gone, kept = found[:-keep], found[-keep:]
    if not gone:
        return []
    label = (kept[0].folder / CLUSTER / "backup_label").read_text(encoding="utf-8")
    first = label.split("(file ", 1)[1].split(")", 1)[0]
    removed = []
    for one in gone:
        shutil.rmtree(one.folder)
        removed.append(one.name)
    for segment in sorted((folder / "wal").glob("[0-9A-F]*.gz")):
        # A name is timeline, then position; a segment of any timeline before the position goes.
        if ".history" not in segment.name and segment.name[8:24] < first[8:24]:
            segment.unlink()
            removed.append(segment.name)
    return removed


def choose(found: list[Backup], to: datetime | None) -> Backup:
    """The newest backup that was finished by `to`. Raises ConfigurationError naming what there
    is.
    """
    fitting = [one for one in found if to is None or one.finished_at <= to]
    if fitting:
        return fitting[-1]
    if not found:
        raise ConfigurationError(
            "no_backup", "there is no backup yet; take one with `carbon backup`"
        )
    raise ConfigurationError(
        "backup_too_late",
        f"{_plain(to)} is before the end of the oldest backup, {found[0].finished_at.isoformat()};"
        " a restore reaches any moment from there on",
    )


def restore(layout: Layout, folder: Path, to: datetime | None) -> Restored:
    """The cluster as it was at `to` (inclusive), or as far as there is WAL; the stack must be down.

    The cluster that was there is moved aside, never removed; WAL that it had not handed over yet
    is used as well. Raises ConfigurationError if no backup reaches `to`, Unavailable if PostgreSQL
    cannot recover to it; the old cluster is back in its place then.
    """
    begun = time.monotonic()
    backup = choose(backups(folder), to)
    server = Postgres(layout)
    _run([str(programs() / "pg_verifybackup"), str(backup.folder / CLUSTER)], "base_backup_unsound")
    scratch = server.data.with_name("postgres.part")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(backup.folder / CLUSTER, scratch)
    replaced = None
    if server.data.exists():
        stamp = datetime.now(UTC).strftime(NAME_FORMAT)
        replaced = server.data.with_name(f"postgres.replaced-{stamp}")
        server.data.rename(replaced)
    own = layout.home / SECRETS
    passwords = own.read_text(encoding="utf-8") if own.exists() else None
    try:
        write_private(own, (backup.folder / SECRETS).read_text(encoding="utf-8"))
        last = _recover(server, scratch, folder, replaced, to)
    except BaseException:
        shutil.rmtree(server.data, ignore_errors=True)
        if replaced is not None:
            replaced.rename(server.data)
        if passwords is not None:
            write_private(own, passwords)
        raise
    return Restored(
        backup=backup.name,
        to=to,
        last_transaction_at=last,
        replaced=replaced,
        seconds=round(time.monotonic() - begun, 1),
    )


def _recover(
    server: Postgres, scratch: Path, folder: Path, replaced: Path | None, to: datetime | None
) -> datetime | None:
    """PostgreSQL replays into the copy until it has become a cluster of its own; then it stops."""
    sources = [folder / "wal"] + ([] if replaced is None else [replaced / "pg_wal"])
    settings = {
        "restore_command": wal_command("get", "%f", "%p", *sources),
        "recovery_target_timeline": "latest",
        "recovery_target_action": "promote",
    }
    if to is not None:
        settings["recovery_target_time"] = to.astimezone(UTC).isoformat(sep=" ")
    kept = (scratch / "postgresql.auto.conf").read_text(encoding="utf-8")
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    (scratch / "postgresql.auto.conf").write_text(kept + "\n".join(lines) + "\n", encoding="utf-8")
    (scratch / "recovery.signal").touch()
    scratch.rename(server.data)
    _give_all_away(server)
    with _running(server) as process:
        last = _await_promotion(server, process)
    (server.data / "postgresql.auto.conf").write_text(kept, encoding="utf-8")
    return last


def _give_all_away(server: Postgres) -> None:
    for path in (server.data, *server.data.rglob("*")):
        server.give_away(path)
        if path.is_dir():
            path.chmod(0o700)


@contextmanager
def _running(server: Postgres) -> Iterator[subprocess.Popen[bytes]]:
    """PostgreSQL alone, without the supervisor, stopped at the end of the block."""
    server.prepare()
    server.layout.logs.mkdir(parents=True, exist_ok=True)
    launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(int(signal.SIGINT))]
    with (server.layout.logs / "postgres.log").open("ab") as log:
        process = subprocess.Popen(
            [*launcher, server.user or "-", *server.command()],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **server.environment()},
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(120)


def _await_promotion(server: Postgres, process: subprocess.Popen[bytes]) -> datetime | None:
    """The time of the last transaction replayed, once the cluster takes writes."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < deadline:
        try:
            with server.connect() as connection:
                row = connection.execute(
                    "select pg_is_in_recovery(), pg_last_xact_replay_timestamp()"
                ).fetchone()
            if row is not None and not row[0]:
                found = row[1]
                return found.astimezone(UTC) if isinstance(found, datetime) else None
        except psycopg.OperationalError:
            if process.poll() is not None:
                log = server.layout.logs / "postgres.log"
                said = [line for line in tail(log, 40).splitlines() if "FATAL" in line]
                raise Unavailable(
                    "recovery_failed",
                    f"PostgreSQL could not recover: {said[-1] if said else 'it gave no reason'}"
                    f" (log: {log})",
                ) from None
        time.sleep(0.2)
    raise Unavailable(
        "recovery_slow", f"PostgreSQL had not recovered after {RECOVERY_SECONDS:.0f} s"
    )
