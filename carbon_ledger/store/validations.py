"""What suites of expectations found, kept as evidence: rows of audit.validation.

Belongs here: adding a row, asking for the latest of each unit, what a suite has still to look at.
Does not: the suites and their evaluation (carbon_assets).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.store.connect import CONNECT_SECONDS, query
from carbon_ledger.store.rows import Connection

Severity = Literal["critical", "warning"]

# A query of a suite reads an hour or a day; one that takes longer than this reads too much.
STATEMENT_SECONDS: Final = 300


@dataclass(frozen=True, kw_only=True)
class DueUnit:
    """A part of a table that a suite has not looked at since it changed; `parameters` are what
    the suite's queries put in for $name.
    """

    unit: str
    parameters: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """One suite held against one unit. `failures` has one mapping for each expectation that
    failed, `statistics` what was observed; numbers are text wherever a float would not hold them.

    Every entry recorded until `as_of` could be seen. `worst_severity` is None where all held.
    """

    validation_id: UUID
    suite: str
    suite_version: int
    suite_sha256: bytes
    target: str
    unit: str
    as_of: datetime
    is_success: bool
    worst_severity: Severity | None
    expectations: int
    rows_validated: int
    failures: Sequence[Mapping[str, Any]]
    statistics: Mapping[str, Any]
    engine: str
    code_version: str
    run_id: str
    recorded_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SuiteStanding:
    """How a suite stands: of its units, each by its latest validation."""

    suite: str
    units: int
    failing: int
    critical: int
    rows_validated: int
    last_unit: str
    last_recorded_at: datetime


def due_units(
    conn: Connection, statement: str, *, suite: str, suite_sha256: bytes, horizon: datetime
) -> list[DueUnit]:
    """What `statement`, a query of the suite's own, names as due, in its order.

    It is given suite, suite_sha256 and horizon: what was recorded until then is all there.
    """
    with conn.cursor(row_factory=class_row(DueUnit)) as cursor:
        return cursor.execute(
            statement.encode(),
            {"suite": suite, "suite_sha256": suite_sha256, "horizon": horizon},
        ).fetchall()


def record_validation(conn: Connection, validation: Validation) -> None:
    """Adds a row; audit.validation keeps it for good."""
    values = asdict(validation)
    values["failures"] = Jsonb([dict(one) for one in validation.failures])
    values["statistics"] = Jsonb(dict(validation.statistics))
    conn.execute(query("insert_validation"), values)


def latest_validations(
    conn: Connection,
    *,
    suite: str | None = None,
    failing_only: bool = False,
    severity: Severity | None = None,
    since: datetime | None = None,
    limit: int = 1000,
) -> list[Validation]:
    """The latest validation of each unit, newest first; `limit` of them at most.

    With `failing_only` those of them that failed, with `severity` those whose worst it is, with
    `since` those recorded from then on.
    """
    with conn.cursor(row_factory=class_row(Validation)) as cursor:
        return cursor.execute(
            query("latest_validations"),
            {
                "suite": suite,
                "failing_only": failing_only,
                "severity": severity,
                "since": since,
                "limit": limit,
            },
        ).fetchall()


def suite_standings(conn: Connection) -> list[SuiteStanding]:
    """Every suite that has ever looked at something, by name."""
    with conn.cursor(row_factory=class_row(SuiteStanding)) as cursor:
        return cursor.execute(query("suite_standings")).fetchall()


def blocking_failures(
    conn: Connection, holds: Mapping[str, timedelta | None], now: datetime, *, limit: int = 100
) -> list[Validation]:
    """Units whose latest validation failed critically, newest first: while there is one, a figure
    that rests on these suites' tables must not be published.

    `holds` says for each suite how long a failure stands against it (None: until the unit is looked
    at again).
    """
    return [
        one
        for suite, held in holds.items()
        for one in latest_validations(
            conn,
            suite=suite,
            failing_only=True,
            severity="critical",
            since=None if held is None else now - held,
            limit=limit,
        )
    ][:limit]


def sqlalchemy_url(url: str, application_name: str) -> str:
    """`url` as SQLAlchemy and psycopg2 take it, for sessions that can only read, in UTC.

    Raises ConfigurationError `database_url` for what cannot be read or names no host; the message
    has no password in it.
    """
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value}
    except psycopg.ProgrammingError:
        given = {}
    host = given.get("host", "")
    if not host or host.startswith(("/", "@")) or not given.get("dbname"):
        raise ConfigurationError(
            "database_url",
            "the database URL of the verifier names no host or no database; valid is "
            "postgresql://user:password@host:port/database",
        )
    options = [
        given.get("options", ""),
        "-c default_transaction_read_only=on",
        f"-c statement_timeout={STATEMENT_SECONDS}s",
        "-c timezone=UTC",
    ]
    kept = {name: given[name] for name in given if name.startswith("ssl")}
    parameters = {
        **kept,
        "connect_timeout": given.get("connect_timeout", str(CONNECT_SECONDS)),
        "application_name": application_name,
        "options": " ".join(options).strip(),
    }
    user = quote(given.get("user", ""), safe="")
    secret = f":{quote(given['password'], safe='')}" if "password" in given else ""
    where = f"{host}:{given.get('port', '5432')}/{quote(given['dbname'], safe='')}"
    return f"postgresql+psycopg2://{user}{secret}@{where}?{urlencode(parameters, quote_via=quote)}"
