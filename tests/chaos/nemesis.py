"""What breaks things: a seeded list of blows, and the hand that deals them to a running stack.

Belongs here: choosing blows, dealing them, seeing when work goes on. Does not: what is sent
(tests.chaos.load), whether the ledger is right (tests.chaos.history).

A full disk is made twice over: a full tmpfs mounted over the archive for a while (needs root), and
PostgreSQL's processes forbidden to write beyond the first megabyte of any file (RLIMIT_FSIZE),
which its write-ahead log meets as EFBIG. Clocks are not moved here: the stack's processes share the
machine's; the simulator (tests.chaos.simulator) has its own.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import psutil
import psycopg

from carbon_ledger.errors import Unavailable
from carbon_ledger.store.connect import connect
from tests.chaos.load import Load
from tests.support.dagster_client import DagsterClient, wait_for
from tests.support.postgres import Connection

# Long enough to see a recovery that is too slow, and to say how slow.
PATIENCE: Final = 400.0
RUN_WORKER, PYTHON_WORKERS = "run worker", "Spark's Python workers"
SEALER = "sealer"
SERVICES: Final = {
    "Spark server": "spark",
    "PostgreSQL": "postgres",
    "Kafka broker": "kafka",
    "Dagster daemon": "daemon",
    "Dagster code server": "code-server",
}
VICTIMS: Final = (RUN_WORKER, PYTHON_WORKERS, SEALER, *SERVICES)
# Stopped, the code server and the daemon are merely late; these are stopped as zombies instead.
ZOMBIES: Final = (RUN_WORKER, PYTHON_WORKERS, "Spark server", "PostgreSQL", "Kafka broker")
SEALER_SECONDS: Final = 30.0
LIMIT_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Blow:
    """One thing done to one victim.

    kind: kill (SIGKILL), stop (SIGSTOP, continued after `seconds`), cut (every connection to
    PostgreSQL), disk (the archive is full for `seconds`), limit (PostgreSQL's disk is full).
    aim: writing (a transaction of a part is open), running (a batch is under way), any (after
    `seconds_idle`).
    """

    kind: str
    victim: str
    aim: str
    seconds: float = 0.0
    seconds_idle: float = 0.0

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.kind} {self.victim}{lasting} ({self.aim})"


def schedule(seed: int, kills: int, others: int) -> list[Blow]:
    """`kills` kills, every victim in turn before any comes again, and `others` of the other kinds
    among them; the same for the same seed."""
    chance = Random(seed)
    victims: list[str] = []
    while len(victims) < kills:
        turn = list(VICTIMS)
        chance.shuffle(turn)
        victims += turn
    blows = [_kill(chance, victim) for victim in victims[:kills]]
    kinds: list[str] = []
    while len(kinds) < others:
        turn = ["stop", "cut", "disk", "stop", "limit"]
        chance.shuffle(turn)
        kinds += turn
    for kind in kinds[:others]:
        blows.insert(chance.randrange(len(blows) + 1), _other(chance, kind))
    return blows


def _kill(chance: Random, victim: str) -> Blow:
    aims = {RUN_WORKER: ["running"], PYTHON_WORKERS: ["writing"], SEALER: ["any"]}
    aim = chance.choice(aims.get(victim, ["writing", "running", "any"]))
    return Blow(kind="kill", victim=victim, aim=aim, seconds_idle=round(chance.uniform(0, 4), 2))


def _other(chance: Random, kind: str) -> Blow:
    if kind == "stop":
        victim = chance.choice(ZOMBIES)
        aim = "running" if victim == RUN_WORKER else "writing"
        return Blow(kind=kind, victim=victim, aim=aim, seconds=round(chance.uniform(5, 60)))
    if kind == "disk":
        return Blow(kind=kind, victim="archive", aim="any", seconds=round(chance.uniform(4, 12)))
    seconds = round(chance.uniform(3, 8)) if kind == "limit" else 0.0
    return Blow(kind=kind, victim="PostgreSQL", aim="writing", seconds=seconds)


@dataclass(kw_only=True)
class Struck:
    """A blow as it was dealt. Seconds from the blow to the first commit of a later batch, which
    says that planner, run, Spark, Kafka, archive and database all work again."""

    blow: Blow
    at: datetime
    batch_id: int
    pids: list[int]
    recovery_seconds: float | None = None


@dataclass
class Watch:
    """The ledger as a reader that puts up with the database being away."""

    url: str
    conn: Connection | None = None

    def ask(self, text: str, *values: object) -> list[tuple[Any, ...]] | None:
        """The rows, or None while PostgreSQL does not answer."""
        try:
            if self.conn is None:
                self.conn = connect(self.url, "tests", True, organizations="*")
            return self.conn.execute(text.encode(), values).fetchall()
        except (psycopg.Error, Unavailable):
            self.close()
            return None

    def close(self) -> None:
        if self.conn is not None:
            with suppress(psycopg.Error):
                self.conn.close()
        self.conn = None


def python_workers(spark_pid: int) -> list[psutil.Process]:
    """Spark's Python processes that work (their daemon does not), under the server."""
    below = psutil.Process(spark_pid).children(recursive=True)
    return [one for one in below if "python" in one.name() and not one.children()]


@contextmanager
def full_archive(folder: Path) -> Iterator[None]:
    """`folder` lies on a disk without a free byte; afterwards it is as it was."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "carbon-full", str(folder)], check=True
    )
    try:
        with suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@dataclass
class Nemesis:
    """Deals blows to `stack` while `load` runs; `admin_url`: a superuser's, for cutting
    connections."""

    stack: Any
    watch: Watch
    dagster: DagsterClient
    load: Load
    admin_url: str
    archive: Path
    say: Callable[[str], None]
    dealt: list[Struck] = field(default_factory=list)

    def deal(self, blow: Blow) -> Struck:
        """Deals the blow, ends it, and waits until work goes on; AssertionError if it does not."""
        self.stack.wait_ready(90)
        struck = self._aim(blow)
        self.dealt.append(struck)
        struck.recovery_seconds = self._recovery(struck)
        self.say(f"{blow}, batch {struck.batch_id}: {struck.recovery_seconds:.1f} s")
        return struck

    def _aim(self, blow: Blow) -> Struck:
        acts = {"kill": self._kill, "stop": self._stop, "cut": self._cut}
        acts |= {"disk": self._fill_archive, "limit": self._limit}
        for _ in range(20):
            if blow.aim == "any":
                time.sleep(blow.seconds_idle)
                pids = self._targets(blow, None)
            else:
                run_id = self._wait_for_batch(is_writing=blow.aim == "writing")
                pids = self._targets(blow, run_id)
            last = self.watch.ask("select coalesce(max(batch_id), 0) from manifest.batch")
            if pids and last:
                moment = datetime.now(UTC)
                acts[blow.kind](blow, pids)
                return Struck(blow=blow, at=moment, batch_id=last[0][0], pids=pids)
        raise AssertionError(f"{blow}: the victim was never there when it was to be struck")

    def _wait_for_batch(self, is_writing: bool) -> str:
        """The run of a batch under way now; `is_writing`: with a transaction of a part open."""
        self.load.bursts.release()
        writer = (
            "and exists (select from pg_stat_activity"
            " where application_name = 'carbon-writer-' || batch_id)"
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.watch.ask(
                "select run_id from manifest.batch"
                f" where status = 'running' {writer if is_writing else ''}"
            )
            if found:
                return str(found[0][0])
            assert self.load.error is None, self.load.error
            time.sleep(0.02)
        raise AssertionError(f"no batch was under way within {PATIENCE:.0f} s")

    def _targets(self, blow: Blow, run_id: str | None) -> list[int]:
        services, victim = self.stack.pids(), blow.victim
        if victim == SEALER:
            return self._sealer(blow.seconds_idle / 20)
        if victim == PYTHON_WORKERS:
            return [one.pid for one in python_workers(services["spark"])]
        if victim != RUN_WORKER:
            name = SERVICES.get(victim, "postgres")
            return [services[name]] if name in services else []
        try:
            pids = self.dagster.run_pids(str(run_id))
        except httpx.HTTPError:
            # The web server's pool may still have connections of a PostgreSQL that was killed.
            return []
        running = self.watch.ask(
            "select 1 from manifest.batch where run_id = %s and status = 'running'", run_id
        )
        return pids[:1] if pids and running and psutil.pid_exists(pids[0]) else []

    def _sealer(self, seconds_later: float) -> list[int]:
        """The process that seals now, waited for, and found `seconds_later` in its work.

        Whose connection it is tells sooner than Dagster's log: sealing takes half a second.
        """
        deadline = time.monotonic() + SEALER_SECONDS
        while time.monotonic() < deadline:
            with suppress(psycopg.Error), psycopg.connect(self.admin_url, autocommit=True) as conn:
                while time.monotonic() < deadline:
                    ports = conn.execute(
                        "select client_port from pg_stat_activity"
                        " where usename = 'carbon_sealer' and application_name like '% sealer'"
                    ).fetchall()
                    if ports:
                        time.sleep(seconds_later)
                        found = self._run_that_holds({port for (port,) in ports})
                        if found:
                            return found
                    time.sleep(0.02)
            time.sleep(0.1)
        return []

    def _run_that_holds(self, ports: set[int]) -> list[int]:
        """The run, a child of Dagster's code server, whose connection has one of these local
        ports."""
        code_server = self.stack.pids().get("code-server")
        with suppress(psutil.NoSuchProcess):
            for run in psutil.Process(code_server).children(recursive=True) if code_server else []:
                with suppress(psutil.NoSuchProcess):
                    if any(one.laddr.port in ports for one in run.net_connections("tcp")):
                        return [run.pid]
        return []

    def _kill(self, blow: Blow, pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _stop(self, blow: Blow, pids: list[int]) -> None:
        """Stopped with everything below, as a machine that hangs; then they wake as zombies."""
        stopped = [psutil.Process(pid) for pid in pids]
        for one in list(stopped):
            stopped += one.children(recursive=True)
        with _each(stopped, signal.SIGSTOP, signal.SIGCONT):
            time.sleep(blow.seconds)

    def _cut(self, blow: Blow, pids: list[int]) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as conn:
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where pid <> pg_backend_pid() and backend_type = 'client backend'"
            )

    def _fill_archive(self, blow: Blow, pids: list[int]) -> None:
        self.load.bursts.release()
        with full_archive(self.archive):
            time.sleep(blow.seconds)

    def _limit(self, blow: Blow, pids: list[int]) -> None:
        ends = time.monotonic() + blow.seconds
        while time.monotonic() < ends:
            _limit_file_size(pids[0], LIMIT_BYTES)
            time.sleep(0.2)
        _limit_file_size(pids[0], resource.RLIM_INFINITY)

    def _recovery(self, struck: Struck) -> float:
        def moment() -> list[tuple[Any, ...]] | None:
            assert self.load.error is None, self.load.error
            rows = self.watch.ask(
                "select min(closed_at) from ledger.batch_part"
                " where batch_id > %s and closed_at > %s",
                struck.batch_id,
                struck.at,
            )
            return rows if rows and rows[0][0] is not None else None

        try:
            ((when,),) = wait_for("recovery", moment, PATIENCE)
        except AssertionError:
            state = self.watch.ask(
                "select batch_id, attempt, status, run_id, not_before, error from manifest.batch"
                " order by 1 desc limit 2"
            )
            halted = self.watch.ask("select stream, halted_reason from manifest.stream")
            raise AssertionError(
                f"no recovery in {PATIENCE:.0f} s: {struck}, {state}, {halted}"
            ) from None
        return float((when - struck.at).total_seconds())


@contextmanager
def _each(processes: list[psutil.Process], before: int, after: int) -> Iterator[None]:
    """Sends every process a signal now and another one at the end, the last first."""
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(before)
    try:
        yield
    finally:
        for one in reversed(processes):
            with suppress(psutil.NoSuchProcess):
                one.send_signal(after)


def _limit_file_size(pid: int, size: int) -> None:
    """No file that the process and those below it write may grow beyond `size` bytes."""
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        parent = psutil.Process(pid)
        for one in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                _as_its_user(one, size)


def _as_its_user(process: psutil.Process, size: int) -> None:
    """Sets the limit from a child that is the process's own user: root may lack the right to."""
    user, group = process.uids().real, process.gids().real
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(group, group, group)
                os.setresuid(user, user, user)
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))
            os._exit(0)
        except ProcessLookupError:
            os._exit(0)
        except OSError:
            os._exit(1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    if status:
        raise PermissionError(f"the file size of process {process.pid} cannot be limited")
