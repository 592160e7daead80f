"""One way to open a connection, and one place that reads the .sql files.

Belongs here: time limits, time zone, how a refused connection is told, query texts. Does not: any
statement's meaning, pools (a run opens one connection and closes it).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from carbon_ledger.errors import ConfigurationError, Unavailable

CONNECT_SECONDS: Final = 5
# A statement may take minutes (COPY of a large batch, a year's report); waiting for somebody else's
# lock for long means that somebody hangs, and so does a transaction that does nothing.
STATEMENT_SECONDS: Final = 300
LOCK_SECONDS: Final = 30
IDLE_IN_TRANSACTION_SECONDS: Final = 300

QUERIES: Final = Path(__file__).parent / "queries"


def connect(
    url: str,
    application_name: str,
    autocommit: bool = False,
    *,
    statement_seconds: int = STATEMENT_SECONDS,
    lock_seconds: int = LOCK_SECONDS,
) -> psycopg.Connection[tuple[Any, ...]]:
    """An open connection in UTC with time limits; the caller closes it.

    0 seconds means no limit. Raises Unavailable, naming host and port and never the password, and
    ConfigurationError for a URL that cannot be read.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The parser's own message repeats the URL, and with it the password.
        raise ConfigurationError(
            "database_url",
            "the database URL cannot be read; valid is postgresql://user:password@host:port/database",
        ) from None
    limits = {
        "statement_timeout": statement_seconds,
        "lock_timeout": lock_seconds,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_SECONDS,
    }
    options = [f"-c {name}={seconds}s" for name, seconds in limits.items()]
    options.append("-c timezone=UTC")
    try:
        return psycopg.connect(
            url,
            autocommit=autocommit,
            application_name=application_name,
            connect_timeout=given.get("connect_timeout") or CONNECT_SECONDS,
            options=" ".join([str(given.get("options") or ""), *options]).strip(),
        )
    except psycopg.OperationalError as error:
        where = f"{given.get('host') or 'localhost'}:{given.get('port') or 5432}"
        reason = " ".join(str(error).split())[:300]
        raise Unavailable(
            "database_unavailable",
            f"PostgreSQL at {where} cannot be used ({reason}); "
            "start the embedded stack with `carbon up`, or correct the CARBON_DATABASE_ settings",
        ) from error


@cache
def query(name: str) -> bytes:
    """Text of queries/`name`.sql, as psycopg takes it."""
    return (QUERIES / f"{name}.sql").read_bytes()
