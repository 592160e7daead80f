"""The one thing that Dagster's own storage cannot be asked for: forgetting old observations.

Belongs here: that statement, and the connection as Dagster's role. Does not: runs and ticks, which
Dagster deletes itself when asked (carbon_assets.retention, dagster.yaml).

Observations of lag are of no run, so no deletion of runs takes them along; a stream makes thousands
a day, and only the newest say anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.store.connect import CONNECT_SECONDS, query

DELETE_MAX = 50_000


def purge_observations(before: datetime, environ: Mapping[str, str] | None = None) -> int:
    """Deletes observations of no run from before that moment, DELETE_MAX at most; how many.

    The newest of each asset stays. Raises Unavailable, or ConfigurationError `dagster_storage` if
    the DAGSTER_PG_ variables do not say where it is.
    """
    given = os.environ if environ is None else environ
    names = {
        "host": "DAGSTER_PG_HOST",
        "port": "DAGSTER_PG_PORT",
        "dbname": "DAGSTER_PG_DB",
        "user": "DAGSTER_PG_USERNAME",
        "password": "DAGSTER_PG_PASSWORD",
    }
    missing = [name for name in names.values() if not given.get(name)]
    if missing:
        raise ConfigurationError(
            "dagster_storage", f"{', '.join(missing)} must be set: they name Dagster's database"
        )
    values = {key: given[name] for key, name in names.items()}
    try:
        with psycopg.connect(
            **values,  # type: ignore[arg-type]
            connect_timeout=CONNECT_SECONDS,
            application_name="carbon dagster purge",
        ) as connection:
            # Dagster writes naive UTC.
            moment = before.astimezone(UTC).replace(tzinfo=None)
            done = connection.execute(
                query("purge_observations"), {"before": moment, "most": DELETE_MAX}
            )
            return done.rowcount
    except psycopg.Error as error:
        raise Unavailable(
            "dagster_storage", f"Dagster's database: {' '.join(str(error).split())[:200]}"
        ) from error
