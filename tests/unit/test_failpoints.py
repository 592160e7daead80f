"""The list of crash points is the code's own, and a point does what CARBON_FAILPOINT says."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.failpoints import FAILPOINTS, VARIABLE, failpoint
from carbon_ledger.settings import PROJECT_ROOT

PACKAGES = ("carbon_ledger", "pipeline", "spark", "resources", "sensors", "carbon_assets", "cli")
CALL = re.compile(r"\bfailpoint\(\s*(?P<name>[^)]*?)\s*\)")
THREE_HITS = """
import sys
from carbon_ledger.failpoints import failpoint
for hit in range(3):
    print(hit, flush=True)
    failpoint("part_opened")
    failpoint("part_committed")
print("end", flush=True)
"""


def calls() -> list[tuple[str, str]]:
    """(module, argument as written) of every call in the project."""
    found = []
    for package in PACKAGES:
        for path in sorted((PROJECT_ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts)
            if module != "carbon_ledger.failpoints":
                found += [(module, m["name"]) for m in CALL.finditer(path.read_text())]
    return found


def test_every_point_is_in_the_code_once_where_the_list_says() -> None:
    expected = {(one.module, f'"{name}"'): 1 for name, one in FAILPOINTS.items()}
    assert Counter(calls()) == expected
    assert len(FAILPOINTS) >= 24


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for name in FAILPOINTS:
        failpoint(name)


@pytest.mark.parametrize("wanted", ["", "no_such_point", "part_opened:0", "part_opened!kill", "!"])
def test_a_point_that_does_not_exist_is_refused(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, wanted)
    with pytest.raises(ConfigurationError, match="part_opened"):
        failpoint("part_committed")


def run(wanted: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", THREE_HITS],
        env={VARIABLE: wanted},
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("part_opened", "0\n"), ("part_opened:2", "0\n1\n"), ("part_committed:3", "0\n1\n2\n")],
)
def test_the_process_dies_at_the_hit_that_was_asked_for(wanted: str, said: str) -> None:
    process = run(wanted)
    assert process.communicate(timeout=60)[0] == said
    assert process.returncode == -signal.SIGKILL


def test_a_hit_that_never_comes_kills_nobody() -> None:
    process = run("part_opened:4")
    assert process.communicate(timeout=60)[0].endswith("end\n")
    assert process.returncode == 0


def test_the_process_stands_still_and_goes_on() -> None:
    process = run("part_opened:2!stop")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["0\n", "1\n"]
    asleep = psutil.Process(process.pid)
    while asleep.status() != psutil.STATUS_STOPPED:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60)[0] == "2\nend\n"
    assert process.returncode == 0
