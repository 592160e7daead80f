"""The continuous driver: a Structured Streaming query works off what comes in, without runs.

Belongs here: the query, holding the stream, starting again after failures. Does not: what its
function does with a frame (spark.frame_work), telling Dagster (carbon_assets.continuous).

Each start of the query begins at the offsets that PostgreSQL has. The query's checkpoint is a
passing folder of the server's, and no start reads an earlier one.

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
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from carbon_ledger.errors import CarbonError, Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.streams import Stream
from spark.attempt import beating
from spark.frame_work import (
    POLL_SECONDS,
    Feed,
    expected_sight,
    is_ours,
    standing_still,
    work_frame,
    work_pending,
)
from spark.kafka_options import kafka_options

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from carbon_ledger.planning import StreamState, TopicSight
    from carbon_ledger.store.manifest import Connection

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
            sight = expected_sight(conn, feed.stream, settings)
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
            now = standing_still(feed, settings)
            if now is not None and now == before:
                work_pending(feed, session, f"look {looks}", settings)
            before = now
    # In good order: no new claim from here on, and the one under way is finished.
    with closing(feed.connect("leave")) as conn:
        drivers.leave_stream(conn, feed.stream.name, feed.epoch)
        deadline = time.monotonic() + DRAIN_SECONDS
        while is_ours(manifest.open_batch(conn, feed.stream.name), feed):
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)


def _first_line(error: CarbonError) -> str:
    return next(iter(error.message.splitlines()), error.code)[:300]


def _end_of(query: Any) -> CarbonError:
    from spark.micro_batch import translated

    error = query.exception()
    if error is None:
        return Unavailable("query_ended", "the query was stopped by somebody else")
    found = translated(error)
    return found if isinstance(found, CarbonError) else Unavailable("query_failed", str(found))
