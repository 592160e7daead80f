"""What Dagster's own storage cannot be asked for: forgetting old observations and old results of
checks.

Belongs here: these statements, and the connection as Dagster's role. Does not: runs and ticks,
which Dagster deletes itself when asked (carbon_assets.retention, dagster.yaml).

Observations of lag are of no run, so no deletion of runs takes them along; a stream makes thousands
a day, and only the newest say anything. Results of asset checks have a table of their own, which
the deletion of their run leaves as it is.
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
    return _delete("purge_observations", {"before": _naive(before)}, environ)


def purge_check_executions(
    before: datetime, before_failed: datetime, environ: Mapping[str, str] | None = None
) -> int:
    """Deletes results of asset checks from before `before`, failed ones from before
    `before_failed`, DELETE_MAX at most; how many.

    The newest result of each check and partition stays. Raises as purge_observations.
    """
    moments = {"before": _naive(before), "before_failed": _naive(before_failed)}
    return _delete("purge_check_executions", moments, environ)


def _naive(moment: datetime) -> datetime:
    # Dagster writes naive UTC.
    return moment.astimezone(UTC).replace(tzinfo=None)


def _delete(name: str, parameters: dict[str, datetime], environ: Mapping[str, str] | None) -> int:
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
            return connection.execute(query(name), {**parameters, "most": DELETE_MAX}).rowcount
    except psycopg.Error as error:
        raise Unavailable(
            "dagster_storage", f"Dagster's database: {' '.join(str(error).split())[:200]}"
        ) from error
