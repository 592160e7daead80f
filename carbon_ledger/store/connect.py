"""One way to open a connection, and one place that reads the .sql files.

Belongs here: time limits, time zone, whose rows a connection sees, the refusal of roles that may do
more than their work needs, how a refused connection is told, query texts. Does not: any statement's
meaning, pools (a run opens one connection and closes it).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, Unavailable
from carbon_ledger.settings import Settings

CONNECT_SECONDS: Final = 5
# A statement may take minutes (COPY of a large batch, a year's report); waiting for somebody else's
# lock for long means that somebody hangs, and so does a transaction that does nothing.
STATEMENT_SECONDS: Final = 300
LOCK_SECONDS: Final = 30
IDLE_IN_TRANSACTION_SECONDS: Final = 300

QUERIES: Final = Path(__file__).parent / "queries"

EVERY_ORGANIZATION: Final = "*"
_ORGANIZATION = re.compile(r"[A-Za-z0-9._:/+-]{1,128}")

# URLs whose role was looked at by this process and may do no more than its work needs.
_harmless: set[str] = set()


def connect(
    url: str,
    application_name: str,
    autocommit: bool = False,
    *,
    statement_seconds: int = STATEMENT_SECONDS,
    lock_seconds: int = LOCK_SECONDS,
    organizations: str | None = None,
    may_own: bool = False,
) -> psycopg.Connection[tuple[Any, ...]]:
    """An open connection in UTC with time limits; the caller closes it.

    `organizations`, comma-separated or `*` for all, are those whose rows the reader sees for as
    long as the connection lives: with None it sees none. Other roles see every organization.
    0 seconds means no limit. Raises Unavailable, naming host and port and never the password, and
    ConfigurationError for a URL that cannot be read, for a list of organizations that could mean
    something else than it says, and, unless it `may_own`, for a role that may do more than its
    work needs (`over_privileged`).
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
    if organizations is not None:
        options.append(f"-c carbon.organizations={checked_organizations(organizations)}")
    try:
        connection = psycopg.connect(
            url,
            autocommit=autocommit,
            application_name=application_name,
            connect_timeout=given.get("connect_timeout") or CONNECT_SECONDS,
            options=" ".join([str(given.get("options") or ""), *options]).strip(),
        )
        if not may_own and url not in _harmless:
            _look_at_role(connection)
            _harmless.add(url)
    except psycopg.OperationalError as error:
        where = f"{given.get('host') or 'localhost'}:{given.get('port') or 5432}"
        reason = " ".join(str(error).split())[:300]
        raise Unavailable(
            "database_unavailable",
            f"PostgreSQL at {where} cannot be used ({reason}); "
            "start the embedded stack with `carbon up`, or correct the CARBON_DATABASE_ settings",
        ) from error
    return connection


def _look_at_role(connection: psycopg.Connection[Any]) -> None:
    try:
        refuse_over_privileged(connection)
    except BaseException:
        connection.close()
        raise


def connect_as_reader(
    settings: Settings, application_name: str, autocommit: bool = False
) -> psycopg.Connection[tuple[Any, ...]]:
    """`connect` as the reader, who sees the rows of CARBON_ORGANIZATIONS and no others."""
    return connect(
        settings["CARBON_DATABASE_READER_URL"],
        application_name,
        autocommit,
        organizations=settings["CARBON_ORGANIZATIONS"],
    )


def connect_as_writer(
    settings: Settings, application_name: str, autocommit: bool = False
) -> psycopg.Connection[tuple[Any, ...]]:
    """`connect` as the writer, who sees and adds rows of every organization."""
    return connect(settings["CARBON_DATABASE_WRITER_URL"], application_name, autocommit)


def checked_organizations(text: str) -> str:
    """`text` if it is `*` or names organizations, comma-separated; else ConfigurationError.

    No name holds a comma, a quote, a space or `*`, so none is taken for two, or for all.
    """
    if text != EVERY_ORGANIZATION:
        for name in text.split(","):
            if not _ORGANIZATION.fullmatch(name):
                raise ConfigurationError(
                    "organizations",
                    f"{name!r} in the list of organizations {text!r} is no organization; valid is "
                    "* alone, or names of letters, digits and ._:/+- with commas between them",
                )
    return text


def refuse_over_privileged(connection: psycopg.Connection[Any]) -> None:
    """Raises ConfigurationError `over_privileged` for a role that could undo what holds everybody
    else: a superuser, one that owns tables of the ledger or can become their owner, that governs
    the server, or that row security does not bind (which the writer alone may be).
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query("standing_of_role")).fetchone()
    if found is None:
        raise BrokenInvariant("role_unknown", "PostgreSQL does not say what the role may do")
    if found["is_superuser"]:
        reasons = ["is a superuser or can become one"]
    else:
        reasons = [f"is a member of {name}" for name in found["memberships"]]
        if found["owns_in"]:
            reasons.append(f"owns tables in {', '.join(found['owns_in'])}")
        if found["governs_the_server"]:
            reasons.append("may create roles or databases, or replicate")
        if found["bypasses_row_security"] and not found["is_writer"]:
            reasons.append("bypasses row security")
    if reasons:
        raise ConfigurationError(
            "over_privileged",
            f"the database role {found['role']} {' and '.join(reasons)}; valid are roles with the "
            "grants of carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, "
            "carbon_auditor, carbon_vault or carbon_gate and nothing more. Correct the "
            "CARBON_DATABASE_ setting, or the role (docs/security.md)",
        )
    if found["is_writer"] and not found["can_copy"]:
        raise ConfigurationError(
            "writer_bound_by_row_security",
            f"the database role {found['role']} is bound by row security, under which PostgreSQL "
            f"refuses COPY; run `alter role {found['role']} bypassrls` as a superuser",
        )


@cache
def query(name: str) -> bytes:
    """Text of queries/`name`.sql, as psycopg takes it."""
    return (QUERIES / f"{name}.sql").read_bytes()
