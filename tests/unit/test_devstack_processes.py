"""Signals reach the right process and no other; logs stay short; the supervisor is patient."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devstack import processes, state
from devstack.processes import LAUNCH, MARKER, ProcessId
from devstack.state import ServiceState, StackState
from devstack.supervisor import FIRST_BACKOFF, LONGEST_BACKOFF, backoff, describe

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child that its parent died"
)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEP, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_process_is_known_by_number_and_start(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessId.of(sleeper.pid)
    assert identity is not None
    assert identity.is_alive()
    reused = replace(identity, created=identity.created - 3600)
    assert not reused.is_alive()
    assert reused.process() is None


def test_a_zombie_does_not_count_as_alive(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessId.of(sleeper.pid)
    assert identity is not None
    os.kill(sleeper.pid, signal.SIGKILL)
    assert processes.wait_until(lambda: processes.exit_code(sleeper) is not None, 5)
    assert not identity.is_alive()


def test_a_dead_child_is_looked_at_without_being_collected(
    sleeper: subprocess.Popen[bytes],
) -> None:
    assert processes.exit_code(sleeper) is None
    os.kill(sleeper.pid, signal.SIGKILL)
    assert processes.wait_until(lambda: processes.exit_code(sleeper) == -signal.SIGKILL, 5)
    assert processes.exit_code(sleeper) == -signal.SIGKILL
    assert describe(-signal.SIGKILL) == "signal SIGKILL"


def test_stop_ends_a_deaf_child_and_its_own_children(tmp_path: Path) -> None:
    """The child ignores SIGTERM and has started another process."""
    told = tmp_path / "pid"
    script = (
        "import signal, subprocess, sys, time, pathlib\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen({SLEEP!r})\n"
        f"pathlib.Path({str(told)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-I", "-c", script], start_new_session=True)
    assert processes.wait_until(lambda: told.exists() and told.read_text() != "", 10)
    grandchild = ProcessId.of(int(told.read_text()))
    assert grandchild is not None
    processes.stop(process, signal.SIGTERM, 0.3)
    assert process.returncode == -signal.SIGKILL
    assert processes.wait_until(lambda: not grandchild.is_alive(), 5)


@linux_only
def test_a_child_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = (
        "import subprocess, pathlib, time\n"
        f"child = subprocess.Popen([{sys.executable!r}, '-I', '-S', {str(LAUNCH)!r}, '15', '-',"
        f" *{SLEEP!r}])\n"
        f"pathlib.Path({str(told)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-I", "-c", script])
    assert processes.wait_until(lambda: told.exists() and told.read_text() != "", 10)
    child = ProcessId.of(int(told.read_text()))
    assert child is not None
    time.sleep(0.3)  # until the launcher has become the sleeper
    parent.kill()
    parent.wait()
    assert processes.wait_until(lambda: not child.is_alive(), 5)


def test_a_sweep_ends_what_carries_the_stacks_mark_and_nothing_else(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    left = subprocess.Popen(SLEEP, env={**os.environ, MARKER: str(tmp_path)})
    other = subprocess.Popen(SLEEP, env={**os.environ, MARKER: str(tmp_path / "other")})
    try:
        assert [process.pid for process in processes.marked(tmp_path)] == [left.pid]
        assert processes.sweep(tmp_path) == 1
        assert not processes.psutil.pid_exists(left.pid)
        assert sleeper.poll() is None
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def test_the_holder_of_a_port_is_named() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert f"process {os.getpid()}" in processes.port_holder(listener.getsockname()[1])


def test_a_full_log_moves_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        processes.rotate(log, limit=1000)
        assert log.stat().st_size == 40
        processes.rotate(log, limit=40)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "service.log.1").read_bytes() == b"old\n" * 10


def test_old_logs_are_kept_up_to_a_number(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    for number in range(6):
        log.write_text(str(number))
        processes.rotate(log, limit=1, keep=3)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if path != log}
    assert kept == {"service.log.1": "5", "service.log.2": "4", "service.log.3": "3"}


def test_the_end_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    assert processes.tail(log) == ""
    log.write_text("".join(f"line {n}\n\n" for n in range(50)))
    assert processes.tail(log, lines=2) == "line 48\nline 49"


def test_pauses_double_up_to_a_limit() -> None:
    pauses = [backoff(deaths) for deaths in range(1, 9)]
    assert pauses[:3] == [FIRST_BACKOFF, 2 * FIRST_BACKOFF, 4 * FIRST_BACKOFF]
    assert pauses == sorted(pauses)
    assert pauses[-1] == backoff(10_000) == LONGEST_BACKOFF


def test_the_state_reads_back_as_written(tmp_path: Path) -> None:
    written = StackState(
        status="running",
        supervisor_pid=7,
        supervisor_created=1.5,
        brokers=1,
        dagster=True,
        services={"kafka": ServiceState(status="ready", pid=8, port=9092, restarts=2)},
    )
    state.write(tmp_path / "state.json", written)
    assert state.read(tmp_path / "state.json") == written
    assert state.read(tmp_path / "absent.json") == StackState()
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_stack_without_services_is_not_ready() -> None:
    assert not StackState().all_ready()
    assert StackState(services={"kafka": ServiceState(status="ready")}).all_ready()
