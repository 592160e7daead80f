"""A kind of source for tests of the adapters' frame: it counts to `items`, and waits when done.

Belongs here: what the frame promises to an adapter and expects of it. Does not: any protocol.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping

from carbon_ledger.settings import Settings
from pipeline.sources.source_config import SourceConfig

FRAME = (
    "import sys; from pipeline.sources.adapters import KINDS, Kind; "
    "KINDS['counting'] = Kind(module='tests.support.counting_source', about='Counts.'); "
    "from cli.main import main; main()"
)
COMMAND = (sys.executable, "-c", FRAME, "source")


def check(config: SourceConfig) -> str:
    """How far it would count."""
    return f"counts to {_items(config)}"


def _items(config: SourceConfig) -> int:
    return config.table.integer("items", low=1, high=1000)


def run(
    config: SourceConfig, settings: Settings, stop: threading.Event, once: bool
) -> Mapping[str, int]:
    """Counts, says that it waits, and waits to be stopped."""
    counts = {"items": _items(config)}
    config.report(counts, None if once else "nothing more to count")
    while not once and not stop.wait(0.1):
        pass
    return counts
