"""An attempt at a batch, whoever makes it: its signs of life, and what is told when it fails.

Belongs here: what runs and the continuous driver have in common around a batch's work. Does not:
the work (spark.micro_batch), handing batches out (carbon_ledger.store.manifest).

`connect` opens a connection in autocommit as the ledger's writer, named as it is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from carbon_ledger.errors import BrokenInvariant, Unavailable

if TYPE_CHECKING:
    from carbon_ledger.store.manifest import BatchPlan, Connection

    Connect = Callable[[str], Connection]

# Work that goes on for longer than this stops showing itself alive, and its batch is handed out
# again.
WORK_SECONDS_MAX = 900


@contextmanager
def beating(name: str, beat: Callable[[], bool], seconds: float, at_most: float) -> Iterator[None]:
    """Calls `beat` every `seconds` in a thread while the block runs, until it says False or
    `at_most` seconds have passed.
    """
    stop = threading.Event()
    deadline = time.monotonic() + at_most

    def go() -> None:
        while not stop.wait(seconds) and time.monotonic() < deadline:
            if not beat():
                return

    thread = threading.Thread(target=go, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=seconds)


@contextmanager
def kept_lease(connect: Connect, plan: BatchPlan) -> Iterator[None]:
    """Shows that the attempt is alive while the block runs, on a connection of its own.

    A sign that cannot be given (database restarting) is tried again; the lease may run out
    meanwhile, and the batch then goes to another attempt, which fences this one's commits.
    """
    from carbon_ledger.store.manifest import BEAT_SECONDS

    def beat() -> bool:
        return _beat_once(connect, plan)

    with beating(f"lease of batch {plan.batch_id}", beat, BEAT_SECONDS, WORK_SECONDS_MAX):
        yield


def _beat_once(connect: Connect, plan: BatchPlan) -> bool:
    """Whether to go on beating."""
    from carbon_ledger.store.manifest import DatabaseError, renew_lease

    try:
        with closing(connect("lease")) as conn:
            return renew_lease(conn, plan.batch_id, plan.attempt)
    except (Unavailable, DatabaseError):
        return True


def check_topic(found_topic_id: str | None, plan: BatchPlan) -> None:
    """The topic is still the one the batch was claimed from; BrokenInvariant `topic_replaced` if
    not.
    """
    if plan.topic_id is not None and found_topic_id != plan.topic_id:
        raise BrokenInvariant(
            "topic_replaced",
            f"batch {plan.batch_id} was claimed from topic {plan.topic} with id {plan.topic_id}; "
            f"what is there now has id {found_topic_id}. Nothing was read; the planner halts the "
            "stream and says how to go on",
        )


def tell_planner(connect: Connect, plan: BatchPlan, error: BaseException) -> None:
    """The manifest learns at once that the attempt failed, and why; if it cannot be told, the lease
    tells it.
    """
    from carbon_ledger.store.manifest import DatabaseError, fail_attempt

    text = f"{type(error).__name__}: {error}"
    with suppress(Unavailable, DatabaseError), closing(connect("failed attempt")) as conn:
        fail_attempt(conn, plan.batch_id, plan.attempt, text, counts=is_own_fault(error))


def is_own_fault(error: BaseException) -> bool:
    """Whether a failure says something about the batch, rather than about a service or the run's
    end.
    """
    if isinstance(error, Unavailable):
        # Spark answered, and could not: that may well be the batch.
        return error.code == "spark_failed"
    return isinstance(error, Exception)
