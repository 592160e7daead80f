"""The Spark Connect server as a Dagster resource.

Belongs here: where the server is. Does not: how patient a client is (spark.session), what it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg


class SparkConnect(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The shared session on the warm server. `remote` empty: the setting CARBON_SPARK_REMOTE."""

    remote: str = ""

    @contextmanager
    def session(self) -> Iterator[Any]:
        """The shared session; afterwards only this client is closed. Raises Unavailable."""
        from carbon_ledger import settings
        from spark.session import connect

        session = connect(self.remote or settings.load()["CARBON_SPARK_REMOTE"])
        try:
            yield session
        finally:
            session.stop()
