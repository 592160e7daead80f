"""Requests a run of supersession when purchases or declarations wait for their claims.

Belongs here: what waits for it. Does not: when to ask (sensors.one_run), what is posted
(spark.supersede).
"""

import dagster as dg

from resources.database import LedgerDatabase
from sensors.one_run import make_one_run_sensor

TICK_SECONDS = 15


def make_supersession_sensor(
    job: object, job_name: str, database: LedgerDatabase
) -> dg.SensorDefinition:
    """Asks for supersession of what was posted since the last run."""
    return make_one_run_sensor(
        job,
        job_name,
        name="supersede_claims",
        verb="supersede",
        description="Has new purchases and suppliers' declarations taken into their claims.",
        tick_seconds=TICK_SECONDS,
        is_waiting=_is_waiting,
        database=database,
        nothing="every entry is in its claim, or a run is at it",
    )


def _is_waiting(database: LedgerDatabase) -> bool:
    from carbon_ledger.store.claims import is_at_work, is_waiting

    with database.connect("supersession sensor") as conn:
        # A long run works off what comes in meanwhile too; another would do the same work again.
        return is_waiting(conn) and not is_at_work(conn)
