"""The thin client of the warm Spark Connect server.

Belongs here: connecting, with bounded patience. Does not: anything that runs on the server.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from carbon_ledger.errors import Unavailable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def connect(remote: str) -> SparkSession:
    """A session on the Spark Connect server at `remote` (sc://host:port). Raises Unavailable.

    Retries of the client are cut to about fifteen seconds in all; the session's time zone is UTC.
    """
    # pyspark.sql.functions looks here to know that expressions are for a Connect server.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    policy = DefaultPolicy(
        max_retries=6,
        backoff_multiplier=2.0,
        initial_backoff=250,
        max_backoff=4_000,
        jitter=0,
        min_jitter_threshold=0,
    )
    try:
        session = ConnectSession(remote)
        session.client.set_retry_policies([policy])
        session.conf.set("spark.sql.session.timeZone", "UTC")
    except (PySparkException, OSError) as error:
        raise Unavailable(
            "spark_unavailable", f"no Spark Connect server answers at {remote}: {error}"
        ) from error
    return session
