"""Requests a run that seals, when something is unsealed or a head has not left the database.

Belongs here: what waits for it. Does not: when to ask (sensors.one_run), what is sealed
(carbon_ledger.store.seals), where heads go (pipeline.heads).
"""

import dagster as dg

from resources.database import LedgerDatabase
from sensors.one_run import make_one_run_sensor

TICK_SECONDS = 4


def make_seal_sensor(
    seal_job: object, job_name: str, database: LedgerDatabase
) -> dg.SensorDefinition:
    """Asks for a seal of what was committed since the last one."""
    return make_one_run_sensor(
        seal_job,
        job_name,
        name="seal_commits",
        verb="seal",
        description="Has sealed what was committed, and published what was signed.",
        tick_seconds=TICK_SECONDS,
        is_waiting=_is_waiting,
        database=database,
        nothing="everything is sealed and published",
    )


def _is_waiting(database: LedgerDatabase) -> bool:
    from carbon_ledger import settings
    from carbon_ledger.store.seals import is_work_waiting
    from pipeline.heads import places

    with database.connect_as_sealer("seal sensor") as conn:
        return is_work_waiting(conn, places(settings.load()))
