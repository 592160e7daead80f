"""One run of the demo, as its sources share it: how much, how long, and whether to stop.

Belongs here: what every source asks of a run. Does not: any source.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings
from devstack.layout import Layout

if TYPE_CHECKING:
    from cli.demo.suppliers import Drop

STEP_SECONDS = 0.2


class Stopped(Exception):
    """Somebody ended the run, or another source failed."""


@dataclass(kw_only=True)
class Run:
    """What is sent over `duration` seconds: `readings` of meters, and so many of other things.

    `patience` is how many seconds anything may stand still, `folder` the run's own, `drop` the
    supplier's file once it is left.
    """

    name: str
    begun: datetime
    seed: int
    readings: int
    duration: float
    bad: int
    duplicates: int
    patience: float
    settings: Settings
    layout: Layout
    folder: Path
    trips: int = 120
    shipments: int = 40
    orders: int = 60
    declarations: int = 24
    bad_of_others: int = 3
    drop: Drop | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    progress: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def share(self) -> float:
        """How much of the sending time has passed, 0 to 1."""
        if self.duration <= 0:
            return 1.0
        return min(1.0, (time.monotonic() - self.started) / self.duration)

    def wait_for_share(self, share: float) -> None:
        """Returns when so much of the time has passed; raises Stopped."""
        ahead = self.started + share * self.duration - time.monotonic()
        if self.stop.wait(max(0.0, ahead)):
            raise Stopped

    def wait_until(self, question: Callable[[], bool], what: str, seconds: float) -> None:
        """Returns once the answer is yes; Unavailable `demo_slow` after `seconds` without."""
        deadline = time.monotonic() + seconds
        while not question():
            if time.monotonic() > deadline:
                raise Unavailable("demo_slow", f"{what}: not within {seconds:.0f} s")
            if self.stop.wait(STEP_SECONDS):
                raise Stopped
