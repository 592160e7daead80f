"""Runs are forked from a process that has imported everything, and are found when the stack
stops."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from carbon_ledger.settings import PROJECT_ROOT
from devstack.processes import MARKER, marked, terminate_work, wait_until

SAID = """
import multiprocessing, os, sys
from devstack import dagster_process
import tests_of_runs

if __name__ == "__main__":
    if "--fork" in sys.argv:
        dagster_process.fork_runs()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    worker = context.Process(target=tests_of_runs.say, args=(queue,))
    worker.start()
    print(queue.get(timeout=60))
    worker.join()
"""
SAY = """
import os, sys, threading
def say(queue):
    loaded = [n for n in ("dagster_postgres", "pyspark.sql.connect.session") if n in sys.modules]
    queue.put((loaded, threading.active_count() - 1))
"""
WARN = """
import dagster, warnings
def say(queue):
    kinds = (dagster.BetaWarning, dagster.PreviewWarning, dagster.SupersessionWarning)
    with warnings.catch_warnings(record=True) as told:
        for kind in (*kinds, FutureWarning, UserWarning):
            warnings.warn("told", kind)
    queue.put(sorted(one.category.__name__ for one in told))
"""
SERVER = """
import multiprocessing, time
import tests_of_runs
if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    workers = [context.Process(target=time.sleep, args=(120,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    print(*[worker.pid for worker in workers], flush=True)
    for worker in workers:
        worker.join()
    print(*[worker.exitcode for worker in workers], flush=True)
    time.sleep(120)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tests_of_runs.py").write_text(SAY)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(folder), str(PROJECT_ROOT)])
    return {**os.environ, "PYTHONPATH": path, MARKER: str(folder)}


def said(folder: Path, *words: str) -> str:
    script = folder / "code_server.py"
    script.write_text(SAID)
    done = subprocess.run(
        [sys.executable, str(script), *words],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_a_run_finds_its_imports_done_and_no_thread_but_the_queues(folder: Path) -> None:
    assert said(folder, "--fork") == "(['dagster_postgres', 'pyspark.sql.connect.session'], 0)"


def test_a_run_s_log_is_free_of_notices_and_of_nothing_else(folder: Path) -> None:
    (folder / "tests_of_runs.py").write_text(WARN)
    assert said(folder, "--fork") == "['FutureWarning', 'UserWarning']"


def test_a_spawned_one_would_have_to_import_them(folder: Path) -> None:
    assert said(folder) == "([], 0)"


@pytest.fixture
def server(folder: Path) -> Iterator[subprocess.Popen[str]]:
    script = folder / "code_server.py"
    script.write_text(SERVER)
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment(folder), stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        for one in marked(folder):
            one.kill()
        process.kill()


def test_runs_are_ended_and_their_server_tells_how(
    server: subprocess.Popen[str], folder: Path
) -> None:
    assert server.stdout is not None
    pids = [int(word) for word in server.stdout.readline().split()]
    terminate_work(folder, 20)
    assert server.stdout.readline().split() == ["-15", "-15"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert server.poll() is None


def test_runs_that_outlive_their_server_are_ended_too(
    server: subprocess.Popen[str], folder: Path
) -> None:
    assert server.stdout is not None
    pids = [int(word) for word in server.stdout.readline().split()]
    server.kill()
    server.wait()
    time.sleep(0.5)
    assert all(psutil.pid_exists(pid) for pid in pids)
    terminate_work(folder, 20)
    assert wait_until(lambda: not any(alive(pid) for pid in pids), 20)


def alive(pid: int) -> bool:
    """Whether the process still runs; one whose parent has not collected it does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
