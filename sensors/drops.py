"""Looks at the suppliers' SFTP server, and has a run work off the files that are whole.

Belongs here: one look, one request. Does not: reading files (pipeline.drops.work).

A look only lists and notes, so it fits into a tick; files are claimed by the run, in PostgreSQL,
under a lock: a tick may be lost, repeated or run beside another one.
"""

from datetime import UTC, datetime

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase
from sensors.one_run import LastRun, last_run, plan_run

TICK_SECONDS = 9
# A tick has 60 s; a server that does not answer gets a third of them.
LOOK_SECONDS = 20.0
NOT_SET = "no SFTP server is set (CARBON_SFTP_URL)"


def look_at_drops(database: LedgerDatabase, now: datetime) -> tuple[int, int, str]:
    """How many files wait for a run, how many are not whole yet, and why nothing was looked at."""
    from carbon_ledger import settings
    from pipeline.drops.server import DropServer, ServerPlace
    from pipeline.drops.work import look

    given = settings.load()
    place = ServerPlace.of(given)
    if place is None:
        return 0, 0, NOT_SET
    quiet = given.seconds("CARBON_DROP_QUIET_SECONDS")
    cut_wait = given.seconds("CARBON_DROP_CUT_SECONDS")
    with (
        DropServer(place, call_seconds=LOOK_SECONDS) as server,
        database.connect("look at drops") as conn,
    ):
        found = look(conn, server, quiet=quiet, cut_wait=cut_wait, now=now)
    return len(found.whole), found.on_their_way, ""


def make_drops_sensor(job: object, job_name: str, database: LedgerDatabase) -> dg.SensorDefinition:
    """Asks for a run of the job whenever a file is whole; one run at a time."""

    @dg.sensor(
        name="poll_supplier_drops",
        job=job,  # type: ignore[arg-type]
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Lists the files that suppliers left by SFTP, and has those read that are "
        "whole: renamed from a temporary name, or unchanged for CARBON_DROP_QUIET_SECONDS.",
    )
    def poll_supplier_drops(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = datetime.now(UTC)
        try:
            whole, on_their_way, why_not = look_at_drops(database, now)
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)
        last = last_run(context.instance, job_name, now) if whole else LastRun()
        requests = plan_run(bool(whole), last, context.cursor, now, verb="read drops")
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else why_not or _why_not(whole, on_their_way, last),
            cursor=now.isoformat() if requests else context.cursor,
        )

    return poll_supplier_drops


def _why_not(whole: int, on_their_way: int, last: LastRun) -> str:
    if whole and last.is_running:
        return f"{whole} files are whole; a run is at it"
    if whole:
        return f"{whole} files are whole; a run ended a moment ago"
    return f"no file is whole; {on_their_way} on their way"
