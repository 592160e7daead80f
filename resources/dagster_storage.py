"""Dagster's storage in PostgreSQL, over connections that are kept.

Belongs here: the pool that dagster.yaml names as storage. Does not: what Dagster stores.

Dagster's own storage opens a connection for every statement. Sensors of five streams make some
hundred statements a second, and each connection costs both sides more than its statement does: a
third of a processor in the daemon alone.
"""

from collections.abc import Mapping
from typing import Any, Final

from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
)

# Of a process: what it holds when it is idle. More are opened when they are needed, and closed.
KEPT: Final = 4
# A connection is made anew after so long, so that a server that was moved is found.
RECYCLE_SECONDS: Final = 300


class PooledPostgresStorage(DagsterPostgresStorage):
    """As DagsterPostgresStorage, of the same configuration; one pool for all three storages.

    A connection is tried before it is used: one that PostgreSQL closed is replaced, not an error.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: Any, config_value: Mapping[str, Any]
    ) -> "PooledPostgresStorage":
        """The storage that a `dagster.yaml` describes."""
        provider = get_token_provider_from_config(config_value)
        url = pg_url_from_config(config_value)
        storage = cls(
            inst_data=inst_data,
            postgres_url=url,
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=provider,
        )
        engine = create_pg_engine(
            url,
            provider,
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT,
            max_overflow=-1,
            pool_pre_ping=True,
            pool_recycle=RECYCLE_SECONDS,
        )
        for one in (storage._run_storage, storage._event_log_storage, storage._schedule_storage):
            # As their own optimize_for_webserver does.
            one._engine = engine
        return storage
