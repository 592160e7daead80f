"""What is done for a frame of the continuous driver: claim what is pending, and work it off.

Belongs here: the function of the query, which a query in a Python process of the Spark server and
the driver itself call alike. Does not: the query and the driver (spark.continuous), the work of a
batch (spark.micro_batch, the very code that a run calls), claims (carbon_ledger.store.manifest).

A frame says that records came; which ones are whose, PostgreSQL says. The function claims what is
pending as a batch, under the same lock and constraints as the planner, and that batch is read,
judged and committed as by a run. So it does not matter what Spark believes to have delivered:
frames may come twice, or never.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from carbon_ledger import planning
from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.settings import load as load_settings
from carbon_ledger.streams import Stream
from spark.attempt import check_topic, kept_lease, tell_planner

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from carbon_ledger.planning import TopicSight
    from carbon_ledger.store.manifest import BatchPlan, Connection

# How long a frame waits for a batch that somebody else works on, before its query is started anew.
ELSEWHERE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What the function of a query is told: which stream, in which ledger, for which driver."""

    stream: Stream
    database_url: str
    driver: str
    epoch: int

    @property
    def run_id_prefix(self) -> str:
        """Beginning of the run_id of every batch this driver works on."""
        from carbon_ledger.store.drivers import RUN_ID_PREFIX

        return f"{RUN_ID_PREFIX}{self.driver}, "

    def connect(self, what: str) -> Connection:
        """A connection in autocommit as the ledger's writer."""
        from carbon_ledger.store.connect import connect

        name = f"carbon continuous {self.stream.name} {what}"
        return connect(self.database_url, name, autocommit=True)


def work_frame(feed: Feed, frame: DataFrame, number: int) -> None:
    """For `foreachBatch`: everything that is in the topic now is in the accounts afterwards.

    Raises what ends the query: DriverReplaced, or what a batch failed with.
    """
    work_pending(feed, frame.sparkSession, f"frame {number}")


def work_pending(
    feed: Feed,
    spark: SparkSession,
    who: str,
    settings: Settings | None = None,
    *,
    is_first: bool = False,
) -> int:
    """Works off the open batch, if nobody else does, and then what is pending, batch by batch; how
    many batches there were.

    `is_first`: no query of this driver's runs, so a batch that it seems to work on is abandoned.

    Returns when all that was in the topic at the call is claimed and done, or the stream is halted.
    Raises DriverReplaced before a claim if the stream is not the driver's any more, and Unavailable
    `batch_elsewhere` if somebody else's batch does not come to an end.
    """
    from carbon_ledger.store import drivers

    settings = settings or load_settings()
    run_id = f"{feed.run_id_prefix}{who}"
    worked, patience = 0, time.monotonic() + ELSEWHERE_SECONDS
    with closing(feed.connect("claims")) as conn:
        sight = expected_sight(conn, feed.stream, settings)
        while sight is not None:
            drivers.require_stream(conn, feed.stream.name, feed.epoch)
            if is_first and worked == 0:
                _hand_back(conn, feed)
            found = _next_batch(conn, feed.stream, sight, run_id)
            if found == "nothing":
                break
            if found == "elsewhere":
                if time.monotonic() > patience:
                    raise Unavailable(
                        "batch_elsewhere",
                        f"a batch of {feed.stream.name} has been worked on by somebody else for "
                        f"{ELSEWHERE_SECONDS:.0f} s",
                    )
                time.sleep(POLL_SECONDS)
                continue
            _work_off(conn, feed, spark, found, sight, settings)
            worked, patience = worked + 1, time.monotonic() + ELSEWHERE_SECONDS
    return worked


def expected_sight(conn: Connection, stream: Stream, settings: Settings) -> TopicSight | None:
    """What is in the topic; None if it is not there, or is not as the accounts expect it (the
    stream is then halted).
    """
    from carbon_ledger.store import gaps, manifest
    from pipeline.topic_sight import look

    before = manifest.read_state(conn, stream.name)
    sight = planning.steady_sight(
        before,
        lambda: look(stream.topic, settings),
        lambda: time.sleep(planning.SECOND_LOOK_SECONDS),
    )
    if gaps.observe_topic(conn, stream.name, sight, looked_from=before):
        return None
    return None if sight.topic_id is None else sight


def _next_batch(
    conn: Connection, stream: Stream, sight: TopicSight, run_id: str
) -> BatchPlan | Literal["nothing", "elsewhere"]:
    """The attempt to work on, begun: of the open batch if it waits for one, else of a new claim.

    `elsewhere`: the open batch is somebody else's, or waits for its back-off to pass.
    """
    from carbon_ledger.store import factors, manifest

    open_batch = manifest.open_batch(conn, stream.name)
    if open_batch is None:
        plan = manifest.plan_batch(
            conn,
            # A frame is the sign that something is there; the trigger alone sets the pace.
            replace(stream, max_wait_seconds=0),
            sight.highs,
            factor_release=factors.latest_release_id(conn),
            arrival_partition=planning.arrival_partition(manifest.database_now(conn)),
        )
        if plan is None:
            return "nothing" if manifest.open_batch(conn, stream.name) is None else "elsewhere"
        batch_id, attempt = plan.batch_id, plan.attempt
    else:
        if open_batch.status == "dead":
            return "nothing"
        # Runs are not looked at: one that still is in the queue finds its batch taken, or done.
        now = manifest.database_now(conn)
        step = planning.next_step(open_batch, planning.RunSight(), now)
        if step.action == "retry":
            manifest.fail_attempt(
                conn, open_batch.batch_id, open_batch.attempt, step.because, counts=True
            )
        if step.action != "request":
            return "elsewhere"
        batch_id, attempt = open_batch.batch_id, open_batch.attempt
    try:
        return manifest.begin_attempt(conn, batch_id, attempt, run_id)
    except manifest.AttemptReplaced:
        return "elsewhere"


def _hand_back(conn: Connection, feed: Feed) -> None:
    """The batch that an earlier query of this driver left under way waits for its next attempt."""
    from carbon_ledger.store import manifest

    batch = manifest.open_batch(conn, feed.stream.name)
    if is_ours(batch, feed) and batch is not None:
        because = f"batch {batch.batch_id}: the query that worked on it has ended"
        manifest.fail_attempt(conn, batch.batch_id, batch.attempt, because, counts=True)


def _work_off(
    conn: Connection,
    feed: Feed,
    spark: SparkSession,
    plan: BatchPlan,
    sight: TopicSight,
    settings: Settings,
) -> None:
    from carbon_ledger.store import manifest
    from spark.micro_batch import run_batch

    try:
        with kept_lease(feed.connect, plan):
            check_topic(sight.topic_id, plan)
            run_batch(spark, feed.database_url, plan, settings)
        manifest.finish_batch(conn, plan.batch_id, plan.attempt)
    except BaseException as error:
        tell_planner(feed.connect, plan, error)
        raise


def standing_still(feed: Feed, settings: Settings) -> tuple[object, ...] | None:
    """What there is to do that no frame may come for, the same at each look until somebody does it;
    None if there is nothing.

    A batch whose worker has gone has claimed its records already, and a stream that was halted and
    goes on has pending ones that are not new to the query.
    """
    from carbon_ledger.store import manifest

    with closing(feed.connect("look")) as conn:
        batch = manifest.open_batch(conn, feed.stream.name)
        if batch is not None:
            step = planning.next_step(batch, planning.RunSight(), manifest.database_now(conn))
            return None if step.action == "wait" else (batch.batch_id, batch.attempt)
        state = manifest.read_state(conn, feed.stream.name)
        sight = expected_sight(conn, feed.stream, settings)
    if sight is None or state.halted_reason is not None:
        return None
    if not planning.pending_records(state, sight.highs):
        return None
    return tuple(sorted((number, made.planned) for number, made in state.progress.items()))


def is_ours(batch: planning.OpenBatch | None, feed: Feed) -> bool:
    """Whether a query of this driver works on the batch."""
    if batch is None or batch.status != "running" or batch.run_id is None:
        return False
    return batch.run_id.startswith(feed.run_id_prefix)
