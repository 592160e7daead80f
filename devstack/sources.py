"""A source adapter as a service of the embedded stack.

Belongs here: its command, its status file, when it counts as ready. Does not: which adapters the
stack can have (devstack.extras), any protocol.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from devstack.layout import Layout
from devstack.service import Service


class SourceAdapter(Service):
    """`carbon source run FILE` beside the stack: ready once it has read its configuration.

    What keeps it from working later (its source does not answer, Kafka is slow) is told by the
    probe; the adapter itself tries again. `needs` names the services it should start after, the
    source's own among them; `values` are the environment variables its file refers to.
    """

    waits_for_initialised = True
    stop_seconds = 60  # it first delivers and acknowledges what it has taken

    def __init__(
        self,
        layout: Layout,
        name: str,
        file: Path,
        *,
        needs: tuple[str, ...] = (),
        values: Mapping[str, str] | None = None,
    ) -> None:
        self.name = f"source-{name}"
        # However many brokers there are: it ends before the first of them does.
        self.needs = ("kafka", "kafka-1", "kafka-2", "kafka-3", "registry", *needs)
        self.file, self.values = file, dict(values or {})
        self.folder = layout.home / "sources"
        self.status_file = self.folder / f"{name}.status.json"
        self._was_asked = False

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.status_file.unlink(missing_ok=True)
        self._was_asked = False

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "cli.main", "source", "run", str(self.file)),
            *("--status-file", str(self.status_file)),
        ]

    def environment(self) -> dict[str, str]:
        return self.values

    def probe(self) -> str | None:
        try:
            said = json.loads(self.status_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return "it has not read its configuration yet"
        # A source that is away when the stack starts is no reason not to start it.
        problem: str | None = said["problem"] if self._was_asked else None
        self._was_asked = True
        return problem
