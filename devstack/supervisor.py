"""One process per stack that starts the services, restarts what dies, and stops them in order.

Run as `python -m devstack.supervisor` with the stack's settings in the environment. Belongs here:
order, back-off, and telling state.json. Does not: anything about one service.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from carbon_ledger.errors import CarbonError
from carbon_ledger.settings import load
from devstack import processes, state
from devstack.layout import Layout
from devstack.plan import Plan, make_plan
from devstack.processes import ProcessId
from devstack.service import External, Service
from devstack.state import ServiceState, StackState

log = logging.getLogger("devstack.supervisor")

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 10.0
STEADY_SECONDS = 60.0  # after so long in health, the next death is a first one again
WATCH_SECONDS = 5.0
FOREIGN_SECONDS = 10.0  # how long somebody else's part may take to answer at first
STEP = 0.1


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def backoff(deaths: int) -> float:
    """Seconds to wait before the restart after death number `deaths` in a row (1, 2, …)."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(deaths - 1, 10))


@dataclass
class Board:
    """The stack's state behind one lock; each change goes to disk at once."""

    layout: Layout
    stack: StackState
    lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, name: str, status: str, **values: object) -> None:
        """Give service `name` a status and whatever else is known of it."""
        with self.lock:
            one = self.stack.services[name]
            if one.status != status:
                one.status, one.since = status, now()
            for key, value in values.items():
                setattr(one, key, value)
            state.write(self.layout.state_file, self.stack)

    def set_stack(self, status: str, failure: str | None = None) -> None:
        """Give the stack a status; the first failure stays."""
        with self.lock:
            self.stack.status = status
            self.stack.failure = self.stack.failure or failure
            state.write(self.layout.state_file, self.stack)

    def status(self, name: str) -> str:
        """Status of one service."""
        with self.lock:
            return self.stack.services[name].status

    def all_ready(self) -> bool:
        """Whether every service is ready."""
        with self.lock:
            return self.stack.all_ready()


class Keeper(threading.Thread):
    """Keeps one service running until told to stop. Its thread is the parent of the service's
    process.
    """

    def __init__(
        self, service: Service, board: Board, environment: Mapping[str, str], supervisor: Supervisor
    ) -> None:
        super().__init__(name=service.name, daemon=True)
        self.service, self.board, self.supervisor = service, board, supervisor
        self.environment = {**environment, **service.environment()}
        self.log_file = board.layout.logs / f"{service.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.was_ready = False

    def run(self) -> None:
        try:
            self.keep()
        except CarbonError as error:
            self.supervisor.fail(self.service.name, error.message)
        except (OSError, subprocess.SubprocessError) as error:
            log.exception("%s", self.service.name)
            self.supervisor.fail(
                self.service.name, f"{self.service.name} could not be run: {error}"
            )
        finally:
            self.finish()

    def keep(self) -> None:
        """Start, watch, and start again, with growing pauses."""
        deaths = 0
        if not self.wait_for_needs():
            return
        while not self.stopping():
            born = time.monotonic()
            reason = self.live()
            if self.stopping():
                return
            if not self.was_ready:
                self.supervisor.fail(self.service.name, self.obituary(reason))
                return
            deaths = 1 if time.monotonic() - born > STEADY_SECONDS else deaths + 1
            pause = backoff(deaths)
            log.warning("%s: %s; again in %.1f s", self.service.name, reason, pause)
            restarts = self.board.stack.services[self.service.name].restarts + 1
            self.board.set(
                self.service.name,
                "restarting",
                pid=None,
                created=None,
                restarts=restarts,
                note=reason,
            )
            self.pause(pause)

    def live(self) -> str:
        """One life of the process, from preparation to death; returns what it died of."""
        self.board.set(self.service.name, "preparing")
        begun = time.monotonic()
        try:
            self.service.prepare()
            if self.stopping():
                return "stopped"
            self.process = processes.start(
                self.service.command(),
                environment=self.environment,
                log=self.log_file,
                folder=self.board.layout.home,
                death_signal=self.service.stop_signal,
                user=self.service.user,
            )
            identity = ProcessId.of(self.process.pid)
            self.board.set(
                self.service.name,
                "starting",
                pid=self.process.pid,
                created=identity.created if identity else None,
            )
            reason = self.until_ready(begun) or self.watch()
        except CarbonError as error:
            if not self.was_ready:
                raise
            reason = error.message
        self.end_process()
        return reason

    def until_ready(self, begun: float) -> str | None:
        """None once the service is ready; else why it will not be."""
        fault: str | None = "it was not asked yet"
        while not self.stopping():
            code = processes.exit_code(self.process) if self.process else 0
            if code is not None:
                return f"it ended with {describe(code)} before it was ready"
            if time.monotonic() - begun > self.service.start_seconds:
                return f"it was not ready after {self.service.start_seconds:.0f} s: {fault}"
            fault = self.service.probe()
            if fault is None:
                self.service.settle()
                self.was_ready = True
                seconds = round(time.monotonic() - begun, 1)
                self.board.set(self.service.name, "ready", seconds_to_ready=seconds, note=None)
                return None
            self.pause(STEP)
        return "stopped"

    def watch(self) -> str:
        """Until the process dies; a probe that fails meanwhile is told, and nothing is done about
        it.
        """
        asked = time.monotonic()
        while not self.stopping():
            code = processes.exit_code(self.process) if self.process else 0
            if code is not None:
                return f"it died ({describe(code)})"
            if time.monotonic() - asked > WATCH_SECONDS:
                fault = self.service.probe()
                asked = time.monotonic()
                processes.rotate(self.log_file)
                if self.process and processes.exit_code(self.process) is None:
                    self.board.set(
                        self.service.name, "ready" if fault is None else "not ready", note=fault
                    )
            self.pause(STEP)
        return "stopped"

    def wait_for_needs(self) -> bool:
        """Whether everything this service needs is ready (False: told to stop while waiting)."""
        while not self.stopping():
            ready = all(
                self.board.status(need) == "ready"
                for need in self.service.needs
                if need in self.board.stack.services
            )
            if ready and (
                not self.service.waits_for_initialised
                or self.board.layout.initialised_file.exists()
            ):
                return True
            self.pause(STEP)
        return False

    def finish(self) -> None:
        """Stop the process once everything that needs this service has stopped."""
        for keeper in self.supervisor.keepers:
            if self.service.name in keeper.service.needs and keeper is not self:
                keeper.join()
        if self.process is not None:
            self.service.before_stop()
        self.end_process()
        if self.board.status(self.service.name) != "failed":
            self.board.set(self.service.name, "stopped", pid=None, created=None)

    def end_process(self) -> None:
        """Make sure the process is gone, and what it started, unless that is to live on."""
        if self.process is not None:
            processes.stop(
                self.process,
                self.service.stop_signal,
                self.service.stop_seconds,
                with_group=self.stopping() or not self.service.is_parent_of_work,
            )
            self.process = None

    def obituary(self, reason: str) -> str:
        """Why the service did not start, with the end of its log."""
        said = processes.tail(self.log_file)
        detail = f" Its last words:\n{said}\n" if said else " "
        return f"{self.service.name} did not start: {reason}.{detail}Log: {self.log_file}"

    def stopping(self) -> bool:
        return self.supervisor.stopping.is_set()

    def pause(self, seconds: float) -> None:
        self.supervisor.stopping.wait(seconds)


class Asker(threading.Thread):
    """Asks a foreign part, now and then, whether it is there."""

    def __init__(self, part: External, board: Board, supervisor: Supervisor) -> None:
        super().__init__(name=part.name, daemon=True)
        self.part, self.board, self.supervisor = part, board, supervisor

    def run(self) -> None:
        begun, was_ready = time.monotonic(), False
        while not self.supervisor.stopping.is_set():
            fault = self.part.probe()
            was_ready = was_ready or fault is None
            self.board.set(self.part.name, "ready" if fault is None else "not ready", note=fault)
            if not was_ready and time.monotonic() - begun > FOREIGN_SECONDS:
                self.supervisor.fail(
                    self.part.name,
                    f"{self.part.name} is set to somebody else's and does not answer: {fault}",
                )
            self.supervisor.stopping.wait(WATCH_SECONDS if was_ready else 1.0)
        self.board.set(self.part.name, "stopped")


def describe(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class Supervisor:
    """All keepers of one stack."""

    def __init__(self, layout: Layout, plan: Plan) -> None:
        self.layout, self.plan = layout, plan
        self.stopping = threading.Event()
        me = ProcessId.of(os.getpid())
        services = {
            service.name: ServiceState(
                port=service.port, since=now(), log=str(layout.logs / f"{service.name}.log")
            )
            for service in plan.services
        }
        services.update(
            {
                part.name: ServiceState(port=part.port, since=now(), external=True)
                for part in plan.external
            }
        )
        self.board = Board(
            layout,
            StackState(
                status="starting",
                supervisor_pid=os.getpid(),
                supervisor_created=me.created if me else None,
                brokers=plan.brokers,
                dagster=plan.dagster,
                extras=plan.extras,
                services=services,
            ),
        )
        self.keepers = [
            Keeper(service, self.board, plan.environment, self) for service in plan.services
        ]
        self.askers = [Asker(part, self.board, self) for part in plan.external]

    def fail(self, name: str, message: str) -> None:
        """A service cannot be had: say so and stop the others."""
        log.error("%s", message)
        self.board.set(name, "failed", note=message, pid=None, created=None)
        self.board.set_stack("failed", message)
        self.stopping.set()

    def thread_died(self, hook: threading.ExceptHookArgs) -> None:
        """A keeper met an error nobody foresaw: better no stack than one that is half kept."""
        name = hook.thread.name if hook.thread else "supervisor"
        told = (hook.exc_type, hook.exc_value or hook.exc_type(), hook.exc_traceback)
        log.error("%s", name, exc_info=told)
        if name in self.board.stack.services:
            self.fail(name, f"{name} could not be kept: {hook.exc_value!r}")

    def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a service fails to start; 0 after a clean stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        return self.run_until_stopped()

    def run_until_stopped(self) -> int:
        """Until `stopping` is set, by whomever."""
        threading.excepthook = self.thread_died
        self.board.set_stack("starting")
        for thread in (*self.keepers, *self.askers):
            thread.start()
        while not self.stopping.wait(STEP):
            if self.board.stack.status == "starting" and self.board.all_ready():
                self.board.set_stack("running")
        failed = self.board.stack.failure is not None
        if not failed:
            self.board.set_stack("stopping")
        for thread in (*self.keepers, *self.askers):
            thread.join()
        processes.sweep(self.layout.home)
        self.board.set_stack("failed" if failed else "stopped")
        return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the detached process; holds the stack's lock as long as it lives."""
    parser = argparse.ArgumentParser(prog="devstack.supervisor")
    parser.add_argument("--brokers", type=int, required=True)
    parser.add_argument("--no-dagster", action="store_true")
    parser.add_argument("--with", dest="extras", action="append", default=[])
    arguments = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    settings = load()
    layout = Layout.of(settings)
    with layout.supervisor_lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.error("another supervisor runs the stack in %s", layout.home)
            return 2
        plan = make_plan(
            settings,
            brokers=arguments.brokers,
            dagster=not arguments.no_dagster,
            extras=arguments.extras,
        )
        return Supervisor(layout, plan).run()


if __name__ == "__main__":
    raise SystemExit(main())
