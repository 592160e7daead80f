"""The continuous driver: a Structured Streaming query works off what comes in, without runs.

Belongs here: the query, what its function does with a frame, holding the stream. Does not: the work
of a batch (spark.micro_batch, the very code that a run calls), claims
(carbon_ledger.store.manifest), telling Dagster (carbon_assets.continuous).

A frame says that records came; which ones are whose, PostgreSQL says. The function claims what is
pending as a batch, under the same lock and constraints as the planner, and that batch is read,
judged and committed as by a run. So it does not matter what Spark believes to have delivered:
frames may come twice, or never, and each start of the query begins at the offsets that PostgreSQL
has. The query's checkpoint is a passing folder of the server's, and no start reads an earlier one.

The function runs on the Spark server, in a Python process of its own, and outlives a driver that is
killed; it claims nothing once the driver's lease is up.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from carbon_ledger import planning
from carbon_ledger.errors import CarbonError, Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.settings import load as load_settings
from carbon_ledger.streams import Stream
from spark.attempt import beating, check_topic, kept_lease, tell_planner
from spark.kafka_options import kafka_options

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from carbon_ledger.planning import StreamState, TopicSight
    from carbon_ledger.store.manifest import BatchPlan, Connection

# How long a frame waits for a batch that somebody else works on, before its query is started anew.
ELSEWHERE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1
# A driver that was killed a moment ago still holds the stream; its successor waits for that.
TAKE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 1.0
REPORT_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 60.0
START_SECONDS: Final = 45.0
# So many failures in a row, and the stream is left to the planner between the tries, for so long.
FAILURES_HELD: Final = 3
REST_SECONDS: Final = 60
HEALTHY_SECONDS: Final = 120.0
BACK_OFF_SECONDS_MAX: Final = 15
QUERY_NAME: Final = "carbon continuous "


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
        sight = _sight(conn, feed.stream, settings)
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


def _sight(conn: Connection, stream: Stream, settings: Settings) -> TopicSight | None:
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
    if _is_ours(batch, feed) and batch is not None:
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


def start_query(
    spark: SparkSession,
    feed: Feed,
    state: StreamState,
    sight: TopicSight,
    settings: Settings,
    trigger_ms: int,
) -> Any:
    """The streaming query, started: a frame whenever the topic has something beyond what is
    claimed, and one at once.
    """
    # One record earlier: the first frame finds nothing to do, and has its process load what the
    # next ones need, which takes seconds.
    offsets = {
        str(number): max(sight.offsets[number][0], made.planned - 1)
        for number, made in state.progress.items()
    }
    source = (
        spark.readStream.format("kafka")
        .options(**kafka_options(settings))
        .option("assign", json.dumps({state.topic: sorted(state.progress)}))
        .option("startingOffsets", json.dumps({state.topic: offsets}))
        .option("failOnDataLoss", "true")
        .option("kafka.request.timeout.ms", "10000")
        .option("kafka.default.api.timeout.ms", "15000")
        .load()
    )
    return (
        source.writeStream.foreachBatch(partial(work_frame, feed))
        .trigger(processingTime=f"{trigger_ms} milliseconds")
        .queryName(f"{QUERY_NAME}{feed.stream.topic} {feed.epoch}")
        .start()
    )


def drive(
    stream: Stream,
    *,
    settings: Settings,
    trigger_ms: int,
    stop: threading.Event,
    say: Callable[[str], None],
    report: Callable[[Connection], object] = lambda conn: None,
    database_url: str | None = None,
    driver: str | None = None,
) -> None:
    """Drives the stream until `stop` is set; then what is under way is finished and the stream left
    to the planner.

    `report` is called at most every REPORT_SECONDS, and at the end, with a connection. A service
    that is down is waited for. Raises Unavailable `stream_driven` if another driver holds the
    stream, DriverReplaced if one took it over.
    """
    url = database_url or settings["CARBON_DATABASE_WRITER_URL"]
    feed = Feed(
        stream=stream,
        database_url=url,
        driver=driver or f"{socket.gethostname()} {os.getpid()}",
        epoch=0,
    )
    feed = _take(feed, stop, say)
    say(f"{stream.name}: driver number {feed.epoch} holds the stream")
    lost, failures = threading.Event(), 0
    reporter = _Reporter(feed, report, say)
    while not stop.is_set() and not lost.is_set():
        begun = time.monotonic()
        try:
            with _held(feed, lost, is_left_after=failures >= FAILURES_HELD):
                _drive_once(feed, settings, trigger_ms, stop, lost, reporter, say)
        except CarbonError as error:
            if lost.is_set():
                break
            # One that went well for a while is not the next one in a row.
            failures = 1 if time.monotonic() - begun > HEALTHY_SECONDS else failures + 1
            pause = min(2 ** (failures - 1), BACK_OFF_SECONDS_MAX)
            if failures > FAILURES_HELD:
                pause = REST_SECONDS
            say(f"{stream.name}: {_first_line(error)}; tried again in {pause} s")
            stop.wait(pause)
    if lost.is_set():
        from carbon_ledger.store.drivers import DriverReplaced

        raise DriverReplaced(
            "driver_replaced", f"another driver has taken stream {stream.name}; this one stops"
        )
    _leave(feed)
    reporter.tell()
    say(f"{stream.name}: left to the planner")


def _take(feed: Feed, stop: threading.Event, say: Callable[[str], None]) -> Feed:
    from carbon_ledger.store import drivers, manifest

    deadline, is_told = time.monotonic() + TAKE_SECONDS, False
    while True:
        try:
            with closing(feed.connect("take")) as conn:
                manifest.ensure_stream(conn, feed.stream)
                epoch = drivers.take_stream(conn, feed.stream.name, feed.driver)
            return replace(feed, epoch=epoch)
        except Unavailable as error:
            if time.monotonic() > deadline or stop.is_set():
                raise
            if not is_told:
                say(error.message)
                is_told = True
            stop.wait(LOOK_SECONDS)


@contextmanager
def _held(feed: Feed, lost: threading.Event, *, is_left_after: bool) -> Iterator[None]:
    """Keeps the stream's lease while the block runs; `lost` is set when another driver has it.

    A block that ends well leaves the stream; one that fails keeps it for the next try, unless
    `is_left_after`: then the planner goes on meanwhile.
    """
    from carbon_ledger.store import drivers
    from carbon_ledger.store.manifest import BEAT_SECONDS, DatabaseError

    def beat() -> bool:
        try:
            with closing(feed.connect("lease")) as conn:
                if not drivers.keep_stream(conn, feed.stream.name, feed.epoch):
                    lost.set()
        except (Unavailable, DatabaseError):
            return True
        return not lost.is_set()

    is_left = is_left_after
    try:
        with beating(f"lease of {feed.stream.name}", beat, BEAT_SECONDS, float("inf")):
            beat()
            yield
        is_left = True
    finally:
        if is_left:
            _leave(feed)


def _leave(feed: Feed) -> None:
    from carbon_ledger.store import drivers
    from carbon_ledger.store.manifest import DatabaseError

    with suppress(Unavailable, DatabaseError), closing(feed.connect("leave")) as conn:
        drivers.leave_stream(conn, feed.stream.name, feed.epoch)


class _Reporter:
    """Calls `report` every REPORT_SECONDS; what it cannot tell now, it tells later."""

    def __init__(
        self, feed: Feed, report: Callable[[Connection], object], say: Callable[[str], None]
    ) -> None:
        self._feed, self._report, self._say = feed, report, say
        self._due = time.monotonic() + REPORT_SECONDS

    def tell_if_due(self) -> None:
        if time.monotonic() >= self._due:
            self.tell()

    def tell(self) -> None:
        from carbon_ledger.store.manifest import DatabaseError

        self._due = time.monotonic() + REPORT_SECONDS
        try:
            with closing(self._feed.connect("report")) as conn:
                self._report(conn)
        except (CarbonError, DatabaseError) as error:
            self._say(f"{self._feed.stream.name}: told later: {error}")


def _drive_once(
    feed: Feed,
    settings: Settings,
    trigger_ms: int,
    stop: threading.Event,
    lost: threading.Event,
    reporter: _Reporter,
    say: Callable[[str], None],
) -> None:
    """One query, from its start to its end. Raises CarbonError for whatever ended it early."""
    from pyspark.errors import PySparkException

    from carbon_ledger.store.manifest import DatabaseError
    from spark.micro_batch import translated
    from spark.session import connect

    try:
        session = connect(settings["CARBON_SPARK_REMOTE"])
        try:
            _stop_earlier(session, feed)
            work_pending(feed, session, "start", settings, is_first=True)
            known = _known_topic(feed, settings, stop)
            if known is None:
                return
            query = _started_in_time(
                session, lambda: start_query(session, feed, *known, settings, trigger_ms), stop
            )
            if query is None:
                return
            say(f"{feed.stream.name}: the query runs, a look every {trigger_ms} ms")
            try:
                _watch(feed, settings, session, query, stop, lost, reporter)
            finally:
                with suppress(PySparkException):
                    query.stop()
        finally:
            session.stop()
    except PySparkException as error:
        raise translated(error) from error
    except (DatabaseError, OSError) as error:
        raise Unavailable("service_unavailable", " ".join(str(error).split())[:300]) from error


def _stop_earlier(session: SparkSession, feed: Feed) -> None:
    """Ends queries on the stream's topic that a driver left behind; they would do nothing any more
    but look for records.
    """
    for query in session.streams.active:
        if (query.name or "").rpartition(" ")[0] == f"{QUERY_NAME}{feed.stream.topic}":
            query.stop()


def _started_in_time(
    session: SparkSession, start: Callable[[], Any], stop: threading.Event
) -> Any | None:
    """What `start` returns; None if told to stop meanwhile. Raises Unavailable `query_not_started`.

    The server starts a Python process for the function and waits for it to connect, without limit:
    one that dies at its start, as on a machine with no processor to spare, would keep us for ever.
    """
    found: list[Any] = []
    tag = f"start-{uuid.uuid4().hex}"

    def go() -> None:
        try:
            session.addTag(tag)
            found.append(start())
        except Exception as error:  # noqa: BLE001 - handed to the caller's thread
            found.append(error)

    thread = threading.Thread(target=go, name="start of the query", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while thread.is_alive() and not stop.is_set() and time.monotonic() < deadline:
        thread.join(POLL_SECONDS)
    if not found:
        session.interruptTag(tag)
        if stop.is_set():
            return None
        raise Unavailable(
            "query_not_started",
            f"Spark has not started the query within {START_SECONDS:.0f} s: the process for its "
            "function did not come up",
        )
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _known_topic(
    feed: Feed, settings: Settings, stop: threading.Event
) -> tuple[StreamState, TopicSight] | None:
    """The stream's state and its topic, once that is there and as expected; None if told to
    stop.
    """
    from carbon_ledger.store import manifest

    while not stop.is_set():
        with closing(feed.connect("topic")) as conn:
            sight = _sight(conn, feed.stream, settings)
            state = manifest.read_state(conn, feed.stream.name)
        if sight is not None and state.progress:
            return state, sight
        stop.wait(LOOK_SECONDS)
    return None


def _watch(
    feed: Feed,
    settings: Settings,
    session: SparkSession,
    query: Any,
    stop: threading.Event,
    lost: threading.Event,
    reporter: _Reporter,
) -> None:
    """Until the query ends or is to end; a batch that nobody works on any more is taken up."""
    from carbon_ledger.store import drivers, manifest

    looks, before = 0, None
    while not stop.wait(LOOK_SECONDS) and not lost.is_set():
        reporter.tell_if_due()
        if not query.isActive:
            raise _end_of(query)
        looks += 1
        if looks % manifest.BEAT_SECONDS == 0:
            now = _standing_still(feed, settings)
            if now is not None and now == before:
                work_pending(feed, session, f"look {looks}", settings)
            before = now
    # In good order: no new claim from here on, and the one under way is finished.
    with closing(feed.connect("leave")) as conn:
        drivers.leave_stream(conn, feed.stream.name, feed.epoch)
        deadline = time.monotonic() + DRAIN_SECONDS
        while _is_ours(manifest.open_batch(conn, feed.stream.name), feed):
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)


def _standing_still(feed: Feed, settings: Settings) -> tuple[object, ...] | None:
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
        sight = _sight(conn, feed.stream, settings)
    if sight is None or state.halted_reason is not None:
        return None
    if not planning.pending_records(state, sight.highs):
        return None
    return tuple(sorted((number, made.planned) for number, made in state.progress.items()))


def _is_ours(batch: planning.OpenBatch | None, feed: Feed) -> bool:
    if batch is None or batch.status != "running" or batch.run_id is None:
        return False
    return batch.run_id.startswith(feed.run_id_prefix)


def _first_line(error: CarbonError) -> str:
    return next(iter(error.message.splitlines()), error.code)[:300]


def _end_of(query: Any) -> CarbonError:
    from spark.micro_batch import translated

    error = query.exception()
    if error is None:
        return Unavailable("query_ended", "the query was stopped by somebody else")
    found = translated(error)
    return found if isinstance(found, CarbonError) else Unavailable("query_failed", str(found))
