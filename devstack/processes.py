"""Processes by proof, not by number: starting, recognising, stopping, and finding what was left
behind.

Belongs here: the only signals this project sends. A process is signalled only if its start time is
the recorded one or it carries this stack's marker in its environment; a reused process id is never
hit.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# Every process of a stack, and whatever it starts, carries this in its environment. Not a CARBON_
# name: it is no setting, and a user's own shell never has it.
MARKER = "EMBEDDED_STACK_HOME"
LAUNCH = Path(__file__).with_name("launch.py")
LOG_LIMIT = 20_000_000
GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


@dataclass(frozen=True, kw_only=True)
class ProcessId:
    """A process for good: its number together with its start time (seconds since 1970)."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The identity of the process that has number `pid` now, or None."""
        try:
            return cls(pid=pid, created=psutil.Process(pid).create_time())
        except GONE:
            return None

    def process(self) -> psutil.Process | None:
        """The process, if it still runs and is the same one (a zombie does not run)."""
        try:
            process = psutil.Process(self.pid)
            # The start time is derived from the boot time, which a clock step may move a little.
            same = abs(process.create_time() - self.created) < 2
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except GONE:
            return None

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return self.process() is not None


def rotate(log: Path, limit: int = LOG_LIMIT, keep: int = 3) -> None:
    """Copy a log that has grown beyond `limit` bytes to .1 (.1 to .2 …) and empty it.

    Copied, because a running service has the file open; it appends, so it goes on at the new end.
    What it writes between the copy and the cut is lost.
    """
    if not log.exists() or log.stat().st_size < limit:
        return
    for number in range(keep - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)


def tail(log: Path, lines: int = 12, limit: int = 64_000) -> str:
    """The last non-blank lines of a log, or '' where there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - limit))
        text = stream.read().decode("utf-8", "replace")
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    folder: Path,
    death_signal: int = signal.SIGTERM,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own, output appended to `log`.

    It receives `death_signal` when the calling thread ends without having stopped it (Linux).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(LAUNCH), str(int(death_signal)), user or "-"),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )


def exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """A dead child's exit code (negative: the signal), or None while it lives.

    The dead child is only looked at, not collected: until it is, nobody can get its number, so its
    process group can still be signalled without hitting a stranger.
    """
    if process.returncode is not None or not hasattr(os, "waitid"):
        return process.poll()
    seen = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if seen is None:
        return None
    return seen.si_status if seen.si_code == os.CLD_EXITED else -seen.si_status


def stop(
    process: subprocess.Popen[bytes], first: int, seconds: float, *, with_group: bool = True
) -> None:
    """End a child: signal `first`, after `seconds` SIGKILL; then SIGKILL to its group's rest."""
    if exit_code(process) is None:
        process.send_signal(first)
        if not wait_until(lambda: exit_code(process) is not None, seconds, step=0.02):
            process.kill()
            wait_until(lambda: exit_code(process) is not None, seconds, step=0.02)
    if with_group:
        kill_group(process.pid)
    process.wait()


def kill_group(group: int) -> None:
    """SIGKILL whatever is left in a process group that a child of ours led."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def marked(home: Path) -> list[psutil.Process]:
    """Every process that belongs to the stack in `home`, except this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == str(home):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's and so not ours
    return found


def terminate_work(home: Path, patience: float) -> None:
    """End what a service started for its own work (Dagster's runs), politely first.

    Python's forked workers are known by their command line, which is that of the server they were
    forked from; that one is left to tell how they ended. A run that gets SIGTERM is told to its
    storage as failed, which one that is killed is not.
    """
    forked = {}
    for process in marked(home):
        with suppress(psutil.Error):
            if any("multiprocessing.forkserver" in word for word in process.cmdline()):
                forked[process.pid] = (process, process.ppid())
    servers = {parent for _, parent in forked.values()}
    working = [process for process, _ in forked.values() if process.pid not in servers]
    for process in working:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(working, timeout=patience)


def sweep(home: Path, patience: float = 5) -> int:
    """End every process of the stack in `home` that its supervisor no longer can; returns how many.

    PostgreSQL's fast shutdown is SIGINT and it treats SIGTERM as `when everybody has left`; all
    others end at SIGTERM.
    """
    left = marked(home)
    for process in left:
        try:
            name = process.name()
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        except psutil.Error:
            continue
    _, stubborn = psutil.wait_procs(left, timeout=patience)
    for process in stubborn:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(stubborn, timeout=patience)
    return len(left)


def port_holder(port: int) -> str:
    """Who listens on `port`, in words, as far as this user may know."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            # An unbound socket has no address, and a plain tuple in its place.
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,):
                if connection.pid is None:
                    break
                process = psutil.Process(connection.pid)
                home = process.environ().get(MARKER)
                return (
                    f"the stack in {home}" if home else f"process {process.pid}, {process.name()}"
                )
    except psutil.Error:
        return "another process"
    return "another process"


def wait_until(condition: Callable[[], bool], seconds: float, step: float = 0.1) -> bool:
    """Whether `condition()` became true within `seconds`, asked every `step` seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True
