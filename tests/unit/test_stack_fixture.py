"""The daemon of the test stack stands still unless it is wanted; which file is begun first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from carbon_ledger.settings import PROJECT_ROOT
from devstack.processes import wait_until
from tests.support.stack_fixture import set_daemon


@dataclass
class OneProcess:
    """What the fixture asks of a stack, about one process."""

    process: subprocess.Popen[bytes]
    asked_ready: int = 0

    def pids(self) -> dict[str, int]:
        return {"daemon": self.process.pid}

    def wait_ready(self, seconds: float) -> None:
        self.asked_ready += 1

    def stands(self) -> bool:
        return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED


@pytest.fixture
def stack() -> Iterator[OneProcess]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield OneProcess(process)
        process.kill()


def test_the_daemon_stands_still_and_goes_on_as_it_is_wanted(stack: OneProcess) -> None:
    set_daemon(stack, at_work=True)
    assert not stack.stands()
    assert stack.asked_ready == 0
    for _ in range(2):
        set_daemon(stack, at_work=False)
        assert wait_until(stack.stands, 10)
    set_daemon(stack, at_work=True)
    assert wait_until(lambda: not stack.stands(), 10)
    assert stack.asked_ready == 1, "its heartbeat was old: it is waited for"


def test_a_daemon_that_has_just_died_is_let_be(stack: OneProcess) -> None:
    stack.process.kill()
    stack.process.wait()
    set_daemon(stack, at_work=False)
    set_daemon(stack, at_work=True)
    assert stack.asked_ready == 0


@pytest.mark.parametrize("asks", ["DagsterClient(", "dagster_command(", "run_trial("])
def test_whoever_asks_dagster_is_marked(asks: str) -> None:
    files = list((PROJECT_ROOT / "tests" / "stack").glob("test_*.py"))
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    asking = {name for name, text in texts.items() if asks in text}
    assert asking, f"nobody asks by {asks}: this test sees nothing"
    assert [name for name in sorted(asking) if "pytest.mark.daemon" not in texts[name]] == []
