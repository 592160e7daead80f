"""The planner: sees what is in a topic, claims it as a batch, has it worked off, one batch at a
time.

Belongs here: one tick, from looking to one request. Does not: the decisions
(carbon_ledger.planning), the claims (carbon_ledger.store.manifest), the work
(carbon_assets.ledger).

PostgreSQL remembers; the sensor's cursor only says when the lag was last reported. A tick may be
lost, repeated or run beside another one: claims are made under a lock, and a batch's run key names
its attempt.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from carbon_ledger import planning
from carbon_ledger.errors import CarbonError, Unavailable
from carbon_ledger.failpoints import failpoint
from carbon_ledger.planning import OpenBatch, RunSight, StreamState, TopicSight
from carbon_ledger.streams import Stream
from resources.database import LedgerDatabase
from resources.kafka import KafkaTopics

if TYPE_CHECKING:
    from carbon_ledger.store.manifest import BatchPlan, Connection

# The planner waits for a lock no longer than this: a commit in mid-flight is a sign of life, not a
# fault.
LOCK_SECONDS = 3
# The lag is an event in Dagster's database each time, also of a stream that stands still.
OBSERVATION_SECONDS = 15
OBSERVATION_SECONDS_WHEN_QUIET = 300
LETTERS_WAIT_SECONDS = 30

WAITING = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
)
STARTED = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
FACTORS_JOB = "factors"


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What one tick came to: a batch to run, or the sentence that says why not."""

    sentence: str
    batch_id: int | None = None
    attempt: int | None = None
    arrival_partition: str | None = None
    needs_factors: bool = False
    needs_relay: bool = False
    state: StreamState | None = None
    sight: TopicSight | None = None
    now: datetime | None = None


FindRun = Callable[[OpenBatch], RunSight]
GiveUp = Callable[[RunSight, str], None]


def plan_tick(
    conn: "Connection",
    stream: Stream,
    look: Callable[[], TopicSight],
    *,
    find_run: FindRun,
    give_up: GiveUp,
    now: datetime,
    second_look: Callable[[], None] = lambda: time.sleep(planning.SECOND_LOOK_SECONDS),
) -> Tick:
    """One tick against the manifest. `look` asks Kafka, `find_run` and `give_up` speak of Dagster's
    runs.

    Raises Unavailable if Kafka or PostgreSQL does not answer; whatever was claimed before that
    stays claimed.
    """
    from carbon_ledger.store import drivers, gaps, manifest

    manifest.ensure_stream(conn, stream)
    before = manifest.read_state(conn, stream.name)
    sight = planning.steady_sight(before, look, second_look)
    open_gaps = gaps.observe_topic(conn, stream.name, sight, looked_from=before)
    state = manifest.read_state(conn, stream.name)
    seen: dict[str, Any] = {"state": state, "sight": sight, "now": now}
    if open_gaps:
        return Tick(sentence=f"halted: {state.halted_reason}", **seen)
    if sight.topic_id is None:
        return Tick(sentence=f"topic {stream.topic} does not exist yet", **seen)
    driver = drivers.driver_of(conn, stream.name)
    if driver is not None:
        until = driver.lease_until.isoformat(timespec="seconds")
        return Tick(sentence=f"left to the continuous driver {driver.driver} until {until}", **seen)
    batch = manifest.open_batch(conn, stream.name)
    if batch is None:
        return _claim(conn, stream, seen)
    return _attend(conn, batch, find_run, give_up, seen)


def _claim(conn: "Connection", stream: Stream, seen: dict[str, Any]) -> Tick:
    from carbon_ledger.store import factors, manifest, upkeep

    state, sight, now = seen["state"], seen["sight"], seen["now"]
    try:
        release = factors.latest_release_id(conn)
    except Unavailable:
        return Tick(
            sentence="no emission factors are loaded; asked for them", needs_factors=True, **seen
        )
    plan: BatchPlan | None = manifest.plan_batch(
        conn,
        stream,
        sight.highs,
        factor_release=release,
        arrival_partition=planning.arrival_partition(now),
    )
    if plan is not None:
        failpoint("claim_committed")
        return Tick(
            sentence=f"batch {plan.batch_id} claims {plan.records} offsets",
            batch_id=plan.batch_id,
            attempt=plan.attempt,
            arrival_partition=plan.arrival_partition,
            **{**seen, "state": manifest.read_state(conn, stream.name)},
        )
    pending = sum(planning.pending_records(state, sight.highs).values())
    if pending:
        return Tick(
            sentence=f"{pending} records wait for company or for {stream.max_wait_seconds} s",
            **seen,
        )
    return Tick(
        sentence="nothing is pending",
        needs_relay=upkeep.has_unrelayed_letters(conn, stream.name, LETTERS_WAIT_SECONDS),
        **seen,
    )


def _attend(
    conn: "Connection", batch: OpenBatch, find_run: FindRun, give_up: GiveUp, seen: dict[str, Any]
) -> Tick:
    """What the open batch needs now; at most one attempt is given up and the next one requested."""
    from carbon_ledger.store import manifest

    run = find_run(batch)
    step = planning.next_step(batch, run, seen["now"])
    if step.action == "retry":
        give_up(run, step.because)
        # What was begun and then vanished counts: a batch that kills its worker must not do so for
        # ever.
        # What never began says nothing about the batch.
        after = manifest.fail_attempt(
            conn,
            batch.batch_id,
            batch.attempt,
            step.because,
            counts=batch.status == "running",
        )
        if after is None or after.status == "dead":
            return Tick(sentence=f"{step.because}; it has failed too often", **seen)
        batch, step = after, planning.next_step(after, RunSight(), seen["now"])
    if step.action == "wait":
        return Tick(sentence=step.because, **seen)
    return Tick(
        sentence=step.because,
        batch_id=batch.batch_id,
        attempt=batch.attempt,
        arrival_partition=batch.arrival_partition,
        **seen,
    )


def outlook_of(status: dg.DagsterRunStatus) -> planning.RunOutlook:
    """Dagster's status of a run, in the planner's words."""
    if status in WAITING:
        return "waiting"
    if status in STARTED:
        return "started"
    return "succeeded" if status == dg.DagsterRunStatus.SUCCESS else "failed"


def run_of_batch(instance: dg.DagsterInstance, batch: OpenBatch) -> RunSight:
    """What Dagster knows of the run of the batch's current attempt.

    Once a run has begun the attempt, it is that run; one re-executed by hand has the same tags.
    """
    tags = {"carbon/batch_id": str(batch.batch_id), "carbon/attempt": str(batch.attempt)}
    wanted = dg.RunsFilter(run_ids=[batch.run_id]) if batch.run_id else dg.RunsFilter(tags=tags)
    records = instance.get_run_records(filters=wanted, limit=1)
    if not records:
        return RunSight()
    record = records[0]
    started = record.start_time
    return RunSight(
        outlook=outlook_of(record.dagster_run.status),
        run_id=record.dagster_run.run_id,
        started_at=None if started is None else datetime.fromtimestamp(started, tz=UTC),
    )


def no_run_loads(instance: dg.DagsterInstance) -> bool:
    """Whether no run that loads the factors waits or goes on; a second one would do it again."""
    wanted = dg.RunsFilter(job_name=FACTORS_JOB, statuses=[*WAITING, *STARTED])
    return not instance.get_run_records(filters=wanted, limit=1)


def give_up_run(instance: dg.DagsterInstance, run: RunSight, because: str) -> None:
    """A run that Dagster still takes to be alive is told to be over, so that it holds no slot of
    its stream."""
    found = None if run.run_id is None else instance.get_run_by_id(run.run_id)
    if found is not None and not found.is_finished:
        instance.report_run_failed(found, f"given up by the planner: {because}")


def observation(stream: Stream, tick: Tick) -> dg.AssetObservation | None:
    """Lag of the ledger behind the topic, as an observation of the topic; None before it was ever
    seen."""
    if tick.state is None or tick.sight is None or tick.sight.topic_id is None or tick.now is None:
        return None
    state, sight, now = tick.state, tick.sight, tick.now
    pending = sum(planning.pending_records(state, sight.highs).values())
    age = 0.0
    if state.pending_since is not None:
        age = max(0.0, (now - state.pending_since).total_seconds())
    return dg.AssetObservation(
        asset_key=dg.AssetKey(stream.raw_key),
        metadata={
            "lag_records": planning.lag_records(state, sight.highs),
            "pending_records": pending,
            "oldest_pending_age_seconds": age,
            "end_offsets": dg.MetadataValue.json({str(p): h for p, h in sight.highs.items()}),
            "committed_offsets": dg.MetadataValue.json(
                {str(p): progress.committed for p, progress in state.progress.items()}
            ),
            "topic_id": sight.topic_id,
            "topic_incarnation": state.topic_incarnation,
            "halted": state.halted_reason or "no",
        },
    )


def requests_of(
    stream: Stream, tick: Tick, partitions: dg.PartitionsDefinition[str], ledger_job: str
) -> list[dg.RunRequest]:
    """The tick's requests. A partition key that does not exist is not asked for: it would fail
    every tick."""
    now = tick.now or datetime.now(UTC)
    if tick.needs_factors:
        return [dg.RunRequest(job_name=FACTORS_JOB, run_key=f"factors at {now:%Y-%m-%dT%H:%M}")]
    if tick.needs_relay:
        return [
            dg.RunRequest(job_name="relay_dead_letters", run_key=f"relay at {now:%Y-%m-%dT%H:%M}")
        ]
    if tick.batch_id is None or tick.arrival_partition is None:
        return []
    if not partitions.has_partition_key(tick.arrival_partition):
        return []
    return [
        dg.RunRequest(
            job_name=ledger_job,
            run_key=f"{tick.batch_id}:{tick.attempt}",
            partition_key=tick.arrival_partition,
            run_config={
                "ops": {
                    f"ledger__{stream.name}": {
                        "config": {"batch_id": tick.batch_id, "attempt": tick.attempt}
                    }
                }
            },
            tags={
                "carbon/stream": stream.name,
                "carbon/batch_id": str(tick.batch_id),
                "carbon/attempt": str(tick.attempt),
                "dagster/max_retries": "0",
            },
        )
    ]


def make_planner_sensor(
    stream: Stream,
    ledger_job: Any,
    other_jobs: list[Any],
    partitions: dg.PartitionsDefinition[str],
    database: LedgerDatabase,
    kafka: KafkaTopics,
    *,
    asks_for_factors: bool = True,
) -> dg.SensorDefinition:
    """The stream's planner. A service that does not answer makes a skipped tick with its
    sentence. Where no factors are loaded, one planner `asks_for_factors`, for all.

    Resources are given here and not to the tick: for those Dagster makes its instance anew, three
    connections and as many inspections of tables, which was most of what an idle tick cost. So a
    tick asks for the instance only when there is a run to look at.
    """

    @dg.sensor(
        name=f"plan_{stream.name}",
        jobs=[ledger_job, *other_jobs],
        minimum_interval_seconds=stream.tick_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Claims what is new in {stream.topic} and has it ledgered, one batch at a "
        "time.",
    )
    def planner(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from carbon_ledger.store import manifest

        now = datetime.now(UTC)
        try:
            with database.connect(f"planner {stream.name}", lock_seconds=LOCK_SECONDS) as conn:
                tick = plan_tick(
                    conn,
                    stream,
                    lambda: kafka.sight(stream.topic),
                    find_run=lambda batch: run_of_batch(context.instance, batch),
                    give_up=lambda run, because: give_up_run(context.instance, run, because),
                    now=manifest.database_now(conn),
                )
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)
        except manifest.DatabaseError as error:
            name = type(error).__name__
            reason = f"PostgreSQL did not complete the tick ({name}: {error}); tried again soon"
            return dg.SensorResult(skip_reason=reason, cursor=context.cursor)
        if tick.needs_factors and not (asks_for_factors and no_run_loads(context.instance)):
            tick = replace(tick, needs_factors=False)
        return result_of(stream, tick, partitions, ledger_job.name, context.cursor, now)

    return planner


def result_of(
    stream: Stream,
    tick: Tick,
    partitions: dg.PartitionsDefinition[str],
    ledger_job: str,
    cursor: str | None,
    now: datetime,
) -> dg.SensorResult:
    """The tick as Dagster wants it. The cursor is the time of the last lag report, and only a
    hint."""
    requests = requests_of(stream, tick, partitions, ledger_job)
    event = None
    if is_report_due(cursor, now, is_quiet=not requests and is_quiet(tick)):
        event = observation(stream, tick)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else tick.sentence,
        asset_events=[] if event is None else [event],
        cursor=cursor if event is None else now.isoformat(),
    )


def is_quiet(tick: Tick) -> bool:
    """Whether nothing is on its way through the stream, and nothing keeps it from going on."""
    if tick.state is None or tick.sight is None:
        return True
    lag = planning.lag_records(tick.state, tick.sight.highs)
    return lag == 0 and tick.state.halted_reason is None


def is_report_due(cursor: str | None, now: datetime, *, is_quiet: bool) -> bool:
    """Whether the lag was last reported long enough ago; an unreadable cursor is none."""
    try:
        last = datetime.fromisoformat(cursor or "")
    except ValueError:
        return True
    if last.tzinfo is None:
        return True
    seconds = OBSERVATION_SECONDS_WHEN_QUIET if is_quiet else OBSERVATION_SECONDS
    return not timedelta(0) <= now - last < timedelta(seconds=seconds)
