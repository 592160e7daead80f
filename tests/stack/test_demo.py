"""`carbon demo` as somebody runs it, from nothing: five sources send, each adds up, it ends by
itself; a second one is new, and says so when a source's records do not arrive."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.demo.accounts import SOURCES
from pipeline.sources.company_reference import STEEL_SUPPLIER
from tests.support.stack_environment import TEST_HOME, TEST_OFFSET

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

HOME = TEST_HOME.with_name(f"{TEST_HOME.name}-demo")
# Beside this session's stack, and beside those that other tests start 1000 and 2000 above it.
OFFSET = TEST_OFFSET + 1500
ROW = re.compile(
    r"(?P<sent>[0-9,]+) = +(?P<refused>[0-9,]+) \+ +(?P<kafka>[0-9,]+) = +(?P<ledgered>[0-9,]+)"
    r" \+ +(?P<duplicate>[0-9,]+) \+ +(?P<dead>[0-9,]+) +(?P<verdict>yes|NO)$"
)


def carbon(*arguments: str, seconds: float = 500) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CARBON_HOME": str(HOME), "CARBON_PORT_OFFSET": str(OFFSET)}
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, env=environment
    )


def demo(readings: int, patience: int) -> subprocess.CompletedProcess[str]:
    sizes = ("--events", str(readings), "--duration", "5", "--bad", "5", "--duplicates", "7")
    return carbon("demo", *sizes, "--patience", str(patience))


@pytest.fixture(scope="module", autouse=True)
def no_stack_but_the_demo_s() -> Iterator[None]:
    """What the demo starts is stopped in the end, whatever came of it."""
    carbon("down")
    assert carbon("reset", "--yes").returncode == 0
    yield
    assert carbon("down").returncode == 0


def row(text: str, source: str) -> dict[str, str]:
    """The counts of a source, and whether they add up."""
    line = next(one for one in text.splitlines() if one.startswith(f"  {source} "))
    found = ROW.search(line)
    assert found is not None, line
    return {name: value.replace(",", "") for name, value in found.groupdict().items()}


@contextmanager
def a_drop_that_is_lost() -> Iterator[list[str]]:
    """The supplier's next file vanishes from the server before anybody reads it."""
    drops = HOME / "sftp" / "suppliers" / STEEL_SUPPLIER / "drops"
    lost: list[str] = []
    is_over = threading.Event()

    def take() -> None:
        while not lost and not is_over.wait(0.005):
            for path in drops.glob("*.csv") if drops.exists() else ():
                path.unlink()
                lost.append(path.name)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield lost
    finally:
        is_over.set()
        thread.join()


def test_every_source_adds_up_and_a_lost_file_of_the_next_demo_is_said() -> None:
    first = demo(200, patience=240)
    assert first.returncode == 0, first.stdout + first.stderr
    rows = {one.name: row(first.stdout, one.name) for one in SOURCES}
    assert {name: one["verdict"] for name, one in rows.items()} == dict.fromkeys(rows, "yes")
    meters = rows["Factory meters"]
    assert [meters[name] for name in ("sent", "ledgered", "duplicate")] == ["212", "200", "7"]
    assert int(meters["refused"]) + int(meters["dead"]) == 5
    for name, one in rows.items():
        assert int(one["ledgered"]) > 0, name
        assert int(one["refused"]) + int(one["dead"]) > 0, name
    assert "gross location-based scope 2" in first.stdout
    assert "http://localhost:" in first.stdout

    with a_drop_that_is_lost() as lost:
        second = demo(150, patience=100)
    assert len(lost) == 1
    assert second.returncode == 1, second.stdout + second.stderr
    assert row(second.stdout, "Declarations")["verdict"] == "NO"
    assert f"there is no receipt for {lost[0]}" in second.stderr
    assert row(second.stdout, "Factory meters")["ledgered"] == "150"
    assert Path(HOME).is_dir()
