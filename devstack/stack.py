"""Start, stop and look at one embedded stack: what the command line, the tests and the demo use.

Belongs here: the life of a stack seen from outside its supervisor. Does not: printing, topics,
schemas.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.settings import Settings, load
from devstack import downloads, processes, state
from devstack.dagster import write_home
from devstack.environment import write_stack_env
from devstack.extras import EXTRAS, LOCKS, check_extras
from devstack.java import make_class_archive
from devstack.kafka import count_brokers
from devstack.layout import Layout
from devstack.plan import Plan, make_plan
from devstack.state import StackState

NEEDED_BYTES = 2_000_000_000
DATABASE, STREAMS = ("postgres", "database"), ("kafka", "registry")
UP_SECONDS = 420.0
DOWN_SECONDS = 90.0

Report = Callable[[str], None]


def silent(line: str) -> None:
    """Report nothing."""


class Stack:
    """One embedded stack, in one CARBON_HOME."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout.of(settings)
        self.supervisor: subprocess.Popen[bytes] | None = None

    def up(
        self,
        brokers: int | None = None,
        dagster: bool = True,
        *,
        extras: Sequence[str] = (),
        initialise: Callable[[Settings], None] | None = None,
        report: Report = silent,
    ) -> bool:
        """Bring the stack up; False if it was up already, True once everything is ready.

        `extras` are optional parts (devstack.extras) to start as well.
        `initialise` gets the stack's settings once database, Kafka and registry answer, and before
        Dagster's daemon starts. Raises CarbonError with one clear sentence, and leaves nothing
        running then, nor on Ctrl-C.
        """
        count = count_brokers(self.layout, brokers)
        self.layout.home.mkdir(parents=True, exist_ok=True)
        with (self.layout.home / "up.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report("another `carbon up` is at work; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if self.is_running():
                return self.join(dagster, extras, initialise, report)
            processes.sweep(self.layout.home)
            self.check_disk()
            downloads.ensure(self.settings, report)
            for name in check_extras(extras):
                if name in LOCKS:
                    downloads.ensure(self.settings, report, LOCKS[name])
            make_class_archive(self.settings.cache)
            self.fix_brokers(count)
            plan = make_plan(self.settings, brokers=count, dagster=dagster, extras=extras)
            self.check_ports(plan)
            write_stack_env(self.layout, plan.values)
            write_home(self.layout)  # without Dagster's processes too: its command line wants it
            self.layout.initialised_file.unlink(missing_ok=True)
            self.layout.state_file.unlink(missing_ok=True)
            try:
                self.supervisor = self.start_supervisor(plan)
                self.follow(initialise, report)
            except BaseException:
                self.down()
                raise
        return True

    def join(
        self,
        dagster: bool,
        extras: Sequence[str],
        initialise: Callable[[Settings], None] | None,
        report: Report,
    ) -> bool:
        """What `up` does where a supervisor runs already: see that it gets to the end."""
        processes.wait_until(lambda: bool(self.status().services), 10)
        seen = self.status()
        if dagster and not seen.dagster:
            raise ConfigurationError(
                "dagster_not_up",
                "the stack is up without Dagster; run `carbon down`, then `carbon up`",
            )
        missing = [name for name in check_extras(extras) if name not in seen.extras]
        if missing:
            raise ConfigurationError(
                "extra_not_up",
                f"the stack is up without {', '.join(missing)}; run `carbon down`, then `carbon up "
                f"{' '.join(f'--with {name}' for name in missing)}`",
            )
        if seen.all_ready() and self.layout.initialised_file.exists():
            return False
        self.follow(initialise, report)
        return True

    def fix_brokers(self, count: int) -> None:
        """Write the number of brokers down at the first start."""
        path = self.layout.brokers_file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(count), encoding="utf-8")

    def check_disk(self) -> None:
        """Raise Unavailable where the data folder's disk is nearly full."""
        free = shutil.disk_usage(self.layout.home).free
        if free < NEEDED_BYTES:
            raise Unavailable(
                "disk_full",
                f"only {free // 1_000_000} MB are free at {self.layout.home}, the stack needs "
                f"{NEEDED_BYTES // 1_000_000} MB: make room, or set CARBON_HOME to a folder on "
                "another disk",
            )

    def check_ports(self, plan: Plan) -> None:
        """Raise Unavailable naming every port that somebody else listens on."""
        taken: dict[str, list[str]] = {}
        for service in plan.services:
            for port in service.ports:
                if not port_is_free(port):
                    held = taken.setdefault(processes.port_holder(port), [])
                    held.append(f"port {port} (for {service.name})")
        if taken:
            held_by = "; ".join(
                f"{', '.join(ports)} is held by {holder}" for holder, ports in taken.items()
            )
            raise Unavailable(
                "port_in_use",
                f"{held_by}. Stop it, or move this stack with CARBON_PORT_OFFSET, for "
                f"example `CARBON_PORT_OFFSET={self.layout.offset + 10000} carbon up`.",
            )

    def start_supervisor(self, plan: Plan) -> subprocess.Popen[bytes]:
        """The detached process that outlives this one."""
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        log = self.layout.logs / "supervisor.log"
        processes.rotate(log)
        brokers = str(max(1, plan.brokers))
        with log.open("ab") as output:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "devstack.supervisor", "--brokers", brokers),
                    *(() if plan.dagster else ("--no-dagster",)),
                    *(word for name in plan.extras for word in ("--with", name)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(plan.environment),
                cwd=self.layout.home,
                start_new_session=True,
            )

    def follow(self, initialise: Callable[[Settings], None] | None, report: Report) -> None:
        """Watch the supervisor until all is ready; raise what it failed with."""
        begun = time.monotonic()
        told: set[str] = set()
        while True:
            seen = self.status()
            for name, one in seen.services.items():
                if one.is_ready and name not in told:
                    told.add(name)
                    report(f"{name} ready after {time.monotonic() - begun:.1f} s")
            if seen.failure or self.supervisor_is_gone():
                processes.wait_until(self.supervisor_is_gone, DOWN_SECONDS)
                seen = self.status_file()
                if seen.failure is None and seen.status in ("stopping", "stopped"):
                    raise Unavailable("stopped", "the stack was stopped while it was starting")
                raise Unavailable("start_failed", seen.failure or self.supervisor_obituary())
            if seen.services and not self.layout.initialised_file.exists():
                self.initialise_when_possible(seen, initialise, report)
            elif seen.status == "running" and seen.all_ready():
                return
            if time.monotonic() - begun > UP_SECONDS:
                waiting = [name for name, one in seen.services.items() if not one.is_ready]
                raise Unavailable(
                    "start_slow",
                    f"{', '.join(waiting)} did not become ready in {UP_SECONDS:.0f} s; see "
                    f"{self.layout.logs}",
                )
            time.sleep(0.1)

    def supervisor_is_gone(self) -> bool:
        """Whether no supervisor is there any more (one just started may not hold its lock yet)."""
        if self.supervisor is not None:
            return self.supervisor.poll() is not None
        return not self.is_running()

    def initialise_when_possible(
        self,
        seen: StackState,
        initialise: Callable[[Settings], None] | None,
        report: Report,
    ) -> None:
        """Run `initialise` once the data services are ready, and let the daemon start."""
        for name, one in seen.services.items():
            if name.startswith((*DATABASE, *STREAMS)) and not one.is_ready:
                return
        begun = time.monotonic()
        if initialise is not None:
            initialise(self.stack_settings())
            report(f"schema and topics ready after {time.monotonic() - begun:.1f} s more")
        self.layout.initialised_file.touch()

    def stack_settings(self) -> Settings:
        """The settings with this stack's own addresses, whatever stale ones the shell still has."""
        from carbon_ledger.settings import KNOWN, read_env_file

        written = {k: v for k, v in read_env_file(self.layout.env_file).items() if k in KNOWN}
        return Settings({**self.settings.values, **written})

    def supervisor_obituary(self) -> str:
        """Why the supervisor ended without saying so in its state."""
        log = self.layout.logs / "supervisor.log"
        return f"the supervisor died at start. Its last words:\n{processes.tail(log)}\nLog: {log}"

    def is_running(self) -> bool:
        """Whether a supervisor holds this stack (its lock, which no dead process can hold)."""
        try:
            with self.layout.supervisor_lock.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def down(self, report: Report = silent) -> bool:
        """Stop everything and wait for it; False if nothing was running. Data stays."""
        was_running = self.is_running()
        supervisor = self.status_file().supervisor()
        process = supervisor.process() if supervisor else None
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.terminate()
        elif was_running and process is not None:
            report("stopping")
            process.send_signal(signal.SIGTERM)
        elif was_running:
            processes.sweep(self.layout.home, patience=30)
        stopped = processes.wait_until(lambda: not self.is_running(), DOWN_SECONDS)
        if self.supervisor is not None:
            with suppress(subprocess.TimeoutExpired):
                self.supervisor.wait(DOWN_SECONDS)
            self.supervisor = None
        left = processes.sweep(self.layout.home)
        if not stopped and self.is_running():
            raise Unavailable(
                "down_failed",
                f"the supervisor of {self.layout.home} did not stop in {DOWN_SECONDS:.0f} s; see "
                f"{self.layout.logs / 'supervisor.log'}",
            )
        self.layout.initialised_file.unlink(missing_ok=True)
        return was_running or left > 0

    def status_file(self) -> StackState:
        """The state as last written, by whomever."""
        return state.read(self.layout.state_file)

    def status(self) -> StackState:
        """The state of the stack; what a dead supervisor left behind counts as stopped."""
        seen = self.status_file()
        if not self.is_running():
            if seen.status != "failed":
                seen.status = "stopped"
            for one in seen.services.values():
                one.status, one.pid, one.created = "stopped", None, None
        return seen

    def pids(self) -> dict[str, int]:
        """Service name to process id, of the services that run now."""
        return {
            name: one.pid for name, one in self.status().services.items() if one.pid is not None
        }

    def wait_ready(self, seconds: float = 60) -> None:
        """Return once every service is ready; Unavailable after `seconds`, naming those that are
        not.
        """
        if not processes.wait_until(lambda: self.status().all_ready(), seconds):
            late = {
                name: one.note or one.status
                for name, one in self.status().services.items()
                if not one.is_ready
            }
            raise Unavailable("not_ready", f"not ready after {seconds:.0f} s: {late}")

    def reset(self) -> None:
        """Remove the stack's data, logs and passwords, not the cache. Refuses while it runs."""
        if self.is_running():
            raise ConfigurationError(
                "stack_running",
                f"the stack in {self.layout.home} is running; stop it with `carbon down` first",
            )
        processes.sweep(self.layout.home)
        for name in (*OWN_ENTRIES, *EXTRAS):
            path = self.layout.home / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        with suppress(OSError):
            self.layout.home.rmdir()  # only if nothing of the user's is in it


# What a stack makes in CARBON_HOME. A reset removes these and nothing else: CARBON_HOME may be a
# folder in which somebody keeps other things.
OWN_ENTRIES = (
    "archive",
    "dagster",
    "heads",
    "initialised",
    "kafka",
    "logs",
    "postgres",
    "postgres.part",
    "quarantine",
    "secrets.json",
    "spark",
    "stack.env",
    "state.json",
    "supervisor.lock",
    "tmp",
    "up.lock",
    "witness",
)


def port_is_free(port: int) -> bool:
    """Whether a service could listen on `port` of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def open_stack() -> Stack:
    """The stack of this process's settings."""
    return Stack(load())
