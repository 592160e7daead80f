"""Schema migrations: numbered SQL files, applied in order, never edited afterwards.

Belongs here: order, gaplessness, one transaction each, the record of what was applied, acting as
the owner. Does not: the schema itself (migrations/*.sql), roles' passwords and databases (whoever
runs the server).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.failpoints import failpoint
from carbon_ledger.store.connect import connect, query

MIGRATIONS: Final = Path(__file__).parent / "migrations"
# Any two migrators of one database take turns.
LOCK_KEY: Final = 7201
LOCK_SECONDS: Final = 60

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One file: its number, its name and what it says."""

    version: int
    name: str
    sql: bytes

    @property
    def sha256(self) -> bytes:
        """Hash of the file, 32 bytes."""
        return hashlib.sha256(self.sql).digest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The files of `folder` in order; BrokenInvariant on an odd name, a gap or a number twice."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise BrokenInvariant(
                "migration_name", f"{path.name} is no migration; valid is 0001_what_it_does.sql"
            )
        found.append(Migration(version=int(name[1]), name=path.stem, sql=path.read_bytes()))
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            raise BrokenInvariant(
                "migration_gap",
                f"{migration.name} stands where number {expected:04d} should; "
                "numbers begin at 0001, without gaps, each once",
            )
    return found


def migrate(database_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Bring the database to the newest schema; the names applied now ([] if it was there already).

    Each migration commits as a whole or not at all, and what it makes is owned by carbon_owner;
    what the migrator owned before becomes carbon_owner's. Raises BrokenInvariant if an applied file
    was altered or is missing, ConfigurationError for a role that cannot act as carbon_owner,
    Unavailable if there is no server.
    """
    migrations = read_migrations(folder)
    with connect(
        database_url,
        "carbon migrate",
        True,
        statement_seconds=0,
        lock_seconds=LOCK_SECONDS,
        may_own=True,
    ) as conn:
        conn.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        _become_owner(conn)
        conn.execute(query("create_schema_migration"))
        done = _check_applied(conn, migrations)
        return [_apply(conn, migration) for migration in migrations if migration.version > done]


def _become_owner(conn: psycopg.Connection[tuple[Any, ...]]) -> None:
    try:
        conn.execute("set role none")
        conn.execute(query("prepare_owner"))
        conn.execute("set role carbon_owner")
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "not_the_migrator",
            f"the database role {conn.info.user} cannot act as carbon_owner "
            f"({' '.join(str(error).split())[:200]}); CARBON_DATABASE_ADMIN_URL takes a role that "
            "carbon_owner was granted to (docs/security.md)",
        ) from error


def _check_applied(conn: psycopg.Connection[tuple[Any, ...]], migrations: list[Migration]) -> int:
    """The number of the last applied one, after comparing every applied one with its file."""
    files = {migration.version: migration for migration in migrations}
    applied = conn.execute(query("applied_migrations")).fetchall()
    for version, name, sha256 in applied:
        file = files.get(version)
        if file is None:
            raise BrokenInvariant(
                "migration_unknown",
                f"the database has migration {name}, which this version of the project does not; "
                "it was migrated by a newer one",
            )
        if (file.name, file.sha256) != (name, sha256):
            raise BrokenInvariant(
                "migration_altered",
                f"{file.name} is not the file that was applied as {name}; "
                "an applied migration never changes: restore it and write a new one",
            )
    return len(applied)


def _apply(conn: psycopg.Connection[tuple[Any, ...]], migration: Migration) -> str:
    with conn.transaction():
        conn.execute(migration.sql)
        failpoint("migration_applied")
        conn.execute(
            query("insert_schema_migration"),
            (migration.version, migration.name, migration.sha256),
        )
    failpoint("migration_committed")
    return migration.name
