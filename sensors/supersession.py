"""Requests a run of supersession when purchases or declarations wait for their claims.

Belongs here: when to ask. Does not: what is posted (spark.supersede). As for seals, one run works
off all that came in meanwhile, and none is asked for while another goes on.
"""

from datetime import UTC, datetime

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase
from sensors.audit import LastRun, last_run, plan_seal

TICK_SECONDS = 15


def plan_supersession(
    is_waiting: bool, last: LastRun, cursor: str | None, now: datetime
) -> list[dg.RunRequest]:
    """One request if entries wait, no run is at it, and the last request was long enough ago."""
    if not plan_seal(is_waiting, last, cursor, now):
        return []
    return [dg.RunRequest(run_key=f"supersede at {now.isoformat()}")]


def make_supersession_sensor(job: object, job_name: str) -> dg.SensorDefinition:
    """Asks for supersession of what was posted since the last run."""

    @dg.sensor(
        name="supersede_claims",
        job=job,  # type: ignore[arg-type]
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has new purchases and suppliers' declarations taken into their claims.",
    )
    def supersede_claims(
        context: dg.SensorEvaluationContext, database: LedgerDatabase
    ) -> dg.SensorResult:
        from carbon_ledger.store.claims import is_waiting

        now = datetime.now(UTC)
        try:
            with database.connect("supersession sensor") as conn:
                waiting = is_waiting(conn)
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)
        last = last_run(context.instance, job_name, now) if waiting else LastRun()
        requests = plan_supersession(waiting, last, context.cursor, now)
        reason = (
            "a run is at it or ended a moment ago" if waiting else "every entry is in its claim"
        )
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else reason,
            cursor=now.isoformat() if requests else context.cursor,
        )

    return supersede_claims
