"""The thin client of the warm Spark Connect server.

Belongs here: connecting, with bounded patience. Does not: anything that runs on the server.

Runs share one server-side session. A session of its own would cost every run a new Python worker
(its imports alone take seconds); the shared one keeps the workers and the compiled plans warm.
"""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING

from carbon_ledger.errors import Unavailable

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

USER = "carbon"
# Names of the shared session: the next one is taken when the server has closed the one before.
NAMESPACE = uuid.UUID("5f0b6a1e-93f5-4a6e-8a34-0c2b8f9d7e11")
SESSION_NAMES_MAX = 100


def connect(remote: str) -> SparkSession:
    """The shared session on the Spark Connect server at `remote` (sc://host:port). Raises
    Unavailable.

    Retries of the client are cut to about fifteen seconds in all; the session's time zone is UTC.
    Leave the session as it is when done: stopping it would take it from everybody.

    """
    from pyspark.errors import PySparkException

    for number in range(SESSION_NAMES_MAX):
        try:
            return _session(_with_session(remote, uuid.uuid5(NAMESPACE, str(number))))
        except PySparkException as error:
            if "SESSION_CLOSED" in str(error) or "SESSION_CHANGED" in str(error):
                continue
            raise _unavailable(remote, error) from error
        except OSError as error:
            raise _unavailable(remote, error) from error
    raise Unavailable(
        "spark_sessions",
        f"the server at {remote} has closed {SESSION_NAMES_MAX} sessions; restart it",
    )


@functools.cache
def session_class() -> type[SparkSession]:
    """SparkSession, of which one that is given up closes nothing.

    pyspark's `__del__` closes the client and waits for the threads that all clients of the process
    share. Where the collector finds one session while the answer of another is read, those threads
    wait for the reader, and the process waits for itself for good.
    """
    from pyspark.sql.connect.session import SparkSession

    class QuietSession(SparkSession):
        def __del__(self) -> None:
            """The channel goes with the object; the session on the server stays, for the others."""

    return QuietSession


def _session(remote: str) -> SparkSession:
    from pyspark.sql.connect.client.retries import DefaultPolicy

    session = session_class()(remote)
    # The client's own policy waits ten minutes for a server that is gone. The planner retries a
    # batch anyway, so a run gives up early and leaves the decision to it.
    policy = DefaultPolicy(
        max_retries=6,
        backoff_multiplier=2.0,
        initial_backoff=250,
        max_backoff=4_000,
        jitter=0,
        min_jitter_threshold=0,
    )
    session.client.set_retry_policies([policy])
    session.release_session_on_close = False
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


def _with_session(remote: str, session_id: uuid.UUID) -> str:
    """`remote` with user and session id, unless it names its own."""
    if "session_id=" in remote:
        return remote
    address, _, parameters = remote.partition("/;")
    user = "" if "user_id=" in parameters else f"user_id={USER};"
    rest = f"{parameters};" if parameters else ""
    return f"{address.rstrip('/')}/;{rest}{user}session_id={session_id}"


def _unavailable(remote: str, error: Exception) -> Unavailable:
    where = remote.partition("/;")[0]
    return Unavailable(
        "spark_unavailable", f"no Spark Connect server answers at {where}: {str(error)[:300]}"
    )
