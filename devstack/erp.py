"""An ERP-like database in the embedded PostgreSQL, whose changes can be captured.

Belongs here: the database `erp`, its owner, and the role that may read its log. Does not: the
schema (deploy/connect/erp_example.sql), connectors (pipeline.connect).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import PROJECT_ROOT, Settings
from devstack.layout import Layout, write_private

DATABASE: Final = "erp"
OWNER: Final = "erp_owner"
CAPTURE: Final = "erp_cdc"
SCHEMA_FILE: Final = PROJECT_ROOT / "deploy" / "connect" / "erp_example.sql"
# What a role may do beyond logging in: the owner nothing, the other one read the log.
RIGHTS: Final = {OWNER: "noreplication", CAPTURE: "replication"}


def make_erp_example(settings: Settings) -> Path:
    """Makes database, roles and schema, where they are missing, and writes what a connector needs
    to know of them to a file (mode 0600), which is returned. Raises Unavailable.
    """
    layout = Layout.of(settings)
    try:
        with psycopg.connect(
            layout.database_url("postgres", "postgres"), connect_timeout=3, autocommit=True
        ) as connection:
            _make_roles(connection, layout.passwords())
            _make_database(connection)
        with psycopg.connect(erp_url(settings), connect_timeout=3) as connection:
            connection.execute(SCHEMA_FILE.read_text(encoding="utf-8"))
    except psycopg.Error as error:
        said = " ".join(str(error).split())[:300]
        raise Unavailable(
            "erp_example", f"the ERP example could not be made in the embedded PostgreSQL: {said}"
        ) from error
    values = {
        "ERP_HOST": "127.0.0.1",
        "ERP_PORT": str(layout.port("postgres")),
        "ERP_DATABASE": DATABASE,
        "ERP_USER": CAPTURE,
        "ERP_PASSWORD": layout.passwords()[CAPTURE],
    }
    target = layout.home / "connect" / "secrets.env"
    write_private(target, "".join(f"{name}={value}\n" for name, value in values.items()))
    return target


def erp_url(settings: Settings) -> str:
    """libpq URL of the ERP's owner, whose work is to be captured."""
    return Layout.of(settings).database_url(OWNER, DATABASE)


def _make_roles(connection: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
    for role, right in RIGHTS.items():
        connection.execute(
            sql.SQL("{} role {} login nosuperuser nocreatedb nocreaterole {} password {}").format(
                sql.SQL("alter" if role in roles else "create"),
                sql.Identifier(role),
                sql.SQL(right),
                sql.Literal(passwords[role]),
            )
        )


def _make_database(connection: psycopg.Connection) -> None:
    databases = {row[0] for row in connection.execute("select datname from pg_database")}
    database, owner = sql.Identifier(DATABASE), sql.Identifier(OWNER)
    if DATABASE not in databases:
        connection.execute(sql.SQL("create database {} owner {}").format(database, owner))
    connection.execute(sql.SQL("revoke all on database {} from public").format(database))
    connection.execute(
        sql.SQL("grant connect on database {} to {}").format(database, sql.Identifier(CAPTURE))
    )
