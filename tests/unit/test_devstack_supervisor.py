"""The supervisor with small real processes as services: order, restarts, and failing as a whole."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import processes, state
from devstack.layout import Layout
from devstack.plan import Plan
from devstack.processes import MARKER
from devstack.service import Service
from devstack.supervisor import Supervisor

WRITER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"


class Sleeper(Service):
    """A service that is ready once it has made its file."""

    def __init__(self, layout: Layout, name: str, needs: tuple[str, ...] = ()) -> None:
        self.layout, self.name, self.needs = layout, name, needs
        self.file = layout.home / f"{name}.up"
        self.stop_seconds = 5

    def prepare(self) -> None:
        self.file.unlink(missing_ok=True)

    def command(self) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", WRITER, str(self.file)]

    def probe(self) -> str | None:
        return None if self.file.exists() else f"{self.file} is not there"


class Stillborn(Sleeper):
    """A service that says why and ends at once."""

    def command(self) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", "print('no room'); raise SystemExit(7)"]


class Faulty(Sleeper):
    """A service whose own code has a fault."""

    def probe(self) -> str | None:
        raise ZeroDivisionError


class Run:
    """A supervisor in a thread of this process."""

    def __init__(self, layout: Layout, *services: Service) -> None:
        environment = {**os.environ, MARKER: str(layout.home)}
        plan = Plan(
            services=services,
            external=(),
            environment=environment,
            values={},
            brokers=1,
            dagster=False,
        )
        self.layout = layout
        self.supervisor = Supervisor(layout, plan)
        self.thread = threading.Thread(target=self.supervisor.run_until_stopped)
        self.thread.start()

    def seen(self) -> state.StackState:
        return state.read(self.layout.state_file)

    def wait(self, status: str) -> bool:
        return processes.wait_until(lambda: self.seen().status == status, 20, step=0.02)

    def stop(self) -> None:
        self.supervisor.stopping.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(home=tmp_path, cache=tmp_path / "cache", offset=0)


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    started: list[Run] = []
    hook = threading.excepthook
    yield started
    threading.excepthook = hook
    for run in started:
        run.stop()


def test_a_dead_service_is_started_again_and_counted(layout: Layout, runs: list[Run]) -> None:
    run = Run(layout, Sleeper(layout, "one"))
    runs.append(run)
    assert run.wait("running")
    first = run.seen().services["one"].pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    def is_back() -> bool:
        one = run.seen().services["one"]
        return one.restarts == 1 and one.is_ready and one.pid != first

    assert processes.wait_until(is_back, 20)


def test_a_service_starts_after_and_stops_before_what_it_needs(
    layout: Layout, runs: list[Run]
) -> None:
    base, top = Sleeper(layout, "base"), Sleeper(layout, "top", needs=("base",))
    run = Run(layout, top, base)
    runs.append(run)
    assert run.wait("running")
    assert base.file.stat().st_mtime_ns <= top.file.stat().st_mtime_ns
    pids = [one.pid for one in run.seen().services.values()]
    run.stop()
    assert run.seen().status == "stopped"
    assert not any(processes.psutil.pid_exists(pid) for pid in pids if pid)


def test_one_that_cannot_start_takes_all_down_with_its_last_words(
    layout: Layout, runs: list[Run]
) -> None:
    run = Run(layout, Sleeper(layout, "good"), Stillborn(layout, "bad"))
    runs.append(run)
    assert run.wait("failed")
    run.thread.join(20)
    failure = run.seen().failure or ""
    assert failure.startswith("bad did not start: it ended with exit code 7")
    assert "no room" in failure
    assert str(layout.logs / "bad.log") in failure
    assert processes.marked(layout.home) == []


def test_a_fault_of_our_own_is_a_failure_and_not_a_silent_hang(
    layout: Layout, runs: list[Run]
) -> None:
    run = Run(layout, Faulty(layout, "faulty"))
    runs.append(run)
    assert run.wait("failed")
    assert "ZeroDivisionError" in (run.seen().failure or "")
