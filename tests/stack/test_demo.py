"""`carbon demo` as somebody runs it: it ends by itself, adds up, and a second one is new."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.daemon]


def demo(events: int) -> str:
    """What it prints; it must succeed."""
    command = [sys.executable, "-m", "cli.main", "demo", "--events", str(events)]
    command += ["--duration", "3", "--bad", "5", "--duplicates", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=420, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def count(text: str, name: str) -> int:
    found = re.search(rf"^  {name} +([0-9,]+)", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1].replace(",", ""))


def test_the_demo_adds_up_and_a_second_one_sends_new_readings(stack: Any) -> None:
    for events in (200, 150):
        text = demo(events)
        fates = [count(text, name) for name in ("Ledgered", "Duplicate", "Dead-lettered")]
        assert fates == [events, 7, 5]
        assert count(text, "Sent") == events + 12
        assert "gross location-based scope 2" in text
        assert "http://localhost:" in text
