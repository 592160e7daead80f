"""Makes roles, databases, schema, topics and Avro subjects in services that somebody else runs.

    python -m scripts.prepare_services --host postgres --secrets /run/secrets

Belongs here: the order of it; each step is the one that the embedded stack takes. Does not: the
steps (devstack.postgres, pipeline.preparation). What is there already is left as it is, so it may
run at every start.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import psycopg

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import load
from devstack.postgres import LOGIN_ROLES, make_roles_and_databases
from pipeline.preparation import prepare_streams

SUPERUSER = "postgres"


def passwords_in(folder: Path) -> dict[str, str]:
    """Role to password, one file per role; ConfigurationError `secret_missing` names the file."""
    found = {}
    for role in (SUPERUSER, *LOGIN_ROLES):
        path = folder / role
        try:
            found[role] = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(
                "secret_missing",
                f"{path} cannot be read ({error.strerror}); make the secrets with "
                "`python -m scripts.make_secrets`",
            ) from error
        if not found[role]:
            raise ConfigurationError("secret_missing", f"{path} is empty")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """0 once everything is there; raises CarbonError or psycopg.Error else."""
    parser = argparse.ArgumentParser(prog="prepare_services", description=__doc__)
    parser.add_argument("--host", default="postgres")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--secrets", type=Path, default=Path("/run/secrets"))
    arguments = parser.parse_args(argv)
    passwords = passwords_in(arguments.secrets)
    with psycopg.connect(
        host=arguments.host,
        port=arguments.port,
        dbname="postgres",
        user=SUPERUSER,
        password=passwords[SUPERUSER],
        connect_timeout=10,
        autocommit=True,
    ) as connection:
        make_roles_and_databases(connection, passwords)
    prepare_streams(load())
    print("roles, databases, schema, topics and subjects are in place")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
