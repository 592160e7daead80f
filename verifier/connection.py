"""The verifier's own connection: where it leads, one snapshot, two streams at most.

Belongs here: the URL from the environment or stack.env, session settings, the shared snapshot. Does
not: any question that is put to the database.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg

Connection = psycopg.Connection[Any]
QUERIES: Final = Path(__file__).parent / "queries"
URL: Final = "CARBON_DATABASE_VERIFIER_URL"
# Nothing of the database's own making may stand in for what PostgreSQL brings along, and a value
# has one spelling whatever the role's or the database's defaults are.
SESSION: Final = (
    "set search_path = pg_catalog",
    "set timezone = 'UTC'",
    "set datestyle = 'ISO, YMD'",
    "set intervalstyle = 'postgres'",
    "set bytea_output = 'hex'",
    "set client_encoding = 'UTF8'",
    "set statement_timeout = 0",
    "set idle_in_transaction_session_timeout = 0",
    "set work_mem = '128MB'",
    "set hash_mem_multiplier = 4",
    "set jit = off",
    "set max_parallel_workers_per_gather = 0",
    # An index has copies of its columns; what is verified is the rows themselves.
    "set enable_indexonlyscan = off",
)
_FILE: Final = re.compile(r'"?(?:base|pg_tblspc)/(?:\S+/)?(\d+)(?:\.\d+)?"?')
_BLOCK: Final = re.compile(r"blocks? (\d+)", re.IGNORECASE)


class CannotVerify(Exception):
    """Why there is no verdict: no address, no server, no right to read."""


def home(environment: Mapping[str, str] | None = None) -> Path:
    """Folder of the embedded stack: CARBON_HOME, else `.carbon` in a checkout, else the user's."""
    given = (os.environ if environment is None else environment).get("CARBON_HOME")
    if given:
        return Path(given).absolute()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / ".carbon"
    return Path.home() / ".local" / "share" / "carbon-ledger"


def database_url(environment: Mapping[str, str] | None = None) -> str:
    """CARBON_DATABASE_VERIFIER_URL of the environment, else of stack.env; CannotVerify if none."""
    given = (os.environ if environment is None else environment).get(URL)
    if given:
        return given
    path = home(environment) / "stack.env"
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            if name.strip() == URL and value:
                return value.strip().strip("'\"")
    raise CannotVerify(
        f"{URL} is not set and {path} does not name it; start the stack with `carbon up`, or set it"
    )


def prepare(connection: Connection) -> None:
    """Session settings under which every value has one spelling."""
    for statement in SESSION:
        connection.execute(statement.encode())


@cache
def query(name: str) -> bytes:
    """Text of queries/`name`.sql."""
    return (QUERIES / f"{name}.sql").read_bytes()


@contextmanager
def open_snapshot(url: str, snapshot: str | None = None) -> Iterator[Connection]:
    """A connection inside one read-only snapshot: a new one, or one that another has exported."""
    try:
        connection = psycopg.connect(url, autocommit=True, application_name="carbon verify")
    except psycopg.OperationalError as error:
        raise CannotVerify(f"PostgreSQL cannot be used: {' '.join(str(error).split())}") from None
    with connection:
        prepare(connection)
        connection.execute("begin isolation level repeatable read read only")
        if snapshot is not None:
            connection.execute(f"set transaction snapshot '{snapshot}'".encode())
        yield connection


def why_unreadable(url: str, error: psycopg.Error) -> str:
    """Why there is no verdict after `error`; of a damaged file which table and page it is."""
    said = " ".join(str(error).split())
    if not isinstance(error, psycopg.errors.DataCorrupted):
        return f"the ledger cannot be read: {said}"
    file, block = _FILE.search(said), _BLOCK.search(said)
    place = "a page of a table's file"
    if file and block:
        place = f"page {block[1]} of {_table_of(url, int(file[1])) or file[0]}"
    return (
        f"PostgreSQL refuses to read {place}: the file was changed past PostgreSQL or its disk"
        " fails. Nothing is known of the rows that are in it; compare with a backup that is"
        f" restored elsewhere (docs/runbook.md). PostgreSQL says: {said}"
    )


def _table_of(url: str, file: int) -> str | None:
    """Name of the table that the file is of, if PostgreSQL still tells."""
    try:
        with psycopg.connect(url, autocommit=True, application_name="carbon verify") as connection:
            prepare(connection)
            row = connection.execute(
                "select pg_filenode_relation(0, %s)::regclass::text", (file,)
            ).fetchone()
    except psycopg.Error:
        return None
    return row[0] if row else None


def exported(connection: Connection) -> str:
    """Name under which another connection can see the very same snapshot."""
    row = connection.execute("select pg_export_snapshot()").fetchone()
    if row is None:
        raise CannotVerify("PostgreSQL exports no snapshot")
    return str(row[0])
